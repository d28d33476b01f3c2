package contract

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// The activities of a cycle, in the order of its story.
var (
	OpenCycle     = Activity[OpenCycleIn, OpenCycleOut]{"OpenCycle", Quick}
	SaveState     = Activity[SaveStateIn, None]{"SaveState", Quick}
	SyncFeeds     = Activity[SyncFeedsIn, SyncFeedsOut]{"SyncFeeds", Bulk}
	AskInventory  = Activity[AskInventoryIn, Asked]{"AskInventory", Bulk}
	Assess        = Activity[AssessIn, AssessOut]{"Assess", Bulk}
	MakePlan      = Activity[MakePlanIn, PlanSummary]{"MakePlan", Bulk}
	Reschedule    = Activity[MakePlanIn, None]{"Reschedule", Bulk}
	Rehearse      = Activity[RehearseIn, Asked]{"Rehearse", Bulk}
	NoteRehearsal = Activity[RehearseIn, NoteRehearsalOut]{"NoteRehearsal", Bulk}
	VerifyAct     = Activity[VerifyActIn, VerifyActOut]{"VerifyAct", Quick}
	ApplyAmend    = Activity[AmendIn, AmendOut]{"ApplyAmend", Bulk}
	AdmitMachines = Activity[AdmitIn, AdmitOut]{"AdmitMachines", Bulk}
	CheckGrants   = Activity[CheckGrantsIn, CheckGrantsOut]{"CheckGrants", Bulk}
	Remind        = Activity[RemindIn, None]{"Remind", Quick}

	ListWaves   = Activity[ListWavesIn, []patching.WaveSummary]{"ListWaves", Quick}
	StageWave   = Activity[StageWaveIn, StageWaveOut]{"StageWave", Bulk}
	Release     = Activity[ReleaseIn, ReleaseOut]{"Release", Bulk}
	AwaitTally  = Activity[AwaitTallyIn, Tallies]{"AwaitTally", Waiting}
	ReadTally   = Activity[SliceIn, patching.Tally]{"ReadTally", Bulk}
	EndSlice    = Activity[EndSliceIn, int]{"EndSlice", Bulk}
	NoteGate    = Activity[NoteGateIn, None]{"NoteGate", Quick}
	Diagnose    = Activity[SliceIn, DiagnoseOut]{"Diagnose", Bulk}
	Mend        = Activity[SliceIn, MendOut]{"Mend", Bulk}
	TryAgain    = Activity[SliceIn, ReleaseOut]{"TryAgain", Bulk}
	Campaign    = Activity[CampaignIn, Asked]{"Campaign", Bulk}
	AwaitOrders = Activity[AwaitOrdersIn, Asked]{"AwaitOrders", Waiting}
	JudgeRing   = Activity[SliceIn, JudgeOut]{"JudgeRing", Bulk}

	MakeReport = Activity[MakeReportIn, MakeReportOut]{"MakeReport", Bulk}
	CloseCycle = Activity[CloseCycleIn, CloseCycleOut]{"CloseCycle", Bulk}

	StartDue = Activity[TriggerInput, StartDueOut]{"StartDue", Quick}
)

// None is the result of an activity that has none.
type None struct{}

// OpenCycleIn opens the cycle's record.
type OpenCycleIn struct{ State CycleState }

// OpenCycleOut is what the policy in force says.
type OpenCycleOut struct {
	PolicyVersion patching.Digest
	Rules         CycleRules
	Opened        time.Time
	CloseBy       time.Time
	Epoch         int64
}

// SaveStateIn keeps the state in the store, with the words that explain it.
type SaveStateIn struct {
	State CycleState
	Words string
}

// SyncFeedsIn brings the feeds up to date that a cycle rests on.
type SyncFeedsIn struct{ Cycle patching.CycleID }

// SyncFeedsOut counts the feeds by how that ended. What did not come holds no cycle up:
// the plan names what is stale.
type SyncFeedsOut struct {
	New, Unchanged, Refused, Failed int
	// Words are the reasons of what was refused or did not come.
	Words []string
}

// AskInventoryIn asks every machine of the policy for a fresh inventory.
type AskInventoryIn struct {
	Cycle  patching.CycleID
	Policy patching.PolicyName
	// Version is the policy's; what it does not select is not asked.
	Version patching.Digest
}

