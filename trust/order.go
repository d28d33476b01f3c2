package trust

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Order is what one machine is told to do.
type Order struct {
	V     int    `json:"v"` // format: 1
	Fleet string `json:"fleet"`
	// Epoch is the trust root's; Seq only grows within it, over the fleet.
	Epoch     int64             `json:"epoch"`
	Seq       uint64            `json:"seq"`
	ID        patching.OrderID  `json:"id"`
	Device    patching.DeviceID `json:"device"`
	DeviceKey patching.Digest   `json:"device_key"`
	Cycle     patching.CycleID  `json:"cycle"`
	Ring      patching.RingName `json:"ring"`
	Verb      Verb              `json:"verb"`
	// Fence is the number under which the cycle holds the machine's lock: an
	// order of a cycle that lost it carries a lower one.
	Fence  int64   `json:"fence"`
	Window *Window `json:"window"` // null for verbs that do not disturb
	// NotBefore and NotAfter bound the whole order, downloads included.
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	// Bundle and Rollback address what to carry out and what undoes it. A
	// revert carries out Rollback.
	Bundle   patching.Digest `json:"bundle"`
	Rollback patching.Digest `json:"rollback"`
	// Args are the verb's, see [ParseArgs].
	Args json.RawMessage `json:"args"`
	// Grant is the [Warrant] that it rests on; null where nobody has to have signed.
	Grant  json.RawMessage `json:"grant"`
	Issued time.Time       `json:"issued"`
}

// Window is when an order may start: inside what a window rule leaves open. The
// rule is what was approved; the machine checks that the instants follow from
// it, though a freeze may have shortened them.
type Window struct {
	Rule  string    `json:"rule"`
	Start time.Time `json:"start"`
	End   time.Time `json:"end"`
}

// Draft is an order as activities hand it to the dispatcher, which adds fleet,
// epoch, sequence and the device's key, and signs.
type Draft struct {
	ID     patching.OrderID
	Asset  patching.AssetID
	Device patching.DeviceID
	Cycle  patching.CycleID
	Ring   patching.RingName
	Wave   patching.WaveID
	Verb   Verb
	Fence  int64
	// WindowRule, Start and End are empty for verbs that do not disturb.
	WindowRule string
	Start, End time.Time
	NotAfter   time.Time
	Bundle     patching.Digest
	Rollback   patching.Digest
	// Args are the verb's arguments; nil takes the verb's defaults.
	Args Args
	// Warrant is what it rests on; nil: on the server's word.
	Warrant *Warrant
}

// Order completes the draft.
func (d Draft) Order(root Root, seq uint64, deviceKey PublicKey, issued time.Time) (Order, error) {
	args := d.Args
	if args == nil {
		args = NoArgs{}
	}
	o := Order{
		V: 1, Fleet: root.Fleet, Epoch: root.Epoch, Seq: seq, ID: d.ID, Device: d.Device, DeviceKey: deviceKey.ID(),
		Cycle: d.Cycle, Ring: d.Ring, Verb: d.Verb, Fence: d.Fence,
		NotBefore: instant(issued), NotAfter: instant(d.NotAfter),
		Bundle: d.Bundle, Rollback: d.Rollback, Args: Canonical(args), Grant: d.Warrant.raw(), Issued: instant(issued),
	}
	if d.WindowRule != "" {
		o.Window = &Window{Rule: d.WindowRule, Start: instant(d.Start), End: instant(d.End)}
	}
	if err := o.Validate(); err != nil {
		return Order{}, fmt.Errorf("order %s for %s: %w", d.ID, d.Device, err)
	}
	return o, nil
}

var null = json.RawMessage("null")

// instant is how times stand in signed documents: UTC, to the millisecond.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// spelledOnce reports whether times stand as [instant] writes them: an offset
// would be a second spelling of the same document.
func spelledOnce(times ...time.Time) bool {
	for _, t := range times {
		if _, offset := t.Zone(); offset != 0 || !t.Equal(instant(t)) {
			return false
		}
	}
	return true
}

// Seal signs the order with the dispatcher's key.
func (o Order) Seal(dispatcher Key) []byte { return seal(orderType, Canonical(o), dispatcher) }

// Bounds of an order's fields.
const (
	maxID   = 256
	maxRule = 1024
	// maxSpan bounds NotAfter − NotBefore: a cycle of a month, its roll-back
	// period and as much again.
	maxSpan = 120 * 24 * time.Hour
)

