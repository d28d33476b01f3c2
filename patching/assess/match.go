package assess

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Machine is what advisories are matched with: a kind of machine, for all that have the
// same installed.
type Machine struct {
	// Platform is by os-release(5): ID, and VERSION_ID as a whole ("8.9").
	patching.Platform
	Packages patching.PackageSet
	// Kernel is the release of the one that runs, as uname -r says it; empty: not known.
	Kernel string
	// Entitlements are what the machine has a right to beside its distribution, see
	// [patching.Affected].
	Entitlements []string
	// Offers is what the machine's package manager offers, by package; nil: not known.
	Offers map[Installed]string
	// Foreign are packages that are not the distribution's, as far as that is known.
	Foreign []patching.Foreign
}

// Installed names a package on a machine.
type Installed struct{ Name, Arch string }

// Match is an installed package that an advisory is about.
type Match struct {
	Package  patching.Package
	Advisory *patching.Advisory
	// Fixed is the first version that is not affected, in the package's own order or, with
	// Source, that of its source package; empty: there is none yet.
	Fixed  string
	Source bool
	// CVEs are the advisory's, as far as they concern the package.
	CVEs []patching.CVE
	// Entitlement is what the machine lacks to be offered that version; empty: nothing.
	Entitlement string
	// Aside is why it does not count; empty: it counts.
	Aside Aside
	// known: it is of another stream for sure, as both streams are known.
	known bool
	// release is the one that the advisory is published for: "8" of a machine's "8.8".
	release string
}

// Aside is why a package that an advisory seems to be about is none that it is about.
type Aside string

// The reasons. Their words are for people.
const (
	OtherStream      Aside = "The fix belongs to a module stream, and the package is not known to be of that stream."
	OtherBuild       Aside = "The fix is the same release of the same module, built anew, and the machine is not known to be offered it."
	OtherOrder       Aside = "The versions cannot be compared."
	OlderKernel      Aside = "A newer kernel is installed, and this one does not run."
	TakenBack        Aside = "The advisory was withdrawn."
	NotPublished     Aside = "The advisory was published later."
	ProlongedRelease Aside = "The machine is on a prolonged minor release, whose own advisories are about the same flaws."
)

// Index finds the advisories about a package. It may be used by many at a time.
type Index struct {
	advisories []patching.Advisory
	about      map[subject][]statement
	// streams are those that any feed names for an advisory's package, since not all do.
	streams map[streamKey][]string
	// platforms are those for which anything is published.
	platforms map[patching.Platform]bool

	// naming are the places of advisories by the flaws that they name, see [Index.Naming].
	once   sync.Once
	naming map[string][]int32
}

type subject struct {
	patching.Platform
	name   string
	source bool
}

type statement struct{ advisory, affected int32 }

type streamKey struct {
	advisory patching.AdvisoryID
	name     string
}

// NewIndex makes an index of advisories, which must not be changed afterwards.
func NewIndex(advisories []patching.Advisory) *Index {
	x := &Index{
		advisories: advisories, about: map[subject][]statement{}, streams: map[streamKey][]string{},
		platforms: map[patching.Platform]bool{},
	}
	for i := range advisories {
		for j := range advisories[i].Affected {
			a := &advisories[i].Affected[j]
			x.platforms[a.Platform] = true
			s := subject{a.Platform, a.Package, a.Source}
			x.about[s] = append(x.about[s], statement{int32(i), int32(j)}) //nolint:gosec // there are no 2^31 advisories
			if a.Module != "" {
				k := streamKey{advisories[i].ID, a.Package}
				x.streams[k] = append(x.streams[k], a.Module)
			}
		}
	}
	return x
}

// With is an index of more advisories: the same one if there are none. x may be nil, which
// is an index of none.
func (x *Index) With(more []patching.Advisory) *Index {
	switch {
	case x == nil:
		return NewIndex(more)
	case len(more) == 0:
		return x
	}
	return NewIndex(slices.Concat(x.advisories, more))
}

// Covers reports whether anything is published for a platform.
func (x *Index) Covers(p patching.Platform) bool {
	return slices.ContainsFunc(releases(p.Release), func(release string) bool {
		return x.platforms[patching.Platform{ID: p.ID, Release: release}]
	})
}

// tellsOf reports whether anything is published about a package by some feeds.
func (x *Index) tellsOf(p patching.Package, on patching.Platform, by func(feed string) bool) bool {
	source, _ := sourceOf(p)
	return slices.ContainsFunc(releases(on.Release), func(release string) bool {
		at := patching.Platform{ID: on.ID, Release: release}
		return slices.ContainsFunc([]subject{{at, p.Name, false}, {at, source, true}}, func(s subject) bool {
			return slices.ContainsFunc(x.about[s], func(at statement) bool { return by(x.advisories[at.advisory].Feed) })
		})
	})
}

