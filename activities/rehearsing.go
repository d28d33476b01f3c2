package activities

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// rehearsalOf is the purpose of the orders that rehearse a revision of the plan.
func rehearsalOf(revision int) string { return fmt.Sprintf("plan %d", revision) }

// Rehearse asks one machine of each kind that the plan is still to patch what its
// bundle would change there. Who is asked is kept first: an attempt that comes
// later may find another machine better, and would ask that one too.
func (c *Campaigns) Rehearse(ctx context.Context, in contract.RehearseIn) (contract.Asked, error) {
	stop := beat(ctx)
	defer stop()
	look, err := c.outlook(ctx, in)
	if err != nil {
		return contract.Asked{}, err
	}
	rows, err := c.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
	})
	if err != nil {
		return contract.Asked{}, fmt.Errorf("machines to rehearse on: %w", err)
	}
	assets, err := assetsOf(ctx, c.Store, rows)
	if err != nil {
		return contract.Asked{}, err
	}
	look.Rehearsal = look.Rehearsal.Ask(itemsOf(rows), assets, policy.TestRing)
	if err := c.Store.PutOutlook(ctx, in.Cycle, look); err != nil {
		return contract.Asked{}, err
	}
	of := make(map[patching.AssetID]patching.Deployment, len(rows))
	for _, d := range rows {
		of[d.Asset] = d
	}
	var drafts []trust.Draft
	for _, k := range look.Rehearsal.Open() {
		if d, ok := of[k.Asset]; ok { // else it was taken out since an earlier attempt
			drafts = append(drafts, trust.Draft{Asset: d.Asset, Device: assets[d.Asset].Device, Ring: d.Ring, Fence: d.Fence, Bundle: k.Bundle})
		}
	}
	return c.issue(ctx, contract.CampaignIn{Cycle: in.Cycle, Verb: string(trust.Simulate), Until: in.Until}, rehearsalOf(in.Revision), drafts)
}

// NoteRehearsal puts what the machines answered beside the plan.
func (c *Campaigns) NoteRehearsal(ctx context.Context, in contract.RehearseIn) (contract.NoteRehearsalOut, error) {
	stop := beat(ctx)
	defer stop()
	look, err := c.outlook(ctx, in)
	if err != nil {
		return contract.NoteRehearsalOut{}, err
	}
	said, err := c.rehearsed(ctx, in, look.Rehearsal.Open())
	if err != nil {
		return contract.NoteRehearsalOut{}, err
	}
	look.Rehearsal = look.Rehearsal.Hear(said)
	if err := c.Store.PutOutlook(ctx, in.Cycle, look); err != nil {
		return contract.NoteRehearsalOut{}, err
	}
	return contract.NoteRehearsalOut{Words: look.Rehearsal.Words()}, nil
}

// outlook is what is known of the plan so far.
func (c *Campaigns) outlook(ctx context.Context, in contract.RehearseIn) (plan.Outlook, error) {
	looks, err := c.Store.Outlooks(ctx, in.Cycle)
	if err != nil {
		return plan.Outlook{}, err
	}
	look, ok := looks[in.Plan]
	if !ok {
		return plan.Outlook{}, fmt.Errorf("outlook of plan %s: %w", in.Plan.Short(), store.ErrNotFound)
	}
	return look, nil
}

// rehearsed returns the final receipts of those who were asked, by asset.
func (c *Campaigns) rehearsed(ctx context.Context, in contract.RehearseIn, asked []plan.Rehearsed) (map[patching.AssetID]patching.Receipt, error) {
	epoch, err := c.Store.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	rows := make([]patching.Deployment, len(asked))
	for i, k := range asked {
		rows[i].Asset = k.Asset
	}
	assets, err := assetsOf(ctx, c.Store, rows)
	if err != nil {
		return nil, err
	}
	wave := purpose(string(trust.Simulate), rehearsalOf(in.Revision))
	said := map[patching.AssetID]patching.Receipt{}
	for _, k := range asked {
		order := orderID(in.Cycle, k.Asset, trust.Simulate, string(wave), epoch)
		receipts, err := c.Store.Receipts(ctx, assets[k.Asset].Device, in.Cycle)
		if err != nil {
			return nil, err
		}
		for _, r := range receipts {
			if r.Order == order && r.Stage.Terminal() {
				said[k.Asset] = r
			}
		}
	}
	return said, nil
}
