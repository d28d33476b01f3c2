package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// stepTries is how often a step is begun at most without getting on: more than
// once only if the agent was killed in it, or had to repair what was in the way.
const stepTries = 3

// lookTries is how often a machine that cannot be looked at is tried.
const lookTries = 5

// goOn takes a started order one phase further. It is called again until the
// order has ended; after a restart it begins with the phase that the journal
// names, and looks at the machine before it does anything.
func (a *Agent) goOn(ctx context.Context, w *work) error {
	a.calmTimer(w)
	if boot := a.cfg.Machine.Boot(); boot != w.Boot {
		w.Boot, w.Boots = boot, w.Boots+1
		if w.Phase == phaseRestart {
			w.Phase, w.Since = phaseCheck, a.cfg.Clock.Now().UTC()
		}
		if err := a.keep(w, true); err != nil {
			return err
		}
		if w.Boots > a.cfg.Limits.Boots {
			return a.fail(ctx, w, ending{
				patching.NeedsHands, patching.ReasonNoBoot,
				fmt.Sprintf("It restarted %d times without passing its check.", w.Boots), "restarts again and again",
			})
		}
	}
	if w.Order.Verb == trust.Repair {
		return a.mend(ctx, w)
	}
	if w.Order.Verb == trust.Reboot {
		return a.restartOnly(ctx, w)
	}
	ctx, b, err := a.bundle(ctx, w.target())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if w.Phase == phaseBegin {
			return a.fail(ctx, w, unfetched(err))
		}
		a.later(w, err)
		return nil
	}
	switch w.Phase {
	case phaseBegin:
		return a.begin(ctx, w, b)
	case phaseInstall:
		return a.install(ctx, w, b)
	case phaseRestart:
		return a.restart(ctx, w)
	default:
		return a.check(ctx, w, b.Steps[w.Step].Patches, func() error { return a.stepDone(ctx, w, b) })
	}
}

func (a *Agent) calmTimer(w *work) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sideOf(w).next = time.Time{}
}

// begin makes sure that the order can be carried out and would do what was
// approved. It changes nothing, but for a repair of what others left half installed:
// the package manager would complete that first with any transaction, or refuse.
func (a *Agent) begin(ctx context.Context, w *work, b patching.Bundle) error {
	all := b.Patches()
	left, already, err := a.left(ctx, all)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonPreflight)
	}
	if len(left) == 0 {
		return a.allDone(ctx, w, b, ending{Outcome: patching.AlreadyUpToDate, Reason: patching.ReasonNothingMissing})
	}
	rules, err := a.cfg.Host.Rules()
	if err != nil {
		return a.fail(ctx, w, ending{patching.Deferred, patching.ReasonHostRules, err.Error(), ""})
	}
	if end := held(rules, left); end != nil {
		return a.fail(ctx, w, *end)
	}
	if end, err := a.approved(ctx, w, b); err != nil {
		return a.failBy(ctx, w, err, patching.ReasonPreflight)
	} else if end != nil {
		return a.fail(ctx, w, *end)
	}
	if err := a.cfg.Machine.Preflight(ctx, b); err != nil {
		if known, ok := errors.AsType[*Failure](err); ok && known.Mendable && w.mendable() && rules.allows(trust.Repair) {
			return a.repairStep(ctx, w)
		}
		return a.failBy(ctx, w, err, patching.ReasonPreflight)
	}
	if end, err := a.simulate(ctx, left); err != nil {
		return a.failBy(ctx, w, err, patching.ReasonPreflight)
	} else if end != nil {
		return a.fail(ctx, w, *end)
	}
	health, err := a.health(ctx)
	if err != nil {
		return a.failBy(ctx, w, err, patching.ReasonPreflight)
	}
	w.Already = already
	w.baseline(health)
	if w.Order.Verb == trust.Apply {
		a.mu.Lock()
		a.state.Tried = a.state.Tried.then(w.Order, already)
		a.mu.Unlock()
	}
	w.Phase, w.Tries, w.Since = phaseInstall, 0, a.cfg.Clock.Now().UTC()
	w.Mends, w.Mended = 0, false
	a.calm(w)
	return a.keep(w, false) // install and repair write it for good before they touch anything
}

