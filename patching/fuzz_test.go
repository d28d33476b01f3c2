package patching_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// What is accepted is written again byte for byte: its digest is its address.
func FuzzCanonical(f *testing.F) {
	f.Add([]byte("packages v1\tapt\nlibc6\tamd64\t2.36-9\tglibc\nnginx\tx86_64\t1:1.22\tnginx\t1.22\tnginx:1.22\n"))
	f.Add([]byte("candidates v1\tapt\nlibc6\tamd64\t1\t2\tDebian\tbookworm\ttrue\t12\t\tfalse\nkept back\tcurl\n"))
	f.Add(patching.Bundle{Manager: "apt", Steps: []patching.Step{{Restart: true, Patches: []patching.Patch{{Name: "a", Arch: "all", From: "1", To: "2"}}}}}.Canonical())
	f.Add([]byte("sources v1\t0123456789abcdef0123456789abcdef\ndebian\tg1\tbookworm\tmain\tamd64\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if s, err := patching.ParsePackageSet(text); err == nil {
			require.Equal(t, text, s.Canonical())
		}
		if s, err := patching.ParseCandidateSet(text); err == nil {
			require.Equal(t, text, s.Canonical())
		}
		if b, err := patching.ParseBundle(text); err == nil {
			require.Equal(t, text, b.Canonical())
		}
		if s, err := patching.ParseSources(text); err == nil {
			require.Equal(t, text, s.Canonical())
		}
	})
}
