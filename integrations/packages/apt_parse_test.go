package packages

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func recorded(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "apt", name))
	require.NoError(t, err)
	return text
}

// Serves G1.
func TestWhatIsInstalledIsRead(t *testing.T) {
	all, err := parseDpkgQuery(recorded(t, "debian-12/dpkg-query.txt"))
	require.NoError(t, err)
	require.Len(t, all, 240)
	set := Set("apt", all)
	require.Contains(t, set.Packages, patching.Package{Name: "bind9-libs", Arch: "amd64", Version: "1:9.18.49-1~deb12u1", Source: "bind9"})
	require.Contains(t, set.Packages, patching.Package{Name: "adduser", Arch: "all", Version: "3.134"}, "its source has the same name")
	require.Contains(t, set.Packages, patching.Package{Name: "dmsetup", Arch: "amd64", Version: "2:1.02.185-2", Source: "lvm2", SourceVersion: "2.03.16-2"})
	again, err := patching.ParsePackageSet(set.Canonical())
	require.NoError(t, err, "the server takes it")
	require.Equal(t, set, again)
}

func TestHalfInstalledPackagesAreOnTheMachineAndBroken(t *testing.T) {
	all, err := parseDpkgQuery([]byte("" +
		"iF \ttb-badpost\t1.1\tall\ttb-badpost\t1.1\n" + // configuration failed
		"iU \ttb-conf\t1.1\tall\ttb-conf\t1.1\n" + // unpacked only
		"iUR\tlibperl5.36:amd64\t5.36.0-7+deb12u4\tamd64\tperl\t5.36.0-7+deb12u4\n" + // killed while unpacking
		"it \tlibc-bin\t2.36-9+deb12u10\tamd64\tglibc\t2.36-9+deb12u10\n" + // triggers pending
		"hi \topenssl\t3.0.20-1~deb12u2\tamd64\topenssl\t3.0.20-1~deb12u2\n" + // held: nothing wrong with it
		"ii \tlibc6:i386\t2.36-9+deb12u10\ti386\tglibc\t2.36-9+deb12u10\n" +
		"ii \tlibc6:amd64\t2.36-9+deb12u10\tamd64\tglibc\t2.36-9+deb12u10\n" +
		"rc \tlinux-image-6.1.0-20-amd64\t6.1.85-1\tamd64\tlinux-signed-amd64\t6.1.85+1\n" + // removed, settings left
		"un \tawk\t\t\t\t\n"))
	require.NoError(t, err)
	broken := map[string]bool{}
	for _, p := range all {
		broken[p.Name+":"+p.Arch] = p.Broken
	}
	require.Equal(t, map[string]bool{
		"libc-bin:amd64": true, "libc6:amd64": false, "libc6:i386": false, "libperl5.36:amd64": true,
		"openssl:amd64": false, "tb-badpost:all": true, "tb-conf:all": true,
	}, broken)
}

func TestASimulationIsReadWhateverTheDistribution(t *testing.T) {
	for name, want := range map[string]struct {
		installs, isNew, removals int
		keptBack                  []string
	}{
		"debian-12/simulate.txt":   {installs: 32},
		"held/simulate.txt":        {installs: 133, keptBack: []string{"curl", "libcurl4", "openssl"}},
		"removal.txt":              {removals: 7},
		"osconfig/debian-10-1.txt": {installs: 14, isNew: 8},
		"osconfig/debian-12-1.txt": {installs: 15, isNew: 8},
		"osconfig/ubuntu-20.txt":   {installs: 12, isNew: 2},
		"osconfig/ubuntu-24.txt":   {installs: 53, isNew: 2},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := parseSimulation(recorded(t, name))
			require.NoError(t, err)
			isNew := 0
			for _, i := range s.installs {
				require.NoError(t, patching.ValidatePackage(i.name, i.arch, i.to))
				require.Regexp(t, `^[A-Za-z-]+:\S+(, [A-Za-z-]+:\S+)*$`, i.sources)
				if i.from == "" {
					isNew++
				}
			}
			require.Len(t, s.installs, want.installs)
			require.Equal(t, want.isNew, isNew)
			require.Len(t, s.removals, want.removals)
			require.Equal(t, want.keptBack, s.keptBack)
		})
	}
}

