package advisories

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

// productsOf is an answer of the API; page is what it is made from.
func productsOf(total int, products string) string {
	return fmt.Sprintf(`{"schema_version": "1.2.0", "generated_at": "2026-08-22T00:53:29+00:00", "total": %d, "result": [%s]}`, total, products)
}

func pageOf(release string) string {
	return "---\ntitle: A\npermalink: /a\nreleases:\n" + release + "---\n\nA text, with --- in it.\n---\n"
}

func TestThatSupportIsOverIsKeptWithoutItsDay(t *testing.T) {
	want := []patching.Lifecycle{
		{Feed: "endoflife", Product: "a", Release: "4.20", SecurityEnded: true, Latest: "4.20.10"},
		{Feed: "endoflife", Product: "a", Release: "5", Codename: "Five", Released: date(2026, 1, 2), SecurityEnd: date(2027, 1, 2), ExtendedEnded: true},
		{Feed: "endoflife", Product: "a", Release: "6"},
	}
	f, err := readNamed(t, "full", productsOf(1, `{"name": "a", "releases": [
		{"name": "4.20", "codename": null, "releaseDate": null, "isEol": true, "eolFrom": null, "isEoes": null, "eoesFrom": null, "latest": {"name": "4.20.10"}},
		{"name": "5", "codename": "Five", "releaseDate": "2026-01-02", "isEol": true, "eolFrom": "2027-01-02", "isEoes": true, "eoesFrom": null, "latest": null},
		{"name": "6", "isEol": false, "isEoes": false}]}`))
	require.NoError(t, err)
	require.Equal(t, want, f.Lifecycles)
	require.Equal(t, time.Date(2026, 8, 22, 0, 53, 29, 0, time.UTC), f.Made)

	f, err = readNamed(t, "a.md", pageOf(`
  # The oldest.
  - releaseCycle: 4.20 # a version is no number
    eol: true
    latest: 4.20.10
    custom:
      eol: 2001-01-01
    cpes:
      - releaseCycle: "7"
  - releaseCycle: "5"  # quoted
    codename: 'Five'
    releaseDate: 2026-01-02
    eol: 2027-01-02
    eoes: true
  - releaseCycle: "6"
    eol: false
    eoes: false
    latest:
`))
	require.NoError(t, err)
	require.Equal(t, want, f.Lifecycles)
}

func TestAnswersOfTheAPIThatAreNotAllProductsAreToldApart(t *testing.T) {
	f, err := readNamed(t, "debian", `{"schema_version": "1.2.0", "generated_at": "2026-08-22T00:53:29+00:00", "result": {"name": "a", "releases": [{"name": "1"}]}}`)
	require.NoError(t, err, "one product")
	require.Len(t, f.Lifecycles, 1)
	for name, c := range map[string]struct{ text, says string }{
		"the list without releases": {productsOf(1, `{"name": "a", "uri": "https://endoflife.date/api/v1/products/a"}`), "take products/full"},
		"fewer than it says":        {productsOf(2, `{"name": "a", "releases": []}`), "it says that it has 2 products, and has 1"},
		"another schema":            {strings.Replace(productsOf(0, ""), "1.2.0", "2.0.0", 1), "want 1"},
		"a release without a name":  {productsOf(1, `{"name": "a", "releases": [{}]}`), "a release has no name"},
		"a day that is none":        {productsOf(1, `{"name": "a", "releases": [{"name": "1", "eolFrom": "soon"}]}`), `a "1": the date of its end: "soon"`},
		"neither one nor many":      {`{"schema_version": "1.2.0", "generated_at": "", "result": 7}`, "JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNamed(t, "a", c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestAProductPageThatCannotBeReadIsRefusedByItsLine(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"a head without an end":       {"---\npermalink: /a\nreleases:\n  - releaseCycle: 1\n", "it was cut off"},
		"no releases":                 {pageOf(""), "no releases"},
		"no product":                  {strings.Replace(pageOf("- releaseCycle: 1\n"), "/a", "/", 1), "line 3: the permalink is empty"},
		"a group where a value goes":  {pageOf("- releaseCycle: [1]\n"), `line 5: releaseCycle: "[1]": want a plain value`},
		"an alias":                    {pageOf("- releaseCycle: *a\n"), "want a plain value"},
		"a value that is not closed":  {pageOf("- releaseCycle: \"1\n"), "want quotes without escapes"},
		"a value with escapes":        {pageOf(`- releaseCycle: "1\x41"` + "\n"), "want quotes without escapes"},
		"something behind a value":    {pageOf("- releaseCycle: \"1\" 2\n"), "follows the value"},
		"a field twice":               {pageOf("- releaseCycle: 1\n  latest: 1\n  latest: 2\n"), "line 7: latest is there twice"},
		"a field that is not in line": {pageOf("  - releaseCycle: 1\n   latest: 1\n"), "line 6"},
		"a field before any release":  {pageOf("    latest: 1\n"), "line 5"},
		"what is no field":            {pageOf("- releaseCycle: 1\n  <<<<<<<\n"), "is no field"},
		"a release without a name":    {pageOf("- latest: 1\n"), "a release has no name"},
		"a day that is none":          {pageOf("- releaseCycle: 1\n  eol: soon\n"), `the date of its end: "soon"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNamed(t, "a.md", c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestAllSharedSupportPeriodsAreRead(t *testing.T) {
	folder := filepath.Join(inplace.Path(t, "feeds"), "endoflife")
	files, refused, err := ReadFolder(t.Context(), os.DirFS(folder), DefaultLimits())
	require.NoError(t, err)
	files = recognised(files)
	require.Empty(t, refused)
	pages, releases, ended := 0, 0, 0
	for _, f := range files {
		switch filepath.Ext(f.Name) {
		case ".csv":
			require.Equal(t, []string{"distroinfo"}, f.Feeds)
			require.Len(t, f.Lifecycles, map[string]int{"debian.csv": 20, "ubuntu.csv": 45}[filepath.Base(f.Name)])
		case ".md":
			require.Equal(t, []string{"endoflife"}, f.Feeds)
			pages++
			releases += f.Records()
			for _, l := range f.Lifecycles {
				if l.SecurityEnded {
					ended++
				}
			}
		default:
			require.Len(t, f.Lifecycles, 85)
		}
	}
	// Counted by grep in the pages.
	require.Equal(t, []int{17, 390, 3}, []int{pages, releases, ended})
}
