package activities

import (
	"context"

	"github.com/patchcycle/patchcycle/workflows/contract"
)

// CycleStarter starts the cycle of the month that is due.
type CycleStarter interface {
	StartDue(ctx context.Context, in contract.TriggerInput) (contract.StartDueOut, error)
}

// Calendar starts what the calendar asks for.
type Calendar struct{ Starter CycleStarter }

// StartDue starts the month's cycle by its id; one that runs, or ran, is left alone.
func (c *Calendar) StartDue(ctx context.Context, in contract.TriggerInput) (contract.StartDueOut, error) {
	return c.Starter.StartDue(ctx, in)
}
