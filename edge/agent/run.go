package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/uplink"
)

// Run keeps one resident agent going until the context ends: a goroutine that
// polls, so that news come in while the machine is at work, and one that works.
func (a *Agent) Run(ctx context.Context) error {
	news := make(chan struct{}, 1)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return a.listen(ctx, news) })
	group.Go(func() error { return a.labour(ctx, news) })
	return group.Wait()
}

// listen polls. After a failure, or an answer that this agent cannot use, it
// pauses, longer each time.
func (a *Agent) listen(ctx context.Context, news chan<- struct{}) error {
	for failures := 0; ; {
		useful, err := a.PollOnce(ctx, uplink.MaxWait)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if useful {
			select {
			case news <- struct{}{}:
			default: // it is told already
			}
		}
		if err == nil {
			failures = 0
			continue
		}
		a.log.Warn("no news from the server", zap.Error(err))
		pause := a.backoff(failures)
		failures++
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// PollOnce asks once what is new and takes it in. The error also names an
// answer that was not empty and could not be used.
func (a *Agent) PollOnce(ctx context.Context, wait time.Duration) (news bool, err error) {
	resp, err := a.poll(ctx, wait)
	if err == nil && a.refused(resp, true) != "" { // the hello was too old: with a new one, at once
		a.Take(resp)
		resp, err = a.poll(ctx, wait)
	}
	if err != nil {
		return false, err
	}
	news = a.Take(resp)
	if why := a.refused(resp, false) + a.refused(resp, true); why != "" {
		return news, fmt.Errorf("the server does not take this machine in: %s", why)
	}
	if !news && !resp.Empty() {
		return false, errUseless
	}
	return news, nil
}

var errUseless = errors.New("the server's answer held nothing that could be used")

func (a *Agent) poll(ctx context.Context, wait time.Duration) (uplink.PollResponse, error) {
	device, err := a.Listen()
	if err != nil {
		return uplink.PollResponse{}, err
	}
	return a.cfg.Link.Poll(ctx, uplink.PollRequest{Devices: []uplink.PollDevice{device}, WaitSeconds: int(wait / time.Second)})
}

// refused says why our hello was not taken, as a stale one or otherwise.
func (a *Agent) refused(resp uplink.PollResponse, stale bool) string {
	for _, r := range resp.Refused {
		if r.Device == a.cfg.Identity.Device && r.Stale == stale {
			return r.Why
		}
	}
	return ""
}

// labour works whenever there is news or the time that was named has come.
func (a *Agent) labour(ctx context.Context, news <-chan struct{}) error {
	for {
		wake, err := a.Work(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			a.log.Error("the agent cannot work", zap.Error(err))
		}
		var due <-chan time.Time
		if !wake.IsZero() {
			due = time.After(max(0, wake.Sub(a.cfg.Clock.Now())))
		}
		select {
		case <-due:
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Once polls and works until nothing is new and nothing is under way, for
// machines whose agent does not stay: what waits for a window or a permit waits
// for the next call. What is under way is brought to its end also when the line
// is lost meanwhile: the next call delivers what happened.
func (a *Agent) Once(ctx context.Context) error {
	for {
		news, lost := a.PollOnce(ctx, 0)
		if errors.Is(lost, errUseless) {
			// The server offers a permit until it has the receipt of its order's end, and
			// that may be what is to be delivered.
			lost = nil
		}
		if lost != nil && !a.busy() {
			return lost
		}
		wake, err := a.Work(ctx)
		if err != nil {
			return err
		}
		if a.busy() {
			pause := max(0, wake.Sub(a.cfg.Clock.Now()))
			if lost != nil { // no answer slows this loop down
				pause = max(pause, time.Second)
			}
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		if lost != nil {
			return lost
		}
		if !news {
			return a.undelivered()
		}
	}
}

func (a *Agent) busy() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state.underWay() != nil
}

// undelivered says that receipts remain.
func (a *Agent) undelivered() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n := len(a.state.Letters) + len(a.state.Pending); n > 0 {
		return fmt.Errorf("%d messages could not be delivered; they are kept for the next time", n)
	}
	return nil
}
