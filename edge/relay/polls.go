package relay

import (
	"cmp"
	"context"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// How machines are asked for together. One poll upstream holds for all of a lane;
// whoever comes in between is asked for in a small one beside it, which ends with
// it: they are one again at the next. A poll that was called back would cost a
// connection, and all of its machines' words again.
const (
	roundMost    = 2000 // machines a poll: news for one bring all of them again
	roundsBeside = 3
	roundLeast   = 2 * time.Second // what is left of a round for it to be joined
	seatKept     = 5 * time.Second // how long a machine that was answered is still asked for
	retryFirst   = time.Second
	// maxSeats bounds the memory: who polls here is not known before the server says so.
	maxSeats  = 50_000
	retryMost = 30 * time.Second
)

// seat is one machine that polls here.
type seat struct {
	ask    uplink.PollDevice
	waiter *waiter   // nil: between two polls
	left   time.Time // since when it is
	round  *round    // that asks for it; nil: none
}

// round is one poll upstream.
type round struct {
	devices []uplink.PollDevice
	cancel  context.CancelFunc
}

// waiter is a poll that waits here, of one machine or of many.
type waiter struct{ news chan uplink.PollResponse }

// Poll implements [uplink.Link].
func (r *Relay) Poll(ctx context.Context, ask uplink.PollRequest) (uplink.PollResponse, error) {
	if len(ask.Devices) > uplink.MaxPoll {
		return uplink.PollResponse{}, uplink.TooMany(len(ask.Devices), "devices", uplink.MaxPoll, "poll")
	}
	l, err := r.lane(ask.Relay, ask.Hops)
	if err != nil {
		return uplink.PollResponse{}, err
	}
	wait := min(time.Duration(max(0, ask.WaitSeconds))*time.Second, uplink.MaxWait)
	if wait == 0 { // whoever does not stay is asked for by itself
		resp, err := l.pollUp(ctx, ask.Devices, 0)
		resp.Hold = r.holdNow()
		r.spread()
		return resp, upward(err)
	}
	w := &waiter{news: make(chan uplink.PollResponse, 1)}
	if err := l.sit(w, ask.Devices); err != nil {
		return uplink.PollResponse{}, err
	}
	defer l.rise(w, ask.Devices)
	patience := time.NewTimer(wait)
	defer patience.Stop()
	_, cut := r.line.wait() // while it is down already, wait for it to be back
	select {
	case news := <-w.news:
		return news, nil
	case <-cut:
	case <-patience.C:
	case <-r.life.Done():
		return uplink.PollResponse{}, errOffline
	case <-ctx.Done():
		return uplink.PollResponse{}, ctx.Err()
	}
	out := r.asHeard()
	out.Offline, _ = r.line.wait()
	return out, nil
}

// sit has machines asked for.
func (l *lane) sit(w *waiter, devices []uplink.PollDevice) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.seats)+len(devices) > maxSeats {
		return &uplink.Error{Status: http.StatusServiceUnavailable, Words: "too many machines poll here", RetryAfter: retryMost}
	}
	for _, d := range devices {
		s := l.seats[d.Hello.Device]
		if s == nil {
			s = &seat{}
			l.seats[d.Hello.Device] = s
		}
		if !samePosition(s.ask, d) {
			s.round = nil // the answer to what was asked before is of no use
		}
		s.ask, s.waiter = d, w
		if s.round == nil {
			l.wake()
		}
	}
	return nil
}

// samePosition: a hello is good for minutes, so that a newer one alone is no
// reason to ask anew.
func samePosition(a, b uplink.PollDevice) bool {
	return a.Epoch == b.Epoch && a.AfterSeq == b.AfterSeq && a.LeaseUntil.Equal(b.LeaseUntil) && a.Root == b.Root
}

// rise ends the waiting.
func (l *lane) rise(w *waiter, devices []uplink.PollDevice) {
	now := l.relay.opts.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range devices {
		if s := l.seats[d.Hello.Device]; s != nil && s.waiter == w {
			s.waiter, s.left = nil, now
		}
	}
}

