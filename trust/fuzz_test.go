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
