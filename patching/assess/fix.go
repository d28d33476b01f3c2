package assess

import (
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// FixOf is how the patch stands on a machine that a work-around makes up for, by the matches
// of that machine; empty: not known. That nothing matches says nothing by itself: what is
// installed has to be past the fix that an advisory names.
func (x *Index) FixOf(m Machine, matches []Match, about patching.Subject) patching.Fix {
	matches = slices.DeleteFunc(slices.Clone(matches), func(f Match) bool { return f.Aside != "" })
	fix := patching.Fix("")
	for _, of := range ByAdvisory(matches) {
		if !about.Touches(MatterOf("", of)) {
			continue
		}
		for _, f := range of {
			if f.Fixed != "" {
				return patching.FixMissing
			}
		}
		fix = patching.FixNone
	}
	flaw := string(about.Advisory)
	if flaw == "" {
		flaw = string(about.CVE)
	}
	if fix != "" || flaw == "" {
		return fix
	}
	of := m.Packages.Packages
	if about.Package != "" {
		of = nil
		for _, p := range m.Packages.Packages {
			if p.Name == about.Package || p.Source == about.Package {
				of = append(of, p)
			}
		}
	}
	if s, _, _ := x.Stands(m, of, flaw); s == PastFix {
		return patching.FixIn
	}
	return ""
}
