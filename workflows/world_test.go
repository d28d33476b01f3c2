package workflows_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// world stands behind the activities in time-skipping tests: machines that
// answer, in the workflow's own time, as the test says.
type world struct {
	mu       sync.Mutex
	env      *testsuite.TestWorkflowEnvironment
	rules    contract.CycleRules
	rings    []contract.RingSummary
	machines []*machine
	people   map[patching.AccountName]bool     // who may; false: refused
	signals  []patching.AccountName            // senders, in order
	papers   map[string][]patching.AccountName // who signed what
	quorum   int                               // signatures that a plan takes
	glass    int                               // those that it takes by break-glass
	held     map[patching.RingName]bool        // rings that a signature or a pre-approval holds for
	asked    [][]patching.RingName             // what was signed for, in order
	checks   int                               // how often it was asked whether that holds
	revision int
	events   []string
	saved    []contract.CycleState
	gates    []contract.NoteGateIn
	reminds  []string
	// kinds is how many machines are asked to rehearse a plan; rehearsed are the
	// revisions of those that were.
	kinds     int
	rehearsed []int
	moved     []int         // rings that had begun when windows were looked for again
	windowAt  time.Duration // how long after the start the first window opens
	windowIs  time.Duration // how long it is
	onePage   int           // waves that a ring gets at once; 0: as many as it asks for
	holdUntil time.Time     // until then somebody holds all machines
	deaf      bool          // the server never listened: nobody's silence counts
	heard     bool          // machines are heard of all the time, whatever becomes of their orders
	opened    time.Time
	closedAt  time.Time
	broken    map[string]error // what an activity of that name answers
	synced    int
	onAssess  func() // what happens while these work, once
	onList    func()
	onAwait   func()
	onEnd     func()
	onAdmit   func()
	admitted  []patching.AssetID
	begun     map[string]bool // workflows by id
	lost      []string        // signals that a server would have refused: to a workflow that had not begun
}

// machine is one machine of the world.
type machine struct {
	id       patching.AssetID
	ring     patching.RingName
	site     patching.SiteName
	after    time.Duration // from release to answer; negative: never
	outcome  patching.Outcome
	sign     string
	state    patching.DeploymentState
	batch    int
	released time.Time
	ended    patching.Outcome
	reason   patching.Reason
	verified bool
	lies     bool // claims success that its inventory does not show
	// again is how another try ends, after a repair if it takes one; empty: there is
	// none to be had. tries counts them.
	again  patching.Outcome
	repair bool
	tries  int
	// path says that its failure is its relay's.
	path bool
	// hangs: it begins, and is not heard again.
	hangs bool
}

const week = 7 * 24 * time.Hour

// night is when the worlds begin: the same moment for all, whatever day it is.
var night = time.Date(2026, 11, 20, 20, 0, 0, 0, time.UTC)

// newWorld makes three rings of 4, 8 and 40 machines at two sites, all good.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		people: map[patching.AccountName]bool{"ben": true, "cleo": true, "olga": true}, windowIs: 2 * week, broken: map[string]error{}, begun: map[string]bool{},
		rules: contract.CycleRules{
			OnHalt: policy.RollBackAffected, Silence: 30 * time.Minute, CloseAfter: 2 * week,
			Approval: policy.Approval{Quorum: 1, Remind: 24 * time.Hour, Escalate: 48 * time.Hour, Expire: week, TrustSignals: true},
		},
	}
	limits := gate.Params{Answered: 90, Same: 2, BadCount: 4, Unreachable: 50}
	for i, size := range []int{4, 8, 40} {
		name := []patching.RingName{"test", "early", "broad"}[i]
		w.rings = append(w.rings, contract.RingSummary{Name: name, Assets: size, Waves: 2, Batch: 10, Parallel: 2, Soak: time.Hour, Gate: limits})
		for n := range size {
			site := []patching.SiteName{"berlin", "tokyo"}[n%2]
			w.machines = append(w.machines, &machine{
				id: patching.AssetID(fmt.Sprintf("%s-%d", name, n)), ring: name, site: site,
				after: 5 * time.Minute, outcome: patching.Patched, state: patching.DeploymentPlanned,
			})
		}
	}
	w.begin(night)
	return w
}

