package uplink

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strconv"

	"github.com/patchcycle/patchcycle/patching"
)

// Kind says what a message's body is.
type Kind string

// The kinds of message.
const (
	KindInventory    Kind = "inventory"     // body: [Inventory]
	KindContent      Kind = "content"       // body: [Content]
	KindReceipt      Kind = "receipt"       // body: [Receipts]
	KindLeaseRequest Kind = "lease-request" // body: [LeaseRequest]
	KindHello        Kind = "hello"         // body: [Hello]; stands in polls only
)

// Valid reports whether the protocol has the kind.
func (k Kind) Valid() bool {
	switch k {
	case KindInventory, KindContent, KindReceipt, KindLeaseRequest, KindHello:
		return true
	}
	return false
}

// Message is something that a device says. Relays pass it on as it is: Body is
// kept as bytes because the signature covers bytes, not a meaning.
type Message struct {
	Device patching.DeviceID `json:"device"`
	// Counter only grows, by any step: one series a device for all kinds. It is
	// durable on the device before it is used.
	Counter uint64 `json:"counter"`
	// Boot is the boot id under which the message was made.
	Boot      string `json:"boot"`
	Kind      Kind   `json:"kind"`
	Body      []byte `json:"body"`
	Signature []byte `json:"signature"`
}

// Limits of a message's small fields.
const (
	maxDevice = 128
	maxBoot   = 64
)

// ErrSignature is returned by [Message.Verify] for a message that the key did
// not sign.
var ErrSignature = errors.New("the message is not signed by its device's key")

// Sign sets the message's signature for a fleet.
func (m *Message) Sign(fleet string, key ed25519.PrivateKey) {
	m.Signature = ed25519.Sign(key, m.signed(fleet))
}

// Verify checks shape, limits and signature. Whether counter and device are
// acceptable is for the server's store to say.
func (m *Message) Verify(fleet string, key ed25519.PublicKey) error {
	switch {
	case m.Device == "" || len(m.Device) > maxDevice:
		return fmt.Errorf("message: a device id has 1 to %d bytes", maxDevice)
	case m.Counter == 0:
		return errors.New("message: counters begin at 1")
	case m.Boot == "" || len(m.Boot) > maxBoot:
		return fmt.Errorf("message: a boot id has 1 to %d bytes", maxBoot)
	case !m.Kind.Valid():
		return fmt.Errorf("message: the protocol has no kind %.32q", m.Kind)
	case len(m.Body) > MaxMessage:
		return fmt.Errorf("message: body of %d bytes, at most %d are allowed", len(m.Body), MaxMessage)
	case len(key) != ed25519.PublicKeySize:
		return fmt.Errorf("message: device key of %d bytes", len(key))
	case !ed25519.Verify(key, m.signed(fleet), m.Signature):
		return ErrSignature
	}
	return nil
}

// Digest addresses what was signed. The same counter with another digest is a
// fork: two machines speak with one key.
func (m *Message) Digest(fleet string) patching.Digest { return patching.DigestOf(m.signed(fleet)) }

// signed returns the bytes that the signature covers. Every part carries its
// length, so that no two messages share them.
func (m *Message) signed(fleet string) []byte {
	return preAuth("patchcycle message v1", []byte(fleet), []byte(m.Device),
		strconv.AppendUint(nil, m.Counter, 10), []byte(m.Boot), []byte(m.Kind), m.Body)
}

func preAuth(what string, parts ...[]byte) []byte {
	n := len(what) + 1
	for _, p := range parts {
		n += len(p) + 12
	}
	out := append(make([]byte, 0, n), what...)
	for _, p := range parts {
		out = append(out, ' ')
		out = strconv.AppendInt(out, int64(len(p)), 10)
		out = append(out, ' ')
		out = append(out, p...)
	}
	return out
}
