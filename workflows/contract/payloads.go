package contract

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// CycleState is a cycle's input and the state that it carries: continue-as-new
// passes it on, the store keeps it at each phase, and an engine that was lost
// is rebuilt from it.
type CycleState struct {
	ID            patching.CycleID
	Kind          patching.Kind
	Policy        patching.PolicyName
	PolicyVersion patching.Digest
	Author        patching.AccountName
	Reason        string
	Shadow        bool
	Epoch         int64
	Opened        time.Time
	CloseBy       time.Time
	Phase         patching.Phase
	// Rules are the policy's rules that the cycle's own steps need.
	Rules CycleRules
	Plan  PlanSummary
	// Rings are those that have been begun, in that order.
	Rings []RingState
	Votes []patching.Approval
	// Asked is when the approval was asked for, zero when none is; Reminded counts
	// reminders.
	Asked    time.Time
	Reminded int
	Held     *Held
	// SentBack asks for the plan to be made again before people are asked again.
	SentBack bool
	// Signed is how far signatures under the plan have come; nil: nobody has signed.
	Signed *SignedVotes `json:",omitempty"`
	// Cleared are the rings that an approval has been given for.
	Cleared []patching.RingName
	// Admitted are who brought machines in: they do not approve.
	Admitted []patching.AccountName `json:",omitempty"`
	// Regrant is set while people are asked again for what had been signed.
	Regrant *Regrant `json:",omitempty"`
	// Rehearsing is set while the plan is rehearsed.
	Rehearsing *Rehearsing
	// Ending is set once it is clear how the cycle will close.
	Ending *Ending
	// Closing says how it closed.
	Closing string
	// Stale names feeds or inventories that the plan rests on although they are old.
	Stale []string
	// Notes are answers to signals, newest last, for the workflow's page.
	Notes []string
	// Signals counts the signals of each name seen in this run: the n-th of a
	// name is found again in the run's history, with its sender.
	Signals map[Verb]int
	// Saved is how far the engine had come when the state was put into the store.
	// What is carried has none.
	Saved Mark
}

// SignedVotes are the people whose signatures under one paper count.
type SignedVotes struct {
	Plan            patching.Digest
	Paper           patching.Digest
	Persons, Quorum int
	BreakGlass      bool
}

// Regrant says why people are asked again, before a ring that they had approved.
type Regrant struct {
	Why string
	// Back are the rings that are done, and whose way back has to be signed again.
	Back []patching.RingName `json:",omitempty"`
}

// AskedRings are the rings that an approval is for: the next one, those after it that
// begin without another, and those that are done and whose way back is not covered any
// more.
func (s CycleState) AskedRings() []patching.RingName {
	var rings []patching.RingName
	next := false
	for _, r := range s.Plan.Rings {
		switch {
		case s.ended(r.Name):
			if s.Regrant != nil && slices.Contains(s.Regrant.Back, r.Name) {
				rings = append(rings, r.Name)
			}
			continue
		case next && r.Approve && !slices.Contains(s.Cleared, r.Name):
			return rings
		}
		rings, next = append(rings, r.Name), true
		if !s.Tested() {
			return rings // after the test ring the plan is made again
		}
	}
	return rings
}

// AskAgain has people asked again before a ring if nothing that they signed holds for it,
// and reports whether. Rings that had been cleared on what lapsed are no more.
func (s *CycleState) AskAgain(ring patching.RingName, lapses []Lapse) bool {
	at := slices.IndexFunc(lapses, func(l Lapse) bool { return l.Ring == ring })
	if at < 0 || s.Ending != nil {
		return false
	}
	s.Cleared = slices.DeleteFunc(slices.Clone(s.Cleared), func(name patching.RingName) bool {
		return slices.ContainsFunc(lapses, func(l Lapse) bool { return l.Ring == name })
	})
	s.Regrant = &Regrant{Why: lapses[at].Why}
	return true
}

// CoverBack puts the rings that are done, and whose way back nothing covers any more,
// among those that are signed for. Whoever has voted has signed without them: then the
// next approval has them.
func (s *CycleState) CoverBack(lapses []Lapse) {
	if len(s.Votes) > 0 {
		return
	}
	var back []patching.RingName
	why := ""
	for _, l := range lapses {
		if slices.ContainsFunc(s.Rings, func(r RingState) bool { return r.Name == l.Ring && r.Ended && !r.RolledBack }) {
			back, why = append(back, l.Ring), l.Why
		}
	}
	if s.Regrant == nil && len(back) > 0 {
		s.Regrant = &Regrant{Why: why}
	}
	if s.Regrant != nil {
		s.Regrant.Back = back
	}
}

