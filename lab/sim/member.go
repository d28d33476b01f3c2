package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching"
)

// member is a machine of the fleet with its agent.
type member struct {
	fleet   *Fleet
	machine *machine
	home    agent.Home
	agent   *agent.Agent
	device  patching.DeviceID
	ctx     context.Context // ends with the fleet, or when the machine dies

	// A machine behind a relay has a goroutine only while it works.
	mu      sync.Mutex
	working bool
	again   bool
	stopped bool
	timer   *time.Timer
}

// join makes the agent, and enrols the machine if it is not. A server that does
// not answer is asked again for as long as it takes.
func (m *member) join(ctx context.Context, token string, link uplink.Link) error {
	host := m.machine.truth.Facts.Hostname
	if m.machine.truth.Trouble.Flaky {
		link = flaky{link}
	}
	id, _, err := m.home.Identity()
	for errors.Is(err, agent.ErrNotEnrolled) {
		id, err = m.enrol(ctx, token, link)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case uplink.Refusal(err) != nil:
			return fmt.Errorf("enrol %s: %w", host, err)
		default:
			m.fleet.log.Warn("enrolment", zap.String("host", host), zap.Error(err))
			if pause.For(ctx, time.Second+rand.N(2*time.Second)) != nil {
				return ctx.Err()
			}
			err = agent.ErrNotEnrolled
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	m.device = id.Device
	m.agent, err = agent.New(agent.Config{
		Identity: id, Machine: m.machine, Link: link, Clock: m.machine,
		Journal: m.fleet.ledger.Journal(strconv.Itoa(m.machine.truth.Index)),
		Shelf:   m.fleet.shelf, Host: m.machine.rules(), Limits: m.limits(),
		Log: m.fleet.log.With(zap.String("host", host)),
	})
	if err != nil {
		return fmt.Errorf("agent of %s: %w", host, err)
	}
	return nil
}

func (m *member) enrol(ctx context.Context, token string, link uplink.Link) (agent.Identity, error) {
	if token == "" {
		return agent.Identity{}, &uplink.Error{Status: http.StatusForbidden, Words: fmt.Sprintf("no token was given for site %s", m.machine.truth.Site.Name)}
	}
	key, err := m.home.Key()
	if err != nil {
		return agent.Identity{}, err
	}
	facts, err := m.machine.Inventory(ctx)
	if err != nil {
		return agent.Identity{}, err
	}
	id, _, err := agent.Enrol(ctx, link, token, key, facts, m.machine.rules(), "")
	if err != nil {
		return agent.Identity{}, err
	}
	return id, m.home.Keep(id, "simulated")
}

// limits scales what has to do with the machine, and leaves what has to do with
// the line as it is, but shorter: a demonstration does not wait ten minutes for
// a server that is back.
func (m *member) limits() agent.Limits {
	scaled := func(d time.Duration) time.Duration {
		return max(10*time.Millisecond, time.Duration(float64(d)/m.machine.pace))
	}
	l := agent.Limits{Settle: scaled(2 * time.Minute), Look: scaled(5 * time.Second), Return: scaled(15 * time.Minute)}
	if !m.fleet.opts.Patient {
		// Well below the silence of any trial's policy: a machine that has not tried
		// again yet since the server came back would count as one that is dead.
		l.Retry, l.RetryMax = time.Second, 5*time.Second
	}
	return l
}

// begin lets the machine run until ctx ends or it dies.
func (m *member) begin(ctx context.Context) {
	m.ctx, m.machine.off = context.WithCancel(ctx)
}

// alive reports whether the machine takes part.
func (m *member) alive() bool { return m.ctx != nil && m.ctx.Err() == nil }

// kick has the agent work soon; work that is under way is followed by more.
func (m *member) kick() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.working {
		m.again = true
		return
	}
	if m.stopped || !m.alive() {
		return
	}
	m.working = true
	if m.timer != nil {
		m.timer.Stop()
	}
	m.fleet.works.Add(1)
	go m.work()
}

// stop lets nothing more begin.
func (m *member) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
	if m.timer != nil {
		m.timer.Stop()
	}
}

func (m *member) work() {
	defer m.fleet.works.Done()
	for {
		wake, err := m.agent.Work(m.ctx)
		if err != nil && m.alive() {
			m.fleet.log.Error("the agent cannot work", zap.String("host", m.machine.truth.Facts.Hostname), zap.Error(err))
		}
		m.mu.Lock()
		if !m.again || !m.alive() {
			m.rest(wake)
			m.mu.Unlock()
			return
		}
		m.again = false
		m.mu.Unlock()
	}
}

// rest ends the work until wake, by the machine's clock. The caller holds mu.
func (m *member) rest(wake time.Time) {
	m.working, m.again = false, false
	if !m.alive() || wake.IsZero() {
		return
	}
	m.timer = time.AfterFunc(max(0, wake.Sub(m.machine.Now())), m.kick)
}

// flaky is a line that loses a third of what it carries: half of that on the
// way to the server, half on the way back.
type flaky struct{ uplink.Link }

var errLost = errors.New("the line lost it")

// Send implements [uplink.Link].
func (f flaky) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	fate := rand.IntN(6)
	if fate == 0 {
		return nil, errLost
	}
	acks, err := f.Link.Send(ctx, b)
	if fate == 1 {
		return nil, errLost
	}
	return acks, err
}

// Poll implements [uplink.Link].
func (f flaky) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	fate := rand.IntN(6)
	if fate == 0 {
		return uplink.PollResponse{}, errLost
	}
	resp, err := f.Link.Poll(ctx, r)
	if fate == 1 {
		return uplink.PollResponse{}, errLost
	}
	return resp, err
}
