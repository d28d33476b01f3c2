package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/console/planfile"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/trust"
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
	c.AddCommand(newPlanDigest(e), newPlanGrants(e), newPlanFile(e))
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

type planDigestOptions struct{ expect, grants, breakGlass string }

func newPlanDigest(e *env) *cobra.Command {
	var o planDigestOptions
	c := &cobra.Command{
		Use: "digest FILE", Short: "Compute what is signed from a plan that was kept", Args: exactly(1),
		Long: `Compute what is signed from a plan that was kept. Needs no server. Of a plan's text
(cycle plan --text) that is its hash; of a plan's file (cycle plan file) also the
Merkle root of each ring, from its machines, their keys, windows and bundles. --grants
FILE checks a text that is to be signed against it. FILE may be - for standard input.`,
		Example: "patchcycle cycle plan --text | patchcycle cycle plan digest -",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(e.session(c), args[0]) },
	}
	c.Flags().StringVar(&o.expect, "expect", "", "end with code 1 if this is not the hash")
	c.Flags().StringVar(&o.grants, "grants", "", "end with code 1 if this file, of cycle plan grants, is not what the plan's file comes to")
	c.Flags().StringVar(&o.breakGlass, "break-glass", "", "the reason that this file has to give; without: it must give none")
	return c
}

func (o planDigestOptions) run(s *session, file string) error {
	text, err := s.read(file)
	if err != nil {
		return err
	}
	hash := patching.DigestOf(text)
	whole := bytes.HasPrefix(bytes.TrimSpace(text), []byte("{"))
	switch {
	case whole:
		if hash, err = o.whole(s, text); err != nil {
			return err
		}
	case o.grants != "":
		return usage(s.cmd, "--grants needs a plan's file: patchcycle cycle plan file CYCLE")
	default:
		s.say("%s", hash)
	}
	if o.expect != "" && o.expect != string(hash) && o.expect != hash.Short() {
		return Fail(ExitFailed, "", "the text is not that of plan %s", o.expect)
	}
	return nil
}

// whole computes all that a plan's file comes to.
func (o planDigestOptions) whole(s *session, text []byte) (patching.Digest, error) {
	f, err := planfile.Read(text)
	if err != nil {
		return "", Fail(ExitFailed, "", "%v", err)
	}
	s.say("%s", f.Hash)
	for _, r := range f.Rings {
		s.say("ring %s: %s, root %s", r.Ring, phrase.Count(r.Machines, "machine"), r.Root)
	}
	if o.grants == "" {
		return f.Hash, nil
	}
	grants, err := s.read(o.grants)
	if err != nil {
		return "", err
	}
	return f.Hash, s.checkGrants(text, grants, "", o.breakGlass)
}

type planGrantsOptions struct {
	breakGlass string
	json       bool
}

func newPlanGrants(e *env) *cobra.Command {
	var o planGrantsOptions
	c := &cobra.Command{
		Use: "grants [CYCLE]", Short: "Print what approvers sign", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Long: `Print what approvers sign: which rings of the plan may be deployed, with which machines
and bundles, and until when. It is printed to the byte, for ssh-keygen -Y sign.`,
		Example: "patchcycle cycle plan grants >grants && ssh-keygen -Y sign -f ~/.ssh/id_ed25519 -n " + string(trust.GrantsPaper) + " grants",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	c.Flags().StringVar(&o.breakGlass, "break-glass", "", "why the usual approvers cannot be waited for")
	jsonFlag(c, &o.json)
	return c
}

func (o planGrantsOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	is, err := c.Grants(ctx, id, o.breakGlass)
	if err != nil || o.json {
		return orJSON(s, is, err)
	}
	_, err = io.WriteString(s.out, is.Text)
	return err
}

func newPlanFile(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "file [CYCLE]", Short: "Print all of a plan, to check it elsewhere", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Long: `Print all of a plan, a line of JSON each: its text, its machines with their keys,
windows and bundles, and the texts of the bundles. "patchcycle cycle plan digest FILE"
computes from it what approvers sign, far from the server.`,
		Example: "patchcycle cycle plan file >plan && patchcycle cycle plan digest plan",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			api, id, err := s.clientFor(args)
			if err != nil {
				return err
			}
			all, err := api.PlanFile(c.Context(), id)
			if err == nil {
				_, err = s.out.Write(all)
			}
			return err
		},
	}
}
