package advisories

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

// updateWith reads an update, written by us after what publishers write.
func updateWith(t *testing.T, attributes, rest string) (patching.Advisory, error) {
	t.Helper()
	f, err := readAs(t, []byte(`<?xml version="1.0" encoding="UTF-8"?>
		<updates><update `+attributes+`><id>X-1</id>`+rest+`</update></updates>`), DefaultLimits())
	if err != nil {
		return patching.Advisory{}, err
	}
	require.Len(t, f.Advisories, 1)
	return f.Advisories[0], nil
}

func TestARepositorysMachinesAreToldByTheFirstFieldThatDoes(t *testing.T) {
	for _, c := range []struct{ name, from, short, long, release, id, tag, want string }{
		{"AlmaLinux", "packager@almalinux.org", "almalinux-9-for-x86_64-baseos-rpms__9_1_default", "", "0", "ALSA-2022:4940", "8.el9_0", "almalinux/9"},
		{"Rocky", "releng@rockylinux.org", "rocky-linux-9-x86-64-appstream-rpms", "", "Rocky Linux 9", "RLSA-2023:3820", "2.el9", "rocky/9"},
		{"Rocky by its release", "releng@rockylinux.org", "", "", "Rocky Linux 8", "RLSA-2023:1", "2.el8", "rocky/8"},
		{"Fedora", "updates@fedoraproject.org", "F43", "Fedora 43", "Fedora 43", "FEDORA-2025-4a08954c02", "1.fc43", "fedora/43"},
		{"EPEL, which is Fedora's and for others", "updates@fedoraproject.org", "EPEL-9", "Fedora EPEL 9", "Fedora EPEL 9", "FEDORA-EPEL-2025-1", "1.el9", "rhel/9 centos/9 almalinux/9 rocky/9 ol/9"},
		{"EPEL by its dist tag", "updates@fedoraproject.org", "", "", "", "FEDORA-EPEL-2025-1", "1.el10_1", "rhel/10 centos/10 almalinux/10 rocky/10 ol/10"},
		{"Red Hat", "security@redhat.com", "rhel-9-for-x86_64-baseos-rpms__9_DOT_4", "", "0", "RHSA-2024:1", "1.el9_4", "rhel/9"},
		{"Red Hat, prolonged", "security@redhat.com", "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_2", "", "0", "RHSA-2024:1", "1.el9_2", "rhel/9.2 rhel-eus"},
		{"Red Hat by its dist tag", "security@redhat.com", "", "", "0", "RHSA-2024:1", "1.module+el8.10.0+1+2", "rhel/8"},
		{"Oracle", "el-errata@oss.oracle.com", "", "", "Oracle Linux 8", "ELSA-2024-1", "1.el8", "ol/8"},
		{"CentOS", "security@centos.org", "", "", "", "CESA-2020:1", "1.el7", "centos/7"},
		{"Amazon", "linux-security@amazon.com", "amazon-linux-2023", "Amazon Linux 2023", "", "ALAS2023-2024-1", "1.amzn2023", "amzn/2023"},
		{"SUSE's module", "maint-coord@suse.de", "", "", "", "SUSE-SLE-Module-Basesystem-15-SP5-2023-2765", "150500.6.10.1", "sles/15.5 sled/15.5 sles_sap/15.5 sle_hpc/15.5"},
		{"SUSE's prolonged product", "maint-coord@suse.de", "", "", "", "SUSE-SLE-Product-SLES-15-SP4-LTSS-2024-1", "150400.1", "sles/15.4 suse-ltss"},
		{"SUSE 12", "maint-coord@suse.de", "", "", "", "SUSE-SLE-SERVER-12-SP5-2023-1", "3.1", "sles/12.5"},
		{"SUSE 12 without a service pack", "maint-coord@suse.de", "", "", "", "SUSE-SLE-SERVER-12-2014-1", "3.1", "sles/12"},
		{"SLE Micro", "maint-coord@suse.de", "", "", "", "SUSE-SLE-Micro-5.5-2024-1", "150500.1", "sle-micro/5.5"},
		{"Leap, from SLE", "maint-coord@suse.de", "", "", "", "openSUSE-SLE-15.5-2023-2765", "150500.6.10.1", "opensuse-leap/15.5"},
		{"Leap by its release", "maint-coord@suse.de", "", "", "openSUSE Leap 15.1 Update", "11749", "lp151.4.1", "opensuse-leap/15.1"},
		{"Tumbleweed", "maint-coord@suse.de", "", "", "openSUSE Tumbleweed", "1", "1.1", "opensuse-tumbleweed/"},
		{"a dist tag alone", "me@example.com", "mine", "My packages", "1", "MINE-1", "1.el9", "/"},
		{"nothing", "", "", "", "", "1", "1", "/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := rpmUpdate{From: c.from, Release: c.release, ID: c.id}
			var got []string
			for _, a := range u.platforms(rpmCollection{Short: c.short, Name: c.long}, rpmPackage{Release: c.tag}) {
				got = append(got, strings.TrimSpace(a.ID+"/"+a.Release+" "+a.Entitlement))
			}
			require.Equal(t, c.want, strings.Join(got, " "))
		})
	}
}

