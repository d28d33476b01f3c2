package uplink

import (
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Inventory is what a machine says of itself. What it refers to by digest is
// sent as [Content] only when the server asks.
type Inventory struct {
	Facts Facts `json:"facts"`
}

// Content carries a text that an inventory referred to.
type Content struct {
	Kind ContentKind `json:"kind"`
	Text string      `json:"text"`
}

// ContentKind says how a content's text is read.
type ContentKind string

// The kinds of content that devices send.
const (
	ContentPackages   ContentKind = "packages"
	ContentCandidates ContentKind = "candidates"
)

// Receipts is what happened to orders, oldest first.
type Receipts struct {
	Receipts []Receipt `json:"receipts"`
}

// LeaseRequest asks for the permit to start an order now.
type LeaseRequest struct {
	Order patching.OrderID `json:"order"`
}

// Hello says that the device is there; it entitles its bearer to fetch the
// device's orders for [HelloLife]. At is the device's own clock.
type Hello struct {
	At time.Time `json:"at"`
}

// Encode returns a body's canonical bytes.
func Encode[B Body](body B) []byte { return trust.Canonical(body) }

// Body is what can stand in a message.
type Body interface {
	Inventory | Content | Receipts | LeaseRequest | Hello
}

// Decode reads a body strictly: unknown fields, duplicate keys, trailing bytes
// and any other spelling than [Encode]'s are refused, as are values out of
// bounds.
func Decode[B Body](raw []byte) (B, error) {
	var body B
	if err := trust.Decode(raw, &body); err != nil {
		return body, fmt.Errorf("%T: %w", body, err)
	}
	if v, ok := any(body).(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return body, err
		}
	}
	return body, nil
}

// Validate checks the facts.
func (i Inventory) Validate() error { return i.Facts.Validate() }

// Validate checks the kind; the text is checked where it is parsed.
func (c Content) Validate() error {
	if c.Kind != ContentPackages && c.Kind != ContentCandidates {
		return fmt.Errorf("content: kind %.32q is not one that devices send", c.Kind)
	}
	return nil
}

// MaxReceipts bounds the receipts of a message.
const MaxReceipts = 64

// Validate checks every receipt.
func (r Receipts) Validate() error {
	if len(r.Receipts) == 0 || len(r.Receipts) > MaxReceipts {
		return fmt.Errorf("receipts: %d in a message, want 1 to %d", len(r.Receipts), MaxReceipts)
	}
	for _, one := range r.Receipts {
		if err := one.validate(); err != nil {
			return err
		}
	}
	return nil
}

// Validate checks that an order is named.
func (l LeaseRequest) Validate() error {
	if l.Order == "" || len(l.Order) > maxText {
		return errors.New("lease request: names no order")
	}
	return nil
}

// Receipt is the wire's form of a [patching.Receipt]; device, counter and boot
// are those of its message.
type Receipt struct {
	Order     patching.OrderID `json:"order"`
	At        time.Time        `json:"at"`
	Stage     patching.Stage   `json:"stage"`
	Outcome   patching.Outcome `json:"outcome,omitempty"`
	Reason    patching.Reason  `json:"reason,omitempty"`
	Detail    string           `json:"detail,omitempty"`
	Signature string           `json:"signature,omitempty"`
	Repairs   int              `json:"repairs,omitempty"`
	Freed     int64            `json:"freed,omitempty"`
	Changes   []Change         `json:"changes,omitempty"`
}

// Change is the wire's form of a [patching.Change].
type Change struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Bounds of what a device may write.
const (
	maxText    = 256
	MaxDetail  = 2048 // of a receipt's detail, in bytes
	maxChanges = 20000
	maxList    = 1000
)

func (r Receipt) validate() error {
	switch {
	case r.Order == "" || len(r.Order) > maxText:
		return errors.New("receipt: names no order")
	case !validStage(r.Stage):
		return fmt.Errorf("receipt of %s: %.32q is not a stage", r.Order, r.Stage)
	case r.Outcome != "" && !r.Outcome.Valid():
		return fmt.Errorf("receipt of %s: %.32q is not an outcome", r.Order, r.Outcome)
	case r.Reason != "" && !r.Reason.Valid():
		return fmt.Errorf("receipt of %s: %.32q is not a reason", r.Order, r.Reason)
	case len(r.Detail) > MaxDetail || len(r.Signature) > maxText || len(r.Changes) > maxChanges:
		return fmt.Errorf("receipt of %s: too long", r.Order)
	case r.Repairs < 0 || r.Freed < 0:
		return fmt.Errorf("receipt of %s: negative count", r.Order)
	}
	for _, c := range r.Changes {
		version := c.To
		if version == "" {
			version = c.From
		}
		if err := patching.ValidatePackage(c.Name, c.Arch, version); err != nil {
			return fmt.Errorf("receipt of %s: %w", r.Order, err)
		}
	}
	return nil
}

func validStage(s patching.Stage) bool {
	switch s {
	case patching.StageAccepted, patching.StageFetched, patching.StageStarted, patching.StageInstalled,
		patching.StageRebooting, patching.StageFinished, patching.StageRefused:
		return true
	}
	return false
}

// Receipt returns the domain's form, with what the message knows.
func (r Receipt) Receipt(m *Message) patching.Receipt {
	out := patching.Receipt{
		Order: r.Order, Device: m.Device, Counter: m.Counter, Boot: m.Boot, At: r.At, Stage: r.Stage,
		Outcome: r.Outcome, Reason: r.Reason, Detail: r.Detail, Signature: r.Signature,
		Repairs: r.Repairs, Freed: r.Freed,
	}
	for _, c := range r.Changes {
		out.Changes = append(out.Changes, patching.Change(c))
	}
	return out
}
