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
	BackupStore
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
	// Remedying says why plans are made.
	Remedying *Remedying
	// Granting knows what people have signed; nil: nobody signs.
	Granting *Granting
}

// Make makes the plan of a revision and keeps it. Until a ring has begun it is
// built from the fleet; then it is made again from the same inputs less what
// failed, and may only shrink: what people pre-approved or approved covers it.
func (p *Planning) Make(ctx context.Context, in contract.MakePlanIn) (contract.PlanSummary, error) {
	stop := beat(ctx)
	defer stop()
	pol, err := readPolicy(ctx, p.Store, in.State.PolicyVersion)
	if err != nil {
		return contract.PlanSummary{}, err
	}
	var d draft
	if in.Revision > 1 {
		if d, err = p.planBefore(ctx, in.State.ID); err != nil {
			return contract.PlanSummary{}, err
		}
	}
	if len(in.State.Rings) == 0 {
		err = p.build(ctx, in, pol, &d)
	} else {
		err = p.shrink(ctx, in, &d)
	}
	if err != nil {
		return contract.PlanSummary{}, err
	}
	out, err := p.keep(ctx, in.State, pol, &d)
	if err != nil {
		return contract.PlanSummary{}, err
	}
	if len(out.Rings) > 0 && len(in.State.Rings) == 0 {
		if out.Unsigned, err = p.Granting.missing(ctx, d.made, d.items); err != nil {
			return contract.PlanSummary{}, err
		}
		out.Rings[0].Approve = out.Rings[0].Approve || out.Unsigned != ""
	}
	return out, nil
}

// keep seals a plan and makes it the one that counts.
func (p *Planning) keep(ctx context.Context, s contract.CycleState, pol *policy.Policy, d *draft) (contract.PlanSummary, error) {
	if err := p.seal(ctx, &d.made, d.items); err != nil {
		return contract.PlanSummary{}, err
	}
	pol = pol.With(d.made.RingNames()...)
	look, err := p.outlook(ctx, s, pol, *d)
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
	out := summary(d.made, d.items, pol, look)
	p.Granting.asks(&out, d.made.Kind)
	return out, nil
}

// draft is a plan that is being made.
type draft struct {
	made  patching.Plan
	items []patching.PlanItem
	// before is the plan that counts until then, was how its machines stand.
	before patching.Plan
	was    []patching.Deployment
	// grown says that machines came in, and nothing else has changed.
	grown bool
}

func (p *Planning) planBefore(ctx context.Context, id patching.CycleID) (d draft, err error) {
	if d.before, err = p.Store.Plan(ctx, id); err != nil {
		return d, fmt.Errorf("plan before: %w", err)
	}
	if d.was, err = p.Store.Deployments(ctx, store.DeploymentFilter{Cycle: id}); err != nil {
		return d, fmt.Errorf("machines of the plan before: %w", err)
	}
	return d, nil
}

// build builds the plan from the fleet as it stands. One that was sent back is
// built anew, without those that people or other cycles took meanwhile.
func (p *Planning) build(ctx context.Context, in contract.MakePlanIn, pol *policy.Policy, d *draft) error {
	assets, err := p.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return fmt.Errorf("assets: %w", err)
	}
	input, err := p.input(ctx, in, pol, assets)
	if err != nil {
		return err
	}
	input.Busy, input.Out = map[patching.AssetID]patching.CycleID{}, plan.TakenOut(d.was)
	for {
		out, err := plan.Build(input)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRefused, err)
		}
		// Who is busy in another cycle is known once we try to lock those that the
		// plan would touch; what cannot be taken over leaves the plan by name. Others
		// may get its place in a ring, so they are locked in their turn.
		busy, err := p.lock(ctx, in.State.ID, out.Items)
		if err != nil {
			return err
		}
		if len(busy) == 0 {
			d.made, d.items = out.Plan, out.Items
			return nil
		}
		maps.Copy(input.Busy, busy)
	}
}

// input is what a plan of assets is made from.
func (p *Planning) input(ctx context.Context, in contract.MakePlanIn, pol *policy.Policy, assets []patching.Asset) (plan.Input, error) {
	s, now := in.State, p.Now().UTC()
	ours, err := taken(pol, assets)
	if err != nil {
		return plan.Input{}, err
	}
	read := newReader(p.Store)
	held, err := p.Remedying.holding(ctx, pol, read, ours, now)
	if err != nil {
		return plan.Input{}, err
	}
	f, err := assessFleet(ctx, read, pol, ours, now, held)
	if err != nil {
		return plan.Input{}, err
	}
	from, err := p.supply(ctx, s, read, f)
	if err != nil {
		return plan.Input{}, err
	}
	refs, texts := f.bundles(pol, from)
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
	backups, err := backupsBy(ctx, p.Store, pol, nil)
	if err != nil {
		return plan.Input{}, err
	}
	return plan.Input{
		Cycle: s.ID, Kind: s.Kind, Revision: in.Revision, Shadow: s.Shadow, Author: s.Author, Roles: author.Roles,
		Now: now, CloseBy: s.CloseBy, Policy: pol, PolicyVersion: s.PolicyVersion,
		Assets: assets, Bundles: refs, CarryOver: carried, Held: held.held, Excepted: held.excepted, Backups: backups,
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

// shrink makes the plan again from the one before: same inputs less the patches
// that failed in a ring that has begun.
func (p *Planning) shrink(ctx context.Context, in contract.MakePlanIn, d *draft) error {
	read := newReader(p.Store)
	items := itemsOf(d.was)
	less, err := p.lessOf(ctx, read, in.State, d.was)
	if err != nil {
		return err
	}
	shrunk := plan.Shrink(items, less)
	within := func(part, whole patching.Digest) bool {
		a, errA := read.bundle(ctx, part)
		b, errB := read.bundle(ctx, whole)
		return errA == nil && errB == nil && assess.Within(a, b)
	}
	if err := plan.Shrunk(items, shrunk, within); err != nil {
		return fmt.Errorf("%w: the plan may only shrink: %w", ErrRefused, err)
	}
	p.remake(in.Revision, d, shrunk)
	return nil
}

// remake makes the next revision of the plan before, of other items. Its rings keep their
// order; what is new comes last.
func (p *Planning) remake(revision int, d *draft, items []patching.PlanItem) {
	made, order := d.before, d.before.Rings
	made.Revision, made.Made = revision, p.Now().UTC()
	d.made, d.items = plan.Summarize(made, items), items
	at := func(r patching.PlanRing) int {
		if n := ringAt(order, r.Name); n >= 0 {
			return n
		}
		return len(order)
	}
	slices.SortStableFunc(d.made.Rings, func(a, b patching.PlanRing) int { return at(a) - at(b) })
}

func itemsOf(rows []patching.Deployment) []patching.PlanItem {
	items := make([]patching.PlanItem, len(rows))
	for i, d := range rows {
		items[i] = d.PlanItem
	}
	return items
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
	var begun []patching.RingName
	for _, r := range s.Rings {
		begun = append(begun, r.Name)
	}
	moved, err := plan.Reschedule(plan.Input{
		Cycle: s.ID, Kind: s.Kind, Author: s.Author, Now: p.Now().UTC(), CloseBy: s.CloseBy, Policy: pol.With(made.RingNames()...),
	}, itemsOf(rows), begun...)
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
	leaves := map[patching.RingName][][]byte{}
	order, keys := sealed(items, keysOf(devices))
	for n, i := range order {
		if i.Ring != "" {
			leaves[i.Ring] = append(leaves[i.Ring], i.Leaf(keys[n]))
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