// begin gives the world an environment in which one workflow can run.
func (w *world) begin(at time.Time) {
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(quiet{})
	w.env = suite.NewTestWorkflowEnvironment()
	w.env.SetStartTime(at)
	w.env.SetTestTimeout(time.Minute)
	w.env.SetWorkerOptions(worker.Options{
		// The detector measures real time, of which a busy machine has little.
		DeadlockDetectionTimeout: time.Minute,
		Interceptors:             []interceptor.WorkerInterceptor{&listener{world: w}},
	})
	workflows.Register(w.env)
	w.register()
}

func (w *world) register() {
	on(w, contract.OpenCycle, w.open)
	on(w, contract.SaveState, w.save)
	on(w, contract.SyncFeeds, func(contract.SyncFeedsIn) (contract.SyncFeedsOut, error) {
		w.synced++
		return contract.SyncFeedsOut{}, nil
	})
	on(w, contract.AskInventory, func(contract.AskInventoryIn) (contract.Asked, error) {
		return contract.Asked{Asked: len(w.machines)}, nil
	})
	on(w, contract.AwaitOrders, func(contract.AwaitOrdersIn) (contract.Asked, error) { return contract.Asked{}, nil })
	on(w, contract.Assess, func(contract.AssessIn) (contract.AssessOut, error) {
		once(&w.onAssess)
		return contract.AssessOut{Machines: len(w.machines)}, nil
	})
	on(w, contract.MakePlan, w.plan)
	on(w, contract.Reschedule, func(in contract.MakePlanIn) (contract.None, error) {
		w.moved = append(w.moved, len(in.State.Rings))
		return contract.None{}, nil
	})
	on(w, contract.Rehearse, func(in contract.RehearseIn) (contract.Asked, error) {
		w.rehearsed = append(w.rehearsed, in.Revision)
		return contract.Asked{Asked: w.kinds}, nil
	})
	on(w, contract.NoteRehearsal, func(in contract.RehearseIn) (contract.NoteRehearsalOut, error) {
		return contract.NoteRehearsalOut{Words: fmt.Sprintf("the rehearsal of plan %d", in.Revision)}, nil
	})
	on(w, contract.VerifyAct, w.verifyAct)
	on(w, contract.CheckGrants, w.checkGrants)
	on(w, contract.ApplyAmend, func(in contract.AmendIn) (contract.AmendOut, error) {
		w.note("amend")
		return contract.AmendOut{Removed: len(in.Assets), Words: "taken out"}, nil
	})
	on(w, contract.AdmitMachines, w.admit)
	on(w, contract.Remind, func(in contract.RemindIn) (contract.None, error) {
		w.reminds = append(w.reminds, map[bool]string{false: "remind", true: "escalate"}[in.Escalate])
		return contract.None{}, nil
	})
	on(w, contract.ListWaves, w.waves)
	on(w, contract.StageWave, w.stage)
	on(w, contract.Release, w.release)
	on(w, contract.ReadTally, func(in contract.SliceIn) (patching.Tally, error) { return w.tally(in, w.env.Now()), nil })
	on(w, contract.EndSlice, w.end)
	on(w, contract.NoteGate, func(in contract.NoteGateIn) (contract.None, error) {
		w.gates = append(w.gates, in)
		return contract.None{}, nil
	})
	on(w, contract.Diagnose, w.diagnose)
	on(w, contract.Mend, w.mend)
	on(w, contract.TryAgain, w.tryAgain)
	on(w, contract.Campaign, w.campaign)
	on(w, contract.JudgeRing, w.judge)
	on(w, contract.CloseCycle, w.close)
	on(w, contract.MakeReport, func(contract.MakeReportIn) (contract.MakeReportOut, error) {
		w.note("report")
		return contract.MakeReportOut{File: "report.html"}, nil
	})
	contract.AwaitTally.Register(w.env, w.await)
	// A look takes a minute of the workflow's time. (Results that are completed
	// later would let the suite's clock run while other activities work.)
	w.env.OnActivity(contract.AwaitTally.Name, mock.Anything, mock.Anything).Return(w.await).After(time.Minute)
}

