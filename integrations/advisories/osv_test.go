package advisories

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

func TestAnEcosystemSaysOnWhichMachinesAPackageIs(t *testing.T) {
	for ecosystem, want := range map[string]string{
		"AlmaLinux:8":                                                "almalinux/8",
		"AlmaLinux":                                                  "almalinux/",
		"Debian:12":                                                  "debian/12 source",
		"Rocky Linux:9":                                              "rocky/9 source",
		"Ubuntu:22.04:LTS":                                           "ubuntu/22.04 source",
		"Ubuntu:24.10":                                               "ubuntu/24.10 source",
		"Ubuntu:Pro:18.04:LTS":                                       "ubuntu/18.04 source ubuntu-pro",
		"Ubuntu:Pro:FIPS-updates:20.04:LTS":                          "ubuntu/20.04 source ubuntu-pro-fips-updates",
		"Red Hat:enterprise_linux:9::baseos":                         "rhel/9",
		"Red Hat:enterprise_linux:10.1":                              "rhel/10",
		"Red Hat:rhel_eus:8.8::appstream":                            "rhel/8.8 rhel-eus",
		"Red Hat:enterprise_linux_eus:10.0":                          "rhel/10.0 rhel-eus",
		"Red Hat:rhel_els:7":                                         "rhel/7 rhel-els",
		"Red Hat:ocp_tools:4.15::el9":                                "",
		"Red Hat:rhel_software_collections:3::el7":                   "",
		"openSUSE:Leap 15.5":                                         "opensuse-leap/15.5 source",
		"openSUSE:Leap 42.3":                                         "opensuse/42.3 source",
		"openSUSE:Tumbleweed":                                        "opensuse-tumbleweed/ source",
		"SUSE:Linux Enterprise Server 15 SP5":                        "sles/15.5 source",
		"SUSE:Linux Enterprise Server 12":                            "sles/12 source",
		"SUSE:Linux Enterprise Server 16.0":                          "sles/16.0 source",
		"SUSE:Linux Enterprise Server 12 SP2-LTSS":                   "sles/12.2 source suse-ltss",
		"SUSE:Linux Enterprise Server for SAP Applications 15 SP3":   "sles_sap/15.3 source",
		"SUSE:Linux Enterprise Desktop 15 SP4":                       "sled/15.4 source",
		"SUSE:Linux Enterprise High Performance Computing 15-ESPOS":  "sle_hpc/15 source suse-espos",
		"SUSE:Linux Enterprise Module for Server Applications 15 SP": "",
		"SUSE:Linux Enterprise Module for Basesystem 15 SP6": "sles/15.6 source, sled/15.6 source, " +
			"sles_sap/15.6 source, sle_hpc/15.6 source",
		"SUSE:Package Hub 15 SP6":                        "sles/15.6 source, sled/15.6 source, sles_sap/15.6 source, sle_hpc/15.6 source",
		"SUSE:Linux Enterprise Workstation Extension 12": "sles/12 source sle-we, sles_sap/12 source sle-we",
		"SUSE:Linux Enterprise Micro 5.5":                "sle-micro/5.5 source",
		"SUSE:Linux Micro 6.0":                           "sl-micro/6.0 source",
		"SUSE:Manager Server 4.3":                        "",
		"npm":                                            "",
		"Alpine:v3.20":                                   "",
		"":                                               "",
	} {
		var got []string
		on, known := osvPlatforms(ecosystem)
		for _, a := range on {
			words := []string{a.ID + "/" + a.Release}
			if a.Source {
				words = append(words, "source")
			}
			if a.Entitlement != "" {
				words = append(words, a.Entitlement)
			}
			got = append(got, strings.Join(words, " "))
		}
		require.Equal(t, want, strings.Join(got, ", "), ecosystem)
		require.Equal(t, strings.ContainsAny(ecosystem, "ADRSUo") && !strings.HasPrefix(ecosystem, "Alpine"), known, ecosystem)
	}
}

// osvWith reads a record of OSV with fields of its own.
func osvWith(t *testing.T, fields string) (Content, error) {
	t.Helper()
	f, err := readAs(t, []byte(`{"schema_version": "1.7.0", "id": "X-1", "modified": "2026-01-02T03:04:05Z", `+fields+`}`), DefaultLimits())
	return f.Content, err
}

