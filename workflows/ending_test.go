package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G9: a person may see only during the clean-up that orders fail.
func TestARollBackIsDoneHoweverLateItIsAskedFor(t *testing.T) {
	for _, phase := range []patching.Phase{patching.PhaseVerify, patching.PhaseCleanUp} {
		t.Run(string(phase), func(t *testing.T) {
			w := newWorld(t)
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			w.slowCampaigns(time.Hour)
			var got *answer
			w.whenPhase(phase, func() { got = w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "orders fail"}) })
			out := w.run(t, contract.CycleState{})
			require.True(t, got.Accepted)
			require.Equal(t, patching.ClosedBackedOut, out.ClosedAs)
			require.Equal(t, map[patching.Outcome]int{patching.RolledBack: 52}, out.Outcomes)
		})
	}
}

// Serves G9: a gate rolls back what failed in its ring; a person may want more.
func TestAPersonsRollBackIsWiderThanAGates(t *testing.T) {
	w := newWorld(t)
	for _, m := range w.machines[4:6] {
		m.outcome, m.sign = patching.Failed, "nginx: postinst"
	}
	w.slowCampaigns(time.Hour)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	var first, again *answer
	w.whenPhase(patching.PhaseRollBack, func() {
		first = w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "the rest fails too"})
		w.at(time.Minute, func() { again = w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "hurry"}) })
	})
	out := w.run(t, contract.CycleState{})
	require.True(t, first.Accepted)
	require.ErrorContains(t, again.refused, "already being rolled back")
	require.Equal(t, patching.ClosedBackedOut, out.ClosedAs)
	require.Equal(t, 12, out.Outcomes[patching.RolledBack], "the test ring and the whole of the halted one")
	require.Equal(t, 40, out.Outcomes[patching.Deferred])
}

func TestACancelledCycleStillCountsReportsAndCanBeRolledBack(t *testing.T) {
	w := newWorld(t)
	w.slowCampaigns(time.Hour)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.whenPhase(patching.PhaseDeploy, func() { w.env.CancelWorkflow() })
	var back *answer
	w.whenPhase(patching.PhaseVerify, func() { back = w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "orders fail"}) })
	out := w.run(t, contract.CycleState{})
	require.True(t, back.Accepted, "people are heard after a cancellation")
	require.Equal(t, patching.ClosedBackedOut, out.ClosedAs)
	require.Equal(t, 40, out.Outcomes[patching.Deferred])
	require.Equal(t, 12, out.Outcomes[patching.RolledBack])
	require.Equal(t, "report.html", out.Report)
}

// A ring or a wave whose own workflow is cancelled stops: what has its start
// permit is waited for.
func TestACancelledRingWithdrawsWhatHasNotStartedAndAwaitsTheRest(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	w.at(time.Minute, func() { w.env.CancelWorkflow() })
	out := w.runRing(t, w.ringInput("broad"))
	require.True(t, out.Stopped)
	require.Equal(t, 20, w.count("broad", patching.Patched), "a batch at each of two sites")
	require.Equal(t, 20, w.count("broad", patching.Deferred))
	require.Equal(t, patching.ReasonCancelled, w.machines[51].reason)
}

func TestACancelledWaveWithdrawsWhatHasNotStartedAndAwaitsTheRest(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	w.at(time.Minute, func() { w.env.CancelWorkflow() })
	w.env.ExecuteWorkflow(contract.WaveWorkflow, w.waveInput("broad", "berlin", 4))
	var out contract.WaveResult
	require.NoError(t, w.env.GetWorkflowResult(&out))
	require.True(t, out.Stopped)
	require.Equal(t, 4, w.count("broad", patching.Patched))
	require.Equal(t, 16, w.count("broad", patching.Deferred))
}

