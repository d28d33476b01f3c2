package depot_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/lab/fixtures/debian"
)

func debianFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "lab", "fixtures", "debian", "data", name))
	require.NoError(t, err)
	return text
}

func debianKeys(t *testing.T) apt.Keys {
	t.Helper()
	keys, err := apt.ReadKeys(debianFile(t, "debian-archive-keyring.gpg"))
	require.NoError(t, err)
	return keys
}

// recorded is a day on which Debian's recorded indexes were new.
var recorded = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Serves L3.
func TestDebiansOwnIndexesVerifyAgainstDebiansKeys(t *testing.T) {
	for _, suite := range []string{"bookworm", "bookworm-updates", "bookworm-security"} {
		release, err := debianKeys(t).Verify(debianFile(t, suite+".InRelease"), recorded)
		require.NoError(t, err)
		require.NoError(t, release.Judge(suite, recorded))
		_, ok := release.File("main/binary-amd64/Packages.xz")
		require.True(t, ok)
	}
}

// Serves L3.
func TestDebiansOwnArchiveIsFrozenAsItWasRecorded(t *testing.T) {
	a := newArchive(t)
	a.write("dists/bookworm-security/InRelease", debianFile(t, "bookworm-security.InRelease"))
	a.write("dists/bookworm-security/main/binary-amd64/Packages.xz", debianFile(t, "bookworm-security.Packages.xz"))
	r := a.repository("debian-security")
	r.Suites, r.Keys = []string{"bookworm-security"}, debianKeys(t)
	d := newDepot(t, r)
	d.clock.forward(recorded.Sub(today))
	known, err := debian.Load()
	require.NoError(t, err)
	openssl, ok := known.Updates[1].Package("openssl")
	require.True(t, ok)
	s := d.freeze(t, deb{name: "openssl", arch: "amd64", version: openssl.Version}, deb{name: "openssl", arch: "amd64", version: "0.9"})
	require.Len(t, s.Generations, 1)
	require.Equal(t, hash(debianFile(t, "bookworm-security.InRelease")), s.Generations[0].Release.SHA256)
	require.Equal(t, []depot.Why{depot.NotNamed, depot.Gone}, []depot.Why{s.Missing[0].Why, s.Missing[1].Why}, "the recording has no packages")
}

func TestATamperedIndexOfDebianDoesNotVerify(t *testing.T) {
	good := debianFile(t, "bookworm-security.InRelease")
	middle := len(good) / 3
	flipped := bytes.Clone(good)
	flipped[middle] ^= 1
	for name, text := range map[string][]byte{
		"one bit turned":            flipped,
		"another version":           bytes.Replace(good, []byte("Version: 12"), []byte("Version: 13"), 1),
		"a line put in":             bytes.Replace(good, []byte("\nSHA256:\n"), []byte("\nSHA256:\n "+strings.Repeat("0", 64)+" 1 main/evil\n"), 1),
		"text before the signed":    append([]byte("Codename: other\n\n"), good...),
		"text after the signature":  append(bytes.Clone(good), "Codename: other\n"...),
		"cut off in the text":       good[:middle],
		"cut off in the signature":  good[:len(good)-200],
		"no signature":              []byte("Suite: bookworm-security\nDate: Thu, 19 Nov 2026 00:00:00 UTC\n"),
		"empty":                     nil,
		"two signed texts in a row": append(bytes.Clone(good), good...),
	} {
		require.False(t, bytes.Equal(good, text), name)
		_, err := debianKeys(t).Verify(text, recorded)
		assert.ErrorContains(t, err, "InRelease", name)
	}
}

func TestAnIndexIsJudgedByItsDatesAtTheTimeOfTheSnapshot(t *testing.T) {
	release, err := debianKeys(t).Verify(debianFile(t, "bookworm-security.InRelease"), recorded)
	require.NoError(t, err)
	require.ErrorContains(t, release.Judge("bookworm-security", release.ValidUntil), "Valid-Until")
	require.NoError(t, release.Judge("bookworm-security", release.ValidUntil.Add(-time.Second)))
	require.ErrorContains(t, release.Judge("bookworm-security", release.Date.Add(-time.Minute)), "has not come")
	// A mirror that gives out the release in the place of its updates would keep
	// every update from the machines, with a good signature.
	require.ErrorContains(t, release.Judge("bookworm", recorded), "is of suite")
}

func TestAKeyThatIsNotConfiguredDoesNotCount(t *testing.T) {
	keys, err := apt.ReadKeys(publicKeys(t, otherKey(t)))
	require.NoError(t, err)
	_, err = keys.Verify(debianFile(t, "bookworm.InRelease"), recorded)
	require.ErrorContains(t, err, "signature")
	require.ErrorContains(t, err, "unknown")
}

