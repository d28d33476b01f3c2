package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newWorkAround(e *env) *cobra.Command {
	return group("workaround", "Look after what makes up for a patch",
		newWorkAroundAdd(e), newWorkAroundList(e), newWorkAroundShow(e),
		newWorkAroundStep(e, workAroundStep{
			use: "place WORKAROUND", short: "Say on which machines it is in place, and how that was verified", state: patching.WorkAroundInPlace, needs: []string{"machine", "note"},
			example: "patchcycle workaround place workaround-1f2e3d4c5b --machine web-1,web-2 --note \"curl answers 403\"",
		}),
		newWorkAroundStep(e, workAroundStep{
			use: "remove WORKAROUND", short: "Say that it has to be removed", state: patching.WorkAroundLeaving, needs: []string{"note"},
			example: "patchcycle workaround remove workaround-1f2e3d4c5b --note \"the patch is in\"",
		}),
		newWorkAroundStep(e, workAroundStep{
			use: "done WORKAROUND", short: "Say from which machines it was removed, and how that was verified", state: patching.WorkAroundRemoved, needs: []string{"note"},
			example: "patchcycle workaround done workaround-1f2e3d4c5b --machine web-1 --note \"curl answers 200\"",
		}))
}

type workAroundAddOptions struct {
	subjectOptions
	what, owner, reason string
	json                bool
}

func newWorkAroundAdd(e *env) *cobra.Command {
	var o workAroundAddOptions
	c := &cobra.Command{
		Use: "add [ADVISORY]", Short: "Propose a work-around", Args: between(0, 1),
		Long: `Propose what makes up for the patch of an advisory, a CVE or a package. Its life: it
is proposed, in place on machines where it was seen to work, to be removed once the
patch is in, and removed. It takes no time off a due date by itself: a security lead
decides that ("urgency review --answer work-around").`,
		Example: "patchcycle workaround add CVE-2026-1000 --what \"switch mod_x off\" --owner web-team --reason \"there is no fix yet\"",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	f := c.Flags()
	f.StringVar(&o.what, "what", "", "what is to be done on a machine")
	f.StringVar(&o.owner, "owner", "", "the person or the role that answers for it")
	f.StringVar(&o.reason, "reason", "", "why; it goes on record")
	o.flags(c)
	required(c, "what", "owner", "reason")
	jsonFlag(c, &o.json)
	return c
}

func (o workAroundAddOptions) run(ctx context.Context, s *session, args []string) error {
	if err := s.needs("what", "owner", "reason"); err != nil {
		return err
	}
	about, err := o.about(s, args)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.AddWorkAround(ctx, wire.NewWorkAround{Subject: about, What: o.what, Owner: o.owner, Reason: o.reason}, client.NewKey())
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("Work-around %s for %s is proposed. %s", a.WorkAround.ID, subjectWords(a.WorkAround.Subject), a.Words)
	s.warn(a.Warning)
	return nil
}

type workAroundListOptions struct{ all, json bool }

func newWorkAroundList(e *env) *cobra.Command {
	var o workAroundListOptions
	c := &cobra.Command{
		Use: "list", Short: "List work-arounds, and on how many machines they are in place", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "those that were removed, too")
	jsonFlag(c, &o.json)
	return c
}

func (o workAroundListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.WorkArounds(ctx, o.all)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, w := range all.Items {
		rows = append(rows, []string{
			string(w.ID), subjectWords(w.Subject), w.What, w.Owner, string(w.State), fmt.Sprint(len(w.Machines) + w.Others), s.when(w.Steps[len(w.Steps)-1].At),
		})
	}
	s.list(rows, "There are no work-arounds.", "WORKAROUND", "ABOUT", "WHAT", "OWNER", "STATE", "IN PLACE ON", "SINCE")
	return nil
}

type workAroundShowOptions struct{ json bool }

func newWorkAroundShow(e *env) *cobra.Command {
	var o workAroundShowOptions
	c := &cobra.Command{
		Use: "show WORKAROUND", Short: "Show the whole life of a work-around", Args: exactly(1), ValidArgsFunction: e.completeWorkArounds,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.DecisionID(args[0]))
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o workAroundShowOptions) run(ctx context.Context, s *session, id patching.DecisionID) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	w, err := c.WorkAround(ctx, id)
	if err != nil || o.json {
		return orJSON(s, w, err)
	}
	s.printWorkAround(w)
	return nil
}

// fewMachines is how many of a work-around's machines are named where people look at it.
const fewMachines = 20

func (s *session) printWorkAround(w wire.WorkAround) {
	machines := phrase.Few(w.Machines, fewMachines)
	if w.Others > 0 {
		machines = fmt.Sprintf("%s; %d elsewhere", machines, w.Others)
	}
	s.fields("Work-around", string(w.ID), "About", subjectWords(w.Subject), "What", w.What, "Owner", w.Owner, "State", string(w.State), "In place on", machines)
	var rows [][]string
	for _, step := range w.Steps {
		on := ""
		if step.Machines > 0 {
			on = phrase.Count(step.Machines, "machine")
		}
		rows = append(rows, []string{s.when(step.At), string(step.State), on, string(step.By), string(step.Role), step.Note})
	}
	s.say("")
	s.list(rows, "", "AT", "STATE", "MACHINES", "BY", "AS", "NOTE")
}

// workAroundStep is a command that says what became of a work-around.
type workAroundStep struct {
	use, short, example string
	state               patching.WorkAroundState
	needs               []string
}

type workAroundStepOptions struct {
	machines []string
	note     string
	json     bool
}

func newWorkAroundStep(e *env, step workAroundStep) *cobra.Command {
	var o workAroundStepOptions
	c := &cobra.Command{
		Use: step.use, Short: step.short, Args: exactly(1), ValidArgsFunction: e.completeWorkArounds, Example: step.example,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), step, patching.DecisionID(args[0]))
		},
	}
	switch step.state {
	case patching.WorkAroundInPlace:
		c.Flags().StringSliceVar(&o.machines, "machine", nil, "machines on which it was seen to work, by id or hostname")
	case patching.WorkAroundRemoved:
		c.Flags().StringSliceVar(&o.machines, "machine", nil, "machines from which it was removed, by id or hostname (default: all that are left)")
	case patching.WorkAroundProposed, patching.WorkAroundLeaving:
	}
	c.Flags().StringVar(&o.note, "note", "", "how that was verified, or why; it goes on record")
	required(c, step.needs...)
	jsonFlag(c, &o.json)
	return c
}

func (o workAroundStepOptions) run(ctx context.Context, s *session, step workAroundStep, id patching.DecisionID) error {
	if err := s.needs(step.needs...); err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	n := wire.NewWorkAroundStep{State: step.state, Note: o.note}
	for _, name := range o.machines {
		machine, err := s.machine(c, name)
		if err != nil {
			return err
		}
		n.Assets = append(n.Assets, machine)
	}
	a, err := c.StepWorkAround(ctx, id, n)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("%s", a.Words)
	return nil
}
