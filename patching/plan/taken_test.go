package plan_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

func TestWhoWasTakenFromACycleStaysOutOfItsNextPlan(t *testing.T) {
	row := func(id string, ring patching.RingName, s patching.DeploymentState, o patching.Outcome, r, exclude patching.Reason) patching.Deployment {
		return patching.Deployment{
			PlanItem: patching.PlanItem{Asset: patching.AssetID(id), Ring: ring, Exclude: exclude}, State: s, Outcome: o, Reason: r, Detail: "by olga",
		}
	}
	out := plan.TakenOut([]patching.Deployment{
		row("removed", "rest", patching.DeploymentDone, patching.Deferred, patching.ReasonRemoved, ""),
		row("left-before", "", patching.DeploymentDone, patching.Deferred, patching.ReasonTakenOver, patching.ReasonTakenOver),
		row("waits", "rest", patching.DeploymentPlanned, "", "", ""),
		row("failed", "test", patching.DeploymentDone, patching.Failed, patching.ReasonInstallFailed, ""),
		row("up-to-date", "", patching.DeploymentDone, patching.AlreadyUpToDate, patching.ReasonNothingMissing, patching.ReasonNothingMissing),
	})
	require.Equal(t, map[patching.AssetID]plan.Leave{
		"removed":     {Reason: patching.ReasonRemoved, Why: "by olga"},
		"left-before": {Reason: patching.ReasonTakenOver, Why: "by olga"},
	}, out)
}
