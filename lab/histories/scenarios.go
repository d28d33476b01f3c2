package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	sdk "go.temporal.io/sdk/client"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// scenario is a story that a cycle can take.
type scenario struct {
	name string
	play func(context.Context, *house) error
}

// all are the stories whose histories are kept. A branch of the workflows that
// none of them takes is not guarded by replaying them.
var all = []scenario{
	{"normal", normal},
	{"halted", halted},
	{"shadow", shadow},
	{"emergency", emergency},
}

// someDay is a calendar that does not come up.
const someDay = `{nth: 2, weekday: tue, plus: 2, at: "09:00", zone: Europe/Amsterdam}`

// normal: the calendar starts the cycle; a signal cannot be read, one names no
// plan, one approves; a person pauses and goes on; machines are dead.
func normal(ctx context.Context, h *house) error {
	s, err := h.settle(ctx, rules{Name: "normal", Calendar: soon(time.Now()), TestCount: 3, EarlyCount: 4}, truth.Profile{Machines: 12, Dead: 2}, nil)
	if err != nil {
		return err
	}
	id, err := s.begin(ctx)
	if err != nil {
		return err
	}
	c, err := h.await(ctx, id, patching.PhaseApproval)
	if err != nil {
		return err
	}
	for _, what := range []any{"yes, of course", contract.Act{}, contract.Act{Plan: c.Plan, Reason: "looks good"}} {
		if err := h.signal(ctx, id, "approve", what); err != nil {
			return err
		}
	}
	err = until(ctx, "a ring at work", func() (bool, error) { // which is told of the pause
		now, err := h.Admin.Cycle(ctx, id)
		return slices.ContainsFunc(now.Rings, func(r wire.RingProgress) bool { return r.Name != "test" && r.State == "at work" }), err
	})
	if err != nil {
		return err
	}
	if err := h.act(ctx, id, "pause", wire.Act{Reason: "network works"}); err != nil {
		return err
	}
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	if err := h.act(ctx, id, "resume", wire.Act{}); err != nil {
		return err
	}
	c, err = h.await(ctx, id, patching.PhaseClosed)
	if err == nil && c.Outcomes[patching.Unreachable] == 0 {
		err = fmt.Errorf("nobody kept silent: %s", c.Words)
	}
	return err
}

// begin lets the calendar start the month's cycle if it can; at the end of a
// month, which no calendar names, a person does.
func (s *site) begin(ctx context.Context) (patching.CycleID, error) {
	if s.rules.Calendar == someDay {
		say("No Trigger is recorded: calendars name the 1st to the 28th of a month.")
		return s.start(ctx, wire.StartCycle{})
	}
	if _, err := s.Author.SetSchedule(ctx, s.policy(), wire.SetSchedule{}); err != nil {
		return "", err
	}
	var id patching.CycleID
	return id, until(ctx, "the calendar's cycle", func() (bool, error) {
		all, err := s.Admin.Cycles(ctx, client.CycleQuery{Policy: s.policy()})
		if len(all.Items) > 0 {
			id = all.Items[0].ID
		}
		return id != "", err
	})
}

// soon is a calendar that comes up within two minutes.
func soon(now time.Time) string {
	at := now.UTC().Truncate(time.Minute).Add(2 * time.Minute)
	if at.Day() > 28 {
		return someDay
	}
	return fmt.Sprintf(`{nth: %d, weekday: %s, at: "%s", zone: UTC}`, (at.Day()-1)/7+1, strings.ToLower(at.Weekday().String()[:3]), at.Format("15:04"))
}

func (s *site) start(ctx context.Context, how wire.StartCycle) (patching.CycleID, error) {
	started, err := s.Author.StartCycle(ctx, s.policy(), how, client.NewKey())
	return started.Cycle, err
}

// signal sends a signal past the API, with the approver's token, to Temporal itself.
func (h *house) signal(ctx context.Context, id patching.CycleID, verb string, what any) error {
	c, err := h.dial(ctx, h.Tokens[trial.Approver])
	if err != nil {
		return err
	}
	defer c.Close()
	return c.SignalWorkflow(ctx, string(id), "", verb, what)
}

