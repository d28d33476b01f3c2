package root

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// maxNews bounds the orders and leases of one answer (about 3 kB each); the
// rest comes with the next poll.
const maxNews = 1000

// refusalDelay slows an answer that only says that devices are not let in: who
// asks again at once would spin.
const refusalDelay = 2 * time.Second

// Poll implements [uplink.Link]: it answers as soon as there is news for one of the devices.
func (s *Server) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	if len(r.Devices) > uplink.MaxPoll {
		return uplink.PollResponse{}, uplink.TooMany(len(r.Devices), "devices", uplink.MaxPoll, "poll")
	}
	if err := validRelay(r.Relay); err != nil {
		return uplink.PollResponse{}, err
	}
	welcome, out, err := s.greet(ctx, r.Devices)
	if err != nil {
		return out, err
	}
	if len(welcome) > 0 {
		done := s.presence.listening(r.Relay)
		defer done()
	}
	wait := min(time.Duration(max(0, r.WaitSeconds))*time.Second, uplink.MaxWait)
	if !out.Empty() {
		wait = min(wait, delay(out))
	}
	out, err = s.await(ctx, welcome, out, wait)
	out.At = s.opts.Now().UTC()
	if h := s.held.at(out.At); h != nil {
		out.Hold = &uplink.Hold{Version: h.Version, By: string(h.By), Reason: h.Reason, Until: h.Until}
	}
	return out, err
}

// delay is how long an answer that has something before the store was asked
// may wait for more.
func delay(out uplink.PollResponse) time.Duration {
	if len(out.Root) > 0 {
		return 0
	}
	for _, r := range out.Refused {
		if r.Stale {
			return 0
		}
	}
	return refusalDelay
}

// greet sorts out the devices that may ask, and adds the trust root where one
// has an older one.
func (s *Server) greet(ctx context.Context, devices []uplink.PollDevice) ([]*uplink.PollDevice, uplink.PollResponse, error) {
	var out uplink.PollResponse
	ids := make([]patching.DeviceID, len(devices))
	for i := range devices {
		ids[i] = devices[i].Hello.Device
	}
	known, err := s.registry.find(ctx, ids)
	if err != nil {
		return nil, out, err
	}
	answers := make([]uplink.Refused, len(devices))
	inParallel(len(devices), func(i int) { answers[i] = s.judge(ctx, known, &devices[i].Hello) })
	s.noteClocks(ctx, known)
	welcome := make([]*uplink.PollDevice, 0, len(devices))
	authority := s.opts.Authority.Authority()
	oldest := authority.Root.Version
	for i := range devices {
		if answers[i].Why != "" {
			out.Refused = append(out.Refused, answers[i])
			continue
		}
		welcome = append(welcome, &devices[i])
		oldest = min(oldest, devices[i].Root)
	}
	if oldest < authority.Root.Version {
		out.Root, out.Roots = authority.Envelope, s.opts.Authority.Between(oldest, authority.Root.Version)
	}
	return welcome, out, nil
}

// judge says why a hello is not taken; an empty Why takes it.
func (s *Server) judge(ctx context.Context, known map[patching.DeviceID]*device, hello *uplink.Message) uplink.Refused {
	out := uplink.Refused{Device: hello.Device}
	d, ok := known[hello.Device]
	if !ok {
		out.Why = "nobody enrolled this machine here"
		return out
	}
	why, stale, forked := d.greet(hello, s.opts.Authority.Authority().Root.Fleet, s.opts.Now())
	out.Why, out.Stale = why, stale
	if forked {
		if err := s.opts.Store.SetDeviceState(ctx, d.id, patching.DeviceQuarantined); err != nil {
			s.log.Error("a device that has to be quarantined is not yet: it is when its two machines speak again",
				zap.String("device", string(d.id)), zap.Error(err))
		}
		s.noteFork(hello, "")
	}
	return out
}

// noteFork says in the log that a device's key is on two machines.
func (s *Server) noteFork(m *uplink.Message, relay string) {
	s.log.Error("two machines speak with one key; the device is quarantined: find out which is the copy, revoke the key and enrol both anew",
		zap.String("device", string(m.Device)), zap.Uint64("counter", m.Counter), zap.String("relay", relay))
}

// noteClocks keeps which machines cannot judge a window, for whoever wonders why
// they do not start. It is what they say of themselves, and nothing is taken or
// refused for it.
func (s *Server) noteClocks(ctx context.Context, known map[patching.DeviceID]*device) {
	off := map[patching.DeviceID]time.Duration{}
	for id, d := range known {
		if by, news := d.news(); news {
			off[id] = by
		}
	}
	if len(off) == 0 {
		return
	}
	if err := s.opts.Store.NoteClocks(ctx, off); err != nil {
		s.log.Warn("clocks that are off could not be noted", zap.Int("devices", len(off)), zap.Error(err))
		return
	}
	for id, by := range off {
		known[id].note(by)
	}
}

// await waits for news of the devices, at most as long as wait.
func (s *Server) await(ctx context.Context, devices []*uplink.PollDevice, out uplink.PollResponse, wait time.Duration) (uplink.PollResponse, error) {
	at := make([]position, len(devices))
	epoch := s.opts.Authority.Authority().Root.Epoch
	asked := make(map[patching.DeviceID]*position, len(devices))
	for i, p := range devices {
		at[i] = position{device: p.Hello.Device, seq: p.AfterSeq, leaseUntil: p.LeaseUntil}
		if p.Epoch < epoch {
			at[i].seq = 0 // sequences begin anew in an epoch
		}
		asked[p.Hello.Device] = &at[i]
	}
	w := newWaiter()
	defer s.hub.leave(w, at)
	look := s.hub.enter(w, at, s.opts.Now().Add(-s.opts.Recheck))
	patience := time.NewTimer(wait)
	defer patience.Stop()
	for {
		found, err := s.lookUp(ctx, look, asked, &out)
		if err != nil || found {
			return out, err
		}
		select {
		case <-w.wake:
			look = s.hub.again(w.take())
		case <-patience.C:
			return out, nil
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

// lookUp reads what is pending for some of the devices and adds what each has
// not seen.
func (s *Server) lookUp(ctx context.Context, look []lookup, asked map[patching.DeviceID]*position, out *uplink.PollResponse) (found bool, err error) {
	if len(look) == 0 {
		return false, nil
	}
	ids := make([]patching.DeviceID, len(look))
	for i, l := range look {
		ids[i] = l.device
	}
	now := s.opts.Now()
	orders, err := s.opts.Store.PendingOrders(ctx, ids, now)
	if err != nil {
		return false, err
	}
	pending := map[patching.DeviceID]position{}
	for _, o := range orders {
		p := pending[o.Device]
		p.seq = max(p.seq, o.Seq)
		if o.LeaseUntil.After(p.leaseUntil) {
			p.leaseUntil = o.LeaseUntil
		}
		pending[o.Device] = p
		if len(out.Orders)+len(out.Leases) >= maxNews {
			continue
		}
		from := asked[o.Device]
		if o.Seq > from.seq {
			out.Orders, found = append(out.Orders, uplink.SignedOrder{Device: o.Device, Envelope: o.Envelope}), true
		}
		if o.LeaseUntil.After(from.leaseUntil) && o.LeaseUntil.After(now) {
			out.Leases, found = append(out.Leases, uplink.SignedLease{Device: o.Device, Order: o.ID, Envelope: o.Lease}), true
		}
	}
	s.hub.learn(look, pending, now)
	return found, nil
}
