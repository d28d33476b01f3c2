package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// StagedOrder says which order was issued for a deployment.
type StagedOrder struct {
	Cycle patching.CycleID
	Asset patching.AssetID
	Order patching.OrderID
}

// EndSpec says which deployments end, and how.
type EndSpec struct {
	Cycle patching.CycleID
	Ring  patching.RingName
	Wave  patching.WaveID
	// Assets narrows to these. Nil does not narrow; an empty list that is not
	// nil ends nothing.
	Assets []patching.AssetID
	// States narrows to these; empty takes every deployment that has not ended.
	// Naming done replaces outcomes too, which is kept as corrections.
	States  []patching.DeploymentState
	Outcome patching.Outcome
	Reason  patching.Reason
	Detail  string
	At      time.Time
	// Withdraw takes back the orders of those that end, as far as their machines
	// have not begun; of others in the slice none: a machine that was released
	// may still begin.
	Withdraw bool
}

// Verification is what a fresh inventory says of a deployment.
type Verification struct {
	Asset  patching.AssetID
	OK     bool
	Reason patching.Reason
	Detail string
	At     time.Time
}

// Waves returns a ring's waves, ordered by their start, then by id. Machines
// that have left a wave still count in it, so that pages do not shift.
func (s *Store) Waves(ctx context.Context, c patching.CycleID, r patching.RingName, offset, limit int) ([]patching.WaveSummary, error) {
	f := s.filter()
	f.and("cycle = ? AND ring = ? AND wave <> ''", string(c), string(r))
	query := `SELECT wave, MIN(site), MIN(starts), MIN(ends), COUNT(*) FROM deployments` + f.where() +
		" GROUP BY wave ORDER BY MIN(starts), wave"
	if limit > 0 {
		query += " LIMIT ? OFFSET ?"
		f.args = append(f.args, limit, offset)
	}
	out, err := all(ctx, s.reader(), func(row scanner) (patching.WaveSummary, error) {
		var w patching.WaveSummary
		err := row.Scan(&w.ID, &w.Site, instant{&w.Start}, instant{&w.End}, &w.Assets)
		w.Window = windowOf(w.ID)
		return w, err
	}, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("list the waves of %s: %w", patching.RingID(c, r), err)
	}
	return out, nil
}

// windowOf reads the window's name from a wave's id: the last but one part.
func windowOf(w patching.WaveID) string {
	parts := strings.Split(string(w), "/")
	if len(parts) < 2 {
		return ""
	}
	return parts[len(parts)-2]
}

// Stage notes the orders that were issued: what was planned is staged. What was
// released or has ended stays as it is; what is not there is [ErrNotFound].
func (s *Store) Stage(ctx context.Context, staged []StagedOrder) error {
	columns := text("cycle", "asset", "order_id")
	rows := make([][]any, len(staged))
	for i, o := range staged {
		rows[i] = []any{string(o.Cycle), string(o.Asset), string(o.Order)}
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		there := make(map[string]bool, len(staged))
		err := t.eachOf(ctx, func(row scanner) error {
			var c, a string
			err := row.Scan(&c, &a)
			there[c+"\x00"+a] = true
			return err
		}, "SELECT d.cycle, d.asset FROM {rows} AS v JOIN deployments d ON d.cycle = v.cycle AND d.asset = v.asset", columns, rows)
		if err != nil {
			return err
		}
		for _, o := range staged {
			if !there[string(o.Cycle)+"\x00"+string(o.Asset)] {
				return fmt.Errorf("deployment of %s in %s: %w", o.Asset, o.Cycle, ErrNotFound)
			}
		}
		_, err = t.bulk(ctx, `UPDATE deployments SET state = 'staged', order_id = v.order_id FROM {rows} AS v
			WHERE deployments.cycle = v.cycle AND deployments.asset = v.asset
			AND (deployments.state = 'planned' OR deployments.state = 'staged' AND deployments.order_id <> v.order_id)`, columns, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("stage %d deployments: %w", len(staged), err)
	}
	return nil
}

// ReleaseBatch releases the next size staged deployments of a wave, in the
// order of their positions, as the batch of that number, from 1. A batch that
// has released machines already returns them and releases no more.
func (s *Store) ReleaseBatch(ctx context.Context, w patching.WaveID, batch, size int, now time.Time) ([]patching.Deployment, error) {
	if w == "" || batch < 1 {
		return nil, fmt.Errorf("release batch %d of wave %q: want a wave and a number from 1", batch, w)
	}
	var out []patching.Deployment
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		var err error
		if out, err = t.batchOf(ctx, w, batch); err != nil || len(out) > 0 {
			return err
		}
		if err := t.releaseNext(ctx, w, batch, size, now); err != nil {
			return err
		}
		out, err = t.batchOf(ctx, w, batch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("release batch %d of %s: %w", batch, w, err)
	}
	return out, nil
}

func (t *tx) batchOf(ctx context.Context, w patching.WaveID, batch int) ([]patching.Deployment, error) {
	return all(ctx, t.querier, scanDeployment,
		"SELECT "+names(deploymentsTable.columns)+" FROM deployments WHERE wave = ? AND batch = ? ORDER BY position, asset", string(w), batch)
}

// releaseNext updates by the primary key what it found through the index of
// waves: a wave of 20,000 machines must not be walked for every 200 of them.
func (t *tx) releaseNext(ctx context.Context, w patching.WaveID, batch, size int, now time.Time) error {
	next, err := all(ctx, t.querier, func(row scanner) ([]any, error) {
		var cycle, asset string
		err := row.Scan(&cycle, &asset)
		return []any{cycle, asset, int64(batch), micros(now)}, err
	}, "SELECT cycle, asset FROM deployments WHERE wave = ? AND batch = 0 AND state = 'staged' ORDER BY position, asset LIMIT ?", string(w), size)
	if err != nil {
		return err
	}
	_, err = t.bulk(ctx, `UPDATE deployments SET state = 'released', batch = v.batch, released = v.released FROM {rows} AS v
		WHERE deployments.cycle = v.cycle AND deployments.asset = v.asset`, append(text("cycle", "asset"), ints("batch", "released")...), next)
	return err
}

// EndDeployments gives an outcome to what has none and returns how many got
// it. What has ended stays as it is, unless the state done is named. Locks are
// not touched, orders only if they are to be withdrawn.
func (s *Store) EndDeployments(ctx context.Context, e EndSpec) (ended int, err error) {
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		ended, err = t.end(ctx, e)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("end deployments of %s as %s: %w", e.Cycle, e.Outcome, err)
	}
	return ended, nil
}

