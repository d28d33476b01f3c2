package patching

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Package is something installed.
type Package struct {
	Name    string
	Arch    string
	Version string
	Source  string // source package; empty means the same as Name
	// SourceVersion is that of the source package; empty: the same as Version.
	SourceVersion string
	// Module is the stream that the package belongs to, "name:stream"; empty: none, or
	// not known.
	Module string
}

// ModuleStream is "name:stream" of a modularity label, which goes on with version and
// context: https://docs.fedoraproject.org/en-US/modularity.
func ModuleStream(label string) string {
	parts := strings.SplitN(label, ":", 3)
	return strings.Join(parts[:min(len(parts), 2)], ":")
}

// PackageSet is all that is installed on a machine, sorted by name, then
// architecture. Machines that carry the same set share it by its digest.
type PackageSet struct {
	Manager  string
	Packages []Package
}

// Candidate is what a machine's own package manager offers for one package.
type Candidate struct {
	Name string
	Arch string
	From string // installed now; empty: it would be a new package
	To   string
	// Origin and Codename say where it comes from ("Debian-Security",
	// "bookworm"). A suite's alias such as "oldstable" moves and is not kept.
	Origin   string
	Codename string
	Security bool
	// Size is what has to be downloaded, in bytes; 0 is unknown.
	Size   int64
	SHA256 string // of the package file, hexadecimal; empty where the manager does not tell
	// NeedsReboot is known beforehand for kernels and the like.
	NeedsReboot bool
}

// CandidateSet is all that is offered to a machine, sorted like [PackageSet].
type CandidateSet struct {
	Manager    string
	Candidates []Candidate
	// KeptBack names packages with a candidate that the manager would not take
	// now: held by the owner, phased by the vendor or in need of removals.
	KeptBack []string
	// Foreign are installed packages that are not the distribution's, each once; at most
	// [MaxForeign] of them. None also where the manager does not tell.
	Foreign []Foreign
}

// MaxForeign is how many foreign packages a machine names, the first by name.
const MaxForeign = 1000

// Foreign is an installed package that comes from elsewhere than the distribution.
type Foreign struct {
	Name string
	// Origin is who publishes the repository that it comes from ("Docker"); empty: no
	// repository of the machine's offers the package, in whichever version.
	Origin string
}

// OfDistribution reports whether an origin, as a repository's Release file names it, is that
// of a distribution's own archives, by the ID of its os-release(5) or dpkg's vendor: advisories
// of the distribution are about what comes from there, and about nothing else. Backports have
// an origin of their own, and Ubuntu's prolonged support too, which it has advisories for.
func OfDistribution(name, origin string) bool {
	return strings.EqualFold(name, origin) || strings.EqualFold(name, "ubuntu") && strings.HasPrefix(origin, "UbuntuESM")
}

var (
	packageName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+._:~-]{0,199}$`)
	// A caret is rpm's: 1.11^20190603git9e74f2d comes after 1.11.
	packageVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9+.:~^_-]{0,199}$`)
	packageArch    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)
)

// ValidatePackage refuses names, versions and architectures that no package
// manager produces. A name that begins with a dash would be taken for an
// option: apt ran a command as root for -oAPT::Update::Pre-Invoke::=….
func ValidatePackage(name, arch, version string) error {
	switch {
	case !packageName.MatchString(name):
		return fmt.Errorf("package name %q: want a letter or digit, then letters, digits and +._:~-", name)
	case !packageArch.MatchString(arch):
		return fmt.Errorf("package %s: architecture %q is not one", name, arch)
	case !packageVersion.MatchString(version):
		return fmt.Errorf("package %s: version %q is not one", name, version)
	}
	return nil
}

// Sort puts the set in its canonical order.
func (s *PackageSet) Sort() {
	slices.SortFunc(s.Packages, func(a, b Package) int {
		return strings.Compare(a.Name+"\x00"+a.Arch+"\x00"+a.Version, b.Name+"\x00"+b.Arch+"\x00"+b.Version)
	})
}

// Canonical returns the text whose digest addresses the set: a heading, then
// one line a package with tabs between the fields, the last two of which are there
// only where one of them is.
func (s PackageSet) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "packages v1\t%s\n", s.Manager)
	for _, p := range s.Packages {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s", p.Name, p.Arch, p.Version, p.Source)
		if p.SourceVersion != "" || p.Module != "" {
			fmt.Fprintf(&b, "\t%s\t%s", p.SourceVersion, p.Module)
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Digest addresses the set; call [PackageSet.Sort] first.
func (s PackageSet) Digest() Digest { return DigestOf(s.Canonical()) }

// Version returns the installed version of a package; with an empty arch the
// first one of that name.
func (s PackageSet) Version(name, arch string) (string, bool) {
	for _, p := range s.Packages {
		if p.Name == name && (arch == "" || p.Arch == arch) {
			return p.Version, true
		}
	}
	return "", false
}

// Sort puts the set in its canonical order.
func (s *CandidateSet) Sort() {
	slices.SortFunc(s.Candidates, func(a, b Candidate) int {
		return strings.Compare(a.Name+"\x00"+a.Arch, b.Name+"\x00"+b.Arch)
	})
	slices.Sort(s.KeptBack)
	slices.SortFunc(s.Foreign, func(a, b Foreign) int { return strings.Compare(a.Name+"\x00"+a.Origin, b.Name+"\x00"+b.Origin) })
}

// Canonical returns the text whose digest addresses the set.
func (s CandidateSet) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "candidates v1\t%s\n", s.Manager)
	for _, c := range s.Candidates {
		fmt.Fprintf(&b, "%s\t%s\t%s\t%s\t%s\t%s\t%t\t%d\t%s\t%t\n",
			c.Name, c.Arch, c.From, c.To, c.Origin, c.Codename, c.Security, c.Size, c.SHA256, c.NeedsReboot)
	}
	for _, k := range s.KeptBack {
		fmt.Fprintf(&b, "kept back\t%s\n", k)
	}
	for _, f := range s.Foreign {
		fmt.Fprintf(&b, "foreign\t%s\t%s\n", f.Name, f.Origin)
	}
	return b.Bytes()
}

// Digest addresses the set; call [CandidateSet.Sort] first.
func (s CandidateSet) Digest() Digest { return DigestOf(s.Canonical()) }
