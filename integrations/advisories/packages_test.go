package advisories

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
)

// recorded is a day on which Debian's recorded indexes were new.
var recorded = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func debianFile(t *testing.T, name string) *fstest.MapFile {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "lab", "fixtures", "debian", "data", name))
	require.NoError(t, err)
	return &fstest.MapFile{Data: text}
}

const (
	security = "dists/bookworm-security/InRelease"
	updates  = "dists/bookworm-updates/main/binary-amd64/Packages.xz"
)

// mirror are Debian's recorded indexes as a mirror has them. That of bookworm was trimmed.
func mirror(t *testing.T) fstest.MapFS {
	t.Helper()
	return fstest.MapFS{
		"keys/debian-archive-keyring.gpg": debianFile(t, "debian-archive-keyring.gpg"),
		security:                          debianFile(t, "bookworm-security.InRelease"),
		"dists/bookworm-security/main/binary-amd64/Packages.xz": debianFile(t, "bookworm-security.Packages.xz"),
		"dists/bookworm-updates/InRelease":                      debianFile(t, "bookworm-updates.InRelease"),
		updates:                                                 debianFile(t, "bookworm-updates.Packages.xz"),
		"dists/bookworm/InRelease":                              debianFile(t, "bookworm.InRelease"),
		"dists/bookworm/main/trimmed.xz":                        debianFile(t, "bookworm.Packages.xz"),
		"dists/bookworm/main/Contents.txt":                      {Data: []byte("hello")},
	}
}

func linked(t *testing.T, m fstest.MapFS, keys apt.Keys) (map[string]File, map[string]string) {
	t.Helper()
	files, refused, err := ReadFolder(t.Context(), m, DefaultLimits())
	require.NoError(t, err)
	files, refused = Link(files, refused, keys, recorded)
	byName, why := map[string]File{}, map[string]string{}
	for _, f := range files {
		byName[f.Name] = f
	}
	for _, r := range refused {
		why[r.Name] = r.Err.Error()
	}
	return byName, why
}

// Serves G4.
func TestAListThatEndsInTheMiddleOfALineIsRefused(t *testing.T) {
	const text = "Package: a\nVersion: 1\nArchitecture: all\nFilename: pool/a.deb\n\nPackage: b\nVersion: 1\nArchitecture: all\nDepends: libc"
	_, err := readAs(t, []byte(text), DefaultLimits())
	require.ErrorIs(t, err, errUnended)
	require.ErrorContains(t, err, "line 9")
}

func TestOffersOfDebianAreSignedByDebiansOwnKeys(t *testing.T) {
	m := mirror(t)
	files, refused := linked(t, m, nil)
	require.Empty(t, refused)
	for name, want := range map[string]struct {
		suite  string
		offers int
		signed bool
	}{
		"dists/bookworm-security/main/binary-amd64/Packages.xz": {"bookworm-security", 3003, true},
		updates: {"bookworm-updates", 32, true},
		// No release names it; it lies below that of bookworm, and is of no other suite.
		"dists/bookworm/main/trimmed.xz": {"bookworm", 700, false},
	} {
		f := files[name]
		require.Greater(t, len(f.Offers), want.offers/2, name)
		require.Len(t, f.Offers, f.Lists[0].Offers)
		require.Equal(t, want.signed, f.Lists[0].Signed, name)
		for _, o := range f.Offers {
			require.Equal(t, want.suite, o.Suite, name)
			require.Equal(t, want.signed, o.Signed, name)
			require.Equal(t, "Debian", o.Origin, name)
		}
		sum := sha256.Sum256(m[name].Data)
		require.Equal(t, hex.EncodeToString(sum[:]), f.SHA256)
	}
	require.True(t, files["dists/bookworm/InRelease"].Releases[0].Signed)
	require.Equal(t, "bookworm-updates 2026-11-19 02:12:54 UTC", files[updates].Revision)
	require.Len(t, files["dists/bookworm-security/main/binary-amd64/Packages.xz"].Offers, 3003)
}

