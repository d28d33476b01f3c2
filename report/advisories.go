package report

import (
	"slices"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Advisories say what the cycle was for, and how much of it has become true: what the
// first plan found on the machines, and what they still have by their last inventory.
type Advisories struct {
	// AsOf is when the first plan was judged, Looked when the machines were looked at
	// again; zero: not.
	AsOf   time.Time `json:"as_of,omitzero"`
	Looked time.Time `json:"looked,omitzero"`
	Words  string    `json:"words"`
	// Proposed is why an emergency was proposed beside the plan; empty: none was.
	Proposed string        `json:"proposed_emergency,omitempty"`
	Regimes  []string      `json:"regimes"`
	Warnings []string      `json:"warnings"`
	Feeds    []AdvisedBy   `json:"feeds"`
	Rows     []Advised     `json:"rows"`
	More     int           `json:"not_listed"`
	Blind    []UnseenThing `json:"blind_spots"`
	Ends     []EndingThing `json:"end_of_life"`
	// Review are people's decisions that have to be looked at again, by the first plan.
	Review     []ToReview `json:"to_review"`
	MoreReview int        `json:"to_review_not_listed"`
}

// ToReview is a decision that has to be looked at again, and why.
type ToReview struct {
	ID    patching.DecisionID `json:"id"`
	Kind  string              `json:"kind"`
	About string              `json:"about"`
	Owner string              `json:"owner"`
	Why   patching.AgendaWhy  `json:"why"`
	At    time.Time           `json:"at"`
}

// AdvisedBy is a feed that the plan rested on.
type AdvisedBy struct {
	Name     patching.FeedName `json:"name"`
	Revision string            `json:"revision,omitempty"`
	Age      time.Duration     `json:"age_ns"`
	Records  int               `json:"records"`
	Stale    bool              `json:"stale"`
	Trouble  string            `json:"trouble,omitempty"`
}

// Advised is an advisory and the machines that had it. What is not known is null.
type Advised struct {
	Advisory  patching.AdvisoryID `json:"advisory"`
	Feed      string              `json:"feed"`
	Title     string              `json:"title,omitempty"`
	CVEs      []patching.CVE      `json:"cves"`
	KEV       *bool               `json:"kev"`
	EPSS      *float64            `json:"epss"`
	CVSS      *float64            `json:"cvss"`
	Lane      *urgency.Lane       `json:"lane"`
	Due       *time.Time          `json:"due"`
	Condition string              `json:"condition,omitempty"`
	Regime    string              `json:"regime,omitempty"`
	// Decided are people's decisions about it, with where they hold. HoldsLane and HoldsDue
	// are what holds by them where it is the most urgent; null: nothing was decided.
	Decided   []string      `json:"decided"`
	HoldsLane *urgency.Lane `json:"holds_lane"`
	HoldsDue  *time.Time    `json:"holds_due"`
	Packages  []string      `json:"packages"`
	// Had are machines that had it when the first plan was made, Planned those of them
	// that a plan was to rid of it. Have are those of the cycle that have it still, and
	// Overdue those of them whose due date is over, and Accepted those of the overdue for which
	// a person took that upon themselves; null: nobody has looked.
	Had      int  `json:"had"`
	Planned  int  `json:"planned"`
	Have     *int `json:"have"`
	Overdue  *int `json:"overdue"`
	Accepted *int `json:"overdue_accepted"`
}

// UnseenThing is what was not known of machines.
type UnseenThing struct {
	assess.BlindSpot
	Machines int      `json:"machines"`
	Owners   []string `json:"owners"`
}

// EndingThing is support that ends of what runs on machines.
type EndingThing struct {
	Product  string     `json:"product"`
	Release  string     `json:"release"`
	Ends     *time.Time `json:"ends"`
	Ended    bool       `json:"ended"`
	Machines int        `json:"machines"`
}

// advisories joins the first plan's remediation with how the machines stand.
func (f *facts) advisories() Advisories {
	r, ok := f.remediation()
	if !ok {
		return Advisories{Words: "No plan of this cycle was judged by advisories."}
	}
	a := Advisories{
		AsOf: r.AsOf, Words: r.Words(), Proposed: r.Proposes(), Regimes: r.Regimes, Warnings: r.Warnings(), More: r.More,
	}
	if f.standing != nil {
		a.Looked = f.standing.AsOf
	}
	for _, s := range r.Feeds {
		a.Feeds = append(a.Feeds, AdvisedBy{s.Name, s.Revision, s.Age, s.Records, s.Stale, s.Trouble})
	}
	for i := range r.Remedies {
		a.Rows = append(a.Rows, f.advised(&r.Remedies[i]))
	}
	for _, b := range r.Blind {
		a.Blind = append(a.Blind, UnseenThing{b.BlindSpot, b.Machines, b.Owners})
	}
	for _, e := range r.Ends {
		a.Ends = append(a.Ends, EndingThing{e.Product, e.Release, e.Ends, e.Ended, e.Machines})
	}
	for _, i := range r.Review {
		a.Review = append(a.Review, ToReview{i.ID, i.Kind, i.Words(), i.Owner, i.Why, i.At})
	}
	a.MoreReview = r.MoreReview
	return a
}

// remediation is that of the first plan that was judged: later ones count the machines
// that the test ring has patched no more.
func (f *facts) remediation() (plan.Remediation, bool) {
	for _, p := range f.plans {
		if look := f.outlooks[p.Hash()]; !look.Remediation.AsOf.IsZero() {
			return look.Remediation, true
		}
	}
	return plan.Remediation{}, false
}

func (f *facts) advised(r *plan.Remedy) Advised {
	a := Advised{
		Advisory: r.Advisory, Feed: r.Feed, Title: r.Title, CVEs: r.CVEs, KEV: r.KEV, EPSS: r.EPSS, CVSS: r.CVSS,
		Had: r.Clears + r.Stay(), Planned: r.Clears,
	}
	fill(&a.CVEs)
	fill(&a.Packages)
	fill(&a.Decided)
	for _, d := range r.Decided {
		a.Decided = append(a.Decided, d.Words())
	}
	if h := r.Holds; h != nil {
		a.HoldsLane = &h.Lane
		if !h.Due.IsZero() {
			a.HoldsDue = &h.Due
		}
	}
	for _, p := range r.By {
		a.Packages = append(a.Packages, p.Package+" "+p.Version)
	}
	if d := r.Deadline; d != nil {
		a.Lane, a.Regime, a.Condition = &d.Lane, d.Regime, d.Condition
		if !d.Due.IsZero() {
			a.Due = &d.Due
		}
	}
	if f.standing != nil && !slices.Contains(f.standing.Unknown, r.Advisory) {
		have, overdue, accepted := f.standing.Has[r.Advisory], f.standing.Overdue[r.Advisory], f.standing.Accepted[r.Advisory]
		a.Have, a.Overdue, a.Accepted = &have, &overdue, &accepted
	}
	return a
}

// said is what the summary says of advisories; empty: nothing.
func (a Advisories) said() string {
	if len(a.Rows) == 0 || a.Looked.IsZero() {
		return ""
	}
	gone, overdue, unknown := 0, 0, 0
	for _, r := range a.Rows {
		switch {
		case r.Have == nil:
			unknown++
		case *r.Have == 0:
			gone++
		case *r.Overdue > 0:
			overdue++
		}
	}
	words := "Of " + phrase.Count(len(a.Rows), "advisory", "advisories") + " that its machines had, "
	if a.More > 0 {
		words = "Of the " + phrase.Count(len(a.Rows), "most urgent advisory", "most urgent advisories") + " that its machines had, "
	}
	left := len(a.Rows) - gone - unknown
	switch {
	case unknown == len(a.Rows):
		return words + "nothing is known any more: no source has them"
	case left == 0:
		words += "none is left on any"
	case gone == 0:
		words += "none is gone from all of them"
	default:
		words += isAre(gone) + " gone from all of them, and " + isAre(left) + " left on some"
	}
	if overdue > 0 {
		words += ", " + number(overdue) + " of them past the due date"
	}
	if unknown > 0 {
		words += "; of " + number(unknown) + " it is not known, as no source has them any more"
	}
	return words
}

func isAre(n int) string {
	if n == 1 {
		return "1 is"
	}
	return number(n) + " are"
}

// InKEV is yes, no, or nothing where it is not known.
func (a Advised) InKEV() string {
	switch {
	case a.KEV == nil:
		return ""
	case *a.KEV:
		return "yes"
	}
	return "no"
}

// Late are the machines whose due date is over.
func (a Advised) Late() int {
	if a.Overdue == nil {
		return 0
	}
	return *a.Overdue
}

// TakenOn are those of them for which a person took that upon themselves.
func (a Advised) TakenOn() int {
	if a.Accepted == nil {
		return 0
	}
	return *a.Accepted
}

// cveWords names a few flaws and counts the others.
func cveWords(cves []patching.CVE) string { return phrase.Few(cves, 6) }

// scoreWords is a score to so many digits; nothing where it is not known.
func scoreWords(v *float64, digits int) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'f', digits, 64)
}
