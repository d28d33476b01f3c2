package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// stepTries is how often a step is begun at most: more than once only if the
// agent was killed in it.
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
	switch w.Order.Verb {
	case trust.Repair:
		return a.mend(ctx, w)
	case trust.Reboot:
		return a.restartOnly(ctx, w)
	}
	b, err := a.bundle(ctx, w.target())
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if w.Phase == phaseBegin {
			return a.fail(ctx, w, ending{patching.Deferred, patching.ReasonDownload, err.Error(), ""})
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

// begin makes sure, changing nothing, that the order can be carried out and
// would do what was approved.
func (a *Agent) begin(ctx context.Context, w *work, b patching.Bundle) error {
	all := b.Patches()
	left, already, err := a.left(ctx, all)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonPreflight)
	}
	if len(left) == 0 {
		return a.finish(w, ending{Outcome: patching.AlreadyUpToDate, Reason: patching.ReasonNothingMissing}, nil)
	}
	rules, err := a.cfg.Host.Rules()
	if err != nil {
		return a.fail(ctx, w, ending{patching.Deferred, patching.ReasonHostRules, err.Error(), ""})
	}
	for _, p := range left {
		if slices.Contains(rules.Held, p.Name) {
			return a.fail(ctx, w, ending{patching.Deferred, patching.ReasonHostRules, p.Name + " is held on this machine", ""})
		}
	}
	if err := a.cfg.Machine.Preflight(ctx, b); err != nil {
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
	w.Already, w.Failing = already, health.Failing
	w.Phase, w.Tries, w.Since = phaseInstall, 0, a.cfg.Clock.Now().UTC()
	a.calm(w)
	return a.keep(w, true)
}

// install carries one step out. What is in place already is left alone, what
// is half done is repaired first, once.
func (a *Agent) install(ctx context.Context, w *work, b patching.Bundle) error {
	step := b.Steps[w.Step].Patches
	standings, err := a.cfg.Machine.Look(ctx, step)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonInstallFailed)
	}
	left, broken := pending(step, standings)
	switch {
	case broken != "" && w.mendable():
		return a.repairStep(ctx, w)
	case broken != "":
		return a.fail(ctx, w, w.halfInstalled(broken))
	case len(left) == 0:
		return a.installed(ctx, w, b)
	case w.Tries >= stepTries:
		return a.fail(ctx, w, ending{patching.Failed, patching.ReasonInstallFailed, fmt.Sprintf("It was interrupted %d times.", w.Tries), "interrupted"})
	}
	if w.Step > 0 || w.Tries > 0 { // otherwise begin has just done it
		if end, err := a.simulate(ctx, left); err != nil {
			return a.failBy(ctx, w, err, patching.ReasonInstallFailed)
		} else if end != nil {
			end.Outcome = patching.Failed
			return a.fail(ctx, w, *end)
		}
	}
	w.Tries++
	if err := a.keep(w, false); err != nil {
		return err
	}
	a.log.Info("installing", zap.Stringer("order", w.Order), zap.Int("step", w.Step), zap.Int("packages", len(left)))
	failure := a.cfg.Machine.Apply(ctx, left)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if failure == nil {
		return nil // the next call looks at what came of it
	}
	return a.afterFailure(ctx, w, step, failure)
}

// afterFailure looks at what a failed transaction left behind. What is half
// done is repaired, and the rest of the step then tried again.
func (a *Agent) afterFailure(ctx context.Context, w *work, step []patching.Patch, failure error) error {
	standings, err := a.cfg.Machine.Look(ctx, step)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonInstallFailed)
	}
	end := endingOf(failure, patching.ReasonInstallFailed)
	w.Last = &end
	left, broken := pending(step, standings)
	switch {
	case broken != "" && w.mendable():
		return a.repairStep(ctx, w)
	case broken != "":
		return a.fail(ctx, w, w.halfInstalled(broken))
	case len(left) == 0:
		return nil
	case end.Outcome == patching.Deferred && w.Step > 0:
		end.Outcome = patching.Failed // earlier steps are in place
	}
	return a.fail(ctx, w, end)
}

// halfInstalled is how an order ends that left a package half installed.
func (w *work) halfInstalled(name string) ending {
	end := ending{Reason: patching.ReasonInstallFailed, Detail: name + " is half installed and could not be repaired", Signature: name + ": half installed"}
	if w.Last != nil {
		end = *w.Last
	}
	end.Outcome = patching.NeedsHands
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
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	w.Mended = true
	return a.keep(w, false)
}

// mendable reports whether a repair of the step in hand may still help.
func (w *work) mendable() bool { return !w.Mended && w.Mends < stepTries }

