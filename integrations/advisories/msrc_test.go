package advisories

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

const msrcFixture = "testdata/msrc/2030-Mar.xml"

// changed reads a fixture after a replacement in it.
func changed(t *testing.T, fixture, from, to string) (File, error) {
	t.Helper()
	text := string(plainText(t, fixture))
	require.True(t, strings.Contains(text, from), "%s has no %q", fixture, from) //nolint:testifylint // Contains would print it all
	return readAs(t, []byte(strings.Replace(text, from, to, 1)), DefaultLimits())
}

func advisory(t *testing.T, f File, id patching.AdvisoryID) patching.Advisory {
	t.Helper()
	i := slices.IndexFunc(f.Advisories, func(a patching.Advisory) bool { return a.ID == id })
	require.GreaterOrEqual(t, i, 0, "%s", id)
	return f.Advisories[i]
}

func TestAWindowsUpdateIsReadFromTheFlawsThatItFixes(t *testing.T) {
	f, err := changed(t, msrcFixture, "x", "x")
	require.NoError(t, err)
	require.Equal(t, "2030-Mar revision 512", f.Revision)
	full := advisory(t, f, "KB5900001")
	require.Equal(t, []patching.CVE{"CVE-2030-0001", "CVE-2030-0002"}, full.CVEs)
	require.Equal(t, []patching.AdvisoryID{"KB5800001", "KB5800009", "KB5800010"}, full.Supersedes, "by comma, semicolon, with KB")
	require.True(t, full.NeedsReboot, "one flaw says Yes, the other Maybe")
	require.Equal(t, "important", full.Severity, "Critical is said of another product")
	require.Empty(t, full.Affected[0].Entitlement)
	require.Empty(t, full.Affected[0].CVEs, "all of them")
	require.Equal(t, []patching.CVE{"CVE-2030-0001"}, full.Affected[1].CVEs, "the other flaw is not in Server Core")
	require.Equal(t, []string{"Microsoft lists known issues of this update: https://support.microsoft.com/help/5900001"}, full.KnownIssues)
	for _, id := range []patching.AdvisoryID{"KB5900002", "KB5900003"} {
		hot := advisory(t, f, id)
		require.Equal(t, hotpatch, hot.Affected[0].Entitlement, "%s: its build is that of a hotpatch", id)
		require.False(t, hot.NeedsReboot)
	}
	two := advisory(t, f, "KB5900007")
	require.Equal(t, []patching.VersionRange{{From: "10.0.19043", Fixed: "10.0.19043.9456"}}, two.Affected[0].Ranges)
	require.Equal(t, []patching.VersionRange{{From: "10.0.19044", Fixed: "10.0.19044.9456"}}, two.Affected[1].Ranges)
	require.Len(t, f.Advisories, 5, "Exchange, Internet Explorer, Azure Linux and release notes are left out")
}

func TestWhatMicrosoftSaysOfAFlawIsKept(t *testing.T) {
	f, err := changed(t, msrcFixture, "x", "x")
	require.NoError(t, err)
	require.Len(t, f.Risks, 2, "what was neither scored nor seen says nothing")
	require.Equal(t, []string{"msrc"}, f.Risks[0].SaidExploited)
	require.Nil(t, f.Risks[0].Exploited, "that is CISA's word")
	require.Equal(t, []patching.CVSS{
		{Feed: "msrc", Version: "3.1", Vector: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C", Score: 7.8, By: "msrc"},
		{Feed: "msrc", Version: "3.1", Vector: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:N/A:N/E:U/RL:O/RC:C", Score: 5.5, By: "msrc"},
	}, f.Risks[0].CVSS, "each score once, and none that is empty")
}

func TestAMonthOfMicrosoftThatIsNotRightIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a score that is none":          {"<vuln:BaseScore>7.8", "<vuln:BaseScore>78", `CVE-2030-0001: BaseScore "78"`},
		"a score that is no number":     {"<vuln:BaseScore>7.8", "<vuln:BaseScore>NaN", `BaseScore "NaN"`},
		"a product that is not listed":  {`<prod:FullProductName ProductID="11929">`, `<prod:FullProductName ProductID="1">`, `CVE-2030-0002: KB5900007: the product "11929"`},
		"no name of the document":       {"<cvrf:ID>2030-Mar</cvrf:ID>", "", "no ID"},
		"a date that is none":           {"<cvrf:InitialReleaseDate>2030-03-12", "<cvrf:InitialReleaseDate>2030-13-12", "InitialReleaseDate"},
		"a revision's date that is not": {"<cvrf:CurrentReleaseDate>", "<cvrf:CurrentReleaseDate>x", "CurrentReleaseDate"},
	} {
		_, err := changed(t, msrcFixture, c.from, c.to)
		require.ErrorContains(t, err, c.says, name)
	}
	_, err := changed(t, msrcFixture, "secure@microsoft.com", "security@suse.de")
	require.ErrorIs(t, err, ErrUnknown, "others write CVRF too")
}

