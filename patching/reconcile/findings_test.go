package reconcile_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/reconcile"
)

var alma9 = patching.Platform{ID: "almalinux", Release: "9"}

// advisory is one about packages of AlmaLinux 9.
func advisory(id, pack, fixed string, cves ...string) patching.Advisory {
	a := patching.Advisory{ID: patching.AdvisoryID(id), Published: noon.AddDate(0, -2, 0), CVEs: patching.CVEs(cves...)}
	a.Affected = []patching.Affected{{Platform: alma9, Package: pack, Ranges: []patching.VersionRange{{Fixed: fixed}}}}
	return a
}

func standpoint() reconcile.Standpoint {
	late := advisory("ALSA-9", "glibc", "2.34-90.el9", "CVE-2026-0009")
	late.Published = noon.AddDate(0, 0, -1)
	withdrawn := advisory("ALSA-4", "bash", "5.1.8-9.el9", "CVE-2026-0004")
	withdrawn.Withdrawn = noon.AddDate(0, -1, 0)
	stream := advisory("ALSA-5", "nginx", "1:1.24.0-1.module_el9", "CVE-2026-0005")
	elsewhere := advisory("ALSA-6", "bash", "5.2-1.el8", "CVE-2026-0006")
	elsewhere.Affected[0].Release = "8"
	open := advisory("ALSA-7", "bash", "", "CVE-2026-0007")
	source := advisory("ALSA-8", "openssl", "1:3.0.9-1.el9", "CVE-2026-0008")
	source.Affected[0].Source = true
	m := assess.Machine{Platform: patching.Platform{ID: "almalinux", Release: "9.4"}}
	m.Packages.Packages = []patching.Package{
		{Name: "bash", Version: "5.1.8-4.el9", Arch: "x86_64"},
		{Name: "glibc", Version: "2.34-60.el9", Arch: "x86_64"},
		{Name: "nginx", Version: "1:1.22.1-3.el9", Arch: "x86_64"},
		{Name: "openssl-libs", Version: "1:3.0.7-1.el9", Arch: "x86_64", Source: "openssl"},
	}
	return reconcile.Standpoint{Machine: m, AsOf: noon, Advisories: assess.NewIndex([]patching.Advisory{
		advisory("ALSA-1", "bash", "5.1.8-9.el9", "CVE-2026-0001", "CVE-2026-0011"), advisory("ALSA-2", "glibc", "2.34-50.el9", "CVE-2026-0002"),
		advisory("ALSA-3", "curl", "8-1.el9", "CVE-2026-0003"), withdrawn, stream, elsewhere, open, source, late,
	})}
}

// only returns the finding of a pair.
func only(t require.TestingT, f reconcile.Findings, pack, flaw string) reconcile.Finding {
	for _, one := range f.All {
		if one.Package == pack && one.Flaw == flaw {
			return one
		}
	}
	require.Fail(t, "no finding", "%s %s in %+v", pack, flaw, f.All)
	return reconcile.Finding{}
}

// Serves G1, L9.
func TestWhatOnlyTheyReportHasItsReason(t *testing.T) {
	for reason, c := range map[reconcile.Reason]struct {
		claim reconcile.Claim
		why   string
	}{
		reconcile.NotInstalled: {reconcile.Claim{Package: "left-pad", Names: []string{"CVE-2026-0001"}}, "no package left-pad"},
		reconcile.OtherVersion: {reconcile.Claim{Package: "glibc", Version: "2.34-40.el9", Names: []string{"CVE-2026-0002"}}, "They saw 2.34-40.el9, and 2.34-60.el9 is installed"},
		reconcile.SetAside:     {reconcile.Claim{Package: "bash", Names: []string{"CVE-2026-0004"}}, "ALSA-4 The advisory was withdrawn."},
		reconcile.FixedAlready: {reconcile.Claim{Package: "glibc", Version: "2.34-60.el9", Names: []string{"CVE-2026-0002"}}, "ALSA-2 fixed it in 2.34-50.el9."},
		reconcile.OtherPackage: {reconcile.Claim{Package: "bash", Names: []string{"CVE-2026-0003"}}, "ALSA-3 is about curl"},
		reconcile.OtherRelease: {reconcile.Claim{Package: "bash", Names: []string{"CVE-2026-0006"}}, "about it on almalinux 8"},
		reconcile.WithoutFix:   {reconcile.Claim{Package: "bash", Names: []string{"CVE-2026-9999"}, Unfixed: true}, "no fix exists"},
		reconcile.NoAdvisory:   {reconcile.Claim{Package: "bash", Names: []string{"GHSA-xxxx"}}, "No feed that was read names it"},
	} {
		f := reconcile.CompareFindings(standpoint(), []reconcile.Claim{c.claim}, noon)
		flaw := c.claim.Names[0]
		got := only(t, f, c.claim.Package, flaw)
		require.Equal(t, reconcile.TheyOnly, got.Party)
		require.Equal(t, reason, got.Reason, got.Why)
		require.Contains(t, got.Why, c.why)
	}
	at := standpoint()
	at.Machine.Platform = patching.Platform{ID: "sles", Release: "15.5"}
	f := reconcile.CompareFindings(at, []reconcile.Claim{{Package: "bash", Names: []string{"CVE-2026-9999"}}}, noon)
	require.Equal(t, reconcile.NoFeed, f.All[0].Reason)
	f = reconcile.CompareFindings(standpoint(), []reconcile.Claim{{Package: "nginx", Names: []string{"CVE-2026-0005"}}}, noon)
	require.Contains(t, only(t, f, "nginx", "CVE-2026-0005").Why, "module stream")
}