func TestALineOfASimulationIsTakenApart(t *testing.T) {
	for line, want := range map[string]install{
		"Inst libgcrypt20 [1.10.1-3] (1.10.1-3+deb12u1 Debian:12.15/oldstable, Debian-Security:12/oldstable-security [amd64]) []": {
			said: "libgcrypt20", name: "libgcrypt20", arch: "amd64", from: "1.10.1-3", to: "1.10.1-3+deb12u1",
			sources: "Debian:12.15/oldstable, Debian-Security:12/oldstable-security",
		},
		"Inst libpam-modules-bin [1.5.2-6+deb12u1] (1.5.2-6+deb12u2 Debian:12.15/oldstable [amd64]) [libpam-modules:amd64 on libpam-modules-bin:amd64] [libpam-modules:amd64 ]": {
			said: "libpam-modules-bin", name: "libpam-modules-bin", arch: "amd64", from: "1.5.2-6+deb12u1", to: "1.5.2-6+deb12u2",
			sources: "Debian:12.15/oldstable",
		},
		"Inst libc6:i386 [2.36-9+deb12u10] (2.36-9+deb12u13 Debian:12.15/oldstable [i386])": {
			said: "libc6:i386", name: "libc6", arch: "i386", from: "2.36-9+deb12u10", to: "2.36-9+deb12u13", sources: "Debian:12.15/oldstable",
		},
		"Inst python3-pyparsing (2.4.6-1 Ubuntu:20.04/focal [all])": {
			said: "python3-pyparsing", name: "python3-pyparsing", arch: "all", to: "2.4.6-1", sources: "Ubuntu:20.04/focal",
		},
		// A vendor's label may hold anything.
		"Inst nodejs [20.19.0-1nodesource1] (20.20.1-1nodesource1 . nodistro:nodistro [amd64])": {
			said: "nodejs", name: "nodejs", arch: "amd64", from: "20.19.0-1nodesource1", to: "20.20.1-1nodesource1", sources: ". nodistro:nodistro",
		},
	} {
		s, err := parseSimulation([]byte(line + "\n"))
		require.NoError(t, err)
		require.Equal(t, []install{want}, s.installs)
	}
	_, err := parseSimulation([]byte("Inst something else\n"))
	require.ErrorContains(t, err, "Inst something else", "a line that cannot be read is not passed over")
}

// Serves G14.
func TestAnOriginIsTheLabelAndTheNameThatDoesNotMove(t *testing.T) {
	debian := parsePolicy(recorded(t, "debian-12/policy.txt"))
	require.Len(t, debian, 4)
	others := parsePolicy([]byte(`Package files:
 500 http://mirror.example/ubuntu noble-updates/main amd64 Packages
     release v=24.04,o=Ubuntu,a=noble-updates,n=noble,l=Ubuntu,c=main,b=amd64
 500 http://mirror.example/ubuntu noble-security/main amd64 Packages
     release v=24.04,o=Ubuntu,a=noble-security,n=noble,l=Ubuntu,c=main,b=amd64
 500 http://mirror.example/ubuntu noble/main amd64 Packages
     release v=24.04,o=Ubuntu,a=noble,n=noble,l=Ubuntu,c=main,b=amd64
 510 http://mirror.example/infra noble-infra-security/main amd64 Packages
     release v=24.04,o=UbuntuESM,a=noble-infra-security,n=noble,l=UbuntuESM,c=main,b=amd64
 500 http://mirror.example/debian-security buster/updates/main amd64 Packages
     release v=10,o=Debian,a=oldoldstable,n=buster,l=Debian-Security,c=main,b=amd64
 500 http://mirror.example/chrome stable/main amd64 Packages
     release v=1.0,o=Google LLC,a=stable,n=stable,l=Google,c=main,b=amd64
 500 http://mirror.example/vendor stable/main amd64 Packages
     release o=Vendor, Inc.,a=stable,l=Vendor, Inc.,c=main,b=amd64
 500 http://mirror.example/flat  Packages
     release o=Testbed,a=tb,l=Testbed,c=
     origin mirror.example
`))
	for said, want := range map[string]patching.Candidate{
		"Debian:12.15/oldstable":                                        {Origin: "Debian", Codename: "bookworm"},
		"Debian:12-updates/oldstable-updates":                           {Origin: "Debian", Codename: "bookworm-updates"},
		"Debian-Security:12/oldstable-security":                         {Origin: "Debian-Security", Codename: "bookworm-security", Security: true},
		"Debian:12.15/oldstable, Debian-Security:12/oldstable-security": {Origin: "Debian-Security", Codename: "bookworm-security", Security: true},
		"Ubuntu:24.04/noble-updates":                                    {Origin: "Ubuntu", Codename: "noble-updates"},
		"Ubuntu:24.04/noble-updates, Ubuntu:24.04/noble-security":       {Origin: "Ubuntu", Codename: "noble-security", Security: true},
		"Ubuntu:24.04/noble":                                            {Origin: "Ubuntu", Codename: "noble"},
		"UbuntuESM:24.04/noble-infra-security":                          {Origin: "UbuntuESM", Codename: "noble-infra-security", Security: true},
		"Debian-Security:10/oldoldstable":                               {Origin: "Debian-Security", Codename: "buster", Security: true},
		"Google:1.0/stable":                                             {Origin: "Google", Codename: "stable"}, // the vendor's own name for it
		"Vendor, Inc.:stable":                                           {Origin: "Vendor, Inc."},
		"Testbed:tb":                                                    {Origin: "Testbed", Codename: "tb"},
		"Unknown:mirror.example":                                        {Origin: "Unknown"},
	} {
		c := install{name: "x", sources: said}.candidate(append(debian, others...))
		require.Equal(t, want.Origin, c.Origin, said)
		require.Equal(t, want.Codename, c.Codename, said)
		require.Equal(t, want.Security, c.Security, said)
	}
}

