// Package report renders what measure computed about one cycle: a page for the
// change manager and the auditor, on screen and on paper, and the same as JSON.
//
// Three steps stand in three places: [Build] gathers the facts through
// [Source] and derives a [Document] from them; [Document.HTML] and
// [Document.JSON] write it down. The JSON has every machine; the page has what
// a person reads, in bounded tables that say how much they leave out.
package report

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Format names the shape of the JSON document. It grows by new fields; a change
// of meaning is a new number.
const Format = "patchcycle report v1"

// Open is what a report calls the standing of a cycle that has not closed.
const Open = "open"

// Document is all that a report says of one cycle. It is a value: nothing in it
// refers to a store or a clock.
type Document struct {
	Format string    `json:"format"`
	Made   time.Time `json:"made"`
	// Standing is [Open], or how the cycle closed.
	Standing string    `json:"standing"`
	Cycle    CycleFact `json:"cycle"`
	Summary  Summary   `json:"summary"`
	// Machines of the cycle; Outcomes add up to it.
	Total    int            `json:"machines_total"`
	Outcomes []OutcomeCount `json:"outcomes"`
	// Unconfirmed counts machines that said they are patched, which no fresh
	// inventory has confirmed: they are not counted as covered.
	Unconfirmed int `json:"unconfirmed"`
	// NotConcerned counts machines that are known but not of this cycle.
	NotConcerned int           `json:"machines_not_concerned"`
	Approval     Approval      `json:"approval"`
	Plans        []PlanFact    `json:"plans"`
	Timeline     []Event       `json:"timeline"`
	Rings        []Ring        `json:"rings"`
	Advisories   Advisories    `json:"advisories"`
	Patches      []Patch       `json:"patches"`
	Withdrawn    []Withdrawn   `json:"withdrawn"`
	Stayed       []Stayed      `json:"still_differs"`
	Failures     Failures      `json:"failures"`
	Coverage     Coverage      `json:"coverage"`
	Repairs      int           `json:"repairs"`
	Freed        int64         `json:"freed_bytes"`
	TestRing     TestRing      `json:"test_ring"`
	Tasks        []Task        `json:"tasks"`
	Corrections  []Correction  `json:"corrections"`
	Record       ChangeRecord  `json:"change_record"`
	Evidence     Evidence      `json:"evidence"`
	Machines     []Machine     `json:"machines"`
	Bundles      []BundleFacts `json:"bundles"`
	// Gaps name what the report could not read, such as a text that is not in
	// the store any more. Silence about a gap would be a lie.
	Gaps []string `json:"gaps"`
}

// CycleFact is what is on record of the cycle itself.
type CycleFact struct {
	ID            patching.CycleID     `json:"id"`
	Kind          patching.Kind        `json:"kind"`
	Policy        patching.PolicyName  `json:"policy"`
	PolicyTitle   string               `json:"policy_title,omitempty"`
	PolicyVersion patching.Digest      `json:"policy_version"`
	Shadow        bool                 `json:"shadow"`
	Author        patching.AccountName `json:"author"`
	Reason        string               `json:"reason,omitempty"`
	Opened        time.Time            `json:"opened,omitzero"`
	Closed        time.Time            `json:"closed,omitzero"`
	CloseBy       time.Time            `json:"close_by,omitzero"`
	Plan          patching.Digest      `json:"plan,omitempty"` // the one that counts
	Phase         patching.Phase       `json:"phase"`
	// Words are those that the cycle itself put on record.
	Words string `json:"words"`
}

// Summary is the report in one paragraph.
type Summary struct {
	Title string `json:"title"`
	// Sentences say what happened; Act says whether anyone must act.
	Sentences []string `json:"sentences"`
	Act       string   `json:"act"`
	MustAct   bool     `json:"must_act"`
}

// OutcomeCount is how many machines ended in one way.
type OutcomeCount struct {
	Outcome patching.Outcome `json:"outcome"` // empty: in progress
	Words   string           `json:"words"`
	Count   int              `json:"count"`
}