// on puts a function behind an activity; the world's lock is held.
func on[In, Out any](w *world, a contract.Activity[In, Out], do func(In) (Out, error)) {
	a.Register(w.env, func(_ context.Context, in In) (Out, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err := w.broken[a.Name]; err != nil {
			var none Out
			return none, err
		}
		return do(in)
	})
}

// late lets the saves that are meant take an hour of the workflow's time.
func (w *world) late(which func(contract.SaveStateIn) bool) {
	save := func(_ context.Context, in contract.SaveStateIn) (contract.None, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.save(in)
	}
	w.env.OnActivity(contract.SaveState.Name, mock.Anything, mock.MatchedBy(which)).Return(save).After(time.Hour)
	w.env.OnActivity(contract.SaveState.Name, mock.Anything, mock.Anything).Return(save)
}

// slowCampaigns lets machines take so long to answer the instructions that are
// no patches.
func (w *world) slowCampaigns(by time.Duration) {
	w.env.OnActivity(contract.AwaitOrders.Name, mock.Anything, mock.Anything).Return(contract.Asked{}, nil).After(by)
}

// slowRehearsals lets those who rehearse a plan take so long to answer.
func (w *world) slowRehearsals(by time.Duration) {
	simulate := func(in contract.AwaitOrdersIn) bool { return in.Verb == "simulate" }
	w.env.OnActivity(contract.AwaitOrders.Name, mock.Anything, mock.MatchedBy(simulate)).Return(contract.Asked{}, nil).After(by)
	w.env.OnActivity(contract.AwaitOrders.Name, mock.Anything, mock.Anything).Return(contract.Asked{}, nil)
}

// slowJudgement lets it take so long to find out who sent something.
func (w *world) slowJudgement(by time.Duration) {
	judge := func(_ context.Context, in contract.VerifyActIn) (contract.VerifyActOut, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.verifyAct(in)
	}
	w.env.OnActivity(contract.VerifyAct.Name, mock.Anything, mock.Anything).Return(judge).After(by)
}

func once(do *func()) {
	if f := *do; f != nil {
		*do = nil
		f()
	}
}

func (w *world) note(what string) { w.events = append(w.events, what) }

func (w *world) open(contract.OpenCycleIn) (contract.OpenCycleOut, error) {
	w.opened = w.env.Now()
	return contract.OpenCycleOut{PolicyVersion: "sha256:p", Rules: w.rules, Opened: w.opened, CloseBy: w.opened.Add(w.rules.CloseAfter), Epoch: 1}, nil
}

func (w *world) save(in contract.SaveStateIn) (contract.None, error) {
	w.saved = append(w.saved, in.State)
	return contract.None{}, nil
}

func (w *world) plan(in contract.MakePlanIn) (contract.PlanSummary, error) {
	w.revision = in.Revision
	w.note(fmt.Sprintf("plan %d", in.Revision))
	of := fmt.Sprintf(" of plan %d", in.Revision)
	out := contract.PlanSummary{
		Hash: w.hash(), Revision: in.Revision, Rings: w.rings, Assets: len(w.machines), Mirror: "the mirror" + of, Forecast: "the forecast" + of,
	}
	out.Signed = w.held != nil
	if in.Revision > 1 {
		out.Change = "the change" + of
	}
	return out, nil
}

