package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

func newReport(e *env) *cobra.Command {
	return group("report", "Read the reports of cycles", newReportShow(e), newReportPath(e))
}

type reportShowOptions struct {
	html   bool
	output string
	json   bool
}

// reportOf is what "report show --json" prints.
type reportOf struct {
	Cycle     wire.CycleDetail  `json:"cycle"`
	Approvals []wire.Approval   `json:"approvals"`
	Bad       []wire.Deployment `json:"needs_attention"`
	Tasks     []wire.Task       `json:"tasks"`
}

func newReportShow(e *env) *cobra.Command {
	var o reportShowOptions
	c := &cobra.Command{
		Use: "show [CYCLE]", Short: "Show how a cycle went", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		Long: `Show how a cycle went, in short: counts, votes, and the machines that need
somebody. --html prints the report itself, a page for screen and paper.`,
		Example: "patchcycle report show cycle/servers/2026-11.1 --output report.html",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args) },
	}
	c.Flags().BoolVar(&o.html, "html", false, "print the report itself, as HTML")
	c.Flags().StringVarP(&o.output, "output", "o", "", "write the report itself to this file")
	jsonFlag(c, &o.json)
	return c
}

func (o reportShowOptions) run(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	if o.html || o.output != "" {
		return o.page(ctx, s, c, id)
	}
	r, err := gatherReport(ctx, c, id)
	if err != nil || o.json {
		return orJSON(s, r, err)
	}
	s.printCycle(r.Cycle, wire.Approvals{Items: r.Approvals})
	var rows [][]string
	for _, d := range r.Bad {
		rows = append(rows, []string{cmp.Or(d.Hostname, string(d.Asset)), string(d.Site), string(d.Ring), d.Words, d.Why})
	}
	if len(rows) > 0 {
		s.say("\nMachines that need somebody:")
		s.table([]string{"MACHINE", "SITE", "RING", "OUTCOME", "WHY"}, rows)
	}
	open := 0
	for _, t := range r.Tasks {
		if !t.State.Terminal() {
			open++
		}
	}
	if open > 0 {
		s.say("\n%s open: patchcycle task list --cycle %s", phrase.Count(open, "task is", "tasks are"), id)
	}
	return nil
}

func gatherReport(ctx context.Context, c *client.Client, id patching.CycleID) (reportOf, error) {
	var r reportOf
	var err error
	if r.Cycle, err = c.Cycle(ctx, id); err != nil {
		return r, err
	}
	votes, err := c.Approvals(ctx, id)
	if err != nil {
		return r, err
	}
	bad, err := c.Deployments(ctx, id, client.DeploymentQuery{
		Outcomes: []patching.Outcome{patching.Failed, patching.RolledBack, patching.NeedsHands, patching.Unreachable}, Limit: pageOf,
	})
	if err != nil {
		return r, err
	}
	tasks, err := c.Tasks(ctx, client.TaskQuery{Cycle: id, Limit: pageOf})
	r.Approvals, r.Bad, r.Tasks = votes.Items, bad.Items, tasks.Items
	return r, err
}

func (o reportShowOptions) page(ctx context.Context, s *session, c *client.Client, id patching.CycleID) error {
	page, err := c.Report(ctx, id)
	if err != nil {
		return err
	}
	if o.output == "" {
		return s.document(string(page))
	}
	if err := os.WriteFile(o.output, page, 0o644); err != nil { // a report is for others to read
		return fmt.Errorf("write the report: %w", err)
	}
	s.note("Wrote %s.", o.output)
	return nil
}

func newReportPath(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "path [CYCLE]", Short: "Print where the server wrote the report", Args: between(0, 1), ValidArgsFunction: e.completeCycles,
		RunE: func(c *cobra.Command, args []string) error { return runReportPath(c.Context(), e.session(c), args) },
	}
}

func runReportPath(ctx context.Context, s *session, args []string) error {
	c, id, err := s.clientFor(args)
	if err != nil {
		return err
	}
	one, err := c.Cycle(ctx, id)
	if err != nil {
		return err
	}
	if one.Report == "" {
		return Fail(ExitNotFound, "It is written when the cycle closes: patchcycle cycle watch "+string(id), "%s has no report yet", id)
	}
	s.say("%s", one.Report)
	return nil
}
