package apt_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/apt"
)

// An archive's signed index, its keys, and what is around a signature: nothing is good
// that no key has signed.
func FuzzRelease(f *testing.F) {
	f.Add([]byte("Origin: Debian\nSuite: stable\nDate: Sat, 21 Nov 2026 10:00:00 UTC\nSHA256:\n 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 12 main/binary-amd64/Packages.xz\n"))
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: a\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"))
	f.Add([]byte("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n"))
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := apt.Parse(string(text)); err == nil {
			require.False(t, r.Date.IsZero())
			_ = r.Judge("stable", at)
		}
		_, _ = apt.ReadVerified(text)
		_, _ = apt.ReadKeys(text)
		_, err := apt.Keys{}.Verify(text, at)
		require.Error(t, err)
	})
}