// admit brings as many machines in as are named, as a ring of their own.
func (w *world) admit(in contract.AdmitIn) (contract.AdmitOut, error) {
	once(&w.onAdmit)
	if len(w.admitted) > 0 {
		return contract.AdmitOut{Plan: in.State.Plan, Words: "No machine comes in."}, nil
	}
	w.revision, w.admitted = in.State.Plan.Revision+1, in.Assets
	w.note(fmt.Sprintf("plan %d", w.revision))
	ring := w.rings[len(w.rings)-1]
	ring.Name, ring.Assets, ring.Approve = "added-1", len(in.Assets), true
	w.rings = append(slices.Clone(w.rings), ring)
	for _, id := range in.Assets {
		w.machines = append(w.machines, &machine{
			id: id, ring: ring.Name, site: "berlin", after: 5 * time.Minute, outcome: patching.Patched, state: patching.DeploymentPlanned,
		})
	}
	out := contract.AdmitOut{Plan: in.State.Plan, Admitted: len(in.Assets), Words: "They come in."}
	out.Plan.Hash, out.Plan.Revision, out.Plan.Rings = w.hash(), w.revision, w.rings
	return out, nil
}

func (w *world) hash() patching.Digest { return patching.DigestOf([]byte{byte(w.revision)}) }

func (w *world) verifyAct(in contract.VerifyActIn) (contract.VerifyActOut, error) {
	who := patching.AccountName(in.Act.Request)
	if in.Ordinal > 0 {
		who = w.signals[in.Ordinal-1]
	}
	out := contract.VerifyActOut{Account: who, Via: "api", At: w.env.Now()}
	switch may, known := w.people[who]; {
	case !known || !may:
		out.Refused = "it takes another role."
	case who == in.Author && in.Verb == contract.VerbApprove:
		out.Refused = "the author of a cycle cannot approve it."
	case slices.Contains(in.Admitted, who):
		out.Refused = "whoever brought machines into a cycle cannot approve it."
	case slices.Contains(in.Counted, who):
		out.Refused, out.NotNow = "a person counts once.", true
	case in.Act.Signature != "":
		w.sign(in, &out)
	}
	return out, nil
}

// sign counts who signed a paper: one for the usual approvers, one for those who do not
// wait for them.
func (w *world) sign(in contract.VerifyActIn, out *contract.VerifyActOut) {
	paper := fmt.Sprint(in.Act.Plan, in.Rings, in.Act.BreakGlass)
	if w.papers == nil {
		w.papers = map[string][]patching.AccountName{}
	}
	if !slices.Contains(w.papers[paper], out.Account) {
		w.papers[paper] = append(w.papers[paper], out.Account)
	}
	out.Paper, out.Persons, out.Quorum = patching.DigestOf([]byte(paper)), len(w.papers[paper]), w.quorum
	if in.Act.BreakGlass != "" {
		out.Quorum = w.glass
	}
	if w.held != nil && out.Persons >= out.Quorum {
		w.asked = append(w.asked, in.Rings)
		for _, r := range in.Rings {
			w.held[r] = true
		}
	}
}

func (w *world) checkGrants(contract.CheckGrantsIn) (out contract.CheckGrantsOut, err error) {
	w.checks++
	for _, r := range w.rings {
		if !w.held[r.Name] {
			out.Lapsed = append(out.Lapsed, contract.Lapse{Ring: r.Name, Why: "the server began anew after people had signed for ring " + string(r.Name)})
		}
	}
	return out, nil
}

func (w *world) waves(in contract.ListWavesIn) ([]patching.WaveSummary, error) {
	once(&w.onList)
	if w.onePage > 0 {
		in.Limit = w.onePage
	}
	var all []patching.WaveSummary
	for _, site := range []patching.SiteName{"berlin", "tokyo"} {
		start := w.opened.Add(w.windowAt)
		s := patching.WaveSummary{
			ID: patching.NewWaveID(in.Cycle, in.Ring, site, "night", "20261120T2000Z"), Site: site,
			Window: "night", Start: start, End: start.Add(w.windowIs),
		}
		for _, m := range w.machines {
			if m.ring == in.Ring && m.site == site {
				s.Assets++
			}
		}
		all = append(all, s)
	}
	return all[min(in.Offset, 2):min(in.Offset+in.Limit, 2)], nil
}

