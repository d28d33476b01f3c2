package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Cycle is the record of a cycle.
type Cycle struct {
	ID            patching.CycleID     `json:"id"`
	Kind          patching.Kind        `json:"kind" enum:"monthly,emergency"`
	Policy        patching.PolicyName  `json:"policy"`
	PolicyVersion patching.Digest      `json:"policy_version" doc:"The version that it runs under, whatever was applied since."`
	Shadow        bool                 `json:"shadow" doc:"Plans, gates and reports, but installs nothing."`
	Author        patching.AccountName `json:"author" doc:"Who started it, and cannot approve it."`
	Reason        string               `json:"reason,omitempty" doc:"Why an emergency was called."`
	Opened        time.Time            `json:"opened"`
	Closed        time.Time            `json:"closed,omitzero"`
	Phase         patching.Phase       `json:"phase"`
	Words         string               `json:"words" doc:"Where it stands, what it waits for, and whether anyone must act."`
	Plan          patching.Digest      `json:"plan,omitempty" doc:"Hash of the plan that counts."`
	ClosedAs      patching.ClosedAs    `json:"closed_as,omitempty" doc:"successful, with exceptions, backed out or cancelled."`
	Mode          string               `json:"mode" doc:"How approvals counted: dispatcher means by account, not by signature."`
	Report        string               `json:"report,omitempty" doc:"Where the server wrote the report."`
}

// Cycles is a list of them, the newest first.
type Cycles struct {
	Items []Cycle `json:"items"`
}

// CycleDetail is a cycle with its counts. Count in equals count out: in
// progress plus all outcomes are the machines.
type CycleDetail struct {
	Cycle
	Machines   int                      `json:"machines"`
	InProgress int                      `json:"in_progress"`
	Outcomes   map[patching.Outcome]int `json:"outcomes"`
	Repairs    int                      `json:"repairs"`
	FreedBytes int64                    `json:"freed_bytes" doc:"What cleaning up gave back."`
	CloseBy    time.Time                `json:"close_by,omitzero" doc:"When it closes, done or not."`
	Votes      int                      `json:"votes" doc:"Approvals that count."`
	Quorum     int                      `json:"quorum,omitempty" doc:"Approvals that are needed."`
	HeldBy     patching.AccountName     `json:"held_by,omitempty" doc:"Who paused it."`
	HeldReason string                   `json:"held_reason,omitempty"`
	Rings      []RingProgress           `json:"rings,omitempty" doc:"In the order in which they are patched."`
	Diagnoses  []Diagnosis              `json:"diagnoses,omitempty" doc:"What failures have in common: of each ring that had any, and of the whole cycle at its end."`
	Verbs      []string                 `json:"verbs" doc:"What you may do now."`
	Mark       string                   `json:"mark" doc:"Changes when anything of this does: give it as after, to wait for the next change."`
}

// RingProgress is how far a ring has come.
type RingProgress struct {
	Name     patching.RingName `json:"name"`
	Machines int               `json:"machines"`
	Ended    int               `json:"ended" doc:"Machines that have an outcome."`
	State    string            `json:"state" enum:"not begun,at work,done,halted,rolled back"`
	Words    string            `json:"words,omitempty" doc:"What its gate said last."`
}

// Diagnosis says what failures have in common.
type Diagnosis struct {
	Ring      patching.RingName `json:"ring,omitempty" doc:"Absent: of the whole cycle."`
	At        time.Time         `json:"at"`
	Tried     int               `json:"tried" doc:"Machines that were started, and whose end is known."`
	Failed    int               `json:"failed"`
	ErrorRate float64           `json:"error_rate" doc:"In what share of diagnoses, at most, anything is named where failures are random."`
	Words     string            `json:"words"`
	Causes    []FailureCause    `json:"causes,omitempty" doc:"The surest first."`
}

// FailureCause is something that failures have in common beyond chance.
type FailureCause struct {
	Kind         string         `json:"kind" doc:"relay, site, agent version, package, failing package, window rule, ring or release."`
	Name         string         `json:"name"`
	LaidTo       patching.Cause `json:"laid_to"`
	Failed       int            `json:"failed" doc:"In the group."`
	Machines     int            `json:"machines" doc:"In the group; of a failing package the failures that name any."`
	OthersFailed int            `json:"others_failed"`
	Others       int            `json:"others"`
	Chance       float64        `json:"chance" doc:"How likely that much or more is by chance, before all comparisons are allowed for."`
	Words        string         `json:"words"`
	Steps        []string       `json:"steps" doc:"What is done about it, in that order, each once: next route and wait by the machines' agents, repair and try again by the cycle, a task by a person."`
	Procedure    string         `json:"procedure" doc:"What a person does, one step a line."`
}

