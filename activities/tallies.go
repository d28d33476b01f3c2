package activities

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Read counts a slice once.
func (w *Waves) Read(ctx context.Context, in contract.SliceIn) (patching.Tally, error) {
	stop := beat(ctx)
	defer stop()
	t, err := w.Store.Tally(ctx, sliceOf(in))
	if err != nil {
		return t, fmt.Errorf("count %s%s: %w", in.Ring, in.Wave, err)
	}
	t.PathDown, err = w.lostPath(ctx, in, t)
	return t, err
}

// Await returns when the tally differs from the known one in a way that
// matters, or at the given time. One wait serves a whole batch: a history gets
// three events for it, however many machines answer.
func (w *Waves) Await(ctx context.Context, in contract.AwaitTallyIn) (contract.Tallies, error) {
	t := time.NewTicker(w.Look)
	defer t.Stop()
	for {
		now, done, err := w.look(ctx, in)
		if err != nil || done {
			return now, err
		}
		if activity.IsActivity(ctx) {
			activity.RecordHeartbeat(ctx)
		}
		select {
		case <-ctx.Done():
			return contract.Tallies{}, ctx.Err()
		case <-t.C:
		}
	}
}

// look counts the wave, and reports whether there is something to tell. While
// there is not, the waves of a ring share one count of it: each for itself
// would count all machines of the ring at every look. What is told is counted
// anew, after the wave: a gate must not see less of the ring than of the wave.
func (w *Waves) look(ctx context.Context, in contract.AwaitTallyIn) (contract.Tallies, bool, error) {
	slice, err := w.Store.Tally(ctx, sliceOf(in.SliceIn))
	if err != nil {
		return contract.Tallies{}, false, fmt.Errorf("count %s: %w", in.Wave, err)
	}
	of := store.Slice{Cycle: in.Cycle, Ring: in.Ring}
	ring, err := w.rings.count(of, w.Look, func() (patching.Tally, error) { return w.Store.Tally(ctx, of) })
	if err != nil {
		return contract.Tallies{}, false, fmt.Errorf("count ring %s: %w", in.Ring, err)
	}
	late := !w.Now().Before(in.Until)
	if now := (contract.Tallies{Slice: slice, Ring: ring}); !late && !matters(in.Known, now, in.Answered) {
		return now, false, nil
	}
	if ring, err = w.Store.Tally(ctx, of); err != nil {
		return contract.Tallies{}, false, fmt.Errorf("count ring %s: %w", in.Ring, err)
	}
	hold, err := w.Store.Hold(ctx)
	if err != nil {
		return contract.Tallies{}, false, err
	}
	now := contract.Tallies{Slice: slice, Ring: ring, Held: hold.Words(w.Now())}
	if !late && !matters(in.Known, now, in.Answered) { // the shared count was old news
		return now, false, nil
	}
	return now, true, w.notePaths(ctx, in.SliceIn, &now)
}

// ringCounts keeps the newest count of each ring for the time of one look.
type ringCounts struct {
	mu    sync.Mutex
	known map[store.Slice]*ringCount
}

type ringCount struct {
	mu    sync.Mutex // held while it is counted: who asks meanwhile takes the answer
	at    time.Time
	tally patching.Tally
}

// count returns a count that is younger than a look, or makes one.
func (r *ringCounts) count(of store.Slice, look time.Duration, count func() (patching.Tally, error)) (patching.Tally, error) {
	c := r.of(of, look)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.at.IsZero() && time.Since(c.at) < look {
		return c.tally, nil
	}
	began := time.Now()
	tally, err := count()
	if err == nil {
		c.at, c.tally = began, tally
	}
	return tally, err
}

// of finds a ring's count, and forgets those of rings that nobody awaits.
func (r *ringCounts) of(slice store.Slice, look time.Duration) *ringCount {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c, ok := r.known[slice]; ok {
		return c
	}
	if r.known == nil {
		r.known = map[store.Slice]*ringCount{}
	}
	maps.DeleteFunc(r.known, func(_ store.Slice, c *ringCount) bool {
		if !c.mu.TryLock() {
			return false
		}
		defer c.mu.Unlock()
		return !c.at.IsZero() && time.Since(c.at) > 100*look
	})
	r.known[slice] = &ringCount{}
	return r.known[slice]
}

// notePaths says of which machines the silence means nothing. Those of the
// wave that are still waited for count in the wave alone: in the ring the gate
// weighs the machines that were given up, and a dead path at one site must not
// excuse machines that keep silent at another.
func (w *Waves) notePaths(ctx context.Context, in contract.SliceIn, t *contract.Tallies) (err error) {
	if t.Ring.PathDown, err = w.lostPath(ctx, contract.SliceIn{Cycle: in.Cycle, Ring: in.Ring}, t.Ring); err != nil {
		return err
	}
	if t.Slice.PathDown, err = w.lostPath(ctx, in, t.Slice); err != nil || t.Slice.Open() == 0 {
		return err
	}
	waiting, err := w.Store.WaitingByRelay(ctx, sliceOf(in))
	if err != nil {
		return err
	}
	heard, err := w.Store.Parts(ctx)
	if err != nil {
		return err
	}
	now := w.Now()
	down := func(part string) bool {
		last, known := heard[part]
		return known && now.Sub(last) > deaf
	}
	for relay, n := range waiting {
		if down("server") || relay != "" && down("relay/"+relay) {
			t.Slice.PathDown += n
		}
	}
	return nil
}

// deaf is after how long without a sign a part of the path counts as down: a
// relay that listens is noted three times in it.
const deaf = time.Minute

// lostPath counts the machines of a slice that were given up because the path
// to them was down.
func (w *Waves) lostPath(ctx context.Context, in contract.SliceIn, t patching.Tally) (int, error) {
	if t.Outcomes[patching.Unreachable] == 0 {
		return 0, nil
	}
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave, Outcomes: []patching.Outcome{patching.Unreachable},
	})
	if err != nil {
		return 0, fmt.Errorf("machines that were given up: %w", err)
	}
	n := 0
	for _, d := range rows {
		if d.Reason == patching.ReasonPathDown {
			n++
		}
	}
	return n, nil
}

// matters reports whether a gate could say something else now: all released
// machines have answered, something went wrong, in the wave or elsewhere in the
// ring, or enough answers are in for the first time. A share of answers that was
// enough before the next batch was released says nothing about that batch.
func matters(known, now contract.Tallies, answered float64) bool {
	switch {
	case now.Slice.Open() == 0:
		return true
	case now.Slice.Bad() != known.Slice.Bad(), now.Ring.Bad() != known.Ring.Bad():
		return true
	default:
		fresh := share(known.Slice) < answered || known.Slice.Released != now.Slice.Released
		return fresh && share(now.Slice) >= answered
	}
}

// share is the answered part of the released, in percent.
func share(t patching.Tally) float64 {
	if t.Released == 0 {
		return 0
	}
	return 100 * float64(t.Answered) / float64(t.Released)
}

func sliceOf(in contract.SliceIn) store.Slice {
	return store.Slice{Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave}
}
