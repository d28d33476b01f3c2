package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newCycle(e *env) *cobra.Command {
	c := group("cycle", "Start, watch and steer cycles", newCycleStart(e), newCycleList(e), newCycleShow(e), newCycleWatch(e), newCyclePlan(e), newCycleMachines(e))
	c.Long = `Start, watch and steer cycles. Commands that take a cycle mean the only one that
runs, if none is named.`
	c.AddGroup(&cobra.Group{ID: verbGroup, Title: "Steer a running cycle:"})
	c.AddCommand(newVerbs(e)...)
	return c
}

type cycleStartOptions struct {
	shadow bool
	key    string
	json   bool
}

func newCycleStart(e *env) *cobra.Command {
	var o cycleStartOptions
	c := &cobra.Command{
		Use: "start POLICY", Short: "Start the policy's monthly cycle now", Args: exactly(1), ValidArgsFunction: e.completePolicies,
		Long: `Start the policy's monthly cycle now. You become its author: somebody else has to
approve it. A new user's first cycle is best started with --shadow: it plans,
gates and reports, and installs nothing.`,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.PolicyName(args[0]))
		},
	}
	c.Flags().BoolVar(&o.shadow, "shadow", false, "plan, gate and report, but install nothing")
	keyFlag(c, &o.key)
	jsonFlag(c, &o.json)
	return c
}

func (o cycleStartOptions) run(ctx context.Context, s *session, p patching.PolicyName) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	started, err := c.StartCycle(ctx, p, wire.StartCycle{Shadow: o.shadow}, cmp.Or(o.key, client.NewKey()))
	if err != nil || o.json {
		return orJSON(s, started, err)
	}
	s.printStarted(started)
	return nil
}

func (s *session) printStarted(started wire.Started) {
	s.say("%s", started.Words)
	s.note("Watch it: patchcycle cycle watch %s", started.Cycle)
}

func keyFlag(c *cobra.Command, to *string) {
	c.Flags().StringVar(to, "once", "", "names the act, so that repeating the command with the same name counts once")
}

type cycleListOptions struct {
	policy string
	open   bool
	limit  int
	json   bool
}

