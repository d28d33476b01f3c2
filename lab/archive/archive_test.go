package archive_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/archive"
)

func TestTheMirrorIsTheOneInAptsOwnLists(t *testing.T) {
	want := archive.Upstream{Debian: "http://mirror.example/debian", Security: "http://mirror.example/debian-security"}
	for name, files := range map[string]fstest.MapFS{
		"stanzas": {"etc/apt/sources.list.d/debian.sources": {Data: []byte(`Types: deb
# http://old.example/debian
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs:
 http://mirror.example/debian-security/
Suites: bookworm-security
Components: main
`)}},
		"lines, and another vendor's list": {
			"etc/apt/sources.list": {Data: []byte("# deb http://no.example/debian bookworm main\n" +
				"deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib # ours\n" +
				"deb-src http://src.example/debian bookworm main\n" +
				"deb http://mirror.example/debian-security bookworm-security main\n")},
			"etc/apt/sources.list.d/a.list": {Data: []byte("deb http://other.example/apt stable main\n")},
		},
		"what is switched off does not count": {"etc/apt/sources.list.d/a.sources": {Data: []byte(
			"Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n" +
				"Types: deb\nURIs: http://mirror.example/debian http://mirror.example/debian-security\nSuites: bookworm\nComponents: main\n")}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := archive.Find(files)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
}

func TestAMachineWithoutADebianMirrorIsToldWhereToLook(t *testing.T) {
	_, err := archive.Find(fstest.MapFS{"etc/apt/sources.list": {Data: []byte("deb http://mirror.example/ubuntu noble main\n")}})
	require.ErrorContains(t, err, "/etc/apt/sources.list")
}

// mirror counts what it is asked, and says something new each time.
func mirror(t *testing.T) (archive.Upstream, *atomic.Int64) {
	t.Helper()
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := asked.Add(1)
		if r.URL.Path == "/debian/dists/absent" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, r.URL.Path+" "+string(rune('0'+n)))
	}))
	t.Cleanup(s.Close)
	return archive.Upstream{Debian: s.URL + "/debian", Security: s.URL + "/debian-security"}, &asked
}

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
	return w.Code, w.Body.String()
}

func TestWhatWasFetchedOnceStaysAsItWas(t *testing.T) {
	upstream, asked := mirror(t)
	a := &archive.Archive{Dir: t.TempDir(), Upstream: upstream}
	for range 2 {
		code, body := get(t, a, "/debian/dists/bookworm/InRelease")
		require.Equal(t, 200, code)
		require.Equal(t, "/debian/dists/bookworm/InRelease 1", body)
	}
	require.EqualValues(t, 1, asked.Load())
}

func TestAFrozenArchiveHasNoNewIndexesButStillItsPackages(t *testing.T) {
	upstream, asked := mirror(t)
	a := &archive.Archive{Dir: t.TempDir(), Upstream: upstream, Frozen: true}
	code, _ := get(t, a, "/debian-security/dists/bookworm-security/InRelease")
	require.Equal(t, 404, code)
	require.Zero(t, asked.Load())
	code, body := get(t, a, "/debian-security/pool/main/o/openssl/x.deb")
	require.Equal(t, 200, code)
	require.Equal(t, "/debian-security/pool/main/o/openssl/x.deb 1", body)
}

func TestWhatIsNotTheArchivesIsNotFetched(t *testing.T) {
	upstream, asked := mirror(t)
	a := &archive.Archive{Dir: t.TempDir(), Upstream: upstream}
	for _, path := range []string{"/other/file", "/debian/../other", "/debian", "/"} {
		code, _ := get(t, a, path)
		require.NotEqual(t, 200, code, path)
	}
	require.Zero(t, asked.Load())
	code, _ := get(t, a, "/debian/dists/absent")
	require.Equal(t, 404, code)
}
