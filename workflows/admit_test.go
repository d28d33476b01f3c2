package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

var two = contract.Act{Assets: []patching.AssetID{"new-1", "new-2"}, Reason: "installed last night"}

// Serves U1, Q15: what enters is asked about for itself, after all others.
func TestMachinesThatComeInAreAskedAboutAloneAndPatchedLast(t *testing.T) {
	for _, phase := range []patching.Phase{patching.PhaseTest, patching.PhaseApproval, patching.PhaseDeploy} {
		t.Run(string(phase), func(t *testing.T) {
			w := signing(t, "test")
			w.rings[1].Approve = true
			w.rules.Approval.Quorum = 1
			var in *answer
			approve := func() {
				w.whenPhase(patching.PhaseApproval, func() {
					w.signAs("ben")
					w.whenPhase(patching.PhaseDeploy, func() {
						w.whenPhase(patching.PhaseApproval, func() { w.signAs("cleo") })
					})
				})
			}
			w.whenPhase(phase, func() {
				in = w.act(contract.VerbAdmit, "olga", two)
				if phase == patching.PhaseApproval {
					approve()
				}
			})
			if phase != patching.PhaseApproval {
				approve()
			}
			out := w.run(t, contract.CycleState{})
			require.True(t, in.Accepted, in.Words)
			require.Equal(t, patching.ClosedSuccessful, out.ClosedAs)
			require.Equal(t, map[patching.Outcome]int{patching.Patched: 54}, out.Outcomes)
			require.Equal(t, [][]patching.RingName{{"early", "broad"}, {"added-1"}}, w.asked)
		})
	}
}

// Serves U1: nobody approves what they have brought in themselves.
func TestWhoeverBringsMachinesInDoesNotApprove(t *testing.T) {
	w := newWorld(t)
	w.rings[1].Approve = true
	var own, other *answer
	w.whenPhase(patching.PhaseApproval, func() {
		w.act(contract.VerbAdmit, "ben", two)
		w.at(time.Minute, func() { own = w.approve("ben") })
		w.at(2*time.Minute, func() { other = w.approve("cleo") })
		w.whenPhase(patching.PhaseDeploy, func() {
			w.whenPhase(patching.PhaseApproval, func() { w.approve("cleo") })
		})
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.False(t, own.Accepted)
	require.Contains(t, own.Words, "whoever brought machines into a cycle cannot approve it")
	require.True(t, other.Accepted)
}

func TestAnApprovalOfThePlanBeforeIsGivenAgain(t *testing.T) {
	w := newWorld(t)
	w.rules.Approval.Quorum = 2
	w.rings[1].Approve = true
	var in *answer
	w.whenPhase(patching.PhaseApproval, func() {
		w.approve("ben")
		w.at(time.Minute, func() { in = w.act(contract.VerbAdmit, "olga", two) })
		w.at(time.Hour, func() { w.approve("cleo") })
		w.at(2*time.Hour, func() {
			require.Zero(t, w.released("early"), "one of two has seen this plan")
			w.approve("ben")
			w.whenPhase(patching.PhaseDeploy, func() {
				w.whenPhase(patching.PhaseApproval, func() { w.approve("cleo"); w.approve("ben") })
			})
		})
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.Contains(t, in.Words, "have to be given again")
}

// A cycle waits for machines that are being brought in before it says that no ring is left.
func TestMachinesThatComeInWhileTheLastRingEndsDoNotMissTheCycle(t *testing.T) {
	w := newWorld(t)
	w.rings[1].Approve = true
	w.env.OnActivity(contract.AdmitMachines.Name, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in contract.AdmitIn) (contract.AdmitOut, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.admit(in)
		}).After(6 * time.Hour)
	w.whenPhase(patching.PhaseApproval, func() {
		w.approve("ben")
		w.whenPhase(patching.PhaseDeploy, func() {
			w.act(contract.VerbAdmit, "olga", two)
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
		})
	})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 54}, w.run(t, contract.CycleState{}).Outcomes)
}

// Serves U1: an approval that comes while another machine joins the ring that is asked
// about does not let that machine be patched, which nobody has seen.
func TestAMachineThatJoinsARingWhileItIsApprovedIsApprovedToo(t *testing.T) {
	w := newWorld(t)
	w.rings[1].Approve = true
	var late *answer
	w.env.OnActivity(contract.AdmitMachines.Name, mock.Anything, mock.Anything).
		Return(func(_ context.Context, in contract.AdmitIn) (contract.AdmitOut, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.admitted) == 0 {
				return w.admit(in)
			}
			require.True(t, in.State.Undecided("added-1"))
			w.revision = in.State.Plan.Revision + 1
			w.machines = append(w.machines, &machine{
				id: "late", ring: "added-1", site: "berlin", after: 5 * time.Minute, outcome: patching.Patched, state: patching.DeploymentPlanned,
			})
			out := contract.AdmitOut{Plan: in.State.Plan, Admitted: 1, Words: "It comes in."}
			out.Plan.Hash, out.Plan.Revision = w.hash(), w.revision
			return out, nil
		}).After(time.Hour)
	w.whenPhase(patching.PhaseApproval, func() {
		w.approve("ben")
		w.whenPhase(patching.PhaseDeploy, func() {
			w.act(contract.VerbAdmit, "olga", contract.Act{Assets: []patching.AssetID{"new-1"}, Reason: "installed last night"})
			w.whenPhase(patching.PhaseApproval, func() {
				w.act(contract.VerbAdmit, "olga", contract.Act{Assets: []patching.AssetID{"late"}, Reason: "this one too"})
				w.at(time.Minute, func() { w.approve("ben") })
				w.at(24*time.Hour, func() {
					require.Zero(t, w.released("added-1"), "nobody has seen the machine that came last")
					late = w.approve("ben")
				})
			})
		})
	})
	out := w.run(t, contract.CycleState{})
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 54}, out.Outcomes)
	require.NotNil(t, late, "the cycle was over before anybody had seen the machine that came last")
	require.True(t, late.Accepted, late.Words)
}

