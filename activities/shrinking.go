package activities

import (
	"cmp"
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

// lessOf returns what the next plan loses: packages whose patch failed on a
// machine of a ring that has begun, the machines of whose bundle nothing is left,
// and those that were taken before their turn.
func (p *Planning) lessOf(ctx context.Context, read *reader, s contract.CycleState, rows []patching.Deployment) (plan.Less, error) {
	less := plan.Less{
		Out: plan.TakenOut(rows), Bundles: map[patching.Digest]plan.BundleRef{}, Withdrawn: map[patching.Digest]string{},
	}
	for _, r := range s.Rings {
		less.Begun = append(less.Begun, r.Name)
	}
	failed, err := p.failed(ctx, read, rows)
	if err != nil {
		return less, err
	}
	return less, p.shrinkBundles(ctx, read, itemsOf(rows), failed, &less)
}

// failed returns the packages that the cycle's failures are laid to.
func (p *Planning) failed(ctx context.Context, read *reader, rows []patching.Deployment) (failures, error) {
	failed := failures{}
	for _, d := range rows {
		if !d.State.Terminal() || !d.Outcome.Bad() || d.Signature == "" {
			continue
		}
		name, err := p.packageOf(ctx, read, d)
		if err != nil {
			return nil, err
		}
		failed.add(name, d.Ring)
	}
	return failed, nil
}

// failures are the rings in which packages failed.
type failures map[string][]patching.RingName

func (f failures) add(name string, ring patching.RingName) {
	if name != "" && !slices.Contains(f[name], ring) {
		f[name] = append(f[name], ring)
	}
}

// among returns those of the packages that a bundle installs, by name.
func (f failures) among(b patching.Bundle) []string {
	var names []string
	for _, patch := range b.Patches() {
		if len(f[patch.Name]) > 0 {
			names = append(names, patch.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// words says it of some packages: "nginx, openssl failed in ring test". Of rings
// in their order the first is named in which one failed.
func (f failures) words(names []string, order []patching.RingName) string {
	byRing := map[patching.RingName][]string{}
	for _, name := range names {
		first := slices.MinFunc(f[name], func(a, b patching.RingName) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
		byRing[first] = append(byRing[first], name)
	}
	var parts []string
	for _, ring := range order {
		if len(byRing[ring]) > 0 {
			parts = append(parts, strings.Join(byRing[ring], ", ")+" failed in ring "+string(ring))
		}
	}
	return strings.Join(parts, "; ")
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

// along returns what is built from the same source as packages of a machine: it is
// withdrawn with them, for such packages ask for each other in one version.
func (p *Planning) along(ctx context.Context, read *reader, id patching.AssetID, names []string) ([]string, error) {
	asset, err := p.Store.Asset(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("machine %s: %w", id, err)
	}
	set, err := read.packages(ctx, asset.Packages)
	if err != nil {
		return nil, err
	}
	return assess.SameSource(set, names...), nil
}

// shrinkBundles takes what failed out of the bundles of rings that have not begun.
func (p *Planning) shrinkBundles(ctx context.Context, read *reader, items []patching.PlanItem, failed failures, less *plan.Less) error {
	var texts [][]byte
	seen := map[patching.Digest]bool{}
	for _, i := range items {
		if len(failed) == 0 || i.Ring == "" || seen[i.Bundle] || slices.Contains(less.Begun, i.Ring) {
			continue
		}
		seen[i.Bundle] = true
		b, err := read.bundle(ctx, i.Bundle)
		if err != nil {
			return err
		}
		lost := failed.among(b)
		if len(lost) == 0 {
			continue
		}
		along, err := p.along(ctx, read, i.Asset, lost)
		if err != nil {
			return err
		}
		ref, more := refOf(assess.Without(b, append(along, lost...)...))
		if ref.Empty {
			less.Withdrawn[i.Bundle] = failed.words(lost, less.Begun)
			continue
		}
		less.Bundles[i.Bundle], texts = ref, append(texts, more...)
	}
	if len(texts) == 0 {
		return nil
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
