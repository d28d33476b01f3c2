package depot_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/internal/apt"
)

// machine is a private root in which this machine's own apt works: with its
// clock, its checks of dates and signatures, and nothing of this machine's state.
type machine struct {
	t    *testing.T
	root string
	// changes of what is installed.
	changes int
}

func newMachine(t *testing.T, installed ...deb) *machine {
	t.Helper()
	for _, program := range []string{"apt-get", "dpkg-deb"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing: this test needs Debian", program)
			}
			t.Skipf("%s is missing: run this on Debian", program)
		}
	}
	m := &machine{t: t, root: t.TempDir()}
	for _, dir := range []string{"etc/preferences.d", "etc/apt.conf.d", "keys", "etc/apt/sources.list.d", "cache/archives/partial", "state/lists/partial", "dpkg"} {
		require.NoError(t, os.MkdirAll(filepath.Join(m.root, dir), 0o755))
	}
	var status strings.Builder
	for _, d := range installed {
		status.WriteString("Package: " + d.name + "\nStatus: install ok installed\nVersion: " + d.version + "\nArchitecture: " + d.arch +
			"\nMaintainer: Nobody <nobody@example.org>\nDescription: of the tests\n\n")
	}
	m.write("dpkg/status", []byte(status.String()))
	// Read before all else: this machine's own settings, which may leave dates
	// unchecked, are not read at all.
	m.write("etc/first.conf", []byte("Dir::Etc::Parts \""+m.path("etc/apt.conf.d")+"\";\nDir::Etc::Main \""+m.path("etc/none.conf")+"\";\n"))
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.root, filepath.FromSlash(name)) }

func (m *machine) write(name string, text []byte) {
	m.t.Helper()
	require.NoError(m.t, os.WriteFile(m.path(name), text, 0o644))
}

// apt runs apt-get with a list of sources.
func (m *machine) apt(options []string, args ...string) (string, error) {
	m.t.Helper()
	all := []string{
		"-q", "-y",
		"-o", "Dir::State=" + m.path("state"), "-o", "Dir::State::status=" + m.path("dpkg/status"),
		"-o", "Dir::Cache=" + m.path("cache"), "-o", "Dir::Etc=" + m.path("etc"),
		"-o", "Dir::Etc::Trusted=/dev/null", "-o", "Dir::Etc::TrustedParts=" + m.path("keys"),
		"-o", "APT::Sandbox::User=root", "-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64",
		"-o", "Acquire::Retries=0", "-o", "Acquire::http::Proxy=DIRECT", "-o", "Acquire::Languages=none",
	}
	program := exec.CommandContext(m.t.Context(), "apt-get", append(append(all, options...), args...)...)
	program.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "APT_CONFIG=" + m.path("etc/first.conf"), "TMPDIR=" + os.TempDir()}
	out, err := program.CombinedOutput()
	return string(out), err
}

// live lists a repository of a depot's mirror; of returns the options for it.
func (m *machine) live(d *stocked, signedBy string) []string {
	m.t.Helper()
	m.write("etc/live.list", []byte("deb [signed-by="+signedBy+"] "+d.url+"/apt/tests stable main\n"))
	return []string{
		"-o", "Dir::Etc::SourceList=" + m.path("etc/live.list"), "-o", "Dir::Etc::SourceParts=/dev/null",
		"-o", "APT::Update::Error-Mode=any",
	}
}

// snapshot lists a snapshot as the product does, on a machine whose own sources
// trust the suite by those keys.
func (m *machine) snapshot(s *depot.Snapshot, base, signedBy string) []string {
	m.t.Helper()
	m.write("etc/apt/sources.list.d/tests.sources", []byte("Types: deb\nURIs: http://archive.invalid/\nSuites: stable\nComponents: main\nSigned-By: "+signedBy+"\n"))
	dir := m.path("snapshot")
	require.NoError(m.t, os.RemoveAll(dir))
	settings, err := packages.AptSettings(os.DirFS(m.root), packages.Snapshot{Sources: s.Sources(), Base: base, Dir: dir})
	require.NoError(m.t, err)
	// Without it an update that fetched nothing ends as if all was well.
	return append(settings, "-o", "APT::Update::Error-Mode=any")
}

