package activities

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// DiagnoseStore is what diagnosing needs of the store.
type DiagnoseStore interface {
	Cells(ctx context.Context, of store.Slice) ([]diagnose.Cell, error)
	PutDiagnosis(ctx context.Context, d store.DiagnosisRow) error
	Content(ctx context.Context, d patching.Digest) ([]byte, error)
}

// diagnosed is a diagnosis with what it was made from.
type diagnosed struct {
	diagnose.Diagnosis
	cells    []diagnose.Cell
	packages func(patching.Digest) []string
}

// Diagnose says what the failures of a ring have in common, keeps it, and counts
// the ring without the failures that are the path's.
func (w *Waves) Diagnose(ctx context.Context, in contract.SliceIn) (contract.DiagnoseOut, error) {
	stop := beat(ctx)
	defer stop()
	of := store.Slice{Cycle: in.Cycle, Ring: in.Ring}
	d, err := diagnoseSlice(ctx, w.Store, of)
	if err != nil {
		return contract.DiagnoseOut{}, err
	}
	if err := w.Store.PutDiagnosis(ctx, store.DiagnosisRow{Cycle: in.Cycle, Ring: in.Ring, At: w.Now(), Diagnosis: d.Diagnosis}); err != nil {
		return contract.DiagnoseOut{}, err
	}
	tally, err := w.Read(ctx, contract.SliceIn{Cycle: in.Cycle, Ring: in.Ring, Silence: in.Silence})
	if err != nil {
		return contract.DiagnoseOut{}, err
	}
	return contract.DiagnoseOut{Words: d.Words(), Causes: len(d.Causes), Without: d.Excuse(tally, d.cells)}, nil
}

// diagnose says what a whole cycle's failures have in common, for its tasks and
// its report. A cycle closes also when nobody can tell.
func (c *Cycles) diagnose(ctx context.Context, id patching.CycleID, now time.Time) (diagnosed, error) {
	d, err := diagnoseSlice(ctx, c.Store, store.Slice{Cycle: id})
	if err != nil {
		if ctx.Err() != nil {
			return diagnosed{}, err
		}
		c.Log.Warn("what failures have in common is not known", "cycle", string(id), "error", err)
		return diagnosed{}, nil
	}
	return d, c.Store.PutDiagnosis(ctx, store.DiagnosisRow{Cycle: id, At: now, Diagnosis: d.Diagnosis})
}

// of returns the causes that a machine shares with others.
func (d diagnosed) of(m patching.Deployment, a patching.Asset) []diagnose.Cause {
	if len(d.Causes) == 0 {
		return nil
	}
	return d.Shared(diagnose.Cell{
		Relay: a.Relay, Site: m.Site, Agent: a.Agent, OS: strings.TrimSpace(a.OS.Family + " " + a.OS.Release),
		Rule: m.WindowRule, Ring: m.Ring, Released: !m.Released.IsZero(), Answered: !m.Answered.IsZero(),
		Outcome: m.Outcome, Reason: m.Reason, Signature: m.Signature,
	}, d.packages(m.Bundle))
}

// diagnoseSlice gathers the counts and decides. A bundle that cannot be read any
// more says nothing of its packages.
func diagnoseSlice(ctx context.Context, s DiagnoseStore, of store.Slice) (diagnosed, error) {
	cells, err := s.Cells(ctx, of)
	if err != nil {
		return diagnosed{}, err
	}
	names := map[patching.Digest][]string{}
	for _, c := range cells {
		if _, known := names[c.Bundle]; known || c.Bundle == "" || !c.Tried() {
			continue
		}
		names[c.Bundle] = nil
		text, err := s.Content(ctx, c.Bundle)
		if errors.Is(err, store.ErrNotFound) {
			continue // it will not come back, and the ring waits for us
		}
		if err != nil {
			return diagnosed{}, fmt.Errorf("bundle %s: %w", c.Bundle.Short(), err)
		}
		b, err := patching.ParseBundle(text)
		if err != nil {
			continue
		}
		for _, p := range b.Patches() {
			names[c.Bundle] = append(names[c.Bundle], p.Name)
		}
	}
	packages := func(d patching.Digest) []string { return names[d] }
	return diagnosed{diagnose.Of(cells, packages, diagnose.Defaults()), cells, packages}, nil
}