// Approval is who agreed to what.
type Approval struct {
	// Quorum is how many distinct people the policy asks for; 0: unknown.
	Quorum int    `json:"quorum"`
	Words  string `json:"words"`
	// Mode is that of the trust root, Trust the sentence about it.
	Mode  string `json:"mode"`
	Trust string `json:"trust"`
	Votes []Vote `json:"votes"`
	// Reviews are those of approvals by break-glass, the ones that are done too.
	Reviews []Review `json:"reviews,omitempty"`
}

// Review is that people did not wait for the usual approvers, and what somebody else
// found about it. It stays open past the close of the cycle.
type Review struct {
	Task patching.TaskID `json:"task"`
	// Words says who signed, why, and what that let through.
	Words  string                 `json:"words"`
	Signed []patching.AccountName `json:"signed"`
	Opened time.Time              `json:"opened"`
	Due    time.Time              `json:"due,omitzero"`
	Closed time.Time              `json:"closed,omitzero"` // zero: it is open
	By     patching.AccountName   `json:"by,omitempty"`
	Found  string                 `json:"found,omitempty"`
}

// Vote is what one person said of one plan, or tried to.
type Vote struct {
	At      time.Time                `json:"at"`
	Account patching.AccountName     `json:"account"`
	Roles   []patching.Role          `json:"roles,omitempty"` // held at that time
	Verdict patching.ApprovalVerdict `json:"verdict"`
	Plan    patching.Digest          `json:"plan,omitempty"`
	Via     string                   `json:"via"`
	// Key is the fingerprint of the person's own key that signed it; empty: it counts on
	// the server's word.
	Key    string `json:"key,omitempty"`
	Reason string `json:"reason,omitempty"`
	// Refused says why it does not count; empty: it counts.
	Refused string `json:"refused,omitempty"`
}

// PlanFact is one plan of the cycle.
type PlanFact struct {
	Hash     patching.Digest `json:"hash"`
	Revision int             `json:"revision"`
	Made     time.Time       `json:"made"`
	Machines int             `json:"machines"`
	LeftOut  int             `json:"left_out"`
	Counts   bool            `json:"counts"` // it is the plan that the cycle ran under last
	// Change says what differed from the plan before, Rehearsal what machines
	// answered that were asked what it would change, Forecast how it would go if
	// nothing went wrong: what people were told when they decided.
	Change    string `json:"change,omitempty"`
	Rehearsal string `json:"rehearsal,omitempty"`
	Forecast  string `json:"forecast,omitempty"`
}

// EventKind says what an entry of the timeline is about.
type EventKind string

// The kinds of entries.
const (
	EventPhase    EventKind = "phase"
	EventPlan     EventKind = "plan"
	EventGate     EventKind = "gate"
	EventPerson   EventKind = "person"
	EventReminder EventKind = "reminder"
	EventClosed   EventKind = "closed"
)

// Event is one entry of the timeline.
type Event struct {
	At   time.Time `json:"at"`
	Kind EventKind `json:"kind"`
	// What is a heading of a few words, Words the sentence.
	What  string `json:"what"`
	Words string `json:"words,omitempty"`
	// Took is how long a phase lasted.
	Took time.Duration `json:"took_ns,omitempty"`
	// waves counts the waves of a ring that an entry is about; 0: not of waves.
	waves int
	ring  string
}

// Ring is how one ring went.
type Ring struct {
	Name     patching.RingName `json:"name"`
	Machines int               `json:"machines"`
	Waves    int               `json:"waves"`
	Sites    int               `json:"sites"`
	Released int               `json:"released"`
	Answered int               `json:"answered"`
	Outcomes []OutcomeCount    `json:"outcomes"`
	Began    time.Time         `json:"began,omitzero"`
	Ended    time.Time         `json:"ended,omitzero"` // last answer
	Soak     time.Duration     `json:"soak_ns"`        // as the policy asks
	// Soaked is until when the gate had the ring watched; zero: it did not come to that.
	Soaked time.Time `json:"soaked_until,omitzero"`
	// Gate is the decision that settled the ring; nil: there is none.
	Gate *GateFact `json:"gate,omitempty"`
	// Asked counts the decisions on the ring and its waves by what they said.
	Asked map[patching.GateVerb]int `json:"asked,omitempty"`
	// Words say how it stands where no gate has spoken, and under which
	// permission it ran.
	Words string `json:"words"`
	// StandIns says why machines that the policy selects for a later ring made up
	// this one, and how many; empty: they did not.
	StandIns string `json:"stand_ins,omitempty"`
}

