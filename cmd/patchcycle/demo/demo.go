// Package demo shows a whole patch cycle on one machine: everything embedded,
// a simulated fleet in a process of its own, and this machine's own inventory.
// It acts through the API, as people do.
package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// Options are what the demo can be asked for.
type Options struct {
	// AutoApprove needs no hands.
	AutoApprove bool
	// JSON prints one document on Out and nothing else there.
	JSON bool
	// Dir keeps the state; the same command on the same folder takes the
	// unfinished cycle up, or prints the result of the finished one. Empty: a new
	// temporary folder.
	Dir string
	// New starts another cycle in a folder whose cycle has finished.
	New bool
	// Machines and Seed are those of the fleet that the folder has; of a new one,
	// where they are 0, 200 and 1.
	Machines int
	Seed     uint64
	// DatabaseURL runs it on PostgreSQL.
	DatabaseURL string
	// IncludeThisMachine really gives this machine its updates. Whoever sets it has
	// asked the people concerned.
	IncludeThisMachine bool
	// UI serves Temporal's pages.
	UI bool
	// FleetArgs are more flags of the fleet's process, such as where to kill it, for
	// crash tests.
	FleetArgs []string
	Version   string
	Out, Err  io.Writer
	// Log takes what the server logs; nil: the file server.log in Dir.
	Log *zap.Logger
}

// Result is the demo's document.
type Result struct {
	Cycle            patching.CycleID         `json:"cycle"`
	State            string                   `json:"state"`
	ClosedAs         patching.ClosedAs        `json:"closed_as"`
	Assets           int                      `json:"assets"`
	Outcomes         map[patching.Outcome]int `json:"outcomes"`
	InstallsRepeated int                      `json:"installs_repeated"`
	Repairs          int                      `json:"repairs"`
	Report           string                   `json:"report"`
	Dir              string                   `json:"data_dir"`
	// Seconds are the cycle's own, from its opening to its closing, however often
	// its demo was killed and whoever asks for the result again.
	Seconds float64 `json:"seconds"`
}

// Run runs the demo to its end.
func Run(ctx context.Context, o Options) error {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "patchcycle-demo-")
		if err != nil {
			return fmt.Errorf("folder for the demo: %w", err)
		}
		o.Dir = dir
	}
	// Absolute: what is printed is pasted into another terminal.
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return fmt.Errorf("folder for the demo: %w", err)
	}
	o.Dir = dir
	if o, err = o.settle(); err != nil {
		return err
	}
	show := newProgress(o)
	closeLog, err := o.openLog()
	if err != nil {
		return err
	}
	defer closeLog()
	err = serveAndRun(ctx, o, show)
	switch {
	case err != nil && ctx.Err() != nil:
		show.say("Interrupted. All of it is kept; this takes it up again:\n    %s demo --data-dir %s%s", self(), o.Dir, o.flags())
	case err != nil:
		show.say("What the server logged is in %s.", logFile(o.Dir))
	}
	return err
}

func serveAndRun(ctx context.Context, o Options, show *progress) error {
	began := time.Now()
	show.say("Everything is kept in %s.", o.Dir)
	show.say("Starting the database, Temporal and the API …")
	server, err := serve.Start(ctx, serve.Config{
		Dir: o.Dir, DatabaseURL: o.DatabaseURL, Uplink: "127.0.0.1:0", UI: ui(o), Fleet: "demo", Version: o.Version, Log: o.Log,
		Look: 300 * time.Millisecond,
	})
	if err != nil {
		return err
	}
	defer server.Stop()
	show.say("Serving after %.1f s.", time.Since(began).Seconds())
	d := &demo{Options: o, server: server, show: show}
	res, err := d.run(ctx)
	if err != nil {
		return err
	}
	res.Dir = o.Dir
	return d.print(res)
}

func logFile(dir string) string { return filepath.Join(dir, "server.log") }

// openLog lets the server's own log go to a file: between the lines of the
// progress nobody could read either.
func (o *Options) openLog() (closeLog func(), err error) {
	if o.Log != nil {
		return func() {}, nil
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder for the demo: %w", err)
	}
	file, err := os.OpenFile(logFile(o.Dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the demo's log: %w", err)
	}
	c := zap.NewProductionEncoderConfig()
	c.EncodeTime = zapcore.ISO8601TimeEncoder
	o.Log = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(c), zapcore.Lock(file), zapcore.WarnLevel))
	return func() { _ = file.Close() }, nil
}

