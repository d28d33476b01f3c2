package uplink

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// serve answers every request with the handler, and returns a client that does
// not wait long.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	c, err := NewClient(ClientOptions{URL: srv.URL, FirstWait: time.Millisecond, Timeout: 5 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func TestABatchArrivesAsItWasSent(t *testing.T) {
	big := genuine()
	big.Body = Encode(Content{Kind: ContentPackages, Text: strings.Repeat("openssl\tamd64\t3.0.15-1\t\n", 2000)})
	big.Sign("acme", device.Private())
	sent := Batch{Relay: "berlin", Messages: []Message{genuine(), big}}
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, MessagesPath, r.URL.Path)
		assert.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
		var got Batch
		assert.NoError(t, ReadRequest(w, r, &got))
		assert.Equal(t, sent, got)
		WriteJSON(w, r, Acks{[]Ack{{Device: "d-1", Counter: 7, Intake: patching.Taken}}})
	})
	acks, err := c.Send(t.Context(), sent)
	require.NoError(t, err)
	assert.Equal(t, []Ack{{Device: "d-1", Counter: 7, Intake: patching.Taken}}, acks)
}

func TestContentIsCheckedAgainstItsAddress(t *testing.T) {
	text := bytes.Repeat([]byte("bundle v1\tapt\n"), 1000)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == ContentPath+string(patching.DigestOf(text)) {
			WriteText(w, r, text)
			return
		}
		WriteText(w, r, []byte("something else"))
	})
	got, err := c.Content(t.Context(), patching.DigestOf(text))
	require.NoError(t, err)
	assert.Equal(t, text, got)
	_, err = c.Content(t.Context(), patching.DigestOf([]byte("what was asked for")))
	assert.ErrorContains(t, err, "what came has the digest")
	_, err = c.Content(t.Context(), "sha256:../../etc/passwd")
	assert.ErrorContains(t, err, "not a digest")
}

func TestTheClientTriesAgainWhatMayPassAndNotWhatIsRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		calls  int32
	}{
		{"a fault of the server", http.StatusInternalServerError, 4},
		{"a server that is going down", http.StatusServiceUnavailable, 4},
		{"a server with too much to do", http.StatusTooManyRequests, 4},
		{"a refusal", http.StatusForbidden, 1},
		{"a redirect", http.StatusFound, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var calls atomic.Int32
			client := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				w.Header().Set("Location", "/elsewhere")
				WriteError(w, &Error{Status: c.status, Words: "not now"})
			})
			_, err := client.Send(t.Context(), Batch{})
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, c.status, e.Status)
			assert.Equal(t, "not now", e.Words)
			assert.Equal(t, c.calls, calls.Load())
			assert.Equal(t, c.calls == 1, Refusal(err) != nil)
		})
	}
}

func TestTheClientComesThroughAServerThatFailsTwice(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch calls.Add(1) {
		case 1: // the line breaks in the middle of an answer
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"acks":[`))
			panic(http.ErrAbortHandler)
		case 2:
			WriteError(w, errors.New("a detail that is nobody's business"))
		default:
			var b Batch
			assert.NoError(t, ReadRequest(w, r, &b))
			assert.Len(t, b.Messages, 1)
			WriteJSON(w, r, Acks{})
		}
	})
	_, err := c.Send(t.Context(), Batch{Messages: []Message{genuine()}})
	require.NoError(t, err)
	assert.EqualValues(t, 3, calls.Load())
}

func TestTheServersPatienceIsKept(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		WriteError(w, &Error{Status: http.StatusTooManyRequests, Words: "full", RetryAfter: 20 * time.Second})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Send(ctx, Batch{})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var e *Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, 20*time.Second, e.RetryAfter)
	assert.EqualValues(t, 1, calls.Load(), "it waits instead of asking again")
}

func TestAFaultOfTheServerTellsNoParticulars(t *testing.T) {
	w := httptest.NewRecorder()
	WriteError(w, errors.New("pq: password authentication failed"))
	assert.Equal(t, http.StatusInternalServerError, w.Code)
	assert.NotContains(t, w.Body.String(), "password")
}

func TestARequestIsBounded(t *testing.T) {
	zip := func(n int) []byte {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := io.CopyN(z, zeros{}, int64(n))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}
	for _, c := range []struct {
		name     string
		encoding string
		body     []byte
		status   int
	}{
		{"plain and too long", "", bytes.Repeat([]byte(" "), MaxRequest+1), http.StatusRequestEntityTooLarge},
		{"small, and huge when unpacked", "gzip", zip(64 << 20), http.StatusRequestEntityTooLarge},
		{"called gzip and not", "gzip", []byte("{}"), http.StatusBadRequest},
		{"packed in another way", "br", []byte("{}"), http.StatusUnsupportedMediaType},
		{"no JSON", "", []byte("hello"), http.StatusBadRequest},
		{"nested without end", "", append([]byte(`{"messages":`), bytes.Repeat([]byte("["), 100_000)...), http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, MessagesPath, bytes.NewReader(c.body))
			r.Header.Set("Content-Encoding", c.encoding)
			var b Batch
			err := ReadRequest(httptest.NewRecorder(), r, &b)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, c.status, e.Status)
		})
	}
}

func TestAnAnswerIsBounded(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.CopyN(z, zeros{}, 64<<20)
		_ = z.Close()
	})
	c.opts.Tries = 1
	_, err := c.Content(t.Context(), patching.DigestOf(nil))
	assert.ErrorContains(t, err, "longer than")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestAServersAddressIsSafeOrOnThisMachine(t *testing.T) {
	for url, ok := range map[string]bool{
		"https://patch.example:8443": true,
		"http://127.0.0.1:8080":      true,
		"http://[::1]:8080":          true,
		"http://localhost:8080":      true,
		"unix:/run/patchcycle.sock":  true,
		"http://patch.example":       false,
		"http://127.0.0.1.example":   false,
		"ftp://patch.example":        false,
		"patch.example:8443":         false,
		"":                           false,
	} {
		_, err := NewClient(ClientOptions{URL: url})
		assert.Equal(t, ok, err == nil, "%q: %v", url, err)
	}
}

func TestTheProtocolRunsOverAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p PollRequest
		if err := ReadRequest(w, r, &p); err != nil {
			WriteError(w, err)
			return
		}
		WriteJSON(w, r, PollResponse{Refused: []Refused{{Device: p.Devices[0].Hello.Device, Stale: true, Why: "old"}}})
	})}
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	c, err := NewClient(ClientOptions{URL: "unix:" + path})
	require.NoError(t, err)
	resp, err := c.Poll(t.Context(), PollRequest{Devices: []PollDevice{{Hello: genuine()}}})
	require.NoError(t, err)
	assert.Equal(t, PollResponse{Refused: []Refused{{"d-1", true, "old"}}}, resp)
}

// A newer server may say more than this client knows.
func TestUnknownFieldsOfAnAnswerAreSkipped(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"device": "d-9", "state": "accepted", "welcome": true})
	})
	resp, err := c.Enrol(t.Context(), NewEnrolRequest("t", device.Private(), Facts{Hostname: "h"}))
	require.NoError(t, err)
	assert.Equal(t, EnrolResponse{Device: "d-9", State: patching.DeviceAccepted}, resp)
}
