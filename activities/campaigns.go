package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// CampaignStore is what campaigns need of the store.
type CampaignStore interface {
	FleetStore
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	EndDeployments(ctx context.Context, e store.EndSpec) (int, error)
	MarkVerified(ctx context.Context, c patching.CycleID, v []store.Verification) error
	OrderCounts(ctx context.Context, s store.Slice, verb string) (issued, final int, err error)
	CycleCounts(ctx context.Context, c patching.CycleID) (planned int, outcomes map[patching.Outcome]int, repairs int, freed int64, err error)
	Epoch(ctx context.Context) (int64, error)
	PutOutlook(ctx context.Context, c patching.CycleID, o plan.Outlook) error
	Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error)
	Receipts(ctx context.Context, d patching.DeviceID, c patching.CycleID) ([]patching.Receipt, error)
}

// Campaigns give one instruction to many machines and await the answers.
type Campaigns struct {
	Store      CampaignStore
	Dispatcher Dispatcher
	Granting   *Granting // nil: orders rest on the server's word
	Now        Clock
	Look       time.Duration
}

// leastOrder is for how long a campaign's order is good at the least.
const leastOrder = time.Minute

// monitoring is the purpose of the first campaign of a cycle.
const monitoring = "monitor"

// AskInventory asks every enrolled machine that the policy selects for a fresh
// inventory.
func (c *Campaigns) AskInventory(ctx context.Context, in contract.AskInventoryIn) (contract.Asked, error) {
	stop := beat(ctx)
	defer stop()
	p, err := readPolicy(ctx, c.Store, in.Version)
	if err != nil {
		return contract.Asked{}, err
	}
	assets, err := selected(ctx, c.Store, p)
	if err != nil {
		return contract.Asked{}, err
	}
	var drafts []trust.Draft
	for _, a := range assets {
		if a.Device != "" {
			drafts = append(drafts, trust.Draft{Asset: a.ID, Device: a.Device})
		}
	}
	return c.issue(ctx, contract.CampaignIn{Cycle: in.Cycle, Verb: string(trust.Collect), Until: c.Now().Add(time.Hour)}, monitoring, drafts)
}

// Start gives the instruction to those machines of the slice that can use it.
func (c *Campaigns) Start(ctx context.Context, in contract.CampaignIn) (contract.Asked, error) {
	stop := beat(ctx)
	defer stop()
	rows, err := c.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, Ring: in.Ring, States: []patching.DeploymentState{patching.DeploymentDone},
	})
	if err != nil {
		return contract.Asked{}, fmt.Errorf("machines of the campaign: %w", err)
	}
	var drafts []trust.Draft
	var stuck []patching.AssetID
	for _, d := range rows {
		switch use := usable(in, d); {
		case use && in.Verb == string(trust.Revert) && d.Rollback == "":
			stuck = append(stuck, d.Asset)
		case use:
			drafts = append(drafts, trust.Draft{Asset: d.Asset, Device: d.Device, Ring: d.Ring, Fence: d.Fence, Bundle: d.Bundle, Rollback: d.Rollback})
		}
	}
	if len(stuck) > 0 {
		_, err := c.Store.EndDeployments(ctx, store.EndSpec{
			Cycle: in.Cycle, Assets: stuck, States: []patching.DeploymentState{patching.DeploymentDone},
			Outcome: patching.NeedsHands, Reason: patching.ReasonIrreversible, At: c.Now(),
		})
		if err != nil {
			return contract.Asked{}, fmt.Errorf("note what cannot be undone: %w", err)
		}
	}
	return c.issue(ctx, in, string(in.Ring), drafts)
}

// usable reports whether the instruction is for a deployment that ended so.
func usable(in contract.CampaignIn, d patching.Deployment) bool {
	touched := d.Order != "" && d.Batch > 0
	switch trust.Verb(in.Verb) {
	case trust.Collect:
		return (d.Outcome == patching.Patched || d.Outcome == patching.RolledBack) && d.Verified.IsZero()
	case trust.Clean:
		return d.Outcome == patching.Patched
	case trust.Revert:
		return touched && in.Scope.TakesBack(d.Outcome, d.Reason)
	default:
		return false
	}
}

func (c *Campaigns) issue(ctx context.Context, in contract.CampaignIn, why string, drafts []trust.Draft) (contract.Asked, error) {
	epoch, err := c.Store.Epoch(ctx)
	if err != nil {
		return contract.Asked{}, err
	}
	now, wave := c.Now(), purpose(in.Verb, why)
	// The server may have been away since the workflow asked: an order that is
	// over before it is issued could never be, however often it is tried.
	if least := now.Add(leastOrder); in.Until.Before(least) {
		in.Until = least
	}
	spec, _ := trust.Verb(in.Verb).Spec()
	disturbs := spec.NeedsLease
	orders := make([]patching.OrderID, 0, len(drafts))
	for i := range drafts {
		d := &drafts[i]
		d.ID = orderID(in.Cycle, d.Asset, trust.Verb(in.Verb), string(wave), epoch)
		d.Cycle, d.Wave, d.Verb = in.Cycle, wave, trust.Verb(in.Verb)
		d.NotAfter = in.Until
		if disturbs {
			// Going back is covered outside windows too.
			d.WindowRule, d.Start, d.End = "always in UTC", now, in.Until
		}
		orders = append(orders, d.ID)
	}
	if err := c.Granting.warrant(ctx, in.Cycle, drafts); err != nil {
		return contract.Asked{}, err
	}
	if err := inChunks(drafts, func(some []trust.Draft) error { return c.Dispatcher.Issue(ctx, some) }); err != nil {
		return contract.Asked{}, fmt.Errorf("issue %s: %w", in.Verb, err)
	}
	if disturbs {
		if err := inChunks(orders, func(some []patching.OrderID) error { return c.Dispatcher.Permit(ctx, some) }); err != nil {
			return contract.Asked{}, fmt.Errorf("permit %s: %w", in.Verb, err)
		}
	}
	return contract.Asked{Asked: len(drafts)}, nil
}

