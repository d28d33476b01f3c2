package trust

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Verifier stands between what arrives and the machine.
type Verifier struct {
	Root      Root
	Device    patching.DeviceID
	DeviceKey patching.Digest
	// Mode is the machine's own, which a later trust root does not change; empty: the
	// trust root's.
	Mode Mode
}

func (v Verifier) mode() Mode { return cmp.Or(v.Mode, v.Root.Mode) }

// Memory is what a machine has to remember of the orders that it has seen; its
// journal keeps it.
type Memory struct {
	Epoch int64  `json:"epoch"`
	Seq   uint64 `json:"seq"`
	// Fence is the highest that was seen in this epoch.
	Fence int64 `json:"fence"`
	// Signed is the latest time that the server has signed in this epoch.
	Signed time.Time `json:"signed"`
}

// Admit remembers an order that was verified, whatever becomes of it.
func (m *Memory) Admit(o Order) {
	m.enter(o.Epoch)
	m.Seq = max(m.Seq, o.Seq)
	m.Fence = max(m.Fence, o.Fence)
	m.saw(o.Issued)
}

// AdmitLease remembers the time that a verified lease was signed at.
func (m *Memory) AdmitLease(l Lease) {
	m.enter(l.Epoch)
	m.saw(l.NotBefore)
}

// enter begins a later epoch with a clean slate. A thief of the dispatcher's
// key who sent the highest sequence, or the year 2099, is thereby undone: only
// the root key makes an epoch.
func (m *Memory) enter(epoch int64) {
	if epoch > m.Epoch {
		*m = Memory{Epoch: epoch}
	}
}

func (m *Memory) saw(t time.Time) {
	if t.After(m.Signed) {
		m.Signed = t
	}
}

// Behind reports whether the machine's clock is so far behind the server's
// signed time that no window can be judged.
func (m Memory) Behind(now time.Time) bool { return now.Before(m.Signed.Add(-MaxSkew)) }

// Order verifies an order's envelope. The error is a [*Refusal]; its Order is
// set if the order is genuine, ours and new, so that the refusal is answered.
func (v Verifier) Order(text []byte, m Memory, now time.Time) (Order, error) {
	payload, err := open(text, orderType, v.Root.DispatcherKeys)
	if err != nil {
		return Order{}, err
	}
	var o Order
	if err := Decode(payload, &o); err != nil {
		return Order{}, refuse(WhyForm, "order: %w", err)
	}
	if err := v.addressed(o); err != nil {
		return Order{}, err
	}
	if err := v.acceptable(o, m, now); err != nil {
		// What was seen before or is of another epoch is not answered: it may
		// be an old envelope that somebody plays again.
		var r *Refusal
		if errors.As(err, &r) && r.Why != WhyReplay && r.Why != WhyEpoch {
			r.Order = &o
		}
		return Order{}, err
	}
	return o, nil
}

// addressed checks that the order is of this fleet and for this device and key.
func (v Verifier) addressed(o Order) error {
	switch {
	case o.Fleet != v.Root.Fleet:
		return refuse(WhyFleet, "order of fleet %.64q, this machine belongs to %q", o.Fleet, v.Root.Fleet)
	case o.Device != v.Device:
		return refuse(WhyDevice, "order for %.64q, this is %q", o.Device, v.Device)
	case o.DeviceKey != v.DeviceKey:
		return refuse(WhyDevice, "order for another key of %s", v.Device)
	}
	return nil
}

func (v Verifier) acceptable(o Order, m Memory, now time.Time) error {
	if m.Epoch != v.Root.Epoch {
		m = Memory{}
	}
	spec, _ := o.Verb.Spec()
	switch {
	case o.Epoch != v.Root.Epoch:
		// A later one too: only the trust root may begin an epoch.
		return refuse(WhyEpoch, "order of epoch %d, the trust root has %d", o.Epoch, v.Root.Epoch)
	case o.Seq <= m.Seq:
		return refuse(WhyReplay, "order number %d, %d was seen already", o.Seq, m.Seq)
	}
	if err := o.Validate(); err != nil {
		return err
	}
	switch {
	case spec.NeedsLease && o.Fence < m.Fence:
		return refuse(WhyFence, "order under lock %d, lock %d was seen already", o.Fence, m.Fence)
	case now.After(o.NotAfter):
		return refuse(WhyExpired, "order was valid until %s, it is %s", o.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if o.Window != nil {
		if err := o.Window.check(); err != nil {
			return err
		}
	}
	_, err := v.Basis(o)
	return err
}

// check says whether the instants follow from the rule, which is what was
// approved.
func (w Window) check() error {
	rule, zone, err := window.ParseSigned(w.Rule)
	if err != nil {
		return refuse(WhyWindow, "%w", err)
	}
	if !rule.Open(w.Start, w.End, zone) {
		return refuse(WhyWindow, "%q is not open from %s to %s", w.Rule, w.Start.Format(time.RFC3339), w.End.Format(time.RFC3339))
	}
	return nil
}

// Lease verifies the envelope of a lease for an order that was verified. A
// lease is only as good as the clock: see [Lease.Usable].
func (v Verifier) Lease(text []byte, o Order) (Lease, error) {
	payload, err := open(text, leaseType, v.Root.LeaseKeys)
	if err != nil {
		return Lease{}, err
	}
	var l Lease
	if err := Decode(payload, &l); err != nil {
		return Lease{}, refuse(WhyForm, "lease: %w", err)
	}
	switch {
	case l.V != 1:
		return Lease{}, refuse(WhyFormat, "lease of format %d, this program reads 1", l.V)
	case l.Fleet != v.Root.Fleet:
		return Lease{}, refuse(WhyFleet, "lease of fleet %.64q", l.Fleet)
	case l.Epoch != v.Root.Epoch:
		return Lease{}, refuse(WhyEpoch, "lease of epoch %d, the trust root has %d", l.Epoch, v.Root.Epoch)
	case l.Device != v.Device:
		return Lease{}, refuse(WhyDevice, "lease for %.64q, this is %q", l.Device, v.Device)
	case l.Order != o.ID:
		return Lease{}, refuse(WhyOrder, "lease for order %.64q, not %q", l.Order, o.ID)
	case !spelledOnce(l.NotBefore, l.NotAfter) || !l.NotAfter.After(l.NotBefore) || l.NotAfter.Sub(l.NotBefore) > LeaseLife:
		return Lease{}, refuse(WhyForm, "lease from %s to %s, %s at most", l.NotBefore, l.NotAfter, LeaseLife)
	}
	return l, nil
}

// Usable says whether the lease starts its order at the machine's time now:
// nil, or a refusal as expired or for the clock. A lease that looks older than
// [MaxSkew] does not count although it is valid for longer: it may be fresh,
// and the clock ahead. A new one tells.
func (l Lease) Usable(now time.Time) error {
	age := now.Sub(l.NotBefore)
	switch {
	case age < -MaxSkew:
		return refuse(WhyClock, "the lease begins %s ahead of this machine's clock", -age)
	case age > MaxSkew || now.After(l.NotAfter):
		return refuse(WhyExpired, "the lease is %s old", age.Round(time.Second))
	}
	return nil
}

// String names the order for logs.
func (o Order) String() string { return fmt.Sprintf("%s %s (%d/%d)", o.Verb, o.ID, o.Epoch, o.Seq) }