// Validate checks all that can be said of an order by itself. The dispatcher
// runs it before it signs, the machine after it has checked the signature.
func (o Order) Validate() error {
	spec, known := o.Verb.Spec()
	switch {
	case o.V != 1:
		return refuse(WhyFormat, "order of format %d, this program reads 1", o.V)
	case !known:
		return refuse(WhyVerb, "%.32q is not a verb", o.Verb)
	case o.Fleet == "" || o.Epoch < 1 || o.Seq < 1:
		return refuse(WhyForm, "fleet, epoch and sequence must be given")
	case o.ID == "" || len(o.ID) > maxID || o.Device == "" || len(o.Device) > maxID || len(o.Cycle) > maxID || len(o.Ring) > maxID:
		return refuse(WhyForm, "ids have 1 to %d bytes", maxID)
	case !o.DeviceKey.Valid():
		return refuse(WhyForm, "device key: %.80q is not a digest", o.DeviceKey)
	case o.Fence < 0 || spec.NeedsLease && o.Fence == 0:
		return refuse(WhyForm, "a %s needs the fence of the machine's lock", o.Verb)
	case len(o.Grant) == 0 || string(o.Grant) != "null" && !o.NeedsGrant():
		return refuse(WhyForm, "a %s has no grant", o.Verb)
	case o.Issued.IsZero() || o.NotBefore.IsZero() || !o.NotAfter.After(o.NotBefore) || o.NotAfter.Sub(o.NotBefore) > maxSpan:
		return refuse(WhyForm, "valid from %s to %s: want a span of at most %d days", o.NotBefore, o.NotAfter, maxSpan/(24*time.Hour))
	case !spelledOnce(o.Issued, o.NotBefore, o.NotAfter):
		return refuse(WhyForm, "times are in UTC, to the millisecond")
	case spec.NeedsLease != (o.Window != nil):
		return refuse(WhyForm, "a %s has a window if and only if it disturbs the machine", o.Verb)
	}
	if err := o.validateBundles(spec); err != nil {
		return err
	}
	if o.Window != nil {
		if err := o.validateWindow(); err != nil {
			return err
		}
	}
	if _, err := ParseArgs(o.Verb, o.Args); err != nil {
		return refuse(WhyForm, "arguments of %s: %w", o.Verb, err)
	}
	return nil
}

func (o Order) validateBundles(spec Spec) error {
	for _, d := range []struct {
		what   string
		digest patching.Digest
		needed bool
	}{{"bundle", o.Bundle, spec.NeedsBundle}, {"rollback", o.Rollback, spec.NeedsRollback}} {
		if d.needed && d.digest == "" || d.digest != "" && !d.digest.Valid() {
			return refuse(WhyForm, "a %s needs the digest of a %s, not %.80q", o.Verb, d.what, d.digest)
		}
	}
	return nil
}

func (o Order) validateWindow() error {
	w := o.Window
	switch {
	case w.Rule == "" || len(w.Rule) > maxRule:
		return refuse(WhyForm, "a window rule has 1 to %d bytes", maxRule)
	case !spelledOnce(w.Start, w.End):
		return refuse(WhyForm, "times are in UTC, to the millisecond")
	case !w.End.After(w.Start):
		return refuse(WhyForm, "window from %s to %s", w.Start, w.End)
	case w.End.After(o.NotAfter):
		return refuse(WhyForm, "the window ends at %s, after the order at %s", w.End, o.NotAfter)
	}
	return nil
}

// LeaseLife is for how long a lease is valid. Without a line, nothing new
// starts after it.
const LeaseLife = 15 * time.Minute

// Lease permits one device to start one order now.
type Lease struct {
	V         int               `json:"v"` // format: 1
	Fleet     string            `json:"fleet"`
	Epoch     int64             `json:"epoch"`
	Order     patching.OrderID  `json:"order"`
	Device    patching.DeviceID `json:"device"`
	NotBefore time.Time         `json:"not_before"`
	NotAfter  time.Time         `json:"not_after"`
}

// NewLease returns a lease from now on.
func NewLease(root Root, order patching.OrderID, device patching.DeviceID, now time.Time) Lease {
	now = instant(now)
	return Lease{V: 1, Fleet: root.Fleet, Epoch: root.Epoch, Order: order, Device: device, NotBefore: now, NotAfter: now.Add(LeaseLife)}
}

// Seal signs the lease with the lease key.
func (l Lease) Seal(lease Key) []byte { return seal(leaseType, Canonical(l), lease) }
