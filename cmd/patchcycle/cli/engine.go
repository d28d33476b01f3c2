package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"
)

// EngineOptions say which engine is meant.
type EngineOptions struct {
	DataDir, DatabaseURL           string
	TemporalAddress, TemporalToken string
	// Reason is why it is rebuilt, or a cycle abandoned.
	Reason   string
	Out, Err io.Writer
}

// EngineStatus is how an engine stands.
type EngineStatus struct {
	// Running says that a server has it in hand.
	Running bool `json:"running"`
	// Kind is embedded on SQLite, embedded on PostgreSQL, or external.
	Kind    string `json:"kind"`
	Address string `json:"address,omitempty"`
	// Version is the Temporal server's that wrote its state.
	Version string `json:"version,omitempty"`
	Words   string `json:"words"`
}

// ErrNoCycle is what EngineAbandon returns of a cycle that is not on record.
var ErrNoCycle = errors.New("there is no such cycle on record")

func newEngine(e *env) *cobra.Command {
	return group("engine", "Look after the Temporal server inside", newEngineStatus(e), newEngineUI(e), newEngineRebuild(e), newEngineAbandon(e))
}

func engineFlags(c *cobra.Command, o *EngineOptions) {
	f := c.Flags()
	f.StringVar(&o.DatabaseURL, "database-url", "", "where record and engine are kept: postgres://… (PATCHCYCLE_DATABASE_URL)")
	f.StringVar(&o.TemporalAddress, "temporal-address", "", "the Temporal cluster that is used: host:port; its token is read from PATCHCYCLE_TEMPORAL_TOKEN")
}

func (o EngineOptions) complete(s *session) EngineOptions {
	o.DataDir = s.dataDir()
	o.DatabaseURL = first(o.DatabaseURL, s.Env("PATCHCYCLE_DATABASE_URL"))
	o.TemporalToken = s.Env("PATCHCYCLE_TEMPORAL_TOKEN")
	o.Out, o.Err = s.out, s.errs
	return o
}

type engineStatusOptions struct {
	EngineOptions
	json bool
}

func newEngineStatus(e *env) *cobra.Command {
	var o engineStatusOptions
	c := &cobra.Command{
		Use: "status", Short: "Show how the engine stands, also while the server is down", Args: exactly(0),
		RunE: func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	engineFlags(c, &o.EngineOptions)
	jsonFlag(c, &o.json)
	return c
}

func (o engineStatusOptions) run(ctx context.Context, s *session) error {
	if s.EngineStatus == nil {
		return errNotBuilt
	}
	status, err := s.EngineStatus(ctx, o.complete(s))
	if err != nil || o.json {
		return orJSON(s, status, err)
	}
	s.say("%s", status.Words)
	s.fields("Engine", status.Kind, "Address", status.Address, "Version", status.Version, "Running", yes(status.Running))
	return nil
}

func newEngineUI(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "ui", Short: "Print a link into Temporal's web pages", Args: exactly(0),
		Long: `Print a link into Temporal's web pages. It works once, within some minutes, and
lets you see and do there what your account may.`,
		RunE: func(c *cobra.Command, _ []string) error { return runEngineUI(c.Context(), e.session(c)) },
	}
}

func runEngineUI(ctx context.Context, s *session) error {
	c, err := s.client()
	if err != nil {
		return err
	}
	link, err := c.EnterUI(ctx)
	if err != nil {
		return err
	}
	s.say("%s", link.URL)
	return nil
}

type engineRebuildOptions struct {
	EngineOptions
	yes  bool
	json bool
}

func newEngineRebuild(e *env) *cobra.Command {
	var o engineRebuildOptions
	c := &cobra.Command{
		Use: "rebuild", Short: "Make a lost engine anew from the record", Args: exactly(0),
		Long: `Make an engine that was lost, restored, or cannot be upgraded anew from the record.
Cycles go on from the phase in which they were saved last; machines refuse what
the old engine told them. The server has to be stopped first.`,
		Example: "patchcycle engine rebuild --reason \"the disk with the engine failed\" --yes",
		RunE:    func(c *cobra.Command, _ []string) error { return o.run(c.Context(), e.session(c)) },
	}
	engineFlags(c, &o.EngineOptions)
	c.Flags().StringVar(&o.Reason, "reason", "", "why; it goes on record")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it: what the old engine knew beyond the record is given up")
	required(c, "reason", "yes")
	jsonFlag(c, &o.json)
	return c
}

func (o engineRebuildOptions) run(ctx context.Context, s *session) error {
	switch {
	case s.EngineRebuild == nil:
		return errNotBuilt
	case o.Reason == "":
		return usage(s.cmd, "say why: --reason TEXT")
	case !o.yes:
		return usage(s.cmd, "what the old engine knew beyond the record is given up: say --yes")
	}
	words, err := s.EngineRebuild(ctx, o.complete(s))
	if err != nil || o.json {
		return orJSON(s, map[string]string{"words": words}, err)
	}
	s.say("%s", words)
	return nil
}

type engineAbandonOptions struct {
	EngineOptions
	yes  bool
	json bool
}

func newEngineAbandon(e *env) *cobra.Command {
	var o engineAbandonOptions
	c := &cobra.Command{
		Use: "abandon CYCLE", Short: "Close on record a cycle that the engine has lost", Args: exactly(1),
		Long: `Close on record a cycle that does not go on in the engine any more: its workflow
failed, somebody ended it, or its engine is lost and is not to be rebuilt. Orders
that no machine has begun are withdrawn, and every machine has its outcome in the
report. A cycle that goes on is refused. The server has to be stopped first.`,
		Example: "patchcycle engine abandon cycle/servers/2026-11.1 --reason \"its engine is lost\" --yes",
		RunE:    func(c *cobra.Command, args []string) error { return o.run(c.Context(), e.session(c), args[0]) },
	}
	engineFlags(c, &o.EngineOptions)
	c.Flags().StringVar(&o.Reason, "reason", "", "why; it goes on record")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it: the cycle cannot be taken up again")
	required(c, "reason", "yes")
	jsonFlag(c, &o.json)
	return c
}

func (o engineAbandonOptions) run(ctx context.Context, s *session, cycle string) error {
	switch {
	case s.EngineAbandon == nil:
		return errNotBuilt
	case o.Reason == "":
		return usage(s.cmd, "say why: --reason TEXT")
	case !o.yes:
		return usage(s.cmd, "the cycle cannot be taken up again: say --yes")
	}
	if _, err := cycleNamed(cycle); err != nil {
		return err
	}
	words, err := s.EngineAbandon(ctx, o.complete(s), cycle)
	if errors.Is(err, ErrNoCycle) {
		return Fail(ExitNotFound, "While the server runs, it lists them: patchcycle cycle list", "there is no cycle %s on record", cycle)
	}
	if err != nil || o.json {
		return orJSON(s, map[string]string{"words": words}, err)
	}
	s.say("%s", words)
	return nil
}
