package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

type tasksInput struct {
	Cycle patching.CycleID `query:"cycle"`
	Asset patching.AssetID `query:"asset"`
	Owner string           `query:"owner"`
	Open  bool             `query:"open" doc:"Those only that are not done."`
	Limit int              `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type taskInput struct {
	Task patching.TaskID `path:"task"`
}

type doneInput struct {
	Task patching.TaskID `path:"task"`
	Body wire.TaskDone
}

func (s *server) addTasks(api huma.API) {
	handle(s, api, about("tasks", "list-tasks", http.MethodGet, "/tasks", "List what needs a person"), s.listTasks)
	handle(s, api, about("tasks", "get-task", http.MethodGet, "/tasks/{task}", "Show what needs a person, and the procedure"), s.getTask)
	handle(s, api, about("tasks", "take-task", http.MethodPost, "/tasks/{task}/take", "Say that you look after it"), s.takeTask)
	op := about("tasks", "done-task", http.MethodPost, "/tasks/{task}/done", "Say that the work was done")
	op.Description = "The machine is asked for a fresh inventory: the task is done when that says so. A review is done at once, by somebody who had no part in it, with what they found as the note."
	handle(s, api, op, s.doneTask)
}

func (s *server) listTasks(ctx context.Context, in *tasksInput) (wire.Tasks, error) {
	out := wire.Tasks{Items: []wire.Task{}}
	all, err := s.Store.Tasks(ctx, store.TaskFilter{Cycle: in.Cycle, Asset: in.Asset, Owner: in.Owner, Open: in.Open})
	if err != nil {
		return out, err
	}
	assets, err := s.assetsOf(ctx, all)
	if err != nil {
		return out, err
	}
	who := account(ctx)
	for _, t := range all {
		if a := assets[t.Asset]; seesInCycle(who, wire.PolicyOf(t.Cycle), a.Site) && len(out.Items) < in.Limit {
			out.Items = append(out.Items, taskShape(t, a.Hostname))
		}
	}
	return out, nil
}

func (s *server) assetsOf(ctx context.Context, tasks []patching.Task) (map[patching.AssetID]patching.Asset, error) {
	out := make(map[patching.AssetID]patching.Asset)
	var ids []patching.AssetID
	for _, t := range tasks {
		ids = append(ids, t.Asset)
	}
	if len(ids) == 0 {
		return out, nil
	}
	assets, err := s.Store.Assets(ctx, store.AssetFilter{IDs: ids})
	for _, a := range assets {
		out[a.ID] = a
	}
	return out, err
}

func (s *server) getTask(ctx context.Context, in *taskInput) (wire.Task, error) {
	t, hostname, err := s.task(ctx, in.Task)
	return taskShape(t, hostname), err
}

// task finds a task that is in the account's scope: by its cycle's policy or by
// its machine's site.
func (s *server) task(ctx context.Context, id patching.TaskID) (t patching.Task, hostname string, err error) {
	if t, err = s.Store.Task(ctx, id); err != nil {
		return t, "", absent(aTask, id, err)
	}
	a, err := s.Store.Asset(ctx, t.Asset)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return t, "", err
	}
	if who := account(ctx); !seesInCycle(who, wire.PolicyOf(t.Cycle), a.Site) {
		return patching.Task{}, "", outsideSite(who, a.Site)
	}
	return t, a.Hostname, nil
}

func (s *server) takeTask(ctx context.Context, in *taskInput) (wire.TaskAnswer, error) {
	t, hostname, err := s.task(ctx, in.Task)
	if err != nil {
		return wire.TaskAnswer{}, err
	}
	if err := mayLookAfter(account(ctx), t); err != nil {
		return wire.TaskAnswer{}, err
	}
	who := account(ctx).Name
	switch {
	case t.State.Terminal():
		return wire.TaskAnswer{}, conflict(fmt.Sprintf("Task %s is done.", t.ID), "")
	case t.State == patching.TaskTaken && t.TakenBy == who:
		return wire.TaskAnswer{Task: taskShape(t, hostname), Words: "You look after it already."}, nil
	}
	words := "it is yours now."
	if t.TakenBy != "" && t.TakenBy != who {
		words = fmt.Sprintf("it is yours now; %s had taken it.", t.TakenBy)
	}
	t.TakenBy, t.State = who, patching.TaskTaken
	if err := s.change(ctx, "take task", taskSubject(t), words, func() error { return s.Store.SaveTask(ctx, t) }); err != nil {
		return wire.TaskAnswer{}, err
	}
	return wire.TaskAnswer{Task: taskShape(t, hostname), Words: "Task " + string(t.ID) + ": " + words}, nil
}

// mayLookAfter says why the account may not take the task or say that it is done; nil:
// it may.
func mayLookAfter(a patching.Account, t patching.Task) error {
	switch may := t.LookedAfterBy(); {
	case !a.Has(may...):
		return notAllowed(fmt.Sprintf("%s has the %s; this takes one of %s.", a.Name, roleWords(a.Roles), join(may)))
	case t.Bars(a.Name):
		return notAllowed(fmt.Sprintf("%s is among those whose act this reviews: somebody else has to.", a.Name))
	}
	return nil
}

func (s *server) doneTask(ctx context.Context, in *doneInput) (wire.TaskAnswer, error) {
	t, hostname, err := s.task(ctx, in.Task)
	if err != nil {
		return wire.TaskAnswer{}, err
	}
	if err := mayLookAfter(account(ctx), t); err != nil {
		if t.IsReview() {
			s.recordRefused(ctx, account(ctx), "done task", taskSubject(t), err.Error())
		}
		return wire.TaskAnswer{}, err
	}
	if t.State.Terminal() {
		return wire.TaskAnswer{}, conflict(fmt.Sprintf("Task %s is done.", t.ID), "")
	}
	if t.IsReview() {
		return s.closeReview(ctx, t, in.Body.Note)
	}
	t.State, t.Asked = patching.TaskChecking, s.Now().UTC()
	if t.TakenBy == "" {
		t.TakenBy = account(ctx).Name
	}
	if in.Body.Note != "" {
		t.Note = in.Body.Note
	}
	if err := s.change(ctx, "done task", taskSubject(t), in.Body.Note, func() error { return s.Store.SaveTask(ctx, t) }); err != nil {
		return wire.TaskAnswer{}, err
	}
	words := "The next inventory of the machine decides whether it is done."
	if s.Rescan != nil {
		words = "The machine was asked for a fresh inventory: that decides whether it is done."
		if err := s.Rescan.Rescan(ctx, t.Asset); err != nil {
			s.Logger.Warn("a machine could not be asked for an inventory", zap.String("asset", string(t.Asset)), zap.Error(err))
			words = "The machine could not be asked for a fresh inventory now. The next one that comes decides whether it is done."
		}
	}
	return wire.TaskAnswer{Task: taskShape(t, hostname), Words: words}, nil
}

// closeReview ends a review with a person's words. Who closed it is who had it last.
func (s *server) closeReview(ctx context.Context, t patching.Task, note string) (wire.TaskAnswer, error) {
	if note = strings.TrimSpace(note); note == "" {
		return wire.TaskAnswer{}, invalid("body.note", "say what you found: a review is closed with words")
	}
	t.State, t.Closed, t.TakenBy, t.Note = patching.TaskDone, s.Now().UTC(), account(ctx).Name, note
	if err := s.change(ctx, "done task", taskSubject(t), note, func() error { return s.Store.SaveTask(ctx, t) }); err != nil {
		return wire.TaskAnswer{}, err
	}
	return wire.TaskAnswer{Task: taskShape(t, ""), Words: fmt.Sprintf("Task %s is done: reviewed by %s.", t.ID, t.TakenBy)}, nil
}

// taskSubject is what the record of decisions calls a task. A review is found with its
// cycle: it belongs to what people said of the plan.
func taskSubject(t patching.Task) string {
	if t.IsReview() {
		return string(t.Cycle) + "/review/" + string(t.ID)
	}
	return string(t.ID)
}

func taskShape(t patching.Task, hostname string) wire.Task {
	return wire.Task{
		ID: t.ID, Cycle: t.Cycle, Asset: t.Asset, Hostname: hostname, Cause: t.Cause, Words: t.Cause.Words(), Tried: t.Tried, Steps: t.Steps,
		Owner: t.Owner, Due: t.Due, Opened: t.Opened, TakenBy: t.TakenBy, State: t.State, Closed: t.Closed, Note: t.Note, NotBy: t.NotBy,
	}
}