// got returns what apt downloaded, and removes it.
func (m *machine) got(d deb) []byte {
	m.t.Helper()
	file := m.path("cache/archives/" + d.name + "_" + d.version + "_" + d.arch + ".deb")
	text, err := os.ReadFile(file)
	require.NoError(m.t, err)
	require.NoError(m.t, os.Remove(file))
	return text
}

// becomes has another version installed. apt takes a status of the same size for the one
// it knows if both were written within a second.
func (m *machine) becomes(version, next string) {
	m.t.Helper()
	file := m.path("dpkg/status")
	m.changes++
	m.write("dpkg/status", bytes.Replace(mustRead(m.t, file), []byte("Version: "+version), []byte("Version: "+next), 1))
	at := time.Now().Add(time.Duration(m.changes) * time.Hour)
	require.NoError(m.t, os.Chtimes(file, at, at))
}

// build makes a real package.
func build(t *testing.T, name, version string) deb {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "DEBIAN"), 0o755))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "usr", "share", name), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "usr", "share", name, "version"), []byte(version), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "DEBIAN", "control"), []byte("Package: "+name+"\nVersion: "+version+
		"\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\nDescription: of the tests\n"), 0o644))
	file := filepath.Join(t.TempDir(), "one.deb")
	out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--build", "--root-owner-group", dir, file).CombinedOutput()
	require.NoError(t, err, string(out))
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	return deb{name: name, arch: "amd64", version: version, body: body}
}

// Serves G9, L3, Q11.
func TestAptInstallsAndGoesBackFromASnapshotAfterTheArchiveMovedOn(t *testing.T) {
	m := newMachine(t, deb{name: "tool", arch: "amd64", version: "1.0"})
	older, newer := build(t, "tool", "1.0"), build(t, "tool", "2.0")
	a := newArchive(t)
	day := func(n int) time.Time { return today.AddDate(0, 0, n) }
	a.publish(day(-20), day(10), older)
	d := newDepot(t, a.repository("tests"))
	// The cycle is planned five days ago by the depot's clock. Apt goes by the real
	// one, so for it an index that was valid then has expired.
	d.clock.forward(-5 * 24 * time.Hour)
	d.freeze(t, older)
	keyring := m.path("archive.asc")
	m.write("archive.asc", a.keyring())

	// The mirror: apt's dates, signatures and hashes hold through it.
	a.publish(day(-10), day(10), newer)
	d.clock.forward(time.Second)
	live := m.live(d, keyring)
	out, err := m.apt(live, "update")
	require.NoError(t, err, out)
	require.NotContains(t, out, "Ign:", "all that apt asks for is there at once")
	out, err = m.apt(live, "install", "--download-only", "tool=2.0")
	require.NoError(t, err, out)
	require.Equal(t, newer.body, m.got(newer))
	out, err = m.apt(live, "install", "--download-only", "--reinstall", "tool=1.0")
	require.NoError(t, err, out)
	require.Contains(t, out, "Reinstallation of tool is not possible", "the archive names one version, the newer")
	a.publish(day(-6), day(-1), newer)
	s := d.freeze(t, older, newer)
	require.Empty(t, s.Missing)

	// The archive moves on, and its index expires.
	a.publish(day(-4), day(-1), build(t, "other", "1"))
	out, err = m.apt(live, "update")
	require.Error(t, err, out)
	require.Contains(t, out, "is expired (invalid since", "apt's own words")
	require.NoError(t, os.RemoveAll(m.path("state/lists"))) // as a machine that comes new
	require.NoError(t, os.MkdirAll(m.path("state/lists/partial"), 0o755))
	out, err = m.apt(live, "update")
	require.Error(t, err, out)
	out, err = m.apt(live, "install", "--download-only", "tool=2.0")
	require.Error(t, err, out)

	// The snapshot does not mind, in either direction.
	frozen := m.snapshot(s, d.url, keyring)
	out, err = m.apt(frozen, "update")
	require.NoError(t, err, out)
	require.NotContains(t, out, "Ign:")
	require.NotContains(t, out, "W:")
	out, err = m.apt(frozen, "install", "--download-only", "tool=2.0")
	require.NoError(t, err, out)
	require.Equal(t, newer.body, m.got(newer))
	m.becomes("1.0", "2.0")
	out, err = m.apt(frozen, "install", "--download-only", "--allow-downgrades", "tool=1.0")
	require.NoError(t, err, out)
	require.Contains(t, out, "DOWNGRADED")
	require.Equal(t, older.body, m.got(older))
	// "apt-get download" has no dpkg in mind.
	t.Chdir(t.TempDir())
	out, err = m.apt(frozen, "download", "tool=1.0")
	require.NoError(t, err, out)
	require.Equal(t, older.body, mustRead(t, "tool_1.0_amd64.deb"))

	requireBothRefuse(t, m, d, s, newer, keyring)
}

