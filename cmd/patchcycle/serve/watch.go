package serve

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/trust"
)

// How often the server looks after what nobody started.
const (
	judgeTasks = 5 * time.Second
	lookForDue = time.Minute
	tidyDepot  = time.Hour
	tendFeeds  = 30 * time.Second
)

// watch looks after what no workflow does: tasks that wait for a rescan, and
// cycles that should have started and did not.
func (s *Server) watch(ctx context.Context) {
	tasks := &activities.Tasks{Store: s.Store, Now: time.Now}
	s.every(ctx, judgeTasks, "judge tasks", tasks.Judge)
	s.every(ctx, lookForDue, "look for missed cycles", s.alarm)
	s.every(ctx, tellPeople, "tell people", s.notices.Round)
	if s.snapshots != nil {
		s.every(ctx, tidyDepot, "drop snapshots that nobody needs", s.snapshots.Tidy)
	}
	s.every(ctx, tendFeeds, "bring feeds up to date", s.feeds.Tend)
	s.every(ctx, tendBackups, "ask for backups", func(context.Context) error { return s.backups.keeper.Tend(ctx) })
	s.every(ctx, lookAtDisk, "look at the disk", s.lookAtRoom)
	s.tasks.Go(func() {
		select {
		case err := <-s.Engine.Failed():
			s.fail(fmt.Errorf("engine: %w", err))
		case <-ctx.Done():
		}
	})
}

func (s *Server) every(ctx context.Context, d time.Duration, what string, do func(context.Context) error) {
	s.tasks.Go(func() {
		t := time.NewTicker(d)
		defer t.Stop()
		for { // at once: what was missed while the server was down is old already
			if err := do(ctx); err != nil && ctx.Err() == nil {
				s.Config.Log.Warn(what, zap.Error(s.Config.explain(err)))
			}
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
		}
	})
}

// alarm opens a task for a cycle that should have started and did not, once.
func (s *Server) alarm(ctx context.Context) error {
	missed, err := s.missed(ctx)
	if err != nil {
		return err
	}
	var tasks []patching.Task
	for _, m := range missed {
		s.Config.Log.Error("missed cycle", zap.String("cycle", string(m.Cycle)), zap.Time("due", m.Due))
		tasks = append(tasks, patching.Task{
			ID: patching.TaskID("t-missed-" + patching.DigestOf([]byte(m.Cycle)).Short()), Cycle: m.Cycle,
			Cause: patching.ReasonUnknown, Tried: m.Words, Steps: "Find out why the schedule did not start it.\nStart the cycle.",
			Due: m.Due.Add(24 * time.Hour), Opened: time.Now().UTC(), State: patching.TaskOpen,
		})
	}
	return s.Store.PutTasks(ctx, tasks)
}

func (s *Server) missed(ctx context.Context) ([]starter.Missed, error) {
	policies, err := s.Store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	calendars := map[patching.PolicyName]window.Monthly{}
	for _, v := range policies {
		p, err := policy.Adopted(string(v.Name), v.Source)
		if err != nil {
			return nil, err
		}
		m, err := p.Calendar.Monthly()
		if err != nil {
			return nil, err
		}
		calendars[v.Name] = m
	}
	return s.Starter.Overdue(ctx, calendars)
}

// checks are what "patchcycle doctor" asks of the parts.
func (s *Server) checks() []func(context.Context) wire.Check {
	return []func(context.Context) wire.Check{s.checkDisk, s.checkEngine, s.checkCycles, s.checkMissed, s.checkFeeds, s.checkNotify, s.checkBackups}
}

func (s *Server) checkEngine(ctx context.Context) wire.Check {
	c := wire.Check{Name: "engine", OK: true, Words: "Temporal answers at " + s.Engine.Addr() + "."}
	if _, err := s.Engine.Client().CheckHealth(ctx, nil); err != nil {
		c.OK, c.Words, c.WayOut = false, "Temporal does not answer: "+err.Error(), "Look at the server's log; restart it if it says that the engine broke."
	}
	return c
}

func (s *Server) checkMissed(ctx context.Context) wire.Check {
	missed, err := s.missed(ctx)
	switch {
	case err != nil:
		return wire.Check{Name: "calendar", Words: "The schedules could not be read: " + err.Error(), WayOut: "See the check of the engine."}
	case len(missed) > 0:
		return wire.Check{Name: "calendar", Words: missed[0].Words, WayOut: "patchcycle schedule list"}
	default:
		return wire.Check{Name: "calendar", OK: true, Words: "No cycle that should have started is missing."}
	}
}

// rescan asks one machine for a fresh inventory.
type rescan struct{ server *Server }

// Rescan orders the inventory; the order is good for a day.
func (r rescan) Rescan(ctx context.Context, id patching.AssetID) error {
	a, err := r.server.Store.Asset(ctx, id)
	if err != nil {
		return err
	}
	if a.Device == "" {
		return fmt.Errorf("no agent is enrolled on %s", a.Hostname)
	}
	return r.server.root.Dispatcher().Issue(ctx, []trust.Draft{{
		ID: patching.OrderID("o-rescan-" + rand.Text()), Asset: id, Device: a.Device, Verb: trust.Collect, NotAfter: time.Now().Add(24 * time.Hour),
	}})
}

func (s *Server) deviceChanged(patching.DeviceID) { s.root.DevicesChanged() }
