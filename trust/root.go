package trust

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// Mode says whose word starts a change.
type Mode string

// The modes, from lower to higher. Nothing remote lowers a mode.
const (
	// ModeDispatcher: an order signed by the dispatcher suffices; who approved
	// is the server's record.
	ModeDispatcher Mode = "dispatcher"
	// ModeGrants: orders that need one carry a grant signed by approvers' keys.
	ModeGrants Mode = "grants"
)

func (m Mode) rank() int {
	switch m {
	case ModeDispatcher:
		return 1
	case ModeGrants:
		return 2
	}
	return 0
}

// Root is the trust root: the one document that says whose signatures count.
// Machines pin it when they enrol.
type Root struct {
	V       int    `json:"v"` // format: 1
	Fleet   string `json:"fleet"`
	Version int64  `json:"version"` // from 1, forward only
	// Epoch begins anew the series of orders, fences and signed times.
	Epoch          int64       `json:"epoch"`
	Mode           Mode        `json:"mode"`
	RootKeys       []PublicKey `json:"root_keys"`
	DispatcherKeys []PublicKey `json:"dispatcher_keys"`
	LeaseKeys      []PublicKey `json:"lease_keys"`
	Approvers      []Approver  `json:"approvers"`
	Quorum         Quorum      `json:"quorum"`
}

// Approver is a key whose holder may approve, and where.
type Approver struct {
	Account patching.AccountName `json:"account"`
	Key     PublicKey            `json:"key"`
	Roles   []string             `json:"roles"`
	Scopes  []string             `json:"scopes"`
}

// Quorum is how many approvers it takes, by kind of cycle.
type Quorum struct {
	Monthly   int `json:"monthly"`
	Emergency int `json:"emergency"`
}

// NewRoot returns the first trust root of a fleet, in mode dispatcher.
func NewRoot(fleet string, keys Keys) Root {
	return Root{
		V: 1, Fleet: fleet, Version: 1, Epoch: 1, Mode: ModeDispatcher,
		RootKeys:       []PublicKey{keys.Root.Public()},
		DispatcherKeys: []PublicKey{keys.Dispatcher.Public()},
		LeaseKeys:      []PublicKey{keys.Lease.Public()},
		Approvers:      []Approver{},
		Quorum:         Quorum{Monthly: 1, Emergency: 1},
	}
}

// Bump returns the next version of the root under a later epoch.
func (r Root) Bump(epoch int64) Root {
	r.Version++
	r.Epoch = epoch
	return r
}

// Seal signs the root. When root keys change, a key of the old root and one of
// the new have to sign.
func (r Root) Seal(keys ...Key) []byte { return seal(rootType, Canonical(r), keys...) }

// Fingerprint addresses the root keys: people compare it when they enrol a
// machine over a line that they do not trust.
func (r Root) Fingerprint() patching.Digest { return patching.DigestOf(Canonical(r.RootKeys)) }

func (r Root) validate() error {
	switch {
	case r.V != 1:
		return refuse(WhyFormat, "trust root of format %d, this program reads 1", r.V)
	case r.Fleet == "" || r.Version < 1 || r.Epoch < 1:
		return refuse(WhyForm, "trust root: fleet, version and epoch must be given")
	case r.Mode.rank() == 0:
		return refuse(WhyMode, "trust root: mode %.32q is not known", r.Mode)
	case len(r.RootKeys) == 0 || len(r.DispatcherKeys) == 0 || len(r.LeaseKeys) == 0:
		return refuse(WhyForm, "trust root: root, dispatcher and lease keys must be given")
	case r.Quorum.Monthly < 1 || r.Quorum.Emergency < 1:
		return refuse(WhyForm, "trust root: a quorum is at least 1")
	}
	for _, keys := range [][]PublicKey{r.RootKeys, r.DispatcherKeys, r.LeaseKeys} {
		for i, k := range keys {
			if len(k) != 32 {
				return refuse(WhyForm, "trust root: a key of %d bytes", len(k))
			}
			for _, other := range keys[:i] {
				if bytes.Equal(k, other) {
					return refuse(WhyForm, "trust root: a key stands in it twice")
				}
			}
		}
	}
	return nil
}

// Pinned is a trust root that a machine has accepted, with the envelope that
// it keeps on disk.
type Pinned struct {
	Root
	Envelope []byte
}

// Pin accepts a first trust root. It must be signed by a root key of its own;
// with a fingerprint, the root keys must be the ones that the fingerprint
// names. Without, whoever answers at enrolment is believed.
func Pin(text []byte, fingerprint patching.Digest) (Pinned, error) {
	root, err := readRoot(text)
	if err != nil {
		return Pinned{}, err
	}
	if got := root.Fingerprint(); fingerprint != "" && got != fingerprint {
		return Pinned{}, refuse(WhySignature, "the server's trust root has the fingerprint %s, you gave %s", got, fingerprint)
	}
	return Pinned{Root: root, Envelope: bytes.Clone(text)}, nil
}

// Accept returns the newer trust root in place of the pinned one, or why not:
// it must be of the same fleet, signed by a root key of the pinned one and by
// one of its own, of a later version, no earlier epoch and no lower mode. The
// pinned one again is accepted and changes nothing.
func (p Pinned) Accept(text []byte) (Pinned, error) {
	if bytes.Equal(text, p.Envelope) {
		return p, nil
	}
	if _, err := open(text, rootType, p.RootKeys); err != nil {
		return p, fmt.Errorf("trust root by the keys that are pinned: %w", err)
	}
	next, err := readRoot(text)
	if err != nil {
		return p, err
	}
	switch {
	case next.Fleet != p.Fleet:
		return p, refuse(WhyFleet, "trust root of fleet %.64q, this machine belongs to %q", next.Fleet, p.Fleet)
	case next.Version <= p.Version:
		return p, refuse(WhyVersion, "trust root of version %d, version %d is pinned", next.Version, p.Version)
	case next.Epoch < p.Epoch:
		return p, refuse(WhyEpoch, "trust root of epoch %d, epoch %d is pinned", next.Epoch, p.Epoch)
	case next.Mode.rank() < p.Mode.rank():
		return p, refuse(WhyMode, "trust root of mode %s would lower the mode %s that is pinned", next.Mode, p.Mode)
	}
	return Pinned{Root: next, Envelope: bytes.Clone(text)}, nil
}

// readRoot reads a root and checks that one of its own root keys signed it.
// The keys are in the document, so that it is parsed before that: Pin and
// Accept say why it may be believed.
func readRoot(text []byte) (Root, error) {
	var e envelope
	if len(text) > MaxEnvelope {
		return Root{}, refuse(WhySize, "%d bytes, at most %d are read", len(text), MaxEnvelope)
	}
	if err := Decode(text, &e); err != nil {
		return Root{}, refuse(WhyEnvelope, "envelope: %w", err)
	}
	var root Root
	if err := Decode(e.Payload, &root); err != nil {
		return Root{}, refuse(WhyForm, "trust root: %w", err)
	}
	if err := root.validate(); err != nil {
		return Root{}, err
	}
	if _, err := open(text, rootType, root.RootKeys); err != nil {
		return Root{}, fmt.Errorf("trust root by its own keys: %w", err)
	}
	return root, nil
}

// ErrNoRoot is returned where a trust root is needed and none was pinned.
var ErrNoRoot = errors.New("no trust root is pinned: enrol this machine first")