func (w *world) in(s contract.SliceIn) []*machine {
	var some []*machine
	for _, m := range w.machines {
		wave := patching.NewWaveID(s.Cycle, m.ring, m.site, "night", "20261120T2000Z")
		if (s.Ring == "" || m.ring == s.Ring) && (s.Wave == "" || s.Wave == wave) {
			some = append(some, m)
		}
	}
	return some
}

func (w *world) stage(in contract.StageWaveIn) (contract.StageWaveOut, error) {
	var out contract.StageWaveOut
	for _, m := range w.in(contract.SliceIn{Cycle: in.Wave.Cycle, Ring: in.Wave.Ring, Wave: in.Wave.Wave.ID}) {
		if m.state == patching.DeploymentPlanned {
			m.state = patching.DeploymentStaged
		}
		out.Staged, out.Batches = out.Staged+1, max(out.Batches, m.batch)
	}
	return out, nil
}

func (w *world) release(in contract.ReleaseIn) (contract.ReleaseOut, error) {
	var out contract.ReleaseOut
	for _, m := range w.machines {
		wave := patching.NewWaveID(in.Cycle, m.ring, m.site, "night", "20261120T2000Z")
		if wave == in.Wave && m.state == patching.DeploymentStaged && out.Released < in.Size {
			m.state, m.batch, m.released = patching.DeploymentReleased, in.Batch, w.env.Now()
			out.Released++
		}
	}
	return out, nil
}

// settle lets the machines answer whose time has come.
func (w *world) settle(now time.Time) {
	for _, m := range w.machines {
		if m.state == patching.DeploymentReleased && m.after >= 0 && !now.Before(w.unheld(m).Add(m.after)) {
			m.state, m.ended = patching.DeploymentDone, m.outcome
			if m.tries > 0 {
				m.ended = m.again
			}
		}
		if m.state == patching.DeploymentReleased && m.hangs {
			m.state = patching.DeploymentStarted
		}
	}
}

func (w *world) tally(in contract.SliceIn, now time.Time) patching.Tally {
	w.settle(now)
	t := patching.Tally{Outcomes: map[patching.Outcome]int{}}
	signs := map[string]int{}
	for _, m := range w.in(in) {
		t.Planned++
		if m.batch > 0 {
			t.Released++
		}
		if m.state.Terminal() {
			t.Outcomes[m.ended]++
			if m.batch > 0 && m.ended != patching.Unreachable {
				t.Answered++
			}
			if m.ended.Bad() && m.sign != "" {
				signs[m.sign]++
			}
		}
	}
	for s, n := range signs {
		t.Signatures = append(t.Signatures, patching.SignatureCount{Signature: s, Count: n})
	}
	t.Normalize()
	return t
}

// await says what is known now; the real one returns less often.
func (w *world) await(_ context.Context, in contract.AwaitTallyIn) (contract.Tallies, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	once(&w.onAwait)
	now := w.env.Now()
	t := contract.Tallies{Slice: w.tally(in.SliceIn, now), Ring: w.tally(contract.SliceIn{Cycle: in.Cycle, Ring: in.Ring}, now)}
	if now.Before(w.holdUntil) {
		t.Held = "Held by olga."
	}
	return t, nil
}

func (w *world) end(in contract.EndSliceIn) (int, error) {
	once(&w.onEnd)
	n := 0
	for _, m := range w.in(in.SliceIn) {
		silent := !in.Silent || !w.deaf && !w.heard && w.env.Now().Sub(w.unheld(m)) >= in.Silence
		if slices.Contains(in.States, m.state) && silent {
			m.state, m.ended, m.reason = patching.DeploymentDone, in.Outcome, in.Reason
			if in.ByPath && w.deaf {
				m.ended, m.reason = patching.Unreachable, patching.ReasonPathDown
			}
			n++
		}
	}
	return n, nil
}

