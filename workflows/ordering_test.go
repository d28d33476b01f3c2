package workflows_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// A server refuses a signal to a workflow that has not begun. The world counts
// such signals in every test (see [world.lost]); here one is provoked.
func TestWhatIsSaidWhileAWaveStartsIsToldToItAfterItsStart(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	in := w.ringInput("early")
	w.onList = func() { // in the same workflow task as the page of waves
		w.env.SignalWorkflowSkippingWorkflowTask(contract.SignalControl, contract.Control{Paused: true, Why: "network works"})
	}
	w.at(20*time.Hour, func() {
		require.Zero(t, w.released("early"), "both waves were told before their first batch")
		w.env.SignalWorkflow(contract.SignalControl, contract.Control{})
	})
	out := w.runRing(t, in)
	require.Empty(t, w.lost)
	require.Equal(t, patching.Proceed, out.Decision.Verb)
	require.Equal(t, 8, w.count("early", patching.Patched))
}

// The store's record is what a lost engine is rebuilt from: of two saves the
// newer has to be the last, however long the older one takes.
func TestTheStateThatIsSavedLastIsTheNewest(t *testing.T) {
	w := newWorld(t)
	w.late(func(in contract.SaveStateIn) bool { // the one by which the vote is kept
		return in.State.Phase == patching.PhaseApproval && len(in.State.Votes) > 0
	})
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	story := []patching.Phase{
		patching.PhaseMonitor, patching.PhaseAssess, patching.PhasePlan, patching.PhaseTest, patching.PhaseApproval,
		patching.PhaseDeploy, patching.PhaseVerify, patching.PhaseCleanUp, patching.PhaseReport, patching.PhaseClosed,
	}
	last := 0
	for _, s := range w.saved {
		at := slices.Index(story, s.Phase)
		require.GreaterOrEqual(t, at, last, "%s was saved after %s", s.Phase, story[last])
		last = at
	}
}

// The n-th signal of a name is looked up in history: one that cannot be read
// still has to count, or the next would be laid to its sender.
func TestASignalThatCannotBeReadDoesNotLendItsSenderToTheNextOne(t *testing.T) {
	w := newWorld(t)
	w.signals = []patching.AccountName{"ben", "mallory"} // mallory may not approve
	w.rules.Approval.Expire = 12 * time.Hour
	w.whenPhase(patching.PhaseApproval, func() {
		w.env.SignalWorkflow("approve", "yes, of course")
		w.at(time.Minute, func() { w.env.SignalWorkflow("approve", contract.Act{Plan: w.hash()}) })
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	notes := w.saved[len(w.saved)-1].Notes
	require.Len(t, notes, 2)
	require.Contains(t, notes[0], "could not be read")
	require.Contains(t, notes[1], "mallory does not count")
}

// Whatever text a signal carries, the page stays one that the UI shows.
func TestAnswersOnThePageAreShort(t *testing.T) {
	w := newWorld(t)
	w.signals = []patching.AccountName{"olga", "olga"}
	w.whenPhase(patching.PhaseApproval, func() {
		long := make([]rune, 100_000)
		for i := range long {
			long[i] = 'ä'
		}
		w.env.SignalWorkflow("pause", contract.Act{Reason: string(long)})
		w.at(time.Minute, func() { w.env.SignalWorkflow("stop", contract.Act{Reason: "enough"}) })
	})
	w.run(t, contract.CycleState{})
	notes := w.saved[len(w.saved)-1].Notes
	require.Len(t, notes, 2)
	require.Less(t, len(notes[0]), 600)
}
