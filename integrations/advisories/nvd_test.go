package advisories

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

// nvdPageOf is a page of the API with some records, of which each is a cve.
func nvdPageOf(about, records string) string {
	return fmt.Sprintf(`{%s, "format": "NVD_CVE", "version": "2.0", "timestamp": "2026-09-30T12:00:00.000", "vulnerabilities": [%s]}`, about, records)
}

func TestEveryScoreOfNVDIsKeptWithWhoGaveIt(t *testing.T) {
	f, err := readNamed(t, "a.json", nvdPageOf(`"resultsPerPage": 1, "startIndex": 0, "totalResults": 1`, `{"cve": {
		"id": "CVE-2024-9287", "vulnStatus": "Awaiting Analysis", "metrics": {
		"cvssMetricV40": [{"source": "cna@python.org", "type": "Secondary", "cvssData": {"version": "4.0", "vectorString": "CVSS:4.0/AV:L", "baseScore": 5.3}}],
		"cvssMetricV31": [{"source": "nvd@nist.gov", "type": "Primary", "cvssData": {"version": "3.1", "vectorString": "CVSS:3.1/AV:L", "baseScore": 7.8}}],
		"cvssMetricV30": [{"source": "a@b.c", "type": "Secondary", "cvssData": {"version": "3.0", "vectorString": "CVSS:3.0/AV:L", "baseScore": 10}}],
		"cvssMetricV2": [{"source": "a@b.c", "type": "Secondary", "cvssData": {"version": "2.0", "vectorString": "AV:L", "baseScore": 0}}]}}}`))
	require.NoError(t, err)
	require.Equal(t, []patching.CVSS{
		{Feed: "nvd", Version: "2.0", Vector: "AV:L", Score: 0, By: "a@b.c"},
		{Feed: "nvd", Version: "3.0", Vector: "CVSS:3.0/AV:L", Score: 10, By: "a@b.c"},
		{Feed: "nvd", Version: "3.1", Vector: "CVSS:3.1/AV:L", Score: 7.8, By: "nvd@nist.gov"},
		{Feed: "nvd", Version: "4.0", Vector: "CVSS:4.0/AV:L", Score: 5.3, By: "cna@python.org"},
	}, f.Risks[0].CVSS)
	require.Equal(t, time.Date(2026, 9, 30, 12, 0, 0, 0, time.UTC), f.Made)
}

func TestNVDSaysWhatWasRejectedAndWhatCISAAdded(t *testing.T) {
	ssvc := func(source, at, automatable string) string {
		return fmt.Sprintf(`{"source": %q, "ssvcData": {"timestamp": %q, "options": [{"exploitation": "poc"}, {"automatable": %q}, {"supplierContacted": "maybe"}]}}`, source, at, automatable)
	}
	f, err := readNamed(t, "a.json", nvdPageOf(`"resultsPerPage": 2, "startIndex": 0, "totalResults": 2`,
		`{"cve": {"id": "CVE-2024-0001", "vulnStatus": "Rejected", "metrics": null}},
		{"cve": {"id": "CVE-2024-0002", "cisaExploitAdd": "2026-09-01", "metrics": {"ssvcV203": [`+
			ssvc(cisaADP, "2026-09-02T00:00:00Z", "yes")+","+ssvc(cisaADP, "2026-09-01T00:00:00Z", "no")+","+ssvc("vendor", "2026-09-03T00:00:00Z", "no")+`]}}}`))
	require.NoError(t, err)
	require.Equal(t, []patching.Risk{
		{CVE: "CVE-2024-0001", Rejected: true},
		{
			CVE:       "CVE-2024-0002",
			Exploited: &patching.Exploited{Feed: "nvd", Added: time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)},
			SSVC: &patching.SSVC{
				Feed: "nvd", At: time.Date(2026, 9, 2, 0, 0, 0, 0, time.UTC), Exploitation: "public poc", Automatable: "yes",
			},
		},
	}, f.Risks)
}

