package apt_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/apt"
)

// Debian signs with a subkey: gpg --show-keys names the primary key, apt's complaints name
// the subkey, and people may write down either. Serves Q15, L3.
func TestAnIndexIsSignedByThePrimaryKeyAndByTheSubkeyThatSignedIt(t *testing.T) {
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	config := &packet.Config{Time: func() time.Time { return day }, Algorithm: packet.PubKeyAlgoEdDSA}
	key := func() *openpgp.Entity {
		e, err := openpgp.NewEntity("archive", "", "archive@example.org", config)
		require.NoError(t, err)
		require.NoError(t, e.AddSigningSubkey(config))
		return e
	}
	archive, stranger := key(), key()
	fingerprint := func(k *packet.PublicKey) string { return fmt.Sprintf("%X", k.Fingerprint) }
	sub := archive.Subkeys[len(archive.Subkeys)-1]
	sign := func(by *packet.PrivateKey) []byte {
		var text bytes.Buffer
		w, err := clearsign.Encode(&text, by, config)
		require.NoError(t, err)
		_, err = w.Write([]byte("Suite: stable\nCodename: bookworm\nDate: Sun, 01 Nov 2026 00:00:00 UTC\nSHA256:\n " + strings.Repeat("0", 64) + " 0 main/binary-amd64/Packages\n"))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return append(text.Bytes(), '\n')
	}
	keys := apt.Keys{archive, stranger}
	_, err := keys.Verify(sign(sub.PrivateKey), day)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{fingerprint(archive.PrimaryKey), fingerprint(sub.PublicKey)}, keys.Signers(sign(sub.PrivateKey)))
	require.Equal(t, []string{fingerprint(archive.PrimaryKey)}, keys.Signers(sign(archive.PrivateKey)))
	require.Empty(t, apt.Keys{stranger}.Signers(sign(sub.PrivateKey)))
	require.Empty(t, keys.Signers([]byte("Suite: stable\n")))
}
