package courier

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// taken is a courier in somebody else's hands: it answers what it likes.
func taken(t *testing.T, h http.HandlerFunc) *Link {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "letters")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	s := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	link, err := NewLink(socket)
	require.NoError(t, err)
	t.Cleanup(link.Close)
	return link
}

// peak is how much more the heap holds at most while do runs, in bytes.
func peak(do func()) uint64 {
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, most := heap(), uint64(0)
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most = max(most, heap())
			select {
			case <-done:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	do()
	close(done)
	<-ended
	return most - min(most, before)
}

// Serves Q13, Q15.
func TestACourierThatWasTakenOverCannotFillTheHandsMemory(t *testing.T) {
	list := func(one string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"orders":[`+strings.Repeat(one+",", (uplink.MaxRequest-100)/(len(one)+1))+one+"]}")
		}
	}
	endless := func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(bytes.Repeat([]byte(" "), 1<<20)); err != nil {
				return
			}
		}
	}
	var bomb bytes.Buffer
	z, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	require.NoError(t, err)
	for range 1 << 10 { // a GiB
		_, err := z.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	for name, h := range map[string]http.HandlerFunc{
		"a list of nothing": list("{}"),
		"a list of null":    list("null"),
		"an endless body":   endless,
		"a body of zeros, zipped": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"headers without end": func(w http.ResponseWriter, _ *http.Request) {
			for i := range 20_000 {
				w.Header().Add("X-More", strings.Repeat("x", 1000)+string(rune('a'+i%26)))
			}
			_, _ = io.WriteString(w, "{}")
		},
		"lists in lists": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"orders":`+strings.Repeat("[", uplink.MaxRequest-100))
		},
	} {
		t.Run(name, func(t *testing.T) {
			link := taken(t, h)
			used := peak(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				_, err := link.Poll(ctx, uplink.PollRequest{})
				require.Error(t, err)
				_, err = link.Content(ctx, patching.DigestOf([]byte("x")))
				require.Error(t, err)
			})
			t.Logf("%d MB", used>>20)
			require.Less(t, used, uint64(100<<20))
		})
	}
}

func TestACourierThatSendsAByteNowAndThenKeepsTheHandForABoundedTime(t *testing.T) {
	link := taken(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, " "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			time.Sleep(50 * time.Millisecond)
		}
	})
	var err error
	link.Client, err = uplink.NewClient(uplink.ClientOptions{URL: "unix:" + link.socket, Timeout: 500 * time.Millisecond, Tries: 1})
	require.NoError(t, err)
	began := time.Now()
	_, err = link.Poll(t.Context(), uplink.PollRequest{WaitSeconds: 1})
	require.Error(t, err)
	require.Less(t, time.Since(began), 5*time.Second)
}

// Serves Q13: apt speaks to the loopback, and a killed courier costs no more than that
// it asks again.
func TestPackagesComeThroughThePipeAsTheyAreAlsoAfterTheCourierWasKilled(t *testing.T) {
	whole := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	f := newFar(t)
	f.says(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.deb", time.Unix(1, 0), bytes.NewReader(whole))
	})
	letters, end := start(t, Options{}, f)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	core, said := observer.New(zap.WarnLevel)
	ended := make(chan error, 1)
	go func() { ended <- Pipe(ctx, in, ToSocket(Parcels(letters)), zap.New(core)) }()
	get := func(from string) ([]byte, error) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+in.Addr().String()+"/snapshot/0a/debian/1f/x.deb", http.NoBody)
		require.NoError(t, err)
		if from != "" {
			req.Header.Set("Range", "bytes="+from+"-")
		}
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		return io.ReadAll(resp.Body)
	}
	got, err := get("")
	require.NoError(t, err)
	require.Equal(t, whole, got)
	got, err = get("4194300")
	require.NoError(t, err)
	require.Equal(t, whole[4194300:], got, "apt asks for the rest of what it has the beginning of")

	end()
	_, err = get("")
	require.Error(t, err)
	require.Positive(t, said.FilterMessageSnippet("could not hand a package over").Len())
	require.Contains(t, said.All()[0].ContextMap()["error"], "courier does not answer")
	c, err := New(Options{Server: f.URL, TLS: f.Client().Transport.(*http.Transport).TLSClientConfig})
	require.NoError(t, err)
	serve(t, c, letters)
	got, err = get("")
	require.NoError(t, err)
	require.Equal(t, whole, got)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// Serves Q13: at 32 kB a second a kernel takes longer than any silence is borne.
func TestAPipeIsCutWhenNothingComesAndNotWhileAPackageDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		apt, near := net.Pipe()
		far, server := net.Pipe()
		ended := make(chan error, 1)
		go func() { ended <- pipe(t.Context(), near, func(context.Context) (net.Conn, error) { return far, nil }) }()
		go func() { _, _ = apt.Write([]byte("GET")) }()
		_, err := server.Read(make([]byte, 3))
		require.NoError(t, err)
		go func() {
			for range 30 {
				time.Sleep(time.Minute)
				_, _ = server.Write([]byte("x"))
			}
		}()
		for n := range 30 {
			_, err := apt.Read(make([]byte, 1))
			require.NoError(t, err, "after %d minutes", n)
		}
		last := time.Now()
		require.NoError(t, <-ended)
		require.Equal(t, pipeIdle, time.Since(last))
	})
}

func TestAHandThatHasANetworkRefusesToBeOne(t *testing.T) {
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 {
			require.ErrorContains(t, Alone(), "PrivateNetwork=yes")
			return
		}
	}
	require.NoError(t, Alone())
}
