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
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	do := bench
	if len(os.Args) > 1 && os.Args[1] == baselineCommand {
		do = baseline
	}
	err := do(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
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
	if o.out == "" {
		if o.out, err = os.MkdirTemp("", "patchcycle-bench-"); err != nil {
			return err
		}
	} else if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "pcb-") // short: unix sockets stand in it
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	o.program = filepath.Join(work, "patchcycle")
	say("Building patchcycle …")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", o.program, "./cmd/patchcycle").CombinedOutput(); err != nil {
		return fmt.Errorf("build patchcycle (run this in the project's folder): %w\n%s", err, out)
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
	run.finish()
	if err := run.keep(o.out); err != nil {
		return err
	}
	say("Results and profiles are in %s.", o.out)
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
	say("%s: start and rest", name)
	if err := out.measureStart(ctx, o, db, filepath.Join(work, "start")); err != nil {
		return out, fmt.Errorf("start and rest: %w", err)
	}
	if o.baseline {
		say("%s: baselines", name)
		var err error
		if out.Baseline, err = runBaseline(ctx, db, filepath.Join(work, "baseline")); err != nil {
			return out, fmt.Errorf("baselines: %w", err)
		}
	}
	for _, n := range o.sizes {
		c, err := measureCycle(ctx, o, db, name, n, filepath.Join(work, strconv.Itoa(n)))
		if err != nil {
			c.Failed = err.Error()
			say("%s, %d machines: %v", name, n, err)
		}
		out.Cycles = append(out.Cycles, c)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
	}
	return out, nil
}

// say tells whoever waits; results go to standard output.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
