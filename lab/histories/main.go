// Command histories records what workflows do, from a release: those that
// replay_test.go replays for ever after, so that newer code cannot break cycles
// that run. It starts the program that is shipped, lets cycles of four kinds run
// over simulated machines, and writes the history of each Cycle, Ring, Wave and
// Trigger.
//
//	git checkout v0.1.0 && go run ./lab/histories
//
// Recorded from anything but a release they would pin what nobody ever ran.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "histories:", err)
		os.Exit(1)
	}
}

type options struct {
	out     string
	program string
	limit   time.Duration
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	version, err := release(ctx)
	if err != nil {
		return err
	}
	into := filepath.Join(o.out, version)
	if exists(into) {
		return fmt.Errorf("%s has been recorded: a release does not change; remove the folder if it was never committed", into)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("given up after %s", o.limit))
	defer cancel()
	dir, err := os.MkdirTemp("", "histories-")
	if err != nil {
		return err
	}
	if err := record(ctx, o, dir, into); err != nil {
		return fmt.Errorf("%w (what server and machines said is in %s)", err, dir)
	}
	return os.RemoveAll(dir)
}

func parse(args []string) (o options, err error) {
	fs := flag.NewFlagSet("histories", flag.ContinueOnError)
	fs.StringVar(&o.out, "out", "workflows/testdata/histories", "folder of the histories")
	fs.StringVar(&o.program, "program", "", "a built patchcycle (default: this tree is built)")
	fs.DurationVar(&o.limit, "limit", 20*time.Minute, "how long it may take")
	return o, fs.Parse(args)
}

func record(ctx context.Context, o options, dir, into string) error {
	var err error
	if o.program == "" {
		if o.program, err = build(ctx, dir); err != nil {
			return err
		}
	}
	h, err := open(ctx, o.program, dir)
	if err != nil {
		return err
	}
	defer h.close()
	for _, s := range all {
		say("%s …", s.name)
		if err := s.play(ctx, h); err != nil {
			return fmt.Errorf("%s: %w", s.name, errors.Join(err, context.Cause(ctx)))
		}
	}
	n, err := h.export(ctx, into)
	if err != nil {
		return err
	}
	say("%d histories in %s; all of them replay.", n, into)
	return nil
}

// build compiles the program that is shipped.
func build(ctx context.Context, dir string) (string, error) {
	say("Compiling patchcycle …")
	program := filepath.Join(dir, "patchcycle")
	c := exec.CommandContext(ctx, "go", "build", "-o", program, "./cmd/patchcycle")
	c.Stderr = os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("compile patchcycle: %w", err)
	}
	return program, nil
}

// release returns the tag of this commit, if the tree is exactly that.
func release(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "git", "describe", "--tags", "--exact-match", "--match", "v*", "--dirty").Output()
	tag := strings.TrimSpace(string(out))
	if err != nil || strings.HasSuffix(tag, "-dirty") {
		return "", errors.New("this tree is no release: check one out (git checkout v0.1.0), without changes")
	}
	return tag, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
