package uplink

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// The paths of the protocol. ContentPath is followed by a digest.
const (
	EnrolPath    = "/uplink/v1/enrol"
	MessagesPath = "/uplink/v1/messages"
	PollPath     = "/uplink/v1/poll"
	ContentPath  = "/uplink/v1/content/"
)

// Limits of the protocol, in bytes after decompression unless it says otherwise.
const (
	// MaxRequest bounds the body of any request and response.
	MaxRequest = 8 << 20
	// MaxMessage bounds one message's body. A package set of 20,000 packages
	// has about 1.5 MB.
	MaxMessage = 4 << 20
	// MaxBatch bounds the messages of a batch, MaxPoll the devices of a poll.
	MaxBatch = 2000
	MaxPoll  = 20000
	// MaxWait bounds a long poll. Proxies commonly cut after 60 s.
	MaxWait = 50 * time.Second
	// MaxHops bounds the relays between a device and the server: a site's, and one
	// behind which it stands.
	MaxHops = 2
	// HelloLife is for how long the server takes a hello after it first saw it.
	HelloLife = 10 * time.Minute
)

// EnrolRequest asks to be taken in. The same key may ask again with the same
// token: the answer is then the same and no use of the token is spent.
type EnrolRequest struct {
	Token string `json:"token"`
	// Key is the device's raw ed25519 public key, made on the device.
	Key []byte `json:"key"`
	// Proof signs token and key, so that nobody enrols a key that it does not
	// hold.
	Proof []byte `json:"proof"`
	Facts Facts  `json:"facts"`
}

// NewEnrolRequest returns a signed request.
func NewEnrolRequest(token string, key ed25519.PrivateKey, facts Facts) EnrolRequest {
	public := key.Public().(ed25519.PublicKey)
	r := EnrolRequest{Token: token, Key: public, Facts: facts}
	r.Proof = ed25519.Sign(key, r.signed())
	return r
}

// Verify checks that whoever asks holds the key.
func (r EnrolRequest) Verify() error {
	if len(r.Key) != ed25519.PublicKeySize || !ed25519.Verify(r.Key, r.signed(), r.Proof) {
		return errors.New("enrol: the proof does not show that the asker holds the key")
	}
	return r.Facts.Validate()
}

func (r EnrolRequest) signed() []byte {
	return preAuth("patchcycle enrol v1", []byte(TokenHash(r.Token)), r.Key)
}

// TokenHash returns the digest under which the server keeps a token.
func TokenHash(token string) patching.Digest {
	sum := sha256.Sum256([]byte(token))
	return patching.Digest("sha256:" + hex.EncodeToString(sum[:]))
}

// EnrolResponse answers an EnrolRequest. A device that is pending waits for a
// person; its messages are not taken yet.
type EnrolResponse struct {
	Device patching.DeviceID    `json:"device"`
	State  patching.DeviceState `json:"state"`
	// Root is the envelope of the trust root, to be pinned.
	Root []byte `json:"root"`
}

// Batch carries messages of one or many devices.
type Batch struct {
	// Relay names the route, by the relay that is nearest to the devices; empty is
	// direct.
	Relay string `json:"relay,omitempty"`
	// Hops counts the relays that passed it on.
	Hops     int       `json:"hops,omitempty"`
	Messages []Message `json:"messages"`
}

// Acks answers a Batch, in its order.
type Acks struct {
	Acks []Ack `json:"acks"`
}

// Ack says what became of one message. A message without an ack was not taken.
type Ack struct {
	Device  patching.DeviceID `json:"device"`
	Counter uint64            `json:"counter"`
	Intake  patching.Intake   `json:"intake"`
	// Need lists contents that an inventory refers to and the server lacks.
	Need []patching.Digest `json:"need,omitempty"`
	// Lease answers a lease request; absent: not now.
	Lease *SignedLease `json:"lease,omitempty"`
	// Signature is the server's, see [Ack.Of]: a machine forgets what was
	// acknowledged. A device that the server does not know gets none.
	Signature []byte `json:"signature,omitempty"`
}

