package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/trust"
)

// Status is what a machine's agent knows of itself.
type Status struct {
	Device      patching.DeviceID `json:"device"`
	Server      string            `json:"server"`
	Fleet       string            `json:"fleet"`
	Fingerprint patching.Digest   `json:"fingerprint"` // of the root keys
	Root        int64             `json:"root"`        // version of the trust root
	Mode        trust.Mode        `json:"mode"`
	Orders      []OrderStatus     `json:"orders"`
	// Unsent counts receipts that the server has not acknowledged.
	Unsent      int       `json:"unsent"`
	Inventoried time.Time `json:"inventoried,omitzero"`
	// Said is the hold that its server or relay told last; nil: there is none.
	Said *Hold `json:"said,omitempty"`
	// ClockOff says in words how far the machine's clock is from the server's;
	// empty: close enough.
	ClockOff string `json:"clock_off,omitempty"`
}

// OrderStatus is where an order in hand stands.
type OrderStatus struct {
	ID    patching.OrderID `json:"id"`
	Cycle patching.CycleID `json:"cycle"`
	Verb  trust.Verb       `json:"verb"`
	Stage patching.Stage   `json:"stage"`
	Start time.Time        `json:"start,omitzero"` // of its window
	End   time.Time        `json:"end,omitzero"`
}

// Status reads the home of an agent, which may be running meanwhile, and the rules
// of its host.
func (h Home) Status(host Host) (Status, error) {
	id, server, err := h.Identity()
	if err != nil {
		return Status{}, err
	}
	s, root, floor, err := h.remembered(id)
	if err != nil {
		return Status{}, err
	}
	rules, err := host.Rules()
	out := Status{
		Device: id.Device, Server: server, Fleet: root.Fleet, Fingerprint: root.Fingerprint(), Root: root.Version, Mode: modeOf(floor, rules, err),
		Orders: []OrderStatus{}, Unsent: len(s.Pending), Inventoried: s.Inventoried, Said: s.Said,
	}
	if s.ClockOff != 0 {
		out.ClockOff = phrase.ClockOff(s.ClockOff)
	}
	for _, l := range s.Letters {
		out.Unsent += receiptsIn(l)
	}
	for _, w := range s.Works {
		one := OrderStatus{ID: w.Order.ID, Cycle: w.Order.Cycle, Verb: w.Order.Verb, Stage: w.Stage}
		if w.Order.Window != nil {
			one.Start, one.End = w.Order.Window.Start, w.Order.Window.End
		}
		out.Orders = append(out.Orders, one)
	}
	return out, nil
}

// Judge verifies an order's envelope as this machine would at now, its replay
// protection left out.
func (h Home) Judge(host Host, envelope []byte, now time.Time) (trust.Order, error) {
	id, _, err := h.Identity()
	if err != nil {
		return trust.Order{}, err
	}
	_, root, floor, err := h.remembered(id)
	if err != nil {
		return trust.Order{}, err
	}
	rules, err := host.Rules()
	v := trust.Verifier{Root: root.Root, Device: id.Device, DeviceKey: keyOf(id), Mode: modeOf(floor, rules, err)}
	return v.Order(envelope, trust.Memory{}, now)
}

// remembered reads the journal without taking it, and the trust root that
// counts.
func (h Home) remembered(id Identity) (s state, root trust.Pinned, floor trust.Mode, err error) {
	file, err := h.readIdentity()
	if err != nil {
		return s, root, "", err
	}
	last, err := h.lastState(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it has not run yet
		return s, root, "", err
	}
	if s, err = readState(last); err != nil {
		return s, root, "", err
	}
	root, floor, err = pinned(id, s)
	return s, root, floor, err
}

// pinned returns the trust root of the identity, or the later one of the journal, and
// the mode that the machine was enrolled in. What the journal has was judged when it
// came: keys may have changed more than once since the machine was enrolled.
func pinned(id Identity, s state) (root trust.Pinned, floor trust.Mode, err error) {
	if root, err = trust.Pin(id.Root, ""); err != nil {
		return root, "", fmt.Errorf("%w (%w)", trust.ErrNoRoot, err)
	}
	floor = root.Mode
	if s.Root == nil {
		return root, floor, nil
	}
	later, err := trust.Pin(s.Root, "")
	if err != nil {
		return root, floor, fmt.Errorf("the journal's trust root: %w", err)
	}
	if later.Fleet != root.Fleet || later.Version < root.Version {
		return root, floor, fmt.Errorf("the journal's trust root is of fleet %q and version %d, this machine's of %q and %d", later.Fleet, later.Version, root.Fleet, root.Version)
	}
	return later, floor, nil
}

// modeOf is whose word the machine obeys: what its trust root said when it was
// enrolled, or more if its own rules ask for it. A later trust root changes nothing,
// for no other could take it back. Rules that cannot be read may have asked.
func modeOf(floor trust.Mode, rules Rules, err error) trust.Mode {
	if err != nil {
		return trust.ModeGrants
	}
	return trust.Higher(floor, rules.Mode)
}
