package report

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
)

// failures groups what failed by how it looked and where it was.
func (f *facts) failures(m measure.Measures) Failures {
	type key struct {
		signature string
		reason    patching.Reason
	}
	groups := map[key]*Failure{}
	sites := map[key]map[patching.SiteName]int{}
	out := Failures{
		BySite: counts(m.BySite), ByKind: counts(m.ByStratum), ByCause: counts(m.ByCause), Advice: m.Advice(), Common: f.common(),
	}
	for i := range f.deployments {
		d := &f.deployments[i]
		if !d.Outcome.NeedsTask() && !d.Outcome.Bad() {
			continue
		}
		out.Machines++
		a := f.answerOf(d)
		k := key{a.signature, a.reason}
		g := groups[k]
		if g == nil {
			g = &Failure{Signature: a.signature, Reason: a.reason, Words: a.reason.Words(), Cause: a.reason.Cause()}
			if !a.outcome.Bad() && !a.outcome.NeedsTask() { // undone although it had gone well
				g.Words = "Patched without a fault, then returned to the earlier versions with its ring."
				g.Cause = d.Reason.Cause()
			}
			groups[k], sites[k] = g, map[patching.SiteName]int{}
		}
		g.Machines++
		sites[k][d.Site]++
	}
	of := map[string]int{}
	for _, c := range m.BySite {
		of[c.Name] = c.Of
	}
	for k, g := range groups {
		for site, n := range sites[k] {
			g.Sites = append(g.Sites, Count{Name: string(site), Failed: n, Of: of[string(site)]})
		}
		slices.SortFunc(g.Sites, func(a, b Count) int { return cmp.Or(cmp.Compare(b.Failed, a.Failed), strings.Compare(a.Name, b.Name)) })
	}
	for _, g := range slices.SortedFunc(maps.Values(groups), func(a, b *Failure) int {
		return cmp.Or(cmp.Compare(b.Machines, a.Machines), strings.Compare(a.Signature, b.Signature), strings.Compare(string(a.Reason), string(b.Reason)))
	}) {
		out.Groups = append(out.Groups, *g)
	}
	return out
}

// common are the diagnoses that have something to say. A ring of which nothing
// stands out adds nothing to the whole cycle.
func (f *facts) common() []Common {
	var out []Common
	for _, d := range slices.Backward(f.diagnoses) { // the whole cycle's was the last
		if d.Failed == 0 || d.Ring != "" && len(d.Causes) == 0 {
			continue
		}
		one := Common{Ring: d.Ring, At: d.At, Tried: d.Tried, Failed: d.Failed, Rate: d.Rate, Words: d.Words()}
		for _, c := range d.Causes {
			one.Causes = append(one.Causes, Cause{
				Kind: string(c.Kind), Name: c.Name, LaidTo: c.LaidTo, Failed: c.InsideFailed, Machines: c.Inside,
				OthersFailed: c.OutsideFailed, Others: c.Outside, Chance: c.P, Procedure: strings.Split(c.Procedure(), "\n"),
			})
		}
		out = append(out, one)
	}
	return out
}

func counts(all []measure.Count) []Count {
	out := make([]Count, len(all))
	for i, c := range all {
		out[i] = Count(c)
	}
	return out
}
