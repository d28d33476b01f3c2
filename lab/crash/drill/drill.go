package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
)

// Options say what is killed and where.
type Options struct {
	// Program is patchcycle; Env is added to its environment.
	Program string
	Env     []string
	// Dir is where runs keep their state, each in a folder of its own. Its path
	// has to be short: a unix socket goes into it.
	Dir string
	// DatabaseURL is an empty database of PostgreSQL; empty: SQLite.
	DatabaseURL string
	// Machines are simulated [60].
	Machines int
	// Limit bounds a run [6 min].
	Limit time.Duration
}

// Result is how a run ended.
type Result struct {
	Run
	Cycle patching.CycleID `json:"cycle"`
	// Killed says for each kill where the cycle stood.
	Killed []string `json:"killed"`
	// Recovery is for each kill how long the next process took until the API
	// answered, in seconds.
	Recovery []float64                `json:"recovery_seconds"`
	Seconds  float64                  `json:"seconds"`
	ClosedAs patching.ClosedAs        `json:"closed_as"`
	Outcomes map[patching.Outcome]int `json:"outcomes"`
	Events   int                      `json:"witness_events"`
	// Halts are why gates halted.
	Halts []string `json:"halts,omitempty"`
	// Problems are what should not be; none: the run passed.
	Problems []string `json:"problems"`
	// Dir is what is left to look at.
	Dir string `json:"-"`
}

// Passed reports whether all was as if nothing had been.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Do makes a run. What went wrong stands in the result.
func Do(ctx context.Context, o Options, r Run) Result {
	if o.Machines == 0 {
		o.Machines = 60
	}
	if o.Limit == 0 {
		o.Limit = 6 * time.Minute
	}
	began := time.Now()
	s := &stage{Options: o, result: &Result{Run: r, Problems: []string{}}, reached: make(chan struct{})}
	s.dir = filepath.Join(o.Dir, fmt.Sprintf("run%d", r.Number))
	s.result.Dir = s.dir
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, fmt.Errorf("the run did not end within %s", o.Limit))
	defer cancel()
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		err = s.play(ctx)
	}
	s.result.Seconds = time.Since(began).Seconds()
	if err != nil {
		s.problem("%v (the cycle stood in %s)", err, s.stands())
		return *s.result
	}
	if err := s.check(ctx); err != nil {
		s.problem("the record cannot be read: %v", err)
	}
	return *s.result
}

// stage is a run under way.
type stage struct {
	Options
	dir      string
	result   *Result
	putOff   int // machines that were deferred, but for want of a sound patch
	approver *approver
	// reached is closed at the event that the fleet was to tell.
	reached chan struct{}
}

// play runs the cycle to its end, kills and all.
func (s *stage) play(ctx context.Context) error {
	s.approver = newApprover(s.dir, s.result.Victim == ServerAlone || s.byHand())
	ctx, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	watching, stop := context.WithCancel(ctx)
	go func() {
		defer close(watched)
		if err := s.approver.watch(watching); err != nil {
			cancel(err)
		}
	}()
	defer func() {
		stop()
		<-watched
		cancel(nil)
	}()
	if s.result.Victim == ServerAlone {
		return s.serverAlone(ctx)
	}
	return s.everything(ctx)
}

// byHand reports whether the moment needs an approval that we send ourselves.
func (s *stage) byHand() bool {
	for _, m := range s.result.Kills {
		if m.Kind == Approving || m.Kind == Approved {
			return true
		}
	}
	return false
}

// await waits for the moment of a kill. A process that ends before is an error,
// unless the moment is an event: it is the fleet that kills there.
func (s *stage) await(ctx context.Context, m Moment, p *process) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a := s.approver
	go func() {
		if a.await(ctx, func() bool { return a.phase.Terminal() }) == nil {
			cancel(errors.New("the cycle had closed before it was to be killed"))
		}
	}()
	go func() {
		select {
		case <-p.done:
			cancel(fmt.Errorf("it ended before it was to be killed: %w", orDone(p.err)))
		case <-ctx.Done():
		}
	}()
	var err error
	switch m.Kind {
	case AtEvent:
		select {
		case <-s.reached:
		case <-p.done:
		case <-ctx.Done():
		}
		if err = context.Cause(ctx); p.ended() && p.killed() {
			err = nil
		}
	case InPhase:
		err = a.await(ctx, func() bool { return rank(a.phase) >= rank(m.Phase) })
	case Approving:
		err = a.await(ctx, func() bool { return a.sending != "" })
	case Approved:
		err = a.await(ctx, func() bool { return a.acked != "" })
	case AtStart:
	}
	if err == nil && m.After > 0 {
		_ = pause.For(ctx, m.After)
		err = context.Cause(ctx)
	}
	return err
}

func orDone(err error) error {
	if err == nil {
		return errors.New("its work was done")
	}
	return err
}

// struck notes a kill that was done.
func (s *stage) struck() { s.result.Killed = append(s.result.Killed, s.stands()) }

// stands says where the cycle was seen last.
func (s *stage) stands() string {
	s.approver.mu.Lock()
	defer s.approver.mu.Unlock()
	if s.approver.phase == "" {
		return "no phase yet"
	}
	return string(s.approver.phase)
}

// recovered waits until the API answers again, and notes how long that took.
func (s *stage) recovered(ctx context.Context, p *process) error {
	began := time.Now()
	for {
		c, err := trial.As(s.dir, "")
		if err != nil {
			return err
		}
		if _, err := c.Health(ctx); err == nil {
			s.result.Recovery = append(s.result.Recovery, time.Since(began).Seconds())
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it did not start again: %w", orDone(p.err))
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (s *stage) problem(format string, args ...any) {
	s.result.Problems = append(s.result.Problems, fmt.Sprintf(format, args...))
}
