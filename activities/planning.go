package activities

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// PlanStore is what planning needs of the store.
type PlanStore interface {
	FleetStore
	PutContents(ctx context.Context, kind string, texts [][]byte) ([]patching.Digest, error)
	Devices(ctx context.Context, states ...patching.DeviceState) ([]patching.Device, error)
	Account(ctx context.Context, name patching.AccountName) (patching.Account, error)
	LockAssets(ctx context.Context, c patching.CycleID, assets []patching.AssetID, now time.Time) (map[patching.AssetID]int64, map[patching.AssetID]patching.CycleID, error)
	TakeOver(ctx context.Context, from, to patching.CycleID, assets []patching.AssetID, now time.Time) ([]patching.AssetID, map[patching.AssetID]string, error)
	PutPlan(ctx context.Context, p patching.Plan, items []patching.PlanItem) error
	Plan(ctx context.Context, c patching.CycleID) (patching.Plan, error)
	PutOutlook(ctx context.Context, c patching.CycleID, o plan.Outlook) error
	Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error)
	Cycles(ctx context.Context, f store.CycleFilter) ([]patching.Cycle, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	EndDeployments(ctx context.Context, e store.EndSpec) (int, error)
	Waves(ctx context.Context, c patching.CycleID, r patching.RingName, offset, limit int) ([]patching.WaveSummary, error)
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
}

// Planning makes plans and keeps them.
type Planning struct {
	Store PlanStore
	Now   Clock
	// Snapshots freezes what a plan is made from, and says so what can be undone.
	// Where the server keeps none, WayBack does: what the machines' repositories
	// are assumed to keep.
	Snapshots Snapshots
	WayBack   assess.WayBack
}

// Make makes the plan of a revision and keeps it. The first is built from the
// fleet; those after it are made again from the same inputs less what failed,
// and may only shrink: what people pre-approved or approved covers them.
func (p *Planning) Make(ctx context.Context, in contract.MakePlanIn) (contract.PlanSummary, error) {
	stop := beat(ctx)
	defer stop()
	pol, err := readPolicy(ctx, p.Store, in.State.PolicyVersion)
	if err != nil {
		return contract.PlanSummary{}, err
	}
	var d draft
	if in.Revision <= 1 {
		d.made, d.items, err = p.first(ctx, in, pol)
	} else {
		d, err = p.again(ctx, in)
	}
	if err != nil {
		return contract.PlanSummary{}, err
	}
	if err := p.seal(ctx, &d.made, d.items); err != nil {
		return contract.PlanSummary{}, err
	}
	look, err := p.outlook(ctx, in.State, pol, d)
	if err != nil {
		return contract.PlanSummary{}, err
	}
	// The plan comes last: an attempt that finds it finds its outlook too.
	if err := p.Store.PutOutlook(ctx, d.made.Cycle, look); err != nil {
		return contract.PlanSummary{}, err
	}
	if err := p.Store.PutPlan(ctx, d.made, d.items); err != nil {
		return contract.PlanSummary{}, fmt.Errorf("keep plan: %w", err)
	}
	return summary(d.made, d.items, pol, look), nil
}

// draft is a plan that is being made.
type draft struct {
	made  patching.Plan
	items []patching.PlanItem
	// before and was are the plan that it is made from, and its items.
	before patching.Plan
	was    []patching.PlanItem
}

// first builds the plan from the fleet as it stands.
func (p *Planning) first(ctx context.Context, in contract.MakePlanIn, pol *policy.Policy) (patching.Plan, []patching.PlanItem, error) {
	input, err := p.input(ctx, in, pol)
	if err != nil {
		return patching.Plan{}, nil, err
	}
	input.Busy = map[patching.AssetID]patching.CycleID{}
	for {
		out, err := plan.Build(input)
		if err != nil {
			return patching.Plan{}, nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		// Who is busy in another cycle is known once we try to lock those that the
		// plan would touch; what cannot be taken over leaves the plan by name. Others
		// may get its place in a ring, so they are locked in their turn.
		busy, err := p.lock(ctx, in.State.ID, out.Items)
		if err != nil || len(busy) == 0 {
			return out.Plan, out.Items, err
		}
		maps.Copy(input.Busy, busy)
	}
}

func (p *Planning) input(ctx context.Context, in contract.MakePlanIn, pol *policy.Policy) (plan.Input, error) {
	s, now := in.State, p.Now().UTC()
	assets, err := p.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return plan.Input{}, fmt.Errorf("assets: %w", err)
	}
	ours, err := selected(ctx, p.Store, pol)
	if err != nil {
		return plan.Input{}, err
	}
	read := newReader(p.Store)
	f, err := assessFleet(ctx, read, pol, ours, now)
	if err != nil {
		return plan.Input{}, err
	}
	back, err := p.wayBack(ctx, s, read, f)
	if err != nil {
		return plan.Input{}, err
	}
	refs, texts := f.bundles(pol, back)
	if _, err := p.Store.PutContents(ctx, "bundle", texts); err != nil {
		return plan.Input{}, fmt.Errorf("keep bundles: %w", err)
	}
	author, err := p.Store.Account(ctx, s.Author)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return plan.Input{}, fmt.Errorf("author %s: %w", s.Author, err)
	}
	carried, err := p.carriedOver(ctx, s)
	if err != nil {
		return plan.Input{}, err
	}
	return plan.Input{
		Cycle: s.ID, Kind: s.Kind, Revision: in.Revision, Shadow: s.Shadow, Author: s.Author, Roles: author.Roles,
		Now: now, CloseBy: s.CloseBy, Policy: pol, PolicyVersion: s.PolicyVersion,
		Assets: assets, Bundles: refs, CarryOver: carried,
	}, nil
}

