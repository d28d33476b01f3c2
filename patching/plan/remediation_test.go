package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

var debian = patching.Platform{ID: "debian", Release: "12"}

// flaw is an advisory about a source package, published ten days ago.
func flaw(id patching.AdvisoryID, source, fixed string, cves ...patching.CVE) patching.Advisory {
	return patching.Advisory{
		ID: id, Kind: "security", Severity: "high", CVEs: cves, Published: now.AddDate(0, 0, -10),
		Affected: []patching.Affected{{Platform: debian, Package: source, Source: true, Ranges: []patching.VersionRange{{Fixed: fixed}}}},
	}
}

func grounds(t require.TestingT, kind patching.Kind, risks []patching.Risk, all ...patching.Advisory) plan.Grounds {
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	chosen, err := urgency.Select(tables, "cyber-essentials")
	require.NoError(t, err)
	g := plan.Grounds{Kind: kind, Judgement: assess.Judgement{Regimes: chosen, Unknown: urgency.AsWorst, AsOf: now}}
	g.Assessor = assess.NewAssessor(assess.Knowledge{
		Advisories: assess.NewIndex(all), Risks: assess.RisksBy(risks), Catalogue: now,
	}, g.Judgement)
	return g
}

func box(packages ...patching.Package) assess.Machine {
	return assess.Machine{Platform: debian, Packages: patching.PackageSet{Manager: "apt", Packages: packages}, Offers: map[assess.Installed]string{}}
}

func has(name, v string) patching.Package {
	return patching.Package{Name: name, Arch: "amd64", Version: v}
}

func takes(name, from, to string) patching.Bundle {
	return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{{
		Action: patching.Upgrade, Name: name, Arch: "amd64", From: from, To: to,
	}}}}}
}

// alike are machines that get a bundle.
func alike(g plan.Grounds, n int, m assess.Machine, b patching.Bundle, begins time.Time) plan.Likes {
	then := assess.After(m, b)
	return plan.Likes{
		Machines: n, Class: assess.Class{Exposure: patching.Internet}, Begins: begins,
		Has: g.Assessor.Kind(m).Matches(), Left: g.Assessor.Kind(then).Matches(), By: b.Patches(),
	}
}

// Serves G1, G2, G4.
func TestAPlanSaysWhichAdvisoriesItClearsOnWhichMachinesAndHowSoonTheyAreDue(t *testing.T) {
	kev := patching.Risk{CVE: "CVE-2026-0001", Exploited: &patching.Exploited{Feed: "kev", Added: now.AddDate(0, 0, -1)}}
	g := grounds(t, patching.Monthly, []patching.Risk{kev},
		flaw("DSA-1", "nginx", "1.24", "CVE-2026-0001"), flaw("DSA-2", "bash", "5.3", "CVE-2026-0002", "CVE-2026-0003"), flaw("DSA-3", "curl", "", "CVE-2026-0004"))
	web := box(has("nginx", "1.22"), has("bash", "5.2"), has("curl", "7"))
	out := alike(g, 3, web, patching.Bundle{}, time.Time{})
	out.Out, out.Left = patching.ReasonExcludedBy, out.Has
	r := g.Remedy([]plan.Likes{alike(g, 20, web, takes("nginx", "1.22", "1.24"), now.Add(time.Hour)), out})

	require.Len(t, r.Remedies, 3)
	require.Equal(t, 23, r.Machines)
	require.Equal(t, 4, r.CVEs)
	require.Equal(t, 1, r.Exploited)
	require.Equal(t, 0, r.Cleared)
	require.Equal(t, 3, r.Staying)
	byID := map[patching.AdvisoryID]plan.Remedy{}
	for _, row := range r.Remedies {
		byID[row.Advisory] = row
	}
	nginx := byID["DSA-1"]
	require.Equal(t, 20, nginx.Clears)
	require.Equal(t, map[plan.Staying]int{plan.LeftOut: 3}, nginx.Stays)
	require.Equal(t, []plan.OnMachines{{Package: "nginx", Version: "1.24", Machines: 20}}, nginx.By)
	require.True(t, *nginx.KEV)
	require.Nil(t, nginx.EPSS, "unknown is no nought")
	require.Equal(t, time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC), nginx.Deadline.Due, "the end of the fourteenth day from the release")
	require.Equal(t, map[plan.Staying]int{plan.NotOffered: 20, plan.LeftOut: 3}, byID["DSA-2"].Stays)
	require.Equal(t, map[plan.Staying]int{plan.NoFix: 20, plan.LeftOut: 3}, byID["DSA-3"].Stays)
	require.Contains(t, r.Words(), "3 advisories about 4 flaws, 1 known to be exploited: the plan clears 0 everywhere, and 3 stay on some machines.")
	require.Contains(t, r.Words(), "The server has no feeds")
	require.Empty(t, r.Proposes(), "all that can be cleared is in time")
}

