package golden

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/integrations/inventories"
	"github.com/patchcycle/patchcycle/lab/fixtures/inplace"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

// The recorded answers of osv-scanner are shortened: here they are put back into the
// form that it writes.
func osvReport(t *testing.T, name string) (string, patching.PackageSet) {
	t.Helper()
	type vuln struct {
		ID      string   `json:"id"`
		Related []string `json:"related"`
	}
	type packageInfo struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		Ecosystem string `json:"ecosystem"`
	}
	type entry struct {
		Package         packageInfo `json:"package"`
		Vulnerabilities []vuln      `json:"vulnerabilities"`
	}
	var set patching.PackageSet
	var all []entry
	for _, p := range decode[struct {
		Packages []struct {
			Name, Version, Ecosystem string
			Vulns                    []struct {
				ID   string
				CVEs []string
			}
		}
	}](t, "feeds/golden/osv-scanner/"+name+".json.gz").Packages {
		e := entry{Package: packageInfo{p.Name, p.Version, p.Ecosystem}}
		for _, v := range p.Vulns {
			e.Vulnerabilities = append(e.Vulnerabilities, vuln{v.ID, v.CVEs})
		}
		all = append(all, e)
		set.Packages = append(set.Packages, patching.Package{Name: p.Name, Version: p.Version})
	}
	text, err := json.Marshal(map[string]any{"results": []any{map[string]any{"packages": all}}})
	require.NoError(t, err)
	return string(text), set
}

// Serves G1, L9.
func TestOSVScannersReportDiffersFromOursInModuleStreamsOnly(t *testing.T) {
	x := assess.NewIndex(read(t, "feeds/osv/AlmaLinux-8-10").Advisories)
	for name, release := range map[string]string{"alma_8": "8", "alma_10": "10"} {
		t.Run(name, func(t *testing.T) {
			text, set := osvReport(t, name)
			report, err := inventories.ReadFindings(strings.NewReader(text), inventories.CMDBOptions{})
			require.NoError(t, err)
			m := assess.Machine{Platform: patching.Platform{ID: "almalinux", Release: release}, Packages: set}
			f := reconcile.CompareFindings(reconcile.Standpoint{Machine: m, Advisories: x, AsOf: forever}, report.Claims, time.Time{})
			require.Zero(t, f.Count(reconcile.WeOnly))
			require.Positive(t, f.Count(reconcile.Both))
			for _, one := range f.All {
				if one.Party == reconcile.TheyOnly {
					require.Equal(t, reconcile.SetAside, one.Reason, "%+v", one)
					require.Contains(t, one.Why, "module stream")
				}
			}
			t.Logf("both report %d pairs of package and flaw, only osv-scanner %d, all because of module streams", f.Count(reconcile.Both), f.Count(reconcile.TheyOnly))
		})
	}
}

// Serves G1, L9.
func TestTrivysReportIsExplainedPairByPair(t *testing.T) {
	type one struct{ Name, Version, Release, Arch, SrcName, SrcVersion, SrcRelease string }
	m := assess.Machine{Platform: patching.Platform{ID: "debian", Release: "10"}}
	for _, p := range decode[[]one](t, "feeds/golden/trivy/debian-buster/packages.json.golden") {
		m.Packages.Packages = append(m.Packages.Packages, patching.Package{
			Name: p.Name, Version: joined(p.Version, p.Release), Arch: p.Arch, Source: p.SrcName, SourceVersion: joined(p.SrcVersion, p.SrcRelease),
		})
	}
	// The fix that trivy's database of that test has, as an advisory.
	a := patching.Advisory{ID: "DSA-4613-1", CVEs: []patching.CVE{"CVE-2019-18224"}}
	a.Affected = []patching.Affected{{Platform: m.Platform, Package: "libidn2", Source: true, Ranges: []patching.VersionRange{{Fixed: "2.0.5-1+deb10u1"}}}}
	report, err := inventories.ReadFindings(inplace.Open(t, "feeds/golden/trivy/debian-buster/report.json.golden"), inventories.CMDBOptions{})
	require.NoError(t, err)
	f := reconcile.CompareFindings(reconcile.Standpoint{Machine: m, Advisories: assess.NewIndex([]patching.Advisory{a}), AsOf: forever}, report.Claims, report.Made)
	require.Len(t, f.All, 2)
	require.Equal(t, reconcile.WithoutFix, f.All[0].Reason, "bash: %s", f.All[0].Why)
	require.Equal(t, reconcile.Both, f.All[1].Party)
	require.Equal(t, []patching.AdvisoryID{"DSA-4613-1"}, f.All[1].Advisories)
}