func ui(o Options) string {
	if o.UI {
		return "127.0.0.1:0"
	}
	return ""
}

// flags are those that the same demo is run with again.
func (o Options) flags() (words string) {
	if o.AutoApprove {
		words += " --auto-approve"
	}
	if o.JSON {
		words += " --json"
	}
	if o.IncludeThisMachine {
		words += " --include-this-machine"
	}
	return words
}

// settle says which fleet it is: the one that the folder has, or a new one. A
// fleet does not change its size: who asks for another one is told.
func (o Options) settle() (Options, error) {
	kept, ok, err := trial.KeptProfile(o.Dir)
	switch {
	case err != nil:
		return o, err
	case !ok:
		o.Machines, o.Seed = cmp.Or(o.Machines, 200), cmp.Or(o.Seed, 1)
		return o, nil
	case o.Machines != 0 && o.Machines != kept.Machines:
		return o, fmt.Errorf("--machines %d: the fleet in %s has %d; leave it out, or name another --data-dir", o.Machines, o.Dir, kept.Machines)
	case o.Seed != 0 && o.Seed != kept.Seed:
		return o, fmt.Errorf("--seed %d: the fleet in %s was drawn with %d; leave it out, or name another --data-dir", o.Seed, o.Dir, kept.Seed)
	}
	o.Machines, o.Seed = kept.Machines, kept.Seed
	return o, nil
}

// realSilence is how long a machine may say nothing where one of them is real: its
// packages take minutes. Those that are dead are waited for as long.
const realSilence = 10 * time.Minute

type demo struct {
	Options
	server *serve.Server
	show   *progress
	people *trial.People
}

// run takes the folder's cycle up where it stands, or begins one.
func (d *demo) run(ctx context.Context) (*Result, error) {
	var err error
	silence := time.Duration(0)
	if d.IncludeThisMachine {
		silence = realSilence
	}
	if d.people, err = trial.Meet(ctx, d.Dir, silence); err != nil {
		return nil, err
	}
	id, closed, err := d.find(ctx)
	if err != nil {
		return nil, err
	}
	if closed && !d.New {
		d.show.say("%s has finished before; --new starts another.", id)
		return d.result(ctx, id)
	}
	if err := d.importFeeds(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fleet, err := d.startFleet(ctx, cancel)
	if err != nil {
		return nil, err
	}
	defer fleet.stop()
	go d.stopWith(ctx, cancel)
	if err := d.awaitInventories(ctx); err != nil {
		return nil, cause(ctx, err)
	}
	if id == "" || closed {
		if err := d.importAssets(ctx); err != nil {
			return nil, cause(ctx, err)
		}
		if id, err = d.start(ctx, id); err != nil {
			return nil, err
		}
	} else {
		d.show.say("Taking %s up again.", id)
	}
	if err := d.follow(ctx, id); err != nil {
		return nil, cause(ctx, err)
	}
	return d.result(ctx, id)
}

// stopWith ends the demo when a part of the server breaks.
func (d *demo) stopWith(ctx context.Context, cancel context.CancelCauseFunc) {
	select {
	case err := <-d.server.Failed():
		cancel(err)
	case <-ctx.Done():
	}
}

// cause prefers why a context was ended over that it was.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil && !errors.Is(c, context.Canceled) {
		return c
	}
	return err
}

// result reads the closed cycle from the API and the witnesses from the disk.
func (d *demo) result(ctx context.Context, id patching.CycleID) (*Result, error) {
	c, err := d.people.Author.Cycle(ctx, id)
	if err != nil {
		return nil, err
	}
	repeated, _, err := sim.Repeats(trial.FleetDir(d.Dir))
	if err != nil {
		return nil, fmt.Errorf("read the witnesses: %w", err)
	}
	return &Result{
		Cycle: id, State: string(c.Phase), ClosedAs: c.ClosedAs, Assets: c.Machines, Outcomes: c.Outcomes,
		InstallsRepeated: repeated, Repairs: c.Repairs, Report: c.Report, Seconds: c.Closed.Sub(c.Opened).Seconds(),
	}, nil
}

func (d *demo) print(r *Result) error {
	if d.JSON {
		enc := json.NewEncoder(d.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	return d.summary(r)
}
