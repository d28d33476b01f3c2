package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// DefaultNetworks lists the networks that may be swept from this machine.
const DefaultNetworks = "/etc/patchcycle/networks.yaml"

// SweepOptions say which networks are to be swept.
type SweepOptions struct {
	// File lists networks, Names are those of them that are meant.
	File  string
	Names []string
	// NoNames asks no DNS what the addresses are called.
	NoNames bool
	// DryRun sends nothing, and says what would be sent.
	DryRun bool
	// Planned is told what will be done before anything is, Progress how far it is.
	Planned  func(addresses, probes, rate int)
	Progress func(done, of int)
}

// Swept is the document of "asset sweep".
type Swept struct {
	Networks  []string `json:"networks"`
	Addresses int      `json:"addresses"`
	// Probes is how many were sent, or would be.
	Probes int `json:"probes"`
	Rate   int `json:"rate"`
	// NoPing is why none were sent of one kind; Broken why not all addresses were tried.
	NoPing string `json:"no_ping,omitempty"`
	// NoNames is why not all that answered were asked their name.
	NoNames string `json:"no_names,omitempty"`
	Broken  string `json:"broken,omitempty"`
	// Matched: the addresses were held against what the server knows.
	Matched   bool           `json:"matched"`
	Unmanaged int            `json:"unmanaged"`
	Machines  []SweptMachine `json:"machines"`
}

// SweptMachine is an address at which something is.
type SweptMachine struct {
	Address string   `json:"address"`
	Network string   `json:"network"`
	MAC     string   `json:"mac,omitempty"`
	Name    string   `json:"name,omitempty"`
	Open    []uint16 `json:"open,omitempty"`
	How     []string `json:"how"`
	// Managed: a machine with an agent is there; nil: nobody was asked.
	Managed  *bool            `json:"managed"`
	Asset    patching.AssetID `json:"asset,omitempty"`
	Hostname string           `json:"hostname,omitempty"`
	Why      []string         `json:"why,omitempty"`
}

type sweepFlags struct {
	SweepOptions
	offline, failOn, json bool
}

func newAssetSweep(e *env) *cobra.Command {
	var o sweepFlags
	c := &cobra.Command{
		Use: "sweep NETWORK...", Short: "Look in listed networks for machines that nobody manages",
		Long: `Look in listed networks for machines that nobody manages: try a few ports of each
address, one ping where that is allowed, and the neighbour cache. What is found is held
against the machines that the server knows.

Only networks of the file are swept, and only those of them that are named here; a range
itself cannot be given. The file also has the limits: how many probes a second (50), how
many addresses, for how long (docs/inventories.md). Probes leave from this machine.`,
		Example: "patchcycle asset sweep office --dry-run\npatchcycle asset sweep office warehouse --networks networks.yaml --fail-on-unmanaged",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage(c, "something is missing: %s", c.UseLine())
			}
			return nil
		},
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if e.Networks == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			left := slices.DeleteFunc(e.Networks(o.File), func(name string) bool { return slices.Contains(args, name) })
			return left, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.Names = args
			return o.run(c.Context(), e.session(c))
		},
	}
	f := c.Flags()
	f.StringVar(&o.File, "networks", DefaultNetworks, "file that lists the networks")
	f.BoolVar(&o.DryRun, "dry-run", false, "say what would be sent, and send nothing")
	f.BoolVar(&o.offline, "offline", false, "ask no server which machines it knows")
	f.BoolVar(&o.NoNames, "no-names", false, "ask no DNS what the addresses are called")
	f.BoolVar(&o.failOn, "fail-on-unmanaged", false, "end with code 1 if a machine is found that nobody manages")
	jsonFlag(c, &o.json)
	return c
}

func (o sweepFlags) run(ctx context.Context, s *session) error {
	switch {
	case s.Sweep == nil:
		return errNotBuilt
	case o.failOn && o.offline:
		return usage(s.cmd, "--fail-on-unmanaged needs a server that knows who manages what: leave out --offline")
	}
	o.Planned = func(addresses, probes, rate int) {
		s.note("%s of %s: %s, %d a second at most, in about %s.", phrase.Count(addresses, "address", "addresses"), strings.Join(o.Names, ", "),
			phrase.Count(probes, "probe"), rate, (time.Duration(probes) * time.Second / time.Duration(rate)).Round(time.Second))
	}
	end := func() {}
	if !o.DryRun {
		o.Progress, end = s.sweepProgress(ctx)
	}
	found, err := s.Sweep(ctx, o.SweepOptions)
	end()
	if err != nil {
		return err
	}
	if !o.offline && !o.DryRun {
		// What was seen until an interruption is still worth a question.
		asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), matchIn)
		err = s.match(asking, &found)
		cancel()
		if err != nil {
			s.note("Who manages these is not known: the server could not be asked.")
		}
	}
	if o.json {
		if e := s.json(found); e != nil {
			return e
		}
	} else if !o.DryRun {
		s.printSwept(found)
	}
	switch {
	case err != nil:
		return err
	case found.Broken != "":
		return &Failure{Code: ExitFailed, Words: "the sweep is not complete: " + found.Broken}
	case o.failOn && found.Unmanaged > 0:
		return &Failure{Code: ExitFailed, Words: phrase.Count(found.Unmanaged, "address", "addresses") + " where nobody manages what is there"}
	}
	return nil
}

