package workflows

import (
	"go.temporal.io/sdk/workflow"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Trigger is what a policy's schedule starts: it starts the month's cycle by its
// id. Duplicates are refused, so a repeated start is harmless.
func Trigger(ctx workflow.Context, in contract.TriggerInput) (contract.StartDueOut, error) {
	out, err := contract.StartDue.Run(ctx, "start the month's cycle of "+string(in.Policy), in)
	if err == nil {
		workflow.SetCurrentDetails(ctx, out.Words)
	}
	return out, err
}
