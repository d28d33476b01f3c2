// Package cli is the command line of the agent: flags, words and exit codes.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/cmd/edgecli"
	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/probation"
	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/trust"
)

// Options are what the command line does not know by itself.
type Options struct {
	// Build is the program's.
	Build build.Info
	// Machine opens the machine that this program runs on.
	Machine func(Place, *zap.Logger) (agent.Machine, error)
	// Hindrance says in a sentence why the machine can only be looked at; empty:
	// it can be acted on.
	Hindrance func() string
	// Log makes the log of a running agent.
	Log func(io.Writer) *zap.Logger
	// Now is the clock [time.Now].
	Now func() time.Time
	// Env reads the environment.
	Env func(string) string
}

// Place is where an agent works, and for whom.
type Place struct {
	// Dir is a folder for what outlives the agent; empty: the machine is only
	// looked at. Lists is one for what the package manager knows of snapshots.
	Dir, Lists string
	// Home is the agent's folder, in which it is written whether a release of its own was
	// put back.
	Home string
	// Server is the address of the server, CA a file with its authority; empty: the
	// machine's.
	Server, CA string
	// Route says where packages are fetched from now, and how many bytes of them a second
	// at most; 0: no bound. Nil: from Server.
	Route func() (server string, rate int64)
	// Courier is where a courier hands out the server's snapshots to this process,
	// which has no network; empty: it has.
	Courier string
	// Notice is how long before a restart people are told; 0: not at all.
	Notice time.Duration
	// Fresh is how old the package manager's lists may be before they are fetched; 0:
	// as old as they are.
	Fresh time.Duration
	// NewSettings: a settings file that was changed on the machine gives way to the
	// package's; otherwise it stays.
	NewSettings bool
	// CarriesPatchcycle: the server's database runs here.
	CarriesPatchcycle bool
}

// The exit codes.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotEnrolled = 3
)

// env is shared by all commands.
type env struct {
	Options
	home, rules string
	// courierSocket is where status looks for the other part.
	courierSocket string
	json          bool
}

// Run runs a command line and returns the exit code.
func Run(ctx context.Context, o Options, args []string, in io.Reader, out, errs io.Writer) int {
	if o.Now == nil {
		o.Now = time.Now
	}
	root := newRoot(&env{Options: o})
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	if err == nil || errors.Is(err, context.Canceled) {
		return ExitOK
	}
	fmt.Fprintf(errs, "patchcycle-agent: %s\n", edgecli.Clean(err.Error()))
	switch {
	case edgecli.IsUsage(err):
		return ExitUsage
	case errors.Is(err, agent.ErrNotEnrolled):
		return ExitNotEnrolled
	case errors.Is(err, errLineDown):
		return probation.LineDown
	}
	return ExitFailed
}

func newRoot(e *env) *cobra.Command {
	c := &cobra.Command{
		Use: "patchcycle-agent", Short: "Patch this machine as its patchcycle server orders and its own rules allow",
		Long: `Patch this machine as its patchcycle server orders and its own rules allow.
` + e.abilities() + `
Exit codes:
  0  done
  1  refused or failed
  2  the command line is wrong
  3  this machine is not enrolled`,
		SilenceErrors: true, SilenceUsage: true, Args: edgecli.NoArgs, Version: e.Build.Version,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.SetVersionTemplate(e.Build.Text("patchcycle-agent"))
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return edgecli.Misused(err) })
	f := c.PersistentFlags()
	f.StringVar(&e.home, "home", "/var/lib/patchcycle-agent", "where the agent keeps its key, journal and bundles")
	f.StringVar(&e.rules, "rules", "/etc/patchcycle", "where this machine's own rules are")
	f.BoolVar(&e.json, "json", false, "print JSON, for programs")
	c.AddCommand(newEnrol(e), newRun(e), newCarry(e), newOnce(e), newStatus(e), newVerify(e), newHold(e), newRelease(e))
	c.CompletionOptions.HiddenDefaultCmd = true
	return c
}

// abilities says what this program cannot do here.
func (e *env) abilities() string {
	why := e.Hindrance()
	if why == "" {
		return ""
	}
	return "\n" + onlyLooks(why) + "\n"
}

func onlyLooks(why string) string {
	return fmt.Sprintf("This machine is only looked at (%s). %s", join(agent.Looking()), why)
}

// open opens the machine, to act on it where that is possible.
func (e *env) open(p Place, log *zap.Logger) (agent.Machine, error) {
	if e.Hindrance() != "" {
		return e.Machine(Place{}, log)
	}
	p.Home, p.Dir, p.Lists = e.home, filepath.Join(e.home, "transactions"), e.Env("CACHE_DIRECTORY") // from systemd; others get there too
	if p.Lists == "" {
		p.Lists = filepath.Join(e.home, "snapshots")
	}
	return e.Machine(p, log)
}

func join(verbs []trust.Verb) string {
	var words []string
	for _, v := range verbs {
		words = append(words, string(v))
	}
	return strings.Join(words, ", ")
}

// host is where this machine's rules come from: its files, less what cannot be
// done here.
func (e *env) host() agent.Host { return able{agent.RuleFiles(e.rules), e.Hindrance()} }

type able struct {
	files     agent.RuleFiles
	hindrance string
}

// Rules implements [agent.Host].
func (a able) Rules() (agent.Rules, error) {
	rules, err := a.files.Rules()
	if a.hindrance == "" {
		return rules, err
	}
	rules.Note = onlyLooks(a.hindrance)
	if rules.Allowed == nil {
		rules.Allowed = agent.Looking()
	}
	rules.Allowed = slices.DeleteFunc(slices.Clone(rules.Allowed), func(v trust.Verb) bool { return !slices.Contains(agent.Looking(), v) })
	return rules, err
}

// print writes a result: v as JSON, or else the words.
func (e *env) print(c *cobra.Command, v any, words string) error {
	return edgecli.Print(c, e.json, v, words)
}

// errInterrupted is a command that was ended before it was done.
var errInterrupted = errors.New("interrupted")

// interrupted returns the error of a command, or that it was interrupted.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// read reads at most so many bytes, until the context ends: somebody may sit at
// the other end and type nothing.
func read(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := io.ReadAll(io.LimitReader(in, limit))
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, ctx.Err() // whoever reads ends with the process
	}
}
