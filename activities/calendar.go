package activities

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// CycleStarter starts the cycle of the month that is due.
type CycleStarter interface {
	StartDue(ctx context.Context, in contract.TriggerInput) (contract.StartDueOut, error)
}

// CalendarStore is what starting by the calendar needs of the store.
type CalendarStore interface {
	FleetStore
	Policy(ctx context.Context, p patching.PolicyName) (store.PolicyVersion, error)
}

// Calendar starts what the calendar asks for.
type Calendar struct {
	Store   CalendarStore
	Starter CycleStarter
	Now     Clock
}

// StartDue starts the month's cycle by its id; one that runs, or ran, is left
// alone. A policy that is not valid yet starts none.
func (c *Calendar) StartDue(ctx context.Context, in contract.TriggerInput) (contract.StartDueOut, error) {
	version, err := c.Store.Policy(ctx, in.Policy)
	if err != nil {
		return contract.StartDueOut{}, fmt.Errorf("policy %s: %w", in.Policy, err)
	}
	p, err := readPolicy(ctx, c.Store, version.Digest)
	if err != nil {
		return contract.StartDueOut{}, err
	}
	if why := p.NotYet(c.Now(), in.Shadow); why != "" {
		return contract.StartDueOut{Words: why}, nil
	}
	return c.Starter.StartDue(ctx, in)
}
