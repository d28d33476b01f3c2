package activities

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Read counts a slice once.
func (w *Waves) Read(ctx context.Context, in contract.SliceIn) (patching.Tally, error) {
	return w.Store.Tally(ctx, sliceOf(in))
}

// Await returns when the tally differs from the known one in a way that
// matters, or at the given time. One wait serves a whole batch: a history gets
// three events for it, however many machines answer.
func (w *Waves) Await(ctx context.Context, in contract.AwaitTallyIn) (contract.Tallies, error) {
	t := time.NewTicker(w.Look)
	defer t.Stop()
	for {
		now, err := w.tallies(ctx, in.SliceIn)
		if err != nil {
			return contract.Tallies{}, err
		}
		if matters(in.Known, now, in.Answered) || !w.Now().Before(in.Until) {
			return now, nil
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

func (w *Waves) tallies(ctx context.Context, in contract.SliceIn) (contract.Tallies, error) {
	slice, err := w.Store.Tally(ctx, sliceOf(in))
	if err != nil {
		return contract.Tallies{}, fmt.Errorf("count %s: %w", in.Wave, err)
	}
	ring, err := w.Store.Tally(ctx, store.Slice{Cycle: in.Cycle, Ring: in.Ring})
	if err != nil {
		return contract.Tallies{}, fmt.Errorf("count ring %s: %w", in.Ring, err)
	}
	return contract.Tallies{Slice: slice, Ring: ring}, nil
}

// matters reports whether a gate could say something else now: all released
// machines have answered, something went wrong, in the wave or elsewhere in the
// ring, or enough answers are in for the first time.
func matters(known, now contract.Tallies, answered float64) bool {
	switch {
	case now.Slice.Open() == 0:
		return true
	case now.Slice.Bad() != known.Slice.Bad(), now.Ring.Bad() != known.Ring.Bad():
		return true
	default:
		return share(now.Slice) >= answered && share(known.Slice) < answered
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
