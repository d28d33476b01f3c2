package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

func newSchedule(e *env) *cobra.Command {
	return group("schedule", "Let the calendar start cycles", newScheduleSet(e), newScheduleList(e),
		newSchedulePause(e, true), newSchedulePause(e, false), newScheduleNext(e))
}

type scheduleSetOptions struct {
	shadow bool
	json   bool
}

func newScheduleSet(e *env) *cobra.Command {
	var o scheduleSetOptions
	c := &cobra.Command{
		Use: "set POLICY", Short: "Start the policy's cycle every month, by its calendar", Args: exactly(1), ValidArgsFunction: e.completePolicies,
		Long: `Start the policy's cycle every month, by the calendar of the policy in force. Set
it again after the calendar was changed. You become the author of the cycles that
it starts: somebody else has to approve them.`,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	c.Flags().BoolVar(&o.shadow, "shadow", false, "the cycles that it starts install nothing")
	jsonFlag(c, &o.json)
	return c
}

func (o scheduleSetOptions) run(ctx context.Context, s *session, p patching.PolicyName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	one, err := c.SetSchedule(ctx, p, wire.SetSchedule{Shadow: o.shadow})
	if err != nil || o.json {
		return orJSON(s, one, err)
	}
	s.printSchedule(one)
	return nil
}

func (s *session) printSchedule(one wire.Schedule) {
	switch {
	case one.Paused:
		s.say("The schedule of %s is paused (%s): no cycle starts by itself.", one.Policy, one.Note)
	case len(one.Next) > 0:
		s.say("The next cycle of %s starts on %s.", one.Policy, s.when(one.Next[0]))
	default:
		s.say("The schedule of %s is set.", one.Policy)
	}
}

type scheduleListOptions struct{ json bool }

func newScheduleList(e *env) *cobra.Command {
	var o scheduleListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the schedules", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o scheduleListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Schedules(ctx)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, one := range all.Items {
		next, last := "", ""
		if len(one.Next) > 0 {
			next = s.when(one.Next[0])
		}
		if len(one.Last) > 0 {
			last = s.when(one.Last[len(one.Last)-1])
		}
		state := "on"
		if one.Paused {
			state, next = "paused: "+one.Note, ""
		}
		rows = append(rows, []string{string(one.Policy), state, next, last})
	}
	s.list(rows, "There are none: make one with \"patchcycle schedule set POLICY\".", "POLICY", "STATE", "NEXT", "LAST")
	return nil
}

type schedulePauseOptions struct {
	pause  bool
	reason string
	json   bool
}

func newSchedulePause(e *env, pause bool) *cobra.Command {
	o := schedulePauseOptions{pause: pause}
	use, short, example := "resume POLICY", "Start cycles by the calendar again", "patchcycle schedule resume servers --reason \"the freeze is over\""
	if pause {
		use, short, example = "pause POLICY", "Start no cycle by the calendar for now", "patchcycle schedule pause servers --reason \"freeze until January\""
	}
	c := &cobra.Command{
		Use: use, Short: short, Example: example, Args: exactly(1), ValidArgsFunction: e.completePolicies,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	c.Flags().StringVar(&o.reason, "reason", "", "why; it goes on record")
	required(c, "reason")
	jsonFlag(c, &o.json)
	return c
}

func (o schedulePauseOptions) run(ctx context.Context, s *session, p patching.PolicyName) error {
	if o.reason == "" {
		return usage(s.cmd, "say why: --reason TEXT")
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	one, err := c.PauseSchedule(ctx, p, o.pause, o.reason)
	if err != nil || o.json {
		return orJSON(s, one, err)
	}
	s.printSchedule(one)
	return nil
}

type scheduleNextOptions struct {
	count int
	json  bool
}

func newScheduleNext(e *env) *cobra.Command {
	o := scheduleNextOptions{count: 6}
	c := &cobra.Command{
		Use: "next POLICY", Short: "Show when the policy's calendar starts cycles", Args: exactly(1), ValidArgsFunction: e.completePolicies,
		Long: `Show when the calendar of the policy in force starts cycles, whether a schedule is
set or not.`,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	countFlag(c, &o.count, "count", 120, "how many")
	jsonFlag(c, &o.json)
	return c
}

func (o scheduleNextOptions) run(ctx context.Context, s *session, p patching.PolicyName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	calendar, err := c.Calendar(ctx, p, o.count)
	if err != nil || o.json {
		return orJSON(s, calendar, err)
	}
	s.note("Policy %s: %s.", calendar.Policy, calendar.Words)
	for _, t := range calendar.Next {
		s.say("%s", s.when(t))
	}
	for _, n := range calendar.Notes {
		s.note("%s", n)
	}
	return nil
}