func (w *world) campaign(in contract.CampaignIn) (contract.Asked, error) {
	w.note(in.Verb + " " + string(in.Ring))
	if in.Verb == "revert" {
		for _, m := range w.in(contract.SliceIn{Cycle: in.Cycle, Ring: in.Ring}) {
			if m.batch > 0 && (m.ended == patching.Failed || in.Scope == policy.RollBackRing && m.ended == patching.Patched) {
				m.ended, m.reason = patching.RolledBack, patching.ReasonRolledBack
			}
		}
	}
	return contract.Asked{Asked: 1}, nil
}

func (w *world) judge(in contract.SliceIn) (contract.JudgeOut, error) {
	for _, m := range w.in(in) {
		if m.ended == patching.Patched && m.lies {
			m.ended, m.reason, m.sign = patching.Failed, patching.ReasonNotTaken, "not taken"
		}
		m.verified = m.ended == patching.Patched
	}
	return contract.JudgeOut{}, nil
}

func (w *world) close(in contract.CloseCycleIn) (contract.CloseCycleOut, error) {
	w.closedAt = w.env.Now()
	out := contract.CloseCycleOut{ClosedAs: patching.ClosedSuccessful, Outcomes: map[patching.Outcome]int{}}
	if in.State.Ending != nil {
		out.ClosedAs = in.State.Ending.As
	}
	for _, m := range w.machines {
		if !m.state.Terminal() {
			m.state, m.ended, m.reason = patching.DeploymentDone, patching.Deferred, patching.ReasonCarriedOver
			if in.State.Ending != nil {
				m.reason = in.State.Ending.Reason
			}
		}
		out.Outcomes[m.ended]++
	}
	return out, nil
}

// run runs the cycle to its end.
func (w *world) run(t *testing.T, start contract.CycleState) contract.CycleResult {
	t.Helper()
	if start.ID == "" {
		start.ID, start.Kind, start.Policy, start.Author = "cycle/p/2026-11.1", patching.Monthly, "p", "ana"
	}
	w.env.ExecuteWorkflow(contract.CycleWorkflow, start)
	require.True(t, w.env.IsWorkflowCompleted())
	require.NoError(t, w.env.GetWorkflowError(), "%v", w.events)
	var out contract.CycleResult
	require.NoError(t, w.env.GetWorkflowResult(&out))
	require.Empty(t, w.lost, "signals to workflows that had not begun")
	total := 0
	for _, n := range out.Outcomes {
		total += n
	}
	require.Equal(t, len(w.machines), total, "count in equals count out")
	return out
}

// ringInput is what a cycle would start the ring with.
func (w *world) ringInput(name patching.RingName) contract.RingInput {
	i := slices.IndexFunc(w.rings, func(r contract.RingSummary) bool { return r.Name == name })
	return contract.RingInput{
		Cycle: "cycle/p/2026-11.1", Policy: "p", Kind: patching.Monthly, Ring: w.rings[i],
		Silence: w.rules.Silence, CloseBy: w.opened.Add(w.rules.CloseAfter),
	}
}

// waveInput is what a ring would start its wave at the site with.
func (w *world) waveInput(name patching.RingName, site patching.SiteName, batch int) contract.WaveInput {
	r := w.ringInput(name)
	in := contract.WaveInput{
		Cycle: r.Cycle, Policy: r.Policy, Kind: r.Kind, Ring: name, Batch: batch, Gate: r.Ring.Gate,
		Silence: r.Silence, CloseBy: r.CloseBy,
	}
	waves, _ := w.waves(contract.ListWavesIn{Cycle: r.Cycle, Ring: name, Limit: 2})
	in.Wave = waves[slices.IndexFunc(waves, func(s patching.WaveSummary) bool { return s.Site == site })]
	return in
}

// runRing runs a ring by itself to its end.
func (w *world) runRing(t *testing.T, in contract.RingInput) contract.RingResult {
	t.Helper()
	w.env.ExecuteWorkflow(contract.RingWorkflow, in)
	var out contract.RingResult
	require.NoError(t, w.env.GetWorkflowResult(&out))
	return out
}

