package relay

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// lane is the way of the machines of one relay: of our own, or of a relay that
// stands behind us. Each has its name in batches and polls, so that the server
// knows of each whether it listens.
type lane struct {
	relay *Relay
	name  string
	hops  int

	// queue is for messages, see carry.
	queue chan *parcel

	// The rest is for polls, see ask.
	mu    sync.Mutex
	seats map[patching.DeviceID]*seat
	asked map[*round]struct{}
	fresh chan struct{} // somebody is waiting whom no round asks for
	until time.Time     // when the rounds under way end together
}

func newLane(r *Relay, name string, hops int) *lane {
	return &lane{
		relay: r, name: name, hops: hops, queue: make(chan *parcel),
		seats: map[patching.DeviceID]*seat{}, asked: map[*round]struct{}{}, fresh: make(chan struct{}, 1),
	}
}

// parcel is what one asker sends and waits for.
type parcel struct {
	messages []uplink.Message
	bytes    int
	done     chan delivery
}

type delivery struct {
	acks []uplink.Ack
	err  error
}

// How messages are batched.
const (
	gatherMost  = 500
	gatherBytes = 4 << 20 // of bodies: a third more as they travel, well below [uplink.MaxRequest]
	sendAtOnce  = 4
	sendTime    = 45 * time.Second // within what the asker's connection is held for
)

// Send implements [uplink.Link].
func (r *Relay) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	if len(b.Messages) > uplink.MaxBatch {
		return nil, uplink.TooMany(len(b.Messages), "messages", uplink.MaxBatch, "batch")
	}
	if len(b.Messages) == 0 {
		return nil, nil
	}
	l, err := r.lane(b.Relay, b.Hops)
	if err != nil {
		return nil, err
	}
	p := &parcel{messages: b.Messages, done: make(chan delivery, 1)}
	for _, m := range b.Messages {
		p.bytes += len(m.Body)
	}
	select {
	case l.queue <- p:
	case <-r.life.Done():
		return nil, errOffline
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case d := <-p.done:
		return d.acks, upward(d.err)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// carry gathers parcels and sends them on until ctx ends.
func (l *lane) carry(ctx context.Context) {
	sending := make(chan struct{}, sendAtOnce)
	var next *parcel
	var under sync.WaitGroup
	defer under.Wait()
	for {
		first := next
		if first == nil {
			select {
			case first = <-l.queue:
			case <-ctx.Done():
				return
			}
		}
		var batch []*parcel
		batch, next = l.gather(ctx, first)
		sending <- struct{}{} // the one before ends: it is bounded
		under.Go(func() {
			defer func() { <-sending }()
			l.deliver(ctx, batch)
		})
	}
}

// gather waits for company. Two askers that speak for the same device do not
// travel together: what the server refuses of the one would stop the other.
func (l *lane) gather(ctx context.Context, first *parcel) (batch []*parcel, next *parcel) {
	batch = []*parcel{first}
	n, bytes := len(first.messages), first.bytes
	of := map[patching.DeviceID]bool{}
	join := func(p *parcel) (alone bool) {
		for _, m := range p.messages {
			alone = alone || of[m.Device]
		}
		for _, m := range p.messages {
			of[m.Device] = true
		}
		return alone
	}
	join(first)
	patience := time.NewTimer(l.relay.opts.Gather)
	defer patience.Stop()
	for n < gatherMost {
		select {
		case p := <-l.queue:
			if n, bytes = n+len(p.messages), bytes+p.bytes; n > uplink.MaxBatch || bytes > gatherBytes || join(p) {
				return batch, p
			}
			batch = append(batch, p)
		case <-patience.C:
			return batch, nil
		case <-ctx.Done():
			return batch, nil
		}
	}
	return batch, nil
}

func (l *lane) deliver(ctx context.Context, batch []*parcel) {
	var messages []uplink.Message
	for _, p := range batch {
		messages = append(messages, p.messages...)
	}
	acks, err := l.relay.sendUp(ctx, l.name, l.hops, messages)
	if err != nil && ctx.Err() == nil {
		l.relay.log.Warn("messages did not come through", zap.Int("messages", len(messages)), zap.Error(err))
	}
	of := make(map[messageName][]uplink.Ack, len(acks))
	for _, a := range acks {
		name := messageName{a.Device, a.Counter}
		of[name] = append(of[name], a)
	}
	for _, p := range batch {
		var mine []uplink.Ack
		for _, m := range p.messages {
			mine = append(mine, of[nameOf(m)]...)
		}
		p.done <- delivery{mine, err}
	}
}

// messageName tells messages apart. Of two with one name, the server's signature
// says which one an acknowledgement is for.
type messageName struct {
	Device  patching.DeviceID
	Counter uint64
}

func nameOf(m uplink.Message) messageName { return messageName{m.Device, m.Counter} }

// sendUp keeps what has to survive, and sends messages to the server, if the line can
// be expected to carry them.
func (r *Relay) sendUp(ctx context.Context, name string, hops int, messages []uplink.Message) ([]uplink.Ack, error) {
	r.underway(messages, 1)
	defer r.underway(messages, -1)
	if err := r.spool.add(name, hops, messages); err != nil {
		r.log.Error("receipts could not be spooled; the machines keep them", zap.Error(err))
	}
	if !r.line.mayTry() {
		return nil, errOffline
	}
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	acks, err := r.opts.Up.Send(ctx, uplink.Batch{Relay: name, Hops: hops, Messages: messages})
	r.hear(err)
	if err == nil {
		r.settle(messages, acks)
	}
	return acks, err
}
