package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G9, U1: who approves in Temporal's own pages reads it there.
func TestTheCyclesPageSaysWhereGoingBackLeads(t *testing.T) {
	s := contract.CycleState{Phase: patching.PhaseApproval, Author: "ana"}
	s.Plan = contract.PlanSummary{Hash: "sha256:0123456789abcdef", WayBack: "Every machine can return."}
	require.Contains(t, details(s), "\nGoing back: Every machine can return.\n")
	s.Plan.WayBack = ""
	require.NotContains(t, details(s), "Going back")
}

// Serves G14, U1.
func TestTheCyclesPageSaysWhatMachinesAnsweredToARehearsal(t *testing.T) {
	s := contract.CycleState{Phase: patching.PhaseApproval, Author: "ana"}
	s.Plan = contract.PlanSummary{Hash: "sha256:0123456789abcdef", Rehearsal: "Rehearsed on 5 machines."}
	require.Contains(t, details(s), "\nRehearsed on 5 machines.\n")
	s.Plan.Rehearsal = ""
	require.NotContains(t, details(s), "Rehearsed")
	s.Rehearsing = &contract.Rehearsing{Asked: 1}
	require.Contains(t, Words(s), "Asking 1 machine, one of each kind, what the plan would change there, until ")
}

// Serves U1, U2, Q15: who is asked reads for which rings, and how many others it takes.
func TestTheWordsOfAnApprovalNameItsRingsAndHowManyItTakes(t *testing.T) {
	s := contract.CycleState{Phase: patching.PhaseApproval, Author: "ana"}
	s.Plan = contract.PlanSummary{
		Hash: "sha256:0123456789abcdef", Signed: true, Quorum: 2, Unsigned: "no pre-approval is in force",
		Rings: []contract.RingSummary{{Name: "test", Assets: 1}, {Name: "early"}, {Name: "rest"}},
	}
	require.Contains(t, Words(s), " (ring test) by someone other than its author, ana, before the test ring begins (no pre-approval is in force): 0 of 2 approvals.")
	s.Phase = patching.PhaseTest
	require.Contains(t, Words(s), "as people approved")
	s.Phase = patching.PhaseApproval
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	s.Votes = make([]patching.Approval, 1)
	s.Rules.Approval.Quorum = 3
	require.Contains(t, Words(s), " (rings early, rest) by someone other than its author, ana: 1 of 3 approvals.")
	s.Signed = &contract.SignedVotes{Plan: s.Plan.Hash, Quorum: 1, BreakGlass: true}
	require.Contains(t, Words(s), ": 1 of 1 approvals.")
}
