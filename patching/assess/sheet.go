package assess

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/patching/version"
)

// Knowledge is what feeds say, as far as all machines share it.
type Knowledge struct {
	Advisories *Index
	Risks      map[patching.CVE][]patching.Risk
	// Catalogue is when KEV was read, see [urgency.Merge]; zero: never.
	Catalogue  time.Time
	Lifecycles []patching.Lifecycle
	Offers     []patching.Offer
}

// RisksBy sorts what feeds say of flaws by the flaw.
func RisksBy(all []patching.Risk) map[patching.CVE][]patching.Risk {
	by := make(map[patching.CVE][]patching.Risk, len(all))
	for _, r := range all {
		by[r.CVE] = append(by[r.CVE], r)
	}
	return by
}

// Sheet is what a machine misses, and how urgent that is. What is not known is nil,
// and never nought.
type Sheet struct {
	Findings []SheetRow `json:"findings"`
	// Aside are matches that do not count, with their reason.
	Aside      []SheetAside `json:"set_aside"`
	EndOfLife  []EndOfLife  `json:"end_of_life"`
	BlindSpots []BlindSpot  `json:"blind_spots"`
	// Blind: no advisory can be matched at all, so that nothing found means nothing.
	Blind bool `json:"blind"`
}

// knownBy leaves out what was known of flaws only after a time.
func knownBy(risks map[patching.CVE][]patching.Risk, asOf time.Time) map[patching.CVE][]patching.Risk {
	by := make(map[patching.CVE][]patching.Risk, len(risks))
	for cve, all := range risks {
		for _, r := range all {
			if r.Exploited != nil && r.Exploited.Added.After(asOf) {
				r.Exploited = nil
			}
			if r.EPSS != nil && r.EPSS.Date.After(asOf) {
				r.EPSS = nil
			}
			if r.SSVC != nil && r.SSVC.At.After(asOf) {
				r.SSVC = nil
			}
			by[cve] = append(by[cve], r)
		}
	}
	return by
}

// SheetRow is a package that could be newer, or that an advisory is about; of Windows,
// an update.
type SheetRow struct {
	Package   string `json:"package"`
	Arch      string `json:"arch,omitempty"`
	Installed string `json:"installed"`
	// Candidate is what the machine can be given now.
	Candidate *string `json:"candidate"`
	// Fixed is the lowest version that clears all; nil: one of them has no fix yet, or
	// there are none.
	Fixed      *string               `json:"fixed"`
	Advisories []patching.AdvisoryID `json:"advisories"`
	CVEs       []patching.CVE        `json:"cves"`
	KEV        *bool                 `json:"kev"`
	EPSS       *float64              `json:"epss"`
	CVSS       *float64              `json:"cvss"`
	Lane       *urgency.Lane         `json:"lane"`
	Deadlines  []SheetDeadline       `json:"deadlines"`
	// Needs is what the machine lacks to be offered the fix; Unfixed are advisories
	// without one.
	Needs   []string              `json:"needs,omitempty"`
	Unfixed []patching.AdvisoryID `json:"unfixed,omitempty"`
}

// SheetDeadline is until when a regime wants an advisory dealt with.
type SheetDeadline struct {
	Advisory patching.AdvisoryID `json:"advisory"`
	Regime   string              `json:"regime"`
	Lane     urgency.Lane        `json:"lane"`
	// Due is nil where the regime gives no date; Condition says what there is instead.
	Due       *time.Time `json:"due"`
	Condition string     `json:"condition,omitempty"`
	// Clock is what started the time.
	Clock   *SheetClock `json:"clock"`
	Row     string      `json:"row"`
	Unknown []string    `json:"unknown,omitempty"`
	// Evidence is what the regime asks for beside patching.
	Evidence string `json:"evidence,omitempty"`
}

// SheetClock is an event and its time.
type SheetClock struct {
	Event urgency.Event `json:"event"`
	At    *time.Time    `json:"at"`
}

// SheetAside is a match that does not count.
type SheetAside struct {
	Package  string              `json:"package"`
	Advisory patching.AdvisoryID `json:"advisory"`
	Reason   Aside               `json:"reason"`
}

// EndOfLife is a system that gets no more fixes, or soon.
type EndOfLife struct {
	Product  string     `json:"product"`
	Release  string     `json:"release"`
	Ends     *time.Time `json:"ends"`
	Extended *time.Time `json:"extended_ends"`
	Ended    bool       `json:"ended"`
	Feed     string     `json:"feed"`
}

// BlindSpot is something that nothing is known about.
type BlindSpot struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Judgement is by what a sheet is made.
type Judgement struct {
	Regimes []urgency.Table
	Unknown urgency.Unknown
	AsOf    time.Time
}

