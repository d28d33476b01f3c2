package advisories

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
)

// cveOf is a published record with some containers, in CISA's order of fields.
func cveOf(containers string) string {
	return fmt.Sprintf(`{"dataType": "CVE_RECORD", "containers": {%s}, "cveMetadata": {"cveId": "CVE-2024-0001", "state": "PUBLISHED"}, "dataVersion": "5.1"}`, containers)
}

func adpOf(org, metrics string) string {
	return fmt.Sprintf(`"cna": {"providerMetadata": {"orgId": "vendor"}}, "adp": [{"providerMetadata": {"orgId": %q}, "metrics": [%s]}]`, org, metrics)
}

func TestARecordIsRecognisedWhereverItsMetadataStand(t *testing.T) {
	long := fmt.Sprintf(`"cna": {"x": %q, "providerMetadata": {"orgId": "vendor"}}`, strings.Repeat("x", headBytes))
	for name, text := range map[string]string{
		"behind containers that fill the head": cveOf(long),
		"with the containers first":            fmt.Sprintf(`{"containers": {%s}, "cveMetadata": {"cveId": "CVE-2024-0001", "state": "PUBLISHED"}, "dataType": "CVE_RECORD", "dataVersion": "5.1"}`, long),
	} {
		t.Run(name, func(t *testing.T) {
			f, err := readNamed(t, "a.json", text)
			require.NoError(t, err)
			require.Equal(t, []string{"vulnrichment"}, f.Feeds)
		})
	}
	_, err := readNamed(t, "delta.json", `{"fetchTime": "2023-11-02T05:36:48.781Z", "numberOfChanges": 0, "new": []}`)
	require.ErrorIs(t, err, ErrUnknown, "what the CVE list keeps beside its records")
}

func TestCISAAloneSpeaksForCISA(t *testing.T) {
	const metrics = `{"other": {"type": "kev", "content": {"dateAdded": "2024-10-15"}}},
		{"other": {"type": "ssvc", "content": {"timestamp": "2024-05-09T00:00:00+00:00", "options": [{"Exploitation": "Active"}, {"Technical Impact": "Total"}]}}},
		{"other": {"type": "made up", "content": [1]}},
		{"other": {"type": "ssvc", "content": {"timestamp": "2024-05-08T00:00:00+00:00", "options": [{"Exploitation": "none"}]}}}`
	f, err := readNamed(t, "a.json", cveOf(adpOf("somebody", metrics)))
	require.NoError(t, err)
	require.Nil(t, f.Risks[0].Exploited)
	require.Nil(t, f.Risks[0].SSVC)
	f, err = readNamed(t, "a.json", cveOf(adpOf(cisaADP, metrics)))
	require.NoError(t, err)
	require.Equal(t, "2024-10-15", f.Risks[0].Exploited.Added.Format("2006-01-02"))
	require.Equal(t, "active", f.Risks[0].SSVC.Exploitation, "the newer counts")
	require.Equal(t, "total", f.Risks[0].SSVC.TechnicalImpact)
	require.Empty(t, f.Risks[0].SSVC.Automatable, "it is not said")
}

func TestARecordThatCannotBeReadIsRefusedByName(t *testing.T) {
	const good = `"cna": {}`
	for name, c := range map[string]struct{ text, says string }{
		"a name that is none":         {strings.Replace(cveOf(good), "CVE-2024-0001", "CVE-1", 1), `cveId "CVE-1" is none`},
		"a state that we do not know": {strings.Replace(cveOf(good), "PUBLISHED", "RESERVED", 1), `CVE-2024-0001: its state is "RESERVED"`},
		"another version":             {strings.Replace(cveOf(good), `"5.1"`, `"6.0"`, 1), "want CVE_RECORD 5"},
		"no container of its CNA":     {cveOf(`"adp": []`), "no container of its CNA"},
		"a score above ten":           {cveOf(`"cna": {"providerMetadata": {"shortName": "acme"}, "metrics": [{"cvssV3_1": {"version": "3.1", "baseScore": 11}}]}`), "CVE-2024-0001: as acme says: CVSS 3.1 baseScore 11"},
		"a score of another version":  {cveOf(`"cna": {"metrics": [{"cvssV3_1": {"version": "3.0", "baseScore": 1}}]}`), "stands where those of 3.1 do"},
		"points that we do not know":  {cveOf(adpOf(cisaADP, `{"other": {"type": "ssvc", "content": {"options": [{"Automatable": "perhaps"}]}}}`)), `"perhaps" is no value of Automatable`},
		"points of another shape":     {cveOf(adpOf(cisaADP, `{"other": {"type": "ssvc", "content": {"options": "none"}}}`)), "CVE-2024-0001: as " + cisaADP},
		"no content":                  {cveOf(adpOf(cisaADP, `{"other": {"type": "kev"}}`)), "kev: "},
		"a day that is none":          {cveOf(adpOf(cisaADP, `{"other": {"type": "kev", "content": {"dateAdded": "soon"}}}`)), "kev dateAdded"},
		"a date that is none":         {cveOf(`"cna": {"providerMetadata": {"dateUpdated": "soon"}}`), "dateUpdated"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readNamed(t, "a.json", c.text)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestAllSharedRecordsOfCVEsAreRead(t *testing.T) {
	folder := inplace.Path(t, "feeds")
	for name, want := range map[string]struct{ records, skipped, points, exploited, rejected int }{
		"vulnrichment/vulnrichment-subset.tar.gz":      {369, 0, 369, 141, 0},
		"vulnrichment/vulnrichment-golden-alma.tar.gz": {344, 0, 342, 1, 2},
		"vulnrichment/CVE-2024-21413.json":             {1, 0, 1, 0, 0},
		"cve-v5/cvelistV5-main.tar.gz":                 {4, 2, 0, 0, 0},
	} {
		f, err := ReadFile(t.Context(), os.DirFS(folder), filepath.ToSlash(name), DefaultLimits())
		require.NoError(t, err)
		require.Equal(t, []string{"vulnrichment"}, f.Feeds)
		got := want
		got.records, got.skipped, got.points, got.exploited, got.rejected = f.Records(), f.Skipped, 0, 0, 0
		for _, r := range f.Risks {
			if r.SSVC != nil {
				got.points++
			}
			if r.Exploited != nil {
				got.exploited++
			}
			if r.Rejected {
				got.rejected++
			}
		}
		require.Equal(t, want, got, name)
	}
}
