package patching

import (
	"regexp"
	"slices"
	"strings"
)

// Subject is what a person decides about. What is empty does not narrow it; what is not
// has to fit all together.
type Subject struct {
	Advisory AdvisoryID
	CVE      CVE
	// Package is a package's name, or that of the source package it is built from.
	Package string
	// Selector says on which machines, as in policies; empty: on all.
	Selector string
}

// Matter is an advisory on a machine, which people may have decided about.
type Matter struct {
	Asset    AssetID
	Advisory AdvisoryID
	CVEs     []CVE
	// Packages are those of the machine that the advisory concerns.
	Packages []Package
}

// Touches reports whether part of the matter is what the subject names. Machines are
// not looked at.
func (s Subject) Touches(m Matter) bool {
	return (s.Advisory == "" || s.Advisory == m.Advisory) &&
		(s.CVE == "" || s.isCVE(m) || slices.Contains(m.CVEs, s.CVE)) &&
		(s.Package == "" || slices.ContainsFunc(m.Packages, s.isPackage))
}

// Covers reports whether the subject names the whole of the matter. An advisory that
// fixes two flaws is not accepted because one of them is: whoever leaves it open leaves
// the other one open as well.
func (s Subject) Covers(m Matter) bool {
	return s.Touches(m) &&
		(s.CVE == "" || s.Advisory != "" || s.isCVE(m) || !slices.ContainsFunc(m.CVEs, func(c CVE) bool { return c != s.CVE })) &&
		(s.Package == "" || !slices.ContainsFunc(m.Packages, func(p Package) bool { return !s.isPackage(p) }))
}

// isCVE: an advisory that has no other name is called by its flaw's.
func (s Subject) isCVE(m Matter) bool { return string(s.CVE) == string(m.Advisory) }

func (s Subject) isPackage(p Package) bool { return s.Package == p.Name || s.Package == p.Source }

// Words are the subject as people read it.
func (s Subject) Words() string {
	var what []string
	for _, name := range []string{string(s.Advisory), string(s.CVE)} {
		if name != "" {
			what = append(what, name)
		}
	}
	if s.Package != "" {
		what = append(what, "package "+s.Package)
	}
	if len(what) == 0 {
		what = []string{"everything"}
	}
	words := strings.Join(what, ", ")
	if s.Selector != "" {
		words += " where " + s.Selector
	}
	return words
}

// Named is the subject with its names as publishers write them. What begins like a CVE's
// name is meant as one, in whatever letters it is typed: an advisory that is called by its
// flaw's name is found by the flaw as well.
func (s Subject) Named() Subject {
	s.Advisory = AdvisoryID(strings.TrimSpace(string(s.Advisory)))
	s.CVE = CVE(strings.ToUpper(strings.TrimSpace(string(s.CVE))))
	s.Package, s.Selector = strings.TrimSpace(s.Package), strings.TrimSpace(s.Selector)
	if !looksLikeCVE(s.Advisory) {
		return s
	}
	s.Advisory = AdvisoryID(strings.ToUpper(string(s.Advisory)))
	if cve := CVE(s.Advisory); cve.Valid() && (s.CVE == "" || s.CVE == cve) {
		s.Advisory, s.CVE = "", cve
	}
	return s
}

func looksLikeCVE(id AdvisoryID) bool {
	return len(id) >= 4 && strings.EqualFold(string(id[:4]), "CVE-")
}

var advisoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9:._/-]{0,99}$`)

func (s Subject) check() error {
	switch {
	case s.Advisory != "" && !advisoryName.MatchString(string(s.Advisory)):
		return misfit("advisory", "%.100q names no advisory: write it as its publisher does, such as DSA-5888-1", s.Advisory)
	case looksLikeCVE(s.Advisory) && !CVE(s.Advisory).Valid():
		return misfit("advisory", "%.100q is no CVE's name: want CVE, a year and four digits or more, such as CVE-2024-3094", s.Advisory)
	case s.CVE != "" && !s.CVE.Valid():
		return misfit("cve", "%.100q names no CVE: want a name such as CVE-2024-3094", s.CVE)
	case s.Package != "" && ValidatePackage(s.Package, "all", "1") != nil:
		return misfit("package", "%.100q names no package: write it as its manager does", s.Package)
	}
	return nil
}