// NewSheet assesses a machine.
func NewSheet(k Knowledge, m Machine, on patching.Asset, j Judgement) Sheet {
	order, ordered := version.OrderOf(m.ID)
	k.Risks = knownBy(k.Risks, j.AsOf)
	var streams []string
	rows := map[patching.Package][]Match{}
	// Empty, not nil: whoever reads the document need not ask.
	s := Sheet{Findings: []SheetRow{}, Aside: []SheetAside{}, EndOfLife: []EndOfLife{}, BlindSpots: []BlindSpot{}}
	for _, f := range k.Advisories.Match(m, j.AsOf) {
		switch f.Aside {
		case "":
			rows[f.Package] = append(rows[f.Package], f)
		case NotPublished: // nobody could know
		default:
			a := SheetAside{Package: f.Package.Name, Advisory: f.Advisory.ID, Reason: f.Aside}
			if !slices.Contains(s.Aside, a) {
				s.Aside = append(s.Aside, a)
			}
			if f.Aside == OtherStream && (f.Package.Module != "" || modular(f.Package.Version)) && !slices.Contains(streams, f.Package.Name) {
				streams = append(streams, f.Package.Name)
			}
		}
	}
	if len(streams) > 0 {
		s.BlindSpots = append(s.BlindSpots, BlindSpot{
			What: "packages of module streams: " + strings.Join(streams, ", "),
			Why:  "Advisories speak of them, and no feed says of which streams: updateinfo.xml does.",
		})
	}
	for _, p := range m.Packages.Packages {
		matches := Unite(rows[p])
		delete(rows, p)
		offer, offered := m.Offers[Installed{p.Name, p.Arch}]
		offered = offered && order.Older(p.Version, offer)
		if len(matches) == 0 && !offered {
			continue
		}
		if m.ID == "windows" {
			s.Findings = append(s.Findings, k.updates(p, matches, on, j)...)
			continue
		}
		row := SheetRow{Package: p.Name, Arch: p.Arch, Installed: p.Version, Fixed: highest(order, matches)}
		if offered {
			row.Candidate = &offer
		}
		k.judge(&row, matches, on, j)
		s.Findings = append(s.Findings, row)
	}
	slices.SortFunc(s.Findings, func(a, b SheetRow) int {
		return cmp.Or(strings.Compare(a.Package, b.Package), strings.Compare(a.Arch, b.Arch), strings.Compare(a.Installed, b.Installed))
	})
	switch {
	case m.ID == "":
		s.Blind = true
		s.BlindSpots = append(s.BlindSpots, BlindSpot{What: "the system", Why: "The inventory does not tell which it is, so no advisory can be matched."})
	case !ordered:
		s.Blind = true
		s.BlindSpots = append(s.BlindSpots, BlindSpot{What: m.ID + " " + m.Release, Why: "Nobody has taught us how its versions follow on each other."})
	case !k.Advisories.Covers(m.Platform):
		s.Blind = true
		s.BlindSpots = append(s.BlindSpots, BlindSpot{What: m.ID + " " + m.Release, Why: "No feed publishes advisories for it."})
	}
	s.EndOfLife = append(s.EndOfLife, EndsOf(k.Lifecycles, m.Platform, j.AsOf)...)
	return s
}

// updates are rows of Windows: each update that the vendor released for a newer build.
func (k Knowledge) updates(p patching.Package, matches []Match, on patching.Asset, j Judgement) (rows []SheetRow) {
	for _, f := range matches {
		row := SheetRow{Package: string(f.Advisory.ID), Installed: p.Version}
		if f.Fixed != "" {
			row.Fixed = &f.Fixed
		}
		k.judge(&row, []Match{f}, on, j)
		rows = append(rows, row)
	}
	return rows
}

// highest is the version that clears all; nil if one has none.
func highest(order version.Order, matches []Match) *string {
	var top *string
	for i := range matches {
		f := &matches[i].Fixed
		if *f == "" {
			return nil
		}
		if top == nil || order.Older(*top, *f) {
			top = f
		}
	}
	return top
}

// judge fills in what advisories say, and how urgent that is.
func (k Knowledge) judge(row *SheetRow, matches []Match, on patching.Asset, j Judgement) {
	row.Advisories, row.CVEs, row.Deadlines = []patching.AdvisoryID{}, []patching.CVE{}, []SheetDeadline{}
	var all []urgency.Deadline
	for _, f := range matches {
		if !slices.Contains(row.Advisories, f.Advisory.ID) {
			row.Advisories = append(row.Advisories, f.Advisory.ID)
		}
		row.CVEs = append(row.CVEs, f.CVEs...)
		if f.Fixed == "" {
			row.Unfixed = append(row.Unfixed, f.Advisory.ID)
		}
		if f.Entitlement != "" && !slices.Contains(row.Needs, f.Entitlement) {
			row.Needs = append(row.Needs, f.Entitlement)
		}
		flaw := k.weigh(f.CVEs)
		row.know(flaw)
		facts := urgency.NewFacts(on, *f.Advisory, flaw, urgency.Seen{})
		facts.NoPatch = f.Fixed == ""
		all = append(all, urgency.Judge(facts, j.Regimes, j.Unknown, j.AsOf)...)
	}
	slices.Sort(row.Advisories)
	slices.Sort(row.CVEs)
	row.CVEs = slices.Compact(row.CVEs)
	slices.SortStableFunc(all, func(a, b urgency.Deadline) int {
		return cmp.Or(strings.Compare(string(a.Advisory), string(b.Advisory)), strings.Compare(a.Regime, b.Regime))
	})
	for _, d := range all {
		row.Deadlines = append(row.Deadlines, sheetDeadline(d))
	}
	if d, ok := urgency.Binding(all); ok {
		row.Lane = &d.Lane
	}
}

