// Command crash kills patch cycles, with kill -9, and sees them end as if
// nothing had been. What it does is in package drill.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/lab/crash/drill"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "crash:", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	runs, machines, atOnce int
	only                   int
	seed                   uint64
	engine, program        string
	json                   bool
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("crash", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.runs, "n", 10, "number of runs, each a cycle")
	f.IntVar(&o.only, "only", 0, "make this run of the seed alone")
	f.IntVar(&o.atOnce, "at-once", 1, "runs at the same time; most of a run is waiting")
	f.IntVar(&o.machines, "machines", 60, "simulated machines of a run")
	f.Uint64Var(&o.seed, "seed", 1, "what is drawn: victims, moments, fleets")
	f.StringVar(&o.engine, "engine", "sqlite", "sqlite or postgres (a private one is started)")
	f.StringVar(&o.program, "program", "", "the patchcycle to kill (default: it is built)")
	f.BoolVar(&o.json, "json", false, "print the results as JSON on standard output, and the table on standard error")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("%q is no flag", f.Arg(0))
	case o.engine != "sqlite" && o.engine != "postgres":
		return o, fmt.Errorf("-engine %q: write sqlite or postgres", o.engine)
	case o.runs < 1 || o.atOnce < 1 || o.machines < 20:
		return o, errors.New("-n and -at-once from 1, -machines from 20: fewer are not there to be killed in the middle of something")
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "crash-")
	if err != nil {
		return err
	}
	if o.program == "" {
		if o.program, err = build(ctx, dir, stderr); err != nil {
			return err
		}
	}
	results, err := o.all(ctx, dir, stderr)
	if err != nil {
		return err
	}
	show := stdout
	if o.json {
		show = stderr
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		if err := enc.Encode(results); err != nil {
			return err
		}
	}
	if err := table(show, results); err != nil {
		return err
	}
	return verdict(results, dir)
}

// verdict is an error if a run did not pass; what is left of it stays.
func verdict(results []drill.Result, dir string) error {
	failed := 0
	for _, r := range results {
		if !r.Passed() {
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed; their folders are in %s", failed, len(results), dir)
	}
	return os.RemoveAll(dir)
}

func build(ctx context.Context, dir string, stderr io.Writer) (string, error) {
	fmt.Fprintln(stderr, "Compiling patchcycle …")
	program := filepath.Join(dir, "patchcycle")
	c := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", program, "github.com/patchcycle/patchcycle/cmd/patchcycle")
	c.Stderr = stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("compile patchcycle: %w", err)
	}
	return program, nil
}

// all makes the runs and tells of each when it has ended.
func (o options) all(ctx context.Context, dir string, stderr io.Writer) ([]drill.Result, error) {
	var runs []drill.Run
	for n := 1; n <= o.runs; n++ {
		if o.only == 0 || o.only == n {
			runs = append(runs, drill.Draw(o.seed, n, o.machines))
		}
	}
	if o.only > o.runs {
		runs = append(runs, drill.Draw(o.seed, o.only, o.machines))
	}
	fmt.Fprintf(stderr, "Seed %d, %s, %d machines a run.\n", o.seed, o.engine, o.machines)
	for _, r := range runs {
		fmt.Fprintf(stderr, "  run %d kills %s %s\n", r.Number, r.Victim, join(r.Kills))
	}
	results := make([]drill.Result, len(runs))
	var group errgroup.Group
	group.SetLimit(o.atOnce)
	for i, r := range runs {
		group.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			d := drill.Options{Program: o.program, Dir: dir, Machines: o.machines}
			if o.engine == "postgres" {
				var err error
				if d.DatabaseURL, err = pgtest.Launch(pgtest.Durable()); err != nil {
					return err
				}
			}
			results[i] = drill.Do(ctx, d, r)
			if results[i].Passed() {
				_ = os.RemoveAll(results[i].Dir)
			}
			fmt.Fprintf(stderr, "run %d: %s after %.0f s\n", r.Number, words(results[i]), results[i].Seconds)
			return nil
		})
	}
	return results, group.Wait()
}

func words(r drill.Result) string {
	if r.Passed() {
		return "passed"
	}
	return "FAILED: " + strings.Join(r.Problems, "; ")
}

func join(kills []drill.Moment) string {
	var parts []string
	for _, m := range kills {
		parts = append(parts, m.String())
	}
	return strings.Join(parts, ", then ")
}

// table prints Markdown, to be kept as evidence.
func table(w io.Writer, results []drill.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.Debug)
	fmt.Fprintln(t, "| run\t seed\t killed\t when\t the cycle stood in\t recovery, s\t all, s\t witness events\t outcomes\t result\t")
	fmt.Fprintln(t, "| ---\t ---\t ---\t ---\t ---\t ---\t ---\t ---\t ---\t ---\t")
	for _, r := range results {
		var recovery, outcomes []string
		for _, s := range r.Recovery {
			recovery = append(recovery, fmt.Sprintf("%.1f", s))
		}
		for _, o := range patching.Outcomes() {
			if n := r.Outcomes[o]; n > 0 {
				outcomes = append(outcomes, fmt.Sprintf("%d %s", n, o.Words()))
			}
		}
		result, _, _ := strings.Cut(words(r), "\n")
		fmt.Fprintf(t, "| %d\t %d\t %s\t %s\t %s\t %s\t %.0f\t %d\t %s\t %s\t\n", r.Number, r.Seed, r.Victim, join(r.Kills),
			strings.Join(r.Killed, ", "), strings.Join(recovery, ", "), r.Seconds, r.Events, strings.Join(outcomes, ", "), result)
	}
	return t.Flush()
}
