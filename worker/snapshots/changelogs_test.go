package snapshots_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/worker/snapshots"
)

var today = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// security is a signed archive of real packages, with the suite bookworm-security.
type security struct {
	t    *testing.T
	dir  string
	all  []patching.Package
	list bytes.Buffer
}

func newSecurity(t *testing.T) *security {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "no dpkg-deb: run the tests on Debian")
		t.Skip("no dpkg-deb here: run the tests on Debian")
	}
	return &security{t: t, dir: t.TempDir()}
}

// add builds a package with a changelog, or with a link to that of another. Padding makes it
// larger.
func (s *security) add(name, version, source, changelog string, padding int) {
	s.t.Helper()
	dir := s.t.TempDir()
	put := func(name string, text []byte) {
		file := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(s.t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(s.t, os.WriteFile(file, text, 0o644))
	}
	put("DEBIAN/control", fmt.Appendf(nil, "Package: %s\nVersion: %s\nArchitecture: amd64\nSource: %s\nMaintainer: Nobody <nobody@example.org>\nDescription: of the tests\n", name, version, source))
	put("usr/share/"+name, bytes.Repeat([]byte{'x'}, padding))
	doc := filepath.Join(dir, "usr", "share", "doc")
	if to, link := strings.CutPrefix(changelog, "-> "); link {
		require.NoError(s.t, os.MkdirAll(doc, 0o755))
		require.NoError(s.t, os.Symlink(to, filepath.Join(doc, name)))
	} else if changelog != "" {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, err := w.Write([]byte(changelog))
		require.NoError(s.t, err)
		require.NoError(s.t, w.Close())
		put("usr/share/doc/"+name+"/changelog.Debian.gz", packed.Bytes())
	}
	file := filepath.Join(s.dir, "pool", name+"_"+strings.ReplaceAll(version, ":", "%3a")+"_amd64.deb")
	require.NoError(s.t, os.MkdirAll(filepath.Dir(file), 0o755))
	out, err := exec.CommandContext(s.t.Context(), "dpkg-deb", "-Znone", "--root-owner-group", "--build", dir, file).CombinedOutput()
	require.NoError(s.t, err, string(out))
	s.put(name, version, file)
}

// put lists a package file.
func (s *security) put(name, version, file string) {
	s.t.Helper()
	body, err := os.ReadFile(file)
	require.NoError(s.t, err)
	s.all = append(s.all, patching.Package{Name: name, Arch: "amd64", Version: version})
	fmt.Fprintf(&s.list, "Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool/%s\nSize: %d\nSHA256: %x\n\n", name, version, filepath.Base(file), len(body), sha256.Sum256(body))
}

// freeze publishes the archive and freezes all that is in it.
func (s *security) freeze() (*snapshots.Keeper, patching.Digest) {
	s.t.Helper()
	t := s.t
	key, err := openpgp.NewEntity("archive", "", "archive@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return today.AddDate(-1, 0, 0) }})
	require.NoError(t, err)
	suite := filepath.Join(s.dir, "dists", "bookworm-security")
	require.NoError(t, os.MkdirAll(filepath.Join(suite, "main", "binary-amd64"), 0o755))
	var packed, signed, public bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err = w.Write(s.list.Bytes())
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, os.WriteFile(filepath.Join(suite, "main", "binary-amd64", "Packages.gz"), packed.Bytes(), 0o600))
	c, err := clearsign.Encode(&signed, key.PrivateKey, &packet.Config{Time: func() time.Time { return today }})
	require.NoError(t, err)
	fmt.Fprintf(c, "Origin: Debian\nCodename: bookworm-security\nDate: %s\nArchitectures: amd64\nComponents: main\nSHA256:\n %x %d main/binary-amd64/Packages.gz\n",
		today.Format("Mon, 02 Jan 2006 15:04:05 UTC"), sha256.Sum256(packed.Bytes()), packed.Len())
	require.NoError(t, c.Close())
	signed.WriteByte('\n')
	require.NoError(t, os.WriteFile(filepath.Join(suite, "InRelease"), signed.Bytes(), 0o600))
	require.NoError(t, key.Serialize(&public))
	keys, err := apt.ReadKeys(public.Bytes())
	require.NoError(t, err)
	now := func() time.Time { return today.Add(time.Hour) }
	d, err := depot.Open(depot.Options{Dir: t.TempDir(), Now: now, Repositories: []depot.Repository{{
		Name: "security", URL: &url.URL{Scheme: "file", Path: s.dir}, Keys: keys,
		Suites: []string{"bookworm-security"}, Components: []string{"main"}, Architectures: []string{"amd64"},
	}}})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	k := &snapshots.Keeper{Depot: d, Record: &record{settings: map[string]string{}}, Now: now, Cache: filepath.Join(t.TempDir(), "read")}
	frozen, err := k.Freeze(t.Context(), "cycle/a/2026-11.1", s.all)
	require.NoError(t, err)
	require.Zero(t, frozen.Missing)
	return k, frozen.ID
}

func change(source, version, suite, says string) string {
	return fmt.Sprintf("%s (%s) %s; urgency=high\n\n  * %s\n\n -- A Maintainer <maintainer@example.org>  Mon, 02 Nov 2026 10:00:00 +0100\n\n", source, version, suite, says)
}

// fixes lists what is told as "source version CVE release".
func fixes(told snapshots.Told) (all []string) {
	for _, a := range told.Advisories {
		for _, c := range a.CVEs {
			on := a.Affected[0]
			all = append(all, strings.Join([]string{on.Package, on.Ranges[0].Fixed, string(c), on.Release}, " "))
		}
	}
	return all
}

// restarted is a keeper that remembers nothing but what is on the disk.
func restarted(k *snapshots.Keeper) *snapshots.Keeper {
	return &snapshots.Keeper{Depot: k.Depot, Record: k.Record, Now: k.Now, Cache: k.Cache}
}

// Serves G2, G4.
func TestASnapshotTellsWhatItsPackagesSayThatTheyFix(t *testing.T) {
	s := newSecurity(t)
	old := change("tools", "1:2.0-3", "unstable", "Fix CVE-2026-0001")
	s.add("tool-doc", "1:2.0-3+deb12u1", "tools", "-> tool", 0)
	s.add("tool", "1:2.0-3+deb12u1", "tools", change("tools", "1:2.0-3+deb12u1", "bookworm-security", "Fix CVE-2026-0002")+old, 1000)
	s.add("tool-large", "1:2.0-3+deb12u1", "tools", "this would not be read", 100_000)
	s.add("tool-was", "1:2.0-3", "tools", "the newer one tells this too", 0)
	s.add("as-released", "1.0-1", "as-released", change("as-released", "1.0-1", "unstable", "Fix CVE-2026-0003"), 0)
	s.add("bare", "4.0", "bare", "", 0)
	s.add("foreign", "5.0", "foreign", "Version 5.0 fixes CVE-2026-0009\n", 0)
	s.add("halved", "6.0", "halved", strings.Split(change("halved", "6.0", "unstable", "Fix CVE-2026-0009"), " -- ")[0], 0)
	broken := filepath.Join(s.dir, "pool", "broken_7.0_amd64.deb")
	require.NoError(t, os.WriteFile(broken, []byte("!<arch>\nnothing"), 0o600))
	s.put("broken", "7.0", broken)
	k, id := s.freeze()

	told, err := k.Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Equal(t, []string{
		"as-released 1.0-1 CVE-2026-0003 12", // the suite tells whose it is
		"tools 1:2.0-3+deb12u1 CVE-2026-0002 12", "tools 1:2.0-3 CVE-2026-0001 12",
	}, fixes(told))
	require.Equal(t, 6, told.Sources)
	require.Equal(t, []string{"bare 4.0", "foreign 5.0", "halved 6.0"}, told.Without)
	require.Len(t, told.Broken, 2)
	require.Contains(t, told.Broken[0], "broken 7.0: package file: ")
	require.Contains(t, told.Broken[1], "halved 6.0: halved: the entry of halved 6.0 has no end")

	// All of it was kept, and nothing else: half a file counts as none.
	kept, err := os.ReadDir(k.Cache)
	require.NoError(t, err)
	require.Len(t, kept, len(s.all))
	for _, f := range kept[:3] {
		require.NoError(t, os.WriteFile(filepath.Join(k.Cache, f.Name()), []byte(`{"source":"so`), 0o600))
	}
	again, err := k.Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Equal(t, told, again)
}

func TestWhatWasReadOnceIsNotReadAgainAndGoesWithItsSnapshot(t *testing.T) {
	s := newSecurity(t)
	s.add("tool", "1.0-1+deb12u1", "tool", change("tool", "1.0-1+deb12u1", "bookworm-security", "Fix CVE-2026-0001"), 0)
	k, id := s.freeze()
	told, err := k.Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Len(t, told.Advisories, 1)
	// Without the package itself, what was read of it serves.
	snapshot, ok := k.Depot.Snapshot(id)
	require.True(t, ok)
	in, err := k.Depot.Open(snapshot.Packages[0].File)
	require.NoError(t, err)
	require.NoError(t, in.Close())
	require.NoError(t, os.Remove(in.Name()))
	again, err := restarted(k).Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Equal(t, told, again)

	require.NoError(t, k.Tidy(t.Context()))
	kept, err := os.ReadDir(k.Cache)
	require.NoError(t, err)
	require.Len(t, kept, 1, "the snapshot needs it")
	require.NoError(t, k.Depot.Drop(id))
	require.NoError(t, k.Tidy(t.Context()))
	kept, err = os.ReadDir(k.Cache)
	require.NoError(t, err)
	require.Empty(t, kept)
	_, err = k.Advisories(t.Context(), id, time.Time{})
	require.ErrorContains(t, err, "is not kept here")
}

func TestReadingThatBreaksOffKeepsNothingFalse(t *testing.T) {
	s := newSecurity(t)
	s.add("tool", "1.0-1+deb12u1", "tool", change("tool", "1.0-1+deb12u1", "bookworm-security", "Fix CVE-2026-0001"), 0)
	k, id := s.freeze()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := k.Advisories(ctx, id, time.Time{})
	require.ErrorIs(t, err, context.Canceled)
	told, err := k.Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Len(t, told.Advisories, 1)
	require.Empty(t, told.Broken)
}

// Serves L3.
func TestARealPackageOfDebianTellsWhatItFixes(t *testing.T) {
	s := newSecurity(t)
	fetch := exec.CommandContext(t.Context(), "apt-get", "download", "-q", "libssl3", "openssl")
	fetch.Dir = filepath.Join(s.dir, "pool")
	require.NoError(t, os.MkdirAll(fetch.Dir, 0o755))
	if out, err := fetch.CombinedOutput(); err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "apt-get download: %s", out)
		t.Skipf("apt fetches no package here: %s", out)
	}
	files, err := filepath.Glob(filepath.Join(fetch.Dir, "*.deb"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--show", "--showformat", "${Package} ${Version}", file).Output()
		require.NoError(t, err)
		name, version, _ := strings.Cut(string(out), " ")
		s.put(name, version, file)
	}
	k, id := s.freeze()
	told, err := k.Advisories(t.Context(), id, time.Time{})
	require.NoError(t, err)
	require.Equal(t, 1, told.Sources)
	require.Empty(t, told.Without)
	require.Empty(t, told.Broken)
	require.Contains(t, fixes(told), "openssl 3.0.17-1~deb12u3 CVE-2025-9230 12")
}

func TestReadingHasAnEndAndTheNextTimeItGoesOn(t *testing.T) {
	s := newSecurity(t)
	s.add("tool", "1.0-1+deb12u1", "tool", change("tool", "1.0-1+deb12u1", "bookworm-security", "Fix CVE-2026-0001"), 0)
	s.add("other", "2.0-1", "other", change("other", "2.0-1", "bookworm-security", "Fix CVE-2026-0002"), 0)
	k, _ := s.freeze()
	none, unread, err := k.Fixes(t.Context(), "", 0)
	require.NoError(t, err)
	require.Empty(t, none)
	require.Equal(t, 2, unread)
	all, unread, err := k.Fixes(t.Context(), "", time.Minute)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Zero(t, unread)
	for _, keeper := range []*snapshots.Keeper{k, restarted(k)} {
		again, unread, err := keeper.Fixes(t.Context(), "", 0)
		require.NoError(t, err)
		require.Equal(t, all, again, "what was read is known without time")
		require.Zero(t, unread)
	}
}
