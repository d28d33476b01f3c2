package inventories_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

func findings(t *testing.T, text string) inventories.Findings {
	t.Helper()
	f, err := inventories.ReadFindings(strings.NewReader(text), inventories.CMDBOptions{})
	require.NoError(t, err)
	return f
}

// Serves G1, L9.
func TestARealReportOfTrivyIsReadWithWhatItCallsUnfixed(t *testing.T) {
	f, err := inventories.ReadFindings(inplace.Open(t, "feeds/golden/trivy/debian-buster/report.json.golden"), inventories.CMDBOptions{})
	require.NoError(t, err)
	require.Equal(t, "trivy dev", f.Tool)
	require.Equal(t, 2021, f.Made.Year())
	require.Equal(t, []reconcile.Claim{
		{Package: "bash", Version: "5.0-4", Names: []string{"CVE-2019-18276"}, Unfixed: true},
		{Package: "libidn2-0", Version: "2.0.5-1", Names: []string{"CVE-2019-18224", "DSA-4613-1"}, Fixed: "2.0.5-1+deb10u1"},
	}, f.Claims)
}

// The messages are those that trivy, osv-scanner and grype write into SARIF, the rest is
// made up.
const sarif = `{"version": "2.1.0", "runs": [{
  "tool": {"driver": {"name": "Trivy", "version": "0.60", "rules": [
    {"id": "CVE-2023-0464", "name": "OsPackageVulnerability"}, {"id": "CVE-2023-1", "name": "LanguageSpecificPackageVulnerability"},
    {"id": "CVE-2022-24713", "name": "CVE-2022-24713", "deprecatedIds": ["CVE-2022-24713", "GHSA-m5pq-gvj9-9vr8"]}]}},
  "results": [
    {"ruleId": "CVE-2023-0464", "ruleIndex": 0, "message": {"text": "Package: openssl\nInstalled Version: 1.1.1k\nVulnerability CVE-2023-0464\nSeverity: HIGH\nFixed Version: 1.1.1t\nLink: [x](y)"}},
    {"ruleId": "CVE-2023-0465", "ruleIndex": 0, "message": {"text": "Package: bash\nInstalled Version: 5.0-4\nVulnerability CVE-2023-0465\nSeverity: LOW\nFixed Version: \nLink: [x](y)"}},
    {"ruleId": "CVE-2023-1", "ruleIndex": 1, "message": {"text": "Package: left-pad\nInstalled Version: 1\nVulnerability CVE-2023-1\nSeverity: LOW\nFixed Version: 2\nLink: [x](y)"}},
    {"ruleId": "CVE-2022-24713", "ruleIndex": 2, "message": {"text": "Package 'regex@1.5.1' is vulnerable to 'CVE-2022-24713' (also known as 'GHSA-m5pq-gvj9-9vr8')."}},
    {"ruleId": "CVE-2021-3711-libssl1.1", "message": {"text": "A critical vulnerability in deb package: libssl1.1, version 1.1.1d-0+deb10u7 was found at: /var/lib/dpkg/status"}},
    {"ruleId": "DS-0002", "message": {"text": "Running as root"}}
  ]}]}`

func TestSARIFIsReadByWhatToolsWriteIntoTheirMessages(t *testing.T) {
	f := findings(t, sarif)
	require.Equal(t, "Trivy 0.60", f.Tool)
	require.Equal(t, []reconcile.Claim{
		{Package: "openssl", Version: "1.1.1k", Names: []string{"CVE-2023-0464"}, Fixed: "1.1.1t"},
		{Package: "bash", Version: "5.0-4", Names: []string{"CVE-2023-0465"}, Unfixed: true},
		{Package: "regex", Version: "1.5.1", Names: []string{"CVE-2022-24713", "CVE-2022-24713", "GHSA-m5pq-gvj9-9vr8"}},
		{Package: "libssl1.1", Version: "1.1.1d-0+deb10u7", Names: []string{"CVE-2021-3711"}},
	}, f.Claims)
	require.Equal(t, map[string]int{"LanguageSpecificPackageVulnerability": 1}, f.Others)
	require.Len(t, f.Bad, 1)
	require.Contains(t, f.Bad[0].Why, `result 6 (DS-0002): "Running as root"`)
}

