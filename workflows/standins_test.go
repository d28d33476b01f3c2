package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

const standIns = "its 3 machines are already up to date; 4 machines of ring early stand in"

// standing makes a world in which others stand in for the test ring's machines.
func standing(t *testing.T) *world {
	w := newWorld(t)
	w.rings[0].StandIns, w.rings[0].Approve, w.rings[1].Approve = standIns, true, true
	return w
}

// Serves U1, G5, G6: a pre-approval is for the machines that the policy selects.
// Those that stand in for them wait for an approval, and the rest for its own.
func TestTheCycleAsksBeforeItsTestRingWhereOthersStandIn(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		require.Zero(t, w.released("test"), "nobody has agreed to these machines")
		words := workflows.Words(w.saved[len(w.saved)-1])
		require.Contains(t, words, "before the test ring begins ("+standIns+")")
		w.at(2*time.Hour, func() { w.approve("ben") })
	})
	w.whenPhase(patching.PhaseTest, func() {
		require.Contains(t, workflows.Words(w.saved[len(w.saved)-1]), standIns)
		w.whenPhase(patching.PhaseApproval, func() {
			require.Equal(t, 4, w.count("test", patching.Patched))
			require.Zero(t, w.released("early"), "the approval before the test was for the test")
			require.NotContains(t, workflows.Words(w.saved[len(w.saved)-1]), "before the test ring")
			w.approve("cleo")
		})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedSuccessful, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, out.Outcomes)
	require.Equal(t, []string{"plan 1", "collect test", "plan 2", "collect early", "collect broad", "collect ", "clean ", "report"}, w.events)
	require.Equal(t, []int{0, 1, 2}, w.moved, "windows may have passed while the test ring waited for its approval, too")
}

func TestStandInsThatNobodyWantsAreNotTouched(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		w.act(contract.VerbReject, "ben", contract.Act{Plan: w.hash(), Reason: "not on these"})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Deferred: 52}, out.Outcomes)
	require.Equal(t, []string{"plan 1", "report"}, w.events)
}

func TestAPlanThatIsSentBackBeforeItsTestRingAsksAgainBeforeIt(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		w.act(contract.VerbSendBack, "cleo", contract.Act{Plan: w.hash(), Reason: "who agreed to these?"})
		w.at(time.Hour, func() {
			require.Equal(t, 2, w.revision)
			require.Zero(t, w.released("test"))
			w.approve("ben")
		})
	})
	w.whenPhase(patching.PhaseTest, func() {
		w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.Contains(t, w.events, "plan 3")
}

// What cannot be tested any more is not patched: the cycle closes, and the next
// one takes its machines.
func TestATestRingWithoutAWindowLeftEndsTheCycleUntested(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		w.broken[contract.Reschedule.Name] = errors.New("51 machines would be patched untested")
		w.approve("ben")
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Deferred: 52}, out.Outcomes)
	require.Contains(t, w.saved[len(w.saved)-1].Ending.Why, "untested")
}

// Nothing is installed in shadow mode, so nobody is asked.
func TestAShadowCycleDoesNotAskForItsStandIns(t *testing.T) {
	w := standing(t)
	w.run(t, contract.CycleState{Shadow: true})
	for _, s := range w.saved {
		require.NotEqual(t, patching.PhaseApproval, s.Phase)
	}
	require.Contains(t, w.events, "plan 2")
}
