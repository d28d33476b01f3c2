package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/internal/freeport"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/bench/back"
	"github.com/patchcycle/patchcycle/lab/measure"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/usage"
	"github.com/patchcycle/patchcycle/trust"
)

// returnCommand measures how a fleet comes back after the server was away: every
// machine has carried out an order meanwhile, and its receipts wait at its relay.
const returnCommand = "return"

type returnOptions struct {
	machines, relays int
	outage, limit    time.Duration
	out              string
}

func parseReturn(args []string) (o returnOptions, err error) {
	fs := flag.NewFlagSet("bench "+returnCommand, flag.ContinueOnError)
	fs.IntVar(&o.machines, "machines", 100_000, "machines")
	fs.IntVar(&o.relays, "relays", 500, "relays that they stand behind, 500 at most")
	fs.DurationVar(&o.outage, "outage", 3*time.Minute, "for how long the server is away at least; it is until all machines have restarted")
	fs.DurationVar(&o.limit, "limit", 15*time.Minute, "how long the return may take; what takes longer is reported as that")
	fs.StringVar(&o.out, "out", "", "folder for results and profiles (default: a new one)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	switch {
	case o.machines < 1:
		return o, fmt.Errorf("-machines %d: want a number from 1", o.machines)
	case o.relays < 1 || o.relays > 500 || o.relays > o.machines:
		return o, fmt.Errorf("-relays %d: want a number from 1 to 500, and no more than machines", o.relays)
	}
	return o, nil
}

// returnResult is what a return took.
type returnResult struct {
	Machines  int          `json:"machines"`
	Relays    int          `json:"relays"`
	Enrol     float64      `json:"enrol_and_first_inventory_seconds"`
	Ordered   int          `json:"machines_that_had_their_order"`
	Outage    float64      `json:"outage_seconds"`
	Waiting   int          `json:"receipts_that_waited"`
	Start     float64      `json:"server_start_seconds"`
	Seconds   float64      `json:"seconds"` // from the server's start until all is there
	Curve     back.Curve   `json:"curve"`
	ServerCPU float64      `json:"server_cpu_seconds"`
	FleetCPU  float64      `json:"fleet_cpu_seconds"`
	ServerMB  float64      `json:"server_peak_memory_mb"`
	FleetMB   float64      `json:"fleet_peak_memory_mb"`
	StoreMB   float64      `json:"store_mb"`
	Stages    []back.Stage `json:"receipts"`
	Wrong     string       `json:"wrong,omitempty"`
	Parts     []share      `json:"profile_by_part"`
	Kinds     []share      `json:"profile_by_kind"`
}

func benchReturn(ctx context.Context, args []string) error {
	o, err := parseReturn(args[1:])
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
	program, err := measure.Build(ctx, work, "patchcycle")
	if err != nil {
		return err
	}
	run := newRun(ctx, args)
	run.Return = &returnResult{Machines: o.machines, Relays: o.relays}
	failed := run.Return.measure(ctx, o, program, work)
	if failed != nil {
		failed = errors.Join(failed, keepLogs(work, o.out))
	}
	run.End()
	if err := errors.Join(failed, run.keep(o.out)); err != nil {
		return err
	}
	measure.Say("Results and profiles are in %s.", o.out)
	if err := run.printReturn(os.Stdout); err != nil {
		return err
	}
	if run.Return.Wrong != "" {
		return errors.New(run.Return.Wrong)
	}
	return nil
}