func TestTheAuditNamesWhatIsHalfDone(t *testing.T) {
	require.Equal(t, []string{"tb-badpost"}, parseAudit(recorded(t, "audit/half-configured.txt")))
	require.Equal(t, []string{"libperl5.36", "libc-bin"}, parseAudit(recorded(t, "audit/reinstall.txt")))
	require.Empty(t, parseAudit(nil))
	whole := recorded(t, "audit/whole.txt")
	require.Empty(t, parseAudit(whole), "what is whole blocks nobody")
	require.Equal(t, []string{"libperl5.36", "libc-bin"}, parseAudit(append(whole, recorded(t, "audit/reinstall.txt")...)))
}

// Serves G18.
func TestUnattendedUpgradesCountOnlyWhereTheyAreSwitchedOn(t *testing.T) {
	for text, want := range map[string]bool{
		"APT::Periodic \"\";\nAPT::Periodic::Update-Package-Lists \"1\";\nAPT::Periodic::Unattended-Upgrade \"1\";\n": true,
		"APT::Periodic::Unattended-Upgrade \"always\";\n":                                                             true,
		"APT::Periodic::Unattended-Upgrade \"0\";\n":                                                                  false,
		"APT::Periodic::Update-Package-Lists \"1\";\n":                                                                false,
		"": false,
	} {
		require.Equal(t, want, unattended([]byte(text)), text)
	}
}

func TestANewerKernelOfTheRunningFlavourWantsARestart(t *testing.T) {
	has := func(names ...string) (all []Installed) {
		for _, n := range names {
			all = append(all, Installed{Package: patching.Package{Name: n, Arch: "amd64", Version: "1"}})
		}
		return all
	}
	for name, c := range map[string]struct {
		running string
		has     []Installed
		want    string
	}{
		"a newer one":            {"6.1.0-29-amd64", has("linux-image-amd64", "linux-image-6.1.0-29-amd64", "linux-image-6.1.0-31-amd64"), "linux-image-6.1.0-31-amd64"},
		"compared by number":     {"6.1.0-9-amd64", has("linux-image-6.1.0-9-amd64", "linux-image-6.1.0-10-amd64"), "linux-image-6.1.0-10-amd64"},
		"the newest runs":        {"6.1.0-31-amd64", has("linux-image-6.1.0-29-amd64", "linux-image-6.1.0-31-amd64"), ""},
		"another flavour":        {"6.1.0-29-cloud-amd64", has("linux-image-6.1.0-29-cloud-amd64", "linux-image-6.1.0-31-amd64"), ""},
		"a container's":          {"6.18.44-host", has("linux-image-6.1.0-31-amd64"), ""},
		"none installed":         {"6.1.0-29-amd64", nil, ""},
		"Ubuntu's":               {"6.8.0-45-generic", has("linux-image-6.8.0-45-generic", "linux-image-unsigned-6.8.0-51-generic"), "linux-image-unsigned-6.8.0-51-generic"},
		"Debian's new numbering": {"6.12.48+deb13-amd64", has("linux-image-6.12.48+deb13-amd64", "linux-image-6.12.57+deb13-amd64"), "linux-image-6.12.57+deb13-amd64"},
	} {
		require.Equal(t, c.want, newerKernel(c.has, c.running), name)
	}
}
