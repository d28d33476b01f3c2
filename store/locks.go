package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

var locksTable = table{"asset_locks", append(text("asset", "cycle"), ints("fence", "taken")...)}

// lock is who works on an asset.
type lock struct {
	cycle patching.CycleID // empty: nobody
	fence int64
}

// LockAssets takes the locks of assets for a cycle. What the cycle holds
// already stays as it is; what another holds is busy and stays with it. A fence
// grows with every taking, for ever, and machines refuse orders with a lower one.
func (s *Store) LockAssets(ctx context.Context, c patching.CycleID, assets []patching.AssetID, now time.Time) (fences map[patching.AssetID]int64, busy map[patching.AssetID]patching.CycleID, err error) {
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		fences, busy = make(map[patching.AssetID]int64, len(assets)), make(map[patching.AssetID]patching.CycleID)
		locks, err := t.locks(ctx, assets)
		if err != nil {
			return err
		}
		var take []patching.AssetID
		for _, a := range assets {
			switch l := locks[a]; l.cycle {
			case c:
				fences[a] = l.fence
			case "":
				take = append(take, a)
			default:
				busy[a] = l.cycle
			}
		}
		return t.takeLocks(ctx, c, take, locks, fences, now)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("lock %d assets for %s: %w", len(assets), c, err)
	}
	return fences, busy, nil
}

// takeLocks moves locks to the cycle, each with the next fence, which it notes
// in fences and in the cycle's deployments.
func (t *tx) takeLocks(ctx context.Context, c patching.CycleID, take []patching.AssetID, locks map[patching.AssetID]lock, fences map[patching.AssetID]int64, now time.Time) error {
	rows := make([][]any, 0, len(take))
	for _, a := range take {
		if _, twice := fences[a]; twice {
			continue
		}
		fences[a] = locks[a].fence + 1
		rows = append(rows, []any{string(a), string(c), fences[a], micros(now)})
	}
	_, err := t.merge(ctx, locksTable, "(asset) DO UPDATE SET cycle = excluded.cycle, fence = excluded.fence, taken = excluded.taken", rows)
	if err != nil {
		return err
	}
	_, err = t.bulk(ctx, `UPDATE deployments SET fence = v.fence FROM {rows} AS v
		WHERE deployments.cycle = v.cycle AND deployments.asset = v.asset`, locksTable.columns, rows)
	return err
}

// TakeOver moves locks from one cycle to another. Taken are assets that the
// first cycle gave no start permit yet, whose deployments end there as deferred
// and whose orders are withdrawn; those it is done with; and those that nobody
// holds. All others are named with the reason in words: a machine that was told
// to start and has not answered is nobody's to take.
//
// Doing it again gives the same answer for what was taken.
func (s *Store) TakeOver(ctx context.Context, from, to patching.CycleID, assets []patching.AssetID, now time.Time) (taken []patching.AssetID, named map[patching.AssetID]string, err error) {
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		taken, named = nil, make(map[patching.AssetID]string)
		locks, err := t.locks(ctx, assets)
		if err != nil {
			return err
		}
		was, err := t.progressOf(ctx, from, assets)
		if err != nil {
			return err
		}
		fences := make(map[patching.AssetID]int64, len(assets))
		var take, ended []patching.AssetID
		for _, a := range assets {
			l := locks[a]
			d, deployed := was[a]
			switch {
			case l.cycle == to:
				taken = append(taken, a)
				continue
			case l.cycle != "" && l.cycle != from:
				named[a] = fmt.Sprintf("%s works on it", l.cycle)
				continue
			case l.cycle == from && deployed && d.waiting():
				named[a] = fmt.Sprintf("%s told it to start at %s and has no answer yet", from, d.released.Format("2006-01-02 15:04 UTC"))
				continue
			case deployed && d.state.Rank() < patching.DeploymentReleased.Rank():
				ended = append(ended, a)
			}
			take, taken = append(take, a), append(taken, a)
		}
		if err := t.endTakenOver(ctx, from, to, ended, now); err != nil {
			return err
		}
		return t.takeLocks(ctx, to, take, locks, fences, now)
	})
	if err != nil {
		return nil, nil, fmt.Errorf("take %d assets over from %s: %w", len(assets), from, err)
	}
	return taken, named, nil
}

// progress is what a take-over has to know of a deployment.
type progress struct {
	state    patching.DeploymentState
	released time.Time
	answered time.Time
}

// waiting reports whether the machine was told to start and has not answered;
// that the server has stopped waiting for it is no answer.
func (p progress) waiting() bool {
	return p.answered.IsZero() && (!p.released.IsZero() || p.state == patching.DeploymentStarted)
}

func (t *tx) progressOf(ctx context.Context, c patching.CycleID, assets []patching.AssetID) (map[patching.AssetID]progress, error) {
	out := make(map[patching.AssetID]progress, len(assets))
	within, arg := t.dialect.Within(list(assets))
	err := t.each(ctx, func(row scanner) error {
		var a patching.AssetID
		var p progress
		err := row.Scan(&a, &p.state, instant{&p.released}, instant{&p.answered})
		out[a] = p
		return err
	}, "SELECT asset, state, released, answered FROM deployments WHERE cycle = ? AND asset"+within, string(c), arg)
	return out, err
}

func (t *tx) endTakenOver(ctx context.Context, from, to patching.CycleID, ended []patching.AssetID, now time.Time) error {
	within, arg := t.dialect.Within(list(ended))
	if _, err := t.exec(ctx, `UPDATE orders SET withdrawn = TRUE WHERE NOT final AND id IN
		(SELECT order_id FROM deployments WHERE cycle = ? AND order_id <> '' AND asset`+within+")", string(from), arg); err != nil {
		return err
	}
	_, err := t.end(ctx, EndSpec{
		Cycle: from, Assets: append([]patching.AssetID{}, ended...), Outcome: patching.Deferred, Reason: patching.ReasonTakenOver,
		Detail: fmt.Sprintf("taken over by %s", to), At: now,
	})
	return err
}

// ReleaseLocks gives back all locks that a cycle holds. Their fences stay.
func (s *Store) ReleaseLocks(ctx context.Context, c patching.CycleID) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.exec(ctx, "UPDATE asset_locks SET cycle = '' WHERE cycle = ? AND cycle <> ''", string(c))
		return err
	})
	if err != nil {
		return fmt.Errorf("give back the locks of %s: %w", c, err)
	}
	return nil
}

func (t *tx) locks(ctx context.Context, assets []patching.AssetID) (map[patching.AssetID]lock, error) {
	out := make(map[patching.AssetID]lock, len(assets))
	within, arg := t.dialect.Within(list(assets))
	err := t.each(ctx, func(row scanner) error {
		var a patching.AssetID
		var l lock
		err := row.Scan(&a, &l.cycle, &l.fence)
		out[a] = l
		return err
	}, "SELECT asset, cycle, fence FROM asset_locks WHERE asset"+within, arg)
	return out, err
}

// fencesOf returns the fences of the locks that a cycle holds.
func (t *tx) fencesOf(ctx context.Context, c patching.CycleID) (map[patching.AssetID]int64, error) {
	out := make(map[patching.AssetID]int64)
	err := t.each(ctx, func(row scanner) error {
		var a patching.AssetID
		var fence int64
		err := row.Scan(&a, &fence)
		out[a] = fence
		return err
	}, "SELECT asset, fence FROM asset_locks WHERE cycle = ? AND cycle <> ''", string(c))
	return out, err
}
