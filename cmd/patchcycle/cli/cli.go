// Package cli is the command line of patchcycle. Most commands are clients of
// the REST API; those that run something (the server, the demo, the engine) are
// declared here and carried out by functions that main hands in, so that the
// command line links neither an engine nor a database.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/patchcycle/patchcycle/internal/build"
)

// Options are what the command line does not know by itself. Serve, Demo and
// those of the engine are needed where their commands are run.
type Options struct {
	// Build is the program's.
	Build build.Info
	// Serve runs the server until the context ends.
	Serve func(context.Context, ServeOptions) error
	// Demo runs the demo.
	Demo func(context.Context, DemoOptions) error
	// Hindrance says in a sentence why this machine cannot be patched; empty: it can.
	Hindrance func() string
	// EngineStatus, EngineRebuild and EngineAbandon look after the engine of a data
	// directory whose server may be down.
	EngineStatus  func(context.Context, EngineOptions) (EngineStatus, error)
	EngineRebuild func(context.Context, EngineOptions) (words string, err error)
	EngineAbandon func(ctx context.Context, o EngineOptions, cycle string) (words string, err error)
	// Assess assesses a machine by files.
	Assess func(context.Context, AssessOptions) (Assessment, error)
	// Reconcile holds a scanner's findings against ours, by files.
	Reconcile func(context.Context, ReconcileOptions) (Reconciliation, error)
	// ReadAssets reads a list of assets.
	ReadAssets func(context.Context, AssetFile) (AssetTable, error)
	// Sweep looks who answers in networks that a file lists.
	Sweep func(context.Context, SweepOptions) (Swept, error)
	// Networks names those that a file lists for sweeps, none if it cannot be read.
	Networks func(file string) []string
	// Sim runs the simulated fleet, a process that the demo starts. It parses its
	// arguments itself.
	Sim func(ctx context.Context, args []string, out, errs io.Writer) error
	// ServeFlags and DemoFlags add flags of main's own.
	ServeFlags, DemoFlags func(*cobra.Command)

	// Env reads the environment [os.Getenv].
	Env func(string) string
	// Now is the clock [time.Now].
	Now func() time.Time
	// Zone is where people read times [time.Local].
	Zone *time.Location
	// Patience is for how long a command repeats, under its key, what the engine
	// did not answer [10 s].
	Patience time.Duration
	// Terminal says how many columns the writer's terminal has; 0: it is none.
	Terminal func(io.Writer) int
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = os.Getenv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Zone == nil {
		o.Zone = time.Local
	}
	if o.Terminal == nil {
		o.Terminal = columns
	}
	return o
}

// columns is the width of the terminal that w writes to; 0: it writes elsewhere.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 80
	}
	return width
}

// Run runs a command line and returns the exit code, see [ExitCodes].
func Run(ctx context.Context, o Options, args []string, in io.Reader, out, errs io.Writer) int {
	o = o.withDefaults()
	end := func(err error) error { return err }
	if o.Terminal(out) == 0 { // libraries draw on the terminal's own file only
		to := &output{to: out}
		out, end = to, to.failed
	}
	root := New(o)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := end(inWords(root, args, execute(ctx, o, root, out)))
	if err == nil {
		return ExitOK
	}
	complain(errs, hints(root), err)
	return exitCode(err)
}

// execute styles help for people at a terminal. Elsewhere help is plain and does
// not depend on the environment.
func execute(ctx context.Context, o Options, root *cobra.Command, out io.Writer) error {
	if o.Terminal(out) == 0 {
		return root.ExecuteContext(ctx)
	}
	return fang.Execute(ctx, root, fang.WithoutVersion(), fang.WithoutManpage(),
		fang.WithErrorHandler(func(io.Writer, fang.Styles, error) {})) // Run complains
}

// New returns the tree of commands.
func New(o Options) *cobra.Command {
	e := &env{Options: o.withDefaults()}
	root := group("patchcycle", "Run an organisation's patch cycles",
		newDemo(e), newServer(e), newVersion(e), newDoctor(e), newDocs(e), newSim(e),
		newPolicy(e), newAsset(e), newAssess(e), newFeed(e), newBackup(e), newEnrol(e), newCycle(e), newEmergency(e), newTrust(e), newHold(e), newSchedule(e),
		newAdvisory(e), newUrgency(e), newException(e), newWorkAround(e), newTask(e), newReport(e), newUser(e), newAudit(e), newNotify(e), newEngine(e))
	root.Long = `Run an organisation's patch cycles: monitor, assess, plan, test, approve, deploy in
stages, verify, clean up, report; and roll back when a gate halts.

Commands ask the server through its API: over a socket in the data directory, or
at --server. They authenticate with --token, PATCHCYCLE_TOKEN, or the
administrator's token in the data directory of a server on this machine.

Results go to stdout, everything else to stderr. For completion in your shell see:
patchcycle completion --help

` + exitWords()
	root.Version = e.Build.Version
	root.SetVersionTemplate(e.Build.Text("patchcycle"))
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(badFlag)
	e.flags(root)
	return root
}

// group makes a command that only holds others.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		err := usage(c, "there is no command %q", args[0])
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			err.wayOut = fmt.Sprintf("Did you mean: %s %s?", c.CommandPath(), strings.Join(near, ", "))
		}
		return err
	}}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(subs...)
	return c
}

// exactly wants that many arguments, named in the command's use line.
func exactly(n int) cobra.PositionalArgs { return between(n, n) }

func between(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usage(c, "something is missing: %s", c.UseLine())
		case len(args) > most:
			return usage(c, "%q is too much: %s", args[most], c.UseLine())
		}
		return nil
	}
}

func newVersion(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{Use: "version", Short: "Print the version, its commit, and what it was built with", Args: exactly(0), RunE: func(c *cobra.Command, _ []string) error {
		s := e.session(c)
		if asJSON {
			return s.json(e.Build)
		}
		_, err := io.WriteString(s.out, e.Build.Text("patchcycle"))
		return err
	}}
	jsonFlag(c, &asJSON)
	return c
}

func newSim(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "sim", Short: "Run a simulated fleet (the demo starts it)", Hidden: true, DisableFlagParsing: true,
		RunE: func(c *cobra.Command, args []string) error {
			if e.Sim == nil {
				return errNotBuilt
			}
			return e.Sim(c.Context(), args, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
}

// errNotBuilt says that main left something out.
var errNotBuilt = errors.New("this program was built without that part")

func jsonFlag(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "json", false, "print JSON, for programs")
}
