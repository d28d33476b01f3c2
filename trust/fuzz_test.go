package trust

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// A trust root from a file or from the server: none counts that its own keys have not
// signed, and arguments are accepted in one spelling only.
func FuzzRootAndArgs(f *testing.F) {
	f.Add([]byte(`{"payload":"e30=","signatures":[]}`), string(Repair))
	f.Add([]byte(`{"do":"hold","by":"a","reason":"b"}`), string(Agent))
	f.Fuzz(func(t *testing.T, text []byte, verb string) {
		_, err := readRoot(text)
		require.Error(t, err, "nobody here has a key to sign with")
		var e envelope
		if Decode(text, &e) == nil {
			require.True(t, bytes.Equal(Canonical(e), text))
		}
		args, err := ParseArgs(Verb(verb), text)
		if err == nil {
			require.True(t, bytes.Equal(Canonical(args), text))
		}
	})
}

// What people sign comes through hands that nobody trusts: no text makes a machine
// take what nobody signed, and each document has one spelling.
func FuzzPapers(f *testing.F) {
	o := newOffice(f)
	good := o.signed(f, o.grants(), o.ana, o.ben)
	f.Add(Canonical(o.warrant(f, good)), []byte(good.Signatures[0].Armored()), string(o.ana.key))
	f.Add(good.Document, []byte("-----BEGIN SSH SIGNATURE-----"), "ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, text, armored []byte, line string) {
		order := o.order(t, o.draft(), 41)
		order.Grant = text
		if _, err := o.verifier().Basis(order); err == nil {
			require.Equal(t, string(Canonical(o.warrant(t, good))), string(text))
		}
		if g, err := ReadGrants(text); err == nil {
			require.Equal(t, string(text), string(g.Text()))
		}
		if p, err := ReadPreApproval(text); err == nil {
			require.Equal(t, string(text), string(p.Text()))
		}
		if sig, err := ParseSignature(armored); err == nil {
			_, err := sig.Key()
			require.NoError(t, err)
		}
		if k, err := ParsePersonKey(line); err == nil {
			again, err := ParsePersonKey(string(k))
			require.NoError(t, err)
			require.Equal(t, k, again)
		}
	})
}

// A draft of a trust root is shown to those who sign it before anybody has, and a
// delegation before it is signed: each has one spelling.
func FuzzDrafts(f *testing.F) {
	o := newOffice(f)
	f.Add(o.root.Draft())
	f.Add(Delegation{V: 1, Fleet: "acme", From: "ana", To: "eve", Key: o.eve.key, Scopes: []string{"*"}, NotBefore: o.now, NotAfter: o.now.AddDate(0, 0, 1), Reason: "r"}.Text())
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ReadRoot(text); err == nil {
			_, err := AddSignature(text, o.world.keys.Root)
			require.NoError(t, err)
			require.NotEmpty(t, r.RootKeys)
		}
		if d, err := ReadDelegation(text); err == nil {
			require.Equal(t, string(text), string(d.Text()))
		}
	})
}
