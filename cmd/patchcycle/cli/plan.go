package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

type cyclePlanOptions struct {
	revision int
	text     bool
	json     bool
}

func newCyclePlan(e *env) *cobra.Command {
	var o cyclePlanOptions
	c := &cobra.Command{
		Use: "plan [CYCLE]", Short: "Show the plan that is to be approved", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Long: `Show the plan that is to be approved: rings, waves, windows, and who is left out
and why. Beside it stands what the server computed when it made the plan: what
changed since the plan before, how well the test ring mirrors the rest, and how it
goes if nothing goes wrong; and what one machine of each kind answered that was
asked what the plan would change there. That is no part of what you agree to. --text
prints the very text that the plan's hash is of: keep it, and compute the hash
yourself with "patchcycle cycle plan digest".`,
		Example: "patchcycle cycle plan\npatchcycle cycle plan --text >plan.txt && patchcycle cycle plan digest plan.txt",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	c.Flags().IntVar(&o.revision, "revision", 0, "an earlier plan of the cycle (default: the newest)")
	c.Flags().BoolVar(&o.text, "text", false, "print the text that the hash is of, and nothing else")
	jsonFlag(c, &o.json)
	c.AddCommand(newPlanDigest(e))
	return c
}

func (o cyclePlanOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	p, err := c.Plan(ctx, id, o.revision)
	if err != nil || o.json {
		return orJSON(s, p, err)
	}
	// What is shown has to be what is hashed, whoever answered.
	if patching.DigestOf([]byte(p.Text)) != p.Hash {
		return Fail(ExitFailed, "Do not approve it; tell whoever runs the server.", "the server's text of the plan does not have the hash that the server says")
	}
	if o.text {
		if s.width > 0 {
			return s.document(p.Text)
		}
		_, err := io.WriteString(s.out, p.Text) // for whoever computes the hash, to the byte
		return err
	}
	s.printPlan(p)
	return nil
}

func (s *session) printPlan(p wire.Plan) {
	hash := string(p.Hash)
	if !p.Counts {
		hash += " (another plan counts)"
	}
	mode := ""
	if p.Shadow {
		mode = "shadow: nothing is installed"
	}
	s.fields("Cycle", string(p.Cycle), "Plan", hash, "Revision", fmt.Sprint(p.Revision), "Mode", mode, "Author", string(p.Author),
		"Made", s.when(p.Made), "Closes by", s.when(p.CloseBy), "Machines", fmt.Sprint(p.Machines))
	s.printWaves(p)
	s.printOutlook(p)
	var rows [][]string
	for _, x := range p.Excluded {
		rows = append(rows, []string{fmt.Sprint(x.Machines), x.Words})
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"LEFT OUT", "WHY"}, rows)
	}
	s.say("\nEach machine: patchcycle cycle machines %s", p.Cycle)
	if p.Counts {
		s.say("To approve it: patchcycle cycle approve %s --plan %s", p.Cycle, p.Hash.Short())
	}
}

func (s *session) printWaves(p wire.Plan) {
	var rows [][]string
	for _, r := range p.Rings {
		for _, w := range r.Waves {
			rows = append(rows, []string{string(r.Name), string(w.Site), w.Window, s.when(w.Start), s.when(w.End), fmt.Sprint(w.Machines)})
		}
	}
	if len(rows) > 0 {
		s.say("")
		s.table([]string{"RING", "SITE", "WINDOW", "OPENS", "CLOSES", "MACHINES"}, rows)
	}
	for _, r := range p.Rings {
		if r.StandIns != "" {
			s.say("\nRing %s: %s.", r.Name, r.StandIns)
		}
	}
}

// printOutlook prints what was computed of the plan when it was made, and what
// machines say of it.
func (s *session) printOutlook(p wire.Plan) {
	if p.Outlook == nil || p.Machines == 0 {
		return
	}
	if r := p.Outlook.Remediation; r != nil {
		s.say("\nWhy: %s", r.Words)
		s.printRemediation(p.Policy, *r)
	}
	if p.Outlook.Change != nil {
		s.say("\nSince the plan before: %s", p.Outlook.Change.Words)
	}
	s.say("\nTest ring: %s", p.Outlook.Mirror.Words)
	if p.Outlook.Rehearsal != nil {
		s.say("\n%s", p.Outlook.Rehearsal.Words)
	}
	s.say("\nForecast: %s", p.Outlook.Forecast.Words)
	s.say("\nGoing back: %s", p.Outlook.WayBack.Words)
}

type planDigestOptions struct{ expect string }

func newPlanDigest(e *env) *cobra.Command {
	var o planDigestOptions
	c := &cobra.Command{
		Use: "digest FILE", Short: "Compute the hash of a plan's text that was kept", Args: exactly(1),
		Long: `Compute the hash of a plan's text that was kept. Needs no server. FILE may be - for
standard input.`,
		Example: "patchcycle cycle plan --text | patchcycle cycle plan digest -",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(e.session(c), args[0]) },
	}
	c.Flags().StringVar(&o.expect, "expect", "", "end with code 1 if this is not the hash")
	return c
}

func (o planDigestOptions) run(s *session, file string) error {
	text, err := s.read(file)
	if err != nil {
		return err
	}
	hash := patching.DigestOf(text)
	s.say("%s", hash)
	if o.expect != "" && o.expect != string(hash) && o.expect != hash.Short() {
		return Fail(ExitFailed, "", "the text is not that of plan %s", o.expect)
	}
	return nil
}