// Await returns when the campaign's orders are final, or at the given time.
func (c *Campaigns) Await(ctx context.Context, in contract.AwaitOrdersIn) (contract.Asked, error) {
	t := time.NewTicker(c.Look)
	defer t.Stop()
	why := string(in.Ring)
	switch {
	case in.Wave != "":
		why = string(in.Wave)
	case in.Verb == string(trust.Collect) && in.Monitor:
		why = monitoring
	case in.Verb == string(trust.Simulate):
		why = rehearsalOf(in.Revision)
	}
	slice := store.Slice{Cycle: in.Cycle, Wave: purpose(in.Verb, why)}
	for {
		issued, final, err := c.Store.OrderCounts(ctx, slice, in.Verb)
		if err != nil {
			return contract.Asked{}, fmt.Errorf("count orders: %w", err)
		}
		if final >= issued || !c.Now().Before(in.Until) {
			return contract.Asked{Asked: issued, Answered: final}, nil
		}
		if activity.IsActivity(ctx) {
			activity.RecordHeartbeat(ctx, final)
		}
		select {
		case <-ctx.Done():
			return contract.Asked{}, ctx.Err()
		case <-t.C:
		}
	}
}

// Judge compares fresh inventories with what was to be installed, or to be there
// again. What an agent claims is not enough: nothing counts as patched, or as
// rolled back, until an inventory taken afterwards shows it (Q2).
func (c *Campaigns) Judge(ctx context.Context, in contract.SliceIn) (contract.JudgeOut, error) {
	stop := beat(ctx)
	defer stop()
	rows, err := c.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, Ring: in.Ring, Wave: in.Wave, Outcomes: []patching.Outcome{patching.Patched, patching.RolledBack},
	})
	if err != nil {
		return contract.JudgeOut{}, fmt.Errorf("machines to judge: %w", err)
	}
	var out contract.JudgeOut
	verified := len(rows)
	rows = slices.DeleteFunc(rows, func(d patching.Deployment) bool { return !d.Verified.IsZero() })
	out.Verified = verified - len(rows)
	assets, err := assetsOf(ctx, c.Store, rows)
	if err != nil {
		return contract.JudgeOut{}, err
	}
	read := newReader(c.Store)
	var seen []store.Verification
	for _, d := range rows {
		v, fresh, err := judge(ctx, read, d, assets[d.Asset])
		if err != nil {
			return contract.JudgeOut{}, err
		}
		switch {
		case !fresh:
			out.Unseen++
			continue
		case v.OK:
			out.Verified++
		default:
			out.NotTaken++
		}
		seen = append(seen, v)
	}
	if err := c.Store.MarkVerified(ctx, in.Cycle, seen); err != nil {
		return contract.JudgeOut{}, fmt.Errorf("keep what inventories showed: %w", err)
	}
	return out, nil
}

func judge(ctx context.Context, read *reader, d patching.Deployment, asset patching.Asset) (v store.Verification, fresh bool, err error) {
	if !asset.Inventoried.After(d.Answered) {
		return v, false, nil
	}
	if d.Outcome == patching.RolledBack {
		v, err = judgeReturn(ctx, read, d, asset)
		return v, err == nil, err
	}
	ok, missing, err := read.shows(ctx, asset, d.Bundle)
	if err != nil {
		return v, false, err
	}
	v = store.Verification{Asset: d.Asset, OK: ok, At: asset.Inventoried, Reason: patching.ReasonVerified}
	if !ok {
		v.Reason, v.Detail = patching.ReasonNotTaken, "The inventory lacks "+strings.Join(missing, ", ")+"."
	}
	return v, true, nil
}

// judgeReturn judges a machine that says it went back. What still differs from
// before is added to what it said itself (G9).
func judgeReturn(ctx context.Context, read *reader, d patching.Deployment, asset patching.Asset) (store.Verification, error) {
	v := store.Verification{Asset: d.Asset, At: asset.Inventoried, Reason: patching.ReasonRolledBack, Detail: d.Detail}
	back, err := read.bundle(ctx, d.Rollback)
	if err != nil {
		return v, err
	}
	forth, err := read.bundle(ctx, d.Bundle)
	if err != nil {
		return v, err
	}
	has, err := read.packages(ctx, asset.Packages)
	if err != nil {
		return v, err
	}
	var missing []string
	if v.OK, missing = assess.Returned(back, has, asset.OS.Kernel); !v.OK {
		v.Reason, v.Detail = patching.ReasonRollBackFailed, "The inventory lacks "+strings.Join(missing, ", ")+"."
		return v, nil
	}
	v.Detail = assess.StillThere(d.Detail, forth, has)
	return v, nil
}