// wake has ask look who waits.
func (l *lane) wake() {
	select {
	case l.fresh <- struct{}{}:
	default: // it is awake
	}
}

// ask asks upstream for whoever waits, until ctx ends.
func (l *lane) ask(ctx context.Context) {
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case <-l.fresh:
		case <-ctx.Done():
			return
		}
		if pause.For(ctx, l.relay.opts.Gather) != nil {
			return
		}
		for _, next := range l.next() {
			asking, cancel := context.WithCancel(ctx)
			l.mu.Lock()
			next.cancel = cancel
			l.mu.Unlock()
			under.Go(func() {
				defer cancel()
				l.run(asking, ctx, next)
			})
		}
	}
}

// next makes rounds of the machines that wait and are not asked for.
func (l *lane) next() []*round {
	failing := l.relay.line.isFailing()
	now := l.relay.opts.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	var waiting []patching.DeviceID
	for _, id := range slices.Sorted(maps.Keys(l.seats)) {
		switch s := l.seats[id]; {
		case s.waiter == nil && now.Sub(s.left) > seatKept:
			delete(l.seats, id)
		case s.round == nil:
			waiting = append(waiting, id)
		}
	}
	if len(waiting) == 0 || failing && len(l.asked) > 0 { // one that fails is enough
		return nil
	}
	if len(l.asked) > len(l.seats)/roundMost+roundsBeside {
		// Its machines come back here, and are asked for together with these.
		smallest := slices.MinFunc(slices.Collect(maps.Keys(l.asked)), func(a, b *round) int { return cmp.Compare(len(a.devices), len(b.devices)) })
		if smallest.cancel != nil {
			smallest.cancel()
		}
		return nil
	}
	var rounds []*round
	for some := range slices.Chunk(waiting, roundMost) {
		next := &round{}
		for _, id := range some {
			l.seats[id].round = next
			next.devices = append(next.devices, l.seats[id].ask)
		}
		l.asked[next] = struct{}{}
		rounds = append(rounds, next)
	}
	return rounds
}

// run asks for the machines of a round and hands out what comes.
func (l *lane) run(ctx, life context.Context, asked *round) {
	resp, err := l.pollUp(ctx, asked.devices, l.patience())
	recalled := ctx.Err() != nil
	if err != nil && !recalled {
		l.relay.log.Warn("no news from the server", zap.String("for", l.name), zap.Error(err))
		_ = pause.For(life, l.relay.retry())
	}
	l.mu.Lock()
	delete(l.asked, asked)
	if err == nil {
		l.hand(resp, asked)
	}
	for _, d := range asked.devices {
		if s := l.seats[d.Hello.Device]; s != nil && s.round == asked {
			s.round = nil
		}
	}
	l.mu.Unlock()
	l.relay.spread()
	l.wake()
}

// patience is how long a poll that begins now may wait, so that all end together.
// A line that fails is asked for an answer at once: that it is back shall be seen.
func (l *lane) patience() time.Duration {
	if l.relay.line.isFailing() {
		return 0
	}
	now := l.relay.opts.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.until.Sub(now) < roundLeast {
		l.until = now.Add(uplink.MaxWait)
	}
	return l.until.Sub(now)
}

// retry is how long to wait after a failure: longer the longer it lasts, spread
// because all sites fail together.
func (r *Relay) retry() time.Duration {
	d := retryFirst
	if since, _ := r.line.outage(); !since.IsZero() {
		d = min(max(retryFirst, r.opts.Now().Sub(since)/4), retryMost)
	}
	return d/2 + rand.N(d/2+1)
}

