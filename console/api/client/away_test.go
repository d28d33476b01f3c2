package client

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAServerThatDoesNotAnswerIsNamedByWhereItWasAsked(t *testing.T) {
	ask := func(server string, transport http.RoundTripper) error {
		c, err := New(Options{Server: server, Retry: -1, Transport: transport})
		require.NoError(t, err)
		_, err = c.Server(t.Context())
		require.ErrorIs(t, err, ErrAway)
		return err
	}
	socket := filepath.Join(t.TempDir(), "patchcycle.sock")
	require.EqualError(t, ask("unix://"+socket, nil), "the server does not answer on the socket "+socket+": nobody listens there")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.EqualError(t, ask("http://"+l.Addr().String(), nil), "the server does not answer at http://"+l.Addr().String()+": nobody listens there")

	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer srv.Close()
	require.EqualError(t, ask(srv.URL, nil), "the server does not answer at "+srv.URL+": EOF")

	slow := &http.Transport{DialContext: (&net.Dialer{Deadline: time.Now().Add(-time.Second)}).DialContext}
	require.EqualError(t, ask(srv.URL, slow), "the server does not answer at "+srv.URL+": i/o timeout")
}

func TestOnlyAServerThatWasReachedIsWorthAWait(t *testing.T) {
	c, err := New(Options{Server: "http://127.0.0.1:1", Retry: time.Minute})
	require.NoError(t, err)
	for _, transport := range []http.RoundTripper{nil, &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return (&net.Dialer{Deadline: time.Now().Add(-time.Second)}).DialContext(ctx, network, addr)
	}}} {
		c.http.Transport = transport
		began := time.Now()
		_, err = c.Server(t.Context())
		require.ErrorIs(t, err, ErrAway)
		assert.Less(t, time.Since(began), 10*time.Second)
	}
}
