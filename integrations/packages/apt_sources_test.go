package packages_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/patching"
)

// from is a snapshot of one index of each suite.
func from(dir string, suites ...string) packages.Snapshot {
	s := packages.Snapshot{Base: "http://server:7440", Dir: dir}
	s.Snapshot = strings.Repeat("0a", 16)
	for _, suite := range suites {
		s.Indexes = append(s.Indexes, patching.SourceIndex{
			Repository: "debian", Generation: "1f", Suite: suite, Components: []string{"main", "contrib"}, Architectures: []string{"amd64"},
		})
	}
	return s
}

// listed returns the list of sources that apt is given.
func listed(t *testing.T, files fstest.MapFS, s packages.Snapshot) (list string, settings []string) {
	t.Helper()
	settings, err := packages.AptSettings(files, s)
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(s.Dir, "parts", "patchcycle-snapshot.sources"))
	require.NoError(t, err)
	return string(text), settings
}

// Serves Q11.
func TestDownloadsOverAnothersLineAreBounded(t *testing.T) {
	s := from(t.TempDir(), "stable")
	_, settings := listed(t, fstest.MapFS{}, s)
	require.NotContains(t, strings.Join(settings, " "), "Dl-Limit")
	s.Rate = 500_000
	_, settings = listed(t, fstest.MapFS{}, s)
	require.Contains(t, settings, "Acquire::http::Dl-Limit=500")
	require.Contains(t, settings, "Acquire::https::Dl-Limit=500")
}

// Serves G9, L3.
func TestASnapshotIsListedUnderTheKeysByWhichTheMachineTrustsItsSuite(t *testing.T) {
	const own = `# Debian's
Types: deb deb-src
URIs: http://deb.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian.gpg

Types: deb
URIs: http://other.example/
Suites: tools
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEZ
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/
Suites: bookworm
Signed-By: /usr/share/keyrings/off.gpg
`
	files := fstest.MapFS{
		"etc/apt/sources.list.d/debian.sources": {Data: []byte(own)},
		"etc/apt/sources.list": {Data: []byte("deb [arch=amd64 signed-by=/etc/keys/sec.asc] http://deb.example/security bookworm-security main # daily\n" +
			"deb-src [signed-by=/etc/keys/src.asc] http://deb.example/debian bookworm main\n")},
		"etc/apt/sources.list.d/plain.list": {Data: []byte("deb http://plain.example/ plain main\n")},
	}
	list, _ := listed(t, files, from(t.TempDir(), "bookworm", "bookworm-security", "tools", "plain"))
	assert.Equal(t, `Types: deb
URIs: http://server:7440/snapshot/0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a/debian/1f
Suites: bookworm
Components: main contrib
Architectures: amd64
Targets: Packages
Languages: none
Check-Valid-Until: no
Signed-By: /usr/share/keyrings/debian.gpg
`, strings.Split(list, "\n\n")[0]+"\n")
	for i, keys := range []string{
		"Signed-By: /usr/share/keyrings/debian.gpg", "Signed-By: /etc/keys/sec.asc",
		"Signed-By: \n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDMEZ\n -----END PGP PUBLIC KEY BLOCK-----",
	} {
		assert.Contains(t, strings.Split(list, "\n\n")[i], "\nCheck-Valid-Until: no\n"+keys)
	}
	assert.NotContains(t, strings.Split(list, "\n\n")[3], "Signed-By", "the machine trusts it by what it trusts everything by")
}

func TestASuiteThatTheMachineCallsOtherwiseGoesByTheKeysOfAllItsSources(t *testing.T) {
	one := fstest.MapFS{"etc/apt/sources.list": {Data: []byte("deb [signed-by=/k.gpg] http://a/ stable main\ndeb [signed-by=/k.gpg] http://a/ stable-updates main\n")}}
	list, _ := listed(t, one, from(t.TempDir(), "bookworm"))
	assert.Contains(t, list, "Signed-By: /k.gpg\n")
	two := fstest.MapFS{"etc/apt/sources.list": {Data: []byte("deb [signed-by=/k.gpg] http://a/ stable main\ndeb [signed-by=/l.gpg] http://b/ tools main\n")}}
	list, _ = listed(t, two, from(t.TempDir(), "bookworm"))
	assert.NotContains(t, list, "Signed-By", "no key is lent to another's archive")
}

func TestASuiteThatIsTrustedByDifferentKeysIsRefused(t *testing.T) {
	files := fstest.MapFS{"etc/apt/sources.list": {Data: []byte("deb [signed-by=/k.gpg] http://a/ stable main\ndeb [signed-by=/l.gpg] http://b/ stable main\n")}}
	_, err := packages.AptSettings(files, from(t.TempDir(), "stable"))
	var known *packages.Error
	require.ErrorAs(t, err, &known)
	assert.Equal(t, patching.ReasonUntrusted, known.Reason)
}

func TestTheMachinesOwnSourcesAreAskedOnlyWhereTheSnapshotLacksSomething(t *testing.T) {
	files := fstest.MapFS{
		"etc/apt/sources.list":                {Data: []byte("deb http://a/ stable main\n")},
		"etc/apt/sources.list.d/own.list":     {Data: []byte("deb http://b/ own main\n")},
		"etc/apt/sources.list.d/own.disabled": {Data: []byte("deb http://c/ off main\n")},
	}
	s := from(t.TempDir(), "stable")
	parts := func() (names []string) {
		entries, err := os.ReadDir(filepath.Join(s.Dir, "parts"))
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	_, settings := listed(t, files, s)
	assert.Contains(t, settings, "Dir::Etc::SourceList=/dev/null")
	assert.Equal(t, []string{"patchcycle-snapshot.sources"}, parts())

	s.Beside = true
	_, settings = listed(t, files, s)
	assert.NotContains(t, settings, "Dir::Etc::SourceList=/dev/null")
	assert.Equal(t, []string{"own.list", "patchcycle-snapshot.sources"}, parts())
	to, err := os.Readlink(filepath.Join(s.Dir, "parts", "own.list"))
	require.NoError(t, err)
	assert.Equal(t, "/etc/apt/sources.list.d/own.list", to)
	listed(t, files, s)

	s.Beside = false
	listed(t, files, s)
	assert.Equal(t, []string{"patchcycle-snapshot.sources"}, parts())
}

func TestAListOfSourcesTakesNoAddressThatCouldWriteIt(t *testing.T) {
	for _, base := range []string{"", "server:7440", "file:///srv", "http://server\nTrusted: yes", "http://user:word@server", "http://server?x"} {
		s := from(t.TempDir(), "stable")
		s.Base = base
		_, err := packages.AptSettings(fstest.MapFS{}, s)
		require.Error(t, err, base)
	}
}

func TestListsAreWhereAptsOwnUserGets(t *testing.T) {
	s := from(filepath.Join(t.TempDir(), "lists", "one"), "stable")
	s.CA = "/etc/ca.pem"
	_, settings := listed(t, fstest.MapFS{}, s)
	assert.Contains(t, settings, "Acquire::https::CAInfo=/etc/ca.pem")
	for _, dir := range []string{"", "parts", "lists"} {
		info, err := os.Stat(filepath.Join(s.Dir, dir))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o755), info.Mode().Perm(), dir)
	}
}
