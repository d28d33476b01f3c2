package depot_test

import (
	"bytes"
	"compress/gzip"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/internal/apt"
)

// archive is a signed repository, served as it stands in dir.
type archive struct {
	t      *testing.T
	dir    string
	server *httptest.Server
	key    *openpgp.Entity
	byHash bool

	mu sync.Mutex
	// asked counts requests by path; answer, if set, answers in the place of
	// the file where it returns true.
	asked  map[string]int
	answer func(w http.ResponseWriter, r *http.Request) bool
}

// deb is a package that an archive offers.
type deb struct {
	name, arch, version string
	body                []byte
}

func (d deb) path() string {
	return fmt.Sprintf("pool/main/%s/%s_%s_%s.deb", d.name, d.name, d.version, d.arch)
}

func fake(name, version string) deb {
	return deb{name: name, arch: "amd64", version: version, body: []byte("the package " + name + " " + version)}
}

// Keys take a second to make: one for the archives, one for somebody else.
var archiveKey, strangeKey = sync.OnceValues(makeKey), sync.OnceValues(makeKey)

func makeKey() (*openpgp.Entity, error) {
	return openpgp.NewEntity("archive", "of the tests", "archive@example.org", &packet.Config{
		RSABits: 2048, DefaultHash: crypto.SHA256, Time: func() time.Time { return today.AddDate(-1, 0, 0) },
	})
}

func otherKey(t *testing.T) *openpgp.Entity {
	t.Helper()
	key, err := strangeKey()
	require.NoError(t, err)
	return key
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	key, err := archiveKey()
	require.NoError(t, err)
	a := &archive{t: t, dir: t.TempDir(), key: key, asked: map[string]int{}, byHash: true}
	files := http.FileServer(http.Dir(a.dir))
	a.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.asked[r.URL.Path]++
		answer := a.answer
		a.mu.Unlock()
		if answer == nil || !answer(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(a.server.Close)
	return a
}

func (a *archive) answers(with func(w http.ResponseWriter, r *http.Request) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = with
}

func (a *archive) count(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked[path]
}

func (a *archive) write(path string, text []byte) {
	a.t.Helper()
	file := filepath.Join(a.dir, filepath.FromSlash(path))
	require.NoError(a.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(a.t, os.WriteFile(file, text, 0o644))
}

func (a *archive) remove(path string) {
	a.t.Helper()
	require.NoError(a.t, os.RemoveAll(filepath.Join(a.dir, filepath.FromSlash(path))))
}

// packagesOf writes the index of packages.
func packagesOf(debs ...deb) string {
	var b strings.Builder
	for _, d := range debs {
		fmt.Fprintf(&b, "Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Nobody <nobody@example.org>\nFilename: %s\nSize: %d\nSHA256: %s\nDescription: of the tests\n a second line: not a field\n\n",
			d.name, d.version, d.arch, d.path(), len(d.body), hash(d.body))
	}
	return b.String()
}

// publish makes the packages all that the archive offers: what it had goes.
func (a *archive) publish(date, until time.Time, debs ...deb) {
	a.t.Helper()
	a.remove("pool")
	for _, d := range debs {
		a.write(d.path(), d.body)
	}
	a.publishIndex(date, until, packagesOf(debs...))
}

// publishIndex publishes any text as the index.
func (a *archive) publishIndex(date, until time.Time, text string) {
	a.t.Helper()
	a.remove("dists")
	files := map[string][]byte{
		"main/binary-amd64/Packages": []byte(text), "main/binary-amd64/Packages.xz": packXZ(a.t, text), "main/binary-amd64/Packages.gz": packGZ(a.t, text),
	}
	for name, body := range files {
		if name != "main/binary-amd64/Packages" { // like Debian, which only signs it
			a.write("dists/stable/"+name, body)
		}
		if a.byHash {
			a.write("dists/stable/main/binary-amd64/by-hash/SHA256/"+hash(body), body)
		}
	}
	a.write("dists/stable/InRelease", a.sign(a.release(date, until, files)))
}

func (a *archive) release(date, until time.Time, files map[string][]byte) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Origin: Tests\nLabel: Tests\nSuite: stable\nCodename: quiet\nDate: %s\n", date.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	if !until.IsZero() {
		fmt.Fprintf(&b, "Valid-Until: %s\n", until.UTC().Format("Mon, 02 Jan 2006 15:04:05 UTC"))
	}
	if a.byHash {
		b.WriteString("Acquire-By-Hash: yes\n")
	}
	b.WriteString("Architectures: amd64\nComponents: main\nSHA256:\n")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, " %s %d %s\n", hash(files[name]), len(files[name]), name)
	}
	return b.String()
}

