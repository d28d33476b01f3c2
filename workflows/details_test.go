package workflows_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	sdkpb "go.temporal.io/api/sdk/v1"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// details is what the workflow's page shows now.
func (w *world) details(t *testing.T) string {
	t.Helper()
	got, err := w.env.QueryWorkflow("__temporal_workflow_metadata")
	require.NoError(t, err)
	var page sdkpb.WorkflowMetadata
	require.NoError(t, got.Get(&page))
	return page.GetCurrentDetails()
}

// Serves U1, U2, G5: where a change manager decides, the page says what changed,
// how well the test ring mirrors the rest, how it will go, and who stands in.
func TestThePageThatAsksForApprovalSaysWhatPeopleDecideBy(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		page := w.details(t)
		require.Contains(t, page, "Test ring: the mirror of plan 1\n")
		require.Contains(t, page, "Forecast when it was made: the forecast of plan 1\n")
		require.NotContains(t, page, "Since the plan before", "there is none")
		require.Contains(t, page, "- ring **test**, 4 machines: not begun\n  - "+standIns+"\n")
		w.approve("ben")
	})
	w.whenPhase(patching.PhaseTest, func() {
		w.whenPhase(patching.PhaseApproval, func() {
			require.Contains(t, w.details(t), "Since the plan before: the change of plan 2\n")
			w.approve("ben")
		})
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
}
