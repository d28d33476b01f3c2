package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// signing makes a world in which machines obey what people signed, for these rings so far.
func signing(t *testing.T, held ...patching.RingName) *world {
	w := newWorld(t)
	w.quorum, w.held = 1, map[patching.RingName]bool{}
	for _, r := range held {
		w.held[r] = true
	}
	return w
}

// rebuilt is a cycle of the world with which a new engine goes on; the rings that are named
// have begun, and all but the last are done if it is at work.
func (w *world) rebuilt(phase patching.Phase, atWork bool, begun ...patching.RingName) contract.CycleState {
	w.opened, w.revision = w.env.Now(), 2
	plan, _ := w.plan(contract.MakePlanIn{Revision: 2})
	s := contract.CycleState{
		ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana", Phase: phase, Rules: w.rules,
		Opened: w.opened, CloseBy: w.opened.Add(w.rules.CloseAfter), Plan: plan, Cleared: []patching.RingName{"early"},
	}
	for i, name := range begun {
		last := i == len(begun)-1
		s.Rings = append(s.Rings, contract.RingState{Name: name, Ended: !atWork || !last})
		for _, m := range w.machines {
			if m.ring == name && s.Rings[i].Ended {
				m.state, m.batch, m.ended = patching.DeploymentDone, 1, patching.Patched
			}
		}
	}
	w.events = nil
	return s.BeginEpoch(2)
}

// signAs approves what is asked for with a signature.
func (w *world) signAs(who patching.AccountName) *answer {
	return w.act(contract.VerbApprove, who, contract.Act{Plan: w.hash(), Signature: "signed"})
}

// Serves U1, Q15: a ring that begins without asking got no signature after an epoch, and
// its machines said so one by one.
func TestAfterAnEpochARingThatFollowsWithoutAskingIsSignedForAgain(t *testing.T) {
	w := signing(t)
	state := w.rebuilt(patching.PhaseDeploy, false, "test", "early")
	w.whenPhase(patching.PhaseApproval, func() {
		require.Zero(t, w.released("broad"), "its machines would refuse")
		words := workflows.Words(w.saved[len(w.saved)-1])
		require.Contains(t, words, "once more (the server began anew after people had signed for ring broad; it covers the way back of 2 rings too)")
		w.signAs("ben")
	})
	out := w.run(t, state)
	require.Equal(t, patching.ClosedSuccessful, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, out.Outcomes)
	require.Equal(t, [][]patching.RingName{{"test", "early", "broad"}}, w.asked, "one signature over all of them, the way back too")
	require.Nil(t, w.saved[len(w.saved)-1].Regrant)
}

func TestAfterAnEpochTheRingAtWorkAndThoseBehindItAreSignedForTogether(t *testing.T) {
	w := signing(t, "test") // by a pre-approval of the new epoch
	state := w.rebuilt(patching.PhaseDeploy, true, "test", "early")
	w.whenPhase(patching.PhaseApproval, func() {
		require.Zero(t, w.released("early"))
		w.at(2*time.Hour, func() { w.signAs("ben") })
	})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, w.run(t, state).Outcomes)
	require.Equal(t, [][]patching.RingName{{"early", "broad"}}, w.asked)
}

// The policy's own questions stay: who signs again does not sign for a ring that waits for
// its own approval.
func TestARingThatAsksForItselfIsNotSignedForWithTheOthers(t *testing.T) {
	w := signing(t, "test")
	w.rings[1].Approve, w.rings[2].Approve = true, true
	state := w.rebuilt(patching.PhaseDeploy, true, "test", "early")
	w.whenPhase(patching.PhaseApproval, func() { w.signAs("ben") })
	w.whenPhase(patching.PhaseDeploy, func() {
		w.whenPhase(patching.PhaseApproval, func() { w.signAs("cleo") })
	})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, w.run(t, state).Outcomes)
	require.Equal(t, [][]patching.RingName{{"early"}, {"broad"}}, w.asked)
}