// install carries one step out. What is in place already is left alone, and
// what is half done there is repaired first, once. What is half done at another
// version is replaced: the script that left it so would only fail again.
func (a *Agent) install(ctx context.Context, w *work, b patching.Bundle) error {
	step := b.Steps[w.Step].Patches
	standings, err := a.cfg.Machine.Look(ctx, step)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonInstallFailed)
	}
	left, broken := pending(step, standings)
	halfDone := firstBroken(step, standings)
	if broken == "" && w.Tries > 0 && w.mendable() {
		broken = halfDone // a try was cut off: the package manager wants that completed first
	}
	if len(left) > 0 && len(left) < w.Left {
		w.Tries = 0 // it was interrupted, but it got on
	}
	w.Left = len(left)
	switch {
	case broken != "" && w.mendable():
		return a.repairStep(ctx, w)
	case broken != "":
		return a.fail(ctx, w, w.halfInstalled(broken))
	case len(left) == 0:
		if w.Own {
			w.Last = nil // a repair mended what it spoke of
		}
		return a.installed(ctx, w, b)
	case w.Tries >= stepTries && halfDone != "":
		return a.fail(ctx, w, w.halfInstalled(halfDone))
	case w.Tries >= stepTries:
		return a.fail(ctx, w, ending{patching.Failed, patching.ReasonInstallFailed, fmt.Sprintf("It was interrupted %d times.", w.Tries), "interrupted"})
	}
	end, err := a.simulate(ctx, left) // begin asked for all steps together, and maybe long ago
	if err != nil {
		failed := endingOf(err, patching.ReasonInstallFailed)
		end = &failed
	}
	if end != nil {
		return a.fail(ctx, w, w.midway(*end, step, standings))
	}
	w.Tries++
	if halfDone == "" {
		w.Mends, w.Mended = 0, false // a repair that helped is none of this try's
	}
	// Durable: a machine that loses its power in every try has to come to an end.
	if err := a.keep(w, true); err != nil {
		return err
	}
	a.log.Info("installing", zap.Stringer("order", w.Order), zap.Int("step", w.Step), zap.Int("packages", len(left)))
	failure := a.cfg.Machine.Apply(ctx, left)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	a.mu.Lock()
	side := a.sideOf(w)
	side.applied, side.troubleAt = failure == nil, time.Time{}
	a.mu.Unlock()
	if failure == nil {
		return nil // the next call looks at what came of it
	}
	return a.afterFailure(ctx, w, step, failure)
}

// afterFailure looks at what a failed transaction left behind. What is half
// done is repaired, and the rest of the step then tried again. A transaction in
// which only another package failed has done what it was asked for; whether that
// one was broken before is looked at next.
func (a *Agent) afterFailure(ctx context.Context, w *work, step []patching.Patch, failure error) error {
	standings, err := a.cfg.Machine.Look(ctx, step)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonInstallFailed)
	}
	end := endingOf(failure, patching.ReasonInstallFailed)
	left, _ := pending(step, standings)
	broken := firstBroken(step, standings)
	w.Last, w.Own = &end, broken != ""
	switch {
	case broken != "" && w.mendable():
		return a.repairStep(ctx, w)
	case broken != "":
		return a.fail(ctx, w, w.halfInstalled(broken))
	case len(left) == 0:
		return a.keep(w, false)
	}
	return a.fail(ctx, w, w.midway(end, step, standings))
}

// midway words an ending in the step in hand. Deferred says that nothing was
// changed: it is not for an order of which a part is in place, by earlier steps
// or by a try that was cut off.
func (w *work) midway(end ending, step []patching.Patch, standings []Standing) ending {
	changed := w.Step > 0
	for i, p := range step {
		mine := standings[i].at(p) && !slices.Contains(w.Already, i) // in the first step it is the bundle's number
		changed = changed || mine || w.Tries > 0 && standings[i].Broken
	}
	if end.Outcome == patching.Deferred && changed {
		end.Outcome = patching.Failed
	}
	return end
}

