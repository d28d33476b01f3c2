package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/measure"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/usage"
	"github.com/patchcycle/patchcycle/patching"
)

// measureCycle lets a new fleet enrol with a new server, and patches it.
func measureCycle(ctx context.Context, o options, db *database, engine string, machines int, dir string) (r cycleResult, err error) {
	r.Machines, r.LoadBefore = machines, usage.Load()
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, fmt.Errorf("given up after %s", o.limit))
	defer cancel()
	measure.Say("%s: %d machines (load %.1f)", engine, machines, r.LoadBefore)
	at, err := db.fresh(ctx)
	if err != nil {
		return r, err
	}
	s, err := startServer(ctx, o, filepath.Join(dir, "s"), at)
	if err != nil {
		return r, err
	}
	defer func() { // one size after the other has to fit on the disk
		if err != nil {
			err = errors.Join(err, keepLogs(dir, filepath.Join(o.out, fmt.Sprintf("%s-%d", engine, machines))))
		}
		_ = os.RemoveAll(dir)
	}()
	defer s.stop()
	p, err := meet(ctx, s)
	if err != nil {
		return r, err
	}
	f, err := r.enrol(ctx, o, db, s, p, dir)
	if err != nil {
		return r, err
	}
	defer f.stop()
	if r.Rest, err = atRest(ctx, s, db, min(o.rest, 15*time.Second)); err != nil {
		return r, err
	}
	id, err := r.cycle(ctx, db, s, f, p, filepath.Join(o.out, fmt.Sprintf("%s-%d", engine, machines)))
	if err != nil {
		return r, errors.Join(err, context.Cause(ctx))
	}
	r.LoadAfter = usage.Load()
	if err := r.count(ctx, db, s, p, id); err != nil {
		return r, err
	}
	f.stop()
	if r.Repeats, _, err = sim.Repeats(f.dir); err != nil {
		return r, fmt.Errorf("read the witnesses: %w", err)
	}
	return r, nil
}

