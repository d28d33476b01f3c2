package serve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// ErrNoCycle says that there is no such cycle on record.
var ErrNoCycle = errors.New("there is no such cycle")

// Abandon closes on record one cycle that does not go on in the engine and never
// will: its workflow failed, was ended behind our back, or was in an engine or a
// cluster that is lost. Orders that no machine has begun are withdrawn, machines
// are given back, and each has its outcome in the report. The server has to be
// stopped; a cycle that goes on is refused, and one that is not on record is
// [ErrNoCycle].
func Abandon(ctx context.Context, c Config, id patching.CycleID, reason string) (words string, err error) {
	c = c.withDefaults()
	defer func() { err = c.explain(err) }()
	if err := c.enter(); err != nil {
		return "", err
	}
	life, cancel := context.WithCancel(ctx)
	s := &Server{Config: c, cancel: cancel, failed: make(chan error, 4)}
	defer s.Stop()
	if err := s.openStore(life); err != nil {
		return "", err
	}
	cycle, err := s.Store.Cycle(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", fmt.Errorf("%w: %s", ErrNoCycle, id)
	case err != nil:
		return "", err
	case cycle.Phase.Terminal():
		return "", fmt.Errorf("%s has closed: %s", id, cycle.Words)
	}
	if err := s.whole(ctx); err != nil {
		return "", err
	}
	if s.Engine, err = startEngine(ctx, c, s.Store); err != nil {
		return "", err
	}
	s.Starter = starter.New(s.Engine.Client(), s.Store, c.Now)
	if err := s.Starter.EndAstray(ctx, id, reason); err != nil {
		var fine *starter.NotNow
		if errors.As(err, &fine) {
			return "", fmt.Errorf("%w: start the server and say \"patchcycle cycle close\"", err)
		}
		return "", err
	}
	return s.closeOnRecord(ctx, cycle, reason)
}

// closeOnRecord does what the cycle's workflow would have done last. That the
// cycle has closed is written down when all the rest is: killed before, it can be
// done again.
func (s *Server) closeOnRecord(ctx context.Context, cycle patching.Cycle, reason string) (string, error) {
	state, err := stateOf(cycle)
	if err != nil {
		return "", err
	}
	_, err = s.Store.AppendAudit(ctx, patching.AuditEntry{
		At: time.Now().UTC(), Actor: "engine abandon", Verb: "abandon", Subject: string(cycle.ID), Body: reason,
	})
	if err != nil {
		return "", err
	}
	state.Ending = &contract.Ending{As: patching.ClosedWithExceptions, Reason: patching.ReasonCancelled, Why: reason}
	cycles := s.cycles()
	closed, err := cycles.Close(ctx, contract.CloseCycleIn{State: state})
	if err != nil {
		return "", err
	}
	state.Closing, state.Phase = closed.Words, patching.PhaseClosed
	made, err := s.reports().Make(ctx, contract.MakeReportIn{State: state})
	if err != nil {
		return "", err
	}
	_, err = cycles.Save(ctx, contract.SaveStateIn{State: state, Words: closed.Words})
	return fmt.Sprintf("%s is closed on record. %s Report: %s", cycle.ID, closed.Words, made.File), err
}
