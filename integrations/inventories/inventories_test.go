package inventories_test

import (
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves G1.
func TestRealInventoriesAreReadAndTheirSystemIsFoundWhereTheyTellIt(t *testing.T) {
	nobody := patching.Platform{} // the list is a part, and nothing in it tells
	for name, want := range map[string]struct {
		os       patching.Platform
		packages int
		sample   patching.Package
	}{
		"golden/apt/debian_12.dpkg-status.xz": {
			patching.Platform{ID: "debian", Release: "12"}, 437, patching.Package{Name: "apt", Arch: "amd64", Version: "2.6.1"},
		},
		"inventories/osconfig-commands/debian-12-1.dpkg-query-show.stdout": {
			patching.Platform{ID: "debian", Release: "12"}, 0, patching.Package{Name: "apt", Arch: "amd64", Version: "2.6.1", Source: "apt", SourceVersion: "2.6.1"},
		},
		"inventories/osconfig-commands/ubuntu-24-1.dpkg-query-show.stdout": {nobody, 0, patching.Package{}},
		"inventories/osconfig-commands/rocky-8-1.rpm-query-all.stdout": {
			nobody, 0,
			patching.Package{Name: "NetworkManager-libnm", Arch: "x86_64", Version: "1:1.40.16-4.el8_8", Source: "NetworkManager"},
		},
		"inventories/osconfig-commands/rhel-9-1.rpm-query-all.stdout":   {nobody, 0, patching.Package{}},
		"inventories/osconfig-commands/centos-7-1.rpm-query-all.stdout": {nobody, 0, patching.Package{}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := inventories.Read(inplace.Open(t, "feeds/"+name))
			require.NoError(t, err)
			require.Equal(t, want.os, h.OS)
			require.Equal(t, want.os != nobody, h.Guessed != "")
			if want.packages > 0 {
				require.Len(t, h.Packages.Packages, want.packages)
			}
			require.Greater(t, len(h.Packages.Packages), 20)
			if want.sample.Name != "" {
				require.Contains(t, h.Packages.Packages, want.sample)
			}
		})
	}
}

func TestSystemInfoIsReadInAnyLanguage(t *testing.T) {
	for name, want := range map[string]struct {
		product, build string
		kbs            int
	}{
		"srv_2022_systeminfo.txt":                      {"Windows Server 2022", "10.0.20348", 3},
		"srv_2019_rtm_datacenter_en-us_systeminfo.txt": {"Windows Server 2019", "10.0.17763", 0},
		"srv_2012r2_u1_systeminfo.txt":                 {"Windows Server 2012 R2", "6.3.9600", 0},
		"10_22H2_x64_enterprise_en-us_systeminfo.txt":  {"Windows 10 Version 22H2 for x64-based Systems", "10.0.19045", 0},
		"11_23H2_x64_enterprise_systeminfo.txt":        {"Windows 11 Version 23H2 for x64-based Systems", "10.0.22631", 0},
		"10_1809_x64_enterprise_zh-cn_systeminfo.txt":  {"Windows 10 Version 1809 for x64-based Systems", "10.0.17763", 0},
		"10_1803_x64_pro_it_systeminfo.txt":            {"Windows 10 Version 1803 for x64-based Systems", "10.0.17134", 0},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := inventories.Read(inplace.Open(t, "feeds/inventories/windows-systeminfo/"+name))
			require.NoError(t, err)
			require.Equal(t, patching.Platform{ID: "windows", Release: want.product}, h.OS)
			require.Equal(t, want.build, h.Build)
			require.NotEmpty(t, h.KBs)
			if want.kbs > 0 {
				require.Len(t, h.KBs, want.kbs)
			}
		})
	}
}

func TestOurOwnFormIsReadStrictly(t *testing.T) {
	const good = `{
  "asset": {"exposure": "internet", "criticality": "high", "data_class": "personal"},
  "os": {"id": "almalinux", "version": "9.0"},
  "arch": "x86_64", "kernel": "5.14.0-70.el9.x86_64",
  "packages": [
    {"name": "bash", "version": "5.1.8-4.el9", "arch": "x86_64", "source": "bash"},
    {"name": "nginx", "version": "1:1.22.1-3.module+el9.2.0", "arch": "x86_64", "module": "nginx:1.22"}
  ]
}`
	h, err := inventories.Read(strings.NewReader(good))
	require.NoError(t, err)
	require.Equal(t, patching.Platform{ID: "almalinux", Release: "9.0"}, h.OS)
	require.Equal(t, patching.Internet, h.Exposure)
	require.Equal(t, "dnf", h.Packages.Manager)
	require.Equal(t, "nginx:1.22", h.Packages.Packages[1].Module)
	h, err = inventories.Read(strings.NewReader(`{"os": {"id": "windows", "version": "10.0.20348.4648"}, "packages": [], "kbs": ["5009555", "KB5033118"]}`))
	require.NoError(t, err)
	require.Equal(t, []string{"KB5009555", "KB5033118"}, h.KBs)
	require.Equal(t, "Windows Server 2022", h.OS.Release)
	for from, c := range map[string]struct{ to, says string }{
		`"internet"`:         {`"dmz"`, `asset.exposure "dmz"`},
		`"high"`:             {`"very"`, `asset.criticality "very"`},
		`"kernel"`:           {`"kernle"`, `kernle`},
		`"bash", "version"`:  {`"-bash", "version"`, "number 1"},
		`"version": "9.0"},`: {`"version": 9},`, "line 3"},
		"]\n}":               {"]\n", "EOF"},
	} {
		require.Contains(t, good, from)
		_, err := inventories.Read(strings.NewReader(strings.Replace(good, from, c.to, 1)))
		require.ErrorContains(t, err, c.says)
	}
}

