package sim

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// relay stands between a site's machines and the server as a real one does: it
// sends the messages of many machines in one batch, holds polls upstream for
// all of them, and keeps the bundles of the site. It spools nothing: what was
// not acknowledged is the machine's to send again.
type relay struct {
	up   uplink.Link
	name string
	log  *zap.Logger

	queue    chan *parcel
	fetching singleflight.Group
	kept     sync.Map // patching.Digest → []byte
}

// parcel is what one machine sends and waits for.
type parcel struct {
	messages []uplink.Message
	done     chan delivery
}

type delivery struct {
	acks []uplink.Ack
	err  error
}

// How a relay batches.
const (
	gatherFor   = 150 * time.Millisecond
	gatherMost  = 500
	sendAtOnce  = 4
	pollChunk   = 1000 // machines a poll: news for one bring all of them again
	pollPause   = 100 * time.Millisecond
	refusedWait = 30 * time.Second
	uselessWait = 2 * time.Second
)

func newRelay(up uplink.Link, name string, log *zap.Logger) *relay {
	return &relay{up: up, name: name, log: log.With(zap.String("relay", name)), queue: make(chan *parcel)}
}

// Enrol implements [uplink.Link].
func (r *relay) Enrol(ctx context.Context, ask uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	return r.up.Enrol(ctx, ask)
}

// Poll implements [uplink.Link].
func (r *relay) Poll(ctx context.Context, ask uplink.PollRequest) (uplink.PollResponse, error) {
	ask.Relay = r.name
	return r.up.Poll(ctx, ask)
}

// Content implements [uplink.Link]: a bundle travels once per site.
func (r *relay) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	if text, ok := r.kept.Load(d); ok {
		return text.([]byte), nil
	}
	text, err, _ := r.fetching.Do(string(d), func() (any, error) { return r.up.Content(ctx, d) })
	if err != nil {
		return nil, err
	}
	r.kept.Store(d, text)
	return text.([]byte), nil
}

// Send implements [uplink.Link].
func (r *relay) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	p := &parcel{messages: b.Messages, done: make(chan delivery, 1)}
	select {
	case r.queue <- p:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case d := <-p.done:
		return d.acks, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// carry gathers parcels and sends them upstream until ctx ends.
func (r *relay) carry(ctx context.Context) error {
	sending := make(chan struct{}, sendAtOnce)
	for {
		select {
		case first := <-r.queue:
			batch := r.gather(ctx, first)
			select {
			case sending <- struct{}{}:
			case <-ctx.Done():
				return nil
			}
			go func() {
				defer func() { <-sending }()
				r.deliver(ctx, batch)
			}()
		case <-ctx.Done():
			return nil
		}
	}
}

func (r *relay) gather(ctx context.Context, first *parcel) []*parcel {
	batch, n := []*parcel{first}, len(first.messages)
	patience := time.NewTimer(gatherFor)
	defer patience.Stop()
	for n < gatherMost {
		select {
		case p := <-r.queue:
			batch, n = append(batch, p), n+len(p.messages)
		case <-patience.C:
			return batch
		case <-ctx.Done():
			return batch
		}
	}
	return batch
}

func (r *relay) deliver(ctx context.Context, batch []*parcel) {
	var messages []uplink.Message
	for _, p := range batch {
		messages = append(messages, p.messages...)
	}
	acks, err := r.up.Send(ctx, uplink.Batch{Relay: r.name, Messages: messages})
	type name struct {
		device  patching.DeviceID
		counter uint64
	}
	of := make(map[name]uplink.Ack, len(acks))
	for _, a := range acks {
		of[name{a.Device, a.Counter}] = a
	}
	for _, p := range batch {
		var mine []uplink.Ack
		for _, m := range p.messages {
			if a, ok := of[name{m.Device, m.Counter}]; ok {
				mine = append(mine, a)
			}
		}
		p.done <- delivery{mine, err}
	}
}

// behindRelay runs a site's machines behind its relay.
func (f *Fleet) behindRelay(ctx context.Context, group *errgroup.Group, site patching.SiteName, members []*member, enrolled func()) error {
	r := newRelay(f.opts.Link, string(site), f.log)
	group.Go(func() error { return r.carry(ctx) })
	if err := f.enrol(ctx, site, members, r); err != nil {
		return err
	}
	for _, m := range members {
		if !m.machine.down() {
			m.begin(ctx)
		}
	}
	enrolled()
	for from := 0; from < len(members); from += pollChunk {
		group.Go(func() error { return r.hold(ctx, members[from:min(from+pollChunk, len(members))]) })
	}
	for i, m := range members {
		if i%starting == starting-1 && !pause(ctx, time.Second) {
			return nil
		}
		m.kick() // its first work: an inventory, or what a kill interrupted
	}
	return nil
}

// hold polls for machines until ctx ends.
func (r *relay) hold(ctx context.Context, members []*member) error {
	later := map[patching.DeviceID]time.Time{}
	down := false
	for ctx.Err() == nil {
		ask, of := r.ask(members, later)
		wait := pollPause
		if len(ask.Devices) == 0 {
			wait = time.Second
		} else if resp, err := r.up.Poll(ctx, ask); err == nil {
			if !r.hand(resp, of, later, down) && !resp.Empty() {
				wait = uselessWait // the server repeats what nobody could use
			}
			down = false
		} else if ctx.Err() == nil {
			r.log.Warn("no news from the server", zap.Error(err))
			down, wait = true, time.Second+rand.N(2*time.Second)
		}
		if !pause(ctx, wait) {
			return nil
		}
	}
	return nil
}

func (r *relay) ask(members []*member, later map[patching.DeviceID]time.Time) (uplink.PollRequest, map[patching.DeviceID]*member) {
	ask := uplink.PollRequest{Relay: r.name, WaitSeconds: int(uplink.MaxWait / time.Second)}
	of := make(map[patching.DeviceID]*member, len(members))
	now := time.Now()
	for _, m := range members {
		if !m.alive() || now.Before(later[m.device]) || m.machine.truth.Trouble.Flaky && rand.IntN(3) == 0 {
			continue
		}
		d, err := m.agent.Listen()
		if err != nil {
			r.log.Error("a machine cannot sign its presence", zap.Error(err))
			continue
		}
		ask.Devices = append(ask.Devices, d)
		of[m.device] = m
	}
	if len(of) < len(members) {
		ask.WaitSeconds = 10 // somebody is left out: ask again soon
	}
	return ask, of
}

// hand gives each machine its part of an answer and reports whether it was of
// use to one. After an outage every machine is told that the line is back.
func (r *relay) hand(resp uplink.PollResponse, of map[patching.DeviceID]*member, later map[patching.DeviceID]time.Time, back bool) (useful bool) {
	parts := map[patching.DeviceID]*uplink.PollResponse{}
	part := func(d patching.DeviceID) *uplink.PollResponse {
		if parts[d] == nil {
			parts[d] = &uplink.PollResponse{Root: resp.Root, At: resp.At}
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
	for d, m := range of {
		p := parts[d]
		if p == nil && (back || len(resp.Root) > 0) {
			p = part(d)
		}
		if p != nil && m.agent.Take(*p) {
			m.kick()
			useful = true
		}
	}
	return useful
}

var _ uplink.Link = (*relay)(nil)
