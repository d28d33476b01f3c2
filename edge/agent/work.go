package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Work does all that can be done now and returns when it wants to be called
// again; zero means when there is news. It blocks while the machine works, and
// one call at a time works. The error is the context's, or the journal's: the
// agent then does nothing more until it can remember what it does.
func (a *Agent) Work(ctx context.Context) (wake time.Time, err error) {
	a.working.Lock()
	defer a.working.Unlock()
	for {
		if err := ctx.Err(); err != nil {
			return time.Time{}, err
		}
		next, err := a.decide()
		if err == nil && next.do == rest {
			return next.until, nil
		}
		if err == nil {
			err = a.perform(ctx, next)
		}
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
		if err != nil {
			return a.cfg.Clock.Now().Add(a.cfg.Limits.Retry), err
		}
	}
}

// decide gathers what the decision looks at and makes it.
func (a *Agent) decide() (action, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.dirty {
		if err := a.save(true); err != nil {
			return action{}, err
		}
	}
	s := situation{state: &a.state, sides: a.sides, limits: a.cfg.Limits, letterAt: a.letterAt, inventoryAt: a.inventoryAt}
	if len(a.state.Works) > 0 {
		s.rules, s.rulesErr = a.cfg.Host.Rules()
	}
	now := a.cfg.Clock.Now()
	for _, one := range a.sides {
		one.judge(now)
	}
	return decide(s, now), nil
}

func (a *Agent) perform(ctx context.Context, next action) error {
	if next.do == report {
		a.report(ctx)
		return nil
	}
	w := a.workOf(next.work)
	if w == nil {
		return nil // a new epoch voided it
	}
	ctx = WithOrder(ctx, w.Order)
	switch next.do {
	case giveUp:
		return a.finish(w, next.end, nil)
	case errand:
		return a.errand(ctx, w)
	case fetch:
		return a.fetch(ctx, w)
	case ask:
		return a.ask(ctx, w)
	case start:
		return a.start(ctx, w)
	default:
		return a.goOn(ctx, w)
	}
}

// workOf returns a copy of an order in hand, to be changed and given back to
// [Agent.keep].
func (a *Agent) workOf(id patching.OrderID) *work {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.state.find(id)
	if w == nil {
		return nil
	}
	one := *w
	return &one
}

// keep writes an order's progress to the journal, with receipts for the stages.
func (a *Agent) keep(w *work, durable bool, stages ...patching.Stage) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.state.find(w.Order.ID)
	if kept == nil {
		return fmt.Errorf("order %s is not in hand any more", w.Order.ID)
	}
	*kept = *w
	for _, s := range stages {
		a.note(w.Order.ID, s, a.cfg.Clock.Now())
	}
	return a.save(durable)
}

// later puts an order off after a failure, longer each time, and returns how
// often that has happened in a row.
func (a *Agent) later(w *work, err error) int {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sideOf(w)
	s.next = now.Add(a.backoff(s.failures))
	s.failures++
	s.failure = err
	a.log.Info("will try again", zap.Stringer("order", w.Order), zap.Error(err), zap.Time("at", s.next))
	return s.failures
}

// rest puts an order off for a while without a failure.
func (a *Agent) rest(w *work, d time.Duration) {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sideOf(w).next = now.Add(d)
}

// calm forgets earlier failures of an order.
func (a *Agent) calm(w *work) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sideOf(w)
	s.failures, s.next, s.failure = 0, time.Time{}, nil
}

// finish ends an order with its last receipt, which is durable before it is
// sent and has its counter by then: it is one receipt however often it is sent.
func (a *Agent) finish(w *work, end ending, changes []uplink.Change, fill ...func(*uplink.Receipt)) error {
	if w.Order.Verb == trust.Revert {
		end = revertEnding(end)
	}
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.note(w.Order.ID, patching.StageFinished, now, append(fill, end.fill, func(r *uplink.Receipt) {
		r.Repairs, r.Changes = w.Repairs, changes
	})...)
	a.state.drop(w.Order.ID)
	delete(a.sides, w.Order.ID)
	if len(a.sides) == 0 {
		a.sides = nil
	}
	if err := a.seal(); err != nil {
		a.dirty = true
		return err
	}
	if w.started() {
		a.inventoryAt = now
	}
	a.log.Info("finished", zap.Stringer("order", w.Order), zap.String("outcome", string(end.Outcome)),
		zap.String("reason", string(end.Reason)), zap.String("detail", end.Detail))
	return a.save(w.Order.Window != nil)
}