func TestListsOfPackageManagersAreRead(t *testing.T) {
	for text, want := range map[string]patching.Package{
		"libc6:amd64\t2.36-9+deb12u9\nbase-files\t12.4+deb12u9\n":                                                                        {Name: "libc6", Arch: "amd64", Version: "2.36-9+deb12u9"},
		"perl-Encode-Locale-1.05-10.module_el8.5.0+2812+ed912d05.noarch\nalmalinux-release-8.9-1.el8.x86_64\n":                           {Name: "perl-Encode-Locale", Version: "1.05-10.module_el8.5.0+2812+ed912d05", Arch: "noarch"},
		"nginx 1:1.22.1-3.el9 x86_64 nginx-1.22.1-3.el9.src.rpm nginx:1.22:9020020230101:abc\nbash 0:5.1.8-4.el9 x86_64 (none) (none)\n": {Name: "nginx", Version: "1:1.22.1-3.el9", Arch: "x86_64", Source: "nginx", Module: "nginx:1.22"},
		"Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nSource: glibc (2.36-9)\nVersion: 2.36-9+b1\n\nPackage: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n": {
			Name: "libc6", Arch: "amd64", Version: "2.36-9+b1", Source: "glibc", SourceVersion: "2.36-9",
		},
	} {
		h, err := inventories.Read(strings.NewReader(text))
		require.NoError(t, err, text)
		require.Contains(t, h.Packages.Packages, want, text)
		require.NotContains(t, h.Packages.Packages, patching.Package{Name: "gone", Arch: "amd64", Version: "1"})
	}
}

func TestTheSystemIsFoundByThePackageThatNamesIt(t *testing.T) {
	for text, want := range map[string]patching.Platform{
		"almalinux-release-8.9-1.el8.x86_64": {ID: "almalinux", Release: "8.9"},
		"fedora-release-common-43-26.noarch": {ID: "fedora", Release: "43"},
		"sles-release-15.5-1.1.x86_64":       {ID: "sles", Release: "15.5"},
		"base-files\t12ubuntu4.7":            {ID: "ubuntu", Release: "22.04"},
		"base-files\t12.4+deb12u9":           {ID: "debian", Release: "12"},
		"openssl\t3.0.2-0ubuntu1.20.22.04.1": {},
		"openssl\t3.0.13-0ubuntu0.24.04.1":   {ID: "ubuntu", Release: "24.04"},
		"openssl\t3.0.15-1~deb12u1+deb12u2":  {ID: "debian", Release: "12"},
		"bash-5.1.8-4.el9.x86_64":            {},
	} {
		h, err := inventories.Read(strings.NewReader(text + "\n"))
		require.NoError(t, err, text)
		require.Equal(t, want, h.OS, text)
	}
}

// Serves Q7.
func TestWhatIsNoInventoryIsRefusedWithItsLine(t *testing.T) {
	for text, says := range map[string]string{
		"":                               "empty",
		"hello":                          "want one of CycloneDX JSON",
		"bash\t5.1\nnonsense\n":          "line 2",
		"a\t1\n-oAPT::x\t1\n":            "line 2",
		"a-1-1.x86_64\nb\n":              "line 2",
		"Package: a\nnonsense\n":         "stanza 1",
		`{"package": "a", "version": 1}`: "line 1",
	} {
		_, err := inventories.Read(strings.NewReader(text))
		require.ErrorContains(t, err, says, text)
	}
	_, err := inventories.Read(io.LimitReader(zeros{}, 65<<20))
	require.ErrorContains(t, err, "64 MB")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func FuzzInventories(f *testing.F) {
	f.Add([]byte("libc6:amd64\t2.36-9\n"))
	f.Add([]byte("a-1-1.x86_64\n"))
	f.Add([]byte("Package: a\nStatus: install ok installed\nVersion: 1\n"))
	f.Add([]byte("OS Version:  10.0.20348 N/A Build 20348\n [01]: KB5004330\n"))
	f.Add([]byte("SPDXVersion: SPDX-2.3\nPackageName: a\nExternalRef: PACKAGE-MANAGER purl pkg:deb/debian/a@1\n"))
	f.Add([]byte(`{"spdxVersion": "SPDX-2.3", "packages": [{"name": "a", "externalRefs": [{"referenceType": "purl", "referenceLocator": "pkg:deb/a@1"}]}]}`))
	f.Add([]byte(cyclone(component("pkg:rpm/fedora/bash@5-1?epoch=1&distro=fedora-40"))))
	for _, text := range hotFixes() {
		f.Add([]byte(text))
	}
	text, err := json.Marshal(inventories.Document{})
	require.NoError(f, err)
	f.Add(text)
	f.Fuzz(func(_ *testing.T, text []byte) { _, _ = inventories.Read(strings.NewReader(string(text))) })
}