func TestAListIsKnownByItsHashWhereverItLies(t *testing.T) {
	m := mirror(t)
	packed := m[updates]
	plain, err := unpackAll(packed.Data)
	require.NoError(t, err)
	delete(m, updates)
	m["elsewhere/list"] = packed
	m["dists/bookworm-updates/main/binary-amd64/by-hash/SHA256/87e7e9"] = packed
	m["dists/bookworm-updates/main/binary-amd64/Packages"] = &fstest.MapFile{Data: plain}
	m["all.tar.gz"] = &fstest.MapFile{Data: tarred(t, map[string][]byte{
		"dists/bookworm-updates/InRelease": m["dists/bookworm-updates/InRelease"].Data, "Packages": plain,
	})}
	files, refused := linked(t, m, nil)
	require.Empty(t, refused)
	for _, name := range []string{
		"elsewhere/list", "all.tar.gz", "dists/bookworm-updates/main/binary-amd64/Packages",
		"dists/bookworm-updates/main/binary-amd64/by-hash/SHA256/87e7e9",
	} {
		require.True(t, files[name].Offers[0].Signed, name)
		require.Equal(t, "bookworm-updates", files[name].Offers[0].Suite, name)
	}
}

// Serves G4, Q7.
func TestAnArchiveThatWasTamperedWithIsRefused(t *testing.T) {
	list := "dists/bookworm-security/main/binary-amd64/Packages.xz"
	plain, err := unpackAll(debianFile(t, "bookworm-security.Packages.xz").Data)
	require.NoError(t, err)
	inRelease := debianFile(t, "bookworm-security.InRelease").Data
	for name, c := range map[string]struct {
		change  func(m fstest.MapFS)
		refused map[string]string
	}{
		"a list of another suite in its place": {
			func(m fstest.MapFS) { m[list] = m[updates] },
			map[string]string{list: "names another file in its place"},
		},
		"a list with a version changed": {
			func(m fstest.MapFS) {
				m[list] = &fstest.MapFile{Data: bytes.Replace(plain, []byte("Version: 2"), []byte("Version: 1"), 1)}
			},
			map[string]string{list: "names another file in its place"},
		},
		"a list that is cut off": {
			func(m fstest.MapFS) { m[list] = &fstest.MapFile{Data: plain[:len(plain)/2]} },
			map[string]string{list: ""},
		},
		"a hash in the InRelease changed": {
			func(m fstest.MapFS) {
				m[security] = &fstest.MapFile{Data: bytes.Replace(inRelease, []byte("Codename: bookworm-security"), []byte("Codename: bookworm-zecurity"), 1)}
			},
			map[string]string{security: "signature", list: "should name it was refused"},
		},
		"text before what is signed": {
			func(m fstest.MapFS) { m[security] = &fstest.MapFile{Data: append([]byte("\n"), inRelease...)} },
			map[string]string{security: "InRelease", list: "should name it was refused"},
		},
		"an InRelease that is cut off": {
			func(m fstest.MapFS) { m[security] = &fstest.MapFile{Data: inRelease[:len(inRelease)-300]} },
			map[string]string{security: "not a clear-signed text", list: "should name it was refused"},
		},
	} {
		m := mirror(t)
		c.change(m)
		files, refused := linked(t, m, nil)
		require.Len(t, refused, len(c.refused), "%s: %v", name, refused)
		for file, why := range c.refused {
			require.Contains(t, refused[file], why, name)
			require.NotContains(t, files, file)
		}
		require.True(t, files[updates].Offers[0].Signed, "%s: the others stay", name)
	}
}