// Undecided reports whether nobody has decided about a ring of the plan yet.
func (s CycleState) Undecided(ring patching.RingName) bool {
	begun := slices.ContainsFunc(s.Rings, func(r RingState) bool { return r.Name == ring })
	return !begun && !slices.Contains(s.Cleared, ring)
}

// Admit takes over the plan that machines came in by. Who has approved the plan before
// looks at this one again, where their approval is still being waited for.
func (s *CycleState) Admit(made PlanSummary, by patching.AccountName) {
	s.Plan, s.Votes, s.Signed = made, nil, nil
	if !slices.Contains(s.Admitted, by) {
		s.Admitted = append(s.Admitted, by)
	}
}

// Quorum is how many approvals the plan takes: as many as the policy asks for, or the
// trust root if that is more. Break-glass has a quorum of its own.
func (s CycleState) Quorum() int {
	n := max(1, s.Rules.Approval.Quorum, s.Plan.Quorum)
	if v := s.Signed; v != nil && v.Plan == s.Plan.Hash {
		if v.BreakGlass {
			return v.Quorum
		}
		n = max(n, v.Quorum)
	}
	return n
}

// Tested reports whether the test ring, the first, is done.
func (s CycleState) Tested() bool {
	return slices.ContainsFunc(s.Rings, func(r RingState) bool { return r.Ended })
}

func (s CycleState) ended(ring patching.RingName) bool {
	return slices.ContainsFunc(s.Rings, func(r RingState) bool { return r.Name == ring && r.Ended })
}

// BeginEpoch returns the state with which a cycle goes on in an engine that was made
// anew. What people signed under the epoch before is void: whose signature had counted
// has to be able to sign again, and is asked and reminded anew.
func (s CycleState) BeginEpoch(epoch int64) CycleState {
	s.Epoch = epoch
	if s.Plan.Signed {
		s.Votes, s.Signed, s.Asked, s.Reminded = nil, nil, time.Time{}, 0
	}
	return s
}

// Mark is a place in a cycle's history. An engine that has not come so far was
// restored from an older backup.
type Mark struct {
	Run     string
	Started time.Time // when that run was
	Events  int
}

// CycleRules are the parts of a policy that workflow code decides by. They are
// copied at the start, so that a policy applied later changes nothing (G3).
type CycleRules struct {
	Approval policy.Approval
	OnHalt   policy.OnHalt
	// Mend says that what may be mended is tried once more. Cycles that began before
	// there was such a rule do not know it, and leave such machines to people.
	Mend       bool
	Silence    time.Duration
	CloseAfter time.Duration
}

// PlanSummary is what a workflow has to know of a plan; the rows are in the store.
type PlanSummary struct {
	Hash     patching.Digest
	Revision int
	Rings    []RingSummary
	Assets   int
	Excluded int
	// Mirror says how well the test ring mirrors production, WayBack where going
	// back would lead, Forecast how it goes if nothing goes wrong, Change what
	// differs from the revision before. Rehearsal says what machines answered that
	// were asked what the plan would change; it comes after the plan.
	Mirror    string
	WayBack   string
	Forecast  string
	Change    string
	Rehearsal string
	// Remediation says which advisories the plan deals with, Proposes why an emergency is
	// proposed beside it.
	Remediation string
	Proposes    string
	// Signed says that approvals have to be signed, and Quorum by how many people at
	// least. Unsigned is why people are asked before the first ring although the policy
	// does not ask for it.
	Signed   bool   `json:",omitempty"`
	Quorum   int    `json:",omitempty"`
	Unsigned string `json:",omitempty"`
}

// Rehearsing says how many machines are asked, and until when their answers are
// awaited.
type Rehearsing struct {
	Asked int
	Until time.Time
}

// RingSummary is one ring of a plan, with its rules.
type RingSummary struct {
	Name     patching.RingName
	Assets   int
	Waves    int
	Batch    int
	Parallel int
	Soak     time.Duration
	Gate     gate.Params
	Approve  bool
	// StandIns is as in [patching.PlanRing].
	StandIns string
}

// RingState is how far a ring has come.
type RingState struct {
	Name     patching.RingName
	Decision patching.Decision
	Ended    bool
	// RolledBack is set when the saga has undone the ring.
	RolledBack bool
	// Diagnosis says what the ring's failures have in common.
	Diagnosis string
}