func newCycleList(e *env) *cobra.Command {
	o := cycleListOptions{limit: 20}
	c := &cobra.Command{
		Use: "list", Short: "List cycles, the newest first", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().StringVar(&o.policy, "policy", "", "those of one policy")
	c.Flags().BoolVar(&o.open, "open", false, "those that have not closed")
	countFlag(c, &o.limit, "limit", pageOf, "at most so many")
	jsonFlag(c, &o.json)
	return c
}

func (o cycleListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Cycles(ctx, client.CycleQuery{Policy: patching.PolicyName(o.policy), Open: o.open, Limit: o.limit})
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	var rows [][]string
	for _, one := range all.Items {
		stands := string(one.Phase)
		if one.ClosedAs != "" {
			stands = string(one.ClosedAs)
		}
		rows = append(rows, []string{string(one.ID), stands, s.when(one.Opened), s.when(one.Closed), string(one.Author), one.Words})
	}
	s.list(rows, "There are none: start one with \"patchcycle cycle start POLICY\".", "CYCLE", "STANDS", "OPENED", "CLOSED", "AUTHOR", "IN WORDS")
	return nil
}

type cycleShowOptions struct{ json bool }

func newCycleShow(e *env) *cobra.Command {
	var o cycleShowOptions
	c := &cobra.Command{
		Use: "show [CYCLE]", Short: "Show where a cycle stands", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		RunE: func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o cycleShowOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	one, err := c.Cycle(ctx, id)
	if err != nil || o.json {
		return orJSON(s, one, err)
	}
	votes, err := c.Approvals(ctx, id)
	if err != nil {
		return err
	}
	if one.Closed.IsZero() {
		hold, err := c.Hold(ctx)
		if err != nil {
			return err
		}
		if hold.Held {
			s.say("%s", clean(hold.Words))
		}
	}
	s.printCycle(one, votes)
	return nil
}

func (s *session) printCycle(c wire.CycleDetail, votes wire.Approvals) {
	s.say("%s", c.Words)
	s.say("")
	kind := fmt.Sprintf("%s cycle of policy %s (version %s)", c.Kind, c.Policy, c.PolicyVersion.Short())
	if c.Shadow {
		kind += ", shadow mode: nothing is installed"
	}
	plan := ""
	if c.Plan != "" {
		plan = string(c.Plan)
	}
	approvals := ""
	if c.Quorum > 0 {
		approvals = fmt.Sprintf("%d of %d", c.Votes, c.Quorum)
		if c.Mode == "dispatcher" {
			approvals += ", counted by account and not signed"
		}
	}
	held := ""
	if c.HeldBy != "" {
		held = fmt.Sprintf("%s: %s", c.HeldBy, c.HeldReason)
	}
	machines := fmt.Sprint(c.Machines)
	if words := outcomes(c.Outcomes); words != "" {
		machines += ": " + words
	}
	if c.InProgress > 0 && c.Machines > c.InProgress {
		machines += fmt.Sprintf(", %d in progress", c.InProgress)
	}
	s.fields(
		"Cycle", string(c.ID), "What", kind, "Why", c.Reason, "Author", string(c.Author), "Opened", s.when(c.Opened), "Closes by", s.when(c.CloseBy),
		"Closed", s.when(c.Closed), "Closed as", string(c.ClosedAs), "Phase", string(c.Phase), "Paused by", held, "Plan", plan, "Approvals", approvals,
		"Machines", machines, "Report", c.Report, "You may", strings.Join(c.Verbs, ", "))
	if len(c.Rings) > 0 {
		var rows [][]string
		for _, r := range c.Rings {
			rows = append(rows, []string{string(r.Name), fmt.Sprint(r.Machines), fmt.Sprint(r.Ended), r.State, r.Words})
		}
		s.say("")
		s.table([]string{"RING", "MACHINES", "ENDED", "STATE", "GATE"}, rows)
	}
	s.printDiagnoses(c.Diagnoses)
	if len(votes.Items) > 0 {
		var rows [][]string
		for _, v := range votes.Items {
			counts := "yes"
			if !v.Counts {
				counts = "no: " + v.Refused
			}
			rows = append(rows, []string{s.when(v.At), string(v.Account), string(v.Verdict), v.Plan.Short(), v.Via, counts, v.Reason})
		}
		s.say("")
		s.table([]string{"WHEN", "WHO", "VOTE", "PLAN", "BY", "COUNTS", "REASON"}, rows)
	}
}

// printDiagnoses says what failures have in common, and what people do about it.
func (s *session) printDiagnoses(all []wire.Diagnosis) {
	for _, d := range all {
		of := "of the cycle"
		if d.Ring != "" {
			of = "of ring " + string(d.Ring)
		}
		s.say("")
		s.say("Failures %s: %s", of, clean(d.Words))
		for _, c := range d.Causes {
			s.say("  %s %s, laid to the %s: %s", c.Kind, clean(c.Name), c.LaidTo, strings.Join(c.Steps, ", "))
			for line := range strings.Lines(c.Procedure) {
				s.say("    %s", clean(strings.TrimSpace(line)))
			}
		}
	}
}

type cycleMachinesOptions struct {
	ring, state, machine string
	outcomes             []string
	limit                int
	json                 bool
}

func newCycleMachines(e *env) *cobra.Command {
	var o cycleMachinesOptions
	c := &cobra.Command{
		Use: "machines [CYCLE]", Short: "List how a cycle's machines fare, or follow one", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Example: "patchcycle cycle machines --outcome failed,needs-hands\npatchcycle cycle machines --machine web-1",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	f := c.Flags()
	f.StringVar(&o.machine, "machine", "", "follow this one from what it missed to its proof")
	f.StringVar(&o.ring, "ring", "", "those of one ring")
	choiceFlag(c, &o.state, "state", "those in one state", patching.DeploymentPlanned, patching.DeploymentStaged, patching.DeploymentReleased, patching.DeploymentStarted, patching.DeploymentDone)
	f.StringSliceVar(&o.outcomes, "outcome", nil, "those with one of these outcomes: "+words(patching.Outcomes()))
	countFlag(c, &o.limit, "limit", 0, "at most so many (default: all)")
	jsonFlag(c, &o.json)
	return c
}

func (o cycleMachinesOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	if o.machine != "" {
		return o.follow(ctx, s, c, id)
	}
	all := wire.DeploymentPage{Items: []wire.Deployment{}}
	q := client.DeploymentQuery{Ring: patching.RingName(o.ring), State: patching.DeploymentState(o.state)}
	for _, name := range o.outcomes {
		if !patching.Outcome(name).Valid() {
			return usage(s.cmd, "%q is no outcome; there are %s", name, words(patching.Outcomes()))
		}
		q.Outcomes = append(q.Outcomes, patching.Outcome(name))
	}
	for more := true; more; more = q.After != "" {
		if q.Limit = left(o.limit, len(all.Items)); q.Limit == 0 {
			break
		}
		page, err := c.Deployments(ctx, id, q)
		if err != nil {
			return err
		}
		all.Items = append(all.Items, page.Items...)
		q.After = page.Next
	}
	all.Next = q.After
	if o.json {
		return s.json(all)
	}
	var rows [][]string
	for _, d := range all.Items {
		rows = append(rows, []string{string(d.Asset), d.Hostname, string(d.Site), string(d.Ring), s.when(d.Start), string(d.State), d.Words, d.Why})
	}
	s.list(rows, "There are none.", "MACHINE", "HOSTNAME", "SITE", "RING", "WINDOW", "STATE", "OUTCOME", "WHY")
	return nil
}

func (o cycleMachinesOptions) follow(ctx context.Context, s *session, c *client.Client, id patching.CycleID) error {
	asset, err := s.machine(c, o.machine)
	if err != nil {
		return err
	}
	m, err := c.Machine(ctx, id, asset)
	if err != nil || o.json {
		return orJSON(s, m, err)
	}
	undo := "by a named procedure only"
	if m.Reversible {
		undo = "automatically"
	}
	if len(m.Stays) > 0 {
		undo += "; stays once the machine runs it: " + strings.Join(m.Stays, ", ")
	}
	s.fields("Machine", string(m.Asset), "Hostname", m.Hostname, "Site", string(m.Site), "Cycle", string(m.Cycle), "Ring", string(m.Ring),
		"Window", s.span(m.Start, m.End), "State", string(m.State), "Outcome", m.Words, "Why", m.Why,
		"Start permit", s.when(m.Released), "Answered", s.when(m.Answered), "Verified", s.when(m.Verified), "To undo it", undo)
	var rows [][]string
	for n, step := range m.Steps {
		for _, p := range step.Patches {
			rows = append(rows, []string{fmt.Sprint(n + 1), string(p.Action), p.Name, p.From, p.To, p.Origin, yes(p.Security), yes(step.Restart)})
		}
	}
	if m.Would {
		s.note("\nIt is left out. It would have got:")
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"STEP", "ACTION", "PACKAGE", "FROM", "TO", "ORIGIN", "SECURITY", "RESTART"}, rows)
	}
	rows = nil
	for _, r := range m.Receipts {
		rows = append(rows, []string{s.when(r.At), string(r.Stage), r.Outcome.Words(), r.Detail, phrase.Count(len(r.Changes), "package")})
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"MACHINE'S CLOCK", "STAGE", "OUTCOME", "DETAIL", "CHANGED"}, rows)
	}
	for _, t := range m.Tasks {
		s.say("\nTask %s (%s): %s", t.ID, t.State, t.Words)
	}
	return nil
}
