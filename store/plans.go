package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

const planColumns = "cycle, hash, revision, kind, shadow, policy, policy_version, author, made, close_by, rings, excluded"

// ringDocument is how a plan's ring is kept.
type ringDocument struct {
	Name   patching.RingName `json:"name"`
	Assets int               `json:"assets"`
	Root   patching.Digest   `json:"root"`
	// Absent in the plans of nearly all cycles.
	StandIns string `json:"stand_ins,omitempty"`
}

// PutPlan makes a plan the one that counts in its cycle, and its items the
// cycle's deployments. Its text goes to the content, its hash to the cycle.
//
// What has been released or has ended stays as it is, also where the plan says
// otherwise. All else is replaced: assets that the plan does not name leave the
// cycle; what was staged stays staged if bundle and wave are the same, and is
// planned again, its order withdrawn, if not. Excluded assets become
// deployments without a ring that have ended, with the plan's reason and an
// outcome that follows from it; a later plan may take them in.
//
// The same plan again changes nothing that it did not change before.
func (s *Store) PutPlan(ctx context.Context, p patching.Plan, items []patching.PlanItem) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		if err := t.keepPlan(ctx, p); err != nil {
			return err
		}
		return t.replaceDeployments(ctx, p, items)
	})
	if err != nil {
		return fmt.Errorf("keep plan %s of %s: %w", p.Hash().Short(), p.Cycle, err)
	}
	return nil
}

func (t *tx) keepPlan(ctx context.Context, p patching.Plan) error {
	hash := p.Hash()
	n, err := t.exec(ctx, "UPDATE cycles SET plan = ? WHERE id = ?", string(hash), string(p.Cycle))
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("there is no such cycle: %w", ErrNotFound)
	}
	if err := t.putContent(ctx, [][]any{{string(hash), "plan", p.Canonical()}}); err != nil {
		return err
	}
	rings := make([]ringDocument, len(p.Rings))
	for i, r := range p.Rings {
		rings[i] = ringDocument(r)
	}
	excluded := ""
	if len(p.Excluded) > 0 {
		excluded = encode(p.Excluded)
	}
	_, err = t.exec(ctx, "INSERT INTO plans ("+planColumns+`, recorded) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (cycle, hash) DO UPDATE SET recorded = excluded.recorded`,
		string(p.Cycle), string(hash), p.Revision, string(p.Kind), p.Shadow, string(p.Policy), string(p.PolicyVersion), string(p.Author),
		micros(p.Made), micros(p.CloseBy), jsonText(rings), excluded, micros(clock()))
	return err
}

func (t *tx) replaceDeployments(ctx context.Context, p patching.Plan, items []patching.PlanItem) error {
	fences, err := t.fencesOf(ctx, p.Cycle)
	if err != nil {
		return err
	}
	was, err := t.deploymentsOf(ctx, p.Cycle)
	if err != nil {
		return err
	}
	var rows [][]any
	named := make(map[patching.AssetID]bool, len(items))
	for _, i := range items {
		if i.Asset == "" || named[i.Asset] {
			return fmt.Errorf("asset %q comes twice, or has no id", i.Asset)
		}
		named[i.Asset] = true
		old, there := was[i.Asset]
		if there && old.kept() {
			continue
		}
		d := patching.Deployment{Cycle: p.Cycle, PlanItem: i, State: patching.DeploymentPlanned, Fence: fences[i.Asset]}
		switch {
		case i.Exclude != "":
			outcome, ok := i.Exclude.LeavesAs()
			if !ok {
				return fmt.Errorf("asset %q is left out for %q, which only a machine's answer can tell", i.Asset, i.Exclude)
			}
			d.State, d.Outcome, d.Reason, d.Detail = patching.DeploymentDone, outcome, i.Exclude, i.Why
		case there && old.same(i):
			d.State, d.Order = old.state, old.order
			delete(was, i.Asset)
		}
		rows = append(rows, deploymentRow(d, p.Made))
	}
	if err := t.withdrawStaged(ctx, was); err != nil {
		return err
	}
	if _, err := t.exec(ctx, "DELETE FROM deployments WHERE cycle = ? AND (state IN ('planned', 'staged') OR "+leftOut+")", string(p.Cycle)); err != nil {
		return err
	}
	return t.insert(ctx, deploymentsTable, rows)
}

// leftOut is the condition of a deployment that a plan excluded.
const leftOut = "exclude <> '' AND state = 'done'"

// standing is what replacing a plan has to know of a deployment that is there.
type standing struct {
	state   patching.DeploymentState
	order   patching.OrderID
	bundle  patching.Digest
	wave    patching.WaveID
	start   int64
	exclude patching.Reason
}

func (d standing) kept() bool {
	return d.state.Rank() > patching.DeploymentStaged.Rank() && d.exclude == ""
}

func (d standing) same(i patching.PlanItem) bool {
	return d.state == patching.DeploymentStaged && d.bundle == i.Bundle && d.wave == i.Wave && d.start == micros(i.Start)
}

func (t *tx) deploymentsOf(ctx context.Context, c patching.CycleID) (map[patching.AssetID]standing, error) {
	out := make(map[patching.AssetID]standing)
	err := t.each(ctx, func(row scanner) error {
		var a patching.AssetID
		var d standing
		err := row.Scan(&a, &d.state, &d.order, &d.bundle, &d.wave, &d.start, &d.exclude)
		out[a] = d
		return err
	}, "SELECT asset, state, order_id, bundle, wave, starts, exclude FROM deployments WHERE cycle = ?", string(c))
	return out, err
}

// withdrawStaged takes back the orders of deployments that a new plan drops or
// changes: no start permit was given for them, so no machine can have begun.
func (t *tx) withdrawStaged(ctx context.Context, dropped map[patching.AssetID]standing) error {
	var rows [][]any
	for _, d := range dropped {
		if d.state == patching.DeploymentStaged {
			rows = append(rows, []any{string(d.order)})
		}
	}
	_, err := t.bulk(ctx, "UPDATE orders SET withdrawn = TRUE FROM {rows} AS v WHERE orders.id = v.id AND NOT final", text("id"), rows)
	return err
}

// Plan returns the cycle's newest plan.
func (s *Store) Plan(ctx context.Context, c patching.CycleID) (patching.Plan, error) {
	p, err := one(ctx, s.reader(), scanPlan,
		"SELECT "+planColumns+" FROM plans WHERE cycle = ? ORDER BY revision DESC, recorded DESC LIMIT 1", string(c))
	if err != nil {
		return p, fmt.Errorf("plan of %s: %w", c, err)
	}
	return p, nil
}

// Plans returns all plans of a cycle, by revision.
func (s *Store) Plans(ctx context.Context, c patching.CycleID) ([]patching.Plan, error) {
	out, err := all(ctx, s.reader(), scanPlan, "SELECT "+planColumns+" FROM plans WHERE cycle = ? ORDER BY revision, recorded", string(c))
	if err != nil {
		return nil, fmt.Errorf("list the plans of %s: %w", c, err)
	}
	return out, nil
}

func scanPlan(row scanner) (patching.Plan, error) {
	var p patching.Plan
	var hash patching.Digest
	var rings []ringDocument
	err := row.Scan(&p.Cycle, &hash, &p.Revision, &p.Kind, &p.Shadow, &p.Policy, &p.PolicyVersion, &p.Author,
		instant{&p.Made}, instant{&p.CloseBy}, document{&rings}, document{&p.Excluded})
	for _, r := range rings {
		p.Rings = append(p.Rings, patching.PlanRing(r))
	}
	return p, err
}
