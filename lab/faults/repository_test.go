package faults_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/lab/faults"
)

func TestEveryPackageIsOneThatDpkgReads(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "no dpkg-deb: run the tests on Debian")
		t.Skip("no dpkg-deb here: run the tests on Debian")
	}
	for _, f := range faults.Faults() {
		for _, v := range []string{faults.Good, faults.Bad, faults.Fixed} {
			d := faults.Package(f, v)
			data, err := d.Build()
			require.NoError(t, err)
			file := filepath.Join(t.TempDir(), d.FileName())
			require.NoError(t, os.WriteFile(file, data, 0o600))
			out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--field", file, "Package", "Version").CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Equal(t, fmt.Sprintf("Package: %s\nVersion: %s\n", f, v), string(out))
			out, err = exec.CommandContext(t.Context(), "dpkg-deb", "--contents", file).CombinedOutput()
			require.NoError(t, err, "%s", out)
			require.Contains(t, string(out), "root/root")
			require.Contains(t, string(out), "./usr/share/"+string(f)+"/version")
		}
	}
}

func TestTheSamePackageHasTheSameBytes(t *testing.T) {
	for _, f := range faults.Faults() {
		one, err := faults.Package(f, faults.Bad).Build()
		require.NoError(t, err)
		two, err := faults.Package(f, faults.Bad).Build()
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256(one), sha256.Sum256(two), f)
	}
}

func TestAnUnknownFaultWouldBeGood(t *testing.T) {
	// Each fault changes its bad version: one that was forgotten in Package
	// would build a bad version without a fault.
	for _, f := range faults.Faults() {
		good, bad := faults.Package(f, faults.Good), faults.Package(f, faults.Bad)
		bad.Version, bad.Files["usr/share/"+string(f)+"/version"] = good.Version, good.Files["usr/share/"+string(f)+"/version"]
		one, err := good.Build()
		require.NoError(t, err)
		two, err := bad.Build()
		require.NoError(t, err)
		require.NotEqual(t, one, two, f)
	}
}

// repository opens a new one, and a way to read it as apt would.
func repository(t *testing.T) (*faults.Repository, func(path string) (int, []byte)) {
	t.Helper()
	r, err := faults.Open(t.TempDir())
	require.NoError(t, err)
	return r, func(path string) (int, []byte) {
		w := httptest.NewRecorder()
		r.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		return w.Code, w.Body.Bytes()
	}
}

// packages follows the signature down to the list of packages.
func packages(t *testing.T, r *faults.Repository, get func(string) (int, []byte)) (*apt.Release, string) {
	t.Helper()
	key, err := r.Key()
	require.NoError(t, err)
	_, in := get("/dists/lab/InRelease")
	keys, err := apt.ReadKeys(key)
	require.NoError(t, err)
	release, err := keys.Verify(in, time.Now())
	require.NoError(t, err)
	f, ok := release.File("main/binary-amd64/Packages")
	require.True(t, ok)
	code, list := get("/dists/lab/main/binary-amd64/by-hash/SHA256/" + f.SHA256)
	require.Equal(t, 200, code)
	require.Len(t, list, int(f.Size))
	require.Equal(t, f.SHA256, fmt.Sprintf("%x", sha256.Sum256(list)))
	return release, string(list)
}

func TestTheRepositoryIsSignedDownToItsPackages(t *testing.T) {
	r, get := repository(t)
	_, list := packages(t, r, get)
	require.Empty(t, list)
	require.NoError(t, r.Publish(faults.Package(faults.Reboot, faults.Good), faults.Package(faults.Reboot, faults.Bad)))
	release, list := packages(t, r, get)
	require.Equal(t, "Patchcycle-Lab", release.Fields["Label"])
	require.Equal(t, "lab", release.Fields["Codename"])
	require.Equal(t, 2, strings.Count(list, "Package: lab-reboot\n"))
	_, after, _ := strings.Cut(list, "Filename: ")
	name, after, _ := strings.Cut(after, "\n")
	_, deb := get("/" + name)
	require.Contains(t, after, fmt.Sprintf("SHA256: %x\n", sha256.Sum256(deb)))
}

func TestWhatIsDroppedIsNeitherListedNorThere(t *testing.T) {
	r, get := repository(t)
	require.NoError(t, r.PublishAll(faults.Good, faults.Fixed))
	require.NoError(t, r.Drop(faults.Slow, faults.Good))
	_, list := packages(t, r, get)
	require.NotContains(t, list, "lab-slow_1.0")
	require.Contains(t, list, "lab-slow_1.2")
	code, _ := get("/pool/lab-slow_1.0_all.deb")
	require.Equal(t, 404, code)
	require.Error(t, r.Drop(faults.Slow, faults.Good), "nothing is dropped twice")
}

func TestAnIndexExpiresOnDemand(t *testing.T) {
	r, get := repository(t)
	release, _ := packages(t, r, get)
	require.NotContains(t, release.Fields, "Valid-Until")
	for _, d := range []time.Duration{time.Hour, -time.Hour} {
		require.NoError(t, r.Expire(d))
		release, _ = packages(t, r, get)
		until, err := time.Parse(time.RFC1123, release.Fields["Valid-Until"])
		require.NoError(t, err)
		require.WithinDuration(t, time.Now().Add(d), until, time.Minute)
		require.True(t, release.Date.Before(until), "an index is made before it expires")
	}
}

func TestAnIndexThatChangesTwiceInASecondIsServedAnew(t *testing.T) {
	r, _ := repository(t)
	ask := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dists/lab/InRelease", http.NoBody)
	ask.Header.Set("If-Modified-Since", time.Now().Add(time.Second).UTC().Format(http.TimeFormat))
	require.NoError(t, r.Expire(time.Hour))
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, ask)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "Valid-Until: ")
}

func TestARepositoryThatIsOpenedAgainHasItsKeyAndItsPackages(t *testing.T) {
	dir := t.TempDir()
	one, err := faults.Open(dir)
	require.NoError(t, err)
	require.NoError(t, one.Publish(faults.Package(faults.Unmet, faults.Good)))
	two, err := faults.Open(dir)
	require.NoError(t, err)
	a, err := one.Key()
	require.NoError(t, err)
	b, err := two.Key()
	require.NoError(t, err)
	require.True(t, bytes.Equal(a, b))
	require.NoError(t, two.Publish(faults.Package(faults.Unmet, faults.Bad)))
	w := httptest.NewRecorder()
	one.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/dists/lab/main/binary-amd64/Packages", http.NoBody))
	require.Equal(t, 2, strings.Count(w.Body.String(), "Package: lab-unmet\n"))
	w = httptest.NewRecorder()
	one.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/key.pgp", http.NoBody))
	require.Equal(t, 404, w.Code, "the key stays at home")
}