// carriedOver names the machines that the policy's last closed cycle of the
// kind left to this one: they go first. An emergency in between takes nothing
// off a month's remainder.
func (p *Planning) carriedOver(ctx context.Context, s contract.CycleState) ([]patching.AssetID, error) {
	cycles, err := p.Store.Cycles(ctx, store.CycleFilter{Policy: s.Policy})
	if err != nil {
		return nil, fmt.Errorf("earlier cycles: %w", err)
	}
	last := slices.IndexFunc(cycles, func(c patching.Cycle) bool {
		return c.ID != s.ID && c.Kind == s.Kind && !c.Closed.IsZero() && !c.Shadow
	})
	if last < 0 {
		return nil, nil
	}
	rows, err := p.Store.Deployments(ctx, store.DeploymentFilter{Cycle: cycles[last].ID, Outcomes: []patching.Outcome{patching.Deferred}})
	if err != nil {
		return nil, fmt.Errorf("what %s left over: %w", cycles[last].ID, err)
	}
	var ids []patching.AssetID
	for _, d := range rows {
		ids = append(ids, d.Asset)
	}
	return ids, nil
}

// lock locks the machines that the plan would touch. Those of another cycle are
// taken over where they have no start permit yet; the rest is returned.
func (p *Planning) lock(ctx context.Context, id patching.CycleID, items []patching.PlanItem) (map[patching.AssetID]patching.CycleID, error) {
	var wanted []patching.AssetID
	for _, i := range items {
		if i.Ring != "" {
			wanted = append(wanted, i.Asset)
		}
	}
	now := p.Now().UTC()
	_, busy, err := p.Store.LockAssets(ctx, id, wanted, now)
	if err != nil {
		return nil, fmt.Errorf("lock machines: %w", err)
	}
	byCycle := map[patching.CycleID][]patching.AssetID{}
	for asset, holder := range busy {
		byCycle[holder] = append(byCycle[holder], asset)
	}
	for holder, assets := range byCycle {
		taken, _, err := p.Store.TakeOver(ctx, holder, id, assets, now)
		if err != nil {
			return nil, fmt.Errorf("take machines over from %s: %w", holder, err)
		}
		for _, a := range taken {
			delete(busy, a)
		}
	}
	return busy, nil
}

// again makes the plan again from the one before: same inputs less the patches
// that failed in a ring that has begun.
func (p *Planning) again(ctx context.Context, in contract.MakePlanIn) (draft, error) {
	s := in.State
	before, err := p.Store.Plan(ctx, s.ID)
	if err != nil {
		return draft{}, fmt.Errorf("plan before: %w", err)
	}
	rows, err := p.Store.Deployments(ctx, store.DeploymentFilter{Cycle: s.ID})
	if err != nil {
		return draft{}, fmt.Errorf("machines of the plan before: %w", err)
	}
	read := newReader(p.Store)
	items, less, err := p.lessOf(ctx, read, s, rows)
	if err != nil {
		return draft{}, err
	}
	shrunk := plan.Shrink(items, less)
	within := func(part, whole patching.Digest) bool {
		a, errA := read.bundle(ctx, part)
		b, errB := read.bundle(ctx, whole)
		return errA == nil && errB == nil && assess.Within(a, b)
	}
	if err := plan.Shrunk(items, shrunk, within); err != nil {
		return draft{}, fmt.Errorf("%w: the plan may only shrink: %w", ErrRefused, err)
	}
	made := before
	made.Revision, made.Made = in.Revision, p.Now().UTC()
	made = plan.Summarize(made, shrunk)
	slices.SortFunc(made.Rings, func(a, b patching.PlanRing) int { return ringAt(before.Rings, a.Name) - ringAt(before.Rings, b.Name) })
	return draft{made, shrunk, before, items}, nil
}

