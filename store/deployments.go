package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// DeploymentFilter chooses deployments. The zero filter takes all.
type DeploymentFilter struct {
	Cycle  patching.CycleID
	Ring   patching.RingName
	Wave   patching.WaveID
	Asset  patching.AssetID
	Device patching.DeviceID
	// States and Outcomes take any of theirs. The empty outcome is that of
	// deployments that have not ended.
	States   []patching.DeploymentState
	Outcomes []patching.Outcome
	// Batch takes the machines of one release batch; 0 takes all.
	Batch int
	// After continues after an asset; Limit bounds the answer, 0 does not.
	After patching.AssetID
	Limit int
}

// Slice is a part of a cycle. Empty fields do not narrow it; a wave's id says
// its cycle and ring too.
type Slice struct {
	Cycle patching.CycleID
	Ring  patching.RingName
	Wave  patching.WaveID
	Batch int // 0 is all batches
	// Now is up to when [Store.Tally] counts host-hours; zero is the present.
	Now time.Time
}

var deploymentsTable = table{"deployments", append(append(append(append(append(append(append(append(append(
	text("cycle", "asset", "device", "site", "ring", "wave"), ints("position")...),
	text("window_rule")...), ints("starts", "ends")...),
	text("bundle", "rollback", "stratum", "exclude", "why", "would")...), ints("fence")...),
	text("state")...), ints("batch")...),
	text("order_id", "outcome", "reason", "detail", "signature")...),
	ints("released", "answered", "ended", "repairs", "freed", "verified", "again")...)}

// Deployments returns the deployments that the filter takes: by position when a
// wave is asked for, else by asset.
func (s *Store) Deployments(ctx context.Context, want DeploymentFilter) ([]patching.Deployment, error) {
	f := s.filter()
	f.slice("", Slice{Cycle: want.Cycle, Ring: want.Ring, Wave: want.Wave, Batch: want.Batch})
	f.equal("asset", string(want.Asset))
	f.equal("device", string(want.Device))
	f.within("state", list(want.States))
	f.within("outcome", list(want.Outcomes))
	order := " ORDER BY asset, cycle"
	if want.Wave != "" {
		order = " ORDER BY position, asset"
	}
	switch {
	case want.After != "" && want.Wave != "":
		f.and("(position, asset) > (SELECT p.position, p.asset FROM deployments p WHERE p.wave = ? AND p.asset = ?)",
			string(want.Wave), string(want.After))
	case want.After != "":
		f.and("asset > ?", string(want.After))
	}
	query := "SELECT " + names(deploymentsTable.columns) + " FROM deployments" + f.where() + order
	query += f.limit(want.Limit)
	out, err := all(ctx, s.reader(), scanDeployment, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("list deployments: %w", err)
	}
	return out, nil
}

// Deployment returns that of one asset in one cycle.
func (s *Store) Deployment(ctx context.Context, c patching.CycleID, a patching.AssetID) (patching.Deployment, error) {
	d, err := one(ctx, s.reader(), scanDeployment,
		"SELECT "+names(deploymentsTable.columns)+" FROM deployments WHERE cycle = ? AND asset = ?", string(c), string(a))
	if err != nil {
		return d, fmt.Errorf("deployment of %s in %s: %w", a, c, err)
	}
	return d, nil
}

// slice narrows to a part of a cycle. The wave alone is asked for when there is
// one: SQLite would otherwise walk the whole cycle to find it.
func (f *filter) slice(prefix string, s Slice) {
	if s.Wave != "" {
		f.and(prefix+"wave = ?", string(s.Wave))
	} else {
		f.equal(prefix+"cycle", string(s.Cycle))
		f.equal(prefix+"ring", string(s.Ring))
	}
	if s.Batch > 0 {
		f.and(prefix+"batch = ?", s.Batch)
	}
}

// deploymentRow has the columns of deploymentsTable; at is when it ended, if it has.
func deploymentRow(d patching.Deployment, at time.Time) []any {
	ended := int64(0)
	if d.State.Terminal() {
		ended = micros(at)
	}
	return []any{
		string(d.Cycle), string(d.Asset), string(d.Device), string(d.Site), string(d.Ring), string(d.Wave), int64(d.Position),
		d.WindowRule, micros(d.Start), micros(d.End),
		string(d.Bundle), string(d.Rollback), d.Stratum, string(d.Exclude), d.Why, string(d.Would), d.Fence,
		string(d.State), int64(d.Batch),
		string(d.Order), string(d.Outcome), string(d.Reason), d.Detail, d.Signature,
		micros(d.Released), micros(d.Answered), ended, int64(d.Repairs), d.Freed, micros(d.Verified), int64(d.Again),
	}
}

func scanDeployment(row scanner) (patching.Deployment, error) {
	var d patching.Deployment
	var ended int64 // kept for those who read the table: the vocabulary has no word for it
	err := row.Scan(&d.Cycle, &d.Asset, &d.Device, &d.Site, &d.Ring, &d.Wave, &d.Position,
		&d.WindowRule, instant{&d.Start}, instant{&d.End},
		&d.Bundle, &d.Rollback, &d.Stratum, &d.Exclude, &d.Why, &d.Would, &d.Fence,
		&d.State, &d.Batch,
		&d.Order, &d.Outcome, &d.Reason, &d.Detail, &d.Signature,
		instant{&d.Released}, instant{&d.Answered}, &ended, &d.Repairs, &d.Freed, instant{&d.Verified}, &d.Again)
	return d, err
}
