package plan

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Difference counts, for people, what changed from one plan to the next.
type Difference struct {
	// Stay counts machines that both plans patch, of which Ring, Patches and
	// Time count those that changed ring, bundle, or occurrence of their window.
	Stay                int
	Ring, Patches, Time int
	// Enter counts machines that only the new plan patches.
	Enter int
	// Leave counts machines that only the old plan patches, by the reason why.
	Leave map[patching.Reason]int
	// Withdrawn are packages that machines do not get any more which stay, or
	// which leave because nothing else is left for them.
	Withdrawn []string
}

// Diff compares two plans of one cycle, or of two. Bundles are those of both, by
// address; of one that is missing nothing is known to be withdrawn.
func Diff(before, after []patching.PlanItem, bundles map[patching.Digest]patching.Bundle) Difference {
	d := Difference{Leave: map[patching.Reason]int{}}
	changed := map[[2]patching.Digest]bool{}
	was := make(map[patching.AssetID]*patching.PlanItem, len(before))
	for i := range before {
		if before[i].Ring != "" {
			was[before[i].Asset] = &before[i]
		}
	}
	for i := range after {
		item := &after[i]
		old := was[item.Asset]
		switch {
		case item.Ring == "" && old != nil:
			d.Leave[item.Exclude]++
			if item.Exclude == patching.ReasonWithdrawn {
				changed[[2]patching.Digest{old.Bundle, ""}] = true
			}
		case item.Ring == "":
		case old == nil:
			d.Enter++
		default:
			d.Stay++
			d.Ring += one(old.Ring != item.Ring)
			d.Patches += one(old.Bundle != item.Bundle)
			changed[[2]patching.Digest{old.Bundle, item.Bundle}] = true
			d.Time += one(!old.Start.Equal(item.Start))
		}
		delete(was, item.Asset)
	}
	if n := len(was); n > 0 { // not even named any more
		d.Leave[patching.ReasonUnknown] += n
	}
	d.Withdrawn = withdrawn(changed, bundles)
	return d
}

// withdrawn names the packages that the first bundle of a pair has and the second
// has not.
func withdrawn(pairs map[[2]patching.Digest]bool, bundles map[patching.Digest]patching.Bundle) []string {
	lost := map[string]bool{}
	for pair := range pairs {
		whole, known := bundles[pair[1]]
		if !known && pair[1] != "" {
			continue
		}
		now := whole.Patches()
		for _, p := range bundles[pair[0]].Patches() {
			if !slices.ContainsFunc(now, func(n patching.Patch) bool { return n.Name == p.Name }) {
				lost[p.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(lost))
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Words says what changed in a sentence.
func (d Difference) Words() string {
	var parts []string
	say := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	say(d.Enter, "enter")
	left := 0
	for _, n := range d.Leave {
		left += n
	}
	say(left, "leave")
	say(d.Ring, "change their ring")
	say(d.Patches, "get other patches")
	say(d.Time, "get another time")
	if len(parts) == 0 {
		return fmt.Sprintf("Nothing changes for the %d machines of the plan.", d.Stay)
	}
	words := fmt.Sprintf("Of the machines, %s; %d stay in the plan.", strings.Join(parts, ", "), d.Stay)
	if len(d.Withdrawn) > 0 {
		words = "Withdrawn: " + phrase.Few(d.Withdrawn, 5) + ". " + words
	}
	return words
}
