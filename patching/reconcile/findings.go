package reconcile

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

// Claim is a flaw that a scanner reports for a package of a machine.
type Claim struct {
	// Host is whom it is about; empty: the report is about one machine.
	Host string
	// Package is a package's name or that of its source; Version what the scanner saw
	// installed, empty: it does not say.
	Package, Version string
	// Names are how the flaw is called, the scanner's own first: CVE-2024-3094,
	// GHSA-…, DSA-5649-1, KB5034441.
	Names []string
	// Fixed is the version that clears it; empty: see Unfixed.
	Fixed string
	// Unfixed: the scanner says that there is no fix. False, with no Fixed: it does not
	// say.
	Unfixed bool
}

// Standpoint is what our own answer is made from.
type Standpoint struct {
	Machine    assess.Machine
	Advisories *assess.Index
	// AsOf is when it holds.
	AsOf time.Time
}

// Party is who reports a pair of package and flaw.
type Party string

// The parties.
const (
	Both     Party = "both"
	TheyOnly Party = "only they"
	WeOnly   Party = "only we"
)

// Finding is a pair of package and flaw, with who reports it.
type Finding struct {
	Package   string
	Flaw      string // the CVE, or its other name where it has none
	Party     Party
	Installed string // what we know to be installed; empty: it is not
	// Advisories are ours about it.
	Advisories []patching.AdvisoryID
	// TheirFixed and OurFixed are the versions that clear it; empty: none is known.
	TheirFixed, OurFixed string
	// Reason is why only one reports it, Why the same for people. Of what both report it
	// says where the fixed versions differ; empty: they do not.
	Reason Reason
	Why    string
}

// Findings is how a scanner's report and our own answer compare, by package and flaw.
type Findings struct {
	All []Finding
}

// Count counts findings by who reports them.
func (f Findings) Count(p Party) (n int) {
	for _, one := range f.All {
		if one.Party == p {
			n++
		}
	}
	return n
}

// Hosts are the machines that claims are about, each once; "" is among them where one does
// not say.
func Hosts(claims []Claim) (all []string) {
	seen := map[string]bool{}
	for _, c := range claims {
		if key := strings.ToLower(c.Host); !seen[key] {
			seen[key] = true
			all = append(all, c.Host)
		}
	}
	slices.Sort(all)
	return all
}

type pair struct{ name, flaw string }

// comparison is one run of [CompareFindings].
type comparison struct {
	Standpoint
	byName, bySource map[string][]patching.Package
	// ours are matches that count, asides those that do not.
	ours, asides map[pair][]assess.Match
	met          map[pair]bool
	// claimed are packages of which the scanner reports anything, named advisories that it
	// names.
	claimed, named map[string]bool
	// spoken are the packages that claims are about, as they write them.
	spoken       map[string]bool
	tellsUnfixed bool
	made         time.Time
	out          map[pair]Finding
}

// CompareFindings holds claims about one machine against our own answer. Made is when the
// scanner looked; zero: not known.
func CompareFindings(at Standpoint, claims []Claim, made time.Time) Findings {
	c := comparison{
		Standpoint: at, made: made, byName: map[string][]patching.Package{}, bySource: map[string][]patching.Package{},
		ours: map[pair][]assess.Match{}, asides: map[pair][]assess.Match{}, met: map[pair]bool{},
		claimed: map[string]bool{}, named: map[string]bool{}, spoken: map[string]bool{}, out: map[pair]Finding{},
	}
	for _, p := range at.Machine.Packages.Packages {
		c.byName[p.Name] = append(c.byName[p.Name], p)
		if p.Source != "" && p.Source != p.Name {
			c.bySource[p.Source] = append(c.bySource[p.Source], p)
		}
	}
	for _, m := range at.Advisories.Match(at.Machine, at.AsOf) {
		to := c.ours
		if m.Aside != "" {
			to = c.asides
		}
		for _, flaw := range flawsOf(m) {
			k := pair{m.Package.Name, flaw}
			to[k] = append(to[k], m)
		}
	}
	for _, one := range claims {
		c.spoken[one.Package] = true
	}
	for _, one := range claims {
		c.tellsUnfixed = c.tellsUnfixed || one.Unfixed
		for _, p := range c.meant(one) {
			c.claimed[p.Name] = true
		}
		for _, n := range one.Names {
			c.named[n] = true
		}
	}
	for _, one := range claims {
		c.judge(one)
	}
	for k, matches := range c.ours {
		if !c.met[k] {
			c.out[k] = c.onlyWe(k, matches)
		}
	}
	f := Findings{All: make([]Finding, 0, len(c.out))}
	for _, one := range c.out {
		f.All = append(f.All, one)
	}
	slices.SortFunc(f.All, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Flaw, b.Flaw))
	})
	return f
}

