package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// DemoOptions are what "patchcycle demo" was started with.
type DemoOptions struct {
	// AutoApprove needs no hands.
	AutoApprove bool
	// JSON prints one document on Out and nothing else there.
	JSON bool
	// DataDir keeps the demo; empty: a new temporary folder, which is named. The same
	// directory again takes up the cycle that is unfinished, or prints the result
	// of the finished one; New starts another.
	DataDir string
	New     bool
	// Machines are simulated, beside this one, and Seed says how they are drawn. 0:
	// those of the data directory.
	Machines int
	Seed     uint64
	// IncludeThisMachine really gives this machine its updates: the person at it has
	// said so twice.
	IncludeThisMachine bool
	// UI says where Temporal's pages are, and leaves the server up at the end
	// until it is interrupted.
	UI bool
	// DatabaseURL keeps record and engine in PostgreSQL; empty: SQLite.
	DatabaseURL string
	// Width is that of the terminal behind Err, where progress goes; 0: none.
	Width    int
	Out, Err io.Writer
}

// machinesAtMost is what one machine can simulate.
const machinesAtMost = 20_000

func newDemo(e *env) *cobra.Command {
	var o DemoOptions
	c := &cobra.Command{
		Use: "demo", Short: "Run a whole patch cycle here, on simulated machines", Args: exactly(0),
		Long: `Run a whole patch cycle here: server, engine and database embedded, simulated
machines with real packages at four sites, and this machine for real. Its pending
updates are read and planned; nothing is installed on it, unless you say
--include-this-machine as root, and confirm it twice. One patch is bad and
some machines are dead. It stops for an approval, by somebody who is not the
author, and prints how to give it; it ends with a report.`,
		Example: "patchcycle demo\npatchcycle demo --auto-approve --json\npatchcycle demo --data-dir demo",
		RunE:    func(c *cobra.Command, _ []string) error { return runDemo(c.Context(), e.session(c), o) },
	}
	f := c.Flags()
	f.BoolVar(&o.AutoApprove, "auto-approve", false, "approve the plan by itself, as a second person would")
	f.BoolVar(&o.JSON, "json", false, "print one JSON document at the end, and nothing else on stdout")
	f.BoolVar(&o.New, "new", false, "start another cycle in a data directory whose last one is finished")
	f.IntVar(&o.Machines, "machines", 0, "how many machines are simulated; 0: those of the data directory, or 200")
	f.Uint64Var(&o.Seed, "seed", 0, "what is drawn: which patch is bad, which machine is dead; 0: that of the data directory, or 1")
	f.BoolVar(&o.IncludeThisMachine, "include-this-machine", false, "really install this machine's pending updates, with a restart if they need one; asks twice")
	f.BoolVar(&o.UI, "ui", false, "show Temporal's pages, and stay until interrupted")
	if e.DemoFlags != nil {
		e.DemoFlags(c)
	}
	return c
}

func runDemo(ctx context.Context, s *session, o DemoOptions) error {
	if s.Demo == nil {
		return errNotBuilt
	}
	if o.Machines < 0 || o.Machines > machinesAtMost {
		return usage(s.cmd, "--machines %d: between 1 and %d", o.Machines, machinesAtMost)
	}
	// Only a directory that was named for the demo: it does not touch a server's.
	o.DataDir = s.data
	if o.New && o.DataDir == "" {
		return usage(s.cmd, "--new starts another cycle in a demo that was kept: name its --data-dir")
	}
	if o.IncludeThisMachine {
		if err := s.consent(); err != nil {
			return err
		}
	}
	o.DatabaseURL = s.Env("PATCHCYCLE_DATABASE_URL")
	o.Out, o.Err, o.Width = s.out, s.errs, s.Terminal(s.errs)
	return s.Demo(ctx, o)
}

// consent asks twice whether this machine is to be changed, and how a person says so
// without thinking is not enough.
func (s *session) consent() error {
	if why := s.Hindrance(); why != "" {
		return fmt.Errorf("--include-this-machine: %s", why)
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("--include-this-machine: %w", err)
	}
	answers := bufio.NewScanner(s.cmd.InOrStdin())
	for _, q := range []struct{ text, answer string }{
		{fmt.Sprintf("All pending updates of %s are really installed, and its services restarted with them.\nTo include this machine, type its name, %[1]s: ", name), name},
		{"If an update needs it, the machine restarts, after a minute's notice; the same command takes the\ndemo up again then. Are you sure? Type yes: ", "yes"},
	} {
		fmt.Fprint(s.errs, q.text)
		if !answers.Scan() || strings.TrimSpace(answers.Text()) != q.answer {
			fmt.Fprintln(s.errs)
			return errors.New("--include-this-machine was not confirmed: nothing was started, and nothing was changed")
		}
	}
	return nil
}
