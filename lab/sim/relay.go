package sim

import (
	"cmp"
	"context"
	"math/rand/v2"
	"path/filepath"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching"
)

// site is the machines behind one relay, which is the real one. Only that they ask
// together is not as in reality: a machine would hold a poll of its own.
type site struct {
	relay   *relay.Relay
	members []*member
	log     *zap.Logger
	held    *uplink.Hold // as the machines were told
}

// How a site polls.
const (
	pollChunk   = 1000 // machines a poll: news for one bring all of them again
	pollPause   = 100 * time.Millisecond
	refusedWait = 30 * time.Second
	uselessWait = 2 * time.Second
)

// behindRelay runs a site's machines behind its relay.
func (f *Fleet) behindRelay(ctx context.Context, group *errgroup.Group, name patching.SiteName, members []*member, enrolled func()) error {
	r, err := relay.New(relay.Options{
		Name: string(name), Up: f.opts.Link, Dir: filepath.Join(f.opts.Dir, "relays", string(name)),
		Spool: cmp.Or(f.opts.Spool, -1), Log: f.log,
	})
	if err != nil {
		return err
	}
	group.Go(func() error { return r.Run(ctx) })
	if err := f.enrol(ctx, name, members, r); err != nil {
		return err
	}
	for _, m := range members {
		if !m.machine.down() {
			m.begin(ctx)
		}
	}
	enrolled()
	for from := 0; from < len(members); from += pollChunk {
		group.Go(func() error {
			return (&site{relay: r, members: members[from:min(from+pollChunk, len(members))], log: f.log}).hold(ctx)
		})
	}
	for i, m := range members {
		if i%starting == starting-1 {
			_ = pause.For(ctx, time.Second)
		}
		m.kick() // its first work: an inventory, or what a kill interrupted
	}
	return nil
}

// hold polls for machines until ctx ends.
func (s *site) hold(ctx context.Context) error {
	later := map[patching.DeviceID]time.Time{}
	down := false
	for ctx.Err() == nil {
		ask, of := s.ask(later)
		wait := pollPause
		if len(ask.Devices) == 0 {
			wait = time.Second
		} else if resp, err := s.relay.Poll(ctx, ask); err == nil && !resp.Offline {
			if !s.hand(resp, of, later, down) && !resp.Empty() {
				wait = uselessWait // the server repeats what nobody could use
			}
			down = false
		} else if ctx.Err() == nil {
			s.log.Warn("no news from the server", zap.Bool("offline", resp.Offline), zap.Error(err))
			down, wait = true, time.Second+rand.N(2*time.Second)
		}
		_ = pause.For(ctx, wait) // the loop sees whether it was cut
	}
	return nil
}

func (s *site) ask(later map[patching.DeviceID]time.Time) (uplink.PollRequest, map[patching.DeviceID]*member) {
	ask := uplink.PollRequest{WaitSeconds: int(uplink.MaxWait / time.Second)}
	of := make(map[patching.DeviceID]*member, len(s.members))
	now := time.Now()
	for _, m := range s.members {
		if !m.alive() || now.Before(later[m.device]) || m.machine.truth.Trouble.Flaky && rand.IntN(3) == 0 {
			continue
		}
		d, err := m.agent.Listen()
		if err != nil {
			s.log.Error("a machine cannot sign its presence", zap.Error(err))
			continue
		}
		ask.Devices = append(ask.Devices, d)
		of[m.device] = m
	}
	if len(of) < len(s.members) {
		ask.WaitSeconds = 10 // somebody is left out: ask again soon
	}
	return ask, of
}

// hand gives each machine its part of an answer and reports whether it was of
// use to one. After an outage every machine is told that the line is back, and so is one
// that could not send since: a machine that polls for itself hears it with each answer.
func (s *site) hand(resp uplink.PollResponse, of map[patching.DeviceID]*member, later map[patching.DeviceID]time.Time, back bool) (useful bool) {
	parts := map[patching.DeviceID]*uplink.PollResponse{}
	part := func(d patching.DeviceID) *uplink.PollResponse {
		if parts[d] == nil {
			parts[d] = &uplink.PollResponse{Root: resp.Root, Roots: resp.Roots, At: resp.At, Hold: resp.Hold}
		}
		return parts[d]
	}
	for _, o := range resp.Orders {
		part(o.Device).Orders = append(part(o.Device).Orders, o)
	}
	for _, l := range resp.Leases {
		part(l.Device).Leases = append(part(l.Device).Leases, l)
	}
	for _, n := range resp.Refused {
		part(n.Device).Refused = append(part(n.Device).Refused, n)
		if !n.Stale {
			later[n.Device] = time.Now().Add(refusedWait)
		}
	}
	all := back || len(resp.Root) > 0 || (s.held == nil) != (resp.Hold == nil) || s.held != nil && *s.held != *resp.Hold
	s.held = resp.Hold
	for d, m := range of {
		p := parts[d]
		if p == nil && (all || m.agent.LineDown()) {
			p = part(d)
		}
		if p != nil && m.agent.Take(*p) {
			m.kick()
			useful = true
		}
	}
	return useful
}
