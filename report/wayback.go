package report

import (
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// stayed counts what still differs on machines that were rolled back: what
// stays where it runs, as far as machine or inventory named it (G9).
func (f *facts) stayed() []Stayed {
	var out []Stayed
	for i := range f.deployments {
		d := &f.deployments[i]
		if d.Outcome != patching.RolledBack {
			continue
		}
		for _, p := range f.bundles[d.Bundle].MayStay() {
			if !assess.Names(d.Detail, p.Name) {
				continue
			}
			n := slices.IndexFunc(out, func(s Stayed) bool { return s.Package == p.Name && s.Version == p.To })
			if n < 0 {
				n, out = len(out), append(out, Stayed{Package: p.Name, Version: p.To})
			}
			out[n].Machines++
		}
	}
	slices.SortFunc(out, func(a, b Stayed) int { return strings.Compare(a.Package+" "+a.Version, b.Package+" "+b.Version) })
	return out
}

// wayBack says how the plan could be undone, for those who read it afterwards.
func (f *facts) wayBack() string {
	var w plan.WayBack
	for i := range f.deployments {
		if d := &f.deployments[i]; d.Ring != "" {
			w.Add(f.bundles[d.Bundle], d.Rollback != "", 1)
		}
	}
	var words string
	switch {
	case w.Machines == 0:
		return "Nothing was to be changed."
	case w.Stuck == 0:
		words = "Every change of the plan could be undone with the package manager"
	default:
		words = number(w.Machines-w.Stuck) + " of " + plural(w.Machines, "machine") +
			" could be returned to the earlier versions with the package manager; it has no way back for the others"
	}
	if len(w.Stays) == 0 {
		return words + "."
	}
	var stays []string
	for _, p := range w.Stays {
		stays = append(stays, p.Package+" "+p.Version)
	}
	return words + ". Not so what a machine has come to run: " + list(stays) + " would stay there."
}
