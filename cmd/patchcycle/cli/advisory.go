package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newAdvisory(e *env) *cobra.Command {
	return group("advisory", "Enter advisories by hand", newAdvisoryAdd(e), newAdvisoryList(e), newAdvisoryShow(e), newAdvisoryWithdraw(e))
}

type advisoryAddOptions struct{ json bool }

func newAdvisoryAdd(e *env) *cobra.Command {
	var o advisoryAddOptions
	c := &cobra.Command{
		Use: "add FILE", Short: "Enter the advisories of a file", Args: exactly(1),
		Long: `Enter the advisories of a file, as docs/advisories.md describes it: they count like
those of any feed. A file with a mistake is refused as a whole, with all mistakes by
line, and what was in force stays. An advisory of an id that is there already takes
its place; the former stays on record. FILE may be - for standard input.`,
		Example: "patchcycle advisory add billing-agent.yaml",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	jsonFlag(c, &o.json)
	return c
}

func (o advisoryAddOptions) run(ctx context.Context, s *session, file string) error {
	text, err := s.read(file)
	if err != nil {
		return err
	}
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.AddAdvisories(ctx, file, text)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.say("%s", a.Words)
	if len(a.Items) > 0 {
		s.printAdvisories(a.Items)
	}
	return nil
}

type advisoryListOptions struct{ all, json bool }

func newAdvisoryList(e *env) *cobra.Command {
	var o advisoryListOptions
	c := &cobra.Command{
		Use: "list", Short: "List the advisories that were entered by hand", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	c.Flags().BoolVar(&o.all, "all", false, "those that were withdrawn, too")
	jsonFlag(c, &o.json)
	return c
}

func (o advisoryListOptions) run(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	all, err := c.Advisories(ctx, o.all)
	if err != nil || o.json {
		return orJSON(s, all, err)
	}
	s.printAdvisories(all.Items)
	return nil
}

func (s *session) printAdvisories(all []wire.Advisory) {
	var rows [][]string
	for _, a := range all {
		var what []string
		for _, p := range a.Affected {
			fixed := "no fix yet"
			if p.Fixed != "" {
				fixed = "fixed in " + p.Fixed
			}
			what = append(what, p.Package+" on "+p.Platform+", "+fixed)
		}
		state := ""
		if !a.Withdrawn.IsZero() {
			state = "since " + s.when(a.Withdrawn)
		}
		rows = append(rows, []string{string(a.ID), a.Title, strings.Join(what, "; "), words(a.CVEs), s.when(a.At), string(a.By), state})
	}
	s.list(rows, "None was entered by hand: patchcycle advisory add FILE.", "ADVISORY", "TITLE", "ABOUT", "CVES", "ENTERED", "BY", "WITHDRAWN")
}

type advisoryShowOptions struct{ json bool }

func newAdvisoryShow(e *env) *cobra.Command {
	var o advisoryShowOptions
	c := &cobra.Command{
		Use: "show ADVISORY", Short: "Print the document that an advisory was entered with", Args: exactly(1), ValidArgsFunction: e.completeAdvisories,
		Long: `Print the document that an advisory was entered with. What a terminal would act upon
is shown as �; --json has the document as it was sent.`,
		RunE: func(c *cobra.Command, args []string) error {
			return o.run(c.Context(), e.session(c), patching.AdvisoryID(args[0]))
		},
	}
	jsonFlag(c, &o.json)
	return c
}

func (o advisoryShowOptions) run(ctx context.Context, s *session, id patching.AdvisoryID) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	a, err := c.Advisory(ctx, id)
	if err != nil || o.json {
		return orJSON(s, a, err)
	}
	s.note("Advisory %s, version %d of %s, entered by %s on %s.", a.ID, a.Version, phrase.Count(len(a.Versions), "version"), a.By, s.when(a.At))
	if !a.Withdrawn.IsZero() {
		s.note("It is withdrawn: %s", a.Reason)
	}
	return s.document(a.Source)
}

func newAdvisoryWithdraw(e *env) *cobra.Command {
	var o endOptions
	c := &cobra.Command{
		Use: "withdraw ADVISORY", Short: "Take back an advisory that was entered by hand", Args: exactly(1), ValidArgsFunction: e.completeAdvisories,
		Example: "patchcycle advisory withdraw LOCAL-2026-1 --reason \"the vendor took it back\"",
		RunE: func(c *cobra.Command, args []string) error {
			s := e.session(c)
			asking, err := o.ready(s)
			if err != nil {
				return err
			}
			a, err := asking.WithdrawAdvisory(c.Context(), patching.AdvisoryID(args[0]), o.reason)
			if err != nil || o.json {
				return orJSON(s, a, err)
			}
			s.say("Advisory %s is withdrawn since %s. It stays on record, and can be entered again.", a.ID, s.when(a.Withdrawn))
			return nil
		},
	}
	o.flags(c)
	return c
}
