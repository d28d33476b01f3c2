package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// TaskStore is what judging tasks needs of the store.
type TaskStore interface {
	FleetStore
	Tasks(ctx context.Context, f store.TaskFilter) ([]patching.Task, error)
	SaveTask(ctx context.Context, t patching.Task) error
	Deployment(ctx context.Context, c patching.CycleID, a patching.AssetID) (patching.Deployment, error)
	DecisionsAt(ctx context.Context, now time.Time) (patching.Decisions, error)
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
}

// Tasks judges tasks that people say are done.
type Tasks struct {
	Store TaskStore
	Now   Clock
}

// Judge looks at the tasks that wait for a rescan. The outcome follows the
// scan, not the click: a task whose machine still misses what the cycle was to
// install is open again, and says what is missing (G21).
func (t *Tasks) Judge(ctx context.Context) error {
	waiting, err := t.Store.Tasks(ctx, store.TaskFilter{Open: true})
	if err != nil {
		return fmt.Errorf("tasks that wait for a rescan: %w", err)
	}
	read := newReader(t.Store)
	for _, task := range waiting {
		judge := func() error { return t.judge(ctx, read, task) }
		switch {
		case task.Cause == patching.ReasonWorkAround:
			judge = func() error { return t.judgeRemoval(ctx, task) }
		case task.State != patching.TaskChecking:
			continue
		}
		if err := judge(); err != nil {
			return fmt.Errorf("task %s: %w", task.ID, err)
		}
	}
	return nil
}

func (t *Tasks) judge(ctx context.Context, read *reader, task patching.Task) error {
	asset, err := t.Store.Asset(ctx, task.Asset)
	if err != nil {
		return err
	}
	if !asset.Inventoried.After(task.Asked) {
		return nil
	}
	d, err := t.Store.Deployment(ctx, task.Cycle, task.Asset)
	if err != nil {
		return err
	}
	ok, missing, err := read.shows(ctx, asset, d.Bundle)
	if err != nil {
		return err
	}
	task.State, task.Closed, task.Note = patching.TaskDone, asset.Inventoried, "A rescan shows what was to be installed."
	if !ok {
		task.State, task.Closed = patching.TaskOpen, time.Time{}
		task.Note = "The rescan still misses " + strings.Join(missing, ", ") + "."
	}
	return t.judged(ctx, task)
}

func (t *Tasks) judged(ctx context.Context, task patching.Task) error {
	if err := t.Store.SaveTask(ctx, task); err != nil {
		return err
	}
	_, err := t.Store.AppendAudit(ctx, patching.AuditEntry{
		At: t.Now().UTC(), Actor: "patchcycle", Verb: "rescan", Subject: string(task.ID), Body: task.Note,
	})
	return err
}
