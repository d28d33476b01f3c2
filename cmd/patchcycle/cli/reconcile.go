package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// ReconcileOptions say whose findings are held against what.
type ReconcileOptions struct {
	AssessOptions
	// Findings is a file, "-" is Stdin.
	Findings string
	// Asset is whom the findings are about, where they are about several.
	Asset string
	// Map and Encoding are those of a table.
	Map      map[string]string
	Encoding string
}

// Reconciliation is the document of "asset reconcile".
type Reconciliation struct {
	Host   string `json:"host,omitempty"`
	Format string `json:"format"`
	Tool   string `json:"tool,omitempty"`
	// Made is when their report was; nil: it does not say.
	Made *time.Time `json:"made"`
	// Claims is how many findings the report has of the machine.
	Claims   int                 `json:"claims"`
	Both     int                 `json:"both"`
	OnlyThey int                 `json:"only_they"`
	OnlyWe   int                 `json:"only_we"`
	Findings []ReconciledFinding `json:"findings"`
	// Others counts their findings in what no package manager of the system installed.
	Others map[string]int `json:"others,omitempty"`
	// Bad are rows and results that cannot be used.
	Bad        []string           `json:"bad"`
	BlindSpots []assess.BlindSpot `json:"blind_spots"`
	Feeds      []AssessedFeed     `json:"feeds"`
}

// ReconciledFinding is a pair of package and flaw.
type ReconciledFinding struct {
	Package    string                `json:"package"`
	Flaw       string                `json:"flaw"`
	ReportedBy reconcile.Party       `json:"reported_by"`
	Installed  string                `json:"installed,omitempty"`
	Advisories []patching.AdvisoryID `json:"advisories,omitempty"`
	TheirFixed string                `json:"their_fixed,omitempty"`
	OurFixed   string                `json:"our_fixed,omitempty"`
	Reason     reconcile.Reason      `json:"reason,omitempty"`
	Why        string                `json:"why,omitempty"`
}

type reconcileFlags struct {
	ReconcileOptions
	asOf, failOn string
	maps         []string
	all, skipBad bool
	json         bool
}

// differing are what --fail-on takes.
const (
	failTheirs = "only-they"
	failOurs   = "only-we"
	failAny    = "any"
)

