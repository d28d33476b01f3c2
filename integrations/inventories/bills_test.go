package inventories_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves G1.
func TestABillOfMaterialsIsAnInventoryInEachOfItsForms(t *testing.T) {
	for _, name := range []string{"centos-7.cdx.json", "centos-7.spdx.json", "centos-7.spdx.txt"} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open(filepath.Join("testdata", "bills", name))
			require.NoError(t, err)
			defer f.Close()
			h, err := inventories.Read(f)
			require.NoError(t, err)
			require.Equal(t, patching.Platform{ID: "centos", Release: "7.6.1810"}, h.OS)
			require.Equal(t, "dnf", h.Packages.Manager)
			require.Len(t, h.Packages.Packages, 2)
			require.Equal(t, "1:1.0.2k-16.el7", h.Packages.Packages[1].Version, "the epoch decides which is newer")
			require.Equal(t, "x86_64", h.Packages.Packages[1].Arch)
			if strings.HasSuffix(name, ".cdx.json") {
				require.Equal(t, "openssl", h.Packages.Packages[1].Source)
			}
		})
	}
	h, err := inventories.Read(strings.NewReader(`<?xml version="1.0"?>
<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1"><components>
<component type="library"><name>bash</name><version>5.2.15-2+b2</version><purl>pkg:deb/debian/bash@5.2.15-2%2Bb2?arch=amd64&amp;upstream=bash%405.2.15-2&amp;distro=debian-12</purl></component>
</components></bom>`))
	require.NoError(t, err)
	require.Equal(t, patching.Platform{ID: "debian", Release: "12"}, h.OS)
	require.Equal(t, []patching.Package{{Name: "bash", Arch: "amd64", Version: "5.2.15-2+b2", Source: "bash", SourceVersion: "5.2.15-2"}}, h.Packages.Packages)
}

func cyclone(components ...string) string {
	return `{"bomFormat": "CycloneDX", "specVersion": "1.5", "components": [` + strings.Join(components, ",\n") + `]}`
}

func component(purl string) string { return `{"type": "library", "name": "a", "purl": "` + purl + `"}` }

func TestAPackageURLIsReadAsTheMachineWouldSayIt(t *testing.T) {
	for purl, want := range map[string]struct {
		os   patching.Platform
		pack patching.Package
	}{
		"pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=bookworm&upstream=glibc": {
			patching.Platform{ID: "debian", Release: "12"}, patching.Package{Name: "libc6", Arch: "amd64", Version: "2.36-9", Source: "glibc"},
		},
		"pkg:deb/debian/apt@2.6.1?arch=amd64&distro=debian-12.5": {
			patching.Platform{ID: "debian", Release: "12"}, patching.Package{Name: "apt", Arch: "amd64", Version: "2.6.1"},
		},
		"pkg:deb/ubuntu/passwd@1%3A4.5-1ubuntu2?arch=amd64&distro=ubuntu-18.04": {
			patching.Platform{ID: "ubuntu", Release: "18.04"}, patching.Package{Name: "passwd", Arch: "amd64", Version: "1:4.5-1ubuntu2"},
		},
		"pkg:deb/ubuntu/passwd@4.5-1ubuntu2?arch=amd64&distro=ubuntu-18.04&epoch=1": {
			patching.Platform{ID: "ubuntu", Release: "18.04"}, patching.Package{Name: "passwd", Arch: "amd64", Version: "1:4.5-1ubuntu2"},
		},
		"pkg:rpm/redhat/nodejs@16.20-1.module%2Bel8?arch=x86_64&distro=redhat-8.8&epoch=1&rpmmod=nodejs%3A16%3A123%3Aabc&upstream=nodejs-16.20-1.module%2Bel8.src.rpm": {
			patching.Platform{ID: "rhel", Release: "8.8"},
			patching.Package{Name: "nodejs", Arch: "x86_64", Version: "1:16.20-1.module+el8", Source: "nodejs", Module: "nodejs:16"},
		},
		"pkg:rpm/opensuse/bash@4.4-lp151.10.3.1?arch=x86_64&distro=opensuse.leap-15.1": {
			patching.Platform{ID: "opensuse-leap", Release: "15.1"}, patching.Package{Name: "bash", Arch: "x86_64", Version: "4.4-lp151.10.3.1"},
		},
	} {
		h, err := inventories.Read(strings.NewReader(cyclone(component(purl))))
		require.NoError(t, err, purl)
		require.Equal(t, want.os, h.OS, purl)
		require.Equal(t, []patching.Package{want.pack}, h.Packages.Packages, purl)
	}
}

func TestComponentsOfApplicationsAreCountedAndNotTakenForPackages(t *testing.T) {
	h, err := inventories.Read(strings.NewReader(cyclone(
		component("pkg:deb/debian/apt@2.6.1?distro=debian-12"), component("pkg:npm/left-pad@1.0.0"), component("pkg:npm/right-pad@1.0.0"),
		component("pkg:golang/golang.org/x/net@v0.1.0"), component(""), component("pkg:rpm/fedora/kernel@6-1?arch=src&distro=fedora-40"))))
	require.NoError(t, err)
	require.Len(t, h.Packages.Packages, 1)
	require.Equal(t, map[string]int{"npm": 2, "golang": 1}, h.Others)
}

