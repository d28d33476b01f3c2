package drill

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/freeport"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// serverAlone kills "patchcycle server" while the fleet goes on in a process of
// its own, and starts it again.
func (s *stage) serverAlone(ctx context.Context) error {
	const local = "127.0.0.1"
	ports, err := freeport.Quiet.Choose(local, 1)
	if err != nil {
		return err
	}
	uplink := net.JoinHostPort(local, strconv.Itoa(ports[0]))
	server, err := s.server(ctx, uplink)
	if err != nil {
		return err
	}
	s.result.Recovery = nil // that was the first start
	defer func() { server.kill() }()
	people, err := trial.Meet(ctx, s.dir, 0)
	if err != nil {
		return err
	}
	if _, err := trial.EnrolTokens(ctx, people.Admin, s.dir, s.Machines); err != nil {
		return err
	}
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error {
		for _, m := range s.result.Kills {
			err := s.await(bothCtx, m, server)
			server.kill()
			if err != nil {
				return fmt.Errorf("kill %s: %w", m, err)
			}
			s.struck()
			next, err := s.server(bothCtx, uplink)
			if err != nil {
				return err
			}
			server = next
		}
		return nil
	})
	both.Go(func() error { return s.deploy(bothCtx, people, uplink) })
	if err := both.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", errors.Join(err, context.Cause(ctx)), tail(filepath.Join(s.dir, "server.log")))
	}
	if err := server.stop(); err != nil {
		s.problem("the server, asked to stop: %v", err)
	}
	return nil
}

// server starts the server and waits until it answers.
func (s *stage) server(ctx context.Context, uplink string) (*process, error) {
	p, err := s.spawn(s.dir, "server", "server", "--data-dir", s.dir, "--uplink", uplink, "--ui", "", "--log-level", "warn")
	if err != nil {
		return nil, err
	}
	if err := s.recovered(ctx, p); err != nil {
		p.kill()
		return nil, err
	}
	return p, nil
}

// deploy sends the fleet through a cycle, whatever happens to the server.
func (s *stage) deploy(ctx context.Context, people *trial.People, uplink string) error {
	var event int64
	for _, m := range s.result.Kills {
		event = max(event, m.Event)
	}
	var once sync.Once
	fleet, err := trial.StartFleet(ctx, trial.FleetOptions{
		Program: s.Program, Env: s.environment(), Dir: s.dir, Server: "http://" + uplink,
		Profile: trial.Profile(s.Machines, s.fleetSeed()), Args: []string{fmt.Sprintf("-tell-at=%d", event)},
		Told: func(int64) { once.Do(func() { close(s.reached) }) },
	})
	if err != nil {
		return err
	}
	defer fleet.Stop()
	err = patiently(ctx, func() error {
		n, err := trial.Inventoried(ctx, people.Author)
		if err == nil && n < s.Machines {
			err = client.ErrAway // not all of it is there
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("await inventories: %w", err)
	}
	key := client.NewKey()
	var id patching.CycleID
	err = patiently(ctx, func() error {
		started, err := people.Author.StartCycle(ctx, trial.PolicyName, wire.StartCycle{}, key)
		id = started.Cycle
		return err
	})
	if err != nil {
		return fmt.Errorf("start the cycle: %w", err)
	}
	closed, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		<-fleet.Done()
		cancel(fmt.Errorf("the fleet ended: %w", fleet.Err()))
	}()
	if err := s.approver.await(closed, func() bool { return s.approver.phase.Terminal() }); err != nil {
		return err
	}
	if s.approver.cycle != id {
		s.problem("%s was started, but %s has closed", id, s.approver.cycle)
	}
	return nil
}

// patiently repeats what fails because the server is away.
func patiently(ctx context.Context, do func() error) error {
	for {
		err := do()
		if err == nil || !passing(err) {
			return err
		}
		_ = pause.For(ctx, 100*time.Millisecond)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}
