package sources_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
)

const keyring = "../../../lab/fixtures/debian/data/debian-archive-keyring.gpg"

func parse(t *testing.T, text string) (sources.Config, error) {
	t.Helper()
	return sources.Parse(filepath.Join(t.TempDir(), "feeds.yaml"), []byte(text))
}

func TestAFeedIsReadWithWhatIsLeftOut(t *testing.T) {
	c, err := parse(t, `
feeds:
  - name: kev
    url: https://feeds.example/kev.json
    owner: security
  - name: by-hand
    owner: ana
    stale_after: 40d
`)
	require.NoError(t, err)
	require.Len(t, c.Feeds, 2)
	kev, hand := c.Feeds[0], c.Feeds[1]
	assert.Equal(t, 24*time.Hour, kev.Every)
	assert.Equal(t, 72*time.Hour, kev.StaleAfter)
	assert.False(t, kev.Private || kev.Plain)
	assert.Empty(t, hand.URL)
	assert.Zero(t, hand.Every)
	assert.Equal(t, 40*24*time.Hour, hand.StaleAfter)
	ask, err := kev.Ask()
	require.NoError(t, err)
	assert.Equal(t, []string{"feeds.example:443"}, ask.Hosts)
}

func TestWhatIsWrongIsSaidAllAtOnceByLineWithTheWayOut(t *testing.T) {
	feed := func(lines ...string) string {
		return "feeds:\n  - name: one\n    owner: ana\n    " + strings.Join(lines, "\n    ") + "\n"
	}
	for text, says := range map[string]string{
		"":                     "0 feeds: write a list",
		"feeds: []":            "0 feeds: write a list",
		"feeds:\n- label: kev": "unknown field",
		"proxy: ftp://x\nfeeds:\n- {name: one, owner: ana}":          `feeds.yaml:1: proxy "ftp://x": want http://host:port`,
		"feeds:\n- {name: feeds.yaml, owner: ana}":                   `feeds.yaml:2: name "feeds.yaml": want lower-case letters, digits, dots and dashes, not ending in .yaml`,
		"feeds:\n- {name: One, owner: ana}":                          `feeds.yaml:2: name "One": want lower-case letters`,
		"feeds:\n- {name: one}":                                      `feeds.yaml:2: feed "one" has no owner`,
		"feeds:\n- {name: one, owner: a}\n- {name: one, owner: a}":   `feeds.yaml:3: name "one": another feed has this name`,
		feed("url: http://x.example/"):                               `feeds.yaml:4: url "http://x.example/": whoever stands in between could change it`,
		feed("url: file:///etc/passwd"):                              `want https://, the host and the path`,
		feed("url: https://ana:secret@x.example/"):                   `https://ana:xxxxx@x.example/": a password would be readable here`,
		feed("url: https://x.example/{start}{end}"):                  `{end} stands for nothing here`,
		feed("url: https://{year}.example/", "from: 2020"):           `the host stands for itself`,
		feed("url: https://x.example/{year}-{Mon}"):                  `feed "one" has no from: want the first month`,
		feed("url: https://x.example/{month}", "from: 2020-03"):      `feeds.yaml:4: url "https://x.example/{month}": a month without its year`,
		feed("url: https://x.example/{Mon}", "from: 2020-03"):        `write {year} too`,
		feed("url: https://x.example/{year}", "from: 2020-03"):       `feeds.yaml:5: from "2020-03": want the first year`,
		feed("url: https://x.example/", "from: 2020"):                `from "2020": only urls with`,
		feed("url: https://x.example/", "changes: a={since}"):        `changes "a={since}": only a url with {start}`,
		feed("url: https://x.example/{start}", "changes: a={since}"): `with {since} and {until} in it`,
		feed("urls: [https://x.example/a, https://x.example/a]"):     `it is there twice`,
		feed("url: https://x.example/", "every: 1s"):                 `feeds.yaml:5: every "1s": want a time between 5m and 31d, such as 6h or 2d`,
		feed("url: https://x.example/", "every: often"):              `every "often": want a time`,
		feed("every: 1h"): `every "1h": the feed has no url`,
		feed("url: https://x.example/", "private: yes please"):                                                       `private "yes please": want true or false`,
		feed("url: https://x.example/", "redirects: [10.0.0.1]"):                                                     `redirects "10.0.0.1": want the name of a host`,
		feed("url: https://x.example/", "redirects: [a.example/b]"):                                                  `redirects "a.example/b": want the name of a host`,
		feed("url: https://x.example/", "key_header: apiKey"):                                                        `has no key_file or no key_header`,
		feed("url: https://x.example/", "key_header: apiKey", "key_file: none"):                                      `feeds.yaml:6: key_file "none"`,
		feed("url: https://x.example/", "ca_file: none"):                                                             `ca_file "none": want a file`,
		feed("url: https://x.example/", "suites: [a]"):                                                               `has no components`,
		feed("url: https://x.example/", "suites: [a]", "components: [main]", "architectures: [amd64]"):               `has no keyring`,
		feed("url: https://x.example/", "suites: [../a]", "components: [main]", "architectures: [amd64]"):            `suites "../a": want each`,
		feed("url: https://x.example/", "suites: [a]", "components: [main]", "architectures: [amd64]", "keyring: x"): `keyring "x": open`,
		"feeds:\n- &a {name: one, owner: ana}\n- *a":                                                                 "it has an alias",
		strings.Repeat("# comment\n", sources.MaxConfig):                                                             "it has more than",
	} {
		_, err := parse(t, text)
		require.ErrorContains(t, err, says, "%.200s", text)
		require.NotContains(t, err.Error(), "secret")
	}
	_, err := parse(t, "feeds:\n- {name: One}\n- {name: two, owner: ana, every: 1h}")
	require.Error(t, err)
	assert.Equal(t, 3, strings.Count(err.Error(), "feeds.yaml:"), "%v", err)
}

