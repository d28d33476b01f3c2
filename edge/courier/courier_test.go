package courier

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// far is a server that keeps what reached it.
type far struct {
	*httptest.Server
	mu     sync.Mutex
	heard  []string
	bodies []string
	answer http.HandlerFunc // nil: an empty object
}

func newFar(t *testing.T) *far {
	f := &far{}
	f.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		f.mu.Lock()
		f.heard, f.bodies = append(f.heard, r.Method+" "+r.RequestURI), append(f.bodies, string(body))
		answer := f.answer
		f.mu.Unlock()
		if answer == nil {
			answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }
		}
		answer(w, r)
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *far) says(answer http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *far) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.heard
}

// start runs a courier to a server, and returns its socket and what ends it.
func start(t *testing.T, o Options, f *far) (socket string, end func()) {
	t.Helper()
	if f != nil {
		pool := x509.NewCertPool()
		pool.AddCert(f.Certificate())
		o.Server, o.TLS = f.URL, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	c, err := New(o)
	require.NoError(t, err)
	socket = filepath.Join(t.TempDir(), "s", "letters")
	return socket, serve(t, c, socket)
}

func serve(t *testing.T, c *Courier, socket string) (end func()) {
	t.Helper()
	letters, parcels, err := Listen(socket)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Serve(ctx, letters, parcels) }()
	end = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(end)
	return end
}

// say sends raw bytes to a socket and returns the answer's status and body.
func say(t *testing.T, socket, request string) (int, string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func request(method, target string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", method, target)
}

// Serves Q13, Q15.
func TestAPathThatIsNotInTheClosedListIsNotCarried(t *testing.T) {
	f := newFar(t)
	letters, _ := start(t, Options{}, f)
	digest := patching.DigestOf([]byte("x"))
	const snapshot = "/snapshot/0a/debian/1f/dists/bookworm/InRelease"
	for _, want := range []struct{ socket, request string }{
		{letters, request("POST", uplink.PollPath)},
		{letters, request("POST", uplink.MessagesPath)},
		{letters, request("GET", uplink.ContentPath+string(digest))},
		{Parcels(letters), request("GET", snapshot)},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/pool/g/gcc_12.2.0-14+deb12u1_amd64.deb")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/pool/o/openssl_3.0.22-1%7edeb12u2%2bb1_amd64.deb")}, // as apt writes it
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/pool/n/nginx_1%253a1.22_amd64.deb")},                // of a file called nginx_1%3a1.22
	} {
		status, said := say(t, want.socket, want.request)
		require.Equal(t, http.StatusOK, status, "%s: %s", want.request, said)
	}
	require.Len(t, f.got(), 7)
	require.Equal(t, "GET /snapshot/0a/debian/1f/pool/o/openssl_3.0.22-1~deb12u2+b1_amd64.deb", f.got()[5])
	require.Equal(t, "GET /snapshot/0a/debian/1f/pool/n/nginx_1%253a1.22_amd64.deb", f.got()[6])
	for _, never := range []struct{ socket, request string }{
		{letters, request("POST", uplink.EnrolPath)}, // a person enrols, and names the server
		{letters, request("GET", uplink.PollPath)},
		{letters, request("PUT", uplink.MessagesPath)},
		{letters, request("DELETE", uplink.ContentPath+string(digest))},
		{letters, request("HEAD", uplink.ContentPath+string(digest))},
		{letters, request("GET", uplink.ContentPath+string(digest)+"/more")},
		{letters, request("GET", uplink.ContentPath)},
		{letters, request("GET", "/uplink/v1/content/../../../api/v1/cycles")},
		{letters, request("GET", "/uplink/v1/content/%2e%2e%2fenrol")},
		{letters, request("GET", "/uplink//v1/content/"+string(digest))},
		{letters, request("GET", uplink.ContentPath+string(digest)+"?also=this")},
		{letters, request("GET", uplink.ContentPath+string(digest)+"?")},
		{letters, request("GET", "http://elsewhere.example"+uplink.ContentPath+string(digest))},
		{letters, request("CONNECT", "elsewhere.example:443")},
		{letters, request("OPTIONS", "*")},
		{letters, request("GET", "/api/v1/cycles")},
		{letters, request("GET", "/")},
		{letters, request("GET", snapshot)}, // by the other door
		{Parcels(letters), request("POST", uplink.PollPath)},
		{Parcels(letters), request("GET", uplink.ContentPath+string(digest))},
		{Parcels(letters), request("GET", "/apt/debian/dists/bookworm/InRelease")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/../../../../etc/passwd")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/%2e%2e/%2e%2e/x")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f//x")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/%252e%252e/x")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/%25253a/x")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/%25%253a2e/x")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/a%5c..%5cx")},
		{Parcels(letters), request("GET", "/snapshot/0a/debian/1f/a%00b")},
		{Parcels(letters), request("GET", "/snapshot/0a%2fdebian/1f%0d%0aHost:%20elsewhere/x")},
		{Parcels(letters), request("POST", snapshot)},
		{Parcels(letters), request("GET", "http://elsewhere.example"+snapshot)},
	} {
		status, said := say(t, never.socket, never.request)
		if !strings.HasPrefix(never.request, "OPTIONS * ") { // to that Go itself says nothing, with 200
			require.NotEqual(t, http.StatusOK, status, "%s: %s", never.request, said)
		}
		require.Len(t, f.got(), 7, never.request)
	}
}