// Serves Q7.
func TestABillThatIsNoneOfOneMachineIsRefusedWithItsValue(t *testing.T) {
	for text, says := range map[string]string{
		cyclone(component("pkg:deb/debian/apt@2.6.1?distro=debian-12"), component("pkg:rpm/fedora/bash@5-1?distro=fedora-40")): "debian 12 and fedora 40",
		cyclone(component("pkg:deb/debian/-oA@2.6.1?distro=debian-12")):                                                        `"-oa"`,
		cyclone(component("nonsense")):                                                      `"nonsense"`,
		cyclone(component("pkg:npm/left-pad@1.0.0")):                                        "no package that is installed",
		`{"bomFormat": "CycloneDX", "components": [{"type": 1}]}`:                           "line 1",
		`{"spdxVersion": "SPDX-9.9"}`:                                                       "SPDX JSON",
		"SPDXVersion: SPDX-2.3\nnonsense":                                                   "SPDX tag-value",
		`<bom xmlns="http://cyclonedx.org/schema/bom/1.5"><components>`:                     "XML",
		cyclone(component("pkg:deb/debian/apt@2.6.1?distro=debian-12")) + "\n{\"more\": 1}": "line 2",
	} {
		_, err := inventories.Read(strings.NewReader(text))
		require.ErrorContains(t, err, says, text)
	}
}

// The forms are those that wmic and Get-HotFix write; machine and updates are made up.
func hotFixes() map[string]string {
	return map[string]string{
		"wmic qfe": "Caption                                     CSName  Description      FixComments  HotFixID   InstallDate  InstalledBy          InstalledOn  Name  ServicePackInEffect  Status  \r\r\n" +
			"http://support.microsoft.com/?kbid=5007289  WEB-1   Update                        KB5007289               NT AUTHORITY\\SYSTEM  12/22/2021                                       \r\r\n" +
			"                                            WEB-1   Security Update               KB5005260               NT AUTHORITY\\SYSTEM  8/13/2021                                        \r\r\n",
		"wmic qfe get HotFixID":     "HotFixID   \r\r\nKB5007289  \r\r\nKB5005260  \r\r\n",
		"wmic qfe list /format:csv": "\r\r\nNode,Caption,CSName,Description,FixComments,HotFixID,InstallDate\r\r\nWEB-1,http://x,WEB-1,Update,,KB5007289,\r\r\nWEB-1,,WEB-1,Security Update,,KB5005260,\r\r\n",
		"wmic qfe /format:list":     "\r\r\n\r\r\nCaption=http://x\r\r\nCSName=WEB-1\r\r\nHotFixID=KB5007289\r\r\n\r\r\n\r\r\nCaption=\r\r\nCSName=WEB-1\r\r\nHotFixID=KB5005260\r\r\n",
		"Get-HotFix": "\r\nSource        Description      HotFixID      InstalledBy          InstalledOn\r\n------        -----------      --------      -----------          -----------\r\n" +
			"WEB-1         Update           KB5007289     NT-AUTORITÄT\\SYSTEM  22.12.2021 00:00:00\r\nWEB-1         Security Update  KB5005260     NT-AUTORITÄT\\SYSTEM  13.08.2021 00:00:00\r\n",
		"Get-HotFix | Format-List": "\r\nSource      : WEB-1\r\nDescription : Update\r\nHotFixID    : KB5007289\r\n\r\nSource      : WEB-1\r\nHotFixID    : KB5005260\r\n",
		"Get-HotFix | Export-Csv":  "#TYPE System.Management.ManagementObject#root\\cimv2\\Win32_QuickFixEngineering\r\n\"PSComputerName\",\"Description\",\"HotFixID\"\r\n\"WEB-1\",\"Update\",\"KB5007289\"\r\n\"WEB-1\",\"Security Update\",\"KB5005260\"\r\n",
		"Export-Csv -UseCulture":   "\"PSComputerName\";\"Description\";\"HotFixID\"\r\n\"WEB-1\";\"Update\";\"KB5007289\"\r\n\"WEB-1\";\"Security Update\";\"KB5005260\"\r\n",
	}
}

// Serves G1.
func TestHotfixListsOfWindowsAreReadInEachOfTheirForms(t *testing.T) {
	for name, text := range hotFixes() {
		for _, encoded := range []string{text, utf16(text, true), utf16(text, false)} {
			h, err := inventories.Read(strings.NewReader(encoded))
			require.NoError(t, err, name)
			require.Equal(t, []string{"KB5007289", "KB5005260"}, h.KBs, name)
			require.Equal(t, patching.Platform{ID: "windows"}, h.OS, "none says which Windows it is")
			if name != "wmic qfe get HotFixID" {
				require.Equal(t, "WEB-1", h.Hostname, name)
			}
			h.SetWindows("10.0.20348")
			require.Equal(t, "Windows Server 2022", h.OS.Release)
		}
	}
}

// Serves Q7.
func TestAHotfixListOfSeveralMachinesIsRefused(t *testing.T) {
	forms := hotFixes()
	delete(forms, "wmic qfe get HotFixID")
	for name, text := range forms {
		i := strings.LastIndex(text, "WEB-1")
		_, err := inventories.Read(strings.NewReader(strings.ReplaceAll(text[:i]+"WEB-2"+text[i+5:], "WEB-1,,WEB-2", "WEB-2,,WEB-2")))
		require.ErrorContains(t, err, `"WEB-2"`, name)
	}
	for name, text := range forms {
		_, err := inventories.Read(strings.NewReader(strings.Replace(text, "KB5005260", "File 1   ", 1)))
		require.ErrorContains(t, err, "want KB and digits", name)
	}
}

func utf16(text string, mark bool) string {
	var out []byte
	if mark {
		out = append(out, 0xff, 0xfe)
	} else if text[0] == '\r' {
		text = strings.TrimLeft(text, "\r\n") // without a mark it is told by its first letters
	}
	for _, r := range text {
		out = append(out, byte(r), byte(r>>8)) //nolint:gosec // letters of the first plane
	}
	return string(slices.Clip(out))
}