// StartCycle asks for a cycle now.
type StartCycle struct {
	Shadow bool `json:"shadow,omitempty" doc:"Plan, gate and report, but install nothing."`
}

// StartEmergency calls an emergency.
type StartEmergency struct {
	Slug   string `json:"slug" pattern:"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$" doc:"Its name, such as openssl-cve-2026-1234."`
	Reason string `json:"reason" minLength:"1" maxLength:"1000" doc:"Why it cannot wait."`
	Shadow bool   `json:"shadow,omitempty" doc:"Plan, gate and report, but install nothing."`
}

// Started names the cycle that was started.
type Started struct {
	Cycle   patching.CycleID `json:"cycle"`
	Request string           `json:"request" doc:"Under which the act is on record."`
	Words   string           `json:"words"`
}

// Act is what a person does to a cycle. Which of the fields a verb needs stands
// in the verb's description.
type Act struct {
	Plan       patching.Digest    `json:"plan,omitempty" doc:"Hash of the plan that is meant: agreed to is that plan and no other."`
	Reason     string             `json:"reason,omitempty" maxLength:"1000"`
	Assets     []patching.AssetID `json:"assets,omitempty" maxItems:"10000" doc:"The machines to take out."`
	Signature  string             `json:"signature,omitempty" maxLength:"16384" doc:"An approver's over the text of get-grants, as ssh-keygen -Y sign writes it."`
	BreakGlass string             `json:"break_glass,omitempty" maxLength:"1000" doc:"Why the usual approvers cannot be waited for. It is a part of the text that is signed."`
}

// Answer is what a cycle says to an act that it took.
type Answer struct {
	Words   string `json:"words"`
	Votes   int    `json:"votes" doc:"Approvals that count."`
	Quorum  int    `json:"quorum" doc:"Approvals that are needed."`
	Request string `json:"request" doc:"Under which the act is on record."`
}

// Plan holds the decisions of one cycle that stand above single machines.
type Plan struct {
	Cycle    patching.CycleID     `json:"cycle"`
	Policy   patching.PolicyName  `json:"policy"`
	Hash     patching.Digest      `json:"hash" doc:"Address of text; what people approve."`
	Counts   bool                 `json:"counts" doc:"Whether it is the plan that counts in its cycle."`
	Revision int                  `json:"revision" doc:"1 before the test ring, 2 when made again after it."`
	Shadow   bool                 `json:"shadow"`
	Author   patching.AccountName `json:"author"`
	Made     time.Time            `json:"made"`
	CloseBy  time.Time            `json:"close_by"`
	Machines int                  `json:"machines" doc:"That it would touch."`
	Rings    []PlanRing           `json:"rings"`
	Excluded []Exclusion          `json:"excluded" doc:"Machines that it leaves out, by reason."`
	Text     string               `json:"text" doc:"The text that was hashed."`
	Outlook  *Outlook             `json:"outlook,omitempty" doc:"What was computed of the plan when it was made, and what machines say of it. It names the plan and is no part of what is approved."`
}

// Outlook is what people are told beside a plan when they decide about it.
type Outlook struct {
	Mirror    Mirror     `json:"mirror"`
	Rehearsal *Rehearsal `json:"rehearsal,omitempty" doc:"What machines answered that were asked what the plan would change; none: nobody was asked yet."`
	Forecast  Forecast   `json:"forecast"`
	// Remediation is missing in plans of before patchcycle knew feeds.
	Remediation *Remediation `json:"remediation,omitempty" doc:"Which advisories the plan deals with, how urgent they are and what stays."`
	WayBack     WayBack      `json:"way_back"`
	Change      *Difference  `json:"change,omitempty" doc:"What differs from the revision before; none: it is the first."`
}

// Mirror says how well the test ring stands for all machines of a plan.
type Mirror struct {
	Words     string   `json:"words"`
	Machines  int      `json:"machines" doc:"In the test ring."`
	Of        int      `json:"of" doc:"Machines of the plan."`
	Kinds     int      `json:"kinds" doc:"Kinds of machine, by system and role, that the test ring has one of."`
	KindsOf   int      `json:"kinds_of"`
	Like      int      `json:"like" doc:"Machines of the plan that are of such a kind."`
	Untested  []string `json:"untested" doc:"Kinds that the test ring has no machine of."`
	Patches   int      `json:"patches" doc:"Distinct new versions that the test ring installs."`
	PatchesOf int      `json:"patches_of"`
}