func (k Knowledge) weigh(cves []patching.CVE) urgency.Flaw {
	flaws := make([]urgency.Flaw, 0, len(cves))
	for _, c := range cves {
		flaws = append(flaws, urgency.Merge(c, k.Risks[c], k.Catalogue))
	}
	return urgency.Join(flaws)
}

// know raises the row's figures to what is known of an advisory's flaws.
func (r *SheetRow) know(f urgency.Flaw) {
	if f.KEV.Known && (r.KEV == nil || f.KEV.Value) {
		r.KEV = &f.KEV.Value
	}
	if f.EPSS.Known && (r.EPSS == nil || f.EPSS.Value > *r.EPSS) {
		r.EPSS = &f.EPSS.Value
	}
	if f.CVSS.Known && (r.CVSS == nil || f.CVSS.Value.Base > *r.CVSS) {
		r.CVSS = &f.CVSS.Value.Base
	}
}

func sheetDeadline(d urgency.Deadline) SheetDeadline {
	s := SheetDeadline{
		Advisory: d.Advisory, Regime: d.Regime, Lane: d.Lane, Due: known(d.Due), Condition: d.Condition,
		Row: d.Row, Unknown: d.Unknown, Evidence: d.Evidence,
	}
	if d.Clock.What != "" {
		s.Clock = &SheetClock{Event: d.Clock.What, At: known(d.Clock.At)}
	}
	return s
}

// known is nil for a time that is not.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// soon is how long before its end a release is named.
const soon = 180 * 24 * time.Hour

// products are endoflife.date's names of systems, by the ID of os-release(5).
var products = map[string]string{
	"debian": "debian", "ubuntu": "ubuntu", "almalinux": "almalinux", "rocky": "rocky-linux", "rhel": "rhel", "centos": "centos",
	"ol": "oracle-linux", "fedora": "fedora", "sles": "sles", "opensuse-leap": "opensuse", "amzn": "amazon-linux", "macos": "macos",
}

// EndsOf are the releases of a system that are past their end, or near it.
func EndsOf(all []patching.Lifecycle, p patching.Platform, asOf time.Time) (ends []EndOfLife) {
	product := products[p.ID]
	for _, l := range all {
		if product == "" || l.Product != product || !slices.Contains(releases(p.Release), l.Release) || !l.SecurityEnded && (l.SecurityEnd.IsZero() || l.SecurityEnd.After(asOf.Add(soon))) {
			continue
		}
		ends = append(ends, EndOfLife{
			Product: l.Product, Release: l.Release, Ends: known(l.SecurityEnd), Extended: known(l.ExtendedEnd),
			Ended: l.SecurityEnded || l.SecurityEnd.Before(asOf), Feed: l.Feed,
		})
	}
	return ends
}

// codenames are the suites of Debian's and Ubuntu's releases.
var codenames = map[patching.Platform]string{
	{ID: "debian", Release: "10"}: "buster", {ID: "debian", Release: "11"}: "bullseye", {ID: "debian", Release: "12"}: "bookworm",
	{ID: "debian", Release: "13"}: "trixie", {ID: "ubuntu", Release: "18.04"}: "bionic", {ID: "ubuntu", Release: "20.04"}: "focal",
	{ID: "ubuntu", Release: "22.04"}: "jammy", {ID: "ubuntu", Release: "24.04"}: "noble",
}

// Candidates are the newest versions that indexes offer a system, of the packages that
// are installed: what apt would take where nothing is pinned. An index of another
// release's suite offers nothing; one that does not tell its suite counts. They are nil
// if no index is for the system.
func Candidates(offers []patching.Offer, on patching.Platform, set patching.PackageSet) map[Installed]string {
	if order, _ := version.OrderOf(on.ID); order != version.Debian {
		return nil
	}
	release := codenames[patching.Platform{ID: on.ID, Release: releases(on.Release)[0]}]
	by := map[string][]patching.Offer{}
	for _, o := range offers {
		if release == "" || o.Suite == "" || o.Suite == release || strings.HasPrefix(o.Suite, release+"-") {
			by[o.Name] = append(by[o.Name], o)
		}
	}
	if len(by) == 0 {
		return nil
	}
	newest := map[Installed]string{}
	for _, p := range set.Packages {
		for _, o := range by[p.Name] {
			at := Installed{p.Name, p.Arch}
			if (o.Arch == p.Arch || everywhere(o.Arch) || everywhere(p.Arch)) && (newest[at] == "" || version.Debian.Older(newest[at], o.Version)) {
				newest[at] = o.Version
			}
		}
	}
	return newest
}