// What somebody's hand took out of a ring was not tried: the next ring must not
// begin as if it had passed, nor the ring's next wave.
func TestNothingGoesOnAfterARingOrAWaveWhoseWorkflowWasCancelled(t *testing.T) {
	w := newWorld(t)
	w.env.OnWorkflow(contract.RingWorkflow, mock.Anything, mock.Anything).Return(contract.RingResult{Stopped: true}, nil)
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Deferred: 52}, out.Outcomes)
	require.Contains(t, w.saved[len(w.saved)-1].Ending.Why, "ring test was cancelled")

	w = newWorld(t)
	w.opened = w.env.Now()
	w.env.OnWorkflow(contract.WaveWorkflow, mock.Anything, mock.Anything).Return(contract.WaveResult{Stopped: true}, nil)
	in := w.ringInput("broad")
	in.Ring.Parallel = 1
	require.True(t, w.runRing(t, in).Stopped)
	require.Equal(t, 40, w.count("broad", patching.Deferred))
}

func TestAStopDoesNotWaitForInventories(t *testing.T) {
	w := newWorld(t)
	w.slowCampaigns(50 * time.Minute)
	w.whenPhase(patching.PhaseMonitor, func() { w.act(contract.VerbStop, "olga", contract.Act{Reason: "wrong policy"}) })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Less(t, w.closedAt.Sub(night), time.Minute)
	require.NotContains(t, w.events, "plan 1")
}

// Serves Q1: an archive that does not answer keeps the plan waiting, and nobody from
// ending the cycle.
func TestAStopIsHeardWhileThePlanWaitsForAnArchive(t *testing.T) {
	w := newWorld(t)
	w.broken[contract.MakePlan.Name] = errors.New("snapshot of the repositories: no route to host")
	var stopped *answer // before the tenth try, which is the last one in tests
	w.at(2*time.Minute, func() { stopped = w.act(contract.VerbStop, "olga", contract.Act{Reason: "not tonight"}) })
	out := w.run(t, contract.CycleState{})
	require.True(t, stopped.Accepted)
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.NotContains(t, w.events, "plan 1")
	require.Less(t, w.closedAt.Sub(night), 3*time.Minute)
	require.Equal(t, "report.html", out.Report)
}

// Serves G1, Q1.
func TestAStopIsHeardWhileFeedsDoNotCome(t *testing.T) {
	w := newWorld(t)
	w.broken[contract.SyncFeeds.Name] = errors.New("no route to host")
	var stopped *answer
	w.at(2*time.Minute, func() { stopped = w.act(contract.VerbStop, "olga", contract.Act{Reason: "not tonight"}) })
	out := w.run(t, contract.CycleState{})
	require.True(t, stopped.Accepted)
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Less(t, w.closedAt.Sub(night), 3*time.Minute)
	require.Equal(t, "report.html", out.Report)
}

// A step of our own that fails for good must not leave machines locked and
// nobody told.
func TestAStepThatFailsForGoodEndsTheCycleWithAReport(t *testing.T) {
	for name, c := range map[string]struct {
		broken   string
		deferred int
	}{
		"planning":    {contract.MakePlan.Name, 52},
		"rehearsing":  {contract.Rehearse.Name, 52},
		"a ring":      {contract.ListWaves.Name, 52},
		"a wave":      {contract.StageWave.Name, 52},
		"verifying":   {contract.JudgeRing.Name, 48},
		"cleaning up": {contract.Campaign.Name, 48},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.broken[c.broken] = temporal.NewNonRetryableApplicationError("no such policy version", "NotFound", nil)
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			out := w.run(t, contract.CycleState{})
			require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
			require.Equal(t, c.deferred, out.Outcomes[patching.Deferred])
			require.Equal(t, "report.html", out.Report)
			last := w.saved[len(w.saved)-1]
			require.Contains(t, last.Ending.Why, "no such policy version")
			require.NotEmpty(t, last.Notes)
		})
	}
}

