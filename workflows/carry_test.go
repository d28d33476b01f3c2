package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// design.md 7: the state struct is the input; continue-as-new passes it on.
func TestACycleThatContinuesAsNewAfterEveryPhaseEndsAsIfItHadNot(t *testing.T) {
	w := newWorld(t)
	w.rings[2].Approve = true
	state := contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana"}
	runs := 0
	for {
		runs++
		require.Less(t, runs, 40)
		switch state.Phase {
		case patching.PhaseApproval:
			w.at(time.Hour, func() { w.approve("ben") })
			w.at(90*time.Minute, func() { w.env.SetContinueAsNewSuggested(true) })
		case patching.PhaseDeploy: // a ring takes longer than this
			w.at(30*time.Minute, func() { w.env.SetContinueAsNewSuggested(true) })
			w.at(40*time.Minute, func() { w.approve("ben") }) // for the last ring, in a run of its own
		default:
			w.env.SetContinueAsNewSuggested(true)
		}
		w.env.ExecuteWorkflow(contract.CycleWorkflow, state)
		if !continued(t, w.env.GetWorkflowError(), &state) {
			break
		}
		w.begin(w.env.Now())
	}
	var out contract.CycleResult
	require.NoError(t, w.env.GetWorkflowError())
	require.NoError(t, w.env.GetWorkflowResult(&out))
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, out.Outcomes)
	require.Greater(t, runs, 8)
	require.Empty(t, w.lost)
}