// outlook looks at a plan for those who decide about it.
func (p *Planning) outlook(ctx context.Context, s contract.CycleState, pol *policy.Policy, d draft) (plan.Outlook, error) {
	bundles := map[patching.Digest]patching.Bundle{}
	read := newReader(p.Store)
	for _, i := range slices.Concat(d.was, d.items) {
		if _, known := bundles[i.Bundle]; known || i.Ring == "" {
			continue
		}
		b, err := read.bundle(ctx, i.Bundle)
		if err != nil {
			return plan.Outlook{}, err
		}
		bundles[i.Bundle] = b
	}
	var begun []patching.RingName
	for _, r := range s.Rings {
		begun = append(begun, r.Name)
	}
	look := plan.Look(pol, d.made, d.was, d.items, bundles, begun...)
	if d.before.Revision != d.made.Revision {
		return look, nil
	}
	// An earlier attempt has made this revision, and its answer was lost: what it
	// was made from is gone, but not what it said of that.
	kept, err := p.Store.Outlooks(ctx, s.ID)
	if err != nil {
		return plan.Outlook{}, err
	}
	look.Change = kept[d.before.Hash()].Change
	return look, nil
}

// Reschedule moves the machines of rings that have not begun to the next
// occurrences of their windows. Rules and bundles stay, so the plan and its
// approval do too.
func (p *Planning) Reschedule(ctx context.Context, in contract.MakePlanIn) (contract.None, error) {
	stop := beat(ctx)
	defer stop()
	s := in.State
	pol, err := readPolicy(ctx, p.Store, s.PolicyVersion)
	if err != nil {
		return contract.None{}, err
	}
	made, err := p.Store.Plan(ctx, s.ID)
	if err != nil {
		return contract.None{}, fmt.Errorf("plan of %s: %w", s.ID, err)
	}
	rows, err := p.Store.Deployments(ctx, store.DeploymentFilter{Cycle: s.ID})
	if err != nil {
		return contract.None{}, fmt.Errorf("machines of %s: %w", s.ID, err)
	}
	items := make([]patching.PlanItem, 0, len(rows))
	for _, d := range rows {
		items = append(items, d.PlanItem)
	}
	var begun []patching.RingName
	for _, r := range s.Rings {
		begun = append(begun, r.Name)
	}
	moved, err := plan.Reschedule(plan.Input{
		Cycle: s.ID, Kind: s.Kind, Author: s.Author, Now: p.Now().UTC(), CloseBy: s.CloseBy, Policy: pol,
	}, items, begun...)
	if err != nil {
		return contract.None{}, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := p.Store.PutPlan(ctx, made, moved); err != nil {
		return contract.None{}, fmt.Errorf("keep the windows: %w", err)
	}
	return contract.None{}, nil
}

// ringAt is a ring's place in the order of deployment.
func ringAt(order []patching.PlanRing, name patching.RingName) int {
	return slices.IndexFunc(order, func(r patching.PlanRing) bool { return r.Name == name })
}

// seal computes the Merkle root of each ring over its devices, their keys, the
// window rules and the bundles.
func (p *Planning) seal(ctx context.Context, made *patching.Plan, items []patching.PlanItem) error {
	devices, err := p.Store.Devices(ctx)
	if err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	keys := make(map[patching.DeviceID]patching.Digest, len(devices))
	for _, d := range devices {
		keys[d.ID] = trust.PublicKey(d.Key).ID()
	}
	leaves := map[patching.RingName][][]byte{}
	for _, i := range items {
		if i.Ring != "" {
			leaves[i.Ring] = append(leaves[i.Ring], i.Leaf(keys[i.Device]))
		}
	}
	for n := range made.Rings {
		ring := &made.Rings[n]
		if ring.Root, err = trust.RingRoot(leaves[ring.Name]); err != nil {
			return fmt.Errorf("root of ring %s: %w", ring.Name, err)
		}
	}
	return nil
}

func summary(made patching.Plan, items []patching.PlanItem, pol *policy.Policy, look plan.Outlook) contract.PlanSummary {
	out := contract.PlanSummary{Hash: made.Hash(), Revision: made.Revision, Assets: made.Assets()}
	for _, n := range made.Excluded {
		out.Excluded += n
	}
	waves := map[patching.RingName]map[patching.WaveID]bool{}
	for _, i := range items {
		if i.Ring == "" {
			continue
		}
		if waves[i.Ring] == nil {
			waves[i.Ring] = map[patching.WaveID]bool{}
		}
		waves[i.Ring][i.Wave] = true
	}
	for _, r := range made.Rings {
		rules, _ := pol.Ring(r.Name)
		soak := rules.Soak
		if made.Kind == patching.Emergency && pol.Emergency.Soak > 0 {
			soak = min(soak, pol.Emergency.Soak)
		}
		out.Rings = append(out.Rings, contract.RingSummary{
			Name: r.Name, Assets: r.Assets, Waves: len(waves[r.Name]), Batch: rules.Batch, Parallel: rules.Parallel,
			Soak: soak, Gate: rules.Gate, StandIns: r.StandIns,
			Approve: rules.Approve || r.StandIns != "", // a pre-approval is for machines that the policy selects
		})
	}
	if made.Assets() == 0 {
		return out
	}
	out.Mirror, out.WayBack, out.Forecast = look.Mirror.Words(), look.Back.Words(), look.Forecast.Words()
	if look.Change != nil {
		out.Change = look.Change.Words()
	}
	return out
}