// Held says who holds a cycle and why. A "held" always carries its reason.
type Held struct {
	By     patching.AccountName
	Reason string
	Since  time.Time
}

// Ending says how a cycle is going to close, and why.
type Ending struct {
	As     patching.ClosedAs
	Reason patching.Reason
	// By is a person, or empty for a gate or the calendar.
	By   patching.AccountName
	Why  string
	Undo bool // roll back what was done
	// Scope is what a rollback covers, Rings in which rings; no rings: all.
	Scope policy.OnHalt
	Rings []patching.RingName
}

// Control is what a cycle tells its rings and waves.
type Control struct {
	Paused bool
	// Stop ends them: nothing more is released.
	Stop   bool
	Reason patching.Reason
	Why    string
}

// RingInput is a ring's input and carried state.
type RingInput struct {
	Cycle   patching.CycleID
	Policy  patching.PolicyName
	Kind    patching.Kind
	Ring    RingSummary
	Shadow  bool
	Silence time.Duration
	CloseBy time.Time
	Mend    bool // as in [CycleRules]
	// TakenUp says that a workflow that is gone began the ring: some of its
	// machines may be at work, and are waited for even if it is to stop.
	TakenUp bool
	// Next is the number of waves that have been taken in hand.
	Next    int
	Control Control
}

// RingResult is what a ring says at its end.
type RingResult struct {
	Decision patching.Decision
	// Against says that a halt speaks against what was installed. One that says
	// only that too little is known rolls nothing back.
	Against bool
	Tally   patching.Tally
	// Stopped is set when the ring ended because it was told to.
	Stopped bool
	// Diagnosis says what the ring's failures have in common.
	Diagnosis string
}

// WaveInput is a wave's input and carried state.
type WaveInput struct {
	Cycle   patching.CycleID
	Policy  patching.PolicyName
	Kind    patching.Kind
	Ring    patching.RingName
	Wave    patching.WaveSummary
	Batch   int // machines in a batch
	Gate    gate.Params
	Shadow  bool
	Silence time.Duration
	CloseBy time.Time
	Mend    bool // as in [CycleRules]
	Control Control
	State   WaveState
}

// WaveState is how far a wave has come, for the run that goes on from there.
type WaveState struct {
	// Until is when those who keep silent in the batch that is awaited are
	// judged; zero: none is awaited.
	Until time.Time
	// Halt is set when a gate has halted the wave, Against when that speaks
	// against what was installed.
	Halt    *patching.Decision
	Against bool
	// Mute is why no further batch is released in this wave: nobody answers.
	Mute string
	// Settling says that nothing more is released, and that what has started is
	// waited for until GiveUp. Hurry says that this is a stop's.
	Settling bool
	Hurry    bool
	GiveUp   time.Time
	// Mended says that what could be mended was tried again: once a wave.
	Mended bool
}

// WaveResult is what a wave says at its end.
type WaveResult struct {
	Decision patching.Decision
	Against  bool // as in [RingResult]
	Tally    patching.Tally
	Stopped  bool
}

// CycleResult is what a cycle returns.
type CycleResult struct {
	ClosedAs patching.ClosedAs
	Words    string
	Outcomes map[patching.Outcome]int
	Report   string
}

// Act is what a person sends: an update carries the id of the request that our
// API authenticated; a signal's sender is read from history.
type Act struct {
	Request string             `json:"request,omitempty"`
	Plan    patching.Digest    `json:"plan,omitempty"`
	Reason  string             `json:"reason,omitempty"`
	Assets  []patching.AssetID `json:"assets,omitempty"`
	// Signature is an approver's over the text of "patchcycle cycle plan grants", as
	// ssh-keygen -Y sign writes it. BreakGlass says why the usual approvers could not
	// be waited for; it is a part of that text.
	Signature  string `json:"signature,omitempty"`
	BreakGlass string `json:"break_glass,omitempty"`
}

// Answer is what a person gets back.
type Answer struct {
	Accepted bool
	// NotNow says that it was refused for how the cycle stands, not for who sent it.
	NotNow bool
	Words  string
	Votes  int
	Quorum int
}

// TriggerInput is what a schedule starts with.
type TriggerInput struct {
	Policy patching.PolicyName
	Author patching.AccountName
	Shadow bool
	// Zone is where the month is looked up.
	Zone string
}
