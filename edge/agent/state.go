package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// state is all that an agent remembers; the journal holds it as JSON.
type state struct {
	V int `json:"v"` // format: 1
	// Root is a trust root that came after the one of the identity.
	Root   []byte       `json:"root,omitempty"`
	Memory trust.Memory `json:"memory"`
	// Counter is the highest message counter that may have been used.
	Counter uint64 `json:"counter"`
	// Works are the orders in hand, oldest first. Terminal ones leave.
	Works []work `json:"works,omitempty"`
	// Done are the last disturbing orders that ended: they never start again,
	// under whatever number they come.
	Done []patching.OrderID `json:"done,omitempty"`
	// Pending are receipts that are in no letter yet, Letters messages that
	// were not acknowledged.
	Pending []uplink.Receipt `json:"pending,omitempty"`
	Letters []letter         `json:"letters,omitempty"`
	// Inventoried is when and under which boot the last inventory was taken,
	// Known the digests of it that the server has.
	Inventoried time.Time `json:"inventoried,omitzero"`
	Boot        string    `json:"boot,omitempty"`
	// Told is the agent's version that the last inventory told.
	Told  string            `json:"told,omitempty"`
	Known []patching.Digest `json:"known,omitempty"`
	// Tried is what was done last; nil: nothing.
	Tried *tried `json:"tried,omitempty"`
	// Said is what the last answer said of a hold; nil: there is none.
	Said *Hold `json:"said,omitempty"`
	// ClockOff is how far ahead of the server's this machine's clock was when the
	// server last said what it shows; 0: close enough.
	ClockOff time.Duration `json:"clock_off,omitempty"`
}

// letter is a message with receipts as it was first sent: it is sent again
// under the same counter and boot until it is acknowledged.
type letter struct {
	Counter uint64 `json:"counter"`
	Boot    string `json:"boot"`
	Body    []byte `json:"body"`
}

// work is an order in hand and how far it has come.
type work struct {
	Order trust.Order    `json:"order"`
	Stage patching.Stage `json:"stage"` // accepted, fetched or started
	// The rest is set once it has started.
	Phase phase `json:"phase,omitempty"`
	Step  int   `json:"step,omitempty"`
	// Already marks patches that were in place before the order started.
	Already []int `json:"already,omitempty"`
	// Failing is what was failing before it started.
	Failing []string `json:"failing,omitempty"`
	// Restarts are the counts of [Health] before it started.
	Restarts map[string]int `json:"restarts,omitempty"`
	// Tries and Mends count how often the step in hand, and its repair, were
	// begun; Mended says that the repair came to an end. Repairs counts the
	// steps that needed one.
	Tries int `json:"tries,omitempty"`
	// Left is how many patches of the step were not in place when it was last
	// looked at: a try that was interrupted but got on does not count.
	Left    int  `json:"left,omitempty"`
	Mends   int  `json:"mends,omitempty"`
	Mended  bool `json:"mended,omitempty"`
	Repairs int  `json:"repairs,omitempty"`
	// Last is how the step's last try failed; Own says that it left packages of
	// the step half done, rather than another one.
	Last *ending `json:"last,omitempty"`
	Own  bool    `json:"own,omitempty"`
	// Boot is the boot in which the order was last seen to go on. Boots and
	// Asked count restarts, and requests for one, since a check last passed.
	Boot  string    `json:"boot,omitempty"`
	Boots int       `json:"boots,omitempty"`
	Asked int       `json:"asked,omitempty"`
	Since time.Time `json:"since,omitzero"` // when the phase began
}

// phase is what a started order does next.
type phase string

const (
	phaseBegin   phase = ""        // look, preflight, simulate, take the baseline
	phaseInstall phase = "install" // carry the step out
	phaseRestart phase = "restart" // a restart was asked for
	phaseCheck   phase = "check"   // versions and services after the step
)

// started reports whether the order has begun: it then runs to its end.
func (w *work) started() bool { return w.Stage == patching.StageStarted }

// target is the digest of the bundle that the order carries out; empty for
// verbs without one.
func (w *work) target() patching.Digest {
	spec, _ := w.Order.Verb.Spec()
	switch {
	case spec.NeedsRollback:
		return w.Order.Rollback
	case spec.NeedsBundle:
		return w.Order.Bundle
	}
	return ""
}

// deadline is when an order that has not started is given up.
func (w *work) deadline() time.Time {
	if w.Order.Window != nil {
		return w.Order.Window.End
	}
	return w.Order.NotAfter
}

// underWay returns the order that has started; there is one at most.
func (s *state) underWay() *work {
	for i := range s.Works {
		if s.Works[i].started() {
			return &s.Works[i]
		}
	}
	return nil
}

func (s *state) find(id patching.OrderID) *work {
	for i := range s.Works {
		if s.Works[i].Order.ID == id {
			return &s.Works[i]
		}
	}
	return nil
}

// keptDone bounds [state.Done].
const keptDone = 8

// drop takes a terminal order out of the hand.
func (s *state) drop(id patching.OrderID) {
	if w := s.find(id); w != nil && w.Order.Window != nil {
		s.Done = append(s.Done, id)
		s.Done = s.Done[max(0, len(s.Done)-keptDone):]
	}
	s.Works = slices.DeleteFunc(s.Works, func(w work) bool { return w.Order.ID == id })
	if len(s.Works) == 0 {
		s.Works = nil // an idle agent keeps no room for orders
	}
}

func readState(text []byte) (state, error) {
	if text == nil {
		return state{V: 1}, nil
	}
	var s state
	// A field that this release does not know is left out: the next release may have
	// written it, and been put back. One that changes what the others mean changes V.
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("the agent's journal: %w", err)
	}
	if s.V != 1 {
		return s, fmt.Errorf("the agent's journal has format %d, this program reads 1: install the newer agent again", s.V)
	}
	return s, nil
}