// requireBothRefuse changes bytes at rest, which the depot notices, and on the
// way, which apt notices.
func requireBothRefuse(t *testing.T, m *machine, d *stocked, s *depot.Snapshot, newer deb, keyring string) {
	t.Helper()
	m.becomes("2.0", "1.0")
	spoil := "nothing"
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(d.url + r.URL.Path)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		if strings.HasSuffix(r.URL.Path, "."+spoil) {
			body[len(body)/2] ^= 1
		}
		if strings.HasSuffix(r.URL.Path, "/"+spoil) {
			body = bytes.Replace(body, []byte("Label: Tests"), []byte("Label: Other"), 1)
		}
		w.WriteHeader(answer.StatusCode)
		_, _ = w.Write(body)
	}))
	defer between.Close()
	frozen := m.snapshot(s, between.URL, keyring)
	spoil = "InRelease"
	out, err := m.apt(frozen, "update")
	require.Error(t, err)
	require.Contains(t, out, "signatures were invalid: BADSIG")
	spoil = "deb"
	out, err = m.apt(frozen, "update")
	require.NoError(t, err, out)
	out, err = m.apt(frozen, "install", "--download-only", "tool=2.0")
	require.Error(t, err)
	require.Contains(t, out, "Hash Sum mismatch")

	spoil = "nothing"
	changed := bytes.Clone(newer.body)
	changed[len(changed)/2] ^= 1
	require.NoError(t, os.WriteFile(d.blob(newer.body), changed, 0o600))
	out, err = m.apt(frozen, "install", "--download-only", "tool=2.0")
	require.Error(t, err)
	require.Contains(t, out, "500  Internal Server Error")
}

func mustRead(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

func TestAptTrustsNoSnapshotWithoutTheArchivesKey(t *testing.T) {
	m := newMachine(t)
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, fake("tool", "2.0"))
	d := newDepot(t, a.repository("tests"))
	s := d.freeze(t, fake("tool", "2.0"))
	out, err := m.apt(m.snapshot(s, d.url, ""), "update")
	require.Error(t, err)
	require.Contains(t, out, "NO_PUBKEY")
	// Without a key of its own the list goes by what the machine trusts already.
	m.write("keys/archive.asc", a.keyring())
	out, err = m.apt(m.snapshot(s, d.url, ""), "update")
	require.NoError(t, err, out)
}