// Asked counts a question put to many machines.
type Asked struct {
	Asked    int
	Answered int
	// Freed is what cleaning up gave back, in bytes.
	Freed int64
}

// AssessIn asks what every machine misses.
type AssessIn struct {
	Cycle   patching.CycleID
	Version patching.Digest
}

// AssessOut counts what is missing.
type AssessOut struct {
	Machines int // that the policy selects
	Sets     int // distinct pairs of package set and candidate set
	Missing  int // machines that miss something
	Patches  int // distinct patches
	Security int // of them, security updates
	Stale    int // machines without a fresh inventory
	// Blind says in words what no source covers.
	Blind []string
}

// MakePlanIn asks for a plan. Once a ring has begun it is made again from the same
// inputs less what failed: it may only shrink.
type MakePlanIn struct {
	State    CycleState
	Revision int
}

// RehearseIn names the plan of which one machine of each kind is asked what it
// would change there.
type RehearseIn struct {
	Cycle    patching.CycleID
	Plan     patching.Digest
	Revision int
	Until    time.Time
}

// NoteRehearsalOut is what they answered, for people.
type NoteRehearsalOut struct{ Words string }

// VerifyActIn asks who sent something and whether it counts.
type VerifyActIn struct {
	Cycle  patching.CycleID
	Policy patching.PolicyName
	Author patching.AccountName
	Verb   Verb
	Act    Act
	// Run and Ordinal find a signal in history: the n-th of its name, from 1, in
	// that run. Ordinal 0: an update, Act.Request names the sender.
	Run     string
	Ordinal int
	// TrustSignals is the policy's.
	TrustSignals bool
	// Counted are the people whose votes count already.
	Counted []patching.AccountName
	// Admitted are the people who brought machines in.
	Admitted []patching.AccountName `json:",omitempty"`
	// Rings are those that an approval is for.
	Rings []patching.RingName `json:",omitempty"`
}

// VerifyActOut is the sender and, if it does not count, why in words.
type VerifyActOut struct {
	Account patching.AccountName
	Via     string
	At      time.Time
	Refused string
	// NotNow says that it is refused for how the cycle stands, not for who sent it.
	NotNow bool
	// Of an approval that was signed: by whom in the account's name, with which key and
	// under which paper, how many people count by now, and how many it takes.
	By              patching.AccountName `json:",omitempty"`
	Key             string               `json:",omitempty"`
	Paper           patching.Digest      `json:",omitempty"`
	Persons, Quorum int                  `json:",omitempty"`
}

// CheckGrantsIn asks for which rings what people have signed still counts.
type CheckGrantsIn struct{ Cycle patching.CycleID }

// CheckGrantsOut lists the rings that nothing holds for: machines in mode grants would
// refuse their orders. None is listed where approvals need no signature.
type CheckGrantsOut struct{ Lapsed []Lapse }

// Lapse is that nothing which was signed holds for a ring, and why.
type Lapse struct {
	Ring patching.RingName
	Why  string
}

// AmendIn takes machines out.
type AmendIn struct {
	Cycle  patching.CycleID
	Assets []patching.AssetID
	By     patching.AccountName
	Why    string
}

// AmendOut says how many left, and in words why others could not.
type AmendOut struct {
	Removed int
	Words   string
}

// AdmitIn brings machines in.
type AdmitIn struct {
	State  CycleState
	Assets []patching.AssetID
	By     patching.AccountName
	Why    string
}

// AdmitOut says how many came in by which plan, and in words why others did not. Where
// none came in, the plan is as it was.
type AdmitOut struct {
	Plan     PlanSummary
	Admitted int
	Words    string
}

// RemindIn reminds or escalates.
type RemindIn struct {
	Cycle    patching.CycleID
	Words    string
	Escalate bool
}

// ListWavesIn pages through a ring's waves.
type ListWavesIn struct {
	Cycle  patching.CycleID
	Ring   patching.RingName
	Offset int
	Limit  int
}

// StageWaveIn issues the wave's orders.
type StageWaveIn struct{ Wave WaveInput }