// at does something in the workflow's time.
func (w *world) at(after time.Duration, do func()) { w.env.RegisterDelayedCallback(do, after) }

// whenPhase does something once, soon after the cycle has entered the phase.
func (w *world) whenPhase(p patching.Phase, do func()) {
	var look func()
	tries := 0 // bounded: in skipped time a look that never succeeds would go on for ever
	look = func() {
		if tries++; tries > 5000 {
			return
		}
		w.mu.Lock()
		here := len(w.saved) > 0 && w.saved[len(w.saved)-1].Phase == p
		w.mu.Unlock()
		if here {
			do()
			return
		}
		w.env.RegisterDelayedCallback(look, 10*time.Second)
	}
	w.env.RegisterDelayedCallback(look, 10*time.Second)
}

// answer is how a person's update ended.
type answer struct {
	contract.Answer
	refused error // by the validator
	err     error
}

// act sends an update in a person's name.
func (w *world) act(verb contract.Verb, who patching.AccountName, a contract.Act) *answer {
	got := &answer{}
	a.Request = string(who)
	w.env.UpdateWorkflow(string(verb), fmt.Sprint(verb, who, a.Plan, w.env.Now().UnixNano()), &testsuite.TestUpdateCallback{
		OnAccept: func() {},
		OnReject: func(err error) { got.refused = err },
		OnComplete: func(v any, err error) {
			got.err = err
			if ans, ok := v.(contract.Answer); ok {
				got.Answer = ans
			}
		},
	}, a)
	return got
}

func (w *world) approve(who patching.AccountName) *answer {
	return w.act(contract.VerbApprove, who, contract.Act{Plan: w.hash()})
}

func (w *world) count(ring patching.RingName, o patching.Outcome) int {
	n := 0
	for _, m := range w.machines {
		if m.ring == ring && m.ended == o {
			n++
		}
	}
	return n
}

// listener watches what workflows send to each other.
type listener struct {
	interceptor.WorkerInterceptorBase
	world *world
}

func (l *listener) InterceptWorkflow(_ workflow.Context, next interceptor.WorkflowInboundInterceptor) interceptor.WorkflowInboundInterceptor {
	in := &inbound{world: l.world}
	in.Next = next
	return in
}

type inbound struct {
	interceptor.WorkflowInboundInterceptorBase
	world *world
}

func (i *inbound) Init(next interceptor.WorkflowOutboundInterceptor) error {
	out := &outbound{world: i.world}
	out.Next = next
	return i.Next.Init(out)
}

func (i *inbound) ExecuteWorkflow(ctx workflow.Context, in *interceptor.ExecuteWorkflowInput) (any, error) {
	i.world.begun[workflow.GetInfo(ctx).WorkflowExecution.ID] = true
	return i.Next.ExecuteWorkflow(ctx, in)
}

type outbound struct {
	interceptor.WorkflowOutboundInterceptorBase
	world *world
}

func (o *outbound) SignalExternalWorkflow(ctx workflow.Context, id, run, name string, arg any) workflow.Future {
	if !o.world.begun[id] {
		o.world.lost = append(o.world.lost, fmt.Sprintf("%s to %s", name, id))
		f, set := workflow.NewFuture(ctx) // the suite itself would panic here
		set.Set(nil, errors.New("no workflow "+id))
		return f
	}
	return o.Next.SignalExternalWorkflow(ctx, id, run, name, arg)
}

// released counts the ring's machines that were given a start permit.
func (w *world) released(ring patching.RingName) int {
	n := 0
	for _, m := range w.machines {
		if m.ring == ring && m.batch > 0 {
			n++
		}
	}
	return n
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

// unheld is from when on a machine can be expected to say something.
func (w *world) unheld(m *machine) time.Time {
	if w.holdUntil.After(m.released) {
		return w.holdUntil
	}
	return m.released
}
