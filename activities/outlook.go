package activities

import (
	"context"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// outlook looks at a plan for those who decide about it.
func (p *Planning) outlook(ctx context.Context, s contract.CycleState, pol *policy.Policy, d draft) (plan.Outlook, error) {
	bundles := map[patching.Digest]patching.Bundle{}
	read := newReader(p.Store)
	was := itemsOf(d.was)
	for _, i := range slices.Concat(was, d.items) {
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
	look := plan.Look(pol, d.made, was, d.items, bundles, begun...)
	var err error
	if look.Remediation, err = p.Remedying.plan(ctx, pol, d.made, d.items, look.Forecast, read); err != nil {
		return plan.Outlook{}, err
	}
	again := d.before.Revision == d.made.Revision
	if !again && !d.grown && len(begun) == 0 {
		return look, nil
	}
	kept, err := p.Store.Outlooks(ctx, s.ID)
	if err != nil {
		return plan.Outlook{}, err
	}
	before := kept[d.before.Hash()]
	if again {
		// An earlier attempt has made this revision, and its answer was lost: what it
		// was made from is gone, but not what it said of that.
		look.Change = before.Change
	}
	if d.grown || len(begun) > 0 {
		// Most of a plan that shrinks or grows stays as it was. One that is built from the fleet
		// as it stands is rehearsed anew.
		look.Rehearsal = before.Rehearsal.Still(d.items)
	}
	return look, nil
}

// summary is what the workflow has to know of a plan.
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
		out.Rings = append(out.Rings, contract.RingSummary{
			Name: r.Name, Assets: r.Assets, Waves: len(waves[r.Name]), Batch: rules.Batch, Parallel: rules.Parallel,
			Soak: plan.Soak(rules, made.Kind, pol), Gate: rules.Gate, StandIns: r.StandIns,
			Approve: plan.NeedsApproval(rules, r),
		})
	}
	if made.Assets() == 0 {
		return out
	}
	out.Mirror, out.WayBack, out.Forecast = look.Mirror.Words(), look.Back.Words(), look.Forecast.Words()
	out.Rehearsal = look.Rehearsal.Words()
	out.Remediation, out.Proposes = look.Remediation.Words(), look.Remediation.Proposes()
	if look.Change != nil {
		out.Change = look.Change.Words()
	}
	return out
}
