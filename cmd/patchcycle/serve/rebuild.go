package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Rebuild makes an engine that was lost, or that this program cannot read, anew
// from the store: the old state is set aside, a new epoch begins, and each open
// cycle goes on from the phase in which it was saved last. Machines that had
// begun finish; what had not begun is ordered again, under the new epoch.
func Rebuild(ctx context.Context, c Config, reason string) (words string, err error) {
	c = c.withDefaults()
	defer func() { err = c.explain(err) }()
	if c.TemporalAddress != "" {
		return "", errors.New("an external cluster is not ours to set aside: restore it, or start the server without --temporal-address")
	}
	if err := c.enter(); err != nil {
		return "", err
	}
	open, epoch, where, err := beginEpoch(ctx, c, reason)
	if err != nil {
		return "", err
	}
	c.Uplink, c.UI, c.API, c.rebuilding = "127.0.0.1:0", "", "", true
	s, err := Start(ctx, c)
	if err != nil {
		return "", err
	}
	defer s.Stop()
	for _, state := range open {
		if err := s.Starter.Run(ctx, state.BeginEpoch(epoch)); err != nil {
			return "", err
		}
	}
	schedules, err := s.reschedule(ctx)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("Epoch %d: %d cycles go on, %d schedules were made again. %s Start the server now.", epoch, len(open), schedules, where), nil
}

// beginEpoch sets the old engine aside, takes back in the store what it had set
// in motion, and returns the cycles that are unfinished. Killed on its way, it
// leaves no engine, or one that does not know them: the next start says what to
// do.
func beginEpoch(ctx context.Context, c Config, reason string) (open []contract.CycleState, epoch int64, where string, err error) {
	s := &Server{Config: c, failed: make(chan error, 4)}
	if err := s.openStore(ctx); err != nil {
		return nil, 0, "", err
	}
	defer func() { err = errors.Join(err, s.Store.Close()) }()
	if open, err = s.unfinished(ctx); err != nil {
		return nil, 0, "", err
	}
	if where, err = c.setAside(); err != nil {
		return nil, 0, "", err
	}
	epoch, err = s.restage(ctx, open, reason)
	return open, epoch, where, err
}

// setAside says in words where the old engine's state is now.
func (c Config) setAside() (where string, err error) {
	if c.DatabaseURL != "" {
		return "The engine's old databases were left as they are.", nil
	}
	moved, err := engine.SetAside(filepath.Join(c.Dir, "engine"), time.Now())
	if err != nil || moved == "" {
		return "There was no old state.", err
	}
	return "The old state is in " + moved + ".", nil
}

// unfinished reads the states from which the cycles go on.
func (s *Server) unfinished(ctx context.Context) ([]contract.CycleState, error) {
	cycles, err := s.Store.Cycles(ctx, store.CycleFilter{Unfinished: true})
	if err != nil {
		return nil, err
	}
	var open []contract.CycleState
	for _, cycle := range cycles {
		state, err := stateOf(cycle)
		if err != nil {
			return nil, err
		}
		open = append(open, state)
	}
	return open, nil
}

// stateOf is the state in which a cycle was saved last.
func stateOf(c patching.Cycle) (contract.CycleState, error) {
	state := contract.CycleState{ID: c.ID, Kind: c.Kind, Policy: c.Policy, Author: c.Author, Reason: c.Reason, Shadow: c.Shadow}
	if len(c.State) > 0 {
		if err := json.Unmarshal(c.State, &state); err != nil {
			return state, fmt.Errorf("state of %s: %w", c.ID, err)
		}
	}
	return state, nil
}

func (s *Server) restage(ctx context.Context, open []contract.CycleState, reason string) (epoch int64, err error) {
	if epoch, err = s.Store.BumpEpoch(ctx); err != nil {
		return 0, err
	}
	for _, state := range open {
		if _, err := s.Store.Restage(ctx, state.ID); err != nil {
			return 0, err
		}
	}
	_, err = s.Store.AppendAudit(ctx, patching.AuditEntry{
		At: time.Now().UTC(), Actor: "engine rebuild", Verb: "epoch",
		Subject: fmt.Sprint(epoch), Body: fmt.Sprintf("%s; %d open cycles", reason, len(open)),
	})
	return epoch, err
}

// reschedule makes the schedules again that the record knows and the engine
// does not, because it is new, or was killed before it had them.
func (s *Server) reschedule(ctx context.Context) (int, error) {
	policies, err := s.Store.Policies(ctx)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, v := range policies {
		made, one := s.rescheduleOne(ctx, v)
		if made {
			n++
		}
		if one != nil { // the other policies have a month to keep too
			err = errors.Join(err, fmt.Errorf("schedule of %s: %w", v.Name, one))
		}
	}
	return n, err
}

func (s *Server) rescheduleOne(ctx context.Context, v store.PolicyVersion) (made bool, err error) {
	kept, ok, err := s.Starter.Kept(ctx, v.Name)
	if err != nil || !ok {
		return false, err
	}
	var gone *starter.NotNow
	if _, err := s.Starter.Schedule(ctx, v.Name); !errors.As(err, &gone) {
		return false, err
	}
	p, err := policy.Adopted(string(v.Name), v.Source)
	if err != nil {
		return false, err
	}
	m, err := p.Calendar.Monthly()
	if err != nil {
		return false, err
	}
	return true, s.Starter.SetSchedule(ctx, m, kept.TriggerInput)
}
