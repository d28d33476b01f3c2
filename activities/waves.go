package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// WaveStore is what waves need of the store.
type WaveStore interface {
	Waves(ctx context.Context, c patching.CycleID, r patching.RingName, offset, limit int) ([]patching.WaveSummary, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	Stage(ctx context.Context, staged []store.StagedOrder) error
	ReleaseBatch(ctx context.Context, w patching.WaveID, batch, size int, now time.Time) ([]patching.Deployment, error)
	EndDeployments(ctx context.Context, e store.EndSpec) (int, error)
	Tally(ctx context.Context, s store.Slice) (patching.Tally, error)
	WaitingByRelay(ctx context.Context, s store.Slice) (map[string]int, error)
	Parts(ctx context.Context) (map[string]time.Time, error)
	AddDecision(ctx context.Context, d store.DecisionRow) error
	Assets(ctx context.Context, f store.AssetFilter) ([]patching.Asset, error)
	ListenedSince(ctx context.Context, part string, since, now time.Time) (time.Duration, error)
	Hold(ctx context.Context) (patching.Hold, error)
	Holds(ctx context.Context, limit int) ([]patching.Hold, error)
	Epoch(ctx context.Context) (int64, error)
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
	TryAgain(ctx context.Context, orders []store.StagedOrder, now time.Time) error
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Asset(ctx context.Context, id patching.AssetID) (patching.Asset, error)
	DiagnoseStore
	BackupStore
}

// Waves releases machines and awaits what they say.
type Waves struct {
	Store      WaveStore
	Dispatcher Dispatcher
	Now        Clock
	// Granting gives orders what they rest on; nil: on the server's word.
	Granting *Granting
	// Look is how often a tally is looked at while it is awaited.
	Look time.Duration

	rings ringCounts
}

// List pages through a ring's waves, in the order in which they begin.
func (w *Waves) List(ctx context.Context, in contract.ListWavesIn) ([]patching.WaveSummary, error) {
	waves, err := w.Store.Waves(ctx, in.Cycle, in.Ring, in.Offset, in.Limit)
	if err != nil {
		return nil, fmt.Errorf("waves of ring %s: %w", in.Ring, err)
	}
	return waves, nil
}

// Stage issues the wave's orders; machines fetch their packages and wait for
// the start permit. Those that have an order keep it.
func (w *Waves) Stage(ctx context.Context, in contract.StageWaveIn) (contract.StageWaveOut, error) {
	stop := beat(ctx)
	defer stop()
	wave := in.Wave
	rows, err := w.Store.Deployments(ctx, store.DeploymentFilter{Cycle: wave.Cycle, Wave: wave.Wave.ID})
	if err != nil {
		return contract.StageWaveOut{}, fmt.Errorf("machines of wave %s: %w", wave.Wave.ID, err)
	}
	epoch, err := w.Store.Epoch(ctx)
	if err != nil {
		return contract.StageWaveOut{}, err
	}
	var out contract.StageWaveOut
	var planned []patching.Deployment
	for _, d := range rows {
		out.Batches = max(out.Batches, d.Batch)
		switch {
		case d.State == patching.DeploymentPlanned && w.Now().Before(d.End):
			planned = append(planned, d) // after its window an order could not be issued
		case d.Batch > 0:
			out.Released++
		}
	}
	out.Staged = len(rows)
	if planned, err = w.withoutBackup(ctx, wave, planned); err != nil {
		return out, err
	}
	return out, inChunks(planned, func(some []patching.Deployment) error { return w.stage(ctx, some, epoch) })
}

func (w *Waves) stage(ctx context.Context, some []patching.Deployment, epoch int64) error {
	drafts := make([]trust.Draft, 0, len(some))
	staged := make([]store.StagedOrder, 0, len(some))
	for _, d := range some {
		draft := applyDraft(d, string(d.Wave), epoch)
		drafts = append(drafts, draft)
		staged = append(staged, store.StagedOrder{Cycle: d.Cycle, Asset: d.Asset, Order: draft.ID})
	}
	if err := w.Granting.warrant(ctx, some[0].Cycle, drafts); err != nil {
		return err
	}
	if err := w.Dispatcher.Issue(ctx, drafts); err != nil {
		return fmt.Errorf("issue orders: %w", err)
	}
	if err := w.Store.Stage(ctx, staged); err != nil {
		return fmt.Errorf("note orders: %w", err)
	}
	return nil
}

// applyDraft is the order that patches a machine, for a purpose of its own.
func applyDraft(d patching.Deployment, purpose string, epoch int64) trust.Draft {
	return trust.Draft{
		ID: orderID(d.Cycle, d.Asset, trust.Apply, purpose, epoch), Asset: d.Asset, Device: d.Device, Cycle: d.Cycle, Ring: d.Ring, Wave: d.Wave,
		Verb: trust.Apply, Fence: d.Fence, WindowRule: d.WindowRule, Start: d.Start, End: d.End, NotAfter: d.End,
		Bundle: d.Bundle, Rollback: d.Rollback,
	}
}

// Release gives the start permit to the next machines. The store keeps which
// machines a batch number stands for, so a repetition permits the same ones.
func (w *Waves) Release(ctx context.Context, in contract.ReleaseIn) (contract.ReleaseOut, error) {
	stop := beat(ctx)
	defer stop()
	rows, err := w.Store.ReleaseBatch(ctx, in.Wave, in.Batch, in.Size, w.Now())
	if err != nil {
		return contract.ReleaseOut{}, fmt.Errorf("release batch %d of %s: %w", in.Batch, in.Wave, err)
	}
	orders := make([]patching.OrderID, 0, len(rows))
	for _, d := range rows {
		if !d.State.Terminal() {
			orders = append(orders, d.Order)
		}
	}
	err = inChunks(orders, func(some []patching.OrderID) error { return w.Dispatcher.Permit(ctx, some) })
	return contract.ReleaseOut{Released: len(rows)}, err
}

// NoteGate keeps a decision with its inputs, and puts it on the audit chain
// unless it only says to wait.
func (w *Waves) NoteGate(ctx context.Context, in contract.NoteGateIn) (contract.None, error) {
	d := in.Decision
	err := w.Store.AddDecision(ctx, store.DecisionRow{
		Cycle: in.Cycle, Subject: in.Subject, Decision: d, ParamsText: []byte(in.Params), TallyText: []byte(in.Tally),
	})
	if err != nil {
		return contract.None{}, fmt.Errorf("keep the gate's decision on %s: %w", in.Subject, err)
	}
	if d.Verb == patching.Wait {
		return contract.None{}, nil
	}
	_, err = w.Store.AppendAudit(ctx, patching.AuditEntry{
		At: d.At, Actor: "gate " + d.Gate, Verb: string(d.Verb), Subject: in.Subject, Body: d.Why,
	})
	return contract.None{}, err
}