// pollUp asks the server, and notes what that says of the line.
func (l *lane) pollUp(ctx context.Context, devices []uplink.PollDevice, wait time.Duration) (uplink.PollResponse, error) {
	r := l.relay
	resp, err := r.opts.Up.Poll(ctx, uplink.PollRequest{Relay: l.name, Hops: l.hops, Devices: devices, WaitSeconds: int(wait / time.Second)})
	if err == nil && resp.Offline {
		err = errOffline
	}
	switch {
	case ctx.Err() != nil:
	case err != nil: // the server's trouble is as good as the line's to who waits
		r.line.failed(err)
	default:
		r.hear(nil)
		r.note(resp)
		if r.opts.Files != nil {
			r.stage.look(resp.Orders)
		}
	}
	return resp, err
}

// hand gives each machine its part of an answer. Whoever got something is asked
// for again when it comes back, from where it then is. The caller holds mu.
func (l *lane) hand(resp uplink.PollResponse, asked *round) {
	parts := map[patching.DeviceID]*uplink.PollResponse{}
	part := func(d patching.DeviceID) *uplink.PollResponse {
		if parts[d] == nil {
			parts[d] = &uplink.PollResponse{}
		}
		return parts[d]
	}
	for _, o := range resp.Orders {
		part(o.Device).Orders = append(part(o.Device).Orders, o)
	}
	for _, p := range resp.Leases {
		part(p.Device).Leases = append(part(p.Device).Leases, p)
	}
	for _, n := range resp.Refused {
		part(n.Device).Refused = append(part(n.Device).Refused, n)
	}
	if len(resp.Root) > 0 {
		root, err := trust.Pin(resp.Root, "")
		for _, d := range asked.devices {
			if err != nil || d.Root < root.Version { // one that cannot be read is theirs to refuse
				part(d.Hello.Device).Root, part(d.Hello.Device).Roots = resp.Root, resp.Roots
			}
		}
	}
	news := map[*waiter]*uplink.PollResponse{} // one that asks for many gets all at once
	for _, d := range asked.devices {
		id := d.Hello.Device
		s, p := l.seats[id], parts[id]
		if p == nil || s == nil || s.round != asked { // nothing, or it has moved on since
			continue
		}
		delete(l.seats, id)
		if s.waiter == nil {
			continue
		}
		one := news[s.waiter]
		if one == nil {
			one = &uplink.PollResponse{At: resp.At, Hold: l.relay.holdNow()}
			news[s.waiter] = one
		}
		one.Orders = append(one.Orders, p.Orders...)
		one.Leases = append(one.Leases, p.Leases...)
		one.Refused = append(one.Refused, p.Refused...)
		if len(p.Root) > 0 {
			one.Root, one.Roots = p.Root, p.Roots
		}
	}
	for w, one := range news {
		w.tell(*one)
	}
}

func (w *waiter) tell(p uplink.PollResponse) {
	select {
	case w.news <- p:
	default: // it is being answered: the rest comes when its machines ask again
	}
}

// note keeps what the server says in every answer.
func (r *Relay) note(resp uplink.PollResponse) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !resp.At.IsZero() {
		r.serverAt, r.heardAt = resp.At, time.Now()
	}
	if !resp.Hold.Same(r.held) {
		r.held, r.heldNew = resp.Hold, true
	}
}

// spread tells all who wait here of a hold that is new, or lifted: somebody wants
// machines to stop.
func (r *Relay) spread() {
	r.mu.Lock()
	changed, lanes := r.heldNew, slices.Collect(maps.Values(r.lanes))
	r.heldNew = false
	r.mu.Unlock()
	if !changed {
		return
	}
	out := r.asHeard()
	for _, l := range lanes {
		l.mu.Lock()
		for _, s := range l.seats {
			if s.waiter != nil {
				s.waiter.tell(out) // once: there is room for no more
			}
		}
		l.mu.Unlock()
	}
}

// asHeard is an answer without news: the server's clock as far as it is known, which is
// passed on and not replaced by this machine's, and whether somebody holds all machines.
func (r *Relay) asHeard() uplink.PollResponse {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := uplink.PollResponse{Hold: r.holdInForce()}
	if !r.serverAt.IsZero() {
		out.At = r.serverAt.Add(time.Since(r.heardAt))
	}
	return out
}
