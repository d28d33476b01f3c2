//go:build linux

// Command hosts makes a lab of real Debian machines on this one, as root. What
// it does is in package nspawn.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/patchcycle/patchcycle/lab/nspawn"
)

const usage = `Usage: go run ./lab/hosts COMMAND [flags]

  up -n N           make a lab of N machines, with faulty packages to install
  status            what labs there are, and which of their machines are on
  exec HOST CMD …   run a program on a machine, as its root
  net CMD …         run a program in the lab's network, as the server would
  publish PKG=VER … put versions of faulty packages into the lab's repository
  drop PKG=VER …    take them out again
  down              take the lab down, also one whose process was killed
  check             say whether a lab can run here

Each command takes -name, if there is more than one lab.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code, err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "hosts:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// options are the flags of all commands.
type options struct {
	name      string
	machines  int
	disk      int
	packages  string
	ownServer bool
	stay      bool
	args      []string
}

func parse(command string, args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("hosts "+command, flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.name, "name", "lab", "the lab's name")
	if command == "up" || command == "keep" {
		f.IntVar(&o.machines, "n", 3, "number of machines")
		f.IntVar(&o.disk, "disk", 0, "size of each machine's own disk in MB (default: it writes to this machine's)")
		f.StringVar(&o.packages, "packages", "", "path below which the server has packages, such as /packages")
		f.BoolVar(&o.ownServer, "own-server", false, "leave the server's address to a server of yours")
		f.BoolVar(&o.stay, "stay", false, "stay until ^C, which takes the lab down")
	}
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.args = f.Args()
	switch takes := command == "exec" || command == "net" || command == "publish" || command == "drop"; {
	case !takes && len(o.args) > 0:
		return o, fmt.Errorf("%q is no flag of %s", o.args[0], command)
	case command == "exec" && len(o.args) < 2:
		return o, errors.New("write: exec HOST PROGRAM [ARGUMENT …]")
	case takes && len(o.args) < 1:
		return o, fmt.Errorf("%s needs something to work on; see -h", command)
	case o.machines < 0 || o.disk < 0 || o.disk > 0 && o.disk < 100:
		return o, errors.New("-n from 0, -disk from 100 (or 0)")
	}
	return o, nil
}

// run returns the exit code of what it ran for the caller, 0 otherwise.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	if len(args) == 0 || strings.TrimLeft(args[0], "-") == "h" || strings.TrimLeft(args[0], "-") == "help" {
		fmt.Fprint(stderr, usage)
		return 0, nil
	}
	o, err := parse(args[0], args[1:], stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	switch args[0] {
	case "up":
		return 0, up(ctx, o, stdout, stderr)
	case "keep": // what up leaves behind
		return 0, keep(ctx, o, stderr)
	case "status":
		return 0, status(ctx, stdout)
	case "exec":
		c, release, err := nspawn.Command(ctx, o.name, o.args[0], o.args[1:]...)
		if err != nil {
			return 0, fmt.Errorf("machine %s of lab %s: %w", o.args[0], o.name, err)
		}
		defer release()
		return pass(c, stdin, stdout, stderr)
	case "net":
		n, err := nspawn.NetworkOf(o.name)
		if err != nil {
			return 0, err
		}
		return pass(n.Command(ctx, o.args...), stdin, stdout, stderr)
	case "publish", "drop":
		return 0, change(args[0], o)
	case "down":
		return 0, nspawn.TakeDown(ctx, o.name)
	case "check":
		return 0, nspawn.Check(ctx)
	}
	return 0, fmt.Errorf("no command %q; see -h", args[0])
}

// pass runs a program as if it were us.
func pass(c *exec.Cmd, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	c.Stdin, c.Stdout, c.Stderr = stdin, stdout, stderr
	err := c.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return max(exit.ExitCode(), 1), nil
	}
	return 0, err
}

func status(ctx context.Context, stdout io.Writer) error {
	labs, err := nspawn.Labs()
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "LAB\tMACHINE\tSTATE")
	for _, s := range labs {
		state := "is being made"
		switch {
		case !s.Alive():
			state = "left behind: take it down"
		case s.Ready:
			state = "stands"
		}
		fmt.Fprintf(t, "%s\t\t%s\n", s.Name, state)
		for _, h := range s.Hosts {
			fmt.Fprintf(t, "%s\t%s\t%s\n", s.Name, h, machineState(ctx, s.Name, h))
		}
	}
	return t.Flush()
}

func machineState(ctx context.Context, lab, host string) string {
	c, release, err := nspawn.Command(ctx, lab, host, "systemctl", "is-system-running")
	if err != nil {
		return err.Error()
	}
	defer release()
	out, err := c.Output()
	if said := strings.TrimSpace(string(out)); said != "" {
		return said // its exit code says the same as its word
	}
	return fmt.Sprint("does not answer: ", err)
}
