package relay_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// archive is the server's door with a snapshot behind it.
type archive struct {
	*httptest.Server
	one   *depot.Snapshot
	text  []byte
	files map[string][]byte // by path below the generation
	bytes atomic.Int64      // that went over the line
	mu    sync.Mutex
	asked map[string]int
	// answer, if set, answers in the place of the file where it returns true.
	answer func(w http.ResponseWriter, r *http.Request) bool
	kept   []string
}

func newArchive(t *testing.T, sizes ...int) *archive {
	t.Helper()
	a := &archive{files: map[string][]byte{}, asked: map[string]int{}}
	a.one = &depot.Snapshot{Generations: []depot.Frozen{{Repository: "debian", Generation: "g1", Suite: "stable", Release: a.add("dists/stable/InRelease", []byte("signed"))}}}
	for n, size := range sizes {
		body := make([]byte, size)
		random := rand.NewChaCha8([32]byte{byte(n)})
		_, _ = random.Read(body)
		name := fmt.Sprintf("p%d", n)
		a.one.Packages = append(a.one.Packages, depot.Had{
			Wanted: depot.Wanted{Name: name, Arch: "amd64", Version: "2"}, File: a.add(debPath(n), body),
			Places: []depot.Place{{Generation: "g1", Path: debPath(n)}},
		})
	}
	var err error
	a.text, err = json.MarshalIndent(a.one, "", " ")
	require.NoError(t, err)
	a.text = append(a.text, '\n')
	a.one, err = depot.ReadSnapshot(a.text)
	require.NoError(t, err)
	a.kept = []string{a.one.Path()}
	a.Server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func debPath(n int) string { return fmt.Sprintf("pool/main/p%d/p%d_1%%3a2+x_amd64.deb", n, n) }

func (a *archive) add(path string, body []byte) blobs.File {
	a.files[path] = body
	sum := sha256.Sum256(body)
	return blobs.File{SHA256: hex.EncodeToString(sum[:]), Size: int64(len(body))}
}

func (a *archive) path(below string) string {
	return patching.SnapshotPath + a.one.Path() + "/debian/g1/" + below
}

func (a *archive) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	a.asked[r.URL.Path]++
	answer, kept := a.answer, a.kept
	a.mu.Unlock()
	w = &metered{w, a}
	switch below, ok := strings.CutPrefix(r.URL.Path, a.path("")); {
	case answer != nil && answer(w, r):
	case r.URL.Path == patching.SnapshotPath:
		_ = json.NewEncoder(w).Encode(depot.Kept{Snapshots: kept})
	case r.URL.Path == patching.SnapshotPath+a.one.Path():
		_, _ = w.Write(a.text)
	case ok && a.files[below] != nil:
		sum := sha256.Sum256(a.files[below])
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		http.ServeContent(w, r, "", serverTime, bytes.NewReader(a.files[below]))
	default:
		http.NotFound(w, r)
	}
}

func (a *archive) answers(with func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = with
}

type metered struct {
	http.ResponseWriter
	of *archive
}

func (m *metered) Write(p []byte) (int, error) {
	m.of.bytes.Add(int64(len(p)))
	return m.ResponseWriter.Write(p)
}

func (m *metered) Unwrap() http.ResponseWriter { return m.ResponseWriter }

func (a *archive) client(t *testing.T) *uplink.Client {
	t.Helper()
	c, err := uplink.NewClient(uplink.ClientOptions{URL: a.URL, Tries: 1})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func (a *archive) relay(t *testing.T, adjust ...func(*relay.Options)) *running {
	t.Helper()
	return start(t, newServer(t), append(adjust, func(o *relay.Options) { o.Files = a.client(t) })...)
}

// get asks the relay as apt does.
func (r *running) get(t *testing.T, path, span string) (int, []byte) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.url, nil)
	require.NoError(t, err)
	request.URL.Path = path
	if span != "" {
		request.Header.Set("Range", span)
	}
	resp, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, body
}

// Serves Q11: the WAN carries each package once a site.
func TestAPackageTravelsOnceForASiteAndRangesAreServed(t *testing.T) {
	a := newArchive(t, 3<<20)
	r := a.relay(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if status, body := r.get(t, a.path(debPath(0)), ""); status != http.StatusOK || !bytes.Equal(body, a.files[debPath(0)]) {
				t.Errorf("status %d, %d bytes", status, len(body))
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, a.asked[a.path(debPath(0))])
	require.Equal(t, 3<<20+int64(len(a.text))+keptBytes(a), a.bytes.Load(), "bytes over the line: the package, the manifest, and what the server keeps")
	status, part := r.get(t, a.path(debPath(0)), "bytes=100-199")
	require.Equal(t, http.StatusPartialContent, status)
	require.Equal(t, a.files[debPath(0)][100:200], part)

	a.Close() // a site without a line, restarted
	r.stop()
	again := a.relay(t, func(o *relay.Options) { o.Dir = r.dir })
	status, body := again.get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, a.files[debPath(0)], body)
}