// StageWaveOut says how many machines have an order, and how many batches an
// earlier run of the wave has already released.
type StageWaveOut struct {
	Staged   int
	Released int
	Batches  int
}

// ReleaseIn gives the start permit to the next batch. The same batch number
// again releases the same machines.
type ReleaseIn struct {
	Cycle patching.CycleID
	Wave  patching.WaveID
	Batch int
	Size  int
}

// ReleaseOut counts them.
type ReleaseOut struct{ Released int }

// SliceIn names a ring, or one wave of it.
type SliceIn struct {
	Cycle   patching.CycleID
	Ring    patching.RingName
	Wave    patching.WaveID
	Silence time.Duration
}

// AwaitTallyIn waits until the slice's tally differs from the known one in a
// way that matters: an answer that completes the released, a bad outcome, or
// enough answers for the gate.
type AwaitTallyIn struct {
	SliceIn
	Known    Tallies
	Answered float64 // percent, as the gate wants it
	Until    time.Time
}

// Tallies are a wave's own tally and its ring's: one failure at each of twenty
// sites is a ring's business before it is any wave's.
type Tallies struct {
	Slice patching.Tally
	Ring  patching.Tally
	// Held says who holds all machines, and why; empty: nobody does. Who is held does not
	// answer, and need not.
	Held string `json:",omitempty"`
}

// EndSliceIn ends all deployments of a slice that are still in one of the states.
type EndSliceIn struct {
	SliceIn
	Assets  []patching.AssetID
	States  []patching.DeploymentState
	Outcome patching.Outcome
	Reason  patching.Reason
	Detail  string
	// Withdraw takes back their orders, and no others.
	Withdraw bool
	// Silent ends released machines by what their silence is worth: unreachable,
	// laid to the machine or to the path.
	Silent bool
	// ByPath gives those to whom the path was down for a good part of their silence no
	// such outcome: they are unreachable, which speaks against nobody.
	ByPath bool
}

// NoteGateIn keeps a gate's decision with its inputs, so that it can be run again.
type NoteGateIn struct {
	Cycle    patching.CycleID
	Subject  string
	Decision patching.Decision
	Params   string
	Tally    string
}

// CampaignIn gives one instruction to the machines of a ring that can use it.
type CampaignIn struct {
	Cycle patching.CycleID
	Ring  patching.RingName // empty: all rings
	Verb  string            // collect, clean, revert
	// Scope limits a revert.
	Scope policy.OnHalt
	Until time.Time
}

// AwaitOrdersIn waits until a campaign's orders are final.
type AwaitOrdersIn struct {
	Cycle patching.CycleID
	Ring  patching.RingName
	Verb  string
	// Monitor names the campaign of the first phase, which is the policy's and
	// no ring's.
	Monitor bool
	// Revision is the plan's that a rehearsal is of, which is no ring's either.
	Revision int
	// Wave names the repairs of one wave.
	Wave  patching.WaveID
	Until time.Time
}

// DiagnoseOut says what a ring's failures have in common: in words, and by how
// many causes. Without is the ring's tally without the failures that are the
// path's, see diagnose.Diagnosis.Excuse.
type DiagnoseOut struct {
	Words   string
	Causes  int
	Without patching.Tally
}

// MendOut counts the machines of a wave that may be tried again, and those of
// them that are repaired before.
type MendOut struct {
	Again  int
	Repair int
}

// JudgeOut says what fresh inventories showed.
type JudgeOut struct {
	Verified int
	NotTaken int // reported as installed, not shown by the inventory
	Unseen   int // no fresh inventory
}

// MakeReportIn renders the report.
type MakeReportIn struct{ State CycleState }

// MakeReportOut says where it is.
type MakeReportOut struct {
	File string
}

// CloseCycleIn ends the cycle's record: what is left is carried over, tasks are
// opened, locks are given back.
type CloseCycleIn struct{ State CycleState }

// CloseCycleOut is the final count.
type CloseCycleOut struct {
	ClosedAs patching.ClosedAs
	Outcomes map[patching.Outcome]int
	Words    string
	Tasks    int
}

// StartDueOut says which cycle a schedule's trigger started, or found running.
type StartDueOut struct {
	Cycle   patching.CycleID
	Started bool
	Words   string
}