func newAssetReconcile(e *env) *cobra.Command {
	var o reconcileFlags
	c := &cobra.Command{
		Use: "reconcile", Short: "Hold a scanner's findings against our own, from files", Args: exactly(0),
		Long: `Say of each flaw of a machine who reports it, a scanner, we, or both; and why only
one does, where that can be told. Needs no server and no network.

Findings are recognised by what is in them: SARIF 2.1.0, the JSON of trivy or
osv-scanner, or a table with a heading (docs/inventories.md). Inventory and feeds are
those of "patchcycle assess".

Ends with code 0 whatever is found, 1 only by --fail-on, and 2 if a file, a feed or a
row cannot be used: what was refused is named, and counts for nothing.`,
		Example: "patchcycle asset reconcile --inventory /var/lib/dpkg/status --feeds feeds --findings trivy.json\npatchcycle asset reconcile --inventory web-1.json --feeds feeds --findings scan.csv --asset web-1 --map \"Plugin Name=package\" --fail-on only-they",
		RunE: func(c *cobra.Command, _ []string) error {
			return o.run(c.Context(), e, c)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Findings, "findings", "", "what the scanner reports, - for standard input")
	o.deskFlags(c, &o.asOf)
	f.StringVar(&o.Asset, "asset", "", "the machine, as the findings call it, where they are about several")
	f.StringArrayVar(&o.maps, "map", nil, "what a column of a table is: HEADING=FIELD; without a field it is left out")
	choiceFlag(c, &o.Encoding, "encoding", "a table's encoding, if it is neither UTF-8 nor UTF-16", encodings...)
	f.BoolVar(&o.all, "all", false, "show what both report, too")
	f.BoolVar(&o.skipBad, "skip-bad", false, "let rows that cannot be used not count as an error")
	choiceFlag(c, &o.failOn, "fail-on", "end with code 1 if the two differ so", failTheirs, failOurs, failAny)
	jsonFlag(c, &o.json)
	required(c, "findings", "inventory", "feeds")
	return c
}

// encodings are those that a table can be said to have.
var encodings = []string{"utf-8", "latin-1", "windows-1252"}

// mapped reads HEADING=FIELD.
func mapped(c *cobra.Command, all []string) (map[string]string, error) {
	out := map[string]string{}
	for _, one := range all {
		i := strings.LastIndexByte(one, '=')
		if i <= 0 {
			return nil, usage(c, "--map %q: write HEADING=FIELD, such as \"Server Name=hostname\"", one)
		}
		out[one[:i]] = one[i+1:]
	}
	return out, nil
}

func (o reconcileFlags) run(ctx context.Context, e *env, c *cobra.Command) error {
	for _, need := range []struct{ flag, value string }{{"--findings FILE", o.Findings}, {"--inventory FILE", o.Inventory}, {"--feeds DIR", o.Feeds}} {
		if need.value == "" {
			return usage(c, "something is missing: %s", need.flag)
		}
	}
	if e.Reconcile == nil {
		return errNotBuilt
	}
	var err error
	if o.Map, err = mapped(c, o.maps); err != nil {
		return err
	}
	o.Stdin, o.Now = c.InOrStdin(), e.Now()
	o.AsOf = o.Now
	if o.asOf != "" {
		if o.AsOf, err = dateOrTime(o.asOf); err != nil {
			return usage(c, "--as-of %q: write a date such as 2026-11-20, or a time such as 2026-11-20T09:00:00Z", o.asOf)
		}
	}
	found, err := e.Reconcile(ctx, o.ReconcileOptions)
	if err != nil {
		return err
	}
	s := e.session(c)
	if o.json {
		err = s.json(found)
	} else {
		s.printReconciliation(found, o.all)
	}
	if err != nil {
		return err
	}
	return o.verdict(found)
}

func (o reconcileFlags) verdict(r Reconciliation) error {
	if err := refusedFeeds(r.Feeds); err != nil {
		return err
	}
	if len(r.Bad) > 0 && !o.skipBad {
		return Fail(ExitUsage, "Mend them, or say --skip-bad.", "%s of the findings cannot be used, the first: %s", phrase.Count(len(r.Bad), "row"), r.Bad[0])
	}
	if o.failOn != failOurs && o.failOn != "" && r.OnlyThey > 0 || o.failOn != failTheirs && o.failOn != "" && r.OnlyWe > 0 {
		return &Failure{Code: ExitFailed, Words: fmt.Sprintf("the two differ: only they report %d, only we %d", r.OnlyThey, r.OnlyWe)}
	}
	return nil
}

func (s *session) printReconciliation(r Reconciliation, all bool) {
	var rows [][]string
	for _, f := range r.Findings {
		if f.ReportedBy == reconcile.Both && f.Why == "" && !all {
			continue
		}
		rows = append(rows, []string{string(f.ReportedBy), f.Package, f.Flaw, f.Installed, cmp.Or(f.OurFixed, f.TheirFixed), f.Why})
	}
	if len(rows) > 0 {
		s.table([]string{"REPORTED BY", "PACKAGE", "FLAW", "INSTALLED", "FIXED", "WHY"}, rows)
		s.say("")
	}
	s.say("Both report %d, only they %d, only we %d.", r.Both, r.OnlyThey, r.OnlyWe)
	for _, reason := range reasons(r) {
		s.say("  %s", reason)
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Others)) {
		s.note("Not compared: %s in %s, which no package manager of the system installed.", phrase.Count(r.Others[kind], "finding"), kind)
	}
	s.printBlindSpots(r.BlindSpots)
	for _, b := range r.Bad {
		s.note("Cannot be used: %s", b)
	}
}

// reasons counts why only one of the two reports something, the most frequent first.
func reasons(r Reconciliation) (all []string) {
	type key struct {
		by  reconcile.Party
		why reconcile.Reason
	}
	counts := map[key]int{}
	for _, f := range r.Findings {
		if f.Reason != "" {
			counts[key{f.ReportedBy, f.Reason}]++
		}
	}
	keys := slices.SortedFunc(maps.Keys(counts), func(a, b key) int {
		if counts[a] != counts[b] {
			return counts[b] - counts[a]
		}
		return strings.Compare(string(a.by)+string(a.why), string(b.by)+string(b.why))
	})
	for _, k := range keys {
		all = append(all, fmt.Sprintf("%d %s: %s", counts[k], k.by, k.why))
	}
	return all
}
