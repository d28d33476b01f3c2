package patching

import (
	"regexp"
	"slices"
	"time"
)

// AdvisoryID names an advisory as its publisher writes it: ALSA-2025:0288,
// DSA-5888-1, USN-5614-1, KB5078766; CVE-2025-1234 where there is no other name.
type AdvisoryID string

// CVE names a flaw, as in CVE-2024-3094.
type CVE string

var cveShape = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// Valid reports whether c has the shape of a CVE's name.
func (c CVE) Valid() bool { return cveShape.MatchString(string(c)) }

// Platform is what advisories are published for: a distribution by the ID of its
// os-release(5) ("almalinux", "debian", "ubuntu", "sles"), or "windows", "macos",
// "winget".
type Platform struct {
	ID string
	// Release is as much of it as the publisher keeps apart: "8" of AlmaLinux 8.9,
	// "12" of Debian, "22.04" of Ubuntu, "15.5" of SLES 15 SP5; of Windows it is the
	// product's name. Empty: all releases.
	Release string
}

// ByHand is the feed of advisories that people enter themselves: the only ones about software
// of whom nobody publishes any.
const ByHand = "hand"

// Advisory is a published statement that versions are affected, and which fix it.
type Advisory struct {
	ID   AdvisoryID
	Feed string // who told us, as feeds are named
	// Kind is "security", "bugfix" or "enhancement"; empty: the publisher does not say.
	Kind string
	// Severity is the publisher's own word, in small letters; empty: none.
	Severity string
	Title    string
	CVEs     []CVE // sorted, each once
	// Zero times are not known; Withdrawn is zero as long as it holds.
	Published, Modified, Withdrawn time.Time
	// Supersedes names earlier ones that whoever has this one does not need.
	Supersedes []AdvisoryID
	// NeedsReboot: the publisher says that it takes effect with a restart only.
	NeedsReboot bool
	// KnownIssues are the publisher's warnings, a sentence each.
	KnownIssues []string
	Affected    []Affected
}

// Affected is a package in the versions that an advisory is about.
type Affected struct {
	Platform
	Package string
	// Source: Package is a source package, and all that is built from it is affected.
	Source bool
	Arch   string // empty: all
	// Module is the stream that the package belongs to, "name:stream"; empty: the
	// publisher does not say, which is not the same as none.
	Module string
	// Entitlement is what a machine must have to be offered the fix, such as
	// "ubuntu-pro"; empty: nothing.
	Entitlement string
	Ranges      []VersionRange
	// Versions are affected besides, each by itself.
	Versions []string
	// CVEs are those of the advisory's that concern this, where the publisher says that
	// it is not all of them; empty: all.
	CVEs []CVE
}

// VersionRange is a run of affected versions, in the package manager's order.
type VersionRange struct {
	From  string // the first; empty: from the beginning
	Fixed string // the first that is not affected any more; empty: there is none yet
	Last  string // the last that is affected; empty: see Fixed
}

// SetCVEs keeps the valid names among some, sorted, each once.
func (a *Advisory) SetCVEs(names ...string) { a.CVEs = CVEs(names...) }

// CVEs are the valid names among some, sorted, each once.
func CVEs(names ...string) (all []CVE) {
	for _, n := range names {
		if c := CVE(n); c.Valid() {
			all = append(all, c)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Lifecycle is until when a product is supported.
type Lifecycle struct {
	Feed string
	// Product is "debian", "windows-server", "postgresql"; Release one of its
	// cycles, as the feed writes it.
	Product, Release, Codename string
	Released                   time.Time
	// SecurityEnd is until when everyone gets fixes, ExtendedEnd until when those do
	// who pay or otherwise qualify (ESM, ELTS, ESU). Zero: not known.
	SecurityEnd, ExtendedEnd time.Time
	// SecurityEnded and ExtendedEnded: that is over, on a day that is not known. Both are
	// false where there is a day, which says it by itself.
	SecurityEnded, ExtendedEnded bool
	// Latest is the newest version of the cycle; empty: not known.
	Latest string
}

// Offer is a package that an index says can be had.
type Offer struct {
	Feed string
	// Suite is the codename of the index's suite, such as "bookworm-security", and
	// Origin who publishes it. Both are empty where the index is a bare list.
	Suite, Origin               string
	Name, Arch, Version, Source string
	// Signed: a signature over the index was checked, down to this list.
	Signed bool
}