// BuildOf is the full build of a Windows of which only three numbers are known: that of
// the newest update that is installed, and the first of all where no feed knows one.
func (x *Index) BuildOf(product patching.Platform, build string, installed []string) string {
	newest := build + ".0"
	for _, s := range x.about[subject{product, "windows", false}] {
		a := &x.advisories[s.advisory]
		if !slices.Contains(installed, string(a.ID)) {
			continue
		}
		for _, r := range a.Affected[s.affected].Ranges {
			if version.Build.Older(newest, r.Fixed) {
				newest = r.Fixed
			}
		}
	}
	return newest
}

// Match returns what advisories say of the packages of a machine, as of a time, in the
// order of the packages; of each package in that of the advisories.
func (x *Index) Match(m Machine, asOf time.Time) []Match {
	order, ok := version.OrderOf(m.ID)
	if !ok {
		return nil
	}
	var all []Match
	aside := olderKernels(m, order)
	for i, p := range m.Packages.Packages {
		all = x.appendMatches(all, m, p, order, asOf, aside[i])
	}
	return all
}

// appendMatches adds those of one package. Of the machine they depend on its platform, on
// its entitlements and on what it is offered of this package, and on nothing else.
func (x *Index) appendMatches(all []Match, m Machine, p patching.Package, order version.Order, asOf time.Time, olderKernel bool) []Match {
	for _, f := range x.matches(m.Platform, p, order) {
		f.Aside = x.judge(m, &f, order, asOf, olderKernel)
		if f.Entitlement != "" && slices.Contains(m.Entitlements, f.Entitlement) {
			f.Entitlement = ""
		}
		all = append(all, f)
	}
	return all
}

func (x *Index) judge(m Machine, f *Match, order version.Order, asOf time.Time, olderKernel bool) Aside {
	switch a := f.Advisory; {
	case f.Aside != "":
		return f.Aside
	case a.Published.After(asOf):
		return NotPublished
	case !a.Withdrawn.IsZero() && !a.Withdrawn.After(asOf):
		return TakenBack
	case olderKernel:
		return OlderKernel
	case x.prolonged(m, f):
		return ProlongedRelease
	case modular(f.Fixed):
		return x.moduleAside(m, f, order)
	}
	return ""
}

// prolonged reports whether a machine is kept on a minor release for longer (RHEL's EUS and
// the like), and that one has advisories of its own about all of the match's flaws: their
// fixes are older versions than those of the main release, which it is not offered.
func (x *Index) prolonged(m Machine, f *Match) bool {
	if len(m.Entitlements) == 0 || len(f.CVEs) == 0 || f.release == m.Release || f.release == "" {
		return false
	}
	own := x.about[subject{m.Platform, f.Package.Name, false}]
	return !slices.ContainsFunc(f.CVEs, func(c patching.CVE) bool {
		return !slices.ContainsFunc(own, func(at statement) bool {
			a := &x.advisories[at.advisory]
			affected := &a.Affected[at.affected]
			about := a.CVEs
			if len(affected.CVEs) > 0 {
				about = affected.CVEs
			}
			return affected.Entitlement != "" && slices.Contains(m.Entitlements, affected.Entitlement) && slices.Contains(about, c)
		})
	})
}

// modular reports whether a version was built in a module: the build system of the RHEL
// family writes that into the release.
func modular(v string) bool {
	return strings.Contains(v, ".module_") || strings.Contains(v, ".module+")
}

// moduleAside is why a fix that was built in a module is none for the package; empty: it is
// one. What the machine's own manager offers, where that is known, has the last word: it
// offers nothing of another stream, nor of another build of the same one
// (perl-IO-Socket-SSL:2.066 is built for each stream of perl), which no feed tells apart.
func (x *Index) moduleAside(m Machine, f *Match, order version.Order) Aside {
	streams := x.streams[streamKey{f.Advisory.ID, f.Package.Name}]
	if f.Package.Module == "" || len(streams) > 0 && !slices.Contains(streams, patching.ModuleStream(f.Package.Module)) {
		f.known = f.Package.Module != ""
		return OtherStream
	}
	why := Aside("")
	switch {
	case len(streams) == 0:
		why = OtherStream
	case beforeModule(f.Package.Version) == beforeModule(f.Fixed):
		why = OtherBuild
	}
	offer, ok := m.Offers[Installed{f.Package.Name, f.Package.Arch}]
	if !ok {
		return why
	}
	if c, known := order.Compare(offer, f.Fixed); known && c >= 0 {
		return ""
	}
	return cmp.Or(why, OtherBuild)
}

// beforeModule is a version without what the module's build adds to the release.
func beforeModule(v string) string {
	if i := strings.Index(v, ".module"); i >= 0 {
		return v[:i]
	}
	return v
}

