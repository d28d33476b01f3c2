package trust

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// The payload types of signed documents. The version stands in the type, so
// that a document of another format fails before it is parsed.
const (
	orderType = "application/vnd.patchcycle.order.v1+json"
	leaseType = "application/vnd.patchcycle.lease.v1+json"
	rootType  = "application/vnd.patchcycle.root.v1+json"
)

// MaxEnvelope bounds a signed document, in bytes.
const MaxEnvelope = 64 << 10

// maxSignatures bounds the work that one envelope can cause.
const maxSignatures = 8

// envelope is a DSSE envelope (github.com/secure-systems-lab/dsse, v1.0.2).
type envelope struct {
	PayloadType string      `json:"payloadType"`
	Payload     []byte      `json:"payload"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	KeyID string `json:"keyid"`
	Sig   []byte `json:"sig"`
}

// seal signs a payload.
func seal(payloadType string, payload []byte, keys ...Key) []byte {
	e := envelope{PayloadType: payloadType, Payload: payload}
	signed := preAuth(payloadType, payload)
	for _, k := range keys {
		e.Signatures = append(e.Signatures, signature{KeyID: string(k.Public().ID()), Sig: ed25519.Sign(k.private, signed)})
	}
	return Canonical(e)
}

var errUnsigned = errors.New("no key that may sign it has signed it")

// open returns the payload if one of the keys signed it.
func open(text []byte, payloadType string, keys []PublicKey) ([]byte, error) {
	payload, _, err := opened(text, payloadType, keys)
	return payload, err
}

// opened returns the payload and which of the keys have signed it, each once; one
// has, or it is an error. The payload has not been looked at before that.
func opened(text []byte, payloadType string, keys []PublicKey) (payload []byte, by []PublicKey, err error) {
	if len(text) > MaxEnvelope {
		return nil, nil, refuse(WhySize, "%d bytes, at most %d are read", len(text), MaxEnvelope)
	}
	var e envelope
	if err := Decode(text, &e); err != nil {
		return nil, nil, refuse(WhyEnvelope, "envelope: %w", err)
	}
	if e.PayloadType != payloadType {
		return nil, nil, refuse(WhyPayloadType, "payload type %.80q, want %q", e.PayloadType, payloadType)
	}
	if len(e.Signatures) > maxSignatures {
		return nil, nil, refuse(WhyEnvelope, "%d signatures, at most %d are checked", len(e.Signatures), maxSignatures)
	}
	signed := preAuth(e.PayloadType, e.Payload)
	for _, k := range keys {
		signs := func(s signature) bool {
			return s.KeyID == string(k.ID()) && len(k) == ed25519.PublicKeySize && ed25519.Verify(ed25519.PublicKey(k), signed, s.Sig)
		}
		if slices.ContainsFunc(e.Signatures, signs) {
			by = append(by, k)
		}
	}
	if len(by) == 0 {
		return nil, nil, refuse(WhySignature, "%w", errUnsigned)
	}
	return e.Payload, by, nil
}

// preAuth is DSSE's pre-authentication encoding.
func preAuth(payloadType string, payload []byte) []byte {
	out := make([]byte, 0, len(payloadType)+len(payload)+40)
	out = append(out, "DSSEv1 "...)
	out = strconv.AppendInt(out, int64(len(payloadType)), 10)
	out = append(out, ' ')
	out = append(out, payloadType...)
	out = append(out, ' ')
	out = strconv.AppendInt(out, int64(len(payload)), 10)
	out = append(out, ' ')
	return append(out, payload...)
}

// Why is the class of a refusal.
type Why string

// Why a document was refused.
const (
	WhySize        Why = "too large"
	WhyEnvelope    Why = "not an envelope"
	WhyPayloadType Why = "wrong kind of document"
	WhySignature   Why = "not signed"
	WhyForm        Why = "malformed"
	WhyFormat      Why = "other format version"
	WhyFleet       Why = "another fleet"
	WhyDevice      Why = "another device"
	WhyMode        Why = "mode not supported"
	WhyEpoch       Why = "another epoch"
	WhyReplay      Why = "seen before"
	WhyFence       Why = "another cycle took over"
	WhyExpired     Why = "expired"
	WhyClock       Why = "clock off"
	WhyVerb        Why = "no such verb"
	WhyWindow      Why = "not in its window"
	WhyOrder       Why = "another order"
	WhyVersion     Why = "older version"
	WhyQuorum      Why = "too few approvals"
	WhyGrant       Why = "not approved"
)

// Refusal is why a document does not count.
type Refusal struct {
	Why Why
	err error
	// Order is set when the order is genuine, for this device and new, and yet
	// not acceptable: the server is then told. A forgery is not answered.
	Order *Order
}

// Error gives the class and the particulars.
func (r *Refusal) Error() string { return string(r.Why) + ": " + r.err.Error() }

// Unwrap returns the particulars.
func (r *Refusal) Unwrap() error { return r.err }

func refuse(why Why, format string, args ...any) *Refusal {
	return &Refusal{Why: why, err: fmt.Errorf(format, args...)}
}

// WhyOf returns the class of a refusal, empty for any other error.
func WhyOf(err error) Why {
	var r *Refusal
	if errors.As(err, &r) {
		return r.Why
	}
	return ""
}