// Rehearsal says what a plan would change, as one machine of each kind sees it.
type Rehearsal struct {
	Words      string      `json:"words"`
	Kinds      int         `json:"kinds" doc:"Kinds of machine: with the same packages, offered the same, and with the same patches to get."`
	AsPlanned  int         `json:"as_planned" doc:"Kinds on which exactly what is planned would be changed."`
	Unanswered int         `json:"unanswered" doc:"Kinds of which no machine answered, or none lets itself be asked."`
	Otherwise  []Rehearsed `json:"otherwise" doc:"Kinds on which more would be changed, or that could not tell."`
}

// Rehearsed is what one machine answered for all of its kind.
type Rehearsed struct {
	Hostname string `json:"hostname" doc:"That was asked."`
	Machines int    `json:"machines" doc:"Of its kind."`
	Words    string `json:"words"`
}

// Forecast says how a plan goes if nothing goes wrong.
type Forecast struct {
	Words string         `json:"words"`
	Rings []RingForecast `json:"rings" doc:"Those that had not begun when the plan was made."`
	End   time.Time      `json:"end,omitzero" doc:"When the last soak is over."`
	Fits  bool           `json:"fits" doc:"Whether that is before the cycle closes."`
}

// RingForecast is when a ring is at work, at the earliest; the time that people
// take to approve is not in it.
type RingForecast struct {
	Name     patching.RingName `json:"name"`
	Machines int               `json:"machines"`
	Waves    int               `json:"waves"`
	Begin    time.Time         `json:"begin" doc:"Its first window."`
	End      time.Time         `json:"end" doc:"Its last answers."`
	Soaked   time.Time         `json:"soaked" doc:"When the next ring may begin."`
}

// Difference counts what changed from one plan to the next.
type Difference struct {
	Words     string      `json:"words"`
	Stay      int         `json:"stay" doc:"Machines that both plans patch."`
	Ring      int         `json:"other_ring" doc:"Of them, those in another ring."`
	Patches   int         `json:"other_patches" doc:"Of them, those that get other patches."`
	Time      int         `json:"other_time" doc:"Of them, those that have another time."`
	Enter     int         `json:"enter" doc:"Machines that only the new plan patches."`
	Leave     []Exclusion `json:"leave" doc:"Machines that only the plan before would patch, by the reason why."`
	Withdrawn []string    `json:"withdrawn" doc:"Packages that were taken out."`
}

// PlanRing is one ring of a plan, in the order in which rings are patched.
type PlanRing struct {
	Name     patching.RingName `json:"name"`
	Machines int               `json:"machines"`
	Waves    []Wave            `json:"waves" doc:"By start; at most 200."`
	StandIns string            `json:"stand_ins,omitempty" doc:"Why machines that the policy selects for a later ring make up this one, and how many."`
}

// Wave is the machines of a ring that share a site and a window.
type Wave struct {
	ID       patching.WaveID   `json:"id"`
	Site     patching.SiteName `json:"site"`
	Window   string            `json:"window"`
	Start    time.Time         `json:"start"`
	End      time.Time         `json:"end"`
	Machines int               `json:"machines"`
}

// WayBack says of a plan how its machines return to their earlier versions.
type WayBack struct {
	Words    string    `json:"words"`
	Machines int       `json:"machines" doc:"That can be returned automatically."`
	Stuck    int       `json:"stuck" doc:"That cannot: a named procedure says what to do."`
	Stays    []Staying `json:"stays" doc:"What stays on the machines that have come to run it."`
}

// Staying is a package that going back may leave in place.
type Staying struct {
	Package  string `json:"package"`
	Version  string `json:"version"`
	Machines int    `json:"machines" doc:"That get it."`
}

// Exclusion counts the machines that a plan leaves out for one reason.
type Exclusion struct {
	Reason   patching.Reason `json:"reason"`
	Words    string          `json:"words"`
	Machines int             `json:"machines"`
}

