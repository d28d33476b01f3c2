//go:build linux

// Command real sends real Debian machines through whole patch cycles: a server
// in the network of a lab, machines that reach nothing but it, with the agent's
// Debian package installed. First a cycle that goes well; then one with a patch
// that apt calls good and that stops a service on one machine.
//
// It goes by what it sees from outside: dpkg's log and the boot ids of the
// machines, beside the record of the server.
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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/lab/nspawn"
	"github.com/patchcycle/patchcycle/lab/vm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	var err error
	args := os.Args[1:]
	if len(args) > 0 && args[0] == sshCommand {
		err = bySSH(ctx, args[1:], os.Stderr)
	} else {
		err = run(ctx, args, os.Stdout, os.Stderr)
	}
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "real:", err)
		os.Exit(1)
	}
}

// fewest machines fill three rings. With one more the last ring has a machine that
// is well and goes back with the one that is hit by the bad patch.
const fewest = 3

// cycles are what can be tried.
var cycles = []string{"good", "bad", "both", "troubled", "waves", "clocks", "own", "self", "ssh", "bootstrap", "grants"}

type options struct {
	machines       int
	program, agent string // what is tried; built if empty
	serverDeb      string // of cycle self; built
	relay          string // empty: machines reach the server itself
	withRelay      bool
	cycle          string // one of cycles
	sizes          []int  // of waves, ascending
	notice         time.Duration
	probation      time.Duration // how long a release of the agent has to report in; 0: as by default
	keep, kill     bool
	short          bool // of cycle grants: without Debian's own updates
	verbose        bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	f := flag.NewFlagSet("real", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.machines, "n", fewest+1, "machines")
	f.DurationVar(&o.notice, "notice", time.Minute, "how long before a restart people on a machine are told")
	f.StringVar(&o.program, "program", "", "the patchcycle to try (default: it is built)")
	f.StringVar(&o.agent, "agent", "", "the agent's Debian package to try (default: it is built)")
	f.StringVar(&o.cycle, "cycle", "both", "good, bad, both one after the other, troubled: a machine for each thing that goes wrong, waves: what it costs, and with ssh and ansible, clocks: emulated machines, some of whose clocks are off, and a kernel update, own: releases of the agent, broken ones too, self: a server that restarts its own machine, ssh: machines without a resident agent, which a relay visits, bootstrap: the same without their cycle, or grants: machines that obey only what people signed")
	f.BoolVar(&o.withRelay, "relay", false, "put a relay between machines and server, and with -kill kill it too")
	sizes := f.String("sizes", "10,50", "machines of the waves, by commas")
	f.BoolVar(&o.kill, "kill", false, "kill the server, with kill -9, in the middle of the good cycle's last ring")
	f.BoolVar(&o.short, "short", false, "hold Debian's own updates back in the cycles of grants, which takes minutes off")
	f.BoolVar(&o.keep, "keep", false, "keep the server's folder")
	f.BoolVar(&o.verbose, "v", false, "say what making the lab says")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch {
	case f.NArg() > 0:
		return fmt.Errorf("%q is no flag", f.Arg(0))
	case !slices.Contains(cycles, o.cycle):
		return fmt.Errorf("-cycle %q: write one of %s", o.cycle, strings.Join(cycles, ", "))
	case o.kill && o.cycle != "good" && o.cycle != "both":
		return errors.New("-kill is for the good cycle")
	case o.short && o.cycle != "grants":
		return errors.New("-short is for the cycles of grants")
	case o.machines < fewest:
		return fmt.Errorf("-n from %d: fewer do not fill three rings", fewest)
	}
	o.withRelay = o.withRelay || o.cycle == "ssh" || o.cycle == "bootstrap"
	for s := range strings.SplitSeq(*sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < fewest || len(o.sizes) > 0 && n <= o.sizes[len(o.sizes)-1] {
			return fmt.Errorf("-sizes %q: want numbers from %d, each larger than the one before", *sizes, fewest)
		}
		o.sizes = append(o.sizes, n)
	}
	if len(o.sizes) < 2 {
		return fmt.Errorf("-sizes %q: what a machine costs is the difference between two", *sizes)
	}
	if err := nspawn.Check(ctx); err != nil {
		return err
	}
	if o.cycle == "clocks" {
		if err := vm.Check(); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "real-")
	if err != nil {
		return err
	}
	if err := o.build(ctx, dir, stderr); err != nil {
		return err
	}
	if err := try(ctx, o, dir, stdout, stderr); err != nil || o.keep {
		fmt.Fprintf(stderr, "The server's folder and its log: %s\n", dir)
		return err
	}
	return os.RemoveAll(dir)
}

// build makes what was not given, as make packages does, but for what takes
// minutes.
func (o *options) build(ctx context.Context, dir string, stderr io.Writer) error {
	run := func(env []string, program string, args ...string) error {
		c := exec.CommandContext(ctx, program, args...)
		c.Env = append(os.Environ(), env...)
		c.Stdout, c.Stderr = stderr, stderr
		if err := c.Run(); err != nil {
			return fmt.Errorf("%s %v: %w", program, args, err)
		}
		return nil
	}
	const module = "github.com/patchcycle/patchcycle"
	if o.program == "" {
		fmt.Fprintln(stderr, "Compiling patchcycle …")
		o.program = filepath.Join(dir, "patchcycle")
		if err := run(nil, "go", "build", "-buildvcs=false", "-o", o.program, module+"/cmd/patchcycle"); err != nil {
			return err
		}
	}
	if o.withRelay {
		o.relay = filepath.Join(dir, "patchcycle-relay")
		if err := run([]string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", o.relay, module+"/cmd/patchcycle-relay"); err != nil {
			return err
		}
	}
	if o.agent == "" {
		root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
		if err != nil {
			return fmt.Errorf("find the module: %w", err)
		}
		o.agent = filepath.Join(dir, "patchcycle-agent.deb")
		bin := filepath.Join(dir, "bin")
		if err := run([]string{"CGO_ENABLED=0"}, "go", "build", "-buildvcs=false", "-o", bin+"/", module+"/cmd/patchcycle-agent"); err != nil {
			return err
		}
		pack := func(what, to string) error {
			if err := run([]string{"BIN=" + bin}, filepath.Join(string(root[:len(root)-1]), "tools", "package"), what); err != nil {
				return err
			}
			made, err := filepath.Glob(filepath.Join(bin, "*.deb"))
			if err != nil || len(made) != 1 {
				return fmt.Errorf("want one package in %s, there are %d (%w)", bin, len(made), err)
			}
			return os.Rename(made[0], to)
		}
		if err := pack("agent", o.agent); err != nil {
			return err
		}
		if o.cycle == "self" {
			o.serverDeb = filepath.Join(dir, "patchcycle.deb")
			return errors.Join(os.Link(o.program, filepath.Join(bin, "patchcycle")), pack("server", o.serverDeb))
		}
	}
	return nil
}