func (t *tx) end(ctx context.Context, e EndSpec) (int, error) {
	if e.Cycle == "" {
		return 0, errors.New("no cycle is named")
	}
	if !e.Outcome.Valid() || !e.Reason.Valid() {
		return 0, fmt.Errorf("outcome %q with reason %q is not in the vocabulary", e.Outcome, e.Reason)
	}
	if e.Assets != nil && len(e.Assets) == 0 {
		return 0, nil
	}
	f := &filter{dialect: t.dialect}
	f.and("cycle = ? AND NOT (outcome = ? AND reason = ?)", string(e.Cycle), string(e.Outcome), string(e.Reason))
	f.equal("ring", string(e.Ring))
	f.equal("wave", string(e.Wave))
	f.within("asset", list(e.Assets))
	f.within("state", list(e.States))
	if slices.Contains(e.States, patching.DeploymentDone) {
		_, err := t.exec(ctx, `INSERT INTO corrections (cycle, asset, order_id, at, was_outcome, was_reason, outcome, reason, applied)
			SELECT cycle, asset, '', CAST(? AS BIGINT), outcome, reason, CAST(? AS TEXT), CAST(? AS TEXT), TRUE FROM deployments`+f.where()+" AND state = 'done'",
			append([]any{micros(e.At), string(e.Outcome), string(e.Reason)}, f.args...)...)
		if err != nil {
			return 0, err
		}
	} else {
		f.and("state <> 'done'")
	}
	if e.Withdraw {
		_, err := t.exec(ctx, "UPDATE orders SET withdrawn = TRUE WHERE NOT withdrawn AND "+notStarted+
			" AND id IN (SELECT order_id FROM deployments"+f.where()+" AND order_id <> '')", f.args...)
		if err != nil {
			return 0, err
		}
	}
	n, err := t.exec(ctx, "UPDATE deployments SET state = 'done', outcome = ?, reason = ?, detail = ?, ended = ?"+f.where(),
		append([]any{string(e.Outcome), string(e.Reason), e.Detail, micros(e.At)}, f.args...)...)
	return int(n), err
}

// MarkVerified notes what fresh inventories say of deployments that have ended.
// One that holds is verified, from the first time on, with the detail if there is
// one. One that does not turns patched into failed, and rolled back into needs
// hands, with the reason given.
func (s *Store) MarkVerified(ctx context.Context, c patching.CycleID, found []Verification) error {
	columns := append(text("asset", "reason", "detail"), ints("at")...)
	var holds, fails [][]any
	for _, v := range found {
		row := []any{string(v.Asset), string(v.Reason), v.Detail, micros(v.At)}
		if v.OK {
			holds = append(holds, row)
		} else {
			fails = append(fails, row)
		}
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.bulk(ctx, `UPDATE deployments SET verified = v.at,
			detail = CASE WHEN v.detail = '' THEN deployments.detail ELSE v.detail END FROM {rows} AS v
			WHERE deployments.asset = v.asset AND deployments.state = 'done' AND deployments.verified = 0 AND deployments.cycle = ?`,
			columns, holds, string(c))
		if err != nil {
			return err
		}
		_, err = t.bulk(ctx, `UPDATE deployments SET reason = v.reason, detail = v.detail, verified = 0,
			outcome = CASE deployments.outcome WHEN 'patched' THEN 'failed' ELSE 'needs-hands' END FROM {rows} AS v
			WHERE deployments.asset = v.asset AND deployments.outcome IN ('patched', 'rolled-back') AND deployments.cycle = ?`,
			columns, fails, string(c))
		return err
	})
	if err != nil {
		return fmt.Errorf("note %d verifications of %s: %w", len(found), c, err)
	}
	return nil
}