// keepLogs saves what server and fleet said of a size that failed.
func keepLogs(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, log := range []string{"s/server.log", "fleet.log"} {
		text, err := os.ReadFile(filepath.Join(from, log))
		if err != nil {
			continue // it did not come to that
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(log)), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// instant is what processes had used at one.
type instant struct {
	at                      time.Time
	server, database, fleet float64
	writes                  int64
}

func (u instant) until(v instant, machines int) spent {
	n := float64(machines)
	return spent{
		Seconds: v.at.Sub(u.at).Seconds(), ServerMS: 1000 * (v.server - u.server) / n, DatabaseMS: 1000 * (v.database - u.database) / n,
		FleetMS: 1000 * (v.fleet - u.fleet) / n, Writes: float64(v.writes-u.writes) / n,
	}
}

func look(ctx context.Context, db *database, s *server, f *fleet) (instant, error) {
	writes, err := s.writes(ctx)
	u := instant{at: time.Now(), server: usage.CPU(s.pid()), database: db.seconds(), writes: writes}
	if f != nil {
		u.fleet = usage.CPU(f.pid())
	}
	return u, err
}

// enrol starts the fleet and waits until all machines have said what is
// installed on them.
func (r *cycleResult) enrol(ctx context.Context, o options, db *database, s *server, p *people, dir string) (*fleet, error) {
	// Nothing is wrong with this fleet: what happens does not depend on chance.
	profile := truth.Profile{Machines: r.Machines, Seed: 1, Sites: truth.DefaultSites(o.sites)}
	profileFile, tokens, err := p.prepare(ctx, profile, dir)
	if err != nil {
		return nil, err
	}
	before, err := look(ctx, db, s, nil)
	if err != nil {
		return nil, err
	}
	f, err := startFleet(ctx, o, filepath.Join(dir, "fleet"), "http://"+s.uplink, profileFile, tokens)
	if err != nil {
		return nil, err
	}
	if err := awaitInventories(ctx, p, r.Machines); err != nil {
		f.stop()
		return nil, err
	}
	after, err := look(ctx, db, s, f)
	if err != nil {
		f.stop()
		return nil, err
	}
	r.Enrol = before.until(after, r.Machines)
	return f, nil
}

// awaitInventories pages through the machines once, waiting at those that have
// sent none: asking for all again and again would be most of the server's work.
func awaitInventories(ctx context.Context, p *people, want int) error {
	q := client.AssetQuery{Limit: 1000}
	for seen := 0; seen < want; {
		page, err := p.author.Assets(ctx, q)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		known := 0
		for _, a := range page.Items {
			if a.Inventoried.IsZero() {
				break
			}
			known++
			q.After = a.ID
		}
		seen += known
		if known == 0 {
			if err := pause.For(ctx, 250*time.Millisecond); err != nil {
				return fmt.Errorf("%d of %d machines have sent their inventory: %w", seen, want, err)
			}
		}
	}
	return nil
}

// cycle runs one cycle from its start until it has closed.
func (r *cycleResult) cycle(ctx context.Context, db *database, s *server, f *fleet, p *people, profiles string) (patching.CycleID, error) {
	before, err := look(ctx, db, s, f)
	if err != nil {
		return "", err
	}
	prof := startProfiles(ctx, s, profiles)
	started, err := p.author.StartCycle(ctx, policyName, wire.StartCycle{}, client.NewKey())
	if err != nil {
		prof.stop()
		return "", err
	}
	closed, err := follow(ctx, p, started.Cycle, r)
	if err != nil {
		prof.stop()
		return "", err
	}
	after, err := look(ctx, db, s, f)
	prof.stop()
	if err != nil {
		return "", err
	}
	r.Cycle = before.until(after, r.Machines)
	r.Outcomes, r.ClosedAs = closed.Outcomes, string(closed.ClosedAs)
	now, peak := usage.Memory(s.pid())
	r.MemoryMB, r.PeakMB = now, peak
	r.Parts, r.Kinds, err = prof.shares(ctx)
	return started.Cycle, err
}

// follow approves when asked to, and notes how long each phase took.
func follow(ctx context.Context, p *people, id patching.CycleID, r *cycleResult) (wire.CycleDetail, error) {
	var asked patching.Digest
	var phase patching.Phase
	mark, since := "", time.Now()
	for {
		c, err := p.author.WatchCycle(ctx, id, mark, 10*time.Second)
		if err != nil {
			return c, err
		}
		mark = c.Mark
		if c.Phase != phase {
			if phase != "" {
				r.Phases = append(r.Phases, phaseTime{string(phase), time.Since(since).Seconds()})
			}
			phase, since = c.Phase, time.Now()
		}
		switch {
		case c.Phase.Terminal():
			return c, nil
		case c.Phase == patching.PhaseApproval && c.Plan != asked:
			asked = c.Plan
			if _, err := p.approver.Do(ctx, id, "approve", wire.Act{Plan: c.Plan, Reason: "measured"}, client.NewKey()); err != nil {
				return c, fmt.Errorf("approve: %w", err)
			}
		}
	}
}

// count reads from Temporal and from the disk what the cycle left.
func (r *cycleResult) count(ctx context.Context, db *database, s *server, p *people, id patching.CycleID) (err error) {
	if r.Temporal, err = countTemporal(ctx, s.temporal, p.auditor, id, r.Machines); err != nil {
		return err
	}
	if db != nil {
		r.StoreMB, r.EngineMB, err = db.sizes(ctx)
		return err
	}
	r.EngineMB = usage.FolderMB(filepath.Join(s.dir, "engine"))
	files, err := filepath.Glob(filepath.Join(s.dir, "patchcycle.db*"))
	for _, path := range files {
		if info, err := os.Stat(path); err == nil && !strings.HasSuffix(path, "lock") {
			r.StoreMB += float64(info.Size()) / (1 << 20)
		}
	}
	return err
}
