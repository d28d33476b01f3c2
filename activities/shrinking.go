package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// lessOf returns the items of the plan before and what the next one loses:
// packages whose patch failed on a machine of a ring that has begun, and the
// machines of whose bundle nothing is left.
func (p *Planning) lessOf(ctx context.Context, read *reader, s contract.CycleState, rows []patching.Deployment) ([]patching.PlanItem, plan.Less, error) {
	less := plan.Less{Bundles: map[patching.Digest]plan.BundleRef{}, Out: map[patching.AssetID]plan.Leave{}}
	for _, r := range s.Rings {
		less.Begun = append(less.Begun, r.Name)
	}
	items := make([]patching.PlanItem, 0, len(rows))
	var failed []string
	for _, d := range rows {
		items = append(items, d.PlanItem)
		switch {
		case d.State.Terminal() && d.Outcome.Bad() && d.Signature != "":
			name, err := p.packageOf(ctx, read, d)
			if err != nil {
				return nil, less, err
			}
			if name != "" && !slices.Contains(failed, name) {
				failed = append(failed, name)
			}
		case d.State.Terminal() && d.Ring != "":
			// Ended before its turn: another cycle or a person took it.
			less.Out[d.Asset] = plan.Leave{Reason: d.Reason, Why: d.Detail}
		}
	}
	slices.Sort(failed)
	less.Emptied = plan.Leave{Reason: patching.ReasonNothingMissing, Why: "all that it misses failed on the test ring: " + strings.Join(failed, ", ")}
	if len(failed) == 0 {
		return items, less, nil
	}
	return items, less, p.shrinkBundles(ctx, read, items, failed, &less)
}

// packageOf returns the package that a failure's signature blames, if the
// machine's bundle has it.
func (p *Planning) packageOf(ctx context.Context, read *reader, d patching.Deployment) (string, error) {
	name := patching.BlamedPackage(d.Signature)
	b, err := read.bundle(ctx, d.Bundle)
	if err != nil {
		return "", err
	}
	for _, patch := range b.Patches() {
		if patch.Name == name {
			return name, nil
		}
	}
	return "", nil
}

func (p *Planning) shrinkBundles(ctx context.Context, read *reader, items []patching.PlanItem, failed []string, less *plan.Less) error {
	var texts [][]byte
	for _, i := range items {
		if _, done := less.Bundles[i.Bundle]; done || i.Ring == "" || slices.Contains(less.Begun, i.Ring) {
			continue
		}
		b, err := read.bundle(ctx, i.Bundle)
		if err != nil {
			return err
		}
		left := assess.Without(b, failed...)
		if len(left.Patches()) == len(b.Patches()) {
			continue
		}
		ref, more := refOf(left)
		less.Bundles[i.Bundle], texts = ref, append(texts, more...)
	}
	if _, err := p.Store.PutContents(ctx, "bundle", texts); err != nil {
		return fmt.Errorf("keep bundles: %w", err)
	}
	return nil
}

// Amend takes machines out of what has not started. What leaves needs no
// approval; those that have a start permit stay, and the answer names them.
func (p *Planning) Amend(ctx context.Context, in contract.AmendIn) (contract.AmendOut, error) {
	n, err := p.Store.EndDeployments(ctx, store.EndSpec{
		Cycle: in.Cycle, Assets: in.Assets, Outcome: patching.Deferred, Reason: patching.ReasonRemoved,
		Detail: fmt.Sprintf("Taken out by %s: %s", in.By, in.Why), At: p.Now().UTC(), Withdraw: true,
		States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
	})
	if err != nil {
		return contract.AmendOut{}, fmt.Errorf("take machines out: %w", err)
	}
	words := fmt.Sprintf("%d of %d machines were taken out by %s: %s.", n, len(in.Assets), in.By, in.Why)
	if n < len(in.Assets) {
		words += " The others have started, have ended, or are not in the cycle."
	}
	_, err = p.Store.AppendAudit(ctx, patching.AuditEntry{
		At: p.Now().UTC(), Actor: string(in.By), Verb: "amend", Subject: string(in.Cycle), Body: words,
	})
	return contract.AmendOut{Removed: n, Words: words}, err
}
