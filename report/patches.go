package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// patchKey is what makes two patches the same for a reader.
type patchKey struct {
	action                             patching.Action
	name, arch, from, to, origin, code string
}

// patches counts every distinct change of the plan's rings: those that failed
// first, then security updates, then by name.
func (f *facts) patches() []Patch {
	byKey := map[patchKey]*Patch{}
	for i := range f.deployments {
		d := &f.deployments[i]
		if d.Ring == "" {
			continue
		}
		blamed := ""
		if a := f.answerOf(d); a.outcome.Bad() {
			blamed = patching.BlamedPackage(a.signature)
		}
		for _, p := range f.bundles[d.Bundle].Patches() {
			key := patchKey{p.Action, p.Name, p.Arch, p.From, p.To, p.Origin, p.Codename}
			row := byKey[key]
			if row == nil {
				row = &Patch{
					Action: p.Action, Package: p.Name, Arch: p.Arch, From: p.From, To: p.To, Origin: p.Origin, Codename: p.Codename,
					Security: p.Security, NeedsReboot: p.NeedsReboot,
				}
				byKey[key] = row
			}
			row.Machines++
			switch {
			case d.Outcome == patching.Patched && !unconfirmed(d):
				row.Verified++
			case blamed == p.Name:
				row.Failed++
			}
		}
	}
	out := make([]Patch, 0, len(byKey))
	for _, p := range byKey {
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b Patch) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), security(a, b), strings.Compare(a.Package, b.Package), strings.Compare(a.Arch, b.Arch),
			strings.Compare(a.From, b.From), strings.Compare(a.To, b.To), strings.Compare(a.Origin, b.Origin),
			strings.Compare(a.Codename, b.Codename), strings.Compare(string(a.Action), string(b.Action)))
	})
	return out
}

func security(a, b Patch) int {
	switch {
	case a.Security == b.Security:
		return 0
	case a.Security:
		return -1
	default:
		return 1
	}
}

// suspects are the packages that failed on machines of the test ring, by name,
// with those deployments. Only a plan that was made again can have lost one.
func (f *facts) suspects() map[string][]*patching.Deployment {
	if len(f.plans) == 0 || f.plans[len(f.plans)-1].Revision < 2 {
		return nil
	}
	found := map[string][]*patching.Deployment{}
	for i := range f.deployments {
		d := &f.deployments[i]
		a := f.answerOf(d)
		if d.Ring != policy.TestRing || !a.outcome.Bad() || a.reason.Cause() != patching.CausePackage {
			continue
		}
		name := patching.BlamedPackage(a.signature)
		if slices.ContainsFunc(f.bundles[d.Bundle].Patches(), func(p patching.Patch) bool { return p.Name == name }) {
			found[name] = append(found[name], d)
		}
	}
	return found
}

// withdrawn finds what the plan lost after the test ring. Plans keep their
// counts but not their earlier items, so it is told by what is left: a package
// that failed in the test ring and that no later ring installs any more.
func (f *facts) withdrawn() []Withdrawn {
	suspects := f.suspects()
	tested, later := map[string]int{}, map[string]bool{}
	for i := range f.deployments {
		d := &f.deployments[i]
		for _, p := range f.bundles[d.Bundle].Patches() {
			switch {
			case suspects[p.Name] == nil || d.Ring == "":
			case d.Ring == policy.TestRing:
				tested[p.Name]++
			default:
				later[p.Name] = true
			}
		}
	}
	var out []Withdrawn
	for _, name := range slices.Sorted(maps.Keys(suspects)) {
		if later[name] {
			continue
		}
		w := Withdrawn{Package: name, Failed: len(suspects[name]), Tested: tested[name], Missing: f.stillMissing(name)}
		for _, p := range f.plans {
			if p.Revision >= 2 {
				w.At, w.Plan = p.Made, p.Revision
				break
			}
		}
		w.To, w.Why = f.failedWith(name, suspects[name])
		out = append(out, w)
	}
	return out
}

// failedWith returns the versions that failed and why, in a sentence.
func (f *facts) failedWith(name string, failed []*patching.Deployment) (to []string, why string) {
	versions, ways := map[string]bool{}, map[string]int{}
	for _, d := range failed {
		for _, p := range f.bundles[d.Bundle].Patches() {
			if p.Name == name {
				versions[p.To] = true
			}
		}
		a := f.answerOf(d)
		ways[fmt.Sprintf("%s (%s)", strings.TrimSuffix(a.reason.Words(), "."), a.signature)]++
	}
	often := slices.SortedFunc(maps.Keys(ways), func(a, b string) int {
		return cmp.Or(cmp.Compare(ways[b], ways[a]), strings.Compare(a, b))
	})
	return slices.Sorted(maps.Keys(versions)), sentence(few(often, 3))
}

// stillMissing counts the cycle's machines that are offered the package now.
func (f *facts) stillMissing(name string) int {
	n := 0
	for i := range f.deployments {
		if f.offers[f.assets[f.deployments[i].Asset].Candidates][name] {
			n++
		}
	}
	return n
}
