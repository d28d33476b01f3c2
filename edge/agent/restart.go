package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/patching"
)

// needsRestart: the machine says so, or a patch that this order brought does.
func (a *Agent) needsRestart(ctx context.Context, w *work, b patching.Bundle) bool {
	n := 0
	for _, s := range b.Steps[:w.Step] {
		n += len(s.Patches)
	}
	for i, p := range b.Steps[w.Step].Patches {
		if p.NeedsReboot && !slices.Contains(w.Already, n+i) {
			return true
		}
	}
	health, err := a.health(ctx)
	return err == nil && health.RebootPending
}

// restart asks for the restart and waits for it. Asking again after the agent
// was killed does no harm: were the machine back, its boot would be another.
func (a *Agent) restart(ctx context.Context, w *work) error {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	waiting := a.sideOf(w).askedRestart
	a.mu.Unlock()
	if waiting && now.Before(w.Since.Add(a.cfg.Limits.Return)) {
		a.rest(w, a.cfg.Limits.Look)
		return nil
	}
	if w.Asked >= a.cfg.Limits.Boots {
		return a.fail(ctx, w, ending{
			patching.NeedsHands, patching.ReasonNoBoot,
			fmt.Sprintf("It was asked %d times to restart and did not.", w.Asked), "does not restart",
		})
	}
	w.Asked, w.Since = w.Asked+1, now.UTC()
	if err := a.keep(w, true); err != nil {
		return err
	}
	a.mu.Lock()
	a.sideOf(w).askedRestart = true
	a.mu.Unlock()
	if err := a.cfg.Machine.Reboot(ctx); err != nil {
		a.log.Warn("could not ask for a restart", zap.Stringer("order", w.Order), zap.Error(err))
	}
	if a.cfg.Machine.Boot() == w.Boot {
		a.rest(w, a.cfg.Limits.Look)
	}
	return ctx.Err()
}

// check compares versions and health with what they should be. Services get
// time to come up.
func (a *Agent) check(ctx context.Context, w *work, step []patching.Patch, passed func() error) error {
	left, _, err := a.left(ctx, step)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonNotTaken)
	}
	if len(left) > 0 {
		return a.fail(ctx, w, ending{patching.Failed, patching.ReasonNotTaken, fmt.Sprintf("%s is not at %s", left[0].Name, left[0].To), left[0].Name + ": not taken"})
	}
	worse, err := a.worse(ctx, w)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonServiceBroken)
	}
	sure := a.cfg.Limits.Settle // after so long the answer stands
	if worse.none() && !worse.restless {
		if sure = 0; worse.counted {
			sure = a.cfg.Limits.Watch
		}
	}
	switch {
	case a.cfg.Clock.Now().Before(w.Since.Add(sure)):
		a.rest(w, a.cfg.Limits.Look)
		return nil
	case worse.none():
		return passed()
	}
	return a.fail(ctx, w, worse.ending())
}

// remains says what is not as it was before, on a machine that went back: a
// kernel that it runs, and services that did not come back with the earlier
// versions. Those get time first; settled says that it is over.
func (a *Agent) remains(ctx context.Context, w *work, b patching.Bundle) (words string, settled bool, err error) {
	health, err := a.health(ctx)
	if err != nil {
		return "", false, err
	}
	if len(health.Failing) > 0 && a.cfg.Clock.Now().Before(w.Since.Add(a.cfg.Limits.Settle)) {
		return "", false, nil
	}
	all := b.Patches()
	standings, err := a.cfg.Machine.Look(ctx, all)
	if err != nil {
		return "", false, err
	}
	var parts, stay []string
	for i, p := range all {
		if standings[i].stays(p) {
			stay = append(stay, p.Name)
		}
	}
	if len(stay) > 0 {
		parts = append(parts, list(stay)+" stays installed: the machine runs it.")
	}
	if len(health.Failing) > 0 {
		parts = append(parts, "Not running: "+list(health.Failing)+".")
	}
	return strings.Join(parts, " "), true, nil
}

// restartOnly carries out the order to restart.
func (a *Agent) restartOnly(ctx context.Context, w *work) error {
	switch w.Phase {
	case phaseBegin:
		if end, err := a.approved(ctx, w, patching.Bundle{}); err != nil {
			return a.failBy(ctx, w, err, patching.ReasonPreflight)
		} else if end != nil {
			return a.fail(ctx, w, *end)
		}
		health, err := a.health(ctx)
		if err != nil {
			return a.failBy(ctx, w, err, patching.ReasonPreflight)
		}
		w.baseline(health)
		w.Phase, w.Since = phaseRestart, a.cfg.Clock.Now().UTC()
		if err := a.keep(w, false, patching.StageRebooting); err != nil {
			return err
		}
		a.tell(ctx)
		return nil
	case phaseRestart:
		return a.restart(ctx, w)
	default:
		return a.check(ctx, w, nil, func() error { return a.finish(w, ending{}, nil) })
	}
}