// GateFact is a gate's decision with what is needed to run it again.
type GateFact struct {
	At      time.Time         `json:"at"`
	Subject string            `json:"subject"` // ring or wave, as on record
	Where   string            `json:"where"`   // the same in words
	OfWave  bool              `json:"of_wave"`
	Verb    patching.GateVerb `json:"verb"`
	Words   string            `json:"words"`
	Until   time.Time         `json:"until,omitzero"`
	Rules   string            `json:"rules"`
	Params  patching.Digest   `json:"params"`
	Tally   patching.Digest   `json:"tally"`
	// Differs says in what the record differs from the decision that the same
	// numbers give today; empty: it does not.
	Differs string `json:"differs,omitempty"`
}

// Patch is one change of one package, over all machines that were to get it.
type Patch struct {
	Action      patching.Action `json:"action"`
	Package     string          `json:"package"`
	Arch        string          `json:"arch"`
	From        string          `json:"from,omitempty"`
	To          string          `json:"to,omitempty"`
	Origin      string          `json:"origin,omitempty"`
	Codename    string          `json:"codename,omitempty"`
	Security    bool            `json:"security"`
	NeedsReboot bool            `json:"needs_reboot"`
	// Machines were to get it. Verified of them have it by a fresh inventory;
	// Failed are those whose failure names it; for Machines less both nothing is
	// known for certain, or their turn did not come.
	Machines int `json:"machines"`
	Verified int `json:"verified"`
	Failed   int `json:"failed"`
}

// Withdrawn is a package that the plan lost after the test ring.
type Withdrawn struct {
	Package string   `json:"package"`
	To      []string `json:"to"`
	// Failed of Tested machines in the test ring failed with it.
	Failed int `json:"failed"`
	Tested int `json:"tested"`
	// At and Plan are when, and as which revision, the plan without it was made.
	At   time.Time `json:"at"`
	Plan int       `json:"plan_revision"`
	// Missing counts machines of the cycle that are still offered it.
	Missing int    `json:"still_missing"`
	Why     string `json:"why"`
}

// Stayed is what still differs from before on machines that were rolled back: a
// package that they have come to run, such as a kernel.
type Stayed struct {
	Package  string `json:"package"`
	Version  string `json:"version"`
	Machines int    `json:"machines"`
}

// Failures groups machines that failed.
type Failures struct {
	Machines int       `json:"machines"`
	Groups   []Failure `json:"groups"`
	// BySite, ByKind and ByCause are measure's.
	BySite  []Count  `json:"by_site"`
	ByKind  []Count  `json:"by_kind"`
	ByCause []Count  `json:"by_cause"`
	Advice  []string `json:"advice"`
	// Common says what failures had in common: of the whole cycle, then of rings
	// where something was found.
	Common []Common `json:"in_common"`
}

// Common is what the failures of a ring, or of the cycle, had in common.
type Common struct {
	Ring   patching.RingName `json:"ring,omitempty"` // empty: the whole cycle
	At     time.Time         `json:"at"`
	Tried  int               `json:"tried"`
	Failed int               `json:"failed"`
	// Rate is the error rate that it was found with.
	Rate   float64 `json:"error_rate"`
	Words  string  `json:"words"`
	Causes []Cause `json:"causes,omitempty"`
}

// Cause is something that failures had in common beyond chance.
type Cause struct {
	Kind   string         `json:"kind"`
	Name   string         `json:"name"`
	LaidTo patching.Cause `json:"laid_to"`
	// Failed of Machines in the group, OthersFailed of Others outside of it; Chance
	// is how likely that much or more is by chance.
	Failed       int      `json:"failed"`
	Machines     int      `json:"machines"`
	OthersFailed int      `json:"others_failed"`
	Others       int      `json:"others"`
	Chance       float64  `json:"chance"`
	Procedure    []string `json:"procedure"`
}