// What four real hosts lacked was computed apart from this reader, from Microsoft's
// months of December 2025 to March 2026 and the hosts' build numbers.
func TestWhatRealWindowsHostsLackIsFoundByTheirBuild(t *testing.T) {
	shared := inplace.Path(t, "feeds")
	byMonth := map[string][]patching.Advisory{}
	months, err := filepath.Glob(filepath.Join(shared, "microsoft", "cvrf", "cvrfDocument-*.xml.xz"))
	require.NoError(t, err)
	require.Len(t, months, 4)
	for _, name := range months {
		f, err := ReadFile(t.Context(), os.DirFS(filepath.Dir(name)), filepath.Base(name), DefaultLimits())
		require.NoError(t, err)
		month := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(name), "cvrfDocument-"), ".xml.xz")
		byMonth[month] = f.Advisories
		t.Logf("%s: %s, %d updates, %d risks", month, f.Revision, len(f.Advisories), len(f.Risks))
	}
	hosts, err := filepath.Glob(filepath.Join(shared, "golden", "windows-build", "*.json"))
	require.NoError(t, err)
	require.Len(t, hosts, 4)
	for _, name := range hosts {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var host struct {
			Product, HostBuild string
			MSRCMissing        []missingKB `json:"msrcMissing"`
		}
		require.NoError(t, json.Unmarshal(text, &host))
		var got []missingKB
		for month, all := range byMonth {
			for _, a := range all {
				got = append(got, missing(a, month, host.Product, host.HostBuild)...)
			}
		}
		slices.SortFunc(got, func(x, y missingKB) int { return compareBuilds(x.FixedBuild, y.FixedBuild) })
		require.NotEmpty(t, got, name)
		require.Equal(t, host.MSRCMissing, got, filepath.Base(name))
	}
}

type missingKB struct {
	KB         patching.AdvisoryID
	FixedBuild string
	Month      string
	Supersedes []patching.AdvisoryID
	Restart    bool
	CVEs       []patching.CVE
}

func (m *missingKB) UnmarshalJSON(text []byte) error {
	var w struct {
		KB, FixedBuild, Month, Supersedes, Restart string
		CVEs                                       []patching.CVE
	}
	err := json.Unmarshal(text, &w)
	*m = missingKB{KB: patching.AdvisoryID("KB" + w.KB), FixedBuild: w.FixedBuild, Month: w.Month, Restart: w.Restart == "Yes", CVEs: w.CVEs}
	if w.Supersedes != "" {
		m.Supersedes = []patching.AdvisoryID{patching.AdvisoryID("KB" + w.Supersedes)}
	}
	return err
}

// missing is an advisory's update if a host of that product is below its build.
func missing(a patching.Advisory, month, product, build string) (all []missingKB) {
	for _, affected := range a.Affected {
		r := affected.Ranges[0]
		if affected.Release != product || affected.Entitlement != "" ||
			compareBuilds(r.From, build) > 0 || compareBuilds(build, r.Fixed) >= 0 {
			continue
		}
		cves := affected.CVEs
		if cves == nil {
			cves = a.CVEs
		}
		all = append(all, missingKB{a.ID, r.Fixed, month, a.Supersedes, a.NeedsReboot, cves})
	}
	return all
}

func compareBuilds(a, b string) int {
	numbers := func(s string) (all []int) {
		for _, part := range strings.Split(s, ".") {
			n, _ := strconv.Atoi(part)
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(a), numbers(b))
}
