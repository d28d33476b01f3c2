package workflows

import (
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Register puts all workflows under their names. Worker, test suite and
// replayer call it, and nothing else registers workflows.
func Register(r worker.WorkflowRegistry) {
	r.RegisterWorkflowWithOptions(Cycle, workflow.RegisterOptions{Name: contract.CycleWorkflow})
	r.RegisterWorkflowWithOptions(Ring, workflow.RegisterOptions{Name: contract.RingWorkflow})
	r.RegisterWorkflowWithOptions(Wave, workflow.RegisterOptions{Name: contract.WaveWorkflow})
	r.RegisterWorkflowWithOptions(Trigger, workflow.RegisterOptions{Name: contract.TriggerWorkflow})
}
