package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Admit brings machines into a running cycle, as a ring of their own after all others.
// That ring is the whole difference that people approve and sign for: what they agreed to
// before stands as it did (ADR 0016). They get nothing that the cycle has not planned for
// others already, and nothing that failed on these.
func (p *Planning) Admit(ctx context.Context, in contract.AdmitIn) (contract.AdmitOut, error) {
	stop := beat(ctx)
	defer stop()
	s := in.State
	pol, err := readPolicy(ctx, p.Store, s.PolicyVersion)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	d, err := p.planBefore(ctx, s.ID)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	if d.before.Revision > s.Plan.Revision { // by an attempt whose answer was lost
		return p.admittedBefore(ctx, in, pol, d)
	}
	d.grown = true
	ring := plan.RingForAdmitted(pol, d.before.Rings, func(name patching.RingName) bool { return s.Undecided(name) })
	assets, err := p.assets(ctx, in.Assets)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	come, err := p.admitted(ctx, in, pol.With(append(d.before.RingNames(), ring)...), ring, assets, d)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	words := come.Words(ring, hostnames(assets))
	if len(come.Items) == 0 {
		return contract.AdmitOut{Plan: s.Plan, Words: words}, nil
	}
	items := itemsOf(d.was)
	grown := come.Into(items)
	if err := plan.Grown(items, grown, ring); err != nil {
		return contract.AdmitOut{}, fmt.Errorf("%w: the plan may only grow by ring %s: %w", ErrRefused, ring, err)
	}
	p.remake(s.Plan.Revision+1, &d, grown)
	out, err := p.keep(ctx, s, pol, &d)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	return p.answer(ctx, in, out, len(come.Items), words)
}

// admittedBefore answers as the attempt would have done that has made the plan.
func (p *Planning) admittedBefore(ctx context.Context, in contract.AdmitIn, pol *policy.Policy, d draft) (contract.AdmitOut, error) {
	looks, err := p.Store.Outlooks(ctx, in.State.ID)
	if err != nil {
		return contract.AdmitOut{}, err
	}
	pol = pol.With(d.before.RingNames()...)
	ring := d.before.Rings[len(d.before.Rings)-1].Name
	n := 0
	for _, row := range d.was {
		if row.Ring == ring && slices.Contains(in.Assets, row.Asset) {
			n++
		}
	}
	out := summary(d.before, itemsOf(d.was), pol, looks[d.before.Hash()])
	p.Granting.asks(&out, d.before.Kind)
	words := fmt.Sprintf("%d of %s are in the plan now, as ring %s, after all others; people approve it before it begins.",
		n, phrase.Count(len(in.Assets), "machine"), ring)
	return p.answer(ctx, in, out, n, words)
}

// answer puts on record who came in, and hands the new plan to the cycle.
func (p *Planning) answer(ctx context.Context, in contract.AdmitIn, made contract.PlanSummary, n int, words string) (contract.AdmitOut, error) {
	if made.Unsigned = in.State.Plan.Unsigned; made.Unsigned != "" { // as it was found of the first plan
		made.Rings[0].Approve = true
	}
	_, err := p.Store.AppendAudit(ctx, patching.AuditEntry{
		At: p.Now().UTC(), Actor: string(in.By), Verb: string(contract.VerbAdmit), Subject: string(in.State.ID),
		Body: fmt.Sprintf("%s Plan %s, reason %q.", words, made.Hash, in.Why),
	})
	return contract.AdmitOut{Plan: made, Admitted: n, Words: words}, err
}

// assets returns those of the machines that are known.
func (p *Planning) assets(ctx context.Context, ids []patching.AssetID) (all []patching.Asset, err error) {
	err = inChunks(ids, func(some []patching.AssetID) error {
		found, err := p.Store.Assets(ctx, store.AssetFilter{IDs: some})
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("machines: %w", err)
	}
	return all, nil
}

// hostnames tells what machines call themselves.
func hostnames(assets []patching.Asset) func(patching.AssetID) string {
	names := map[patching.AssetID]string{}
	for _, a := range assets {
		names[a.ID] = a.Hostname
	}
	return func(id patching.AssetID) string {
		if names[id] != "" {
			return names[id]
		}
		return string(id)
	}
}

// admitted plans machines that are not in the plan, under a policy that has their ring.
func (p *Planning) admitted(ctx context.Context, in contract.AdmitIn, pol *policy.Policy, ring patching.RingName, assets []patching.Asset, d draft) (plan.Admitted, error) {
	free, already := plan.Newcomers(in.Assets, d.was)
	assets = slices.DeleteFunc(slices.Clone(assets), func(a patching.Asset) bool { return already[a.ID] != "" })
	input, err := p.input(ctx, contract.MakePlanIn{State: in.State, Revision: in.State.Plan.Revision + 1}, pol, assets)
	if err != nil {
		return plan.Admitted{}, err
	}
	var begun []patching.RingName
	for _, r := range in.State.Rings {
		begun = append(begun, r.Name)
	}
	come, err := plan.Admit(input, free, ring, plan.Foresee(pol, d.before, itemsOf(d.was), begun...))
	if err != nil {
		return come, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	maps.Copy(come.Out, already)
	if err := p.withoutUntested(ctx, d.was, begun, &come); err != nil {
		return come, err
	}
	return come, p.lockOnly(ctx, in.State.ID, &come)
}

// lockOnly locks the machines that come in. Those of another cycle stay there: nobody
// wished to take them from it.
func (p *Planning) lockOnly(ctx context.Context, id patching.CycleID, come *plan.Admitted) error {
	var wanted []patching.AssetID
	for _, i := range come.Items {
		wanted = append(wanted, i.Asset)
	}
	_, busy, err := p.Store.LockAssets(ctx, id, wanted, p.Now().UTC())
	if err != nil {
		return fmt.Errorf("lock machines: %w", err)
	}
	return come.Judge(func(i patching.PlanItem) (patching.PlanItem, string, error) {
		by, is := busy[i.Asset]
		if !is {
			return i, "", nil
		}
		return i, patching.ReasonBusyElsewhere.Sentence(string(by)), nil
	})
}

// withoutUntested takes out of the bundles of those that come in what failed in the cycle,
// in rings that have begun, and refuses machines that would get what it has planned for
// nobody.
func (p *Planning) withoutUntested(ctx context.Context, was []patching.Deployment, begun []patching.RingName, come *plan.Admitted) error {
	read := newReader(p.Store)
	failed, err := p.failed(ctx, read, was)
	if err != nil {
		return err
	}
	less := plan.Less{Begun: begun, Bundles: map[patching.Digest]plan.BundleRef{}, Withdrawn: map[patching.Digest]string{}}
	if err := p.shrinkBundles(ctx, read, come.Items, failed, &less); err != nil {
		return err
	}
	tested := assess.Tested{}
	for _, d := range was {
		if d.Ring == "" {
			continue
		}
		b, err := read.bundle(ctx, d.Bundle)
		if err != nil {
			return err
		}
		tested.Add(b)
	}
	return come.Judge(func(i patching.PlanItem) (patching.PlanItem, string, error) {
		i = plan.Shrink([]patching.PlanItem{i}, less)[0]
		if i.Ring == "" {
			return i, i.Exclude.Sentence(i.Why), nil
		}
		b, err := read.bundle(ctx, i.Bundle)
		if err != nil {
			return i, "", err
		}
		if lacks := tested.Lacks(b); len(lacks) > 0 {
			return i, "It would get what this cycle has tested nowhere: " + phrase.Few(lacks, 5) + ".", nil
		}
		return i, "", nil
	})
}
