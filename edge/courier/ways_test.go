package courier

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

const (
	aPoll    = "POST " + uplink.PollPath + " HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\npoll"
	aPackage = "GET " + patching.SnapshotPath + "0a0a/debian/g/pool/x.deb HTTP/1.1\r\nHost: x\r\n\r\n"
)

// between are a relay and a server, and a courier to them.
func between(t *testing.T, rate int64) (relay, server *far, socket string) {
	t.Helper()
	relay, server = newFar(t), newFar(t)
	pool := x509.NewCertPool()
	pool.AddCert(relay.Certificate())
	pool.AddCert(server.Certificate())
	socket, _ = start(t, Options{
		Server: server.URL, Relays: []string{relay.URL}, FallbackRate: rate, TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
	}, nil)
	return relay, server, socket
}

func answers(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// Serves Q5: a dead relay's machine goes on through the next way.
func TestARelayIsAskedFirstAndTheServerWhereItFails(t *testing.T) {
	relay, server, socket := between(t, 0)
	status, _ := say(t, socket, aPoll)
	require.Equal(t, 200, status)
	require.Len(t, relay.got(), 1)
	require.Empty(t, server.got())
	s, err := Ask(t.Context(), socket)
	require.NoError(t, err)
	require.Equal(t, relay.URL, s.Relay)

	relay.says(answers(http.StatusServiceUnavailable, "{}"))
	for range 3 {
		status, _ = say(t, socket, aPoll)
		require.Equal(t, 200, status)
	}
	require.Len(t, relay.got(), 2, "it rests")
	require.Equal(t, []string{"poll", "poll", "poll"}, server.bodies, "what was asked arrives whole on the next way")
	s, err = Ask(t.Context(), socket)
	require.NoError(t, err)
	require.Empty(t, s.Relay)

	server.says(answers(http.StatusBadGateway, "neither"))
	status, body := say(t, socket, aPoll)
	require.Contains(t, []int{http.StatusBadGateway, http.StatusServiceUnavailable}, status, "one of the two answers")
	require.NotEmpty(t, body)
}

func TestARelayWithoutALineIsPassedByIfTheServerIsReached(t *testing.T) {
	relay, server, socket := between(t, 0)
	offline := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(uplink.OfflineHeader, "1")
		_, _ = io.WriteString(w, `{"offline":true}`)
	}
	relay.says(offline)
	_, body := say(t, socket, aPoll)
	require.Equal(t, "{}", body)
	require.Len(t, server.got(), 1)

	server.Close()
	_, body = say(t, socket, aPoll)
	require.JSONEq(t, `{"offline":true}`, body, "nobody has a line: what was waited for is passed on")
}

// Serves Q11.
func TestAPackageThatARelayHasNoRoomForComesByTheNextWayNoFasterThanItMay(t *testing.T) {
	relay, server, socket := between(t, 100<<10)
	parcels := filepath.Join(filepath.Dir(socket), "parcels")
	text := strings.Repeat("x", 200<<10)
	relay.says(answers(http.StatusInsufficientStorage, "full"))
	server.says(answers(http.StatusOK, text))
	began := time.Now()
	status, body := say(t, parcels, aPackage)
	require.Equal(t, 200, status)
	require.Equal(t, text, body)
	require.Greater(t, time.Since(began), time.Second, "200 kB at 100 kB a second, of which 64 come at once")

	relay.says(answers(http.StatusOK, text))
	began = time.Now()
	status, _ = say(t, parcels, aPackage)
	require.Equal(t, 200, status)
	require.Less(t, time.Since(began), time.Second, "the relay is not left alone for one file, and its line is the machine's own")
	require.Len(t, server.got(), 1)
}