func TestADateIsReadInTheFormsThatRepositoriesUse(t *testing.T) {
	for text, want := range map[string]string{
		`<issued date="2023-11-28 00:00:00"/>`:     "2023-11-28T00:00:00Z",
		`<issued date="2023-11-28 00:00:00 UTC"/>`: "2023-11-28T00:00:00Z",
		`<issued date="1593505741"/>`:              "2020-06-30T08:29:01Z",
		`<issued>1593505741</issued>`:              "2020-06-30T08:29:01Z",
		`<issued date="2011-09-27 22:46"/>`:        "2011-09-27T22:46:00Z",
		`<issued date="2023-11-28"/>`:              "2023-11-28T00:00:00Z",
		``:                                         "0001-01-01T00:00:00Z",
	} {
		a, err := updateWith(t, "", text)
		require.NoError(t, err, text)
		require.Equal(t, want, a.Published.Format("2006-01-02T15:04:05Z07:00"), text)
		require.Equal(t, a.Published, a.Modified, "of who says nothing else")
	}
	_, err := updateWith(t, "", `<updated date="soon"/>`)
	require.ErrorContains(t, err, `X-1: updated: "soon" is no time`)
}

func TestAnUpdateThatWasTakenBackIsWithdrawn(t *testing.T) {
	a, err := updateWith(t, `status="retracted"`, `<issued date="1593505741"/><updated date="1593592141"/>`)
	require.NoError(t, err)
	require.Equal(t, a.Modified, a.Withdrawn)
	require.Equal(t, "2020-07-01", a.Withdrawn.Format("2006-01-02"))
	a, err = updateWith(t, `status="stable"`, `<issued date="1593505741"/>`)
	require.NoError(t, err)
	require.Zero(t, a.Withdrawn)
	_, err = updateWith(t, `status="retracted"`, "")
	require.ErrorContains(t, err, "has no date")
}

