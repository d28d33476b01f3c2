package root

import (
	"context"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/patching"
)

// holding is the latest word about whether anything may start, as polls tell it.
type holding struct{ last atomic.Pointer[patching.Hold] }

// at returns the hold that is in force at now; nil: none is.
func (h *holding) at(now time.Time) *patching.Hold {
	if is := h.last.Load(); is != nil && is.Holds(now) {
		return is
	}
	return nil
}

// HoldChanged says that somebody has held machines, or let them go on: polls are told
// by their next answer.
func (s *Server) HoldChanged(ctx context.Context) error {
	h, err := s.opts.Store.Hold(ctx)
	if err != nil {
		return err
	}
	s.held.last.Store(&h)
	return nil
}

// lookAtHold reads the hold from time to time: another process may have said it.
func (s *Server) lookAtHold(ctx context.Context) {
	t := time.NewTicker(s.opts.Presence)
	defer t.Stop()
	for {
		if err := s.HoldChanged(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("whether machines are held could not be read", zap.Error(err))
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