func TestOneGoodSignatureAmongSeveralSuffices(t *testing.T) {
	a := newArchive(t)
	other := otherKey(t)
	text := a.release(today, time.Time{}, map[string][]byte{"main/binary-amd64/Packages": []byte("x")})
	for _, order := range [][]byte{signWith(t, text, today, a.key, other), signWith(t, text, today, other, a.key)} {
		_, err := a.repository("tests").Keys.Verify(order, today.Add(time.Minute))
		require.NoError(t, err)
	}
	_, err := a.repository("tests").Keys.Verify(signWith(t, text, today, other), today.Add(time.Minute))
	require.Error(t, err)
}

// What an archive must do for its index to be taken, and what is said when it
// does not. The last good one stays.
func TestAnIndexThatIsNotRightIsRefusedAndTheLastGoodOneStays(t *testing.T) {
	next := fake("tool", "2")
	for name, c := range map[string]struct {
		spoil func(a *archive)
		why   string
	}{
		"signed by another key": {func(a *archive) { a.key = otherKey(t); a.publish(today, time.Time{}, next) }, "unknown entity"},
		"tampered": {func(a *archive) {
			a.publish(today, time.Time{}, next)
			text, err := os.ReadFile(filepath.Join(a.dir, "dists", "stable", "InRelease"))
			require.NoError(t, err)
			a.write("dists/stable/InRelease", bytes.Replace(text, []byte("Label: Tests"), []byte("Label: Other"), 1))
		}, "signature"},
		"expired":           {func(a *archive) { a.publish(today.AddDate(0, 0, -8), today.AddDate(0, 0, -1), next) }, "Valid-Until"},
		"went back in time": {func(a *archive) { a.publish(today.AddDate(0, 0, -20), time.Time{}, next) }, "back in time"},
		"from the future":   {func(a *archive) { a.publish(today.AddDate(0, 0, 2), time.Time{}, next) }, "has not come"},
		"without a package hash": {func(a *archive) {
			a.publishIndex(today, time.Time{}, strings.Replace(packagesOf(next), "SHA256:", "MD5sum:", 1))
		}, "no SHA256"},
		"leads out of the pool": {func(a *archive) {
			a.publishIndex(today, time.Time{}, strings.Replace(packagesOf(next), "pool/", "pool/../../", 1))
		}, "file name"},
		"its index is not the one that was signed": {func(a *archive) {
			a.byHash = false
			a.publish(today, time.Time{}, next)
			a.write("dists/stable/main/binary-amd64/Packages.xz", packXZ(t, packagesOf(fake("tool", "6"))))
		}, "was signed"},
		"its index is cut off": {func(a *archive) {
			a.byHash = false
			a.publish(today, time.Time{}, next)
			a.write("dists/stable/main/binary-amd64/Packages.xz", packXZ(t, packagesOf(next))[:60])
		}, "60 bytes"},
		"its index is gone": {func(a *archive) { a.publish(today, time.Time{}, next); a.remove("dists/stable/main") }, "no longer has it"},
		"without the hash of the index": {func(a *archive) {
			a.write("dists/stable/InRelease", a.sign(a.release(today, time.Time{}, map[string][]byte{"main/source/Sources": []byte("x")})))
		}, "names no SHA256 of main/binary-amd64/Packages"},
		"without any hash": {func(a *archive) {
			a.write("dists/stable/InRelease", a.sign(a.release(today, time.Time{}, nil)))
		}, "names no SHA256 of any"},
		"a bomb": {func(a *archive) {
			a.publishIndex(today, time.Time{}, strings.Repeat(packagesOf(next), 20_000))
		}, "unpacks to more"},
		"endless": {func(a *archive) {
			a.answers(func(w http.ResponseWriter, r *http.Request) bool {
				for i := 0; i < 20 && r.Context().Err() == nil; i++ {
					if _, err := w.Write(make([]byte, 1<<20)); err != nil {
						break
					}
				}
				return true
			})
		}, "more than 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they wait for the disk
			a := newArchive(t)
			a.publish(today.AddDate(0, 0, -10), today.AddDate(0, 0, 10), fake("tool", "1"))
			good := a.repository("tests")
			d := newDepot(t, good)
			first := d.freeze(t, fake("tool", "1"))

			c.spoil(a)
			d.log.entries()
			again, err := d.tryFreeze(t, fake("tool", "1"))
			require.NoError(t, err, "the last good index is valid, and the package is here")
			require.Contains(t, d.log.entries(), c.why)
			require.Equal(t, first.ID, again.ID)
			if name != "went back in time" { // of which a depot that saw none before knows nothing
				empty := newDepot(t, good)
				_, err := empty.tryFreeze(t)
				require.ErrorContains(t, err, c.why)
				status, _ := empty.get(t, "/apt/tests/dists/stable/InRelease")
				require.GreaterOrEqual(t, status, 400)
			}
			status, text := d.get(t, "/apt/tests/dists/stable/InRelease")
			require.Equal(t, http.StatusOK, status)
			release, err := good.Keys.Verify([]byte(text), today.Add(time.Hour))
			require.NoError(t, err)
			require.Equal(t, today.AddDate(0, 0, -10), release.Date)
		})
	}
}