func TestAnUpdatesKindSeverityAndFlaws(t *testing.T) {
	for kind, want := range map[string]string{
		"security": "security", "bugfix": "bugfix", "recommended": "bugfix", "enhancement": "enhancement", "optional": "enhancement",
		"feature": "enhancement", "newpackage": "enhancement", "unspecified": "", "": "",
	} {
		a, err := updateWith(t, `type="`+kind+`"`, "")
		require.NoError(t, err)
		require.Equal(t, want, a.Kind, kind)
	}
	for severity, want := range map[string]string{"Important": "important", "None": "", "": "", "moderate": "moderate"} {
		a, err := updateWith(t, "", `<severity>`+severity+`</severity>`)
		require.NoError(t, err)
		require.Equal(t, want, a.Severity)
	}
	a, err := updateWith(t, "", `<title>Fix for CVE-2024-0004</title><references>
		<reference id="CVE-2024-0002" type="cve"/>
		<reference id="2261234" type="bugzilla" title="CVE-2024-0001 CVE-2024-0003 kernel: use after free [fedora-all]"/>
		<reference id="CVE-2024-0002" type="cve" title="CVE-2024-0002"/></references>`)
	require.NoError(t, err)
	require.Equal(t, []patching.CVE{"CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "CVE-2024-0004"}, a.CVEs)
}

func TestARestartIsSuggestedByTheUpdateOrByAPackage(t *testing.T) {
	in := func(flag string) string {
		return `<pkglist><collection><package name="a" version="1" arch="src">` + flag + `</package></collection></pkglist>`
	}
	for text, want := range map[string]bool{
		"": false,
		"<reboot_suggested>True</reboot_suggested>":      true,
		"<reboot_suggested/>":                            true,
		"<reboot_suggested>1</reboot_suggested>":         true,
		"<reboot_suggested>False</reboot_suggested>":     false,
		in("<reboot_suggested>True</reboot_suggested>"):  true,
		in("<reboot_suggested/>"):                        true,
		in("<reboot_suggested>False</reboot_suggested>"): false,
		in("<restart_suggested/><relogin_suggested/>"):   false,
	} {
		a, err := updateWith(t, "", text)
		require.NoError(t, err)
		require.Equal(t, want, a.NeedsReboot, text)
	}
}

func TestAPackageIsWrittenWithItsEpochAndModule(t *testing.T) {
	a, err := updateWith(t, "", `<pkglist><collection short="almalinux-8"><name>x</name>
		<module name="nodejs" stream="20" version="8100020240808073736" context="489197e6" arch="x86_64"/>
		<package name="nodejs" epoch="1" version="20.16.0" release="1.module_el8.10.0+1" arch="x86_64"/>
		<package name="nodejs-docs" epoch="0" version="20.16.0" release="1" arch="noarch"/>
		<package name="nodejs" epoch="1" version="20.16.0" release="1" arch="src"/></collection>
		<collection short="almalinux-8"><package name="b" version="1" arch="aarch64"/><package name="b" version="1" arch="aarch64"/></collection></pkglist>`)
	require.NoError(t, err)
	on := patching.Platform{ID: "almalinux", Release: "8"}
	require.Equal(t, []patching.Affected{
		{Platform: on, Package: "nodejs", Arch: "x86_64", Module: "nodejs:20", Ranges: []patching.VersionRange{{Fixed: "1:20.16.0-1.module_el8.10.0+1"}}},
		{Platform: on, Package: "nodejs-docs", Module: "nodejs:20", Ranges: []patching.VersionRange{{Fixed: "0:20.16.0-1"}}},
		{Platform: on, Package: "b", Arch: "aarch64", Ranges: []patching.VersionRange{{Fixed: "1"}}},
	}, a.Affected)
	_, err = updateWith(t, "", `<pkglist><collection><package name="a"/></collection></pkglist>`)
	require.ErrorContains(t, err, "X-1: package \"a\" has no name or version")
	_, err = readAs(t, []byte(`<updates><update/></updates>`), DefaultLimits())
	require.ErrorContains(t, err, "no id")
}

func TestWholeFeedsOfUpdateinfoAreRead(t *testing.T) {
	files, refused, err := ReadFolder(t.Context(), os.DirFS(inplace.Path(t, "feeds/updateinfo")), DefaultLimits())
	require.NoError(t, err)
	files = recognised(files)
	require.Empty(t, refused)
	require.NotEmpty(t, files)
	for _, f := range files {
		require.Equal(t, []string{"updateinfo"}, f.Feeds, f.Name)
		for _, a := range f.Advisories {
			for _, p := range a.Affected {
				require.NotEmpty(t, p.ID, a.ID)
			}
		}
	}
}