func TestADownloadThatIsCutGoesOnWhereItWas(t *testing.T) {
	a := newArchive(t, 2<<20)
	cuts := 0
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != a.path(debPath(0)) || cuts == 3 {
			return false
		}
		cuts++
		http.ServeContent(&cutting{w, 400 << 10}, r, "", serverTime, bytes.NewReader(a.files[debPath(0)]))
		return true
	})
	r := a.relay(t)
	status, body := r.get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, a.files[debPath(0)], body)
	require.Equal(t, 3, cuts)
	require.Less(t, a.bytes.Load(), int64(2<<20+200<<10), "what came before a cut does not come again")
}

// Serves Q11: whoever sends nothing, or one byte after the other, holds nobody for long.
func TestADownloadOfWhichNothingComesIsGivenUpAndGoesOn(t *testing.T) {
	a := newArchive(t, 1<<20)
	stalls := 0
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != a.path(debPath(0)) || stalls == 2 {
			return false
		}
		stalls++
		w.Header().Set("Content-Length", fmt.Sprint(1<<20))
		_, _ = w.Write(a.files[debPath(0)][:1000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	})
	r := a.relay(t, func(o *relay.Options) { o.Stall = 200 * time.Millisecond })
	began := time.Now()
	status, body := r.get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, a.files[debPath(0)], body)
	require.Equal(t, 2, stalls)
	require.Less(t, time.Since(began), 15*time.Second)
}

// cutting is a line that breaks after so many bytes.
type cutting struct {
	http.ResponseWriter
	left int
}

func (c *cutting) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

func (c *cutting) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Serves Q15, L3: a relay that is poisoned, truncated or fed without an end gives out
// nothing that was not named.
func TestNothingGoesOutThatTheManifestDoesNotName(t *testing.T) {
	a := newArchive(t, 1000, 1000)
	forged := bytes.Clone(a.files[debPath(0)])
	forged[10] ^= 1
	for what, send := range map[string]func(http.ResponseWriter){
		"other bytes": func(w http.ResponseWriter) { _, _ = w.Write(forged) },
		"too short":   func(w http.ResponseWriter) { _, _ = w.Write(forged[:900]) },
		"endless": func(w http.ResponseWriter) {
			for range 1000 {
				if _, err := w.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		},
	} {
		a.answers(func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != a.path(debPath(0)) {
				return false
			}
			send(w)
			return true
		})
		r := a.relay(t)
		status, _ := r.get(t, a.path(debPath(0)), "")
		require.Equal(t, http.StatusBadGateway, status, what)
		a.answers(nil)
		status, body := r.get(t, a.path(debPath(0)), "")
		require.Equal(t, http.StatusOK, status, "and once the server sends the right ones, they go out")
		require.Equal(t, a.files[debPath(0)], body)

		// Changed on the relay's own disk.
		sum := sha256.Sum256(body)
		hash := hex.EncodeToString(sum[:])
		require.NoError(t, os.WriteFile(filepath.Join(r.dir, "packages", hash[:2], hash), forged, 0o600))
		status, body = r.get(t, a.path(debPath(0)), "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, a.files[debPath(0)], body, "it came again")
		r.stop()
	}
	// A manifest that is not the one that the plan named.
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != patching.SnapshotPath+a.one.Path() {
			return false
		}
		_, _ = w.Write(bytes.Replace(a.text, []byte(`"p1"`), []byte(`"px"`), 1))
		return true
	})
	status, _ := a.relay(t).get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusBadGateway, status)
}

