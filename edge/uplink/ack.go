package uplink

import (
	"crypto/ed25519"
	"strconv"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Sign signs the ack of a message with the server's lease key. A machine
// forgets what was acknowledged: were acks not signed, whoever owns the line
// could make a machine forget receipts that never arrived.
func (a *Ack) Sign(fleet string, m *Message, lease trust.Key) {
	a.Signature = ed25519.Sign(lease.Private(), a.signed(fleet, m.Digest(fleet)))
}

// Of reports whether the ack is of that message and one of the keys signed it.
func (a *Ack) Of(m *Message, fleet string, keys []trust.PublicKey) bool {
	if a.Device != m.Device || a.Counter != m.Counter {
		return false
	}
	signed := a.signed(fleet, m.Digest(fleet))
	for _, k := range keys {
		if len(k) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(k), signed, a.Signature) {
			return true
		}
	}
	return false
}

// signed returns the bytes that the signature covers. The lease is left out:
// it is signed by itself.
func (a *Ack) signed(fleet string, message patching.Digest) []byte {
	parts := [][]byte{[]byte(fleet), []byte(a.Device), strconv.AppendUint(nil, a.Counter, 10), []byte(message), []byte(a.Intake)}
	for _, d := range a.Need {
		parts = append(parts, []byte(d))
	}
	return preAuth("patchcycle ack v1", parts...)
}