// The mark of one run says nothing in the next, nor in an engine that is rebuilt.
func TestAStateIsSavedWithItsPlaceInTheHistoryAndCarriedWithout(t *testing.T) {
	w := newWorld(t)
	old := contract.Mark{Run: "of a lost engine", Started: w.env.Now(), Events: 7}
	w.onAssess = func() { w.env.SetContinueAsNewSuggested(true) }
	w.env.ExecuteWorkflow(contract.CycleWorkflow, contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana", Saved: old})
	var state contract.CycleState
	require.True(t, continued(t, w.env.GetWorkflowError(), &state))
	require.Zero(t, state.Saved)
	require.NotEmpty(t, w.saved)
	for _, s := range w.saved {
		require.NotEmpty(t, s.Saved.Run)
		require.NotEqual(t, old.Run, s.Saved.Run)
		require.False(t, s.Saved.Started.IsZero())
	}
}

// Serves U1: reminders and expiry of an approval go by when it was asked for.
func TestAnApprovalThatIsTakenUpAgainDoesNotGetMoreTime(t *testing.T) {
	w := newWorld(t)
	var state contract.CycleState
	w.at(30*time.Hour, func() { w.env.SetContinueAsNewSuggested(true); w.env.SignalWorkflow("resume", contract.Act{}) })
	w.env.ExecuteWorkflow(contract.CycleWorkflow, contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana"})
	require.True(t, continued(t, w.env.GetWorkflowError(), &state))
	require.Equal(t, patching.PhaseApproval, state.Phase)
	require.Equal(t, []string{"remind"}, w.reminds)
	asked := state.Asked
	w.begin(w.env.Now())
	out := w.run(t, state)
	require.Equal(t, []string{"remind", "escalate"}, w.reminds, "nobody is reminded twice")
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.WithinDuration(t, asked.Add(week), w.closedAt, time.Minute)
}

// Signals that were not read, or not answered, would be lost with the run.
func TestNoSignalIsLostWhenACycleContinuesAsNew(t *testing.T) {
	for name, senders := range map[string][]patching.AccountName{
		"one that is being judged":                   {"olga"},
		"one that is being judged, one behind it":    {"olga", "ben"},
		"one that is being judged and a crowd at it": {"olga", "ben", "olga", "cleo"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.signals = senders
			w.slowJudgement(time.Minute)
			w.onAssess = func() { // they arrive in the task after which the run ends
				w.env.SetContinueAsNewSuggested(true)
				for range senders {
					w.env.SignalWorkflowSkippingWorkflowTask("pause", contract.Act{Reason: "network works"})
				}
			}
			var state contract.CycleState
			w.env.ExecuteWorkflow(contract.CycleWorkflow, contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana"})
			require.True(t, continued(t, w.env.GetWorkflowError(), &state))
			require.Equal(t, patching.PhasePlan, state.Phase)
			require.Len(t, state.Notes, len(senders), "all were answered")
			require.NotNil(t, state.Held)
			require.Equal(t, senders[len(senders)-1], state.Held.By, "in the order in which they came")
		})
	}
}

func TestNoUpdateIsCutOffWhenACycleContinuesAsNew(t *testing.T) {
	w := newWorld(t)
	w.slowJudgement(time.Minute)
	var got *answer
	w.onAssess = func() {
		w.env.SetContinueAsNewSuggested(true)
		got = w.act(contract.VerbPause, "olga", contract.Act{Reason: "network works"})
	}
	var state contract.CycleState
	w.env.ExecuteWorkflow(contract.CycleWorkflow, contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana"})
	require.True(t, continued(t, w.env.GetWorkflowError(), &state))
	require.True(t, got.Accepted)
	require.NotNil(t, state.Held)
}

// A ring of more waves than a page has goes on with the next page, and with
// what it was told.
func TestARingThatContinuesAsNewGoesOnWithItsNextWavesAndWhatItWasTold(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	w.onePage = 1
	in := w.ringInput("early")
	w.env.SetContinueAsNewSuggested(true)
	w.onEnd = func() { // as the first wave ends
		w.env.SignalWorkflowSkippingWorkflowTask(contract.SignalControl, contract.Control{Paused: true, Why: "network works"})
	}
	w.env.ExecuteWorkflow(contract.RingWorkflow, in)
	require.True(t, continued(t, w.env.GetWorkflowError(), &in))
	require.Equal(t, 1, in.Next)
	require.True(t, in.Control.Paused)
	require.Equal(t, 4, w.count("early", patching.Patched), "one of two waves")

	w.begin(w.env.Now())
	w.at(5*time.Hour, func() {
		require.Equal(t, 4, w.released("early"), "the pause holds in the new run")
		w.env.SignalWorkflow(contract.SignalControl, contract.Control{})
	})
	out := w.runRing(t, in)
	require.Equal(t, patching.Proceed, out.Decision.Verb)
	require.Equal(t, 8, w.count("early", patching.Patched))
	require.Empty(t, w.lost)
}

// A wave of many batches would pass 10,000 events. It goes on where it was.
func TestAWaveThatContinuesAsNewAfterEveryStepEndsAsIfItHadNot(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*world)
		told    contract.Control
		want    map[patching.Outcome]int
		verb    patching.GateVerb
	}{
		"all answer":         {want: map[patching.Outcome]int{patching.Patched: 20}},
		"one keeps silent":   {prepare: func(w *world) { w.machines[12].after = -1 }, want: map[patching.Outcome]int{patching.Patched: 19, patching.Unreachable: 1}},
		"its window is over": {prepare: func(w *world) { w.windowIs = 9 * time.Minute }, want: map[patching.Outcome]int{patching.Patched: 8, patching.Deferred: 12}},
		"a gate halts it": {prepare: func(w *world) {
			for _, m := range w.machines[12:18] {
				m.outcome, m.sign = patching.Failed, "nginx: postinst"
			}
		}, want: map[patching.Outcome]int{patching.Patched: 1, patching.Failed: 3, patching.Deferred: 16}, verb: patching.Halt},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.opened = w.env.Now()
			if c.prepare != nil {
				c.prepare(w)
			}
			in := w.waveInput("broad", "berlin", 4)
			runs := 0
			for {
				runs++
				require.Less(t, runs, 60)
				w.env.SetContinueAsNewSuggested(true)
				w.env.ExecuteWorkflow(contract.WaveWorkflow, in)
				if !continued(t, w.env.GetWorkflowError(), &in) {
					break
				}
				w.begin(w.env.Now())
			}
			var out contract.WaveResult
			require.NoError(t, w.env.GetWorkflowError())
			require.NoError(t, w.env.GetWorkflowResult(&out))
			got := map[patching.Outcome]int{}
			for _, m := range w.in(contract.SliceIn{Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave.ID}) {
				got[m.ended]++
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.verb, out.Decision.Verb)
			require.Greater(t, runs, 1)
		})
	}
}

// A stop that has arrived but was not read would be lost with the run.
func TestAWaveTakesWhatItWasToldIntoItsNextRun(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	in := w.waveInput("broad", "berlin", 4)
	w.env.SetContinueAsNewSuggested(true)
	w.onAwait = func() {
		w.env.SignalWorkflowSkippingWorkflowTask(contract.SignalControl, contract.Control{Stop: true, Reason: patching.ReasonCancelled, Why: "alarm"})
	}
	w.env.ExecuteWorkflow(contract.WaveWorkflow, in)
	require.True(t, continued(t, w.env.GetWorkflowError(), &in))
	require.True(t, in.Control.Stop)
}

// continued reports whether a run ended by continuing as new, and takes the
// state that it passed on.
func continued[T any](t *testing.T, err error, state *T) bool {
	t.Helper()
	var next *workflow.ContinueAsNewError
	if !errors.As(err, &next) {
		return false
	}
	var carried T // nothing of the run before may shine through
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(next.Input, &carried))
	*state = carried
	return true
}
