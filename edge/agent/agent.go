// Package agent is the machine's end: a state machine that verifies orders,
// waits for window and start permit, carries them out step by step and says
// what happened.
//
// The real agent and the simulated fleet run the same. It may lose power at
// any instruction: what it is about to do is in the [Journal] before it does
// it, and after a restart it goes on by what the packages look like, never by
// doing a step again.
//
// An idle agent has no goroutine of its own: whoever owns it calls
// [Agent.Listen] and [Agent.Take] around its polls, and [Agent.Work] when there
// is something to do or the time that it named has come. [Agent.Run] does that
// for one resident agent.
package agent

import (
	"crypto/ed25519"
	"fmt"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Identity is who an agent is: what enrolment gave it.
type Identity struct {
	Device patching.DeviceID
	Key    ed25519.PrivateKey
	// Root is the envelope of the trust root that was pinned.
	Root []byte
}

// Config holds an agent's parts. All but Log and Limits are required.
type Config struct {
	Identity Identity
	Machine  Machine
	Link     uplink.Link
	Clock    Clock
	Journal  Journal
	Shelf    Shelf
	Host     Host
	Log      *zap.Logger
	Limits   Limits
	// Version is that of the agent's own program, which inventories tell.
	Version string
}

// Limits are how long an agent waits and how often it tries. Zero fields take
// the default in brackets.
type Limits struct {
	// Send is for how long an order that is under way waits for the server to
	// take a receipt before it goes on [5 s].
	Send time.Duration
	// Retry is the first wait after something failed that may be tried again
	// (a download, a line); it doubles up to RetryMax [15 s, 10 min].
	Retry, RetryMax time.Duration
	// Ask is how long after the last try a start permit that should be there
	// is asked for again [10 min].
	Ask time.Duration
	// Settle is for how long services may take to come up after a step, and
	// Look how often they are looked at [2 min, 5 s].
	Settle, Look time.Duration
	// Watch is for how long services are looked at after a step at least, where the
	// machine counts how often they die: one that dies again and again runs at most
	// moments [10 s].
	Watch time.Duration
	// Return is how long a restart may take to begin [15 min].
	Return time.Duration
	// Inventory is how often an inventory is sent unasked [24 h].
	Inventory time.Duration
	// Boots is how many restarts an order may see without a passed check in
	// between [3].
	Boots int
}

func (l Limits) withDefaults() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	set(&l.Send, 5*time.Second)
	set(&l.Retry, 15*time.Second)
	set(&l.RetryMax, 10*time.Minute)
	set(&l.Ask, 10*time.Minute)
	set(&l.Settle, 2*time.Minute)
	set(&l.Look, 5*time.Second)
	set(&l.Watch, 10*time.Second)
	set(&l.Return, 15*time.Minute)
	set(&l.Inventory, 24*time.Hour)
	if l.Boots == 0 {
		l.Boots = 3
	}
	return l
}

// Agent is one machine's agent. Its methods are safe for concurrent use.
type Agent struct {
	cfg   Config
	keyID patching.Digest
	log   *zap.Logger

	// working lets one goroutine at a time do things to the machine.
	working sync.Mutex

	// mu guards what follows. It is not held while the machine or the line is
	// at work.
	mu   sync.Mutex
	root trust.Pinned
	// floor is the mode of the trust root that the machine was enrolled with.
	floor trust.Mode
	// mode is whose word the machine obeyed when its rules were last read.
	mode  trust.Mode
	state state
	// dirty: a save that had to be durable failed. Nothing is done before it
	// has been made good.
	dirty bool
	sides map[patching.OrderID]*side
	// next is the message counter to be used next.
	next uint64
	// hello is signed presence, kept for half of its life.
	hello   *uplink.Message
	helloAt time.Time
	// leaseSeen is the latest end of a lease that came.
	leaseSeen time.Time
	// letterAt and inventoryAt are when to send; trouble counts failures of the
	// line in a row.
	letterAt, inventoryAt time.Time
	trouble               int
	// shut: the server answered and did not take our messages. That polls are
	// answered is then no reason to try sooner.
	shut bool
}

// New loads the journal and returns the agent; nothing runs yet. What was under
// way is taken up by the first [Agent.Work].
func New(cfg Config) (*Agent, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	text, err := cfg.Journal.Load()
	if err != nil {
		return nil, fmt.Errorf("load the agent's journal: %w", err)
	}
	s, err := readState(text)
	if err != nil {
		return nil, err
	}
	root, floor, err := pinned(cfg.Identity, s)
	if err != nil {
		return nil, err
	}
	now := cfg.Clock.Now()
	a := &Agent{
		cfg: cfg, log: cfg.Log, root: root, floor: floor, state: s, next: s.Counter + 1,
		keyID: trust.PublicKey(cfg.Identity.Key.Public().(ed25519.PublicKey)).ID(),
	}
	rules, err := cfg.Host.Rules()
	a.mode = modeOf(floor, rules, err)
	a.inventoryAt = now
	// A new release reports in at once. An inventory of the future was taken while the
	// clock was ahead: the next would be due years from now.
	if s.Boot == cfg.Machine.Boot() && s.Told == cfg.Version && !s.Inventoried.After(now) {
		a.inventoryAt = s.Inventoried.Add(a.cfg.Limits.Inventory)
	}
	for i := range s.Works {
		a.sideOf(&s.Works[i]).asked = now
	}
	return a, nil
}

// Fleet names the fleet that the agent belongs to.
func (a *Agent) Fleet() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.root.Fleet
}

// sideOf returns the order's side, made if need be. The caller holds mu.
func (a *Agent) sideOf(w *work) *side {
	if a.sides == nil {
		a.sides = map[patching.OrderID]*side{}
	}
	one := a.sides[w.Order.ID]
	if one == nil {
		one = &side{}
		a.sides[w.Order.ID] = one
	}
	return one
}

// save writes the state to the journal. The caller holds mu.
func (a *Agent) save(durable bool) error {
	durable = durable || a.dirty
	if err := a.cfg.Journal.Save(trust.Canonical(a.state), durable); err != nil {
		a.dirty = a.dirty || durable
		return fmt.Errorf("write the agent's journal: %w", err)
	}
	if durable {
		a.dirty = false
	}
	return nil
}

// counterBlock is how many counters are reserved with one durable write.
const counterBlock = 64

// count returns the next message counter, durable before it is used. The
// caller holds mu.
func (a *Agent) count() (uint64, error) {
	if a.next > a.state.Counter {
		before := a.state.Counter
		a.state.Counter = a.next + counterBlock - 1
		if err := a.save(true); err != nil {
			a.state.Counter = before
			return 0, err
		}
	}
	n := a.next
	a.next++
	return n, nil
}

// message returns a signed message under a new counter. The caller holds mu.
func (a *Agent) message(kind uplink.Kind, body []byte) (uplink.Message, error) {
	n, err := a.count()
	if err != nil {
		return uplink.Message{}, err
	}
	return a.sign(n, a.cfg.Machine.Boot(), kind, body), nil
}

func (a *Agent) sign(counter uint64, boot string, kind uplink.Kind, body []byte) uplink.Message {
	m := uplink.Message{Device: a.cfg.Identity.Device, Counter: counter, Boot: boot, Kind: kind, Body: body}
	m.Sign(a.root.Fleet, a.cfg.Identity.Key)
	return m
}