func (h *house) dial(ctx context.Context, token string) (sdk.Client, error) {
	c, err := sdk.DialContext(ctx, sdk.Options{
		HostPort: h.temporal, Namespace: engine.DefaultNamespace, HeadersProvider: gate.Bearer(token), Logger: silent{},
	})
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal: %w", err)
	}
	return c, nil
}

// halted: a patch that did no harm in the rings before fails in the last one,
// which is rolled back.
func halted(ctx context.Context, h *house) error {
	s, err := h.settle(ctx, rules{Name: "halted", Calendar: someDay, TestCount: 3, EarlyCount: 3}, truth.Profile{
		Machines: 16, Bad: []truth.Bad{{Package: "openssl", How: truth.PostinstFails, Rate: 0.5}},
	}, func(all []truth.Machine, r *rules) {
		sound := slices.DeleteFunc(slices.Clone(all), func(m truth.Machine) bool { return len(m.Breaks) > 0 })
		r.Test, r.Early = hosts(sound), hosts(sound)
	})
	if err != nil {
		return err
	}
	id, err := s.start(ctx, wire.StartCycle{})
	if err != nil {
		return err
	}
	c, err := h.finish(ctx, id)
	if err == nil && c.ClosedAs != patching.ClosedBackedOut {
		err = fmt.Errorf("it closed %s: %s", c.ClosedAs, c.Words)
	}
	return err
}

// shadow: everything is planned and judged, nothing is installed.
func shadow(ctx context.Context, h *house) error {
	s, err := h.settle(ctx, rules{Name: "shadow", Calendar: someDay, TestCount: 2, EarlyCount: 2}, truth.Profile{Machines: 6}, nil)
	if err != nil {
		return err
	}
	id, err := s.start(ctx, wire.StartCycle{Shadow: true})
	if err != nil {
		return err
	}
	c, err := h.await(ctx, id, patching.PhaseClosed)
	if err == nil && c.Outcomes[patching.Deferred] == 0 {
		err = errors.New(c.Words)
	}
	return err
}

// emergency: a month's plan is sent back and made again; while it waits for its
// approval an emergency takes its machines over; then a person stops it.
func emergency(ctx context.Context, h *house) error {
	s, err := h.settle(ctx, rules{Name: "emergency", Calendar: someDay, TestCount: 3, EarlyCount: 2}, truth.Profile{Machines: 10}, nil)
	if err != nil {
		return err
	}
	monthly, err := s.start(ctx, wire.StartCycle{})
	if err != nil {
		return err
	}
	c, err := h.await(ctx, monthly, patching.PhaseApproval)
	if err != nil {
		return err
	}
	if err := h.act(ctx, monthly, "send-back", wire.Act{Plan: c.Plan, Reason: "who is the owner?"}); err != nil {
		return err
	}
	err = until(ctx, "the plan that is made again", func() (bool, error) {
		now, err := h.Admin.Cycle(ctx, monthly)
		return now.Phase == patching.PhaseApproval && now.Plan != c.Plan, err
	})
	if err != nil {
		return err
	}
	call := wire.StartEmergency{Slug: "openssl-cve-2026-1", Reason: "it is being exploited"}
	started, err := s.Author.StartEmergency(ctx, s.policy(), call, client.NewKey())
	if err != nil {
		return err
	}
	if _, err := h.finish(ctx, started.Cycle); err != nil {
		return err
	}
	if err := h.act(ctx, monthly, "stop", wire.Act{Reason: "the emergency took its machines"}); err != nil {
		return err
	}
	c, err = h.await(ctx, monthly, patching.PhaseClosed)
	if err == nil && c.ClosedAs != patching.ClosedCancelled {
		err = errors.New(c.Words)
	}
	return err
}

// hosts is a selector of those machines.
func hosts(some []truth.Machine) string {
	var names []string
	for _, m := range some {
		names = append(names, fmt.Sprintf("%q", m.Facts.Hostname))
	}
	return "'hostname in [" + strings.Join(names, ", ") + "]'"
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// silent drops what Temporal's client says: what matters comes as an error.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
