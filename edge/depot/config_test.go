package depot_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
)

const goodList = `# what this server mirrors
repositories:
  - name: debian
    url: http://mirror.example/debian/
    suites: [bookworm, bookworm-updates]
    components: [main]
    architectures: [amd64]
    keyring: keys.gpg
  - name: debian-security
    url: http://mirror.example/debian-security
    suites: [bookworm-security]
    components: [main, contrib]
    architectures: [amd64, arm64]
    keyring: keys.gpg
    refresh: 30s
`

// listed writes a list beside Debian's keyring and reads it.
func listed(t *testing.T, text string) ([]depot.Repository, error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keys.gpg"), debianFile(t, "debian-archive-keyring.gpg"), 0o600))
	file := filepath.Join(dir, "list.yaml")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return depot.ReadRepositories(file)
}

func TestAListOfRepositoriesIsReadWithItsKeys(t *testing.T) {
	all, err := listed(t, goodList)
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, "http://mirror.example/debian", all[0].URL.String())
	require.Equal(t, []string{"bookworm", "bookworm-updates"}, all[0].Suites)
	require.Equal(t, []string{"amd64", "arm64"}, all[1].Architectures)
	require.Zero(t, all[0].Refresh)
	require.Equal(t, 30*time.Second, all[1].Refresh)
	_, err = all[1].Keys.Verify(debianFile(t, "bookworm-security.InRelease"), recorded)
	require.NoError(t, err)
}

// Serves Q7.
func TestWhatIsWrongWithAListIsNamedByLineValueAndWayOut(t *testing.T) {
	for name, c := range map[string]struct {
		from, to string
		says     []string
	}{
		"a name for people":             {"name: debian\n", "name: Our Debian\n", []string{"list.yaml:3:", `name "Our Debian"`, "lower-case"}},
		"a name twice":                  {"name: debian-security", "name: debian", []string{"list.yaml:9:", "another repository"}},
		"a host without its scheme":     {"url: http://mirror.example/debian-security", "url: mirror.example/debian-security", []string{"list.yaml:10:", "url", "http://"}},
		"a password":                    {"http://mirror.example/debian/", "http://me:secret@mirror.example/debian/", []string{"list.yaml:4:", "password"}},
		"another scheme":                {"http://mirror.example/debian/", "ftp://mirror.example/debian/", []string{"list.yaml:4:", "ftp://", "https://"}},
		"no suites":                     {"    suites: [bookworm-security]\n", "", []string{"list.yaml:9:", "debian-security", "no suites"}},
		"a flat archive":                {"[bookworm-security]", "[./]", []string{"list.yaml:11:", `suites "./"`, "flat"}},
		"a suite that climbs":           {"[bookworm-security]", "[../../etc]", []string{"list.yaml:11:", "../../etc"}},
		"a component twice":             {"[main, contrib]", "[main, main]", []string{"list.yaml:12:", "twice"}},
		"a component that is a path":    {"[main, contrib]", "[main, a/b]", []string{"list.yaml:12:", `components "a/b"`}},
		"one word in place of a list":   {"[amd64, arm64]", "amd64", []string{"13", "architectures"}},
		"a group in place of a word":    {"[amd64, arm64]", "[{a: b}]", []string{"13"}},
		"a field that is not known":     {"    keyring: keys.gpg\n  - name", "    keyring: keys.gpg\n    trusted: yes\n  - name", []string{"trusted"}},
		"a keyring that is not there":   {"architectures: [amd64]\n    keyring: keys.gpg", "architectures: [amd64]\n    keyring: none.gpg", []string{"list.yaml:8:", "none.gpg", "copy"}},
		"a keyring without keys":        {"architectures: [amd64]\n    keyring: keys.gpg", "architectures: [amd64]\n    keyring: list.yaml", []string{"list.yaml:8:", "gpg --export"}},
		"no keyring":                    {"architectures: [amd64]\n    keyring: keys.gpg\n", "architectures: [amd64]\n", []string{"list.yaml:3:", "debian", "no keyring"}},
		"asked without a pause":         {"refresh: 30s", "refresh: 1s", []string{"list.yaml:15:", `refresh "1s"`, "10s"}},
		"never asked":                   {"refresh: 30s", "refresh: 9999h", []string{"list.yaml:15:", "24h"}},
		"a pause without a unit":        {"refresh: 30s", "refresh: 30", []string{"list.yaml:15:", `refresh "30"`, "5m"}},
		"no repositories":               {goodList, "repositories: []\n", []string{"no repositories"}},
		"an empty file":                 {goodList, "", []string{"no repositories"}},
		"a file that is something else": {goodList, "\x00\x01", []string{"list.yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			require.Contains(t, goodList, c.from)
			_, err := listed(t, strings.Replace(goodList, c.from, c.to, 1))
			require.Error(t, err)
			for _, word := range c.says {
				assert.ErrorContains(t, err, word)
			}
		})
	}
	_, err := depot.ReadRepositories(filepath.Join(t.TempDir(), "none.yaml"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
