package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Seen is an address at which something is.
type Seen struct {
	Addr    netip.Addr
	Network string
	// MAC is its hardware address, where it is on the same wire; Name what DNS calls it.
	// Both are empty where they are not known.
	MAC, Name string
	// Open are the ports at which a connection was taken.
	Open []uint16
	// How are the ways in which it was seen.
	How []Way
}

// Way is how something was seen at an address.
type Way string

// The ways.
const (
	Answered  Way = "took a connection"
	Refused   Way = "refused a connection"
	Echoed    Way = "answered a ping"
	Neighbour Way = "in the neighbour cache"
)

// Result is what a sweep found.
type Result struct {
	Seen []Seen // by address
	// Probes is how many were sent.
	Probes int
	// NoPing is why none were sent of one kind; empty: they were.
	NoPing string
	// NoNames is why not all that answered were asked their name; empty: they were.
	NoNames string
	// Broken is why not all addresses were tried; empty: all were.
	Broken string
}

// Options are how a sweep meets the world.
type Options struct {
	// Progress is told how many probes of how many are done, one call at a time.
	Progress func(done, of int)
	// Names asks DNS what the addresses are called that answered [nobody].
	Names func(context.Context, netip.Addr) string
}

// patience is how long an answer is waited for. It is below the second after which the
// kernel repeats what got none, so that a probe is one packet.
const patience = 900 * time.Millisecond

// atOnce bounds the connections that wait for an answer.
const atOnce = 256

// sweep is one run.
type sweep struct {
	plan  Plan
	o     Options
	limit *rate.Limiter

	mu   sync.Mutex
	seen map[netip.Addr]*Seen
	sent int
	done int
	of   int // probes in all
}

// Run sweeps. It ends early when the context does, or when the plan's time is over, with
// what it has seen until then.
func Run(ctx context.Context, p Plan, o Options) (Result, error) {
	s := &sweep{plan: p, o: o, limit: rate.NewLimiter(rate.Limit(p.Rate), 1), seen: map[netip.Addr]*Seen{}, of: p.Probes()}
	within, cancel := context.WithTimeout(ctx, p.Time)
	defer cancel()
	noPing, err := s.ping(within)
	if err == nil {
		err = s.connect(within)
	}
	over := errors.Is(err, context.DeadlineExceeded)
	if err != nil && !over && !errors.Is(err, context.Canceled) {
		return Result{}, err
	}
	s.neighbours()
	out := Result{Probes: s.sent, NoPing: noPing}
	switch {
	case ctx.Err() != nil:
		out.Broken = "interrupted"
	case over:
		out.Broken = fmt.Sprintf("the %s that it may take are over", p.Time)
	}
	for _, one := range s.seen {
		switch {
		case o.Names == nil:
		case within.Err() == nil:
			one.Name = o.Names(within, one.Addr)
		default:
			out.NoNames = "the sweep was over before"
		}
		slices.Sort(one.Open)
		slices.Sort(one.How)
		out.Seen = append(out.Seen, *one)
	}
	slices.SortFunc(out.Seen, func(a, b Seen) int { return a.Addr.Compare(b.Addr) })
	return out, nil
}

// note puts down that something is at an address.
func (s *sweep) note(t Target, how Way, port uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.seen[t.Addr]
	if one == nil {
		one = &Seen{Addr: t.Addr, Network: t.Network}
		s.seen[t.Addr] = one
	}
	if !slices.Contains(one.How, how) {
		one.How = append(one.How, how)
	}
	if how == Answered {
		one.Open = append(one.Open, port)
	}
}

// send waits until the next probe may be sent.
func (s *sweep) send(ctx context.Context) error {
	if err := s.limit.Wait(ctx); err != nil {
		// Of a wait that would outlast the deadline the limiter says so at once.
		return cmp.Or(ctx.Err(), context.DeadlineExceeded)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent++
	return nil
}

func (s *sweep) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if s.o.Progress != nil {
		s.o.Progress(s.done, s.of)
	}
}

// connect tries one port of all addresses after the other, so that no machine gets its
// probes in a burst.
func (s *sweep) connect(ctx context.Context) error {
	var group errgroup.Group
	group.SetLimit(atOnce)
	defer func() { _ = group.Wait() }() // what they return is looked at below
	for round := range maxPorts {
		for _, t := range s.plan.Targets {
			if round >= len(t.Ports) {
				continue
			}
			if err := s.send(ctx); err != nil {
				return errors.Join(err, group.Wait())
			}
			group.Go(func() error {
				defer s.ended()
				s.dial(ctx, t, t.Ports[round])
				return nil
			})
		}
	}
	return group.Wait()
}

func (s *sweep) dial(ctx context.Context, t Target, port uint16) {
	d := net.Dialer{Timeout: patience}
	c, err := d.DialContext(ctx, "tcp", netip.AddrPortFrom(t.Addr, port).String())
	switch {
	case err == nil:
		c.Close()
		s.note(t, Answered, port)
	case errors.Is(err, syscall.ECONNREFUSED):
		s.note(t, Refused, port)
	}
}
