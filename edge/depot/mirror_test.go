package depot_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
)

// Serves L3, Q11.
func TestTheMirrorFetchesOnceAndOnlyWhatASignedIndexNames(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	a.write("pool/main/secret.deb", []byte("not in the index"))
	d := newDepot(t, a.repository("tests"))
	status, _ := d.get(t, "/apt/tests/"+newTool.path())
	require.Equal(t, http.StatusNotFound, status, "no index was asked for yet that could vouch for it")
	status, release := d.get(t, "/apt/tests/dists/stable/InRelease")
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, release, "BEGIN PGP SIGNED MESSAGE")

	plain := packagesOf(newTool)
	status, text := d.get(t, "/apt/tests/dists/stable/main/binary-amd64/Packages")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, plain, text)
	status, text = d.get(t, "/apt/tests/dists/stable/main/binary-amd64/by-hash/SHA256/"+hash(packXZ(t, plain)))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(packXZ(t, plain)), text)

	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			status, text := d.get(t, "/apt/tests/"+newTool.path())
			if status != http.StatusOK || text != string(newTool.body) {
				t.Errorf("status %d, %q", status, text)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, a.count("/"+newTool.path()))

	for _, path := range []string{
		"/apt/tests/pool/main/secret.deb", "/apt/other/dists/stable/InRelease", "/apt/tests/dists/stable/Release",
		"/apt/tests/dists/unstable/InRelease", "/apt/tests/dists/stable/main/binary-amd64/by-hash/SHA256/" + hash(newTool.body),
		"/snapshot/" + strings.Repeat("0", 32) + "/tests/0/dists/stable/InRelease", "/snapshot/*/tests/0/dists/stable/InRelease", "/blobs/", "/",
	} {
		status, _ := d.get(t, path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	require.Zero(t, a.count("/pool/main/secret.deb"), "the archive was not even asked")
}

func TestNoPathLeadsOutOfTheDepot(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := newDepot(t, a.repository("tests"))
	s := d.freeze(t, newTool)
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "secret"), []byte("secret"), 0o600))
	for _, below := range []string{"/apt/tests/", "/apt/", pathIn(s, depot.Place{Generation: s.Generations[0].Generation})} {
		for _, climb := range []string{"../", "..%2f", "%2e%2e/", "..%5c", "./../", "//", "dists/stable/../", "dists/stable/..%2f"} {
			line, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://")) // a client would tidy the path up
			require.NoError(t, err)
			_, err = io.WriteString(line, "GET "+below+strings.Repeat(climb, 6)+"secret HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			answer, err := io.ReadAll(line)
			require.NoError(t, err)
			line.Close()
			require.NotContains(t, string(answer), "\r\n\r\nsecret", climb)
			require.NotContains(t, string(answer[:min(len(answer), 20)]), " 200 ", climb)
		}
	}
}

func TestPartsAndUnchangedFilesAreAnsweredAsHTTPHasThem(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := newDepot(t, a.repository("tests"))
	d.freeze(t, newTool)
	ask := func(header, value string) (int, http.Header, string) {
		r, err := http.NewRequest(http.MethodGet, d.url+"/apt/tests/"+newTool.path(), nil)
		require.NoError(t, err)
		r.Header.Set(header, value)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		require.NoError(t, err)
		return answer.StatusCode, answer.Header, string(text)
	}
	status, head, text := ask("Range", "bytes=4-")
	require.Equal(t, http.StatusPartialContent, status)
	require.Equal(t, string(newTool.body[4:]), text)
	status, _, _ = ask("If-Modified-Since", head.Get("Last-Modified"))
	require.Equal(t, http.StatusNotModified, status)
	status, _, _ = ask("If-None-Match", head.Get("ETag"))
	require.Equal(t, http.StatusNotModified, status)
	answer, err := http.Post(d.url+"/apt/tests/"+newTool.path(), "text/plain", nil)
	require.NoError(t, err)
	answer.Body.Close()
	require.Equal(t, http.StatusMethodNotAllowed, answer.StatusCode)
}

func TestAMachineThatStillGoesByTheIndexBeforeGetsWhatThatNames(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -2), time.Time{}, oldTool)
	d := newDepot(t, a.repository("tests"))
	d.get(t, "/apt/tests/dists/stable/InRelease")
	d.get(t, "/apt/tests/"+oldTool.path())
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d.get(t, "/apt/tests/dists/stable/InRelease")
	status, text := d.get(t, "/apt/tests/dists/stable/main/binary-amd64/by-hash/SHA256/"+hash(packXZ(t, packagesOf(oldTool))))
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(packXZ(t, packagesOf(oldTool))), text)
	status, text = d.get(t, "/apt/tests/"+oldTool.path())
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, string(oldTool.body), text)
}

func TestALocalFolderIsAnArchiveToo(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool, steady)
	r := a.repository("tests")
	r.URL = &url.URL{Scheme: "file", Path: a.dir}
	outside := filepath.Join(t.TempDir(), "outside.deb")
	require.NoError(t, os.WriteFile(outside, steady.body, 0o600))
	a.remove(steady.path())
	require.NoError(t, os.Symlink(outside, filepath.Join(a.dir, steady.path())))
	d := newDepot(t, r)
	s := d.freeze(t, newTool, steady)
	require.True(t, s.Has("tool", "amd64", "2.0"))
	require.False(t, s.Has("steady", "amd64", "5"), "a link that leads out of the folder is not followed")
	require.Zero(t, a.count("/dists/stable/InRelease"))
}
