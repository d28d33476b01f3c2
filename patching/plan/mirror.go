package plan

import (
	"fmt"
	"math"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Mirrored says how well a ring stands for all machines that a plan patches (G5).
type Mirrored struct {
	Ring     patching.RingName
	Machines int
	Of       int
	// Kinds counts the strata that the ring has a machine of, Like the machines
	// of the plan that are of such a kind.
	Kinds, KindsOf int
	Like           int
	// Untested are the kinds that the ring has no machine of.
	Untested []string
	// Patches counts distinct new versions that the ring installs.
	Patches, PatchesOf int
}

// Mirror looks at what a ring of the plan covers. Bundles are the plan's, by
// address; one that is missing counts as having no patches.
func Mirror(items []patching.PlanItem, ring patching.RingName, bundles map[patching.Digest]patching.Bundle) Mirrored {
	m := Mirrored{Ring: ring}
	kinds := map[string]int{}
	tested, in, all := map[string]bool{}, map[patching.Digest]bool{}, map[patching.Digest]bool{}
	for i := range items {
		item := &items[i]
		if item.Ring == "" {
			continue
		}
		m.Of++
		kinds[item.Stratum]++
		all[item.Bundle] = true
		if item.Ring == ring {
			m.Machines++
			tested[item.Stratum], in[item.Bundle] = true, true
		}
	}
	m.Kinds, m.KindsOf = len(tested), len(kinds)
	for kind, n := range kinds {
		if tested[kind] {
			m.Like += n
		} else {
			m.Untested = append(m.Untested, kind)
		}
	}
	slices.Sort(m.Untested)
	m.Patches, m.PatchesOf = distinct(in, bundles), distinct(all, bundles)
	return m
}

func distinct(of map[patching.Digest]bool, bundles map[patching.Digest]patching.Bundle) int {
	type version struct {
		action         patching.Action
		name, arch, to string
	}
	seen := map[version]bool{}
	for d := range of {
		for _, step := range bundles[d].Steps {
			for _, p := range step.Patches {
				seen[version{p.Action, p.Name, p.Arch, p.To}] = true
			}
		}
	}
	return len(seen)
}

// Words says it to the people who approve the plan.
func (m Mirrored) Words() string {
	if m.Machines == 0 {
		return fmt.Sprintf("The ring %s has no machine.", m.Ring)
	}
	words := fmt.Sprintf("%d of %d machines: %d of %d kinds (%s of all machines are of one of these) and %d of %d patches.",
		m.Machines, m.Of, m.Kinds, m.KindsOf, percent(m.Like, m.Of), m.Patches, m.PatchesOf)
	if len(m.Untested) > 0 {
		words += " Not tested: " + phrase.Few(m.Untested, 3) + "."
	}
	return words + fmt.Sprintf(" A defect that hits 3 %% of machines shows here with a chance of %.0f %%.",
		math.Floor(100*gate.DetectionChance(m.Machines, 0.03)))
}

// percent rounds down, so that 100 % means all.
func percent(part, whole int) string {
	if whole <= 0 {
		return "0 %"
	}
	return fmt.Sprintf("%d %%", 100*part/whole)
}