func osvAbout(ecosystem, rest string) string {
	return `"affected": [{"package": {"ecosystem": "` + ecosystem + `", "name": "a"}, ` + rest + `}]`
}

func osvEvents(kind, list string) string {
	return `"ranges": [{"type": "` + kind + `", "events": [` + list + `]}]`
}

func TestTheEventsOfARangeAreReadFromTheOldestVersion(t *testing.T) {
	for name, c := range map[string]struct {
		rest   string
		ranges []patching.VersionRange
		says   string
	}{
		"all versions, and no fix yet":     {osvEvents("ECOSYSTEM", `{"introduced": "0"}`), []patching.VersionRange{{}}, ""},
		"until a fix":                      {osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"fixed": "0:2-1"}`), []patching.VersionRange{{Fixed: "0:2-1"}}, ""},
		"up to the last that is known":     {osvEvents("ECOSYSTEM", `{"introduced": "1"}, {"last_affected": "2"}`), []patching.VersionRange{{From: "1", Last: "2"}}, ""},
		"again after a fix":                {osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"fixed": "2"}, {"introduced": "3"}, {"fixed": "4"}`), []patching.VersionRange{{Fixed: "2"}, {From: "3", Fixed: "4"}}, ""},
		"both in one event":                {osvEvents("ECOSYSTEM", `{"introduced": "0", "fixed": "2"}`), []patching.VersionRange{{Fixed: "2"}}, ""},
		"what is introduced twice":         {osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"introduced": "1"}, {"fixed": "2"}`), []patching.VersionRange{{Fixed: "2"}}, ""},
		"a limit is for commits":           {osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"limit": "2"}`), []patching.VersionRange{{}}, ""},
		"from the end to the beginning":    {osvEvents("ECOSYSTEM", `{"fixed": "10"}, {"introduced": "9"}, {"fixed": "2"}, {"introduced": "0"}`), []patching.VersionRange{{Fixed: "2"}, {From: "9", Fixed: "10"}}, ""},
		"a fix of what was not introduced": {osvEvents("ECOSYSTEM", `{"fixed": "2"}, {"introduced": "3"}`), nil, `a of Debian:12: "2" ends what did not begin`},
		"upstream's versions are nobody's": {osvEvents("SEMVER", `{"introduced": "0"}`), nil, ""},
		"commits neither":                  {osvEvents("GIT", `{"introduced": "0"}`), nil, ""},
		"versions that a range has":        {osvEvents("ECOSYSTEM", `{"introduced": "0"}`) + `, "versions": ["1"]`, []patching.VersionRange{{}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := osvWith(t, osvAbout("Debian:12", c.rest))
			if c.says != "" {
				require.ErrorContains(t, err, "X-1: "+c.says)
				return
			}
			require.NoError(t, err)
			require.Len(t, got.Advisories, 1)
			if c.ranges == nil {
				require.Empty(t, got.Advisories[0].Affected)
				return
			}
			require.Equal(t, c.ranges, got.Advisories[0].Affected[0].Ranges)
			require.Empty(t, got.Advisories[0].Affected[0].Versions)
		})
	}
}