// The clean-up is the last step that can fail; what is installed stays.
func TestARollBackThatFailsForGoodIsNotCalledBackedOut(t *testing.T) {
	w := newWorld(t)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.whenPhase(patching.PhaseDeploy, func() {
		w.broken[contract.Campaign.Name] = temporal.NewNonRetryableApplicationError("no such bundle", "NotFound", nil)
		w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "orders fail"})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	last := w.saved[len(w.saved)-1]
	require.Contains(t, last.Ending.Why, "orders fail")
	require.Contains(t, last.Ending.Why, "no such bundle")
}

// A cycle whose record cannot be opened has nothing to count or to close.
func TestACycleThatCannotBePutOnRecordFails(t *testing.T) {
	w := newWorld(t)
	w.broken[contract.OpenCycle.Name] = temporal.NewNonRetryableApplicationError("policy p: not found", "NotFound", nil)
	w.env.ExecuteWorkflow(contract.CycleWorkflow, contract.CycleState{ID: "cycle/p/2026-11.1", Policy: "p"})
	require.ErrorContains(t, w.env.GetWorkflowError(), "policy p: not found")
}

// A stop that comes while the last machines are awaited shortens the wait: a
// start permit is good for a quarter of an hour, a window may be for weeks.
func TestAStopShortensTheWaitForMachinesThatNeverAnswer(t *testing.T) {
	w := newWorld(t)
	w.rules.Silence = 2 * time.Hour
	w.rings[0].Gate.Answered = 50
	w.deaf = true // nobody's silence counts: the server did not listen
	w.machines[0].after = -1
	w.at(time.Hour, func() { w.act(contract.VerbStop, "olga", contract.Act{Reason: "alarm"}) })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Less(t, w.closedAt.Sub(night), 90*time.Minute)
	require.Equal(t, 3, w.count("test", patching.Patched))
}

// Serves Q5, Q8: nobody listened while machines that had begun came to their end. No gate
// counts them as failed; with a path that is up they need somebody to look.
func TestAMachineAtWorkThatCannotSayItsEndIsNoFailure(t *testing.T) {
	for deaf, want := range map[bool]patching.Outcome{true: patching.Unreachable, false: patching.NeedsHands} {
		w := newWorld(t)
		w.windowIs, w.opened = 10*time.Minute, w.env.Now()
		for _, m := range w.in(contract.SliceIn{Ring: "early"})[:4] {
			m.after, m.hangs = -1, true
		}
		w.heard, w.deaf = true, deaf
		w.env.ExecuteWorkflow(contract.WaveWorkflow, w.waveInput("early", "berlin", 10))
		var out contract.WaveResult
		require.NoError(t, w.env.GetWorkflowResult(&out))
		require.Equal(t, map[patching.Outcome]int{patching.Patched: 2, want: 2}, out.Tally.Outcomes)
	}
}

// An engine that was lost while a cycle was stopping: what is at work is waited
// for by the one that takes the cycle up.
func TestAStoppingCycleThatIsTakenUpAwaitsTheMachinesAtWork(t *testing.T) {
	w := newWorld(t)
	w.revision, w.opened = 2, w.env.Now()
	for _, m := range w.machines[:4] {
		m.state, m.batch, m.ended = patching.DeploymentDone, 1, patching.Patched
	}
	for _, m := range w.machines[4:6] {
		m.state, m.batch, m.released = patching.DeploymentReleased, 1, w.env.Now()
	}
	out := w.run(t, contract.CycleState{
		ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana", Phase: patching.PhaseDeploy, Rules: w.rules,
		Opened: w.opened, CloseBy: w.opened.Add(week), Plan: contract.PlanSummary{Hash: w.hash(), Revision: 2, Rings: w.rings},
		Rings:  []contract.RingState{{Name: "test", Ended: true}, {Name: "early"}},
		Ending: &contract.Ending{As: patching.ClosedCancelled, Reason: patching.ReasonCancelled, Why: "stopped by olga: alarm"},
	})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Equal(t, 2, w.count("early", patching.Patched))
	require.Equal(t, 6, w.count("early", patching.Deferred))
	require.Equal(t, 40, w.count("broad", patching.Deferred))
	require.Zero(t, w.released("broad"))
}