// matches looks at one package, whoever has it.
func (x *Index) matches(on patching.Platform, p patching.Package, order version.Order) (all []Match) {
	source, sourceVersion := sourceOf(p)
	for _, release := range releases(on.Release) {
		at := patching.Platform{ID: on.ID, Release: release}
		all = x.ask(all, subject{at, p.Name, false}, p, p.Version, order)
		all = x.ask(all, subject{at, source, true}, p, sourceVersion, order)
	}
	return all
}

func (x *Index) ask(all []Match, s subject, p patching.Package, has string, order version.Order) []Match {
	for _, at := range x.about[s] {
		advisory := &x.advisories[at.advisory]
		affected := &advisory.Affected[at.affected]
		if affected.Arch != "" && affected.Arch != p.Arch && !everywhere(p.Arch) {
			continue
		}
		fixed, is, known := affects(affected, has, order)
		m := Match{Package: p, Advisory: advisory, Fixed: fixed, Source: affected.Source, CVEs: advisory.CVEs, Entitlement: affected.Entitlement, release: s.Release}
		if len(affected.CVEs) > 0 {
			m.CVEs = affected.CVEs
		}
		if !known {
			m.Aside = OtherOrder
		}
		if (is || !known) && !contains(all, m) {
			all = append(all, m)
		}
	}
	return all
}

// contains reports whether an advisory says the same of a package already: some name it
// once for each architecture.
func contains(all []Match, m Match) bool {
	return slices.ContainsFunc(all, func(o Match) bool {
		return o.Advisory == m.Advisory && o.Fixed == m.Fixed && o.Entitlement == m.Entitlement
	})
}

// Unite makes one of matches of a package that are about advisories of the same name: two
// feeds have it, or a later edition names it again with more flaws. Its flaws are those of
// all, and it was published when the first says so.
func Unite(matches []Match) (all []Match) {
	for _, m := range matches {
		i := slices.IndexFunc(all, func(o Match) bool {
			return o.Advisory.ID == m.Advisory.ID && o.Fixed == m.Fixed && o.Entitlement == m.Entitlement
		})
		if i < 0 {
			all = append(all, m)
			continue
		}
		o := &all[i]
		o.CVEs = slices.Concat(o.CVEs, m.CVEs)
		slices.Sort(o.CVEs)
		o.CVEs = slices.Compact(o.CVEs)
		if p := m.Advisory.Published; !p.IsZero() && (o.Advisory.Published.IsZero() || p.Before(o.Advisory.Published)) {
			earlier := *o.Advisory
			earlier.Published = p
			o.Advisory = &earlier
		}
	}
	return all
}

func everywhere(arch string) bool { return arch == "" || arch == "all" || arch == "noarch" }

// affects reports whether a version is affected, and which is the first that is not. One
// that is listed by itself is affected whatever the ranges say, and in whatever order.
func affects(a *patching.Affected, has string, order version.Order) (fixed string, is, known bool) {
	known = true
	for _, r := range a.Ranges {
		in, sure := order.Within(r, has)
		if known = known && sure; in {
			return r.Fixed, true, true
		}
	}
	if slices.Contains(a.Versions, has) {
		return fixAfter(a, has, order), true, true
	}
	return "", false, known
}

// fixAfter is the lowest fix that is newer than a version which is affected and in no range.
func fixAfter(a *patching.Affected, has string, order version.Order) (fixed string) {
	for _, r := range a.Ranges {
		if r.Fixed != "" && order.Older(has, r.Fixed) && (fixed == "" || order.Older(r.Fixed, fixed)) {
			fixed = r.Fixed
		}
	}
	return fixed
}

// releases are those that advisories for a release may be published for: "8.9", "8", "".
func releases(of string) []string {
	all := []string{of}
	if i := strings.IndexByte(of, '.'); i > 0 {
		all = append(all, of[:i])
	}
	if of != "" {
		all = append(all, "")
	}
	return all
}

// sourceOf is the source package that advisories name. Debian signs its kernels in
// another one, linux-signed-amd64 at 6.1.123+1, and publishes for linux at 6.1.123-1.
func sourceOf(p patching.Package) (name, v string) {
	name, v = p.Source, p.SourceVersion
	if name == "" {
		name = p.Name
	}
	if v == "" {
		v = p.Version
	}
	// linux-signed-amd64 is linux, signed; linux-signed-6.12-amd64 is linux-6.12.
	if of, signed := strings.CutPrefix(name, "linux-signed-"); signed {
		if i := strings.LastIndexByte(v, '+'); i > 0 {
			v = v[:i] + "-" + v[i+1:]
		}
		name = "linux"
		if i := strings.LastIndexByte(of, '-'); i > 0 {
			name += "-" + of[:i]
		}
	}
	return name, v
}
