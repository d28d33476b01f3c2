package trust

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/patchcycle/patchcycle/patching"
)

// person is somebody with an OpenSSH key.
type person struct {
	signer ssh.Signer
	key    PersonKey
}

func newPerson(t testing.TB, seed byte) person {
	t.Helper()
	private := ed25519.NewKeyFromSeed(append(make([]byte, 31), seed))
	signer, err := ssh.NewSignerFromKey(private)
	require.NoError(t, err)
	return person{signer, personKey(signer.PublicKey())}
}

func (p person) sign(t testing.TB, paper Paper, document []byte) PersonSignature {
	t.Helper()
	sig, err := Sign(paper, document, p.signer)
	require.NoError(t, err)
	return sig
}

// office is a fleet in mode grants, whose plan ana, ben and cy may approve. The
// ring pilot has three machines, of which the verifier is the second.
type office struct {
	world
	ana, ben, cy, eve person
	plan              patching.Plan
	items             []patching.PlanItem
	keys              []patching.Digest
}

func newOffice(t testing.TB) office {
	t.Helper()
	o := office{world: newWorld(), ana: newPerson(t, 11), ben: newPerson(t, 12), cy: newPerson(t, 13), eve: newPerson(t, 66)}
	everywhere := []string{"*"}
	o.root.Mode = ModeGrants
	o.root.Approvers = []Approver{
		{Account: "ana", Key: o.ana.key, Roles: []string{RoleApprover, RoleBreakGlass}, Scopes: everywhere},
		{Account: "ben", Key: o.ben.key, Roles: []string{RoleApprover}, Scopes: []string{"policy:servers"}},
		{Account: "cy", Key: o.cy.key, Roles: []string{RoleApprover}, Scopes: []string{"policy:laptops"}},
	}
	o.root.Quorum = Quorum{Monthly: 2, Emergency: 1}
	d := o.draft()
	for n, device := range []patching.DeviceID{"d-0", "d-1", "d-2"} {
		o.items = append(o.items, patching.PlanItem{Asset: "a", Device: device, Ring: "ring2", WindowRule: d.WindowRule, Bundle: d.Bundle, Rollback: d.Rollback})
		key := KeyFromSeed([32]byte{byte(40 + n)})
		if device == "d-1" {
			key = o.device
		}
		o.keys = append(o.keys, key.Public().ID())
	}
	var leaves [][]byte
	for n, i := range o.items {
		leaves = append(leaves, i.Leaf(o.keys[n]))
	}
	root, err := RingRoot(leaves)
	require.NoError(t, err)
	o.plan = patching.Plan{
		Cycle: d.Cycle, Revision: 2, Kind: patching.Monthly, Policy: "servers", Author: "dora",
		Made: o.now.Add(-24 * time.Hour), CloseBy: o.now.Add(14 * 24 * time.Hour),
		Rings: []patching.PlanRing{{Name: "ring2", Assets: 3, Root: root}, {Name: "ring3", Assets: 1, Root: patching.DigestOf([]byte("others"))}},
	}
	return o
}

// grants are those of the plan's second ring.
func (o office) grants() Grants {
	return GrantsFor(o.root, o.plan, []patching.RingName{"ring2"}, "")
}

func (o office) signed(t testing.TB, g Grants, by ...person) Signed {
	t.Helper()
	s := Signed{Document: g.Text()}
	for _, p := range by {
		s.Signatures = append(s.Signatures, p.sign(t, GrantsPaper, s.Document))
	}
	return s
}

// warrant is the device's part of what was signed.
func (o office) warrant(t testing.TB, s Signed) *Warrant {
	t.Helper()
	ring, err := NewRing(s, o.items, o.keys)
	require.NoError(t, err)
	w, err := ring.Warrant("d-1")
	require.NoError(t, err)
	return w
}

// ordered seals an order that rests on a warrant: whoever has the dispatcher's key can.
func (o office) ordered(t testing.TB, d Draft, w *Warrant) []byte {
	t.Helper()
	d.Warrant = w
	return o.order(t, d, 41).Seal(o.world.keys.Dispatcher)
}

func (o office) take(envelope []byte) error {
	_, err := o.verifier().Order(envelope, o.seen(), o.now)
	return err
}

// going back is ordered with the whole of the window that roll-backs have.
func (o office) revert() Draft {
	d := o.draft()
	d.Verb, d.WindowRule, d.Start, d.End, d.NotAfter = Revert, "always in UTC", o.now, o.now.Add(time.Hour), o.now.Add(time.Hour)
	return d
}

// hardware is an ed25519 key that lives in a FIDO token, which signs as OpenSSH's
// PROTOCOL.u2f says: over the application, the flags, a counter and the message.
type hardware struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
	flags   byte
}

func newHardware(t testing.TB, flags byte) person {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	wire := ssh.Marshal(struct{ Name, Key, Application string }{ssh.KeyAlgoSKED25519, string(public), "ssh:"})
	key, err := ssh.ParsePublicKey(wire)
	require.NoError(t, err)
	return person{hardware{private, key, flags}, personKey(key)}
}

func (h hardware) PublicKey() ssh.PublicKey { return h.public }

func (h hardware) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{h.flags}, 7)
	signed := append(append(append([]byte{}, application[:]...), rest...), message[:]...)
	return &ssh.Signature{Format: ssh.KeyAlgoSKED25519, Blob: ed25519.Sign(h.private, signed), Rest: rest}, nil
}
