package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Mend gives one order to repair to each machine of a wave that ended with
// something half done, as far as its own rules let it, and says how many can be
// tried again (Q4). A repetition issues the same orders.
func (w *Waves) Mend(ctx context.Context, in contract.SliceIn) (contract.MendOut, error) {
	stop := beat(ctx)
	defer stop()
	mendable, err := w.mendable(ctx, in)
	if err != nil || len(mendable) == 0 {
		return contract.MendOut{}, err
	}
	epoch, err := w.Store.Epoch(ctx)
	if err != nil {
		return contract.MendOut{}, err
	}
	out := contract.MendOut{Again: len(mendable)}
	wave := purpose(string(trust.Repair), string(in.Wave))
	var drafts []trust.Draft
	for _, m := range mendable {
		if !slices.Contains(m.steps, diagnose.StepRepair) {
			continue
		}
		d := m.Deployment
		drafts = append(drafts, trust.Draft{
			ID: orderID(d.Cycle, d.Asset, trust.Repair, string(wave), epoch), Asset: d.Asset, Device: d.Device, Cycle: d.Cycle, Ring: d.Ring, Wave: wave,
			Verb: trust.Repair, Fence: d.Fence, WindowRule: d.WindowRule, Start: d.Start, End: d.End, NotAfter: d.End,
			Args: trust.RepairArgs{Do: trust.RepairConfigure},
		})
	}
	out.Repair = len(drafts)
	err = inChunks(drafts, func(some []trust.Draft) error {
		if err := w.Dispatcher.Issue(ctx, some); err != nil {
			return fmt.Errorf("issue repairs: %w", err)
		}
		ids := make([]patching.OrderID, len(some))
		for i, d := range some {
			ids[i] = d.ID
		}
		return w.Dispatcher.Permit(ctx, ids)
	})
	return out, err
}

// mendable are the machines of a wave whose failure may be mended, each with the
// steps for it, see [diagnose.MendNow].
func (w *Waves) mendable(ctx context.Context, in contract.SliceIn) ([]mendable, error) {
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, Wave: in.Wave, States: []patching.DeploymentState{patching.DeploymentDone},
		Outcomes: []patching.Outcome{patching.Failed, patching.NeedsHands, patching.Deferred},
	})
	if err != nil {
		return nil, fmt.Errorf("machines that failed: %w", err)
	}
	now := w.Now()
	// Those first that could be mended under any rules: the others' are not looked up.
	rows = slices.DeleteFunc(rows, func(d patching.Deployment) bool { return len(diagnose.MendNow(d, true, now)) == 0 })
	assets, err := assetsOf(ctx, w.Store, rows)
	if err != nil {
		return nil, err
	}
	var out []mendable
	for _, d := range rows {
		if steps := diagnose.MendNow(d, slices.Contains(assets[d.Asset].Allowed, string(trust.Repair)), now); len(steps) > 0 {
			out = append(out, mendable{d, steps})
		}
	}
	return out, nil
}

type mendable struct {
	patching.Deployment
	steps []diagnose.Step
}

// TryAgain releases the machines of a wave that may be mended once more, with an
// order of its own for the same patches in the same window. It may be repeated:
// orders are named by what they are for, and nobody is tried a third time.
func (w *Waves) TryAgain(ctx context.Context, in contract.SliceIn) (contract.ReleaseOut, error) {
	stop := beat(ctx)
	defer stop()
	epoch, err := w.Store.Epoch(ctx)
	if err != nil {
		return contract.ReleaseOut{}, err
	}
	again, err := w.mendable(ctx, in)
	if err != nil {
		return contract.ReleaseOut{}, err
	}
	if err := inChunks(again, func(some []mendable) error { return w.stageAgain(ctx, some, epoch) }); err != nil {
		return contract.ReleaseOut{}, err
	}
	if err := w.noteAgain(ctx, in, again); err != nil {
		return contract.ReleaseOut{}, err
	}
	// Those of an earlier attempt too, which may have ended before it permitted them.
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: in.Cycle, Wave: in.Wave, States: []patching.DeploymentState{patching.DeploymentReleased},
	})
	if err != nil {
		return contract.ReleaseOut{}, fmt.Errorf("machines that are tried again: %w", err)
	}
	var orders []patching.OrderID
	for _, d := range rows {
		if d.Again > 0 {
			orders = append(orders, d.Order)
		}
	}
	err = inChunks(orders, func(some []patching.OrderID) error { return w.Dispatcher.Permit(ctx, some) })
	return contract.ReleaseOut{Released: len(orders)}, err
}

func (w *Waves) stageAgain(ctx context.Context, some []mendable, epoch int64) error {
	drafts, staged := make([]trust.Draft, len(some)), make([]store.StagedOrder, len(some))
	for i, m := range some {
		drafts[i] = applyDraft(m.Deployment, string(m.Wave)+"/again", epoch)
		staged[i] = store.StagedOrder{Cycle: m.Cycle, Asset: m.Asset, Order: drafts[i].ID}
	}
	if err := w.Granting.warrant(ctx, some[0].Cycle, drafts); err != nil {
		return err
	}
	if err := w.Dispatcher.Issue(ctx, drafts); err != nil {
		return fmt.Errorf("issue orders: %w", err)
	}
	return w.Store.TryAgain(ctx, staged, w.Now())
}

// noteAgain puts on record what is tried again, and why.
func (w *Waves) noteAgain(ctx context.Context, in contract.SliceIn, again []mendable) error {
	if len(again) == 0 {
		return nil
	}
	var reasons []string
	for _, m := range again {
		if words := m.Reason.Words(); !slices.Contains(reasons, words) {
			reasons = append(reasons, words)
		}
	}
	_, err := w.Store.AppendAudit(ctx, patching.AuditEntry{
		At: w.Now().UTC(), Actor: "patchcycle", Verb: "try again", Subject: string(in.Wave),
		Body: phrase.Count(len(again), "machine") + " once more, within the window: " + strings.Join(reasons, " "),
	})
	return err
}
