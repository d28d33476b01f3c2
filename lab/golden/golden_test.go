// Package golden holds our answers about real machines against those of others: package
// managers, osv-scanner, Windows Update. The data may be read where it lies and is no
// part of this project.
package golden

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/version"
)

// decode reads a JSON file of the shared data.
func decode[T any](t testing.TB, name string) (v T) {
	t.Helper()
	require.NoError(t, json.NewDecoder(inplace.Open(t, name)).Decode(&v))
	return v
}

// read reads a folder of feeds.
func read(t *testing.T, name string) (all advisories.Content) {
	t.Helper()
	files, refused, err := advisories.ReadFolder(t.Context(), os.DirFS(inplace.Path(t, name)), advisories.DefaultLimits())
	require.NoError(t, err)
	require.Empty(t, refused)
	for _, f := range files {
		all.Advisories = append(all.Advisories, f.Advisories...)
		all.Offers = append(all.Offers, f.Offers...)
	}
	return all
}

// forever is after everything that was ever published.
var forever = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

type pair struct{ name, advisory string }

// matched are pairs that count, and those that were set aside because of a module's
// stream.
func matched(x *assess.Index, m assess.Machine, asOf time.Time) (count, streams map[pair]bool) {
	count, streams = map[pair]bool{}, map[pair]bool{}
	for _, f := range x.Match(m, asOf) {
		if f.Aside == "" {
			count[pair{f.Package.Name, string(f.Advisory.ID)}] = true
		}
		if f.Aside == assess.OtherStream || f.Aside == assess.OtherBuild {
			streams[pair{f.Package.Name, string(f.Advisory.ID)}] = true
		}
	}
	return count, streams
}

// Serves G1.
func TestMatchesAreThoseOfOSVScannerWithModuleStreamsApart(t *testing.T) {
	x := assess.NewIndex(read(t, "feeds/osv/AlmaLinux-8-10").Advisories)
	for name, release := range map[string]string{"alma_8": "8", "alma_10": "10"} {
		t.Run(name, func(t *testing.T) {
			m := assess.Machine{Platform: patching.Platform{ID: "almalinux", Release: release}}
			m.Packages.Manager = "dnf"
			for _, r := range decode[scannerInput](t, "feeds/golden/osv-scanner/"+name+".input.osv-scanner.json.gz").Results {
				for _, p := range r.Packages {
					m.Packages.Packages = append(m.Packages.Packages, patching.Package{Name: p.Package.Name, Version: p.Package.Version})
				}
			}
			type answer struct {
				Packages []struct {
					Name  string
					Vulns []struct{ ID string }
				}
			}
			want := map[pair]bool{}
			for _, p := range decode[answer](t, "feeds/golden/osv-scanner/"+name+".json.gz").Packages {
				for _, v := range p.Vulns {
					want[pair{p.Name, v.ID}] = true
				}
			}
			count, streams := matched(x, m, forever)
			for p := range want {
				require.NotEqual(t, count[p], streams[p], "missing, or both: %v", p)
			}
			require.Len(t, want, len(count)+len(streams), "none extra")
			t.Logf("%d pairs; %d of them are set aside: the fix is of a module stream that the package is not known to be of", len(want), len(streams))
		})
	}
}