// Serves Q15: the probes of a scanner.
func TestTraversalProbesAreRefusedAndLeaveNothing(t *testing.T) {
	a := newArchive(t, 1000)
	r := a.relay(t)
	status, _ := r.get(t, a.path(debPath(0)), "")
	require.Equal(t, http.StatusOK, status)
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, []byte("secret"), 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(r.dir, "packages", "link")))
	id := a.one.Path()
	for _, path := range []string{
		"/snapshot/../../etc/passwd", "/snapshot/%2e%2e/%2e%2e/etc/passwd", "/snapshot/..%2f..%2fetc%2fpasswd",
		"//etc/passwd", "/snapshot//" + id + "/debian/g1/dists/stable/InRelease",
		"/snapshot/" + id + "/debian/g1/../../../../packages/link", "/snapshot/" + id + "/debian/g1/%00", "/snapshot/%00",
		"/snapshot/" + id + "/debian/g1/" + strings.Repeat("a", 5000), "/snapshot/" + id + "/debian/g1/..%5c..%5cwindows",
		"/snapshot/" + id + "/debian/g1/packages/link", "/packages/link", "/snapshot/link", "/snapshot/" + id + "/debian/g1/.",
		"/uplink/v1/content/../../../etc/passwd", "/uplink/v1/content/sha256:..%2f..%2fpackages%2flink", "/apt/../../etc/passwd", "/apt/%2e%2e/%2e%2e/etc/passwd",
	} {
		require.Contains(t, []string{"400", "404"}, probe(t, r.url, path), path)
	}
	all, err := filepath.Glob(filepath.Join(r.dir, "*"))
	require.NoError(t, err)
	for i := range all {
		all[i] = filepath.Base(all[i])
	}
	require.Subset(t, []string{"kept.json", "lock", "manifests", "packages", "spool", "status.json", "texts"}, all)
}

// probe sends a path as it is, which no client library would.
func probe(t *testing.T, url, path string) (status string) {
	t.Helper()
	line, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer line.Close()
	require.NoError(t, line.SetDeadline(time.Now().Add(10*time.Second)))
	_, err = fmt.Fprintf(line, "GET %s HTTP/1.0\r\nHost: relay\r\n\r\n", path)
	require.NoError(t, err)
	answer, err := io.ReadAll(line)
	require.NoError(t, err)
	require.NotContains(t, string(answer), "secret")
	fields := strings.Fields(string(answer))
	require.GreaterOrEqual(t, len(fields), 2, path)
	return fields[1]
}

// Serves Q11, G9: bounded, evicting, but never what running cycles need.
func TestTheCacheKeepsItsBoundAndWhatTheServerKeeps(t *testing.T) {
	a := newArchive(t, 100<<10, 100<<10, 100<<10)
	mirrored := make([]byte, 90<<10)
	sum := sha256.Sum256(mirrored)
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.HasPrefix(r.URL.Path, "/apt/debian/") {
			return false
		}
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
		http.ServeContent(w, r, "", serverTime, bytes.NewReader(mirrored))
		return true
	})
	r := a.relay(t, func(o *relay.Options) { o.Cache = 250 << 10 })
	require.Equal(t, http.StatusOK, first(r.get(t, "/snapshot/", "")))
	require.Equal(t, http.StatusOK, first(r.get(t, "/apt/debian/pool/x.deb", "")))
	require.Equal(t, http.StatusOK, first(r.get(t, a.path(debPath(0)), "")))
	require.Equal(t, http.StatusOK, first(r.get(t, a.path(debPath(1)), "")), "the mirrored file gave way")
	require.Equal(t, 2, files(t, r.dir))
	status, words := r.get(t, a.path(debPath(2)), "")
	require.Equal(t, http.StatusInsufficientStorage, status)
	require.Contains(t, string(words), "what running cycles may need takes")

	a.mu.Lock()
	a.kept = []string{}
	a.mu.Unlock()
	r.stop()
	again := a.relay(t, func(o *relay.Options) { o.Cache, o.Dir = 250<<10, r.dir })
	require.Equal(t, http.StatusOK, first(again.get(t, "/snapshot/", "")))
	require.Equal(t, http.StatusOK, first(again.get(t, a.path(debPath(2)), "")), "nobody needs the others any more")
	require.LessOrEqual(t, files(t, r.dir), 2)
}

func first(status int, _ []byte) int { return status }

func files(t *testing.T, dir string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "packages", "*", "*"))
	require.NoError(t, err)
	return len(all)
}

func TestPackagesComeNoFasterThanTheLineMayCarry(t *testing.T) {
	a := newArchive(t, 300<<10)
	r := a.relay(t, func(o *relay.Options) { o.Rate = 200 << 10 })
	began := time.Now()
	require.Equal(t, http.StatusOK, first(r.get(t, a.path(debPath(0)), "")))
	require.Greater(t, time.Since(began), time.Second, "300 kB at 200 kB a second, of which 64 come at once")
}

func TestARelayBehindAnotherServesItsPackages(t *testing.T) {
	a := newArchive(t, 100<<10)
	outer := a.relay(t)
	inner := start(t, outer.link, func(o *relay.Options) { o.Name, o.Files = "hall-2", outer.link })
	for range 2 {
		status, body := inner.get(t, a.path(debPath(0)), "")
		require.Equal(t, http.StatusOK, status)
		require.Equal(t, a.files[debPath(0)], body)
	}
	require.Equal(t, http.StatusOK, first(inner.get(t, "/snapshot/", "")))
	require.Equal(t, 1, a.asked[a.path(debPath(0))])
}