// bundle returns the bundle under a digest, and a context that says where its
// packages come from.
func (a *Agent) bundle(ctx context.Context, d patching.Digest) (context.Context, patching.Bundle, error) {
	text, err := a.content(ctx, d)
	if err != nil {
		return ctx, patching.Bundle{}, fmt.Errorf("bundle %s: %w", d.Short(), err)
	}
	b, err := patching.ParseBundle(text)
	if err != nil || b.Sources == "" {
		return ctx, b, err
	}
	if text, err = a.content(ctx, b.Sources); err != nil {
		return ctx, b, fmt.Errorf("sources %s: %w", b.Sources.Short(), err)
	}
	s, err := patching.ParseSources(text)
	return WithSources(ctx, Sources{s, b.Beside}), b, err
}

// content returns the text under a digest, from the shelf or else the server.
func (a *Agent) content(ctx context.Context, d patching.Digest) ([]byte, error) {
	if text, ok := a.cfg.Shelf.Get(d); ok && patching.DigestOf(text) == d { // else damaged on the shelf
		return text, nil
	}
	text, err := a.cfg.Link.Content(ctx, d)
	switch {
	case err != nil:
		return nil, err
	case patching.DigestOf(text) != d:
		return nil, errors.New("the server sent something else")
	}
	if err := a.cfg.Shelf.Put(d, text); err != nil {
		return nil, fmt.Errorf("keep it: %w", OrDiskFull(err))
	}
	return text, nil
}

// fetch downloads what the order needs, before its window and permit.
func (a *Agent) fetch(ctx context.Context, w *work) error {
	if d := w.target(); d != "" {
		with, b, err := a.bundle(ctx, d)
		if err == nil {
			err = a.cfg.Machine.Fetch(with, b)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return a.notFetched(w, err)
		}
	}
	a.calm(w)
	w.Stage = patching.StageFetched
	return a.keep(w, false, patching.StageFetched)
}

// notFetched puts the download off. Once the machine is waited for, a full disk is
// given some minutes, in which somebody may make room, and then ends the order:
// until the window is over nobody would know.
func (a *Agent) notFetched(w *work, err error) error {
	tries := a.later(w, err)
	a.mu.Lock()
	waitedFor := a.sideOf(w).released()
	a.mu.Unlock()
	if end := unfetched(err); end.Reason == patching.ReasonDisk && tries >= lookTries && waitedFor {
		return a.finish(w, end, nil)
	}
	return nil
}

// ask asks for the permit to start.
func (a *Agent) ask(ctx context.Context, w *work) error {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	s := a.sideOf(w)
	s.asked, s.next = now, now.Add(a.backoff(s.failures))
	s.failures++
	a.mu.Unlock()
	acks, err := a.send(ctx, patience, draft{uplink.KindLeaseRequest, uplink.Encode(uplink.LeaseRequest{Order: w.Order.ID})})
	if err != nil || acks[0].Lease == nil {
		a.log.Info("no start permit yet", zap.Stringer("order", w.Order), zap.Error(err))
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.takeLease(*acks[0].Lease, true) {
		s.failures, s.next = 0, time.Time{}
	}
	return nil
}

// start begins an order. From here on it runs to its end.
func (a *Agent) start(ctx context.Context, w *work) error {
	w.Stage, w.Phase = patching.StageStarted, phaseBegin
	w.Boot, w.Since = a.cfg.Machine.Boot(), a.cfg.Clock.Now().UTC()
	// Not durable yet: whatever first touches the machine writes it for good
	// before. Without that write nothing has happened.
	if err := a.keep(w, false, patching.StageStarted); err != nil {
		return err
	}
	a.calm(w)
	a.log.Info("started", zap.Stringer("order", w.Order))
	a.tell(ctx)
	return nil
}
