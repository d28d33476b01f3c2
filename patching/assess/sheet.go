package assess

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
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

// SheetRow is a package that could be newer, or that an advisory is about; of Windows,
// an update.
type SheetRow struct {
	Package   string `json:"package"`
	Arch      string `json:"arch,omitempty"`
	Installed string `json:"installed"`
	// Candidate is what the machine can be given now.
	Candidate *string `json:"candidate"`
	// Fixed is the lowest version that clears all, where advisories are about source
	// packages in the source's own versions; nil: one of them has no fix yet, or there
	// are none.
	Fixed      *string               `json:"fixed"`
	Advisories []patching.AdvisoryID `json:"advisories"`
	CVEs       []patching.CVE        `json:"cves"`
	KEV        *bool                 `json:"kev"`
	EPSS       *float64              `json:"epss"`
	CVSS       *float64              `json:"cvss"`
	// Lane and Due are those of the deadline that binds, see [urgency.Binding].
	Lane      *urgency.Lane   `json:"lane"`
	Due       *time.Time      `json:"due"`
	Deadlines []SheetDeadline `json:"deadlines"`
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
	// Packages are those that it is about, sorted, where it is about some only.
	Packages []string `json:"packages,omitempty"`
}

// Words name it to people.
func (b BlindSpot) Words() string {
	if len(b.Packages) == 0 {
		return b.What
	}
	return b.What + ": " + phrase.Few(b.Packages, 10)
}

// Judgement is by what a sheet is made.
type Judgement struct {
	Regimes []urgency.Table
	Unknown urgency.Unknown
	AsOf    time.Time
}

// NewSheet assesses a machine. Whoever assesses many makes an [Assessor].
func NewSheet(k Knowledge, m Machine, on patching.Asset, j Judgement) Sheet {
	return NewAssessor(k, j).Kind(m).Sheet(on)
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

func (k Knowledge) weigh(cves []patching.CVE, asOf time.Time) urgency.Flaw {
	flaws := make([]urgency.Flaw, 0, len(cves))
	for _, c := range cves {
		flaws = append(flaws, urgency.Merge(c, knownBy(k.Risks[c], asOf), k.Catalogue))
	}
	return urgency.Join(flaws)
}

// knownBy leaves out what was known of a flaw only after a time.
func knownBy(risks []patching.Risk, asOf time.Time) []patching.Risk {
	by := slices.Clone(risks)
	for i := range by {
		r := &by[i]
		if r.Exploited != nil && r.Exploited.Added.After(asOf) {
			r.Exploited = nil
		}
		if r.EPSS != nil && r.EPSS.Date.After(asOf) {
			r.EPSS = nil
		}
		if r.SSVC != nil && r.SSVC.At.After(asOf) {
			r.SSVC = nil
		}
	}
	return by
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
