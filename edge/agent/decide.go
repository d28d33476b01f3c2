package agent

import (
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/trust"
)

// action is what an agent does next.
type action struct {
	do   deed
	work patching.OrderID
	// until is when to look again; for [rest] only, zero: when there is news.
	until time.Time
	// end says how an order ends that did not start.
	end ending
}

// deed is a kind of action.
type deed int

const (
	rest   deed = iota // nothing to do before until
	goOn               // the order that has started
	giveUp             // an order whose time is over
	errand             // an order that does not disturb
	fetch              // download
	start              // begin an order that disturbs
	ask                // for a start permit
	report             // send letters, and an inventory if it is due
)

// side is what an agent knows of an order in hand and need not remember over a
// restart.
type side struct {
	lease *trust.Lease
	// stale: a permit came and cannot be used any more. fresh: the last one
	// came as the answer to a request just now, so that its age is our clock's.
	stale, fresh bool
	asked        time.Time // when a permit was last asked for, or first expected
	clockOff     bool
	failures     int       // of downloads or errands
	next         time.Time // not before then
	failure      error     // the last of them
	// askedRestart: this process has asked for the restart that is awaited.
	askedRestart bool
	// applied: the last transaction of the step went well, as this process saw.
	// troubleAt is when something was first seen to fail after one that did not.
	applied   bool
	troubleAt time.Time
}

// situation is all that a decision looks at.
type situation struct {
	state    *state
	sides    map[patching.OrderID]*side
	rules    Rules
	rulesErr error
	limits   Limits
	// letterAt is when letters may be sent again, inventoryAt when an inventory
	// is due.
	letterAt, inventoryAt time.Time
}

// decide says what to do at now. A started order comes before all else; then
// what is over, what is quick, downloads, starts; receipts go out with whatever
// is sent, and by themselves when nothing else is to do.
func decide(s situation, now time.Time) action {
	next := action{do: rest}
	if w := s.state.underWay(); w != nil {
		if at := s.side(w).next; now.Before(at) {
			next.until = at
		} else {
			return action{do: goOn, work: w.Order.ID}
		}
	} else {
		for i := range s.state.Works {
			a := s.consider(&s.state.Works[i], now)
			switch {
			case a.do == rest:
				next.until = earlier(next.until, a.until)
			case next.do == rest || a.do < next.do:
				next = a
			}
		}
	}
	if next.do == rest && s.mailDue(now) {
		return action{do: report}
	}
	if next.do == rest {
		next.until = s.sooner(next.until, now)
	}
	return next
}

// mailDue reports whether letters or an inventory should be sent now.
func (s situation) mailDue(now time.Time) bool {
	due := s.hasMail() || !s.inventoryAt.IsZero() && !now.Before(s.inventoryAt)
	return due && !now.Before(s.letterAt)
}

// sooner adds the time of the next letter or inventory to when to look again.
func (s situation) sooner(until, now time.Time) time.Time {
	if s.hasMail() && now.Before(s.letterAt) {
		until = earlier(until, s.letterAt)
	}
	if !s.inventoryAt.IsZero() {
		at := s.inventoryAt
		if at.Before(s.letterAt) {
			at = s.letterAt
		}
		if now.Before(at) {
			until = earlier(until, at)
		}
	}
	return until
}

func (s situation) hasMail() bool { return len(s.state.Pending)+len(s.state.Letters) > 0 }

// consider says what an order that has not started wants.
func (s situation) consider(w *work, now time.Time) action {
	var (
		side    = s.side(w)
		spec, _ = w.Order.Verb.Spec()
		wait    = action{do: rest, until: w.deadline()}
	)
	if !now.Before(w.deadline()) {
		return action{do: giveUp, work: w.Order.ID, end: s.missed(w, side, now)}
	}
	if words := s.rules.refusal(w.Order.Verb); s.rulesErr == nil && words != "" {
		// Its owner changed the rules, or they could not be read when it came.
		return action{do: giveUp, work: w.Order.ID, end: ending{patching.Deferred, patching.ReasonHostRules, words, ""}}
	}
	if !spec.NeedsLease {
		if now.Before(side.next) {
			wait.until = earlier(wait.until, side.next)
			return wait
		}
		if s.rulesErr != nil && !slices.Contains(Looking(), w.Order.Verb) {
			wait.until = earlier(wait.until, now.Add(s.limits.RetryMax))
			return wait
		}
		return action{do: errand, work: w.Order.ID}
	}
	if w.Stage == patching.StageAccepted {
		if now.Before(side.next) {
			wait.until = earlier(wait.until, side.next)
			return wait
		}
		return action{do: fetch, work: w.Order.ID}
	}
	if s.state.Memory.Behind(now) {
		// Its window cannot be judged, and may be open already: the clock is looked
		// at again before it says so.
		wait.until = earlier(wait.until, now.Add(s.limits.RetryMax))
		return wait
	}
	if now.Before(w.Order.Window.Start) {
		wait.until = w.Order.Window.Start
		return wait
	}
	if s.held(now) != "" {
		// It asks for its permit as if it had none: a machine that says nothing would be
		// taken for one that cannot.
		wait.until = earlier(wait.until, now.Add(s.limits.RetryMax))
		return s.considerAsking(w, side, wait, now)
	}
	if side.lease != nil {
		return action{do: start, work: w.Order.ID}
	}
	return s.considerAsking(w, side, wait, now)
}

