package cli

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newTask(e *env) *cobra.Command {
	return group("task", "Look after what needs a person", newTaskList(e), newTaskShow(e), newTaskTake(e), newTaskDone(e))
}

type taskListOptions struct {
	cycle, machine, owner string
	all                   bool
	limit                 int
	json                  bool
}

func newTaskList(e *env) *cobra.Command {
	var o taskListOptions
	c := &cobra.Command{
		Use: "list", Short: "List what needs a person, those due first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	f := c.Flags()
	f.StringVar(&o.cycle, "cycle", "", "those of one cycle")
	f.StringVar(&o.machine, "machine", "", "those of one machine")
	f.StringVar(&o.owner, "owner", "", "those of one owner")
	f.BoolVar(&o.all, "all", false, "those that are done, too")
	countFlag(c, &o.limit, "limit", pageOf, "at most so many (default: 1000)")
	jsonFlag(c, &o.json)
	return c
}

func (o taskListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	if o.machine != "" {
		id, err := s.machine(c, o.machine)
		if err != nil {
			return err
		}
		o.machine = string(id)
	}
	all, err := c.Tasks(ctx, client.TaskQuery{
		Cycle: patching.CycleID(o.cycle), Asset: patching.AssetID(o.machine), Owner: o.owner, Open: !o.all, Limit: left(o.limit, 0),
	})
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, t := range all.Items {
		rows = append(rows, []string{string(t.ID), cmp.Or(t.Hostname, string(t.Asset), "-"), string(t.State), s.when(t.Due), t.Owner, string(t.TakenBy), t.Words})
	}
	s.list(rows, "Nothing needs a person.", "TASK", "MACHINE", "STATE", "DUE", "OWNER", "TAKEN BY", "CAUSE")
	return nil
}

type taskShowOptions struct{ json bool }

func newTaskShow(e *env) *cobra.Command {
	var o taskShowOptions
	c := &cobra.Command{
		Use: "show TASK", Short: "Show a task with its procedure", Args: exactly(1), ValidArgsFunction: e.completeTasks,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.TaskID(args[0]))
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o taskShowOptions) run(ctx context.Context, s *session, id patching.TaskID) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	t, err := c.Task(ctx, id)
	if err != nil || o.json {
		return orJSON(s, t, err)
	}
	s.printTask(t)
	return nil
}

func (s *session) printTask(t wire.Task) {
	tried := "Tried"
	if len(t.NotBy) > 0 {
		tried = "To review"
	}
	s.fields("Task", string(t.ID), "Machine", string(t.Asset), "Hostname", t.Hostname, "Cycle", string(t.Cycle), "State", string(t.State),
		"Cause", t.Words, tried, t.Tried, "Not by", phrase.Few(t.NotBy, len(t.NotBy)), "Owner", t.Owner, "Due", s.when(t.Due), "Taken by", string(t.TakenBy), "Closed", s.when(t.Closed), "Note", t.Note)
	if t.Steps != "" {
		s.say("\nWhat to do:\n%s", lines(t.Steps))
	}
}

type taskTakeOptions struct{ json bool }

func newTaskTake(e *env) *cobra.Command {
	var o taskTakeOptions
	c := &cobra.Command{
		Use: "take TASK", Short: "Say that you look after it", Args: exactly(1), ValidArgsFunction: e.completeTasks,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.TaskID(args[0]))
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o taskTakeOptions) run(ctx context.Context, s *session, id patching.TaskID) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.TakeTask(ctx, id)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.note("%s", a.Words)
	s.printTask(a.Task)
	return nil
}

type taskDoneOptions struct {
	note string
	json bool
}

func newTaskDone(e *env) *cobra.Command {
	var o taskDoneOptions
	c := &cobra.Command{
		Use: "done TASK", Short: "Say that the work was done", Args: exactly(1), ValidArgsFunction: e.completeTasks,
		Long: `Say that the work was done. The machine is asked for a fresh inventory: the task
closes when that says so, not by this command. A review of what people did (break-glass)
is closed by this command: by somebody who had no part in it, with --note.`,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.TaskID(args[0]))
		},
	}
	c.Flags().StringVar(&o.note, "note", "", "what was done; of a review: what you found")
	jsonFlag(c, &o.json)
	return c
}

func (o taskDoneOptions) run(ctx context.Context, s *session, id patching.TaskID) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.DoneTask(ctx, id, o.note)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("%s", a.Words)
	return nil
}
