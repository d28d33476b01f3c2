package assess_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

func upgrade(name, from, to string) patching.Patch {
	return patching.Patch{Action: patching.Upgrade, Name: name, Arch: "amd64", From: from, To: to}
}

func steps(patches ...patching.Patch) patching.Bundle {
	return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: patches}}}
}

func fixedIn(id patching.AdvisoryID, source, version string) patching.Advisory {
	return patching.Advisory{
		ID: id, Kind: "security", Published: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC),
		Affected: []patching.Affected{{
			Platform: patching.Platform{ID: "debian", Release: "12"}, Package: source, Source: true,
			Ranges: []patching.VersionRange{{Fixed: version}},
		}},
	}
}

// looks are the ids of what counts.
func looks(j *assess.Assessor, m assess.Machine) (ids []patching.AdvisoryID) {
	for _, f := range j.Kind(m).Matches() {
		ids = append(ids, f.Advisory.ID)
	}
	return ids
}

func judgeOf(all ...patching.Advisory) *assess.Assessor {
	return assess.NewAssessor(assess.Knowledge{Advisories: assess.NewIndex(all)}, assess.Judgement{AsOf: time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)})
}

// Serves G2.
func TestABundleClearsWhatItsPatchesAreNewEnoughFor(t *testing.T) {
	openssl := fixedIn("DSA-1", "openssl", "3.0.15-1")
	cases := map[string]struct {
		has   patching.Package
		patch patching.Patch
		left  bool
	}{
		"the fixed version comes": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.11-1", Source: "openssl"}, upgrade("libssl3", "3.0.11-1", "3.0.15-1"), false,
		},
		"an older one comes": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.11-1", Source: "openssl"}, upgrade("libssl3", "3.0.11-1", "3.0.14-1"), true,
		},
		"a rebuild of the fixed source comes": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.11-1", Source: "openssl"}, upgrade("libssl3", "3.0.11-1", "3.0.15-1+b2"), false,
		},
		"a rebuild is replaced": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.11-1+b1", SourceVersion: "3.0.11-1", Source: "openssl"}, upgrade("libssl3", "3.0.11-1+b1", "3.0.15-1"), false,
		},
		"binaries have versions of their own, so nothing is promised": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "9.1", SourceVersion: "3.0.11-1", Source: "openssl"}, upgrade("libssl3", "9.1", "9.2"), true,
		},
		"the machine has another version by now": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.12-1", Source: "openssl"}, upgrade("libssl3", "3.0.11-1", "3.0.15-1"), true,
		},
		"the package goes": {
			patching.Package{Name: "libssl3", Arch: "amd64", Version: "3.0.11-1", Source: "openssl"},
			patching.Patch{Action: patching.Remove, Name: "libssl3", Arch: "amd64", From: "3.0.11-1"},
			false,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := assess.Machine{
				Platform: patching.Platform{ID: "debian", Release: "12"},
				Packages: patching.PackageSet{Manager: "apt", Packages: []patching.Package{c.has}},
			}
			j := judgeOf(openssl)
			require.Equal(t, []patching.AdvisoryID{"DSA-1"}, looks(j, m))
			after := assess.After(m, steps(c.patch))
			require.Equal(t, c.left, len(looks(j, after)) > 0)
			require.Equal(t, c.has, m.Packages.Packages[0], "the machine as it was is not touched")
		})
	}
}

// Serves G2.
func TestANewKernelClearsOnceTheMachineRunsIt(t *testing.T) {
	m := assess.Machine{
		Platform: patching.Platform{ID: "debian", Release: "12"}, Kernel: "6.1.0-28-amd64",
		Packages: patching.PackageSet{Manager: "apt", Packages: []patching.Package{
			{Name: "linux-image-6.1.0-28-amd64", Arch: "amd64", Version: "6.1.119-1", Source: "linux-signed-amd64", SourceVersion: "6.1.119+1"},
		}},
	}
	j := judgeOf(fixedIn("DSA-2", "linux", "6.1.129-1"))
	require.Len(t, looks(j, m), 1)
	kernel := patching.Patch{Action: patching.Install, Name: "linux-image-6.1.0-32-amd64", Arch: "amd64", To: "6.1.129-1"}
	after := assess.After(m, steps(kernel))
	require.Equal(t, "6.1.0-32-amd64", after.Kernel)
	require.Empty(t, looks(j, after), "the old one does not run any more")
	kernel.To = "6.1.128-1"
	require.NotEmpty(t, looks(j, assess.After(m, steps(kernel))), "a new one that is not new enough clears nothing")

	rpm := assess.After(assess.Machine{Platform: patching.Platform{ID: "almalinux", Release: "9"}},
		steps(patching.Patch{Action: patching.Install, Name: "kernel-core", Arch: "x86_64", To: "0:5.14.0-70.30.1.el9_0"}))
	require.Equal(t, "5.14.0-70.30.1.el9_0.x86_64", rpm.Kernel)
}

func TestAnEmptyBundleLeavesAMachineAsItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set patching.PackageSet
		for _, n := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d"}), 0, 4, rapid.ID).Draw(t, "names") {
			set.Packages = append(set.Packages, patching.Package{Name: n, Arch: "amd64", Version: rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "version")})
		}
		set.Sort()
		m := assess.Machine{Platform: patching.Platform{ID: "debian", Release: "12"}, Packages: set}
		require.Equal(t, set.Digest(), assess.After(m, patching.Bundle{}).Packages.Digest())
	})
}

func TestASystemIsKnownByItsName(t *testing.T) {
	for name, want := range map[patching.OS]patching.Platform{
		{Family: "debian", Name: "Debian GNU/Linux", Release: "12"}:             {ID: "debian", Release: "12"},
		{Family: "rhel", Name: "AlmaLinux", Release: "9.4"}:                     {ID: "almalinux", Release: "9.4"},
		{Family: "windows", Name: "Windows Server 2022", Release: "10.0.20348"}: {ID: "windows", Release: "Windows Server 2022"},
		{Family: "alpine", Name: "Alpine Linux", Release: "3.20.3"}:             {},
	} {
		require.Equal(t, want, assess.PlatformOf(name))
	}
}

// Serves G2: Debian signs a kernel in a source of its own, and advisories are about the kernel.
func TestASignedKernelIsBuiltFromTheKernelThatItSigns(t *testing.T) {
	for signed, source := range map[string]string{"linux-signed-amd64": "linux", "linux-signed-6.12-amd64": "linux-6.12"} {
		m := assess.Machine{
			Platform: patching.Platform{ID: "debian", Release: "12"},
			Packages: patching.PackageSet{Packages: []patching.Package{
				{Name: "linux-image-6.12.1-amd64", Arch: "amd64", Version: "6.12.1-1", Source: signed, SourceVersion: "6.12.1+1"},
			}},
		}
		require.Len(t, looks(judgeOf(fixedIn("DSA-1", source, "6.12.2-1")), m), 1, signed)
		require.Empty(t, looks(judgeOf(fixedIn("DSA-1", source, "6.12.1-1")), m), signed)
	}
}