func (r *returnResult) measure(ctx context.Context, o returnOptions, program, work string) error {
	ports, err := freeport.Quiet.Choose("127.0.0.1", 1)
	if err != nil {
		return err
	}
	where := options{program: program, uplink: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	s, err := startServer(ctx, where, filepath.Join(work, "s"), "")
	if err != nil {
		return err
	}
	defer func() { s.stop() }()
	f, err := r.enrol(ctx, s, where, work)
	if err != nil {
		return err
	}
	defer f.stop()
	before, err := back.ReadBoots(f.dir)
	if err != nil {
		return err
	}
	// The same moment for all, while nobody is there to hear of it.
	at := time.Now().Add(min(time.Minute+time.Duration(r.Machines)*3*time.Millisecond, trust.LeaseLife-2*time.Minute))
	measure.Say("an order to restart for each, at %s", at.Format(time.TimeOnly))
	s.stop()
	if err := orderRestarts(ctx, s.dir, at); err != nil {
		return err
	}
	if s, err = startServer(ctx, where, s.dir, ""); err != nil {
		return err
	}
	record, err := openRecord(s.dir)
	if err != nil {
		return err
	}
	defer record.Close()
	if err := r.deliver(ctx, record, at.Add(-2*time.Second)); err != nil {
		return err
	}
	s.kill()
	away := time.Now()
	if err := r.awaitRestarts(ctx, record, f.dir, before, at.Add(o.outage)); err != nil {
		return err
	}
	r.Outage = time.Since(away).Seconds()
	began, fleetCPU := time.Now(), usage.CPU(f.pid())
	if s, err = startServer(ctx, where, s.dir, ""); err != nil {
		return err
	}
	r.Start = s.took.Seconds()
	measure.Say("the server is back after %.0f s", r.Outage)
	prof := startProfiles(ctx, s, filepath.Join(o.out, "profiles"))
	err = r.await(ctx, record, began, o.limit)
	r.ServerCPU, r.FleetCPU = usage.CPU(s.pid()), usage.CPU(f.pid())-fleetCPU
	_, r.ServerMB = usage.Memory(s.pid())
	_, r.FleetMB = usage.Memory(f.pid())
	prof.stop()
	if err != nil {
		return err
	}
	if r.Parts, r.Kinds, err = prof.shares(ctx); err != nil {
		return err
	}
	return r.check(ctx, record, s, f.dir)
}

// enrol starts the fleet and waits until all machines have said what is installed on
// them. Nothing is wrong with them, and they take as long as real ones.
func (r *returnResult) enrol(ctx context.Context, s *server, where options, work string) (*fleet, error) {
	p, err := meet(ctx, s)
	if err != nil {
		return nil, err
	}
	profile := truth.Profile{Machines: r.Machines, Seed: 1, Sites: truth.DefaultSites(r.Relays)}
	profileFile, tokens, err := p.invite(ctx, profile, work)
	if err != nil {
		return nil, err
	}
	measure.Say("%d machines behind %d relays enrol", r.Machines, r.Relays)
	began := time.Now()
	f, err := startFleet(ctx, where, filepath.Join(work, "fleet"), "http://"+s.uplink, profileFile, tokens,
		"-speed", "1", "-patient", "-spool", fmt.Sprint(256<<20))
	if err != nil {
		return nil, err
	}
	if err := awaitInventories(ctx, p, r.Machines); err != nil {
		f.stop()
		return nil, err
	}
	r.Enrol = time.Since(began).Seconds()
	measure.Say("all have after %.0f s", r.Enrol)
	return f, nil
}

// deliver waits until the machines have their orders, and then until the time has come.
func (r *returnResult) deliver(ctx context.Context, record *record, until time.Time) (err error) {
	for time.Now().Before(until) {
		if r.Ordered, err = record.count(ctx, "SELECT COUNT(*) FROM receipts WHERE stage = 'accepted'"); err != nil {
			return err
		}
		if r.Ordered == r.Machines {
			break
		}
		if err := pause.For(ctx, time.Second); err != nil {
			return err
		}
	}
	measure.Say("%d of %d have their order", r.Ordered, r.Machines)
	return pause.For(ctx, time.Until(until))
}

// awaitRestarts waits until all machines have restarted, and that time at least.
func (r *returnResult) awaitRestarts(ctx context.Context, record *record, dir string, before back.Boots, until time.Time) error {
	there, err := record.count(ctx, "SELECT COUNT(*) FROM receipts")
	if err != nil {
		return err
	}
	r.Waiting = back.Receipts(r.Machines) - there
	measure.Say("the server was killed; %d receipts are to come", r.Waiting)
	if err := pause.For(ctx, time.Until(until)); err != nil {
		return err
	}
	for last := -1; ; {
		now, err := back.ReadBoots(dir)
		if err != nil {
			return err
		}
		restarted := now.Without(before)
		measure.Say("%d have restarted", restarted)
		if restarted == last { // the last ones have told their relays since
			return nil
		}
		last = restarted
		if err := pause.For(ctx, 20*time.Second); err != nil {
			return err
		}
	}
}

// await waits until every machine was heard of again, and its order's last receipt is
// on record.
func (r *returnResult) await(ctx context.Context, record *record, began time.Time, limit time.Duration) error {
	for {
		p := back.Progress{Seconds: time.Since(began).Seconds()}
		var err error
		if p.Heard, err = record.count(ctx, "SELECT COUNT(*) FROM assets WHERE inventoried > ?", began.UnixMicro()); err != nil {
			return err
		}
		if p.Finished, err = record.count(ctx, "SELECT COUNT(*) FROM receipts WHERE stage = 'finished'"); err != nil {
			return err
		}
		r.Curve = append(r.Curve, p)
		r.Seconds = p.Seconds
		if p.Heard >= r.Machines && p.Finished >= r.Machines {
			return nil
		}
		if time.Since(began) > limit {
			r.Wrong = fmt.Sprintf("given up after %s: %d of %d machines were heard, %d have finished", limit, p.Heard, r.Machines, p.Finished)
			return nil
		}
		if err := pause.For(ctx, 2*time.Second); err != nil {
			return err
		}
	}
}