// matchIn is how long the server has to say what it knows.
const matchIn = 30 * time.Second

// sweepProgress shows how far a sweep is: as a bar at a terminal, else in quarters.
func (s *session) sweepProgress(ctx context.Context) (show func(done, of int), end func()) {
	width := s.Terminal(s.errs)
	if width == 0 {
		quarter := 0
		return func(done, of int) {
			if q := 4 * done / of; q > quarter {
				quarter = q
				s.note("%d of %d probes", done, of)
			}
		}, func() {}
	}
	p := mpb.NewWithContext(ctx, mpb.WithOutput(s.errs), mpb.WithWidth(min(60, width/2)), mpb.WithAutoRefresh(), mpb.WithRefreshRate(200*time.Millisecond))
	bar := p.AddBar(0, mpb.AppendDecorators(decor.CountersNoUnit("%d of %d probes", decor.WCSyncSpace)))
	return func(done, of int) {
			bar.SetTotal(int64(of), false)
			bar.SetCurrent(int64(done))
		}, func() {
			bar.Abort(false)
			p.Wait()
		}
}

// match asks the server which machines have these addresses.
func (s *session) match(ctx context.Context, found *Swept) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	list := wire.AssetList{Source: "sweep of " + strings.Join(found.Networks, ", "), All: true, Rows: []wire.ListedAsset{}}
	for i, m := range found.Machines {
		row := wire.ListedAsset{Line: i + 1, Addresses: []string{m.Address}}
		if m.MAC != "" {
			row.MACs = []string{m.MAC}
		}
		list.Rows = append(list.Rows, row)
	}
	known, err := c.ImportAssets(ctx, list)
	if err != nil {
		return err
	}
	found.Matched = true
	by := map[int]wire.ComparedAsset{}
	for _, r := range known.Rows {
		by[r.Line] = r
	}
	for i := range found.Machines {
		found.Machines[i].judge(by, by[i+1])
		if !*found.Machines[i].Managed {
			found.Unmanaged++
		}
	}
	return nil
}

// judge fills in which machine is there. A machine with several addresses is told by the
// first of them.
func (m *SweptMachine) judge(by map[int]wire.ComparedAsset, r wire.ComparedAsset) {
	m.Why = r.Why
	if r.Earlier > 0 {
		r = by[r.Earlier]
	}
	managed := false
	switch {
	case len(r.Candidates) > 0:
		m.Why = append(m.Why, fmt.Sprintf("several machines say that it is theirs: %v", r.Candidates))
	case r.Asset != "" && r.Verdict != string(reconcile.OnlyThey):
		m.Asset, m.Hostname = r.Asset, r.Hostname
		managed = !r.Unmanaged
	}
	m.Managed = &managed
}

func (s *session) printSwept(found Swept) {
	var rows [][]string
	for _, m := range found.Machines {
		var open []string
		for _, p := range m.Open {
			open = append(open, fmt.Sprint(p))
		}
		rows = append(rows, []string{m.Address, m.MAC, m.Name, strings.Join(open, " "), strings.Join(m.How, ", "), m.whose()})
	}
	s.list(rows, "Nothing answered.", "ADDRESS", "MAC", "NAME", "OPEN", "SEEN", "MACHINE")
	if found.NoPing != "" {
		s.note("No pings: %s.", found.NoPing)
	}
	if found.NoNames != "" {
		s.note("Names are missing: %s.", found.NoNames)
	}
	if found.Matched {
		s.say("%d of %d addresses answered; at %d of them nobody manages what is there.", len(found.Machines), found.Addresses, found.Unmanaged)
	}
}

// whose says who is at an address.
func (m SweptMachine) whose() string {
	name := cmp.Or(m.Hostname, string(m.Asset))
	switch {
	case m.Managed == nil:
		return ""
	case *m.Managed:
		return name
	case name != "":
		return name + ", no agent"
	}
	return "nobody manages it"
}
