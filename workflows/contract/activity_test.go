package contract_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Every heartbeat is a state transition: a cycle over 500 sites that waits for a
// week may not spend its 200,000 on them (design.md 7).
func TestHeartbeatsAreScaledToTheWait(t *testing.T) {
	for wait, want := range map[time.Duration]time.Duration{
		0:                  10 * time.Second,
		time.Minute:        10 * time.Second,
		10 * time.Minute:   15 * time.Second,
		30 * time.Minute:   45 * time.Second,
		2 * time.Hour:      3 * time.Minute,
		12 * time.Hour:     5 * time.Minute,
		7 * 24 * time.Hour: 5 * time.Minute,
	} {
		require.Equal(t, want, contract.HeartbeatFor(wait), "a wait of %s", wait)
	}
	rapid.Check(t, func(t *rapid.T) {
		a := time.Duration(rapid.Int64Range(0, int64(30*24*time.Hour)).Draw(t, "a wait"))
		b := time.Duration(rapid.Int64Range(int64(a), int64(30*24*time.Hour)).Draw(t, "a longer one"))
		beat := contract.HeartbeatFor(a)
		if beat > contract.HeartbeatFor(b) {
			t.Fatalf("%s beats every %s, %s more often", a, beat, b)
		}
		if beat < 10*time.Second || beat > 5*time.Minute {
			t.Fatalf("%s beats every %s", a, beat)
		}
		if beat < 5*time.Minute && a/beat > 40 {
			t.Fatalf("%s takes %d beats", a, a/beat)
		}
	})
}

// Waits must not keep quick work from its slots, and a worker that dies must be
// noticed: how soon depends on the kind of work.
func TestWorkWaitsOnItsQueueAndIsNoticedMissing(t *testing.T) {
	seen := map[string]activity.Info{}
	note := func(ctx context.Context) { seen[activity.GetInfo(ctx).ActivityType.Name] = activity.GetInfo(ctx) }
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	contract.Remind.Register(env, func(ctx context.Context, _ contract.RemindIn) (contract.None, error) {
		note(ctx)
		return contract.None{}, nil
	})
	contract.MakePlan.Register(env, func(ctx context.Context, _ contract.MakePlanIn) (contract.PlanSummary, error) {
		note(ctx)
		return contract.PlanSummary{}, nil
	})
	contract.AwaitTally.Register(env, func(ctx context.Context, _ contract.AwaitTallyIn) (contract.Tallies, error) {
		note(ctx)
		return contract.Tallies{Slice: patching.Tally{Planned: 3}}, nil
	})
	env.ExecuteWorkflow(func(ctx workflow.Context) (int, error) {
		if _, err := contract.Remind.Run(ctx, "", contract.RemindIn{}); err != nil {
			return 0, err
		}
		if _, err := contract.MakePlan.Run(ctx, "", contract.MakePlanIn{}); err != nil {
			return 0, err
		}
		t, err := contract.AwaitTally.Start(ctx, "", contract.AwaitTallyIn{}, 2*time.Hour).Get(ctx)
		return t.Slice.Planned, err
	})
	var planned int
	require.NoError(t, env.GetWorkflowResult(&planned))
	require.Equal(t, 3, planned, "a typed future gives the typed value")

	quick, bulk, waiting := seen["Remind"], seen["MakePlan"], seen["AwaitTally"]
	require.Equal(t, contract.QueueCycles, quick.TaskQueue)
	require.Equal(t, 10*time.Second, quick.StartToCloseTimeout)
	require.Zero(t, quick.HeartbeatTimeout, "it is over before a heart could beat")
	require.Equal(t, contract.QueueCycles, bulk.TaskQueue)
	require.Equal(t, 15*time.Second, bulk.HeartbeatTimeout)
	require.Equal(t, contract.QueueWaits, waiting.TaskQueue)
	require.Equal(t, 2*time.Hour+5*time.Minute, waiting.StartToCloseTimeout)
	require.Equal(t, contract.HeartbeatFor(2*time.Hour), waiting.HeartbeatTimeout)
}
