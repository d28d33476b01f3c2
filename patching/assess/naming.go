package assess

import (
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Naming returns the advisories that name a flaw, or are called so themselves.
func (x *Index) Naming(flaw string) (all []*patching.Advisory) {
	x.once.Do(func() {
		x.naming = map[string][]int32{}
		note := func(name string, at int) {
			key := strings.ToUpper(name)
			if l := x.naming[key]; len(l) == 0 || l[len(l)-1] != int32(at) { //nolint:gosec // there are no 2^31 advisories
				x.naming[key] = append(l, int32(at)) //nolint:gosec // as above
			}
		}
		for i := range x.advisories {
			note(string(x.advisories[i].ID), i)
			for _, c := range x.advisories[i].CVEs {
				note(string(c), i)
			}
			for _, a := range x.advisories[i].Affected {
				for _, c := range a.CVEs {
					note(string(c), i)
				}
			}
		}
	})
	for _, at := range x.naming[strings.ToUpper(flaw)] {
		all = append(all, &x.advisories[at])
	}
	return all
}

// Standing is why a flaw of which advisories speak is none of some packages.
type Standing string

// The standings, from what says most.
const (
	// PastFix: the installed version is the fixed one or newer, be the upstream version
	// as it may: distributions put fixes into older versions.
	PastFix Standing = "past the fix"
	// OtherVersions: what is installed is none of the affected versions.
	OtherVersions Standing = "other versions"
	// OtherPackage: on this release it is about other packages.
	OtherPackage Standing = "other packages"
	// OtherRelease: it is about the package, or others, on other releases or systems.
	OtherRelease Standing = "other releases"
	// Unnamed: no advisory names it.
	Unnamed Standing = "no advisory"
)

// Stands says why none of some packages of a machine counts as having a flaw, by which
// advisory, and with which fixed version or packages. It is asked of flaws without a
// match.
func (x *Index) Stands(m Machine, of []patching.Package, flaw string) (s Standing, by *patching.Advisory, what string) {
	order, _ := version.OrderOf(m.ID)
	s = Unnamed
	better := func(next Standing, a *patching.Advisory, words string) {
		if strength(next) > strength(s) {
			s, by, what = next, a, words
		}
	}
	for _, a := range x.Naming(flaw) {
		var names []string
		for i := range a.Affected {
			on := &a.Affected[i]
			if on.ID != m.ID || !slices.Contains(releases(m.Release), on.Release) {
				better(OtherRelease, a, strings.TrimSpace(on.ID+" "+on.Release))
				continue
			}
			if p, has, ok := concerned(on, of); ok {
				fixed := fixOf(on, has, order)
				if fixed != "" {
					better(PastFix, a, fixed)
				} else {
					better(OtherVersions, a, p.Version)
				}
				continue
			}
			if !slices.Contains(names, on.Package) {
				names = append(names, on.Package)
			}
		}
		if len(names) > 0 {
			slices.Sort(names)
			better(OtherPackage, a, strings.Join(names, ", "))
		}
	}
	return s, by, what
}

func strength(s Standing) int {
	return -slices.Index([]Standing{PastFix, OtherVersions, OtherPackage, OtherRelease, Unnamed}, s)
}

// concerned is the package of which an advisory speaks, with the version that it compares.
func concerned(on *patching.Affected, of []patching.Package) (p patching.Package, has string, ok bool) {
	for _, p := range of {
		source, v := sourceOf(p)
		switch {
		case on.Source && source == on.Package:
			return p, v, true
		case !on.Source && p.Name == on.Package && (on.Arch == "" || on.Arch == p.Arch || everywhere(p.Arch)):
			return p, p.Version, true
		}
	}
	return p, "", false
}

// fixOf is the fixed version that what is installed has reached; empty: none.
func fixOf(on *patching.Affected, has string, order version.Order) string {
	for _, r := range on.Ranges {
		if r.Fixed == "" {
			continue
		}
		if c, known := order.Compare(has, r.Fixed); known && c >= 0 {
			return r.Fixed
		}
	}
	return ""
}
