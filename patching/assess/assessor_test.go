package assess_test

import (
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Serves G2, G20. What was found out about one machine must not reach another that differs
// in what it has, is offered, may have or is worth.
func TestAnAssessorSaysOfEachMachineWhatItWouldSayOfItAlone(t *testing.T) {
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	named := func(cves ...patching.CVE) func(*patching.Advisory) {
		return func(a *patching.Advisory) { a.CVEs = cves }
	}
	pro := func(a *patching.Advisory) { a.Affected[0].Entitlement = "ubuntu-pro" }
	jammy, windows := patching.Platform{ID: "ubuntu", Release: "22.04"}, patching.Platform{ID: "windows", Release: "Windows Server 2022"}
	k := assess.Knowledge{
		Advisories: assess.NewIndex([]patching.Advisory{
			fixes("A", alma8, "nginx", "1.24-1.module_el8.9.0+1", ofModule("nginx:1.24"), named("CVE-2026-1001")),
			fixes("B", alma8, "bash", "5.2", named("CVE-2026-1002", "CVE-2026-1003")),
			fixes("C", alma8, "bash", "", named("CVE-2026-1004")),
			fixes("D", jammy, "bash", "5.1", named("CVE-2026-1002"), pro, ofSource),
			fixes("KB1", windows, "windows", "10.0.20348.900", named("CVE-2026-1005")),
			fixes("KB2", windows, "windows", "10.0.20348.800", named("CVE-2026-1006")),
		}),
		Risks: assess.RisksBy([]patching.Risk{{CVE: "CVE-2026-1002", Exploited: &patching.Exploited{Feed: "kev", Added: scanned.AddDate(0, 0, -3)}}}),
	}
	j := assess.Judgement{Regimes: tables, Unknown: urgency.AsWorst, AsOf: scanned}
	chance := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // it has to be the same each time
	pick := func(of ...string) string { return of[chance.IntN(len(of))] }
	type asked struct {
		m  assess.Machine
		on patching.Asset
	}
	var all []asked
	for range 200 {
		m := assess.Machine{Platform: []patching.Platform{alma8, jammy, windows}[chance.IntN(3)]}
		if m.ID == "windows" {
			m.Packages.Packages = []patching.Package{{Name: "windows", Version: "10.0.20348." + pick("1", "850", "900")}}
		} else {
			m.Packages.Packages = []patching.Package{
				has("bash", pick("5.0", "5.1", "5.2")),
				has("nginx", "1.22-1.module_el8.8.0+1", func(p *patching.Package) { p.Module = pick("", "nginx:1.22", "nginx:1.24") }),
			}
			m.Offers = map[assess.Installed]string{{Name: "bash", Arch: "amd64"}: pick("5.0", "5.2")}
			m.Entitlements = [][]string{nil, {"ubuntu-pro"}}[chance.IntN(2)]
		}
		all = append(all, asked{m, patching.Asset{
			Exposure: patching.Exposure(pick("internet", "internal", "")), Criticality: patching.Criticality(pick("low", "high")), DataClass: pick("", "personal"),
		}})
	}
	a := assess.NewAssessor(k, j)
	var wait sync.WaitGroup
	got := make([]assess.Sheet, len(all))
	for first := range 4 {
		wait.Go(func() {
			for n := first; n < len(all); n += 4 {
				got[n] = a.Kind(all[n].m).Sheet(all[n].on)
			}
		})
	}
	wait.Wait()
	findings := 0
	for n, one := range all {
		require.Equal(t, assess.NewSheet(k, one.m, one.on, j), got[n], "%+v", one)
		findings += len(got[n].Findings)
	}
	require.Greater(t, findings, len(all)/2)
}