// Serves G1.
func TestCandidatesAreWhatAptOffers(t *testing.T) {
	host, err := inventories.Read(inplace.Open(t, "feeds/golden/apt/debian_12.dpkg-status.xz"))
	require.NoError(t, err)
	offers := read(t, "feeds/apt").Offers
	got := map[string]string{}
	for at, to := range assess.Candidates(offers, host.OS, host.Packages) {
		if from, _ := host.Packages.Version(at.Name, at.Arch); version.Debian.Older(from, to) {
			got[at.Name] = from + " " + to
		}
	}
	text, err := io.ReadAll(inplace.Open(t, "feeds/golden/apt/debian_12.apt-list-upgradable.txt"))
	require.NoError(t, err)
	want := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([^/\n]+)/\S+ (\S+) \S+ \[upgradable from: (\S+)\]$`).FindAllStringSubmatch(string(text), -1) {
		want[m[1]] = m[3] + " " + m[2]
	}
	require.NotEmpty(t, want)
	require.Equal(t, want, got)
}

// vuls is a machine as another scanner recorded it.
type vuls struct {
	Family, Release string
	ScannedAt       time.Time
	RunningKernel   struct{ Release, Version string }
	Packages        map[string]struct {
		Name, Version, Release, NewVersion, NewRelease, Arch, ModularityLabel string
	}
}

func (v vuls) machine(id string) assess.Machine {
	m := assess.Machine{Platform: patching.Platform{ID: id, Release: v.Release}, Kernel: v.RunningKernel.Release, Offers: map[assess.Installed]string{}}
	m.Packages.Manager = "dnf"
	for _, p := range v.Packages {
		m.Packages.Packages = append(m.Packages.Packages, patching.Package{
			Name: p.Name, Arch: p.Arch, Version: joined(p.Version, p.Release), Module: p.ModularityLabel,
		})
		m.Offers[assess.Installed{Name: p.Name, Arch: p.Arch}] = joined(p.NewVersion, p.NewRelease)
	}
	m.Packages.Sort()
	return m
}

func joined(v, release string) string {
	if release == "" {
		return v
	}
	return v + "-" + release
}

// Serves G1.
func TestAgreementOfAdvisoriesWithDnfIsTheRecordedOne(t *testing.T) {
	x := assess.NewIndex(read(t, "feeds/osv/AlmaLinux-8-10").Advisories)
	for _, name := range []string{"alma_8", "alma_10"} {
		t.Run(name, func(t *testing.T) {
			m := decode[vuls](t, "feeds/inventories/hosts/"+name+".json.gz").machine("almalinux")
			golden := decode[struct {
				AsOf          time.Time
				Both, DnfOnly []string
				OsvOnly       []struct{ Name string }
			}](t, "feeds/golden/osv-vs-dnf/"+name+".json.gz")
			open := map[string]bool{} // as the golden has it: streams are no matter
			counting := map[string]bool{}
			for _, f := range x.Match(m, golden.AsOf) {
				if f.Aside == "" || f.Aside == assess.OtherStream || f.Aside == assess.OtherBuild {
					open[f.Package.Name] = true
				}
				if f.Aside == "" {
					counting[f.Package.Name] = true
				}
			}
			var both, osvOnly, dnfOnly, left []string
			for _, p := range m.Packages.Packages {
				offered := version.RPM.Older(p.Version, m.Offers[assess.Installed{Name: p.Name, Arch: p.Arch}])
				switch {
				case open[p.Name] && offered:
					both = append(both, p.Name)
				case open[p.Name]:
					osvOnly = append(osvOnly, p.Name)
				case offered:
					dnfOnly = append(dnfOnly, p.Name)
				}
				if counting[p.Name] && !offered {
					left = append(left, p.Name)
				}
			}
			require.ElementsMatch(t, golden.Both, both)
			var onlyAdvisories []string
			for _, p := range golden.OsvOnly {
				onlyAdvisories = append(onlyAdvisories, p.Name)
			}
			require.ElementsMatch(t, onlyAdvisories, osvOnly)
			require.ElementsMatch(t, golden.DnfOnly, dnfOnly)
			t.Logf("both %d, only advisories %d (%d of them once streams are apart: %v), only dnf %d", len(both), len(osvOnly), len(left), left, len(dnfOnly))
		})
	}
}

// Serves G1.
func TestWhatPackageManagersOfferIsNewerThanWhatIsInstalled(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(inplace.Path(t, "feeds/golden/pkgmgr-updates"), "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			order := version.RPM
			if strings.HasPrefix(name, "debian") || strings.HasPrefix(name, "ubuntu") {
				order = version.Debian
			}
			type updates struct {
				Updates []struct{ Name, Installed, Candidate string }
			}
			all := decode[updates](t, "feeds/golden/pkgmgr-updates/"+filepath.Base(file)).Updates
			require.NotEmpty(t, all)
			for _, u := range all {
				c, known := order.Compare(u.Installed, u.Candidate)
				require.True(t, known && c < 0, "%s: %s, then %s", u.Name, u.Installed, u.Candidate)
			}
		})
	}
}

// Serves G1.
func TestUpdatesOfWindowsAreThoseOfItsBuild(t *testing.T) {
	x := assess.NewIndex(read(t, "feeds/microsoft/cvrf").Advisories)
	files, err := filepath.Glob(filepath.Join(inplace.Path(t, "feeds/golden/windows-build"), "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden := decode[struct {
				Product, HostBuild string
				WuaUnapplied       []string
				MsrcMissing        []struct{ KB, FixedBuild string }
			}](t, "feeds/golden/windows-build/"+filepath.Base(file))
			m := assess.Machine{Platform: patching.Platform{ID: "windows", Release: golden.Product}}
			m.Packages.Packages = []patching.Package{{Name: "windows", Version: golden.HostBuild}}
			var got, want []string
			for _, f := range x.Match(m, forever) {
				if f.Aside == "" && f.Entitlement == "" {
					got = append(got, string(f.Advisory.ID)+" "+f.Fixed)
				}
			}
			for _, w := range golden.MsrcMissing {
				want = append(want, "KB"+w.KB+" "+w.FixedBuild)
			}
			slices.Sort(got)
			slices.Sort(want)
			require.Equal(t, want, slices.Compact(got))
		})
	}
}

// Serves G1. A single version that is taken for none has a whole inventory refused.
func TestWhateverIsInstalledOnRealMachinesIsAPackage(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(inplace.Path(t, "feeds/inventories/hosts"), "*.json.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		v := decode[vuls](t, "feeds/inventories/hosts/"+filepath.Base(file))
		if v.Family == "windows" {
			continue
		}
		var doc inventories.Document
		doc.OS.ID, doc.OS.Version = v.Family, v.Release
		for _, p := range v.machine("").Packages.Packages {
			doc.Packages = append(doc.Packages, inventories.DocumentPackage{Name: p.Name, Version: p.Version, Arch: p.Arch})
		}
		text, err := json.Marshal(doc)
		require.NoError(t, err)
		_, err = inventories.Read(bytes.NewReader(text))
		require.NoError(t, err, filepath.Base(file))
	}
}
