package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves Q1, Q2, G5, G8.
func TestACycleGoesFromMonitoringToTheReportAndPatchesRingAfterRing(t *testing.T) {
	w := newWorld(t)
	w.whenPhase(patching.PhaseApproval, func() {
		require.Equal(t, 4, w.count("test", patching.Patched), "the test ring is done before people are asked")
		require.Zero(t, w.count("early", patching.Patched), "nothing else is patched before approval")
		w.approve("ben")
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedSuccessful, out.ClosedAs)
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, out.Outcomes)
	require.Equal(t, "report.html", out.Report)
	require.Equal(t, 1, w.synced, "feeds are brought up to date once, Serves G1")
	require.Equal(t, []string{"plan 1", "collect test", "plan 2", "collect early", "collect broad", "collect ", "clean ", "report"}, w.events)
}

// Serves G5.
func TestAFailureInTheTestRingHaltsTheCycleBeforeAnyoneIsAsked(t *testing.T) {
	w := newWorld(t)
	for _, m := range w.machines[:2] {
		m.outcome, m.sign = patching.Failed, "nginx: postinst"
	}
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, 48, out.Outcomes[patching.Deferred], "no machine outside the test ring was touched")
	require.Equal(t, 2, w.count("test", patching.RolledBack))
	require.NotContains(t, w.events, "plan 2")
}

// Serves G9, Q4.
func TestAHaltInALaterRingRollsBackByPolicyNewestRingFirst(t *testing.T) {
	for scope, want := range map[policy.OnHalt]struct {
		rolledBack, patched int
		as                  patching.ClosedAs
	}{
		policy.RollBackAffected: {2, 6, patching.ClosedWithExceptions},
		policy.RollBackRing:     {8, 0, patching.ClosedBackedOut},
		policy.RollBackNothing:  {0, 6, patching.ClosedWithExceptions},
	} {
		t.Run(string(scope), func(t *testing.T) {
			w := newWorld(t)
			w.rules.OnHalt = scope
			for _, m := range w.machines[4:6] {
				m.outcome, m.sign = patching.Failed, "nginx: postinst"
			}
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			out := w.run(t, contract.CycleState{})
			require.Equal(t, want.as, out.ClosedAs)
			require.Equal(t, want.rolledBack, w.count("early", patching.RolledBack))
			require.Equal(t, want.patched, w.count("early", patching.Patched))
			require.Equal(t, 40, w.count("broad", patching.Deferred), "the next ring never began")
			require.Equal(t, 4, w.count("test", patching.Patched), "a ring that passed its gate stays")
		})
	}
}

// Serves G9: a person's roll-back covers every ring, newest first.
func TestAPersonCanRollTheWholeCycleBack(t *testing.T) {
	w := newWorld(t)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.whenPhase(patching.PhaseDeploy, func() {
		w.act(contract.VerbRollBack, "olga", contract.Act{Reason: "orders fail"})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedBackedOut, out.ClosedAs)
	require.Zero(t, out.Outcomes[patching.Patched])
	var reverts []string
	for _, e := range w.events {
		if e == "revert early" || e == "revert test" {
			reverts = append(reverts, e)
		}
	}
	require.Equal(t, []string{"revert early", "revert test"}, reverts)
}

// Serves Q2: what an agent claims is not enough.
func TestAMachineWhoseInventoryDoesNotShowThePatchCountsAsFailedInItsRingsGate(t *testing.T) {
	w := newWorld(t)
	w.machines[0].lies, w.machines[1].lies = true, true
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, 48, out.Outcomes[patching.Deferred])
}

// Serves Q6: silence is never success.
func TestSilentMachinesEndAsUnreachableAndHoldNobodyUpForEver(t *testing.T) {
	w := newWorld(t)
	for _, m := range w.machines[20:23] {
		m.after = -1
	}
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, 3, out.Outcomes[patching.Unreachable])
	require.Equal(t, 49, out.Outcomes[patching.Patched])
}

// Serves Q6, Q15: a hold that lasts longer than machines may be silent ends nothing. Whom
// it kept from starting goes on when it is lifted, and so do the batches that come later.
func TestAHoldForLongerThanTheSilenceLimitEndsNoMachine(t *testing.T) {
	w := newWorld(t)
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.rings[1].Batch = 2
	w.whenPhase(patching.PhaseDeploy, func() { w.holdUntil = w.env.Now().Add(5 * w.rules.Silence) })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 52}, out.Outcomes)
	require.False(t, w.holdUntil.IsZero())
	for _, m := range w.machines[12:] {
		require.False(t, m.released.IsZero())
	}
}

// Serves U4 and G5: shadow mode plans and reports but installs nothing.
func TestShadowModeReleasesNothing(t *testing.T) {
	w := newWorld(t)
	out := w.run(t, contract.CycleState{ID: "cycle/p/2026-11.1", Kind: patching.Monthly, Policy: "p", Author: "ana", Shadow: true})
	require.Equal(t, map[patching.Outcome]int{patching.Deferred: 52}, out.Outcomes)
	for _, m := range w.machines {
		require.Zero(t, m.batch)
		require.Equal(t, patching.ReasonShadow, m.reason)
	}
}

// Serves Q1: a cycle is closed at its date, the remainder carried over by name.
func TestACycleClosesAtItsDateAndCarriesTheRemainderOver(t *testing.T) {
	w := newWorld(t)
	w.rules.CloseAfter = 3 * time.Hour
	w.rings[1].Soak = 12 * time.Hour
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, 40, out.Outcomes[patching.Deferred])
	require.Equal(t, patching.ReasonCarriedOver, w.machines[51].reason)
}

// design.md 6: silence is evidence of failure only while the path listened, and
// never triggers a roll-back.
func TestAHaltForSilenceRollsNothingBack(t *testing.T) {
	w := newWorld(t)
	w.rules.OnHalt = policy.RollBackRing
	for _, m := range w.machines[4:10] {
		m.after = -1
	}
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
	require.Equal(t, 6, w.count("early", patching.Unreachable))
	require.Equal(t, 2, w.count("early", patching.Patched))
	require.Zero(t, out.Outcomes[patching.RolledBack])
}

// A wave begins in its window, not before.
func TestAWaveWaitsForItsWindow(t *testing.T) {
	w := newWorld(t)
	w.windowAt = 6 * time.Hour
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	w.run(t, contract.CycleState{})
	for _, m := range w.machines {
		require.False(t, m.released.Before(w.opened.Add(6*time.Hour)), "%s was released early", m.id)
	}
}

// design.md 7: the state struct is the input; an engine that was lost is
// rebuilt from it.
func TestACycleGoesOnFromItsSavedStateInAnyPhase(t *testing.T) {
	first := newWorld(t)
	first.whenPhase(patching.PhaseApproval, func() { first.approve("ben") })
	first.run(t, contract.CycleState{})
	seen := map[patching.Phase]bool{}
	for _, state := range first.saved {
		if seen[state.Phase] || state.Phase.Terminal() {
			continue
		}
		seen[state.Phase] = true
		t.Run(string(state.Phase), func(t *testing.T) {
			w := newWorld(t)
			w.revision = state.Plan.Revision
			w.opened = w.env.Now()
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			out := w.run(t, state)
			require.Equal(t, len(w.machines), out.Outcomes[patching.Patched]+out.Outcomes[patching.Deferred])
		})
	}
	require.Len(t, seen, 9, "every phase but roll back and closed was saved")
}
