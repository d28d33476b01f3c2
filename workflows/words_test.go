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
