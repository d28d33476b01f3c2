package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
)

type runOptions struct {
	*env
	ca     string
	notice time.Duration
	fresh  time.Duration
	// newSettings: see [Place].
	newSettings bool
}

// flags are those of every agent at work.
func (o *runOptions) flags(c *cobra.Command) {
	caFlag(c, &o.ca)
	c.Flags().DurationVar(&o.notice, "notice", time.Minute, "how long before a restart people on this machine are told, in whole minutes; 0: not at all")
	c.Flags().DurationVar(&o.fresh, "fresh", 6*time.Hour, "how old the package manager's lists may be before they are fetched; 0: somebody else fetches them")
	c.Flags().BoolVar(&o.newSettings, "new-settings", false, "take a patch's settings files in the place of those that were changed on this machine, which dpkg keeps as *.dpkg-old")
}

func newRun(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "run", Short: "Keep this machine patched until stopped", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.with(c, func(ctx context.Context, a *agent.Agent) error { return a.Run(ctx) })
		},
	}
	o.flags(c)
	return c
}

func newOnce(e *env) *cobra.Command {
	o := runOptions{env: e}
	c := &cobra.Command{
		Use: "once", Short: "Do what there is to do, and end", Args: noArgs,
		Long: `Do what there is to do, and end. For machines whose agent does not stay: call it
from a timer, or by a relay's key over SSH as its forced command.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return o.with(c, func(ctx context.Context, a *agent.Agent) error { return a.Once(ctx) })
		},
	}
	o.flags(c)
	return c
}

// with assembles the agent, hands it over and puts everything away.
func (o runOptions) with(c *cobra.Command, do func(context.Context, *agent.Agent) error) (err error) {
	home := agent.Home(o.home)
	id, server, err := home.Identity()
	if err != nil {
		return err
	}
	link, err := connect(server, o.ca)
	if err != nil {
		return err
	}
	defer link.Close()
	log := o.Log(c.ErrOrStderr())
	place := Place{Server: server, CA: o.ca, Notice: o.notice, Fresh: o.fresh, NewSettings: o.newSettings}
	if o.fresh < 0 {
		return usage("--fresh %s: write a duration such as 6h, or 0", o.fresh)
	}
	if o.notice < 0 || o.notice%time.Minute != 0 {
		return usage("--notice %s: write whole minutes, such as 5m, or 0", o.notice)
	}
	machine, err := o.open(place, log)
	if err != nil {
		return err
	}
	ledger, err := home.Ledger()
	if err != nil {
		return err
	}
	defer func() {
		if closed := ledger.Close(); err == nil {
			err = closed
		}
	}()
	a, err := agent.New(agent.Config{
		Identity: id, Machine: machine, Link: link, Clock: clock(o.Now), Journal: ledger.Journal(string(id.Device)),
		Shelf: home.Shelf(), Host: o.host(), Log: log,
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

type clock func() time.Time

func (c clock) Now() time.Time { return c() }