func (a *archive) sign(text string) []byte {
	return signWith(a.t, text, today.AddDate(0, -6, 0), a.key)
}

func signWith(t *testing.T, text string, at time.Time, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	var b bytes.Buffer
	w, err := clearsign.EncodeMulti(&b, private, &packet.Config{DefaultHash: crypto.SHA256, Time: func() time.Time { return at }})
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	b.WriteByte('\n')
	return b.Bytes()
}

func (a *archive) keyring() []byte { return publicKeys(a.t, a.key) }

func publicKeys(t *testing.T, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	require.NoError(t, err)
	for _, k := range keys {
		require.NoError(t, k.Serialize(w))
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func (a *archive) repository(name string) depot.Repository {
	a.t.Helper()
	keys, err := apt.ReadKeys(a.keyring())
	require.NoError(a.t, err)
	u, err := url.Parse(a.server.URL)
	require.NoError(a.t, err)
	return depot.Repository{Name: name, URL: u, Suites: []string{"stable"}, Components: []string{"main"}, Architectures: []string{"amd64"}, Keys: keys}
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func packXZ(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := xz.NewWriter(&b)
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func packGZ(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

// today is when the tests take place. It is the real day where apt, which has a
// clock of its own, takes part.
var today = time.Now().UTC().Truncate(time.Second)

// clock is what a depot goes by.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) forward(by time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(by)
}

// stocked is a depot with its folder, its clock and its door.
type stocked struct {
	*depot.Depot
	dir   string
	clock *clock
	url   string
	log   *logbook
}

// logbook is what a depot said.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// entries returns what was said since it was asked last.
func (l *logbook) entries() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}

func newDepot(t *testing.T, repositories ...depot.Repository) *stocked {
	t.Helper()
	return openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: repositories})
}

func openDepot(t *testing.T, o depot.Options) *stocked {
	t.Helper()
	s := &stocked{dir: o.Dir, clock: &clock{at: today}, log: &logbook{}}
	o.Now, o.Refresh = s.clock.now, time.Nanosecond
	o.Log = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m"}), zapcore.AddSync(s.log), zapcore.InfoLevel))
	var err error
	s.Depot, err = depot.Open(o)
	require.NoError(t, err)
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.Close()
		s.Close()
	})
	s.url = server.URL
	return s
}

// get asks the depot's door. Every question comes a second after the one before.
func (s *stocked) get(t *testing.T, path string) (int, string) {
	t.Helper()
	s.clock.forward(time.Second)
	answer, err := http.Get(s.url + path)
	require.NoError(t, err)
	defer answer.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(answer.Body)
	require.NoError(t, err)
	return answer.StatusCode, b.String()
}

func (s *stocked) freeze(t *testing.T, wanted ...deb) *depot.Snapshot {
	t.Helper()
	snap, err := s.tryFreeze(t, wanted...)
	require.NoError(t, err)
	return snap
}

func (s *stocked) tryFreeze(t *testing.T, wanted ...deb) (*depot.Snapshot, error) {
	t.Helper()
	s.clock.forward(time.Second)
	var r depot.Request
	for _, d := range wanted {
		r.Wanted = append(r.Wanted, depot.Wanted{Name: d.name, Arch: d.arch, Version: d.version})
	}
	return s.Freeze(t.Context(), r)
}

// blob is where a depot keeps bytes.
func (s *stocked) blob(body []byte) string {
	return filepath.Join(s.dir, "blobs", hash(body)[:2], hash(body))
}