func TestWhatOnlyWeReportHasItsReason(t *testing.T) {
	report := func(made bool, claims ...reconcile.Claim) reconcile.Findings {
		at := noon.AddDate(0, 0, -7)
		if !made {
			at = noon
		}
		return reconcile.CompareFindings(standpoint(), claims, at)
	}
	advisory := reconcile.Claim{Package: "bash", Names: []string{"ALSA-1", "CVE-2026-0001"}}
	for _, c := range []struct {
		of         reconcile.Findings
		pack, flaw string
		want       reconcile.Reason
	}{
		{report(true), "glibc", "CVE-2026-0009", reconcile.EarlierReport},
		{report(false), "glibc", "CVE-2026-0009", reconcile.NoData},
		{report(false, advisory), "bash", "CVE-2026-0011", reconcile.PartOfOne},
		{report(false, advisory), "bash", "CVE-2026-0007", reconcile.WithoutFix},
		{report(false, reconcile.Claim{Package: "bash", Names: []string{"CVE-1999-0001"}, Unfixed: true}), "bash", "CVE-2026-0007", reconcile.Untold},
	} {
		f := only(t, c.of, c.pack, c.flaw)
		require.Equal(t, reconcile.WeOnly, f.Party)
		require.Equal(t, c.want, f.Reason, f.Why)
		require.NotEmpty(t, f.Why)
	}
}

func TestBothAgreeWhicheverNamesTheyUse(t *testing.T) {
	for _, c := range []struct {
		claim reconcile.Claim
		flaws []string
	}{
		{reconcile.Claim{Package: "bash", Names: []string{"ALSA-1"}}, []string{"CVE-2026-0001", "CVE-2026-0011"}},
		{reconcile.Claim{Package: "bash", Names: []string{"GHSA-1", "CVE-2026-0011"}}, []string{"CVE-2026-0011"}},
		{reconcile.Claim{Package: "openssl", Names: []string{"CVE-2026-0008"}, Fixed: "1:3.0.9-1.el9"}, []string{"CVE-2026-0008"}},
		{reconcile.Claim{Package: "openssl-libs", Version: "3.0.7-1.el9", Names: []string{"CVE-2026-0008"}}, []string{"CVE-2026-0008"}},
	} {
		f := reconcile.CompareFindings(standpoint(), []reconcile.Claim{c.claim, c.claim}, noon)
		require.Equal(t, len(c.flaws), f.Count(reconcile.Both))
		require.Zero(t, f.Count(reconcile.TheyOnly))
		for _, flaw := range c.flaws {
			require.Empty(t, only(t, f, c.claim.Package, flaw).Reason)
		}
	}
	f := reconcile.CompareFindings(standpoint(), []reconcile.Claim{{Package: "bash", Names: []string{"CVE-2026-0007"}, Fixed: "5.1.8-8.el9"}}, noon)
	require.Equal(t, reconcile.OtherFix, only(t, f, "bash", "CVE-2026-0007").Reason)
}

func TestEveryPairOfEitherSideIsReportedOnceAndWithAReasonIfItIsOnesOwn(t *testing.T) {
	at := standpoint()
	ours := reconcile.CompareFindings(at, nil, noon).Count(reconcile.WeOnly)
	require.Equal(t, 5, ours)
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOf(rapid.Custom(func(t *rapid.T) reconcile.Claim {
			return reconcile.Claim{
				Package: rapid.SampledFrom([]string{"bash", "glibc", "nginx", "openssl", "openssl-libs", "curl"}).Draw(t, "package"),
				Names:   rapid.SliceOfN(rapid.SampledFrom([]string{"CVE-2026-0001", "CVE-2026-0002", "CVE-2026-0005", "CVE-2026-0008", "ALSA-1", "GHSA-1"}), 1, 2).Draw(t, "names"),
				Unfixed: rapid.Bool().Draw(t, "unfixed"),
			}
		})).Draw(t, "claims")
		f := reconcile.CompareFindings(at, claims, noon)
		seen := map[string]bool{}
		for _, one := range f.All {
			key := one.Package + " " + one.Flaw
			require.False(t, seen[key], key)
			seen[key] = true
			require.Equal(t, one.Party != reconcile.Both || one.Reason != "", one.Why != "", "%+v", one)
		}
		require.Len(t, f.All, f.Count(reconcile.Both)+f.Count(reconcile.TheyOnly)+f.Count(reconcile.WeOnly))
		require.LessOrEqual(t, f.Count(reconcile.WeOnly), ours)
	})
}

// A source may have the name of one of its packages.
func TestAClaimAboutASourceIsAboutAllThatWasBuiltFromIt(t *testing.T) {
	at := standpoint()
	libs := at.Machine.Packages.Packages[slices.IndexFunc(at.Machine.Packages.Packages, func(p patching.Package) bool { return p.Name == "openssl-libs" })]
	tool := libs
	tool.Name, tool.Source = "openssl", ""
	at.Machine.Packages.Packages = append(slices.Clone(at.Machine.Packages.Packages), tool)
	whole := []reconcile.Claim{{Package: "openssl", Names: []string{"CVE-2026-0008"}}}
	f := reconcile.CompareFindings(at, whole, noon)
	require.Equal(t, reconcile.Both, only(t, f, "openssl", "CVE-2026-0008").Party)
	require.False(t, slices.ContainsFunc(f.All, func(one reconcile.Finding) bool { return one.Package == "openssl-libs" }), "the claim is about it too")
	apart := append(slices.Clone(whole), reconcile.Claim{Package: "openssl-libs", Names: []string{"CVE-2026-9999"}})
	f = reconcile.CompareFindings(at, apart, noon)
	require.Equal(t, reconcile.WeOnly, only(t, f, "openssl-libs", "CVE-2026-0008").Party, "whoever lists packages by themselves lists each")
}