const osvScanner = `{"results": [{"source": {"path": "/x", "type": "sbom"}, "packages": [
  {"package": {"name": "bash", "version": "5.1.8-4.el9", "ecosystem": "AlmaLinux:9"}, "vulnerabilities": [{"id": "ALSA-2026:1", "related": ["CVE-2026-0001"]}], "groups": []},
  {"package": {"name": "left-pad", "version": "1", "ecosystem": "npm"}, "vulnerabilities": [{"id": "GHSA-1", "aliases": ["CVE-2026-0002"]}]}]}]}`

func TestAReportOfOSVScannerIsReadWithoutWhatApplicationsBring(t *testing.T) {
	f := findings(t, osvScanner)
	require.Equal(t, []reconcile.Claim{{Package: "bash", Version: "5.1.8-4.el9", Names: []string{"ALSA-2026:1", "CVE-2026-0001"}}}, f.Claims)
	require.Equal(t, map[string]int{"npm": 1}, f.Others)
}

func TestATableOfFindingsIsReadByItsHeadings(t *testing.T) {
	f := findings(t, "Hostname;Package;Installed Version;CVEs;Advisory;Fixed in\nweb-1;bash;5.1.8-4.el9;CVE-2026-0001, CVE-2026-0002;ALSA-2026:1;5.1.8-9.el9\nweb-2;;;;;\n;bash;;;;\n")
	require.Equal(t, []reconcile.Claim{{Host: "web-1", Package: "bash", Version: "5.1.8-4.el9", Names: []string{"CVE-2026-0001", "CVE-2026-0002", "ALSA-2026:1"}, Fixed: "5.1.8-9.el9"}}, f.Claims)
	require.Len(t, f.Bad, 2)
	require.Equal(t, 3, f.Bad[0].Line)
}

// Serves Q7.
func TestAReportThatCannotBeReadIsRefusedWithTheWayOut(t *testing.T) {
	for text, says := range map[string]string{
		"":                                  "empty",
		"{}":                                "want SARIF",
		"[]":                                "neither comma",
		`{"runs": [], "version": "1.0"}`:    `version "1.0": 2.1.0 is read`,
		"{\n\"results\": [\n{\"packages\":": "line 3",
		`{"SchemaVersion": 2, "Results": [{"Class": "os-pkgs", "Type": "debian", "Vulnerabilities": [{}]}]}`:                      "finding 1 of debian names no package",
		`{"version": "2.1.0", "runs": [{"results": [{"ruleId": "a", "message": {"text": "hello"}}]}]}`:                            "take the tool's own JSON",
		`{"results": [{"packages": [{"package": {"name": "bash", "ecosystem": "Debian:12"}, "vulnerabilities": [{"id": ""}]}]}]}`: "names no package",
		"host,severity\na,high\n": `want a column for the package, and one for the flaw or the advisory; there are host, severity: say which they are, such as --map "host=package"`,
	} {
		_, err := inventories.ReadFindings(strings.NewReader(text), inventories.CMDBOptions{})
		require.ErrorContains(t, err, says, text)
	}
}

func FuzzFindings(f *testing.F) {
	f.Add([]byte(sarif))
	f.Add([]byte(osvScanner))
	f.Add([]byte(`{"SchemaVersion": 2, "Results": [{"Class": "os-pkgs", "Vulnerabilities": [{"VulnerabilityID": "CVE-2026-0001", "PkgName": "bash"}]}]}`))
	f.Add([]byte("package,cve\nbash,CVE-2026-0001\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := inventories.ReadFindings(strings.NewReader(string(text)), inventories.CMDBOptions{})
		if err != nil {
			return
		}
		for _, c := range r.Claims {
			require.NotEmpty(t, c.Package)
			require.NotEmpty(t, c.Names)
		}
	})
}
