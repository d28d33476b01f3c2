package offline

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/cli"
	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// Reconcile holds a scanner's report about a machine against our own answer from files.
func Reconcile(ctx context.Context, o cli.ReconcileOptions) (cli.Reconciliation, error) {
	report, err := readFindings(o)
	if err != nil {
		return cli.Reconciliation{}, err
	}
	d, err := lay(ctx, o.AssessOptions)
	if err != nil {
		return cli.Reconciliation{}, err
	}
	host, claims, err := aboutOne(report.Claims, o.Asset, d.host.Hostname)
	if err != nil {
		return cli.Reconciliation{}, err
	}
	found := reconcile.CompareFindings(reconcile.Standpoint{Machine: d.machine, Advisories: d.known.Advisories, AsOf: o.AsOf}, claims, report.Made)
	out := cli.Reconciliation{
		Host: host, Format: report.Format, Tool: report.Tool, Claims: len(claims), Bad: []string{}, Others: report.Others,
		Both: found.Count(reconcile.Both), OnlyThey: found.Count(reconcile.TheyOnly), OnlyWe: found.Count(reconcile.WeOnly),
		Findings: []cli.ReconciledFinding{}, Feeds: d.feeds, BlindSpots: d.doubts(),
	}
	if !report.Made.IsZero() {
		out.Made = &report.Made
	}
	for _, b := range report.Bad {
		out.Bad = append(out.Bad, b.Error())
	}
	for _, f := range found.All {
		out.Findings = append(out.Findings, cli.ReconciledFinding{
			Package: f.Package, Flaw: f.Flaw, ReportedBy: f.Party, Installed: f.Installed, Advisories: f.Advisories,
			TheirFixed: f.TheirFixed, OurFixed: f.OurFixed, Reason: f.Reason, Why: f.Why,
		})
	}
	return out, nil
}

func readFindings(o cli.ReconcileOptions) (inventories.Findings, error) {
	if o.Findings == "-" && o.Inventory == "-" {
		return inventories.Findings{}, cli.Fail(cli.ExitUsage, "Give one of them as a file.", "--inventory and --findings cannot both be standard input")
	}
	in := o.Stdin
	if o.Findings != "-" {
		f, err := os.Open(o.Findings)
		if err != nil {
			return inventories.Findings{}, cli.Fail(cli.ExitUsage, "Give a file that can be read, or - for standard input.", "findings: %v", err)
		}
		defer f.Close()
		in = f
	}
	report, err := inventories.ReadFindings(in, inventories.CMDBOptions{Map: o.Map, Encoding: o.Encoding})
	if err != nil {
		return report, cli.Fail(cli.ExitUsage, "docs/inventories.md shows what is read.", "findings %s: %v", o.Findings, err)
	}
	return report, nil
}

// aboutOne are the claims about one machine: the one that is named, the one that the
// inventory is of, or the only one.
func aboutOne(claims []reconcile.Claim, asset, inventory string) (string, []reconcile.Claim, error) {
	hosts := reconcile.Hosts(claims)
	host := asset
	switch {
	case host == "" && len(hosts) == 1:
		host = hosts[0]
	case host == "" && inventory != "" && slices.ContainsFunc(hosts, func(h string) bool { return strings.EqualFold(h, inventory) }):
		host = inventory
	case host == "" && len(hosts) > 1:
		return "", nil, cli.Fail(cli.ExitUsage, "Say of which one the inventory is: --asset HOST.", "the findings are about %d machines: %.300s", len(hosts), strings.Join(hosts, ", "))
	}
	if len(hosts) == 1 && hosts[0] == "" { // it names none: it is about the one that is asked about
		return host, claims, nil
	}
	about := slices.DeleteFunc(slices.Clone(claims), func(c reconcile.Claim) bool { return !strings.EqualFold(c.Host, host) })
	if len(about) == 0 && len(claims) > 0 {
		return "", nil, cli.Fail(cli.ExitNotFound, "They are about: "+strings.Join(hosts, ", ")+".", "no finding is about %s", host)
	}
	return host, about, nil
}
