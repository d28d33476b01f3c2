package trust

import (
	"bytes"
	"crypto/ed25519"
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

// Higher returns the one of two modes that asks for more; a mode that is not known
// asks for nothing.
func Higher(a, b Mode) Mode {
	if a.rank() > b.rank() {
		return a
	}
	return b
}

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

// Approver is a key whose holder may approve, and where. Who has several keys
// stands in the root several times, and counts once.
type Approver struct {
	Account patching.AccountName `json:"account"`
	Key     PersonKey            `json:"key"`
	// Roles are [RoleApprover] and [RoleBreakGlass], Scopes those of accounts: "*" is
	// everything, "policy:<name>".
	Roles  []string `json:"roles"`
	Scopes []string `json:"scopes"`
}

// Quorum is how many approvers it takes, by kind of cycle. A policy may ask for
// more, never for fewer.
type Quorum struct {
	Monthly   int `json:"monthly"`
	Emergency int `json:"emergency"`
	// BreakGlass is how many it takes when the usual approvers cannot be waited for;
	// 0: there is no such way.
	BreakGlass int `json:"break_glass,omitzero"`
	// Root is how many root keys sign the next root; 0: one.
	Root int `json:"root,omitzero"`
}

// Of returns how many approvers a cycle of that kind takes.
func (q Quorum) Of(kind patching.Kind) int {
	if kind == patching.Emergency {
		return q.Emergency
	}
	return q.Monthly
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
	case r.Quorum.Monthly < 1 || r.Quorum.Emergency < 1 || r.Quorum.BreakGlass < 0:
		return refuse(WhyForm, "trust root: a quorum is at least 1")
	case max(r.Quorum.Monthly, r.Quorum.Emergency, r.Quorum.BreakGlass, r.Quorum.Root) > maxSignatures:
		return refuse(WhyForm, "trust root: a quorum is at most %d: no more signatures are checked", maxSignatures)
	case r.Quorum.Root < 0 || r.Quorum.Root > len(r.RootKeys):
		return refuse(WhyForm, "trust root: %d of %d root keys cannot sign", r.Quorum.Root, len(r.RootKeys))
	}
	if err := r.validateApprovers(); err != nil {
		return err
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

// validateApprovers also refuses a root under which nobody could ever approve: it
// would have to be replaced before the next cycle, by hand, on every machine that
// insists on it.
func (r Root) validateApprovers() error {
	people := map[string]map[patching.AccountName]bool{RoleApprover: {}, RoleBreakGlass: {}}
	for i, a := range r.Approvers {
		if _, err := a.Key.public(); err != nil {
			return refuse(WhyForm, "trust root: key of %.64q: %w", a.Account, err)
		}
		if a.Account == "" || len(a.Scopes) == 0 || len(a.Roles) == 0 {
			return refuse(WhyForm, "trust root: an approver needs an account, roles and scopes")
		}
		for _, role := range a.Roles {
			if people[role] == nil {
				return refuse(WhyForm, "trust root: %.32q is no role of a key, want %q or %q", role, RoleApprover, RoleBreakGlass)
			}
			people[role][a.Account] = true
		}
		if _, again := (Root{Approvers: r.Approvers[:i]}).approver(a.Key); again {
			return refuse(WhyForm, "trust root: the key %s stands in it twice", a.Key.Fingerprint())
		}
	}
	if r.Mode != ModeGrants {
		return nil
	}
	for _, q := range []struct {
		what, role string
		need       int
	}{{"monthly", RoleApprover, r.Quorum.Monthly}, {"emergency", RoleApprover, r.Quorum.Emergency}, {"break_glass", RoleBreakGlass, r.Quorum.BreakGlass}} {
		if n := len(people[q.role]); n < q.need {
			return refuse(WhyQuorum, "trust root: the quorum %s is %d, and %d people are %s", q.what, q.need, n, q.role)
		}
	}
	return nil
}

// need is how many root keys sign the next root.
func (q Quorum) need() int { return max(1, q.Root) }

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
// it must be of the same fleet, signed by as many root keys of the pinned one and
// of its own as each asks for, of a later version, no earlier epoch and no lower mode. The
// pinned one again is accepted and changes nothing.
func (p Pinned) Accept(text []byte) (Pinned, error) {
	if bytes.Equal(text, p.Envelope) {
		return p, nil
	}
	if err := signedBy(text, p.Root); err != nil {
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
	root, err := ReadRoot(text)
	if err != nil {
		return Root{}, err
	}
	if err := signedBy(text, root); err != nil {
		return Root{}, fmt.Errorf("trust root by its own keys: %w", err)
	}
	return root, nil
}

// signedBy checks that as many keys of a root as it asks for have signed a text.
func signedBy(text []byte, by Root) error {
	_, signers, err := opened(text, rootType, by.RootKeys)
	if err == nil && len(signers) < by.Quorum.need() {
		err = refuse(WhyQuorum, "%d root keys have signed, it takes %d", len(signers), by.Quorum.need())
	}
	return err
}

// ErrNoRoot is returned where a trust root is needed and none was pinned.
var ErrNoRoot = errors.New("no trust root is pinned: enrol this machine first")

// Draft returns the root as its holders sign it one after the other, see [AddSignature].
func (r Root) Draft() []byte { return r.Seal() }

// AddSignature returns an envelope of a trust root with one signature more. A key that
// has signed it already changes nothing.
func AddSignature(text []byte, key Key) ([]byte, error) {
	var e envelope
	if len(text) > MaxEnvelope {
		return nil, refuse(WhySize, "%d bytes, at most %d are read", len(text), MaxEnvelope)
	}
	if err := Decode(text, &e); err != nil {
		return nil, refuse(WhyEnvelope, "envelope: %w", err)
	}
	if e.PayloadType != rootType {
		return nil, refuse(WhyPayloadType, "payload type %.80q, want %q", e.PayloadType, rootType)
	}
	if _, err := ReadRoot(text); err != nil {
		return nil, err
	}
	if _, by, err := opened(text, rootType, []PublicKey{key.Public()}); err == nil && len(by) > 0 {
		return text, nil
	}
	if len(e.Signatures) >= maxSignatures {
		return nil, refuse(WhyEnvelope, "%d signatures, at most %d are checked", len(e.Signatures), maxSignatures)
	}
	e.Signatures = append(e.Signatures, signature{KeyID: string(key.Public().ID()), Sig: ed25519.Sign(key.private, preAuth(rootType, e.Payload))})
	return Canonical(e), nil
}

// ReadRoot reads a trust root whose signatures are not looked at: to show it to those
// who sign it.
func ReadRoot(text []byte) (Root, error) {
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
	return root, root.validate()
}
