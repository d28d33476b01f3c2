package stream

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
)

// pair is an agent's end, and what ends the relay's.
func pair(t *testing.T, h http.Handler) (near *Opener, cut func() error) {
	t.Helper()
	toAgent, fromRelay := io.Pipe()
	toRelay, fromAgent := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- Serve(ctx, ends{toRelay, fromRelay}, h, zap.NewNop())
	}()
	near, err := Open(toAgent, fromAgent)
	require.NoError(t, err)
	t.Cleanup(near.Close)
	return near, sync.OnceValue(func() error { stop(); return <-served })
}

func client(o *Opener) *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return o.Dial(ctx) },
	}}
}

func ask(o *Opener) error {
	resp, err := client(o).Get("http://relay/")
	if err == nil {
		resp.Body.Close()
	}
	return err
}

func TestManyRequestsGoOverOneLineAtATime(t *testing.T) {
	release := make(chan struct{})
	near, cut := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/poll" {
			<-release
		}
		_, _ = io.WriteString(w, strings.Repeat(r.URL.Path, 100_000))
	}))
	asks := client(near)
	get := func(path string) {
		resp, err := asks.Get("http://relay" + path)
		if !assert.NoError(t, err) {
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		assert.Len(t, body, 100_000*len(path))
	}
	var polls, files sync.WaitGroup
	polls.Go(func() { get("/poll") })
	for range 10 {
		files.Go(func() { get("/x.deb") })
	}
	files.Wait() // while the poll waits
	close(release)
	polls.Wait()
	require.ErrorIs(t, cut(), context.Canceled)
}

func TestWhoseLineHasEndedIsToldAtOnce(t *testing.T) {
	near, cut := pair(t, http.NotFoundHandler())
	require.Error(t, cut())
	require.Eventually(t, func() bool {
		_, err := near.Dial(t.Context())
		return err != nil
	}, 10*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, ask(near), "the line over which this agent was started")
}

// Somebody may start the agent by hand, or a key's owner send it anything.
func TestALineThatSpeaksSomethingElseEnds(t *testing.T) {
	near, err := Open(strings.NewReader("SSH-2.0 hello\nls -l /\n"), io.Discard)
	require.NoError(t, err)
	defer near.Close()
	require.Error(t, ask(near))

	in, out := io.Pipe()
	go func() { _, _ = io.WriteString(out, "bash: patchcycle-agent: command not found\n") }()
	_, sink := io.Pipe()
	require.Error(t, Serve(t.Context(), ends{in, sink}, http.NotFoundHandler(), zap.NewNop()))
}