// installed goes on to the restart, or without need of one to the check.
func (a *Agent) installed(ctx context.Context, w *work, b patching.Bundle) error {
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

// health asks what is wrong with the machine. Names are compared with those in
// the journal, which holds UTF-8.
func (a *Agent) health(ctx context.Context) (Health, error) {
	h, err := a.cfg.Machine.Health(ctx)
	failing := make([]string, len(h.Failing))
	for i, name := range h.Failing {
		failing[i] = strings.ToValidUTF8(name, "\uFFFD")
	}
	h.Failing = failing
	return h, err
}

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
	health, err := a.health(ctx)
	if err != nil {
		return a.stumble(ctx, w, err, patching.ReasonServiceBroken)
	}
	var worse []string
	for _, f := range health.Failing {
		if !slices.Contains(w.Failing, f) {
			worse = append(worse, f)
		}
	}
	if len(worse) == 0 {
		return passed()
	}
	if a.cfg.Clock.Now().Before(w.Since.Add(a.cfg.Limits.Settle)) {
		a.rest(w, a.cfg.Limits.Look)
		return nil
	}
	return a.fail(ctx, w, ending{patching.Failed, patching.ReasonServiceBroken, "Not running: " + list(worse), worse[0] + ": not running"})
}

// stepDone goes on to the next step, or ends the order well.
func (a *Agent) stepDone(ctx context.Context, w *work, b patching.Bundle) error {
	w.Step++
	w.Tries, w.Mends, w.Mended, w.Last, w.Boots, w.Asked = 0, 0, false, nil, 0, 0
	a.calm(w)
	if w.Step < len(b.Steps) {
		w.Phase, w.Since = phaseInstall, a.cfg.Clock.Now().UTC()
		return a.keep(w, false)
	}
	return a.finish(w, ending{Outcome: patching.Patched, Reason: patching.ReasonVerified}, a.changes(ctx, w, b))
}

// restartOnly carries out the order to restart.
func (a *Agent) restartOnly(ctx context.Context, w *work) error {
	switch w.Phase {
	case phaseBegin:
		health, err := a.health(ctx)
		if err != nil {
			return a.failBy(ctx, w, err, patching.ReasonPreflight)
		}
		w.Failing, w.Phase, w.Since = health.Failing, phaseRestart, a.cfg.Clock.Now().UTC()
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

// mend carries out the order to repair.
func (a *Agent) mend(ctx context.Context, w *work) error {
	if w.mendable() {
		return a.repairStep(ctx, w)
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
		if b, err := a.bundle(ctx, w.target()); err == nil {
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

// left returns the patches that are not in place, and the numbers of those
// that are. A broken package is not in place.
func (a *Agent) left(ctx context.Context, patches []patching.Patch) (left []patching.Patch, already []int, err error) {
	standings, err := a.cfg.Machine.Look(ctx, patches)
	if err != nil {
		return nil, nil, err
	}
	for i, p := range patches {
		if standings[i].Version == p.To && !standings[i].Broken {
			already = append(already, i)
		} else {
			left = append(left, p)
		}
	}
	return left, already, nil
}

// changes says what the order has changed by now.
func (a *Agent) changes(ctx context.Context, w *work, b patching.Bundle) []uplink.Change {
	all := b.Patches()
	_, inPlace, err := a.left(ctx, all)
	if err != nil {
		a.log.Warn("could not look at what was changed", zap.Stringer("order", w.Order), zap.Error(err))
		return nil
	}
	var out []uplink.Change
	for _, i := range inPlace {
		if !slices.Contains(w.Already, i) {
			out = append(out, uplink.Change{Name: all[i].Name, Arch: all[i].Arch, From: all[i].From, To: all[i].To})
		}
	}
	return out
}

// pending returns the patches that remain to be carried out and the name of a
// package that is half installed, if any is.
func pending(step []patching.Patch, standings []Standing) (left []patching.Patch, broken string) {
	for i, p := range step {
		if standings[i].Broken && broken == "" {
			broken = p.Name
		}
		if standings[i].Version != p.To && !standings[i].Broken {
			left = append(left, p)
		}
	}
	return left, broken
}

// outside returns the changes that the patches do not cover.
func outside(changes []patching.Change, patches []patching.Patch) []patching.Change {
	covered := make(map[patching.Change]bool, len(patches))
	for _, p := range patches {
		covered[patching.Change{Name: p.Name, Arch: p.Arch, From: p.From, To: p.To}] = true
	}
	var out []patching.Change
	for _, c := range changes {
		if !covered[c] {
			out = append(out, c)
		}
	}
	return out
}

// describe names changes that nobody approved.
func describe(extra []patching.Change) string {
	var words []string
	for _, c := range extra {
		switch {
		case c.To == "":
			words = append(words, "remove "+c.Name)
		case c.From == "":
			words = append(words, "install "+c.Name+" "+c.To)
		default:
			words = append(words, fmt.Sprintf("%s from %s to %s", c.Name, c.From, c.To))
		}
	}
	return "It would also change: " + list(words)
}

// list joins names, a few of them.
func list(words []string) string {
	const shown = 5
	if len(words) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:shown], ", "), len(words)-shown)
	}
	return strings.Join(words, ", ")
}
