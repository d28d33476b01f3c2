package e2e_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// cutLine is a site's line to the server, which somebody can cut.
type cutLine struct {
	uplink.Link
	cut atomic.Bool
}

var errCut = errors.New("the line is cut")

// during lets a call pass unless the line is cut before it is answered.
func during[T any](ctx context.Context, l *cutLine, call func(context.Context) (T, error)) (out T, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for ctx.Err() == nil && !l.cut.Load() {
			time.Sleep(20 * time.Millisecond)
		}
		cancel()
	}()
	if l.cut.Load() {
		return out, errCut
	}
	return call(ctx)
}

// Send implements [uplink.Link].
func (l *cutLine) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	return during(ctx, l, func(ctx context.Context) ([]uplink.Ack, error) { return l.Link.Send(ctx, b) })
}

// Poll implements [uplink.Link].
func (l *cutLine) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	return during(ctx, l, func(ctx context.Context) (uplink.PollResponse, error) { return l.Link.Poll(ctx, r) })
}

// Content implements [uplink.Link].
func (l *cutLine) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	return during(ctx, l, func(ctx context.Context) ([]byte, error) { return l.Link.Content(ctx, d) })
}

// awaitAtWork waits until machines of a ring after the test ring are at work.
func (h *house) awaitAtWork(t *testing.T, id patching.CycleID) {
	t.Helper()
	until(t, time.Minute, "a machine at work in a later ring", func() bool {
		for _, d := range h.machines(t, id) {
			if d.Ring != "test" && !d.Released.IsZero() && d.Outcome == "" {
				return true
			}
		}
		return false
	})
}

// requireUnharmed checks that an outage cost nothing but time.
func (s *site) requireUnharmed(t *testing.T, id patching.CycleID, machines int) {
	t.Helper()
	c := s.await(t, id, patching.PhaseClosed)
	s.requireConserved(t, id, machines)
	s.requireNoRepeat(t)
	require.Equal(t, patching.ClosedSuccessful, c.ClosedAs, c.Words)
	for host, d := range s.machines(t, id) {
		require.Contains(t, []patching.Outcome{patching.Patched, patching.AlreadyUpToDate}, d.Outcome, "%s: %s", host, d.Why)
	}
	require.Positive(t, c.Outcomes[patching.Patched])
}

// Serves Q5, Q1, G8: that the server was away is nobody's silence.
func TestAServerThatIsDownLongerThanMachinesMayBeSilentGivesNoMachineUp(t *testing.T) {
	h := newHouse(t, func(c *serve.Config) { c.UI = "" })
	s := h.newSite(t, "down", truth.Profile{Machines: 12}, func(_ []truth.Machine, r *rules) { r.Batch = 3 })
	id := s.begin(t)
	h.approve(t, id)
	h.awaitAtWork(t, id)
	h.Stop()
	time.Sleep(2 * silence)
	h.start(t)
	s.requireUnharmed(t, id, 12)
}

// Serves Q5, G8: a site's line is cut while its machines are at work, for longer than a
// machine may be silent. The gate waits for the path, and rolls nothing back.
func TestASiteWhoseLineIsCutLongerThanMachinesMayBeSilentIsWaitedFor(t *testing.T) {
	h := newHouse(t, func(c *serve.Config) { c.UI = "" })
	s := h.newSite(t, "cut", truth.Profile{Machines: 12}, func(_ []truth.Machine, r *rules) { r.Batch = 3 })
	id := s.begin(t)
	h.approve(t, id)
	h.awaitAtWork(t, id)
	s.line.cut.Store(true)
	time.Sleep(2 * silence)
	c, err := h.admin.Cycle(t.Context(), id)
	require.NoError(t, err)
	require.False(t, c.Phase.Terminal(), c.Words)
	require.Zero(t, c.Outcomes[patching.Unreachable], "%v: %s", c.Outcomes, c.Words)
	s.line.cut.Store(false)
	s.requireUnharmed(t, id, 12)
}