// Failure is a way to fail, with where it happened.
type Failure struct {
	Signature string          `json:"signature,omitempty"`
	Reason    patching.Reason `json:"reason"`
	Words     string          `json:"words"`
	Cause     patching.Cause  `json:"cause,omitempty"`
	Machines  int             `json:"machines"`
	Sites     []Count         `json:"sites"`
}

// Count is how many of a group failed; Of 0: of how many says nothing.
type Count struct {
	Name   string `json:"name"`
	Failed int    `json:"failed"`
	Of     int    `json:"of,omitempty"`
}

// Coverage is how soon how much of the fleet was confirmed.
type Coverage struct {
	// Managed are the machines that the cycle was to bring up to date.
	Managed int       `json:"managed"`
	Covered int       `json:"covered"`
	Reached []Reached `json:"reached"`
	// Curve has a point for each time at which Covered grew, from the opening;
	// Span is up to when it was looked at.
	Curve []CurvePoint  `json:"curve"`
	Span  time.Duration `json:"span_ns"`
}

// Reached is when a share of the managed machines was covered.
type Reached struct {
	Percent int           `json:"percent"`
	Reached bool          `json:"reached"`
	After   time.Duration `json:"after_ns,omitempty"`
}

// CurvePoint says how many machines were covered from then on.
type CurvePoint struct {
	After   time.Duration `json:"after_ns"`
	Covered int           `json:"covered"`
}

// TestRing is how much the test ring could tell.
type TestRing struct {
	Machines int    `json:"machines"`
	Answered int    `json:"answered"`
	Mirror   string `json:"mirror"` // in words
	// Chances are how likely it was to see a defect that hits a share of machines.
	Chances []Chance `json:"chances"`
	// Needed machines see a defect of 3 % with 95 %.
	Needed int `json:"needed"`
}

// Chance is a share of machines and how likely a defect of it was to show, both
// in percent.
type Chance struct {
	Defect  float64 `json:"defect_percent"`
	Percent float64 `json:"chance_percent"`
}

// Task is what needs a person.
type Task struct {
	ID       patching.TaskID      `json:"id"`
	Asset    patching.AssetID     `json:"asset"`
	Hostname string               `json:"hostname"`
	Site     patching.SiteName    `json:"site"`
	Cause    string               `json:"cause"`
	Tried    string               `json:"tried,omitempty"`
	Steps    string               `json:"steps,omitempty"`
	Owner    string               `json:"owner,omitempty"`
	Due      time.Time            `json:"due,omitzero"`
	Opened   time.Time            `json:"opened,omitzero"`
	TakenBy  patching.AccountName `json:"taken_by,omitempty"`
	State    patching.TaskState   `json:"state"`
	Closed   time.Time            `json:"closed,omitzero"`
	Note     string               `json:"note,omitempty"`
}

// Correction is an outcome that came after the server had given one.
type Correction struct {
	Asset    patching.AssetID `json:"asset"`
	Hostname string           `json:"hostname"`
	At       time.Time        `json:"at"`
	Was      patching.Outcome `json:"was"`
	WasWhy   string           `json:"was_why,omitempty"`
	Is       patching.Outcome `json:"is"`
	IsWhy    string           `json:"is_why,omitempty"`
	// Applied says that it replaced the outcome: the cycle was open. After the
	// close the outcome stays, and this stands beside it.
	Applied bool `json:"applied"`
}

// ChangeRecord is what a change-management tool asks for (G16).
type ChangeRecord struct {
	Number    patching.CycleID       `json:"number"`
	Asked     patching.AccountName   `json:"asked_by"`
	Approved  []patching.AccountName `json:"approved_by"`
	Began     time.Time              `json:"began,omitzero"` // first start permit
	Ended     time.Time              `json:"ended,omitzero"` // last answer
	Machines  int                    `json:"machines_changed"`
	Packages  int                    `json:"packages_changed"`
	BackedOut int                    `json:"machines_backed_out"`
	Way       string                 `json:"way_back"`
}