// Deployment is how one machine fares in one cycle.
type Deployment struct {
	Cycle    patching.CycleID         `json:"cycle"`
	Asset    patching.AssetID         `json:"asset"`
	Hostname string                   `json:"hostname,omitempty"`
	Site     patching.SiteName        `json:"site"`
	Ring     patching.RingName        `json:"ring,omitempty" doc:"None: the plan leaves it out."`
	Wave     patching.WaveID          `json:"wave,omitempty"`
	Start    time.Time                `json:"start,omitzero" doc:"When its window opens."`
	End      time.Time                `json:"end,omitzero"`
	State    patching.DeploymentState `json:"state" enum:"planned,staged,released,started,done"`
	Outcome  patching.Outcome         `json:"outcome,omitempty"`
	Words    string                   `json:"words" doc:"The outcome for people."`
	Reason   patching.Reason          `json:"reason,omitempty"`
	Why      string                   `json:"why,omitempty" doc:"The reason for people, with who and until when."`
	Released time.Time                `json:"released,omitzero" doc:"When it got its start permit."`
	Answered time.Time                `json:"answered,omitzero" doc:"When its final answer came."`
	Verified time.Time                `json:"verified,omitzero" doc:"When a fresh inventory confirmed it."`
	Repairs  int                      `json:"repairs,omitempty"`
}

// DeploymentPage is a part of the list, by machine.
type DeploymentPage struct {
	Items []Deployment     `json:"items"`
	Next  patching.AssetID `json:"next,omitempty" doc:"Where the list goes on: give it as after."`
}

// MachineRecord follows one machine through one cycle, from what it missed to
// the proof that it was patched.
type MachineRecord struct {
	Deployment
	Steps      []Step    `json:"steps" doc:"What is, or would have been, installed, in order."`
	Reversible bool      `json:"reversible" doc:"Whether it can be undone automatically."`
	Stays      []string  `json:"stays,omitempty" doc:"Packages that going back leaves in place once the machine runs them."`
	Would      bool      `json:"would,omitempty" doc:"The steps are what it would have got: the plan leaves it out."`
	Receipts   []Receipt `json:"receipts" doc:"What the machine said, signed by its key."`
	Tasks      []Task    `json:"tasks,omitempty"`
}

// Step is installed in one go, checked, and only then followed by the next.
type Step struct {
	Restart bool    `json:"restart" doc:"The machine restarts after it."`
	Patches []Patch `json:"patches"`
}

// Patch is an operation on one package.
type Patch struct {
	Action   patching.Action `json:"action" enum:"install,upgrade,downgrade,remove"`
	Name     string          `json:"name"`
	Arch     string          `json:"arch"`
	From     string          `json:"from,omitempty"`
	To       string          `json:"to,omitempty"`
	Origin   string          `json:"origin,omitempty"`
	Security bool            `json:"security"`
}

// Receipt is what a machine says happened.
type Receipt struct {
	Stage     patching.Stage   `json:"stage"`
	At        time.Time        `json:"at" doc:"By the machine's own clock."`
	Order     patching.OrderID `json:"order" doc:"The instruction that it is about."`
	Outcome   patching.Outcome `json:"outcome,omitempty"`
	Reason    patching.Reason  `json:"reason,omitempty"`
	Detail    string           `json:"detail,omitempty"`
	Changes   []Change         `json:"changes,omitempty"`
	Repairs   int              `json:"repairs,omitempty"`
	Signature string           `json:"signature,omitempty" doc:"Groups failures that look alike."`
}

// Change is one package before and after.
type Change struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Decision is what a gate said, with all that is needed to run it again.
type Decision struct {
	Subject string            `json:"subject" doc:"The ring or wave that it is about."`
	Verb    patching.GateVerb `json:"verb" enum:"proceed,wait,halt"`
	Why     string            `json:"why"`
	Until   time.Time         `json:"until,omitzero"`
	At      time.Time         `json:"at"`
	Gate    string            `json:"gate" doc:"The rules and their version."`
	Params  string            `json:"params" doc:"What it was given, as it was hashed."`
	Tally   string            `json:"tally" doc:"What it saw, as it was hashed."`
}

// Decisions is a list of them, the oldest first.
type Decisions struct {
	Items []Decision `json:"items"`
}

// Approval is somebody's vote on a plan.
type Approval struct {
	Account patching.AccountName     `json:"account"`
	Verdict patching.ApprovalVerdict `json:"verdict" enum:"approve,reject,send-back"`
	Plan    patching.Digest          `json:"plan"`
	Reason  string                   `json:"reason,omitempty"`
	Via     string                   `json:"via" doc:"api, or signal."`
	At      time.Time                `json:"at"`
	Counts  bool                     `json:"counts"`
	Refused string                   `json:"refused,omitempty" doc:"Why it does not count."`
	Key     string                   `json:"key,omitempty" doc:"Fingerprint of the person's own key that signed it; none: it counts on the server's word."`
	Paper   patching.Digest          `json:"paper,omitempty" doc:"What was signed."`
}

// Approvals is a list of them, the oldest first; those that do not count too.
type Approvals struct {
	Items []Approval `json:"items"`
}