// flawsOf are the names under which a match is compared: its CVEs, or its own where it
// has none.
func flawsOf(m assess.Match) (all []string) {
	for _, c := range m.CVEs {
		all = append(all, string(c))
	}
	if len(all) == 0 {
		all = append(all, string(m.Advisory.ID))
	}
	return all
}

// meant are the installed packages that a claim is about. Scanners name what is installed
// or what it was built from, which may have the name of one of its packages: then those of
// the others are meant too of which no claim speaks by themselves. Of Windows, anything.
func (c *comparison) meant(one Claim) []patching.Package {
	if c.Machine.ID == "windows" {
		return c.Machine.Packages.Packages
	}
	of := slices.Clone(c.byName[one.Package])
	for _, p := range c.bySource[one.Package] {
		if !c.spoken[p.Name] {
			of = append(of, p)
		}
	}
	return of
}

// flaws are the CVEs that a claim is about. Where it names none its other names may be
// those of our advisories, which know theirs.
func (c *comparison) flaws(one Claim, of []patching.Package) (all []string) {
	for _, v := range patching.CVEs(one.Names...) {
		all = append(all, string(v))
	}
	if len(all) > 0 {
		return all
	}
	for k, matches := range c.ours {
		for _, m := range matches {
			if slices.Contains(one.Names, string(m.Advisory.ID)) && slices.ContainsFunc(of, func(p patching.Package) bool { return p.Name == k.name }) {
				all = append(all, k.flaw)
			}
		}
	}
	if len(all) == 0 {
		for _, n := range one.Names {
			for _, a := range c.Advisories.Naming(n) {
				for _, v := range a.CVEs {
					all = append(all, string(v))
				}
			}
		}
	}
	if len(all) == 0 && len(one.Names) > 0 {
		all = append(all, one.Names[0])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// judge puts a claim down as what both report, or as what only they do.
func (c *comparison) judge(one Claim) {
	of := c.meant(one)
	name := one.Package
	if c.Machine.ID == "windows" {
		name = "windows"
	}
	for _, flaw := range c.flaws(one, of) {
		var matches []assess.Match
		for _, p := range of {
			k := pair{p.Name, flaw}
			if len(c.ours[k]) > 0 {
				c.met[k] = true
				matches = append(matches, c.ours[k]...)
			}
		}
		k := pair{name, flaw}
		if was, twice := c.out[k]; twice && was.Party == Both {
			continue
		}
		f := Finding{Package: name, Flaw: flaw, TheirFixed: one.Fixed, Party: Both}
		if len(of) > 0 {
			f.Installed = of[0].Version
		}
		if len(matches) > 0 {
			f.answer(matches)
			c.agreeOnFix(&f, one)
		} else {
			f.Party = TheyOnly
			c.onlyThey(&f, one, of)
		}
		c.out[k] = f
	}
}

// answer fills in what we say of it.
func (f *Finding) answer(matches []assess.Match) {
	for _, m := range matches {
		if !slices.Contains(f.Advisories, m.Advisory.ID) {
			f.Advisories = append(f.Advisories, m.Advisory.ID)
		}
		f.OurFixed = cmp.Or(f.OurFixed, m.Fixed)
		f.Installed = cmp.Or(f.Installed, m.Package.Version)
	}
	slices.Sort(f.Advisories)
}
