// Package cli is the command line of the relay: flags, words and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/internal/build"
)

// Options are what the command line does not know by itself.
type Options struct {
	// Build is the program's.
	Build build.Info
	// Log makes the log of a running relay.
	Log func(io.Writer) *zap.Logger
	// Now is the clock [time.Now].
	Now func() time.Time
	// Hostname names the machine.
	Hostname func() (string, error)
	// Env reads the environment.
	Env func(string) string
	// In is standard input.
	In io.Reader
}

// The exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// env is shared by all commands.
type env struct {
	Options
	dir  string
	json bool
}

// Run runs a command line and returns the exit code.
func Run(ctx context.Context, o Options, args []string, out, errs io.Writer) int {
	if o.Now == nil {
		o.Now = time.Now
	}
	root := newRoot(&env{Options: o})
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		return ExitOK
	}
	fmt.Fprintf(errs, "patchcycle-relay: %s\n", edgecli.Clean(err.Error()))
	if edgecli.IsUsage(err) {
		return ExitUsage
	}
	return ExitFailed
}

func newRoot(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "patchcycle-relay", Short: "Stand between a site's machines and the patchcycle server",
		Long: `Stand between a site's machines and the patchcycle server: pass instructions down and
reports up for all of them, keep the packages that they need, and keep their receipts
while the line to the server is down.

A relay has no account and no key that counts. It can delay, and nothing else: machines
believe what the server signed, and packages what their vendor signed.

Exit codes:
  0  done
  1  failed, or (status) the relay does not run
  2  the command line is wrong`,
		SilenceErrors: true, SilenceUsage: true, Args: edgecli.NoArgs, Version: e.Build.Version,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetVersionTemplate(e.Build.Text("patchcycle-relay"))
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return edgecli.Misused(err) })
	f := c.PersistentFlags()
	f.StringVar(&e.dir, "dir", "/var/lib/patchcycle-relay", "where the relay keeps receipts, packages and its status")
	f.BoolVar(&e.json, "json", false, "print JSON, for programs")
	c.AddCommand(newRun(e), newStatus(e), newHold(e), newBootstrap(e), newVersion(e))
	return c
}

func newVersion(e *env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version, its commit, and what it was built with", Args: edgecli.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return e.print(c, e.Build, strings.TrimSuffix(e.Build.Text("patchcycle-relay"), "\n"))
		},
	}
}

// print writes a result: v as JSON, or else the words.
func (e *env) print(c *cobra.Command, v any, words string) error {
	return edgecli.Print(c, e.json, v, words)
}
