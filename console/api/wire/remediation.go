package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Remediation says why a plan is made: which advisories it deals with, how urgent they
// are, and what stays. What is not known is null.
type Remediation struct {
	Words     string          `json:"words"`
	Proposes  string          `json:"proposes_emergency,omitempty" doc:"Why an emergency is proposed; none: it is not."`
	AsOf      time.Time       `json:"as_of"`
	Regimes   []string        `json:"regimes" doc:"The decision tables and their versions."`
	Unknown   urgency.Unknown `json:"unknown" doc:"What counts where a fact is not known."`
	Feeds     []PlanFeed      `json:"feeds"`
	Remedies  []Remedy        `json:"advisories" doc:"The most urgent first."`
	More      int             `json:"advisories_not_listed"`
	Cleared   int             `json:"cleared" doc:"Advisories that the plan clears on all machines that have them."`
	Staying   int             `json:"staying" doc:"Advisories that stay on some machines."`
	Late      int             `json:"late" doc:"Advisories that cannot wait for the plan."`
	CVEs      int             `json:"cves"`
	Exploited int             `json:"known_exploited"`
	Machines  int             `json:"machines" doc:"That were assessed."`
	Unexposed int             `json:"exposure_unknown" doc:"Of them, those of which nobody said from where they can be reached."`
	Lanes     []LaneCount     `json:"lanes" doc:"Machines by the most urgent thing that they have."`
	Blind     []Blindness     `json:"blind_spots"`
	Ends      []SupportEnd    `json:"end_of_life"`
	Warnings  []string        `json:"warnings"`
	Review    []ToReview      `json:"to_review" doc:"Decisions of people about these machines that have to be looked at again."`
	Unlisted  int             `json:"to_review_not_listed"`
}

// ToReview is a decision that has to be looked at again.
type ToReview struct {
	ID    patching.DecisionID `json:"id"`
	Kind  string              `json:"kind" enum:"review,exception,work-around"`
	About string              `json:"about" doc:"Its subject, in words."`
	Owner string              `json:"owner"`
	Why   patching.AgendaWhy  `json:"why" doc:"For instance expired, or review due."`
	At    time.Time           `json:"at" doc:"When that was, or will be, the case."`
}

// DecidedOn is a decision of a person about an advisory, and on how many machines it holds.
type DecidedOn struct {
	ID       patching.DecisionID  `json:"id"`
	Answer   patching.Answer      `json:"answer,omitempty" doc:"Of a review; none: it is an exception."`
	By       patching.AccountName `json:"by"`
	Role     patching.Role        `json:"role"`
	Owner    string               `json:"owner,omitempty" doc:"Of an exception."`
	Until    time.Time            `json:"until"`
	Words    string               `json:"words"`
	Machines int                  `json:"machines"`
	Overdue  int                  `json:"accepted_overdue" doc:"Of them, those on which the regimes' date is over."`
}

// Remedy is an advisory that machines have, and what the plan does about it.
type Remedy struct {
	Advisory  patching.AdvisoryID `json:"advisory"`
	Feed      string              `json:"feed"`
	Title     string              `json:"title,omitempty"`
	Severity  string              `json:"severity,omitempty" doc:"The publisher's own word."`
	CVEs      []patching.CVE      `json:"cves"`
	KEV       *bool               `json:"kev" doc:"Whether one of its flaws is in CISA's catalogue of known exploited ones."`
	EPSS      *float64            `json:"epss"`
	CVSS      *float64            `json:"cvss"`
	Lane      *urgency.Lane       `json:"lane"`
	Due       *time.Time          `json:"due"`
	Condition string              `json:"condition,omitempty" doc:"What the regime says instead of a date."`
	Regime    string              `json:"regime,omitempty" doc:"Whose deadline binds."`
	Row       string              `json:"row,omitempty" doc:"Of its decision table."`
	Clock     urgency.Event       `json:"clock,omitempty" doc:"What started the time."`
	ClockAt   *time.Time          `json:"clock_at,omitempty"`
	HoldsLane *urgency.Lane       `json:"holds_lane" doc:"The lane that holds by people's decisions, where it is the most urgent; null: nobody decided anything."`
	HoldsDue  *time.Time          `json:"holds_due"`
	Decided   []DecidedOn         `json:"decided" doc:"What people decided about it, those on most machines first."`
	MoreRuled int                 `json:"decided_not_listed"`
	By        []RemedyPatch       `json:"by" doc:"The patches that clear it."`
	Clears    int                 `json:"clears" doc:"Machines that the plan rids of it."`
	Late      int                 `json:"late" doc:"Of them, those that it reaches too late."`
	Stays     []StayCount         `json:"stays" doc:"Machines that keep it, by why."`
}

// RemedyPatch is a version of a package, and how many machines get it.
type RemedyPatch struct {
	Package  string `json:"package"`
	Version  string `json:"version"`
	Machines int    `json:"machines"`
}

// StayCount is how many machines keep what an advisory is about, and why.
type StayCount struct {
	Why      string `json:"why"`
	Machines int    `json:"machines"`
}

// LaneCount is how many machines have a lane as their most urgent.
type LaneCount struct {
	Lane     urgency.Lane `json:"lane"`
	Machines int          `json:"machines"`
}

// PlanFeed is how a feed stood when a plan was made that rests on it.
type PlanFeed struct {
	Name     patching.FeedName `json:"name"`
	Owner    string            `json:"owner,omitempty"`
	Revision string            `json:"revision,omitempty"`
	Made     *time.Time        `json:"made" doc:"By the publisher."`
	Age      int64             `json:"age_seconds" doc:"Since it was last known to be the newest."`
	Records  int               `json:"records"`
	Stale    bool              `json:"stale"`
	Trouble  string            `json:"trouble,omitempty"`
}

// Blindness is what is not known of machines, and whose they are.
type Blindness struct {
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Packages []string `json:"packages,omitempty" doc:"Those that it is about, the first hundred."`
	Machines int      `json:"machines"`
	Owners   []string `json:"owners"`
}

// SupportEnd is the end of support of what runs on machines.
type SupportEnd struct {
	Product  string     `json:"product"`
	Release  string     `json:"release"`
	Ends     *time.Time `json:"ends"`
	Extended *time.Time `json:"extended_ends"`
	Ended    bool       `json:"ended"`
	Feed     string     `json:"feed"`
	Machines int        `json:"machines"`
	Owners   []string   `json:"owners"`
}

// Findings are what a machine misses, which advisories that is about, and until when it
// has to be patched. What is not known is null.
type Findings struct {
	Asset    patching.AssetID `json:"asset"`
	Hostname string           `json:"hostname"`
	Owner    string           `json:"owner,omitempty" doc:"Whose the machine is, and what is not known of it."`
	assess.Sheet
	Feeds []PlanFeed `json:"feeds"`
}

// Urgency is what a policy's machines miss, and how urgent that is for the cycle that
// comes next.
type Urgency struct {
	Remediation Remediation      `json:"remediation"`
	Next        time.Time        `json:"next_cycle"`
	Running     patching.CycleID `json:"running_cycle,omitempty" doc:"The monthly cycle that is open: its plan says what it does, and nothing is proposed beside it."`
}
