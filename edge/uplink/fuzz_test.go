package uplink

import (
	"bytes"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// Requests of machines and relays, packed or not: no message counts that no key has
// signed, and no answer either.
func FuzzRequests(f *testing.F) {
	f.Add([]byte(`{"messages":[{"device":"d","counter":1,"kind":"receipt","body":{},"signature":"AA=="}]}`), false)
	packed, _ := compress(bytes.Repeat([]byte(`{"messages":[]}          `), 200))
	f.Add(packed, true)
	f.Fuzz(func(t *testing.T, text []byte, zipped bool) {
		request := func() *bytes.Reader { return bytes.NewReader(text) }
		read := func(v any) error {
			r := httptest.NewRequest("POST", "/", request())
			if zipped {
				r.Header.Set("Content-Encoding", "gzip")
			}
			return ReadRequest(httptest.NewRecorder(), r, v)
		}
		var b Batch
		if read(&b) == nil {
			key := make([]byte, 32)
			for i := range b.Messages {
				require.Error(t, b.Messages[i].Verify("acme", key))
			}
		}
		var e EnrolRequest
		_ = read(&e)
		var p PollRequest
		_ = read(&p)
		var a Acks
		if read(&a) == nil {
			for i := range a.Acks {
				require.False(t, a.Acks[i].Of(&Message{}, "acme", nil))
			}
		}
	})
}
