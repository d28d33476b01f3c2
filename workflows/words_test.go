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
