package agent

import (
	"context"
	"fmt"
	"slices"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// errand carries out an order that does not disturb the machine.
func (a *Agent) errand(ctx context.Context, w *work) error {
	switch w.Order.Verb {
	case trust.Collect:
		return a.collect(ctx, w)
	case trust.Clean:
		rules, err := a.cfg.Host.Rules()
		if err != nil {
			return a.errandDone(ctx, w, err, ending{})
		}
		freed, err := a.cfg.Machine.Clean(ctx, rules.Held)
		return a.errandDone(ctx, w, err, ending{}, func(r *uplink.Receipt) { r.Freed = max(0, freed) })
	case trust.Prefetch:
		with, b, err := a.bundle(ctx, w.Order.Bundle)
		if err == nil {
			err = a.cfg.Machine.Fetch(with, b)
		}
		if err != nil {
			end := unfetched(err)
			err = &Failure{Reason: end.Reason, Detail: end.Detail, Signature: end.Signature}
		}
		return a.errandDone(ctx, w, err, ending{})
	default: // simulate
		end, err := a.rehearse(ctx, w)
		return a.errandDone(ctx, w, err, end)
	}
}

// collect sends a fresh inventory. The order is finished when the server also
// has what the inventory refers to.
func (a *Agent) collect(ctx context.Context, w *work) error {
	facts, err := a.gather(ctx)
	if err == nil && a.known(facts) {
		// One batch does: the receipt goes first, and the facts with it.
		if err := a.finish(w, ending{}, nil); err != nil {
			return err
		}
		if err := a.sendInventory(ctx, facts); err != nil {
			a.log.Info("inventory follows later", zap.Error(err))
			a.mu.Lock()
			a.inventoryAt = a.cfg.Clock.Now()
			a.mu.Unlock()
		}
		return nil
	}
	if err == nil {
		err = a.sendInventory(ctx, facts)
	}
	return a.errandDone(ctx, w, err, ending{})
}

// rehearse says what the bundle would change.
func (a *Agent) rehearse(ctx context.Context, w *work) (ending, error) {
	ctx, b, err := a.bundle(ctx, w.Order.Bundle)
	if err != nil {
		return ending{}, err
	}
	left, _, err := a.left(ctx, b.Patches())
	if err != nil {
		return ending{}, err
	}
	rules, err := a.cfg.Host.Rules()
	if err != nil {
		return ending{}, err
	}
	if end := held(rules, left); end != nil {
		return *end, nil
	}
	changes, err := a.cfg.Machine.Simulate(ctx, left)
	if err != nil {
		return ending{}, err
	}
	if extra := outside(changes, left); len(extra) > 0 {
		return ending{patching.Deferred, patching.ReasonPlanStale, describe(extra), ""}, nil
	}
	return ending{Detail: fmt.Sprintf("would change %d packages", len(changes))}, nil
}

// held says that a machine's own rules keep one of the patches off it; nil: none.
func held(rules Rules, patches []patching.Patch) *ending {
	for _, p := range patches {
		if slices.Contains(rules.Held, p.Name) {
			return &ending{patching.Deferred, patching.ReasonHostRules, p.Name + " is held on this machine", ""}
		}
	}
	return nil
}

// errandTries is how often an errand is tried before its failure is reported.
const errandTries = 4

func (a *Agent) errandDone(ctx context.Context, w *work, err error, end ending, fill ...func(*uplink.Receipt)) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if a.later(w, err) < errandTries {
			return nil
		}
		end = endingOf(err, patching.ReasonUnknown)
	}
	return a.finish(w, end, nil, fill...)
}
