// Command bench measures what patchcycle costs on this machine: the start, the
// rest, and whole cycles of growing size, on SQLite and on PostgreSQL with
// durable commits. The program that is shipped runs as a process of its own,
// the simulated fleet as another, so that their CPU can be told apart; nothing
// else should run meanwhile.
//
// Because seconds of one machine say little about another, each engine also
// runs two baselines in the same run: bare durable transactions, and a
// workflow per machine with one activity that does nothing.
//
//	go run ./lab/bench -sizes 200,2000,20000 -engines sqlite,postgres -out folder
//
// A fleet that comes back after the server was away is measured by itself:
//
//	go run ./lab/bench return -machines 100000 -relays 500
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/lab/measure"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	do := bench
	if len(os.Args) > 1 && commands[os.Args[1]] != nil {
		do = commands[os.Args[1]]
	}
	err := do(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// commands are what is measured by itself, by the first argument.
var commands = map[string]func(ctx context.Context, args []string) error{
	baselineCommand: baseline,
	returnCommand:   benchReturn,
}

// options are what a run was asked for.
type options struct {
	engines  []string
	sizes    []int
	sites    int
	rest     time.Duration
	limit    time.Duration
	pure     bool
	baseline bool
	out      string
	program  string // the built patchcycle
	uplink   string // where the server's uplink is; empty: at any free port
}

// The engines.
const (
	onSQLite   = "sqlite"
	onPostgres = "postgres"
)

func parse(args []string) (options, error) {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	engines := fs.String("engines", "sqlite,postgres", "engines, by commas")
	sizes := fs.String("sizes", "200,2000,20000", "machines of each cycle, by commas; empty: no cycles")
	var o options
	fs.IntVar(&o.sites, "sites", 8, "sites, each behind a relay")
	fs.DurationVar(&o.rest, "rest", 30*time.Second, "how long memory and CPU at rest are looked at")
	fs.DurationVar(&o.limit, "limit", 15*time.Minute, "how long one size may take; what takes longer is reported as that")
	fs.BoolVar(&o.baseline, "baseline", true, "also run the baselines")
	fs.BoolVar(&o.pure, "pure", true, "also run the benchmarks of planner, verifier and store")
	fs.StringVar(&o.out, "out", "", "folder for results and profiles (default: a new one)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.engines = strings.Split(*engines, ",")
	for _, e := range o.engines {
		if e != onSQLite && e != onPostgres {
			return o, fmt.Errorf("-engines: %q is neither %s nor %s", e, onSQLite, onPostgres)
		}
	}
	for s := range strings.SplitSeq(*sizes, ",") {
		if s == "" {
			continue
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 20 {
			return o, fmt.Errorf("-sizes: %q: want numbers from 20", s)
		}
		o.sizes = append(o.sizes, n)
	}
	slices.Sort(o.sizes)
	return o, nil
}

func bench(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.out, err = measure.Folder(o.out); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pcb-") // short: unix sockets stand in it
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if o.program, err = measure.Build(ctx, work, "patchcycle"); err != nil {
		return err
	}
	run := newRun(ctx, args)
	for _, name := range o.engines {
		e, err := measureEngine(ctx, o, name, filepath.Join(work, name))
		run.Engines = append(run.Engines, e)
		if err != nil {
			return errors.Join(fmt.Errorf("%s: %w", name, err), run.keep(o.out))
		}
		if err := run.keep(o.out); err != nil {
			return err
		}
	}
	if o.pure {
		if err := measurePure(ctx, o.out); err != nil {
			return err
		}
	}
	run.End()
	if err := run.keep(o.out); err != nil {
		return err
	}
	measure.Say("Results and profiles are in %s.", o.out)
	return run.print(os.Stdout)
}

// measureEngine measures all that there is to measure on one engine.
func measureEngine(ctx context.Context, o options, name, work string) (engineResult, error) {
	out := engineResult{Engine: name}
	if err := os.MkdirAll(work, 0o755); err != nil {
		return out, err
	}
	var db *database
	if name == onPostgres {
		var err error
		if db, err = launchPostgres(ctx); err != nil {
			return out, err
		}
	}
	measure.Say("%s: start and rest", name)
	if err := out.measureStart(ctx, o, db, filepath.Join(work, "start")); err != nil {
		return out, fmt.Errorf("start and rest: %w", err)
	}
	if o.baseline {
		measure.Say("%s: baselines", name)
		var err error
		if out.Baseline, err = runBaseline(ctx, db, filepath.Join(work, "baseline")); err != nil {
			return out, fmt.Errorf("baselines: %w", err)
		}
	}
	for _, n := range o.sizes {
		c, err := measureCycle(ctx, o, db, name, n, filepath.Join(work, strconv.Itoa(n)))
		if err != nil {
			c.Failed = err.Error()
			measure.Say("%s, %d machines: %v", name, n, err)
		}
		out.Cycles = append(out.Cycles, c)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	return out, nil
}