// Serves G4, G11.
func TestAnEmergencyIsProposedForWhatThePlanCertainlyClearsTooLate(t *testing.T) {
	g := grounds(t, patching.Monthly, nil, flaw("DSA-1", "nginx", "1.24", "CVE-2026-0001"))
	web, b := box(has("nginx", "1.22")), takes("nginx", "1.22", "1.24")
	due := time.Date(2026, 11, 28, 23, 59, 59, 0, time.UTC)
	for begins, late := range map[time.Time]int{due: 0, due.Add(time.Second): 7} {
		r := g.Remedy([]plan.Likes{alike(g, 7, web, b, begins)})
		require.Equal(t, late, r.Remedies[0].Late, begins)
		require.Equal(t, late > 0, r.Proposes() != "", begins)
		if late > 0 {
			require.Contains(t, r.Proposes(), "1 advisory cannot wait, on up to 7 machines. The first is DSA-1")
		}
	}
}

func TestAPlanNamesStaleFeedsAndBlindSpotsWithTheirOwners(t *testing.T) {
	g := grounds(t, patching.Monthly, nil)
	g.Feeds = []patching.FeedState{
		{FeedSource: patching.FeedSource{Name: "kev", StaleAfter: 48 * time.Hour, Owner: "security"}, Asked: now.AddDate(0, 0, -3), Edition: patching.FeedEdition{Digest: "d", Records: map[string]int{"risks": 4}}},
		{FeedSource: patching.FeedSource{Name: "epss"}},
		{FeedSource: patching.FeedSource{Name: "osv", StaleAfter: 48 * time.Hour}, Asked: now, Edition: patching.FeedEdition{Digest: "d", Records: map[string]int{"advisories": 9}}},
	}
	g.Missing = []string{"house-rules"}
	dark := plan.Likes{Machines: 2, Owners: []string{"ann"}, Class: assess.Class{Exposure: patching.Internal}, Blind: []assess.BlindSpot{{What: "haiku 1", Why: "x"}}}
	more := dark
	more.Machines, more.Owners, more.Class = 1, []string{"bob", "ann"}, assess.Class{Exposure: patching.ExposureUnknown}
	from := func(names ...string) assess.BlindSpot {
		return assess.BlindSpot{What: "packages from Docker", Why: "y", Packages: names}
	}
	dark.Blind, more.Blind = append(dark.Blind, from("docker-ce")), append(slices.Clone(more.Blind), from("containerd.io", "docker-ce"))
	var many []string
	for n := range 150 {
		many = append(many, fmt.Sprintf("php-%03d", n))
	}
	lone := plan.Likes{Machines: 1, Class: dark.Class, Blind: []assess.BlindSpot{{What: "packages from PPA", Why: "y", Packages: many}}}
	r := g.Remedy([]plan.Likes{dark, more, lone})
	require.Len(t, r.Blind, 3)
	require.Len(t, r.Blind[2].Packages, 100, "a plan is no list of packages")
	require.Equal(t, plan.Blindness{BlindSpot: from("containerd.io", "docker-ce"), Machines: 3, Owners: []string{"ann", "bob"}}, r.Blind[1])
	r.Blind = r.Blind[:1]
	require.Equal(t, []plan.Blindness{{BlindSpot: assess.BlindSpot{What: "haiku 1", Why: "x"}, Machines: 3, Owners: []string{"ann", "bob"}}}, r.Blind)
	require.Equal(t, []string{
		"The feed kev is stale: about 3 days old.",
		"The feed epss was never there.",
		"The policy names the decision table house-rules, which the server does not have.",
		"Not known of 3 machines: haiku 1.",
		"From where 1 machine can be reached is not known: they count as the worst.",
	}, r.Warnings())
	require.Contains(t, r.Words(), "1 note more in the plan.")
}