// considerAsking: the order could start if it had a permit that can be used.
func (s situation) considerAsking(w *work, side *side, wait action, now time.Time) action {
	// The permit comes by itself when the wave releases this machine; asking is
	// for the case that it was lost.
	since := w.Order.Window.Start
	if side.asked.After(since) {
		since = side.asked
	}
	at := since.Add(s.limits.Ask)
	if side.stale {
		at = side.next
	}
	if now.Before(at) {
		wait.until = earlier(wait.until, at)
		return wait
	}
	return action{do: ask, work: w.Order.ID}
}

// missed says why an order whose time is over did not start.
func (s situation) missed(w *work, side *side, now time.Time) ending {
	held := s.held(w.deadline().Add(-time.Second))
	switch {
	case side.failure != nil && w.Order.Window != nil && w.Stage == patching.StageAccepted:
		return unfetched(side.failure)
	case held != "":
		return ending{patching.Deferred, patching.ReasonHostRules, held, ""}
	case side.clockOff || s.state.Memory.Behind(now) || s.state.ClockOff != 0:
		return ending{patching.Deferred, patching.ReasonClockOff, clockWords(s.state.ClockOff, now), ""}
	}
	return ending{patching.Deferred, patching.ReasonWindowOver, "", ""}
}

// clockWords says what a clock shows that is off, and by how much if that is known.
func clockWords(off time.Duration, now time.Time) string {
	words := "it shows " + now.UTC().Format(time.RFC3339)
	if off != 0 {
		words += ", " + phrase.ClockOff(off)
	}
	return words
}

// held says in words why nothing may start on this machine; empty: it may.
func (s situation) held(now time.Time) string {
	if s.rulesErr != nil {
		return "the machine's rules cannot be read: " + s.rulesErr.Error()
	}
	h := s.rules.Hold
	if !h.In(now) {
		h = s.state.Said
	}
	if !h.In(now) {
		return ""
	}
	words := fmt.Sprintf("held by %s: %s", h.By, h.Reason)
	if !h.Until.IsZero() {
		words += ", until " + h.Until.UTC().Format(time.RFC3339)
	}
	return words
}

// allows reports whether the machine's rules accept a verb.
func (r Rules) allows(v trust.Verb) bool { return r.refusal(v) == "" }

// refusal says in words why the machine does not accept a verb; empty: it does.
func (r Rules) refusal(v trust.Verb) string {
	switch {
	case !able(v):
		return fmt.Sprintf("this version of the agent cannot %s", v)
	case r.Allowed != nil && !slices.Contains(r.Allowed, v):
		return fmt.Sprintf("the machine's rules do not allow %s", v)
	}
	return ""
}

// able reports whether this version of the agent can carry a verb out.
func able(v trust.Verb) bool {
	switch v {
	case trust.Collect, trust.Simulate, trust.Prefetch, trust.Apply, trust.Revert, trust.Reboot, trust.Repair, trust.Clean:
		return true
	case trust.Snapshot, trust.Service, trust.Probe, trust.Evidence, trust.Notify, trust.Agent:
	}
	return false
}

// side returns what is known of an order besides the journal.
func (s situation) side(w *work) *side {
	if one := s.sides[w.Order.ID]; one != nil {
		return one
	}
	return &side{}
}

// released reports whether a permit came: the order could have started by now, and
// somebody waits for what becomes of it.
func (s *side) released() bool { return s.lease != nil || s.stale }

// judge puts a permit aside that does not start its order at now. One that
// comes old in answer to a request, or begins far ahead, says that our clock is
// off; otherwise it lay too long, and a new one is asked for.
func (s *side) judge(now time.Time) {
	if s.lease == nil {
		return
	}
	err := s.lease.Usable(now)
	if err == nil {
		s.clockOff = false
		return
	}
	s.clockOff = s.fresh || trust.WhyOf(err) == trust.WhyClock
	s.stale = !s.clockOff
	s.lease = nil
}

// earlier returns the earlier of two times of which the zero one means never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