// Serves G5, L3, Q15.
func TestAMachineTellsWhoseKeysSignedTheIndexesOfASnapshot(t *testing.T) {
	m := newMachine(t)
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, fake("tool", "2.0"))
	d := newDepot(t, a.repository("tests"))
	s := d.freeze(t, fake("tool", "2.0"))
	m.write("keys/archive.asc", a.keyring())
	out, err := m.apt(m.snapshot(s, d.url, ""), "update")
	require.NoError(t, err, out)

	from := packages.Snapshot{Sources: s.Sources(), Base: d.url, Dir: m.path("snapshot")}
	signers := func() map[string][]string {
		all, err := packages.AptSigners(os.DirFS(m.root), from)
		require.NoError(t, err)
		require.Len(t, all, len(from.Indexes))
		return all
	}
	for _, by := range signers() {
		require.Empty(t, by, "a key that the machine does not have says nothing")
	}
	require.NoError(t, os.MkdirAll(m.path("etc/apt/trusted.gpg.d"), 0o755))
	m.write("etc/apt/trusted.gpg.d/archive.asc", a.keyring())
	keys, err := apt.ReadKeys(a.keyring())
	require.NoError(t, err)
	for _, by := range signers() {
		require.Equal(t, []string{fmt.Sprintf("%X", keys[0].PrimaryKey.Fingerprint)}, by)
	}

	files, err := filepath.Glob(m.path("snapshot/lists/*_InRelease"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	require.NoError(t, os.WriteFile(files[0], bytes.Replace(mustRead(t, files[0]), []byte("Label: Tests"), []byte("Label: Other"), 1), 0o644))
	require.Empty(t, signers()[filepath.Base(files[0])], "a text that was changed is signed by nobody")
	require.NoError(t, os.Remove(files[0]))
	_, err = packages.AptSigners(os.DirFS(m.root), from)
	require.Error(t, err, "what was never fetched cannot be judged")
}

// Serves Q13, Q15: whoever hands a hand's packages over may do his worst.
func TestAptTakesNothingWithoutEndFromWhoHandsPackagesOverAndFollowsHimNowhere(t *testing.T) {
	m := newMachine(t, deb{name: "tool", arch: "amd64", version: "1.0"})
	newer, a := build(t, "tool", "2.0"), newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newer)
	d := newDepot(t, a.repository("tests"))
	s := d.freeze(t, newer)
	m.write("archive.asc", a.keyring())
	var elsewhere atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	endless, away, sent := "", "", int64(0)
	between := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case away != "" && strings.HasSuffix(r.URL.Path, away):
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		case endless != "" && strings.HasSuffix(r.URL.Path, endless):
			for sent = 0; sent < 200<<20; sent += 1 << 20 {
				if _, err := w.Write(make([]byte, 1<<20)); err != nil {
					return
				}
			}
		default:
			answer, err := http.Get(d.url + r.URL.Path)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			defer answer.Body.Close()
			w.WriteHeader(answer.StatusCode)
			_, _ = io.Copy(w, answer.Body)
		}
	}))
	defer between.Close()
	frozen := m.snapshot(s, between.URL, m.path("archive.asc"))
	endless = "InRelease"
	out, err := m.apt(frozen, "update")
	require.Error(t, err, out)
	require.Less(t, sent, int64(100<<20), "apt hung up")
	endless, away = "", "InRelease"
	out, err = m.apt(frozen, "update")
	require.Error(t, err, out)
	away = ""
	out, err = m.apt(frozen, "update")
	require.NoError(t, err, out)
	for _, trick := range []*string{&endless, &away} {
		*trick = ".deb"
		out, err = m.apt(frozen, "install", "--download-only", "tool=2.0")
		require.Error(t, err, out)
		*trick = ""
	}
	require.Less(t, sent, int64(100<<20), "apt hung up")
	require.Zero(t, elsewhere.Load())
	out, err = m.apt(frozen, "install", "--download-only", "tool=2.0")
	require.NoError(t, err, out)
	require.Equal(t, newer.body, m.got(newer))
}