// repairStep completes what is half done. That it was begun is on disk before;
// one that the agent was killed in does not count as tried.
func (a *Agent) repairStep(ctx context.Context, w *work) error {
	if w.Mends == 0 {
		w.Repairs++
	}
	w.Mends++
	if err := a.keep(w, true); err != nil {
		return err
	}
	if err := a.cfg.Machine.Repair(ctx); err != nil {
		a.log.Warn("the repair failed", zap.Stringer("order", w.Order), zap.Error(err))
		end := endingOf(err, patching.ReasonInstallFailed)
		switch {
		case w.Order.Verb == trust.Repair:
			w.Last = &end
		case w.Phase == phaseInstall && w.Last == nil:
			// An earlier order left it so: what the repair said is all there is
			// to tell the machine's failure by.
			w.Last, w.Own = &end, true
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.Mended = true
	return a.keep(w, false)
}

// mendable reports whether a repair of the step in hand may still help.
func (w *work) mendable() bool { return !w.Mended && w.Mends < stepTries }

// installed goes on to the restart, or without need of one to the check: unless
// the machine got worse on the way, for it may not come back then.
func (a *Agent) installed(ctx context.Context, w *work, b patching.Bundle) error {
	if stop, err := a.gotWorse(ctx, w); stop || err != nil {
		return err
	}
	now := a.cfg.Clock.Now().UTC()
	if !b.Steps[w.Step].Restart || !a.needsRestart(ctx, w, b) {
		w.Phase, w.Since = phaseCheck, now
		return a.keep(w, false)
	}
	w.Phase, w.Since, w.Asked = phaseRestart, now, 0
	if err := a.keep(w, false, patching.StageInstalled, patching.StageRebooting); err != nil {
		return err
	}
	a.tell(ctx)
	return nil
}

// gotWorse looks, after a transaction that failed or whose end nobody saw,
// whether something fails that did not before: another package may have broken
// on the way, such as the one that makes the files to boot from. That is
// repaired, given time, and then ends the order. After a transaction that went
// well it is the check that looks: a service may want the restart.
func (a *Agent) gotWorse(ctx context.Context, w *work) (stop bool, err error) {
	a.mu.Lock()
	side := a.sideOf(w)
	applied, since := side.applied, side.troubleAt
	a.mu.Unlock()
	if applied || w.Tries == 0 {
		return false, nil
	}
	worse, err := a.worse(ctx, w)
	if err != nil {
		return true, a.stumble(ctx, w, err, patching.ReasonInstallFailed)
	}
	if worse.none() {
		return false, nil
	}
	if w.mendable() {
		return true, a.repairStep(ctx, w)
	}
	now := a.cfg.Clock.Now()
	if since.IsZero() {
		since = now
		a.mu.Lock()
		a.sideOf(w).troubleAt = now
		a.mu.Unlock()
	}
	if now.Before(since.Add(a.cfg.Limits.Settle)) {
		a.rest(w, a.cfg.Limits.Look)
		return true, nil
	}
	end := worse.ending()
	if w.Last != nil {
		detail := end.Detail
		if end = *w.Last; end.Detail != "" {
			detail = end.Detail + " " + detail
		}
		end.Outcome, end.Detail = patching.Failed, detail // what was asked for is in place
	}
	return true, a.fail(ctx, w, end)
}

// stepDone goes on to the next step, or ends the order well.
func (a *Agent) stepDone(ctx context.Context, w *work, b patching.Bundle) error {
	if w.Step+1 == len(b.Steps) {
		return a.allDone(ctx, w, b, ending{Outcome: patching.Patched, Reason: patching.ReasonVerified})
	}
	w.Step++
	w.Tries, w.Left, w.Mends, w.Mended, w.Last, w.Own, w.Boots, w.Asked = 0, 0, 0, false, nil, false, 0, 0
	a.calm(w)
	w.Phase, w.Since = phaseInstall, a.cfg.Clock.Now().UTC()
	return a.keep(w, false)
}

// allDone ends the order well. A machine that went back says what is not as it
// was before all the same.
func (a *Agent) allDone(ctx context.Context, w *work, b patching.Bundle, end ending) error {
	if w.Order.Verb == trust.Revert {
		remains, settled, err := a.remains(ctx, w, b)
		switch {
		case err != nil:
			return a.stumble(ctx, w, err, patching.ReasonNotTaken)
		case !settled:
			a.rest(w, a.cfg.Limits.Look)
			return nil
		}
		end.Detail = remains
	}
	return a.finish(w, end, a.changes(ctx, w, b))
}

// mend carries out the order to repair.
func (a *Agent) mend(ctx context.Context, w *work) error {
	switch {
	case w.mendable():
		return a.repairStep(ctx, w)
	case w.Last != nil:
		return a.fail(ctx, w, *w.Last)
	case !w.Mended:
		return a.fail(ctx, w, ending{patching.Failed, patching.ReasonInstallFailed, fmt.Sprintf("It was interrupted %d times.", w.Mends), "interrupted"})
	}
	return a.finish(w, ending{}, nil)
}

// fail ends a started order badly, with what it changed nevertheless.
func (a *Agent) fail(ctx context.Context, w *work, end ending) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var changes []uplink.Change
	if w.Phase != phaseBegin && w.target() != "" {
		if _, b, err := a.bundle(ctx, w.target()); err == nil {
			changes = a.changes(ctx, w, b)
		}
	}
	return a.finish(w, end, changes)
}

func (a *Agent) failBy(ctx context.Context, w *work, err error, fallback patching.Reason) error {
	return a.fail(ctx, w, endingOf(err, fallback))
}

// stumble tries again when the machine cannot be looked at, and gives up after
// a while.
func (a *Agent) stumble(ctx context.Context, w *work, err error, fallback patching.Reason) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a.later(w, err) < lookTries {
		return nil
	}
	return a.failBy(ctx, w, err, fallback)
}

// simulate asks the package manager what it would change. An ending says that
// this is no longer what was approved.
func (a *Agent) simulate(ctx context.Context, left []patching.Patch) (*ending, error) {
	changes, err := a.cfg.Machine.Simulate(ctx, left)
	if err != nil {
		return nil, err
	}
	if extra := outside(changes, left); len(extra) > 0 {
		return &ending{patching.Deferred, patching.ReasonPlanStale, describe(extra), "plan stale"}, nil
	}
	return nil, nil
}
