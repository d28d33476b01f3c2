package workflows_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

func (w *world) diagnose(in contract.SliceIn) (contract.DiagnoseOut, error) {
	w.note("diagnose " + string(in.Ring))
	out := contract.DiagnoseOut{Words: "Some machines failed.", Without: w.tally(in, w.env.Now())}
	for _, m := range w.in(in) {
		if m.path && m.ended == patching.Failed {
			out.Causes = 1
			out.Without.Outcomes[patching.Failed]--
			out.Without.Signatures = nil
		}
	}
	return out, nil
}

func (w *world) mend(in contract.SliceIn) (contract.MendOut, error) {
	var out contract.MendOut
	for _, m := range w.in(in) {
		if m.again != "" && m.tries == 0 && m.state.Terminal() {
			out.Again++
			if m.repair {
				out.Repair++
			}
		}
	}
	w.note("mend")
	return out, nil
}

func (w *world) tryAgain(in contract.SliceIn) (contract.ReleaseOut, error) {
	var out contract.ReleaseOut
	for _, m := range w.in(in) {
		if m.again != "" && m.tries == 0 && m.state.Terminal() {
			m.state, m.ended, m.released = patching.DeploymentReleased, "", w.env.Now()
			m.tries++
			out.Released++
		}
	}
	w.note("try again")
	return out, nil
}

// Serves Q4: a failed deployment is repaired and tried once more, in its window.
func TestWhatWasLeftHalfDoneIsRepairedAndTriedOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		again           patching.Outcome
		patched, failed int
	}{
		"and goes well":  {patching.Patched, 8, 0},
		"and fails then": {patching.NeedsHands, 7, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rules.Mend = true
			m := w.machines[5]
			m.outcome, m.sign, m.again, m.repair = patching.NeedsHands, "nginx: postinst", c.again, true
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			out := w.run(t, contract.CycleState{})
			require.Equal(t, 1, m.tries, "once, whatever comes of it")
			require.Equal(t, c.patched, w.count("early", patching.Patched))
			require.Equal(t, 40, w.count("broad", patching.Patched), "one bad machine halts nothing")
			require.Equal(t, 8-c.patched, out.Outcomes[patching.NeedsHands])
		})
	}
}

// Serves Q4: what the policy leaves to people, a halted ring and a window that is
// over are not tried again.
func TestNothingIsTriedAgainWhereItMustNot(t *testing.T) {
	for name, arrange := range map[string]func(*world){
		"the policy leaves it to people, or the cycle began before there was the rule": func(w *world) { w.rules.Mend = false },
		"the ring was halted": func(w *world) {
			for _, m := range w.machines[6:8] {
				m.outcome, m.sign = patching.Failed, "openssl: postinst"
			}
		},
		"the window is over": func(w *world) {
			w.windowIs = 4 * 60e9
			w.machines[5].after = 20 * 60e9
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rules.Mend = true
			m := w.machines[5]
			m.outcome, m.again, m.repair = patching.NeedsHands, patching.Patched, true
			arrange(w)
			in := w.ringInput("early")
			in.Mend = w.rules.Mend
			w.runRing(t, in)
			require.Zero(t, m.tries)
			require.NotContains(t, w.events, "try again")
		})
	}
}

// Serves Q5: a healthy ring is never rolled back because a relay died.
func TestARingThatARelayHaltedIsNotRolledBack(t *testing.T) {
	for name, path := range map[string]bool{"the relay's": true, "the patch's": false} {
		t.Run("failures are "+name, func(t *testing.T) {
			w := newWorld(t)
			w.rules.OnHalt = policy.RollBackRing
			for _, m := range w.machines[4:7] {
				m.outcome, m.sign, m.path = patching.Failed, "untrusted", path
			}
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			out := w.run(t, contract.CycleState{})
			require.Contains(t, w.events, "diagnose early")
			require.Equal(t, 40, w.count("broad", patching.Deferred), "it is halted all the same: somebody has to look")
			if !path {
				require.Equal(t, patching.ClosedBackedOut, out.ClosedAs)
				require.Equal(t, 8, w.count("early", patching.RolledBack))
				return
			}
			require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
			require.Zero(t, out.Outcomes[patching.RolledBack])
			last := w.saved[len(w.saved)-1]
			require.Contains(t, last.Ending.Why, "Some machines failed.", "people are told why")
			require.Equal(t, "Some machines failed.", last.Rings[1].Diagnosis)
		})
	}
}

// What stands in the way of knowing why is in the way of nothing else.
func TestARingIsJudgedAlsoWhenNobodyKnowsWhyMachinesFailed(t *testing.T) {
	w := newWorld(t)
	w.broken[contract.Diagnose.Name] = temporal.NewNonRetryableApplicationError("the bundle is gone", "gone", errors.New("gone"))
	w.machines[5].outcome = patching.Failed
	w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
	out := w.run(t, contract.CycleState{})
	require.Equal(t, 51, out.Outcomes[patching.Patched])
}
