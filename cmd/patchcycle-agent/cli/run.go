package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/edge/uplink"
)

type runOptions struct {
	*env
	ca     string
	notice time.Duration
	fresh  time.Duration
	// relays are tried before the server, in this order.
	relays       []string
	fallbackRate int64
	// newSettings: see [Place].
	newSettings bool
	// courier is the socket of the other part; empty: this process is all of the agent.
	courier string
	// stdio: who started this process is the way to the server, over its input and output.
	stdio bool
	// carries: see [Place].
	carries bool
	// probation is how long the next release of the agent has to report in.
	probation time.Duration
}

// flags are those of every agent at work.
func (o *runOptions) flags(c *cobra.Command) {
	caFlag(c, &o.ca)
	c.Flags().StringArrayVar(&o.relays, "relay", nil, "the address of a relay to take before the server; may be repeated, the preferred one first")
	c.Flags().Int64Var(&o.fallbackRate, "fallback-rate", 0, "how many kB of packages a second are fetched where the first relay is not reached; 0: as many as come")
	c.Flags().DurationVar(&o.notice, "notice", time.Minute, "how long before a restart people on this machine are told, in whole minutes; 0: not at all")
	c.Flags().DurationVar(&o.fresh, "fresh", 6*time.Hour, "how old the package manager's lists may be before they are fetched; 0: somebody else fetches them")
	c.Flags().BoolVar(&o.carries, "carries-patchcycle", false, "this machine carries patchcycle's database: it is patched by itself, as the machines of server and relays are without being told")
	c.Flags().DurationVar(&o.probation, "probation", probation.Limit, "how long the next release of the agent has to report in, before this one is put back")
	c.Flags().BoolVar(&o.newSettings, "new-settings", false, "take a patch's settings files in the place of those that were changed on this machine, which dpkg keeps as *.dpkg-old")
}

func newRun(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "run", Short: "Keep this machine patched until stopped", Args: edgecli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.with(c, func(ctx context.Context, a *agent.Agent) error { return a.Run(ctx) })
		},
	}
	o.flags(c)
	c.Flags().StringVar(&o.courier, "courier", "", "the socket of the courier that speaks to the network for this agent, which then must have none itself; without: this process does both")
	return c
}

func newOnce(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "once", Short: "Do what there is to do, and end", Args: edgecli.NoArgs,
		Long: `Do what there is to do, and end. For machines whose agent does not stay: call it
from a timer, or with --stdio by a relay's key over SSH as its forced command.
What has started runs to its end, also when the line does not.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.with(c, func(ctx context.Context, a *agent.Agent) error { return a.Once(ctx) })
		},
	}
	o.flags(c)
	c.Flags().BoolVar(&o.stdio, "stdio", false, "speak to the server, and fetch packages, over standard input and output: a relay is at their other end")
	return c
}

// with assembles the agent, hands it over and puts everything away.
func (o runOptions) with(c *cobra.Command, do func(context.Context, *agent.Agent) error) (err error) {
	home := agent.Home(o.home)
	id, server, err := home.Identity()
	if err != nil {
		return err
	}
	if o.fresh < 0 {
		return edgecli.Usage("--fresh %s: write a duration such as 6h, or 0", o.fresh)
	}
	if o.notice < 0 || o.notice%time.Minute != 0 {
		return edgecli.Usage("--notice %s: write whole minutes, such as 5m, or 0", o.notice)
	}
	if o.probation < time.Minute {
		return edgecli.Usage("--probation %s: write a duration from one minute, such as 10m", o.probation)
	}
	if o.fallbackRate < 0 {
		return edgecli.Usage("--fallback-rate %d: write kB a second, or 0", o.fallbackRate)
	}
	// First of all: another agent has the address for packages too, and that says less.
	ledger, err := home.Ledger()
	if err != nil {
		return err
	}
	defer func() {
		if closed := ledger.Close(); err == nil {
			err = closed
		}
	}()
	log := o.Log(c.ErrOrStderr())
	place := Place{Server: server, CA: o.ca, Notice: o.notice, Fresh: o.fresh, NewSettings: o.newSettings, CarriesPatchcycle: o.carries}
	link, end, err := o.line(c, &place, log)
	if err != nil {
		return err
	}
	defer end()
	if keeper := o.keeper(); keeper.OnProbation() {
		link = probation.Watch(link, func(ctx context.Context) bool {
			passed, err := keeper.Pass(ctx)
			if err != nil {
				log.Warn("cannot end the probation of this release", zap.Error(err))
			}
			return passed
		})
	}
	machine, err := o.open(place, log)
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Config{
		Identity: id, Machine: machine, Link: link, Clock: clock(o.Now), Journal: ledger.Journal(string(id.Device)),
		Shelf: home.Shelf(), Host: o.host(), Log: log, Version: o.Build.Version,
	})
	if err != nil {
		return err
	}
	log.Info("patchcycle-agent "+o.Build.Version, zap.String("device", string(id.Device)), zap.String("server", server))
	if err := do(c.Context(), a); err != nil && c.Context().Err() == nil {
		return fmt.Errorf("agent of %s: %w", id.Device, err)
	}
	return c.Context().Err()
}

// line returns the way to the server, and notes in place how packages come: over the
// network, or through a courier that has it.
func (o runOptions) line(c *cobra.Command, place *Place, log *zap.Logger) (link uplink.Link, end func(), err error) {
	if o.stdio {
		return o.visited(c, place, log)
	}
	if o.courier == "" {
		ways, err := o.routes(place.Server)
		if err != nil {
			return nil, nil, err
		}
		if len(o.relays) > 0 {
			place.Route = ways.packages
		}
		return ways.link(), ways.Close, nil
	}
	through, parcels, err := o.hand(c, log)
	if err != nil {
		return nil, nil, err
	}
	place.Courier = "http://" + courier.ParcelAddress
	return through, func() { parcels.Close(); through.Close() }, nil
}

type clock func() time.Time

func (c clock) Now() time.Time { return c() }
