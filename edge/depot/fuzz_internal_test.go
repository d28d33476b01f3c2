package depot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// An archive's index of packages names paths and sizes that are opened later.
func FuzzCatalogue(f *testing.F) {
	f.Add([]byte("Package: a\nArchitecture: all\nVersion: 1\nFilename: pool/a.deb\nSize: 12\nSHA256: " + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef" + "\n\n"))
	f.Add([]byte("Package: a\nDescription: x\n more\nFilename: ../../etc/passwd\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := readCatalogue(bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, e := range c.entries {
			require.True(t, filepath.IsLocal(e.path), "%q", e.path)
			require.GreaterOrEqual(t, e.size, int64(0))
		}
	})
}

// The file that lists repositories, and a snapshot's own description: accepted only as it
// was written.
func FuzzDescriptions(f *testing.F) {
	f.Add([]byte("repositories:\n  - name: debian\n    url: http://a.example/debian\n    suites: [bookworm]\n    components: [main]\n    architectures: [amd64]\n    keyring: /k.gpg\n    refresh: 1h\n"))
	s, err := (&Snapshot{}).manifest()
	require.NoError(f, err)
	f.Add(s)
	file := filepath.Join(f.TempDir(), "repositories.yaml")
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := ReadSnapshot(text); err == nil {
			again, err := s.manifest()
			require.NoError(t, err)
			require.Equal(t, text, again)
		}
		require.NoError(t, os.WriteFile(file, text, 0o600))
		_, _ = ReadRepositories(file)
	})
}
