package agent

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/trust"
)

// helloKept is for how long the agent uses a hello again: well under what the
// server takes, so that it never hears of a stale one.
const helloKept = uplink.HelloLife / 2

// Listen returns what to poll with for this device.
func (a *Agent) Listen() (uplink.PollDevice, error) {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hello == nil || now.Sub(a.helloAt).Abs() > helloKept || a.hello.Boot != a.cfg.Machine.Boot() {
		m, err := a.message(uplink.KindHello, uplink.Encode(uplink.Hello{At: now.UTC()}))
		if err != nil {
			return uplink.PollDevice{}, err
		}
		a.hello, a.helloAt = &m, now
	}
	return uplink.PollDevice{
		Hello: *a.hello, Epoch: a.state.Memory.Epoch, AfterSeq: a.state.Memory.Seq,
		LeaseUntil: a.leaseSeen, Root: a.root.Version,
	}, nil
}

// Take receives the part of a poll's answer that is for this device; other
// devices' entries are skipped. News means that [Agent.Work] has something to
// do. An answer that was not empty and is no news should make the caller pause
// before it polls again: the server repeats what this agent cannot use.
func (a *Agent) Take(resp uplink.PollResponse) (news bool) {
	now := a.cfg.Clock.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, r := range resp.Refused {
		if r.Device == a.cfg.Identity.Device {
			a.hello = nil
			a.log.Warn("the server does not take this device's presence", zap.String("why", r.Why), zap.Bool("stale", r.Stale))
		}
	}
	a.takeTime(resp.At, now)
	news = a.takeHold(resp.Hold)
	for _, text := range append(slices.Clip(resp.Roots), resp.Root) {
		if len(text) > 0 && a.takeRoot(text) {
			news = true
		}
	}
	if a.takeOrders(resp.Orders, now) {
		news = true
	}
	for _, l := range resp.Leases {
		if l.Device == a.cfg.Identity.Device && a.takeLease(l, false) {
			news = true
		}
	}
	if a.trouble > 0 && !a.shut { // the line is back: do not wait to report
		a.trouble, a.letterAt = 0, time.Time{}
		news = true
	}
	return news
}

// takeHold keeps what the last answer said of a hold, so that whoever looks at the machine
// reads it. After a restart it holds until the next answer: nothing starts before that.
func (a *Agent) takeHold(h *uplink.Hold) (news bool) {
	var is *Hold
	if h != nil {
		is = &Hold{By: clip(h.By, 200), Reason: clip(h.Reason, 200), Until: h.Until}
	}
	if news = !is.Same(a.state.Said); !news {
		return false
	}
	a.state.Said = is
	a.log.Warn("what the server says of a hold has changed", zap.Any("hold", is))
	if err := a.save(false); err != nil { // it is heeded all the same
		a.log.Error("could not keep what was said of a hold", zap.Error(err))
	}
	return news
}

// takeTime notes how far the machine's clock is off. The server's time comes
// unsigned: it finds words, and starts nothing.
func (a *Agent) takeTime(at, now time.Time) {
	if at.IsZero() {
		return
	}
	off := trust.ClockOff(now, at)
	if !trust.ClockNews(off, a.state.ClockOff) {
		return
	}
	a.state.ClockOff = off
	if off != 0 {
		a.log.Warn("this machine's clock is off: set it right, until then nothing that has a window starts", zap.String("off", phrase.ClockOff(off)))
	}
	if err := a.save(false); err != nil { // the next answer says it again
		a.log.Error("could not keep that the clock is off", zap.Error(err))
	}
}

// takeRoot replaces the pinned trust root by a newer one. A new epoch voids
// every order that has not started: the server that began it issues them anew.
func (a *Agent) takeRoot(text []byte) (news bool) {
	next, err := a.root.Accept(text)
	if trust.WhyOf(err) == trust.WhyVersion {
		return false // another machine's of the same relay
	}
	if err != nil {
		a.log.Warn("refused a trust root", zap.Error(err))
		return false
	}
	if next.Version == a.root.Version {
		return false
	}
	before := a.state
	a.state.Root = next.Envelope
	if next.Epoch > a.root.Epoch {
		a.state.Memory = trust.Memory{Epoch: next.Epoch}
		a.state.Works = slices.DeleteFunc(slices.Clone(a.state.Works), func(w work) bool { return !w.started() })
		a.leaseSeen = time.Time{}
	}
	if err := a.save(true); err != nil {
		a.state = before
		a.log.Error("could not keep a newer trust root", zap.Error(err))
		return false
	}
	a.log.Info("took a newer trust root", zap.Int64("version", next.Version), zap.Int64("epoch", next.Epoch))
	a.root = next
	maps.DeleteFunc(a.sides, func(id patching.OrderID, _ *side) bool { return a.state.find(id) == nil })
	return true
}

func (a *Agent) verifier() trust.Verifier {
	// Rules that cannot be read now said something before: nothing starts until they
	// can, so that what comes meanwhile is judged by that.
	if rules, err := a.cfg.Host.Rules(); err == nil {
		a.mode = modeOf(a.floor, rules, nil)
	}
	return trust.Verifier{Root: a.root.Root, Device: a.cfg.Identity.Device, DeviceKey: a.keyID, Mode: a.mode}
}