func TestAPageOfNVDHasAsManyEntriesAsItSays(t *testing.T) {
	const two = `{"cve": {"id": "CVE-2024-0001"}}, {"cve": {"id": "CVE-2024-0002"}}`
	for name, c := range map[string]struct{ about, says string }{
		"a page of many":                    {`"resultsPerPage": 2, "startIndex": 4, "totalResults": 900`, ""},
		"the last page, with what is left":  {`"resultsPerPage": 2000, "startIndex": 4000, "totalResults": 4002`, ""},
		"fewer than it says":                {`"resultsPerPage": 3, "startIndex": 0, "totalResults": 3`, "it says that it has 3 entries"},
		"more than there are":               {`"resultsPerPage": 2, "startIndex": 0, "totalResults": 1`, "it says that it has 1 entries"},
		"a page behind the last":            {`"resultsPerPage": 2, "startIndex": 9, "totalResults": 2`, "it says that it has 0 entries"},
		"a count twice, of which one holds": {`"resultsPerPage": 3, "resultsPerPage": 2, "startIndex": 0, "totalResults": 2`, "is there twice"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readNamed(t, "a.json", nvdPageOf(c.about, two))
			if c.says == "" {
				require.NoError(t, err)
				require.Len(t, f.Risks, 2)
				return
			}
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestARecordOfNVDThatCannotBeReadIsRefusedByName(t *testing.T) {
	const one = `"resultsPerPage": 1, "startIndex": 0, "totalResults": 1`
	metric := func(of, data string) string {
		return fmt.Sprintf(`{"cve": {"id": "CVE-2024-0001", "metrics": {%q: [{"cvssData": %s}]}}}`, of, data)
	}
	for name, c := range map[string]struct{ text, says string }{
		"a score above ten":           {nvdPageOf(one, metric("cvssMetricV31", `{"version": "3.1", "baseScore": 11}`)), "CVE-2024-0001: CVSS 3.1 baseScore 11"},
		"a metric without a score":    {nvdPageOf(one, metric("cvssMetricV40", `{"version": "4.0"}`)), "has no baseScore"},
		"a score of another version":  {nvdPageOf(one, metric("cvssMetricV31", `{"version": "3.0", "baseScore": 1}`)), `version "3.0" stands where those of 3.1 do`},
		"a name that is none":         {nvdPageOf(one, `{"cve": {"id": "CVE-1"}}`), `entry 1: id "CVE-1"`},
		"a day that is none":          {nvdPageOf(one, `{"cve": {"id": "CVE-2024-0001", "cisaExploitAdd": "soon"}}`), "cisaExploitAdd"},
		"points that we do not know":  {nvdPageOf(one, `{"cve": {"id": "CVE-2024-0001", "metrics": {"ssvcV203": [{"source": "`+cisaADP+`", "ssvcData": {"options": [{"exploitation": "rampant"}]}}]}}}`), `"rampant" is no value of exploitation`},
		"another version of the API":  {`{"resultsPerPage": 0, "totalResults": 0, "format": "NVD_CVE", "version": "3.0", "vulnerabilities": []}`, "want NVD_CVE 2.0"},
		"something after the end":     {nvdPageOf(one, `{"cve": {"id": "CVE-2024-0001"}}`) + "{}", "something follows it"},
		"a list that is none":         {`{"resultsPerPage": 0, "totalResults": 0, "format": "NVD_CVE", "version": "2.0", "vulnerabilities": null}`, "stands where [ should"},
		"groups within other fields":  {`{"resultsPerPage": 0, "totalResults": 0, "x": {"vulnerabilities": []}, "vulnerabilities": 7}`, "stands where [ should"},
		"a list whose end is missing": {`{"resultsPerPage": 1, "totalResults": 1, "vulnerabilities": [{"cve": {"id": "CVE-2024-0001"}}`, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNamed(t, "a.json", c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestAllSharedPagesOfNVDAreRead(t *testing.T) {
	folder := filepath.Join(inplace.Path(t, "feeds"), "nvd")
	files, refused, err := ReadFolder(t.Context(), os.DirFS(folder), DefaultLimits())
	require.NoError(t, err)
	files = recognised(files)
	require.Empty(t, refused)
	records, scores := 0, 0
	for _, f := range files {
		require.Equal(t, []string{"nvd"}, f.Feeds)
		records += f.Records()
		for _, r := range f.Risks {
			scores += len(r.CVSS)
		}
	}
	// Counted in the pages without this code.
	require.Equal(t, []int{45, 60}, []int{records, scores})
}