// Serves G5: the test ring is tested before anybody signs for the others.
func TestAfterAnEpochATestRingAtWorkIsSignedForAlone(t *testing.T) {
	w := signing(t)
	state := w.rebuilt(patching.PhaseTest, true, "test")
	w.whenPhase(patching.PhaseApproval, func() { w.signAs("ben") })
	w.whenPhase(patching.PhaseTest, func() {
		w.whenPhase(patching.PhaseApproval, func() {
			require.Equal(t, 4, w.count("test", patching.Patched))
			w.signAs("ben")
		})
	})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, w.run(t, state).Outcomes)
	require.Equal(t, [][]patching.RingName{{"test"}, {"early", "broad"}}, w.asked)
	require.Contains(t, w.events, "plan 3", "the plan is made again after the test")
}

// Whose signature was void was told that they count once, and nobody could approve.
func TestAfterAnEpochWhoHadSignedSignsAgain(t *testing.T) {
	w := signing(t, "test")
	w.quorum = 2
	state := w.rebuilt(patching.PhaseApproval, false, "test")
	state.Cleared, state.Asked = nil, w.env.Now()
	state.Votes = []patching.Approval{{Plan: state.Plan.Hash, Account: "ben", Verdict: patching.Approve, Paper: patching.DigestOf([]byte("of epoch 1"))}}
	state.Signed = &contract.SignedVotes{Plan: state.Plan.Hash, Persons: 1, Quorum: 2}
	state = state.BeginEpoch(2)
	require.Empty(t, state.Votes)
	var first, second *answer
	w.whenPhase(patching.PhaseApproval, func() {
		first = w.signAs("ben")
		w.at(time.Minute, func() { second = w.signAs("cleo") })
	})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, w.run(t, state).Outcomes)
	require.True(t, first.Accepted, first.Words)
	require.True(t, second.Accepted, second.Words)
}

func TestVotesOnTheServersWordOutliveAnEpoch(t *testing.T) {
	s := contract.CycleState{Votes: []patching.Approval{{Account: "ben"}}, Asked: night}
	require.Equal(t, contract.CycleState{Votes: s.Votes, Asked: night, Epoch: 7}, s.BeginEpoch(7))
}

func TestWhatHoldsIsNotAskedForTwice(t *testing.T) {
	w := signing(t, "test")
	w.whenPhase(patching.PhaseApproval, func() { w.signAs("ben") })
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.Equal(t, [][]patching.RingName{{"early", "broad"}}, w.asked)
	require.Equal(t, 4, w.checks, "before each ring, and before people are asked")

	counted := newWorld(t)
	counted.whenPhase(patching.PhaseApproval, func() { counted.approve("ben") })
	require.Equal(t, patching.ClosedSuccessful, counted.run(t, contract.CycleState{}).ClosedAs)
	require.Zero(t, counted.checks, "nobody signs there")
}

// What is at work when its engine is lost ends, whatever people say then.
func TestMachinesAtWorkAreWaitedForIfNobodySignsAgain(t *testing.T) {
	w := signing(t, "test")
	state := w.rebuilt(patching.PhaseDeploy, true, "test", "early")
	for _, m := range w.machines {
		if m.id == "early-0" {
			m.state, m.batch, m.released = patching.DeploymentReleased, 1, w.env.Now().Add(time.Hour) // and five minutes later it is done
		}
	}
	w.whenPhase(patching.PhaseApproval, func() {
		w.at(time.Hour, func() { w.act(contract.VerbStop, "olga", contract.Act{Reason: "alarm"}) })
	})
	out := w.run(t, state)
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 5, patching.Deferred: 47}, out.Outcomes)
	require.Empty(t, w.asked)
}

// design.md 7: a run from before goes on as it began.
func TestARunThatBeganBeforeCyclesAskedAgainDoesNot(t *testing.T) {
	w := signing(t)
	w.env.OnGetVersion("cycles-ask-again", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	w.env.OnGetVersion(mock.Anything, workflow.DefaultVersion, workflow.Version(1)).Return(workflow.Version(1))
	state := w.rebuilt(patching.PhaseDeploy, false, "test", "early")
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, w.run(t, state).Outcomes)
	require.Zero(t, w.checks)
	require.Empty(t, w.asked)
}