func TestTheServerThatEnrolmentNamedAndNoOtherIsSpokenTo(t *testing.T) {
	elsewhere, f := newFar(t), newFar(t)
	letters, _ := start(t, Options{}, f)
	f.says(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	status, said := say(t, letters, request("POST", uplink.PollPath))
	require.Equal(t, http.StatusBadGateway, status)
	require.Contains(t, said, "where we do not go")
	require.Empty(t, elsewhere.got())
	status, _ = say(t, letters, "POST "+uplink.PollPath+" HTTP/1.1\r\nHost: elsewhere.example\r\nX-Forwarded-Host: elsewhere.example\r\nContent-Length: 0\r\n\r\n")
	require.Equal(t, http.StatusBadGateway, status)
	require.Len(t, f.got(), 2, "whatever host is asked for")
	for _, server := range []string{"", "http://patch.example:7440", "ftp://patch.example", "https://"} {
		_, err := New(Options{Server: server})
		require.Error(t, err, server)
	}
	_, err := New(Options{Server: "https://patch.example:7440/"})
	require.NoError(t, err)
}

func TestAnAnswerThatNeverEndsOrNeverComesIsGivenUp(t *testing.T) {
	f := newFar(t)
	f.says(func(w http.ResponseWriter, _ *http.Request) {
		for range 3 * uplink.MaxRequest >> 20 {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				return
			}
		}
	})
	letters, _ := start(t, Options{}, f)
	_, said := say(t, letters, request("POST", uplink.PollPath))
	require.LessOrEqual(t, len(said), uplink.MaxRequest+1)
	link, err := NewLink(letters)
	require.NoError(t, err)
	defer link.Close()
	_, err = link.once(t)
	require.Error(t, err, "half an answer does not look like a whole one")

	f.says(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	before := letter
	defer func() { letter = before }()
	letter.quiet = 100 * time.Millisecond
	quiet, _ := start(t, Options{}, f)
	began := time.Now()
	say(t, quiet, request("POST", uplink.MessagesPath))
	require.Less(t, time.Since(began), 10*time.Second)
}

// once asks without another try.
func (l *Link) once(t *testing.T) (uplink.PollResponse, error) {
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	return l.Poll(ctx, uplink.PollRequest{})
}

// comesToSay waits until a poll fails with these words. One that is cut off before
// it failed, on a busy machine, says nothing of them.
func (l *Link) comesToSay(t *testing.T, words string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		_, err := l.once(t)
		assert.ErrorContains(c, err, words)
	}, 20*time.Second, 10*time.Millisecond)
}

// A poll waits for most of a minute.
func TestAnAnswerThatIsLongInComingIsWaitedFor(t *testing.T) {
	if testing.Short() && os.Getenv("CI") == "" {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	f := newFar(t)
	letters, _ := start(t, Options{}, f)
	f.says(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(25 * time.Second)
		_, _ = io.WriteString(w, "{}")
	})
	link, err := NewLink(letters)
	require.NoError(t, err)
	defer link.Close()
	began := time.Now()
	_, err = link.Poll(t.Context(), uplink.PollRequest{WaitSeconds: 30})
	require.NoError(t, err)
	require.Less(t, time.Since(began), 40*time.Second, "the first time")
}

func TestARequestThatIsTooLongIsNotCarried(t *testing.T) {
	f := newFar(t)
	letters, _ := start(t, Options{}, f)
	c, err := net.Dial("unix", letters)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", uplink.MessagesPath)
	require.NoError(t, err)
	for range uplink.MaxRequest>>20 + 2 {
		if _, err = fmt.Fprintf(c, "%x\r\n%s\r\n", 1<<20, strings.Repeat("a", 1<<20)); err != nil {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.bodies {
		require.LessOrEqual(t, len(b), uplink.MaxRequest)
	}
}

// Serves Q13: each part says in words that the other does not run.
func TestTheHandTellsADeadCourierFromAServerThatIsOutOfReach(t *testing.T) {
	f := newFar(t)
	letters, end := start(t, Options{}, f)
	link, err := NewLink(letters)
	require.NoError(t, err)
	defer link.Close()
	_, err = link.Poll(t.Context(), uplink.PollRequest{})
	require.NoError(t, err)
	s, err := Ask(t.Context(), letters)
	require.NoError(t, err)
	require.Equal(t, f.URL, s.Server)
	require.Empty(t, s.Trouble)
	require.False(t, s.Answered.IsZero())

	f.CloseClientConnections()
	f.Listener.Close()
	link.comesToSay(t, "the courier has no line to "+f.URL)
	s, err = Ask(t.Context(), letters)
	require.NoError(t, err)
	require.NotEmpty(t, s.Trouble)

	end()
	link.comesToSay(t, "this machine's courier does not answer at "+letters)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // it would try for longer
	defer cancel()
	_, err = link.Content(ctx, patching.DigestOf([]byte("x")))
	require.ErrorContains(t, err, "systemctl status patchcycle-courier")
	_, err = Ask(t.Context(), letters)
	require.ErrorContains(t, err, "this machine's courier does not answer")
}

func TestACourierThatNobodyAsksSaysThatItServesNobody(t *testing.T) {
	f := newFar(t)
	core, said := observer.New(zap.WarnLevel)
	letters, _ := start(t, Options{Patience: 200 * time.Millisecond, Log: zap.New(core)}, f)
	require.Eventually(t, func() bool {
		return said.FilterMessageSnippet("nobody has asked for anything").Len() == 1
	}, 10*time.Second, 20*time.Millisecond)
	_, err := Ask(t.Context(), letters) // whoever asks for its status is no hand
	require.NoError(t, err)
	require.Never(t, func() bool { return said.Len() > 1 }, 500*time.Millisecond, 50*time.Millisecond, "once")
	require.Empty(t, f.got())
}

func TestASocketIsForItsOwnUserAlone(t *testing.T) {
	letters, _ := start(t, Options{}, newFar(t))
	for _, path := range []string{letters, Parcels(letters)} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	}
	_, _, err := FromSystemd(func(string) string { return "" })
	require.ErrorContains(t, err, "patchcycle-courier.socket")
}
