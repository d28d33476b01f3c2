package workflows

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
)

func TestARunThatBeganBeforeAChangeGoesOnInTheOldWay(t *testing.T) {
	ask := func(ctx workflow.Context) (bool, error) { return change("a-change").made(ctx), nil }
	for name, c := range map[string]struct {
		recorded workflow.Version
		want     bool
	}{
		"a run from before": {workflow.DefaultVersion, false},
		"a run from after":  {1, true},
	} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := suite.NewTestWorkflowEnvironment()
			env.OnGetVersion("a-change", workflow.DefaultVersion, workflow.Version(1)).Return(c.recorded)
			env.ExecuteWorkflow(ask)
			var made bool
			require.NoError(t, env.GetWorkflowResult(&made))
			require.Equal(t, c.want, made)
		})
	}
}