func TestAKeyIsReadEachTimeAndNeverPrinted(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "nvd.key")
	require.NoError(t, os.WriteFile(file, []byte("open-sesame\n"), 0o600))
	text := "feeds:\n- {name: nvd, owner: ana, url: 'https://x.example/', key_header: apiKey, key_file: nvd.key}"
	c, err := sources.Parse(filepath.Join(dir, "feeds.yaml"), []byte(text))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte("open-barley"), 0o600))
	ask, err := c.Feeds[0].Ask()
	require.NoError(t, err)
	assert.EqualValues(t, "open-barley", ask.Key)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v %q", ask, ask, ask, ask.Key), "barley")
	for _, bad := range []string{"", "two words", "ends\x00", strings.Repeat("x", 5000), "a\r\nHost: b"} {
		require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
		_, err = c.Feeds[0].Ask()
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "words")
	}
	_, err = sources.Parse(filepath.Join(dir, "feeds.yaml"), []byte(strings.Replace(text, "https://x.example/'", "http://x.example/', plain: true", 1)))
	require.Error(t, err, "the key would travel in the clear")
}

func TestADocumentForEachMonthOrYearIsExpandedUpToNow(t *testing.T) {
	now := time.Date(2026, 2, 28, 23, 0, 0, 0, time.UTC)
	urls := func(d sources.Document) (out []string) {
		all, err := d.Expand(now)
		require.NoError(t, err)
		for i, a := range all {
			assert.Equal(t, i == len(all)-1, a.New, "only the newest may be missing")
			out = append(out, a.String())
		}
		return out
	}
	assert.Equal(t, []string{"https://x.example/2025-Nov", "https://x.example/2025-Dec", "https://x.example/2026-Jan", "https://x.example/2026-Feb"},
		urls(sources.Document{URL: "https://x.example/{year}-{Mon}", From: time.Date(2025, 11, 1, 0, 0, 0, 0, time.UTC)}))
	assert.Equal(t, []string{"https://x.example/2025.gz", "https://x.example/2026.gz"},
		urls(sources.Document{URL: "https://x.example/{year}.gz", From: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}))
}

func TestThePagesOfChangesAreAskedForBetweenTwoTimes(t *testing.T) {
	s := sources.Source{Pages: "https://x.example/cves?per=2000&startIndex={start}", Changes: "from={since}&to={until}"}
	u, err := s.Page(4000, time.Time{}, time.Time{})
	require.NoError(t, err)
	assert.Equal(t, "https://x.example/cves?per=2000&startIndex=4000", u.String())
	u, err = s.Page(0, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC))
	require.NoError(t, err)
	assert.Equal(t, "https://x.example/cves?per=2000&startIndex=0&from=2026-01-01T00:00:00.000Z&to=2026-01-02T00:00:00.000Z", u.String())
}

// What people copy has to work.
func TestTheExampleInTheDocumentationIsReadAsItStands(t *testing.T) {
	page, err := os.ReadFile("../../../docs/feeds.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nvd.key"), []byte("key"), 0o600))
	keys, err := os.ReadFile(keyring)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "debian.gpg"), keys, 0o600))
	for _, b := range blocks {
		text := strings.ReplaceAll(b[1], "/usr/share/keyrings/debian-archive-keyring.gpg", "debian.gpg")
		c, err := sources.Parse(filepath.Join(dir, "feeds.yaml"), []byte(text))
		require.NoError(t, err)
		assert.NotEmpty(t, c.Feeds)
	}
}
