package activities

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Renderer writes the report of a cycle and says where it is.
type Renderer interface {
	Render(ctx context.Context, id patching.CycleID) (file string, err error)
}

// ReportStore keeps where the report is, and what it says of advisories.
type ReportStore interface {
	StandingStore
	SaveCycle(ctx context.Context, c patching.Cycle) error
}

// Reports writes reports.
type Reports struct {
	Store  ReportStore
	Render Renderer
	// Remedying looks which advisories the machines still have; nil: nobody can look.
	Remedying *Remedying
}

// Make looks how the machines stand, renders the report and keeps where it is.
func (r *Reports) Make(ctx context.Context, in contract.MakeReportIn) (contract.MakeReportOut, error) {
	stop := beat(ctx)
	defer stop()
	if err := r.look(ctx, in.State.ID); err != nil {
		return contract.MakeReportOut{}, err
	}
	file, err := r.Render.Render(ctx, in.State.ID)
	if err != nil {
		return contract.MakeReportOut{}, fmt.Errorf("report of %s: %w", in.State.ID, err)
	}
	record, err := r.Store.Cycle(ctx, in.State.ID)
	if err != nil {
		return contract.MakeReportOut{}, err
	}
	record.Report = file
	if err := r.Store.SaveCycle(ctx, record); err != nil {
		return contract.MakeReportOut{}, fmt.Errorf("keep where the report is: %w", err)
	}
	return contract.MakeReportOut{File: file}, nil
}

// look finds out which advisories the machines still have. A report without that is
// better than none: it says that nobody looked, and the record says why.
func (r *Reports) look(ctx context.Context, id patching.CycleID) error {
	if r.Remedying == nil {
		return nil
	}
	err := r.Remedying.stand(ctx, r.Store, id)
	if err == nil || ctx.Err() != nil {
		return err
	}
	_, err = r.Store.AppendAudit(ctx, patching.AuditEntry{
		At: r.Remedying.Now().UTC(), Actor: "report", Verb: "look", Subject: string(id),
		Body: fmt.Sprintf("Which advisories the machines still have is not known: %v.", err),
	})
	return err
}
