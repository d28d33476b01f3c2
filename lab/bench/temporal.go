package main

import (
	"context"
	"fmt"
	"log/slog"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// countTemporal adds up what Temporal did for a cycle, rings and waves
// included. The server counts a state transition for each transaction on a
// workflow, and so for every heartbeat that reaches it.
func countTemporal(ctx context.Context, addr, token string, id patching.CycleID, machines int) (temporalCount, error) {
	c, err := client.DialContext(ctx, client.Options{
		HostPort: addr, Namespace: engine.DefaultNamespace, HeadersProvider: gate.Bearer(token),
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		return temporalCount{}, fmt.Errorf("connect to Temporal: %w", err)
	}
	defer c.Close()
	sum := temporalCount{Types: map[string]typeCount{}}
	ask := &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: engine.DefaultNamespace, Query: fmt.Sprintf("%s = %q", contract.AttrCycle.GetName(), string(id)),
	}
	for {
		page, err := c.ListWorkflow(ctx, ask)
		if err != nil {
			return sum, fmt.Errorf("list the workflows of %s: %w", id, err)
		}
		for _, e := range page.GetExecutions() {
			run := e.GetExecution()
			d, err := c.DescribeWorkflowExecution(ctx, run.GetWorkflowId(), run.GetRunId())
			if err != nil {
				return sum, fmt.Errorf("describe %s: %w", run.GetWorkflowId(), err)
			}
			sum.add(d.GetWorkflowExecutionInfo())
		}
		if ask.NextPageToken = page.GetNextPageToken(); len(ask.NextPageToken) == 0 {
			sum.PerMachine = float64(sum.Transitions) / float64(machines)
			return sum, nil
		}
	}
}

func (t *temporalCount) add(info *workflowpb.WorkflowExecutionInfo) {
	t.Workflows++
	t.Transitions += info.GetStateTransitionCount()
	t.Events += info.GetHistoryLength()
	t.Bytes += info.GetHistorySizeBytes()
	t.LongestEvents = max(t.LongestEvents, info.GetHistoryLength())
	of := t.Types[info.GetType().GetName()]
	of.Workflows++
	of.Transitions += info.GetStateTransitionCount()
	of.Events += info.GetHistoryLength()
	t.Types[info.GetType().GetName()] = of
}