// Every advisory that a machine has is cleared or stays, on each machine once.
func TestEachMachineIsCountedOnceForEachAdvisoryThatItHas(t *testing.T) {
	names := []string{"a", "b", "c"}
	rapid.Check(t, func(t *rapid.T) {
		var all []patching.Advisory
		for i := range rapid.IntRange(0, 6).Draw(t, "advisories") {
			all = append(all, flaw(patching.AdvisoryID(fmt.Sprintf("A-%d", i)), rapid.SampledFrom(names).Draw(t, "package"),
				rapid.SampledFrom([]string{"", "2", "3"}).Draw(t, "fixed"), "CVE-2026-0001"))
		}
		g := grounds(t, patching.Monthly, nil, all...)
		var groups []plan.Likes
		want := map[patching.AdvisoryID]int{}
		for range rapid.IntRange(0, 5).Draw(t, "groups") {
			var packages []patching.Package
			for _, n := range names {
				packages = append(packages, has(n, rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "has")))
			}
			m := box(packages...)
			l := alike(g, rapid.IntRange(1, 9).Draw(t, "machines"), m, takes("a", packages[0].Version, "3"), now)
			if rapid.Bool().Draw(t, "out") {
				l.Out = patching.ReasonExcludedBy
			}
			for _, f := range l.Has {
				want[f.Advisory.ID] += l.Machines
			}
			groups = append(groups, l)
		}
		r := g.Remedy(groups)
		require.Equal(t, len(want), r.Cleared+r.Staying)
		for i := range r.Remedies {
			row := &r.Remedies[i]
			require.Equal(t, want[row.Advisory], row.Clears+row.Stay(), row.Advisory)
			require.LessOrEqual(t, row.Late, row.Clears)
			if i > 0 && row.Deadline != nil {
				require.NotNil(t, r.Remedies[i-1].Deadline, "what no regime speaks of comes last")
				require.LessOrEqual(t, urgency.Compare(*r.Remedies[i-1].Deadline, *row.Deadline), 0)
			}
		}
	})
}

func TestALongListIsCutWhereItIsLeastUrgent(t *testing.T) {
	var all []patching.Advisory
	for i := range plan.MostRemedies + 5 {
		a := flaw(patching.AdvisoryID(fmt.Sprintf("A-%04d", i)), "nginx", "1.24", "CVE-2026-0001")
		a.Published = a.Published.AddDate(0, 0, -i)
		all = append(all, a)
	}
	g := grounds(t, patching.Monthly, nil, all...)
	r := g.Remedy([]plan.Likes{alike(g, 1, box(has("nginx", "1.22")), takes("nginx", "1.22", "1.24"), now)})
	require.Len(t, r.Remedies, plan.MostRemedies)
	require.Equal(t, 5, r.More)
	require.Equal(t, len(all), r.Cleared)
	require.Equal(t, patching.AdvisoryID("A-0204"), r.Remedies[0].Advisory, "published first, so due first")
}

// Serves G4: an alarm says how much of it rests on what nobody knows.
func TestAProposalSaysWhatOfItDependsOnWhatIsNotKnown(t *testing.T) {
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	chosen, err := urgency.Select(tables, "ssvc-deployer")
	require.NoError(t, err)
	g := grounds(t, patching.Monthly, nil, flaw("DSA-1", "nginx", "1.24", "CVE-2026-0001"))
	g.Regimes = chosen
	g.Assessor = assess.NewAssessor(assess.Knowledge{
		Advisories: assess.NewIndex([]patching.Advisory{flaw("DSA-1", "nginx", "1.24", "CVE-2026-0001")}), Catalogue: now,
	}, g.Judgement)
	r := g.Remedy([]plan.Likes{alike(g, 7, box(has("nginx", "1.22")), takes("nginx", "1.22", "1.24"), now)})
	require.Contains(t, r.Proposes(), "Of 1 of them that depends on what is not known.")
}

func TestAFeedThatSaysNothingYetIsNamedWithItsTrouble(t *testing.T) {
	g := grounds(t, patching.Monthly, nil)
	g.Feeds = []patching.FeedState{{FeedSource: patching.FeedSource{Name: "changelogs"}, Trouble: "2 packages are not read yet"}}
	require.Equal(t, []string{"The feed changelogs says nothing yet: 2 packages are not read yet."}, g.Remedy(nil).Warnings())
}
