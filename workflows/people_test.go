package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves U1, G6.
func TestAnApprovalCountsOnceOnlyForThePlanItNamesAndNeverFromTheAuthor(t *testing.T) {
	w := newWorld(t)
	w.people["ana"] = true
	w.rules.Approval.Quorum = 2
	var author, wrong, first, twice, second *answer
	w.whenPhase(patching.PhaseApproval, func() {
		author = w.approve("ana")
		wrong = w.act(contract.VerbApprove, "ben", contract.Act{Plan: patching.DigestOf([]byte("another plan"))})
		first = w.approve("ben")
		w.at(time.Minute, func() { twice = w.approve("ben") })
		w.at(2*time.Minute, func() { second = w.approve("cleo") })
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedSuccessful, out.ClosedAs)
	require.False(t, author.Accepted)
	require.Contains(t, author.Words, "author")
	require.False(t, author.NotNow, "it is for who sent it")
	require.ErrorContains(t, wrong.refused, "look at it again")
	require.True(t, first.Accepted)
	require.Contains(t, first.Words, "1 of 2")
	require.False(t, twice.Accepted)
	require.True(t, twice.NotNow)
	require.Contains(t, twice.Words, "counts once")
	require.True(t, second.Accepted)
}

// Serves U1, U4: the night on which the second approver cannot be reached.
func TestWhoApprovedAsUsualCanStillBreakTheGlassAndOnce(t *testing.T) {
	w := newWorld(t)
	w.rules.Approval.Quorum, w.quorum, w.glass = 2, 2, 2
	sign := func(who patching.AccountName, why string) *answer {
		return w.act(contract.VerbApprove, who, contract.Act{Plan: w.hash(), Signature: "signed", BreakGlass: why})
	}
	var usual, broken, again, enough *answer
	w.whenPhase(patching.PhaseApproval, func() {
		usual = sign("ben", "")
		w.at(time.Minute, func() { broken = sign("ben", "exploited tonight") })
		w.at(2*time.Minute, func() { again = sign("ben", "exploited tonight") })
		w.at(3*time.Minute, func() { enough = sign("cleo", "exploited tonight") })
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.True(t, usual.Accepted)
	require.True(t, broken.Accepted, broken.Words)
	require.Contains(t, broken.Words, "1 of 2")
	require.False(t, again.Accepted)
	require.Contains(t, again.Words, "counts once")
	require.Contains(t, enough.Words, "has the approvals that it needs")
}

// Serves G6: what is put on record as counted has counted.
func TestApprovalsThatComeAtOnceAreJudgedOneAfterTheOther(t *testing.T) {
	w := newWorld(t)
	w.rules.Approval.Quorum = 2
	w.slowJudgement(time.Minute)
	var first, twice, second *answer
	w.whenPhase(patching.PhaseApproval, func() {
		first = w.approve("ben")
		w.at(time.Second, func() { twice = w.approve("ben") })
		w.at(10*time.Minute, func() { second = w.approve("cleo") })
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.True(t, first.Accepted)
	require.False(t, twice.Accepted)
	require.Contains(t, twice.Words, "counts once")
	require.True(t, second.Accepted)
	require.Contains(t, second.Words, "has the approvals that it needs")
}

// Serves U1: a signal is on the same path; its answer stands in the details.
func TestASignalApprovesAndAnUnauthorisedOneIsAnsweredInWords(t *testing.T) {
	w := newWorld(t)
	w.signals = []patching.AccountName{"mallory", "ben"}
	w.whenPhase(patching.PhaseApproval, func() {
		w.env.SignalWorkflow("approve", contract.Act{Plan: w.hash()})
		w.at(time.Minute, func() {
			last := w.saved[len(w.saved)-1]
			require.Equal(t, patching.PhaseApproval, last.Phase)
			require.Contains(t, last.Notes[0], "mallory does not count")
			w.env.SignalWorkflow("approve", contract.Act{Plan: w.hash()})
		})
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
}

// A signal cannot name a request of our API: it would borrow its sender.
func TestASignalCannotBorrowAnAuthenticatedRequest(t *testing.T) {
	w := newWorld(t)
	w.signals = []patching.AccountName{"mallory"}
	w.rules.Approval.Expire = 3 * time.Hour
	w.whenPhase(patching.PhaseApproval, func() {
		w.env.SignalWorkflow("approve", contract.Act{Plan: w.hash(), Request: "ben"})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
}

// Serves U1, G3: reminders, an escalation, an expiry that never approves.
func TestNobodyApprovingIsRemindedEscalatedAndExpires(t *testing.T) {
	w := newWorld(t)
	out := w.run(t, contract.CycleState{})
	require.Equal(t, []string{"remind", "escalate"}, w.reminds)
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Equal(t, 4, out.Outcomes[patching.Patched], "the test ring had its pre-approval")
	require.Equal(t, patching.ReasonNotApproved, w.machines[51].reason)
}

func TestARejectedPlanIsNotDeployedAndNeedsAReason(t *testing.T) {
	w := newWorld(t)
	var bare *answer
	w.whenPhase(patching.PhaseApproval, func() {
		bare = w.act(contract.VerbReject, "ben", contract.Act{Plan: w.hash()})
		w.act(contract.VerbReject, "ben", contract.Act{Plan: w.hash(), Reason: "quarter end"})
	})
	out := w.run(t, contract.CycleState{})
	require.ErrorContains(t, bare.refused, "needs a reason")
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Equal(t, 48, out.Outcomes[patching.Deferred])
}

func TestAPlanThatIsSentBackIsMadeAgainAndOldVotesDoNotCount(t *testing.T) {
	w := newWorld(t)
	w.rules.Approval.Quorum = 2
	w.whenPhase(patching.PhaseApproval, func() {
		w.approve("ben")
		w.act(contract.VerbSendBack, "cleo", contract.Act{Plan: w.hash(), Reason: "leave the printers out"})
		w.at(time.Hour, func() { w.approve("cleo") })
		w.at(2*time.Hour, func() {
			require.Equal(t, patching.PhaseApproval, w.saved[len(w.saved)-1].Phase, "ben's vote was for the plan before")
			w.approve("ben")
		})
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.Contains(t, w.events, "plan 3")
}

func TestAPauseStartsNothingMoreUntilItIsResumed(t *testing.T) {
	w := newWorld(t)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.whenPhase(patching.PhaseDeploy, func() {
		w.act(contract.VerbPause, "olga", contract.Act{Reason: "network works"})
		w.at(20*time.Hour, func() {
			require.Zero(t, w.count("broad", patching.Patched))
			w.act(contract.VerbResume, "olga", contract.Act{})
		})
	})
	require.Equal(t, 52, w.run(t, contract.CycleState{}).Outcomes[patching.Patched])
}

// A pause starts nothing: no download either.
func TestAPausedWaveFetchesNoPackagesBeforeItIsResumed(t *testing.T) {
	w := newWorld(t)
	w.opened = w.env.Now()
	in := w.waveInput("broad", "berlin", 4)
	in.Control = contract.Control{Paused: true, Why: "network works"}
	w.at(5*time.Hour, func() {
		for _, m := range w.machines {
			require.Equal(t, patching.DeploymentPlanned, m.state)
		}
		w.env.SignalWorkflow(contract.SignalControl, contract.Control{})
	})
	w.env.ExecuteWorkflow(contract.WaveWorkflow, in)
	require.NoError(t, w.env.GetWorkflowError())
	require.Equal(t, 20, w.count("broad", patching.Patched))
}

// reliability.md scenario 36: what has started ends, what has not never starts.
func TestAStopWithdrawsWhatHasNotStartedAndLetsTheRestFinish(t *testing.T) {
	w := newWorld(t)
	w.rings[2].Parallel = 1
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	var stop func()
	stop = func() {
		w.mu.Lock()
		begun := false
		for _, m := range w.machines[12:] {
			begun = begun || m.batch > 0
		}
		w.mu.Unlock()
		if begun {
			w.act(contract.VerbStop, "olga", contract.Act{Reason: "alarm"})
			return
		}
		w.at(10*time.Second, stop)
	}
	w.at(time.Minute, stop)
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
	require.Less(t, w.count("broad", patching.Patched), 21, "the second wave of the ring never began")
	require.Positive(t, w.count("broad", patching.Deferred))
}

// What moved on while somebody found out who had sent it is no lack of a right.
func TestAnActThatTheCycleOvertookIsRefusedForHowItStands(t *testing.T) {
	w := newWorld(t)
	w.slowJudgement(time.Minute)
	var late, behind *answer
	w.whenPhase(patching.PhaseApproval, func() {
		w.act(contract.VerbStop, "olga", contract.Act{Reason: "alarm"})
		w.at(time.Second, func() { late = w.act(contract.VerbPause, "olga", contract.Act{Reason: "network works"}) })
		w.at(2*time.Second, func() { behind = w.approve("ben") })
	})
	require.Equal(t, patching.ClosedCancelled, w.run(t, contract.CycleState{}).ClosedAs)
	for _, a := range []*answer{late, behind} {
		require.NoError(t, a.refused)
		require.False(t, a.Accepted)
		require.True(t, a.NotNow)
		require.Contains(t, a.Words, "does not count")
	}
}

func TestAVerbInTheWrongPhaseIsRefusedInWords(t *testing.T) {
	w := newWorld(t)
	var early *answer
	w.whenPhase(patching.PhaseTest, func() { early = w.approve("ben") })
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.run(t, contract.CycleState{})
	require.ErrorContains(t, early.refused, `the cycle is in phase "test"`)
}