// Evidence is what an auditor checks the report against.
type Evidence struct {
	PolicyVersion patching.Digest      `json:"policy_version"`
	PolicyApplied time.Time            `json:"policy_applied,omitzero"`
	PolicyBy      patching.AccountName `json:"policy_applied_by,omitempty"`
	Plan          patching.Digest      `json:"plan"`
	// Entries of the audit chain when the report was made, the hash of the last
	// of them, and what is wrong with it; empty: it holds.
	Entries int64           `json:"audit_entries"`
	Head    patching.Digest `json:"audit_head"`
	Broken  string          `json:"audit_broken,omitempty"`
	// Decisions are all that gates said. Again of them were run again on their
	// stored inputs when the report was made, and gave the same answer.
	Decisions []GateFact `json:"decisions"`
	Again     int        `json:"decisions_run_again"`
}

// Group is the part of a report to which a machine belongs.
type Group string

// The groups; every machine is in exactly one.
const (
	GroupPatched    Group = "patched"
	GroupUpToDate   Group = "up to date"
	GroupException  Group = "exception"
	GroupLeftOut    Group = "left out"
	GroupInProgress Group = "in progress"
)

// Machine is one machine's part in the cycle.
type Machine struct {
	Asset        patching.AssetID         `json:"asset"`
	Hostname     string                   `json:"hostname"`
	Site         patching.SiteName        `json:"site"`
	OS           string                   `json:"os,omitempty"`
	Vendor       string                   `json:"vendor,omitempty"`
	Model        string                   `json:"model,omitempty"`
	Serial       string                   `json:"serial,omitempty"`
	BusinessUnit string                   `json:"business_unit,omitempty"`
	Owner        string                   `json:"owner,omitempty"`
	Kind         string                   `json:"kind,omitempty"` // stratum
	Ring         patching.RingName        `json:"ring,omitempty"`
	Group        Group                    `json:"group"`
	State        patching.DeploymentState `json:"state"`
	Outcome      patching.Outcome         `json:"outcome"`
	Words        string                   `json:"words"`
	Reason       patching.Reason          `json:"reason,omitempty"`
	Why          string                   `json:"why,omitempty"`
	// Detail is what the machine, the plan or a person added, as it came.
	Detail    string         `json:"detail,omitempty"`
	Signature string         `json:"signature,omitempty"`
	Cause     patching.Cause `json:"cause,omitempty"`
	// Before says what had gone wrong before the machine was rolled back.
	Before string `json:"before,omitempty"`
	// Hold says who keeps the machine from its patches, and until when; nil: nobody does.
	Hold     *Hold           `json:"hold,omitempty"`
	Task     patching.TaskID `json:"task,omitempty"`
	Released time.Time       `json:"start_permit,omitzero"`
	Answered time.Time       `json:"answered,omitzero"`
	Verified time.Time       `json:"verified,omitzero"`
	Repairs  int             `json:"repairs,omitempty"`
	Freed    int64           `json:"freed_bytes,omitempty"`
	// Bundle addresses what the machine got, was to get or would have got: one
	// of the document's Bundles; empty: nothing.
	Bundle patching.Digest `json:"bundle,omitempty"`
}

// Hold says who decided that a machine is not patched now, and until when.
type Hold struct {
	By    string `json:"by"`
	Until string `json:"until"`
}

// BundleFacts are the changes of one bundle.
type BundleFacts struct {
	Digest  patching.Digest `json:"digest"`
	Changes []Change        `json:"changes"`
}

// Change is one package, from which version to which.
type Change struct {
	Action   patching.Action `json:"action"`
	Package  string          `json:"package"`
	Arch     string          `json:"arch"`
	From     string          `json:"from,omitempty"`
	To       string          `json:"to,omitempty"`
	Security bool            `json:"security,omitempty"`
}