// SignedOrder is an order for a device; Envelope is a trust.Order's.
type SignedOrder struct {
	Device   patching.DeviceID `json:"device"`
	Envelope []byte            `json:"envelope"`
}

// SignedLease is a start permit; Envelope is a trust.Lease's.
type SignedLease struct {
	Device   patching.DeviceID `json:"device"`
	Order    patching.OrderID  `json:"order"`
	Envelope []byte            `json:"envelope"`
}

// PollRequest asks what is new for devices.
type PollRequest struct {
	// Relay and Hops are as in [Batch].
	Relay   string       `json:"relay,omitempty"`
	Hops    int          `json:"hops,omitempty"`
	Devices []PollDevice `json:"devices"`
	// WaitSeconds is for how long the asker would wait, [MaxWait] at most;
	// zero answers at once.
	WaitSeconds int `json:"wait_seconds"`
}

// PollDevice says how far one device has come.
type PollDevice struct {
	// Hello is a signed [KindHello] message; it may be used again for
	// [HelloLife].
	Hello Message `json:"hello"`
	// Epoch and AfterSeq are those of the newest order that the device has
	// seen: it wants orders of a later epoch, or of this one with a higher
	// sequence.
	Epoch    int64  `json:"epoch"`
	AfterSeq uint64 `json:"after_seq"`
	// LeaseUntil is the latest end of a lease that it has seen: it wants
	// leases that end later.
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// Root is the version of its trust root; it wants a later one.
	Root int64 `json:"root"`
}

// PollResponse says what is new. It comes at once if anything is, and empty
// after the wait otherwise.
type PollResponse struct {
	Orders []SignedOrder `json:"orders,omitempty"`
	Leases []SignedLease `json:"leases,omitempty"`
	// Root is the envelope of a newer trust root, for all devices that asked
	// with an older one.
	Root []byte `json:"root,omitempty"`
	// Roots are those that were in force before it, oldest first: a machine that was
	// away takes one after the other.
	Roots [][]byte `json:"roots,omitempty"`
	// Refused names devices whose hello was not taken.
	Refused []Refused `json:"refused,omitempty"`
	// Hold is somebody's word that nothing starts on any machine behind whoever says it;
	// nil: there is none. It takes away, so nobody has to have signed it. It is said in
	// every answer, and is no news by itself.
	Hold *Hold `json:"hold,omitempty"`
	// At is the server's clock. Nobody signed it: a machine whose own is far from
	// it says so, and believes nothing more for it.
	At time.Time `json:"at,omitzero"`
	// Offline is set by a relay whose line to the server is down: whoever knows
	// another route takes it.
	Offline bool `json:"offline,omitempty"`
}

// Hold is who stops machines, and until when.
type Hold struct {
	Version int64     `json:"version,omitempty"`
	By      string    `json:"by"`
	Reason  string    `json:"reason"`
	Until   time.Time `json:"until,omitzero"` // zero: until it is lifted
}

// In reports whether nothing may start at now; a nil hold holds nothing.
func (h *Hold) In(now time.Time) bool { return h != nil && (h.Until.IsZero() || now.Before(h.Until)) }

// Same reports whether both say the same: an instant has many spellings, and those of a
// file are a person's.
func (h *Hold) Same(o *Hold) bool {
	if h == nil || o == nil {
		return h == o
	}
	return h.Version == o.Version && h.By == o.By && h.Reason == o.Reason && h.Until.Equal(o.Until)
}

// Empty reports whether nothing was new.
func (r PollResponse) Empty() bool {
	return len(r.Orders) == 0 && len(r.Leases) == 0 && len(r.Root) == 0 && len(r.Refused) == 0
}

// Refused says why a device's hello was not taken. A stale one is made anew;
// a stranger waits for a person.
type Refused struct {
	Device patching.DeviceID `json:"device"`
	// Stale: seen too long ago, or older than another of the device.
	Stale bool   `json:"stale,omitempty"`
	Why   string `json:"why"`
}

// Problem is the body of every answer that is not a success.
type Problem struct {
	Error string `json:"error"`
}
