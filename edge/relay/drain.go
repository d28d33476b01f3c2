package relay

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
)

// drain sends what was spooled, the oldest first, until ctx ends.
func (r *Relay) drain(ctx context.Context) {
	for {
		sent, err := r.drainOnce(ctx)
		wait := drainPause
		switch {
		case err != nil:
			wait = r.retry()
		case sent:
			wait = 0
		}
		if pause.For(ctx, wait) != nil {
			return
		}
	}
}

// drainPause is how often the spool is looked at, and for how long at least a message
// is left to whoever is just sending it.
const drainPause = 2 * time.Second

func (r *Relay) drainOnce(ctx context.Context) (sent bool, err error) {
	some, err := r.spool.oldest()
	if err != nil {
		r.log.Error("the spool cannot be read", zap.Error(err))
		return false, err
	}
	if some.messages = r.idle(some.messages); len(some.messages) == 0 {
		return false, nil
	}
	sending, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	acks, err := r.opts.Up.Send(sending, uplink.Batch{Relay: some.relay, Hops: some.hops, Messages: some.messages})
	r.hear(err)
	if err != nil {
		return false, err
	}
	r.settle(some.messages, acks)
	r.log.Info("sent what was spooled", zap.Int("messages", len(some.messages)), zap.Int("acks", len(acks)))
	return len(acks) > 0, nil
}

// settle drops from the spool what the server has answered for. Whatever the answer
// is: it is the machine's to act on, when it sends the same again.
func (r *Relay) settle(messages []uplink.Message, acks []uplink.Ack) {
	answered := make(map[messageName]bool, len(acks))
	var names []messageName
	for _, a := range acks {
		name := messageName{a.Device, a.Counter}
		answered[name] = true
		names = append(names, name)
	}
	r.spool.done(names...)
	for _, m := range messages {
		if m.Kind == uplink.KindReceipt && !answered[nameOf(m)] && r.spool.leftOut(nameOf(m)) {
			r.log.Warn("the server does not take a receipt; it stays the machine's to deliver",
				zap.String("device", string(m.Device)), zap.Uint64("counter", m.Counter))
		}
	}
}

// underway counts messages that an asker is just sending: the spool leaves them to it.
func (r *Relay) underway(messages []uplink.Message, by int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		name := nameOf(m)
		if r.sending[name] += by; r.sending[name] <= 0 {
			delete(r.sending, name)
		}
	}
}

// idle returns those that nobody is just sending.
func (r *Relay) idle(messages []uplink.Message) []uplink.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []uplink.Message
	for _, m := range messages {
		if r.sending[nameOf(m)] == 0 {
			out = append(out, m)
		}
	}
	return out
}