// A version is affected if it is listed or in a range, as the schema and osv-scanner say.
//
// Serves G1.
func TestOfListedVersionsThoseAreKeptThatNoRangeHas(t *testing.T) {
	listed := `, "versions": ["1-1", "2-1", "2-1+deb12u1", "3-1", "of nobody"]`
	for name, c := range map[string]struct {
		rest string
		want []string
	}{
		"no range that counts":   {osvEvents("GIT", `{"introduced": "0"}`) + listed, []string{"1-1", "2-1", "2-1+deb12u1", "3-1", "of nobody"}},
		"a range with a gap":     {osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"fixed": "2-1"}, {"introduced": "3-1"}`) + listed, []string{"2-1", "2-1+deb12u1", "of nobody"}},
		"by the order of Debian": {osvEvents("ECOSYSTEM", `{"introduced": "2-1"}, {"fixed": "2-1+deb12u1"}`) + listed, []string{"1-1", "2-1+deb12u1", "3-1", "of nobody"}},
		"a range that has all":   {osvEvents("ECOSYSTEM", `{"introduced": "0"}`) + listed, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := osvWith(t, osvAbout("Debian:12", c.rest))
			require.NoError(t, err)
			require.Equal(t, c.want, got.Advisories[0].Affected[0].Versions)
		})
	}
}

// A kernel of Debian's has hundreds of flaws, and each record lists all versions before its
// fix: what the ranges say is said once.
func TestRealRecordsListWhatTheirRangesHave(t *testing.T) {
	files, _, err := ReadFolder(t.Context(), os.DirFS(inplace.Path(t, "feeds/osv")), DefaultLimits())
	require.NoError(t, err)
	n := 0
	for _, f := range files {
		for _, a := range f.Advisories {
			for _, p := range a.Affected {
				n++
				require.Empty(t, p.Versions, "%s: %s", a.ID, p.Package)
			}
		}
	}
	require.Greater(t, n, 1000)
}

// BenchmarkListedVersions reads a record as Debian has thousands of: one flaw of the kernel,
// with 300 versions before its fix.
func BenchmarkListedVersions(b *testing.B) {
	var listed []string
	for n := range 300 {
		listed = append(listed, fmt.Sprintf(`"6.1.%d-1~deb12u%d"`, n, n%7))
	}
	text := []byte(`{"schema_version": "1.7.0", "id": "DEBIAN-CVE-2026-1", "modified": "2026-01-02T03:04:05Z", ` +
		osvAbout("Debian:12", osvEvents("ECOSYSTEM", `{"introduced": "0"}, {"fixed": "6.1.999-1"}`)+`, "versions": [`+strings.Join(listed, ",")+`]`) + `}`)
	for b.Loop() {
		var r osvRecord
		require.NoError(b, json.Unmarshal(text, &r))
		a, _, err := r.advisory()
		require.NoError(b, err)
		require.Empty(b, a.Affected[0].Versions)
	}
}

func TestWhatIsAboutNoOperatingSystemIsPassedOver(t *testing.T) {
	whole := osvEvents("ECOSYSTEM", `{"introduced": "0"}`)
	got, err := osvWith(t, osvAbout("npm", whole))
	require.NoError(t, err)
	require.Zero(t, got.Records())
	got, err = osvWith(t, osvAbout("Red Hat:ocp_tools:4.15::el9", whole))
	require.NoError(t, err)
	require.Len(t, got.Advisories, 1, "a distributor's advisory can be looked up")
	require.Empty(t, got.Advisories[0].Affected)
	_, err = osvWith(t, `"affected": [{"package": {"ecosystem": "Debian:12"}}]`)
	require.ErrorContains(t, err, "has no name")
	_, err = readAs(t, []byte(`{"schema_version": "1", "id": "", "modified": "2026-01-02T03:04:05Z"}`), DefaultLimits())
	require.ErrorContains(t, err, "no id")
	_, err = osvWith(t, `"published": "yesterday"`)
	require.ErrorContains(t, err, "X-1: published")
}

func TestAPackagesURLSaysWhatTheEcosystemDoesNot(t *testing.T) {
	for _, c := range []struct{ ecosystem, purl, want string }{
		{"Rocky Linux:9", "pkg:rpm/rocky-linux/bcel?distro=rocky-linux-9-aarch64&epoch=0", "source"},
		{"Rocky Linux:8", "pkg:rpm/rocky-linux/kernel?distro=rocky-linux-8-sig-cloud&epoch=0", "source rocky-sig-cloud"},
		{"Rocky Linux:8", "pkg:rpm/rocky-linux/a?distro=rocky-linux-8-4-legacy&epoch=1", "source"},
		{"Red Hat:enterprise_linux:8::appstream", "pkg:rpm/redhat/nodejs?arch=x86_64&rpmmod=nodejs%3A20%3A8100020240808%3A489197e6#x", "x86_64 nodejs:20"},
		{"Red Hat:enterprise_linux:8::appstream", "pkg:rpm/redhat/nodejs?arch=src&rpmmod=nodejs:20", "nodejs:20 source"},
		{"Debian:12", "pkg:deb/debian/a?arch=source", "source"},
		{"Ubuntu:16.04:LTS", "pkg:deb/ubuntu/a@1?arch=source&distro=esm-apps/xenial", "source ubuntu-pro"},
		{"Ubuntu:Pro:FIPS:18.04:LTS", "pkg:deb/ubuntu/a@1?arch=source&distro=fips/bionic", "source ubuntu-pro-fips"},
		{"SUSE:Linux Enterprise Server 12", "purl:rpm/suse/a&distro=SUSE%20Linux%20Enterprise%20Server%2012", "source"},
		{"AlmaLinux:8", "", ""},
	} {
		got, err := osvWith(t, `"affected": [{"package": {"ecosystem": "`+c.ecosystem+`", "name": "a", "purl": "`+c.purl+`"}, `+
			osvEvents("ECOSYSTEM", `{"introduced": "0"}`)+`}]`)
		require.NoError(t, err)
		a := got.Advisories[0].Affected[0]
		words := []string{a.Arch, a.Module}
		if a.Source {
			words = append(words, "source")
		}
		require.Equal(t, c.want, strings.Join(strings.Fields(strings.Join(append(words, a.Entitlement), " ")), " "), c.purl)
	}
}

// A live patch mends the running kernel: its notice names the kernel that needs none.
func TestALivePatchIsOfferedToWhoHasThem(t *testing.T) {
	f, err := ReadFile(t.Context(), os.DirFS("."), "testdata/osv/ubuntu/LSN-0108-1.json", DefaultLimits())
	require.NoError(t, err)
	require.Len(t, f.Advisories[0].Affected, 6)
	for _, a := range f.Advisories[0].Affected {
		require.Equal(t, "ubuntu-livepatch", a.Entitlement)
	}
}

func TestFlawsAreFoundInTheNamesThatDistributorsGiveThem(t *testing.T) {
	got, err := osvWith(t, `"aliases": ["GHSA-1", "CVE-2021-0003"], "related": ["USN-5614-1", "DEBIAN-CVE-2021-0002", "CVE-2021-0002"],
		"upstream": ["UBUNTU-CVE-2021-3782", "CVE-2021-1"],
		"affected": [{"package": {"ecosystem": "Ubuntu:22.04:LTS", "name": "a"}, "database_specific": {"cves_map": {"cves": [
			{"id": "CVE-2021-0004", "severity": [{"type": "Ubuntu", "score": "low"}, {"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}]},
			{"id": "CVE-2021-0005", "severity": [{"type": "Ubuntu", "score": "high"}]}]}}}]`)
	require.NoError(t, err)
	require.Equal(t, []patching.CVE{"CVE-2021-0002", "CVE-2021-0003", "CVE-2021-0004", "CVE-2021-0005", "CVE-2021-3782"}, got.Advisories[0].CVEs)
	require.Equal(t, "high", got.Advisories[0].Severity)
	require.Equal(t, []patching.Risk{{CVE: "CVE-2021-0004", CVSS: []patching.CVSS{
		{Feed: "osv", Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P", Score: 7.5},
	}}}, got.Risks)
}

func TestAScoreIsOfOneFlawAlone(t *testing.T) {
	const scores = `"severity": [
		{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
		{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},
		{"type": "CVSS_V3", "score": "CVSS:3.0/AV:L/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"},
		{"type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},
		{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N"}, {"type": "CVSS_V9", "score": "CVSS:9.0/A:B"}, {"type": "Ubuntu", "score": "medium"}]`
	got, err := osvWith(t, scores+`, "related": ["CVE-2021-0001"]`)
	require.NoError(t, err)
	require.Len(t, got.Risks, 1)
	scored := map[string]float64{}
	for _, c := range got.Risks[0].CVSS {
		scored[c.Version] = c.Score
	}
	require.Len(t, got.Risks[0].CVSS, 3, "each once, and none that cannot be scored")
	require.Equal(t, map[string]float64{"3.1": 9.8, "3.0": 4, "4.0": 9.3}, scored)
	for name, more := range map[string]string{
		"of two":             `"related": ["CVE-2021-0001", "CVE-2021-0002"]`,
		"of none":            `"related": []`,
		"that was withdrawn": `"related": ["CVE-2021-0001"], "withdrawn": "2026-01-03T00:00:00Z"`,
	} {
		got, err := osvWith(t, scores+", "+more)
		require.NoError(t, err)
		require.Empty(t, got.Risks, name)
	}
}

func TestAKindAndASeverityAreThePublishersWords(t *testing.T) {
	for id, want := range map[string]string{
		"ALSA-2021:1": "security", "RHBA-2021:1": "bugfix", "RLEA-2021:1": "enhancement", "RXSA-2021:1": "security",
		"SUSE-SU-2021:1": "security", "SUSE-RU-2021:1": "bugfix", "openSUSE-FU-2021:1": "enhancement", "SUSE-OU-1": "enhancement",
		"DSA-1": "security", "CVE-2021-0001": "security",
	} {
		require.Equal(t, want, kindByID(id), id)
	}
	for fields, want := range map[string]string{
		`"summary": "Important: kernel security update"`: "important",
		`"summary": "idm:DL1 bug fix update"`:            "",
		`"summary": "new module: perl:5.32"`:             "",
		`"summary": "Red Hat Security Advisory: podman", "references": [{"url": "https://access.redhat.com/security/updates/classification/#moderate"}]`: "moderate",
		`"severity": [{"type": "Ubuntu", "score": "negligible"}]`:                                                          "negligible",
		`"severity": [{"type": "Ubuntu", "score": "untriaged"}]`:                                                           "",
		osvAbout("Ubuntu:22.04:LTS", `"ecosystem_specific": {"ubuntu_priority": "low"}`):                                   "low",
		osvAbout("Ubuntu:22.04:LTS", `"ecosystem_specific": {"ubuntu_priority": 7}, "database_specific": {"cves_map": 7}`): "",
	} {
		got, err := osvWith(t, fields)
		require.NoError(t, err)
		require.Equal(t, want, got.Advisories[0].Severity, fields)
	}
}

// The packages of SUSE's kernel records come first, and are more than the head has.
func TestARecordIsRecognisedByItsPackagesAlone(t *testing.T) {
	var r map[string]any
	text, err := os.ReadFile("testdata/osv/suse/SUSE-SU-403.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	list := r["affected"].([]any)
	for len(list) < 300 {
		list = append(list, list...)
	}
	r["affected"] = list
	text, err = json.Marshal(r)
	require.NoError(t, err)
	require.NotContains(t, Head{Start: text[:headBytes]}.Keys(), "id")
	f, err := readAs(t, text, DefaultLimits())
	require.NoError(t, err)
	require.Equal(t, []string{"osv"}, f.Feeds)
}

func TestWholeFeedsOfOSVAreRead(t *testing.T) {
	files, refused, err := ReadFolder(t.Context(), os.DirFS(inplace.Path(t, "feeds/osv")), DefaultLimits())
	require.NoError(t, err)
	files = recognised(files)
	require.Empty(t, refused)
	for _, f := range files {
		require.Equal(t, []string{"osv"}, f.Feeds, f.Name)
		require.Positive(t, f.Records(), f.Name)
		if f.Name != "AlmaLinux-8-10/all.zip" {
			continue
		}
		require.Len(t, f.Advisories, 3891)
		packages := 0
		for _, a := range f.Advisories {
			require.NotEmpty(t, a.Affected, a.ID)
			packages += len(a.Affected)
		}
		require.Equal(t, 50490, packages)
	}
}

func TestARecordWithALongTextBeforeTheRestIsRecognised(t *testing.T) {
	text := `{"id": "DLA-1-1", "details": "` + strings.Repeat("x", 2*headBytes) + `", "modified": "2024-01-01T00:00:00Z", "affected": [{"package": {"ecosystem": "Debian:12", "name": "bash"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "5.2"}]}]}]}`
	f, err := readAs(t, []byte(text), DefaultLimits())
	require.NoError(t, err)
	require.Len(t, f.Advisories, 1)
}
