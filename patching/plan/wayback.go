package plan

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// WayBack says before the approval where going back would lead (G9). The zero
// value is that of no machine.
type WayBack struct {
	Machines int
	// Stuck are machines that the package manager cannot return, because of the
	// packages in By.
	Stuck int
	By    []OnMachines
	// Stays are packages that stay on the machines that have come to run them.
	Stays []OnMachines
}

// OnMachines is a version of a package, and how many machines get it.
type OnMachines struct {
	Package, Version string
	Machines         int
}

// Add counts machines that get a bundle. Undone says that they have a bundle
// that undoes it.
func (w *WayBack) Add(b patching.Bundle, undone bool, machines int) {
	w.Machines += machines
	if undone {
		for _, p := range b.MayStay() {
			w.Stays = counted(w.Stays, p, machines)
		}
		return
	}
	w.Stuck += machines
	for _, p := range b.Patches() {
		if _, ok := (patching.Bundle{Steps: []patching.Step{{Patches: []patching.Patch{p}}}}).Revert(); !ok {
			w.By = counted(w.By, p, machines)
		}
	}
}

// counted adds machines to a list that is sorted by package and version.
func counted(all []OnMachines, p patching.Patch, machines int) []OnMachines {
	one := OnMachines{Package: p.Name, Version: cmp.Or(p.To, p.From), Machines: machines}
	i, found := slices.BinarySearchFunc(all, one, func(a, b OnMachines) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Version, b.Version))
	})
	if !found {
		return slices.Insert(all, i, one)
	}
	all[i].Machines += machines
	return all
}

// named is how many packages are named at most.
const named = 3

// Words says it to the people who approve the plan.
func (w WayBack) Words() string {
	var words string
	switch {
	case w.Machines == 0:
		return ""
	case w.Stuck == 0:
		words = "Every machine can return to its earlier versions with the package manager."
	default:
		words = fmt.Sprintf("%d of %s have no way back with the package manager", w.Stuck, phrase.Count(w.Machines, "machine"))
		if len(w.By) > 0 {
			words += ", because of " + phrase.Few(list(w.By), named)
		}
		words += ": where one of them has to go back, a person gets a task that says what to do."
	}
	if len(w.Stays) > 0 {
		words += " What stays on a machine that has come to run it: " + phrase.Few(list(w.Stays), named) + "."
	}
	return words
}

func list(all []OnMachines) []string {
	var names []string
	for _, p := range all {
		names = append(names, fmt.Sprintf("%s %s (%s)", p.Package, p.Version, phrase.Count(p.Machines, "machine")))
	}
	return names
}