func TestAListThatNobodyWeKnowHasSignedSaysSo(t *testing.T) {
	stranger, err := openpgp.NewEntity("stranger", "", "stranger@example.org", nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(m fstest.MapFS)
		keys   apt.Keys
		suite  string
	}{
		"no keys at all":     {func(m fstest.MapFS) { delete(m, "keys/debian-archive-keyring.gpg") }, nil, "bookworm-updates"},
		"keys of others":     {func(fstest.MapFS) {}, apt.Keys{stranger}, "bookworm-updates"},
		"no InRelease":       {func(m fstest.MapFS) { delete(m, "dists/bookworm-updates/InRelease") }, nil, ""},
		"a Release unsigned": {unsign, nil, "bookworm-updates"},
	} {
		m := mirror(t)
		c.change(m)
		files, refused := linked(t, m, c.keys)
		require.Empty(t, refused, name)
		o := files[updates].Offers[0]
		require.Equal(t, c.suite, o.Suite, name)
		require.False(t, o.Signed, name)
	}
}

// unsign leaves the text of an InRelease as a Release file.
func unsign(m fstest.MapFS) {
	text := string(m["dists/bookworm-updates/InRelease"].Data)
	_, text, _ = strings.Cut(text, "\n\n")
	text, _, _ = strings.Cut(text, "-----BEGIN PGP SIGNATURE")
	delete(m, "dists/bookworm-updates/InRelease")
	m["dists/bookworm-updates/Release"] = &fstest.MapFile{Data: []byte(text)}
}

func TestAKeyThatHasRunOutSignsNothing(t *testing.T) {
	files, refused, err := ReadFolder(t.Context(), mirror(t), DefaultLimits())
	require.NoError(t, err)
	before := len(files)
	files, refused = Link(files, refused, nil, recorded.AddDate(50, 0, 0))
	require.Less(t, len(files), before)
	require.NotEmpty(t, refused)
}

const packagesFixture = "testdata/packages/Packages"

func TestAPackageOfAListNamesItsSource(t *testing.T) {
	f, err := changed(t, packagesFixture, "x", "x")
	require.NoError(t, err)
	require.Equal(t, []patching.Offer{
		{Feed: "packages", Name: "ca-certificates", Arch: "all", Version: "20230311+deb12u1", Source: "ca-certificates"},
		{Feed: "packages", Name: "openssh-client", Arch: "amd64", Version: "1:9.2p1-2+deb12u7", Source: "openssh"},
		{Feed: "packages", Name: "telnet", Arch: "all", Version: "0.17+2.4-2+deb12u3", Source: "inetutils"},
	}, f.Offers)
}

func TestAListThatIsNotRightIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a version that is none":        {"Version: 1:9.2p1-2+deb12u7", "Version: 1 2", "the stanza that ends in line"},
		"no version":                    {"Version: 1:9.2p1-2+deb12u7\n", "", "the stanza that ends in line"},
		"no name":                       {"Package: openssh-client\n", "", "the stanza that ends in line"},
		"two versions":                  {"Version: 1:9.2p1-2+deb12u7", "Version: 1\nVersion: 2", "Version is there twice"},
		"a line that is no field":       {"Multi-Arch: foreign", "foreign", `line 10: "foreign" is no field`},
		"a line that is far too long":   {"Suggests: ", "Suggests: " + strings.Repeat("x", maxListLine), "more than 1048576 bytes"},
		"an empty line within a stanza": {"Source: openssh\n", "\n", "the stanza that ends in line"},
	} {
		_, err := changed(t, packagesFixture, c.from, c.to)
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestWhatLooksLikeAListOfPackagesIsNone(t *testing.T) {
	for name, text := range map[string]string{
		"dpkg's status":       "Package: a\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nFilename: x\n",
		"an index of sources": "Package: a\nArchitecture: any\nVersion: 1\nDirectory: pool/a\n",
		"a signed mail":       "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nhello\n-----BEGIN PGP SIGNATURE-----\n",
		"a .dsc file":         "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nFormat: 3.0\nSource: a\nChecksums-Sha256:\n -----BEGIN PGP SIGNATURE-----\n",
		"a byte":              "\x99",
		"a private key":       "\x95\x02\x0d\x04",
	} {
		require.False(t, packages.Mine(Head{Start: []byte(text)}), name)
	}
}