// takeOrders admits what verifies. Orders are sorted by their number first: a
// line that mixes them up is no reason to refuse the later ones.
func (a *Agent) takeOrders(orders []uplink.SignedOrder, now time.Time) (news bool) {
	type arrival struct {
		seq   uint64
		text  []byte
		order trust.Order
		err   error
	}
	var arrivals []arrival
	verifier := a.verifier()
	for _, so := range orders {
		if so.Device != a.cfg.Identity.Device {
			continue
		}
		o, err := verifier.Order(so.Envelope, a.state.Memory, now)
		seq := o.Seq
		var r *trust.Refusal
		if errors.As(err, &r) && r.Order != nil {
			seq = r.Order.Seq
		} else if err != nil {
			a.log.Warn("refused an order without an answer", zap.Error(err))
			continue
		}
		arrivals = append(arrivals, arrival{seq, so.Envelope, o, err})
	}
	slices.SortFunc(arrivals, func(x, y arrival) int { return cmp.Compare(x.seq, y.seq) })
	for i, one := range arrivals {
		if i > 0 { // again, against a memory that holds the one before it
			one.order, one.err = verifier.Order(one.text, a.state.Memory, now)
		}
		if a.admit(one.order, one.err, now) {
			news = true
		}
	}
	if news {
		// Losing this is harmless: the server offers the orders again.
		if err := a.save(false); err != nil {
			a.log.Error("could not keep new orders", zap.Error(err))
		}
	}
	return news
}

// admit takes an order in, or answers a refusal that deserves an answer.
func (a *Agent) admit(o trust.Order, err error, now time.Time) (news bool) {
	var r *trust.Refusal
	switch {
	case err == nil:
	case errors.As(err, &r) && r.Order != nil:
		a.state.Memory.Admit(*r.Order)
		a.log.Warn("refused an order", zap.Stringer("order", *r.Order), zap.Error(err))
		end := ending{patching.Failed, patching.ReasonRefused, err.Error(), ""}
		stage := patching.StageRefused
		if r.Why == trust.WhyExpired {
			// Nobody's fault but the line's, or the clock's, and nothing was changed.
			end, stage = ending{patching.Deferred, patching.ReasonWindowOver, err.Error(), ""}, patching.StageFinished
			if a.state.ClockOff != 0 {
				end.Reason, end.Detail = patching.ReasonClockOff, clockWords(a.state.ClockOff, now)
			}
		}
		a.note(r.Order.ID, stage, now, end.fill)
		return true
	default:
		return false
	}
	a.state.Memory.Admit(o)
	rules, err := a.cfg.Host.Rules()
	if words := rules.refusal(o.Verb); err == nil && words != "" {
		a.log.Warn("refused an order", zap.Stringer("order", o), zap.String("why", words))
		end := ending{patching.Failed, patching.ReasonRefused, words, ""}
		a.note(o.ID, patching.StageRefused, now, end.fill)
		return true
	}
	if a.state.find(o.ID) != nil {
		a.log.Warn("an order came again under another number", zap.Stringer("order", o))
		return true // its number is remembered, so that the server need not repeat it
	}
	if slices.Contains(a.state.Done, o.ID) {
		a.log.Warn("an order came again that was carried out", zap.Stringer("order", o))
		end := ending{patching.Failed, patching.ReasonRefused, "it was carried out before, under another number", ""}
		a.note(o.ID, patching.StageRefused, now, end.fill)
		return true
	}
	a.state.Works = append(a.state.Works, work{Order: o, Stage: patching.StageAccepted})
	a.sideOf(&a.state.Works[len(a.state.Works)-1]).asked = now
	a.note(o.ID, patching.StageAccepted, now)
	a.log.Info("accepted", zap.Stringer("order", o))
	return true
}

// takeLease keeps a permit for the order that it is for. Fresh says that it
// came as the answer to a request.
func (a *Agent) takeLease(l uplink.SignedLease, fresh bool) (news bool) {
	w := a.state.find(l.Order)
	o := trust.Order{ID: l.Order}
	if w != nil {
		o = w.Order
	}
	lease, err := a.verifier().Lease(l.Envelope, o)
	if err != nil {
		a.log.Warn("refused a start permit", zap.String("order", string(l.Order)), zap.Error(err))
		return false
	}
	a.state.Memory.AdmitLease(lease)
	if w == nil && !slices.Contains(a.state.Done, l.Order) {
		return false // it came before its order: let the server send both again
	}
	if lease.NotAfter.After(a.leaseSeen) {
		a.leaseSeen = lease.NotAfter
	}
	if w == nil || w.started() {
		return false
	}
	s := a.sideOf(w)
	if s.lease != nil && !lease.NotAfter.After(s.lease.NotAfter) {
		return false
	}
	s.lease, s.fresh, s.asked = &lease, fresh, a.cfg.Clock.Now()
	return true
}

// note queues a receipt. It is saved with the next change of the state. The
// caller holds mu.
func (a *Agent) note(order patching.OrderID, stage patching.Stage, now time.Time, fill ...func(*uplink.Receipt)) {
	r := uplink.Receipt{Order: order, At: now.UTC(), Stage: stage}
	for _, f := range fill {
		f(&r)
	}
	a.state.Pending = append(a.state.Pending, r)
}