func TestMachinesDoNotComeIn(t *testing.T) {
	w := newWorld(t)
	w.rings[1].Approve = true
	var nameless, first, again, none *answer
	w.whenPhase(patching.PhaseApproval, func() {
		nameless = w.act(contract.VerbAdmit, "olga", contract.Act{Reason: "x"})
		first = w.act(contract.VerbAdmit, "olga", contract.Act{Plan: "x", Assets: two.Assets, Reason: two.Reason})
		again = w.act(contract.VerbAdmit, "olga", contract.Act{Plan: "y", Assets: two.Assets, Reason: two.Reason})
		w.at(time.Minute, func() { none = w.act(contract.VerbAdmit, "olga", two) })
		w.at(time.Hour, func() {
			w.approve("ben")
			w.whenPhase(patching.PhaseDeploy, func() {
				w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			})
		})
	})
	w.run(t, contract.CycleState{})
	require.ErrorContains(t, nameless.refused, "name the machines.")
	require.NotEqual(t, first.Accepted, again.Accepted, "one at a time")
	require.True(t, none.NotNow)
	require.Equal(t, "No machine comes in.", none.Words)
}

// Serves Q5: whoever stops a cycle does not wait for it.
func TestACycleThatEndsGivesUpBringingMachinesIn(t *testing.T) {
	w := newWorld(t)
	w.rings[1].Approve = true
	w.env.OnActivity(contract.AdmitMachines.Name, mock.Anything, mock.Anything).
		Return(contract.AdmitOut{}, nil).After(week)
	var in *answer
	w.whenPhase(patching.PhaseApproval, func() {
		w.approve("ben")
		w.whenPhase(patching.PhaseDeploy, func() {
			in = w.act(contract.VerbAdmit, "olga", two)
			w.at(time.Hour, func() { w.act(contract.VerbStop, "olga", contract.Act{Reason: "payroll"}) })
		})
	})
	require.Equal(t, patching.ClosedCancelled, w.run(t, contract.CycleState{}).ClosedAs)
	require.Less(t, w.closedAt.Sub(w.opened), 48*time.Hour)
	require.Equal(t, "No machine comes in: the cycle is ending.", in.Words)
}
