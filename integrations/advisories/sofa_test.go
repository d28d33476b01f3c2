package advisories

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

const sofaFixture = "testdata/sofa/v2_macos_data_feed.json"

func TestAFeedOfMacOSThatIsNotRightIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a flaw is missing":            {`"UniqueCVEsCount": 1`, `"UniqueCVEsCount": 2`, "says that it fixes 2 flaws, and names 1"},
		"a version of another system":  {`"ProductVersion": "26.6.1"`, `"ProductVersion": "15.6.1"`, `the version "15.6.1" is none of macOS 26`},
		"a version that begins alike":  {`"ProductVersion": "26.6.1"`, `"ProductVersion": "266.1"`, "is none of macOS 26"},
		"a system without a number":    {`"OSVersion": "Tahoe 26"`, `"OSVersion": "Tahoe"`, `OSVersion "Tahoe"`},
		"a day that is none":           {`"ReleaseDate": "2026-08-06T00:00:00Z"`, `"ReleaseDate": "in August"`, "ReleaseDate"},
		"a flaw attacked that is none": {"      \"CVE-2026-65400\"\n     ],", "\"CVE-65400\"\n],", "ActivelyExploitedCVEs"},
		"a time of checking":           {`"LastCheck": "2026`, `"LastCheck": "x2026`, "LastCheck"},
	} {
		_, err := changed(t, sofaFixture, c.from, c.to)
		require.ErrorContains(t, err, c.says, name)
	}
}

func TestAReleaseOfMacOSIsAnAdvisory(t *testing.T) {
	f, err := changed(t, sofaFixture, "x", "x")
	require.NoError(t, err)
	a := advisory(t, f, "macOS Tahoe 26.6.1")
	require.Equal(t, "macOS Tahoe 26.6.1 (25G76)", a.Title)
	require.Equal(t, []patching.Affected{{
		Platform: patching.Platform{ID: "macos", Release: "26"}, Package: "macos", Ranges: []patching.VersionRange{{Fixed: "26.6.1"}},
	}}, a.Affected)
	require.Equal(t, patching.CVE("CVE-2026-65400"), f.Risks[0].CVE)
	require.Equal(t, []string{"sofa"}, f.Risks[0].SaidExploited)
	require.Nil(t, f.Risks[0].Exploited)
	require.Empty(t, advisory(t, f, "macOS Monterey 12.7.5").Supersedes)
	require.Len(t, f.Lifecycles, 2)
	require.Equal(t, "26.6.2", f.Lifecycles[0].Latest)
	require.Zero(t, f.Lifecycles[0].SecurityEnd, "Apple does not say")
}

func TestTheWholeFeedOfMacOSIsRead(t *testing.T) {
	dir := filepath.Join(inplace.Path(t, "feeds"), "apple", "sofa")
	f, err := ReadFile(t.Context(), os.DirFS(dir), "v2_macos_data_feed.json.gz", DefaultLimits())
	require.NoError(t, err)
	require.Len(t, f.Advisories, 126)
	require.Len(t, f.Lifecycles, 5)
	t.Logf("%d risks", len(f.Risks))
}
