package cli

import (
	"cmp"
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
	o.DatabaseURL = cmp.Or(o.DatabaseURL, s.Env("PATCHCYCLE_DATABASE_URL"))
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

// engineChangeOptions are those of what changes an engine that no server has in
// hand, and cannot be undone.
type engineChangeOptions struct {
	EngineOptions
	yes  bool
	json bool
}

// flags adds the flags; lost says what is given up.
func (o *engineChangeOptions) flags(c *cobra.Command, lost string) {
	engineFlags(c, &o.EngineOptions)
	c.Flags().StringVar(&o.Reason, "reason", "", "why; it goes on record")
	c.Flags().BoolVar(&o.yes, "yes", false, "do it: "+lost)
	required(c, "reason", "yes")
	jsonFlag(c, &o.json)
}

// run does it once the reason is given and the loss is agreed to.
func (o engineChangeOptions) run(s *session, lost string, do func(EngineOptions) (words string, err error)) error {
	switch {
	case o.Reason == "":
		return usage(s.cmd, "say why: --reason TEXT")
	case !o.yes:
		return usage(s.cmd, "%s: say --yes", lost)
	}
	words, err := do(o.complete(s))
	if err != nil || o.json {
		return orJSON(s, map[string]string{"words": words}, err)
	}
	s.say("%s", words)
	return nil
}

func newEngineRebuild(e *env) *cobra.Command {
	const lost = "what the old engine knew beyond the record is given up"
	var o engineChangeOptions
	c := &cobra.Command{
		Use: "rebuild", Short: "Make a lost engine anew from the record", Args: exactly(0),
		Long: `Make an engine that was lost, restored, or cannot be upgraded anew from the record.
Cycles go on from the phase in which they were saved last; machines refuse what
the old engine told them. The server has to be stopped first.`,
		Example: "patchcycle engine rebuild --reason \"the disk with the engine failed\" --yes",
		RunE: func(c *cobra.Command, _ []string) error {
			if e.EngineRebuild == nil {
				return errNotBuilt
			}
			return o.run(e.session(c), lost, func(o EngineOptions) (string, error) { return e.EngineRebuild(c.Context(), o) })
		},
	}
	o.flags(c, lost)
	return c
}

func newEngineAbandon(e *env) *cobra.Command {
	const lost = "the cycle cannot be taken up again"
	var o engineChangeOptions
	c := &cobra.Command{
		Use: "abandon CYCLE", Short: "Close on record a cycle that the engine has lost", Args: exactly(1),
		Long: `Close on record a cycle that does not go on in the engine any more: its workflow
failed, somebody ended it, or its engine is lost and is not to be rebuilt. Orders
that no machine has begun are withdrawn, and every machine has its outcome in the
report. A cycle that goes on is refused. The server has to be stopped first.`,
		Example: "patchcycle engine abandon cycle/servers/2026-11.1 --reason \"its engine is lost\" --yes",
		RunE: func(c *cobra.Command, args []string) error {
			if e.EngineAbandon == nil {
				return errNotBuilt
			}
			return o.run(e.session(c), lost, func(o EngineOptions) (string, error) { return abandon(c.Context(), e, o, args[0]) })
		},
	}
	o.flags(c, lost)
	return c
}

func abandon(ctx context.Context, e *env, o EngineOptions, cycle string) (string, error) {
	if _, err := cycleNamed(cycle); err != nil {
		return "", err
	}
	words, err := e.EngineAbandon(ctx, o, cycle)
	if errors.Is(err, ErrNoCycle) {
		return "", Fail(ExitNotFound, "While the server runs, it lists them: patchcycle cycle list", "there is no cycle %s on record", cycle)
	}
	return words, err
}
