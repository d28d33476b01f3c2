package assess_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

var scanned = time.Date(2026, 5, 7, 0, 0, 0, 0, time.UTC)

// fixes is an advisory about one package.
func fixes(id string, on patching.Platform, name, fixed string, also ...func(*patching.Advisory)) patching.Advisory {
	a := patching.Advisory{
		ID: patching.AdvisoryID(id), Feed: "test", Kind: "security", Published: scanned.AddDate(0, -1, 0),
		Affected: []patching.Affected{{Platform: on, Package: name, Ranges: []patching.VersionRange{{Fixed: fixed}}}},
	}
	for _, f := range also {
		f(&a)
	}
	return a
}

func ofSource(a *patching.Advisory) { a.Affected[0].Source = true }

func ofModule(stream string) func(*patching.Advisory) {
	return func(a *patching.Advisory) { a.Affected[0].Module = stream }
}

func has(name, v string, also ...func(*patching.Package)) patching.Package {
	p := patching.Package{Name: name, Arch: "amd64", Version: v}
	for _, f := range also {
		f(&p)
	}
	return p
}

var (
	bookworm = patching.Platform{ID: "debian", Release: "12"}
	alma8    = patching.Platform{ID: "almalinux", Release: "8"}
)

// Serves G1.
func TestWhoIsAffectedIsSaidByPackageReleaseAndVersion(t *testing.T) {
	from := func(a *patching.Advisory) { a.Affected[0].Ranges[0].From = "2.0" }
	last := func(a *patching.Advisory) { a.Affected[0].Ranges = []patching.VersionRange{{Last: "1.5"}} }
	listed := func(a *patching.Advisory) { a.Affected[0].Ranges, a.Affected[0].Versions = nil, []string{"1.3"} }
	alsoListed := func(a *patching.Advisory) {
		a.Affected[0].Ranges = []patching.VersionRange{{From: "3.0", Fixed: "4.0"}, {From: "2.0", Fixed: "2.5"}}
		a.Affected[0].Versions = []string{"1.3", "5.0", "a:b"}
	}
	ofArm := func(a *patching.Advisory) { a.Affected[0].Arch = "arm64" }
	everyRelease := func(a *patching.Advisory) { a.Affected[0].Release = "" }
	for name, c := range map[string]struct {
		advisory patching.Advisory
		on       patching.Platform
		has      patching.Package
		affected bool
		fixed    string
	}{
		"an older version":                            {fixes("A", bookworm, "tool", "1.2"), bookworm, has("tool", "1.1"), true, "1.2"},
		"the fixed version":                           {fixes("A", bookworm, "tool", "1.2"), bookworm, has("tool", "1.2"), false, ""},
		"a pre-release of it":                         {fixes("A", bookworm, "tool", "1.2"), bookworm, has("tool", "1.2~rc1"), true, "1.2"},
		"a higher epoch":                              {fixes("A", bookworm, "tool", "1.2"), bookworm, has("tool", "1:0.1"), false, ""},
		"a backport":                                  {fixes("A", bookworm, "tool", "1.2-1+deb12u3"), bookworm, has("tool", "1.2-1+deb12u2"), true, "1.2-1+deb12u3"},
		"a listed one beside ranges":                  {fixes("A", bookworm, "tool", "", alsoListed), bookworm, has("tool", "1.3"), true, "2.5"},
		"one that is past all fixes, and listed":      {fixes("A", bookworm, "tool", "", alsoListed), bookworm, has("tool", "5.0"), true, ""},
		"one of no order that is listed":              {fixes("A", bookworm, "tool", "", alsoListed), bookworm, has("tool", "a:b"), true, ""},
		"between ranges, and not listed":              {fixes("A", bookworm, "tool", "", alsoListed), bookworm, has("tool", "2.7"), false, ""},
		"another package":                             {fixes("A", bookworm, "tool", "1.2"), bookworm, has("tools", "1.1"), false, ""},
		"another release":                             {fixes("A", patching.Platform{ID: "debian", Release: "13"}, "tool", "1.2"), bookworm, has("tool", "1.1"), false, ""},
		"a minor release":                             {fixes("A", alma8, "tool", "1.2-1"), patching.Platform{ID: "almalinux", Release: "8.9"}, has("tool", "1.1-1"), true, "1.2-1"},
		"a release that begins alike":                 {fixes("A", patching.Platform{ID: "almalinux", Release: "1"}, "tool", "1.2-1"), patching.Platform{ID: "almalinux", Release: "10.1"}, has("tool", "1.1-1"), false, ""},
		"all releases":                                {fixes("A", bookworm, "tool", "1.2", everyRelease), bookworm, has("tool", "1.1"), true, "1.2"},
		"before it began":                             {fixes("A", bookworm, "tool", "2.2", from), bookworm, has("tool", "1.9"), false, ""},
		"since it began":                              {fixes("A", bookworm, "tool", "2.2", from), bookworm, has("tool", "2.0"), true, "2.2"},
		"no fix yet":                                  {fixes("A", bookworm, "tool", ""), bookworm, has("tool", "9"), true, ""},
		"the last that is affected":                   {fixes("A", bookworm, "tool", "", last), bookworm, has("tool", "1.5"), true, ""},
		"after it":                                    {fixes("A", bookworm, "tool", "", last), bookworm, has("tool", "1.6"), false, ""},
		"a version that is listed":                    {fixes("A", bookworm, "tool", "", listed), bookworm, has("tool", "1.3"), true, ""},
		"one that is not":                             {fixes("A", bookworm, "tool", "", listed), bookworm, has("tool", "1.2"), false, ""},
		"another architecture":                        {fixes("A", bookworm, "tool", "1.2", ofArm), bookworm, has("tool", "1.1"), false, ""},
		"a binary of the source":                      {fixes("A", bookworm, "src", "1.2", ofSource), bookworm, has("tool", "1.1", func(p *patching.Package) { p.Source = "src" }), true, "1.2"},
		"a source that is called like it":             {fixes("A", bookworm, "tool", "1.2", ofSource), bookworm, has("tool", "1.1"), true, "1.2"},
		"a binary with a version of its own":          {fixes("A", bookworm, "src", "1.2", ofSource), bookworm, has("tool", "7:0.1", func(p *patching.Package) { p.Source, p.SourceVersion = "src", "1.1" }), true, "1.2"},
		"a binary that was built again":               {fixes("A", bookworm, "src", "1.2", ofSource), bookworm, has("tool", "1.2+b1", func(p *patching.Package) { p.Source, p.SourceVersion = "src", "1.2" }), false, ""},
		"a binary that is called like another source": {fixes("A", bookworm, "tool", "1.2", ofSource), bookworm, has("tool", "1.1", func(p *patching.Package) { p.Source = "src" }), false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := assess.NewIndex([]patching.Advisory{c.advisory})
			got := x.Match(assess.Machine{Platform: c.on, Packages: patching.PackageSet{Packages: []patching.Package{c.has}}}, scanned)
			require.Len(t, got, map[bool]int{true: 1}[c.affected])
			if c.affected {
				assert.Equal(t, c.fixed, got[0].Fixed)
				assert.Empty(t, got[0].Aside)
			}
		})
	}
}

// Serves G1.
func TestAFixOfAModuleCountsForItsStreamAlone(t *testing.T) {
	const fix, rebuilt = "1:1.24.0-1.module_el8.9.0+1", "1:1.22.0-1.module_el8.9.0+7"
	nginx := func(module string) patching.Package {
		return has("nginx", "1:1.22.0-1.module_el8.8.0+1", func(p *patching.Package) { p.Module = module })
	}
	for name, c := range map[string]struct {
		advisories []patching.Advisory
		has        patching.Package
		offer      string
		aside      assess.Aside
	}{
		"its stream":                       {[]patching.Advisory{fixes("A", alma8, "nginx", fix, ofModule("nginx:1.24"))}, nginx("nginx:1.24"), "", ""},
		"its stream, with the whole label": {[]patching.Advisory{fixes("A", alma8, "nginx", fix, ofModule("nginx:1.24"))}, nginx("nginx:1.24:8090020230:abc"), "", ""},
		"another stream":                   {[]patching.Advisory{fixes("A", alma8, "nginx", fix, ofModule("nginx:1.24"))}, nginx("nginx:1.22"), "", assess.OtherStream},
		"no module":                        {[]patching.Advisory{fixes("A", alma8, "nginx", fix, ofModule("nginx:1.24"))}, nginx(""), "", assess.OtherStream},
		"a stream that another feed names": {[]patching.Advisory{fixes("A", alma8, "nginx", fix), fixes("A", patching.Platform{}, "nginx", fix, ofModule("nginx:1.24"))}, nginx("nginx:1.24"), "", ""},
		"nobody names the stream":          {[]patching.Advisory{fixes("A", alma8, "nginx", fix)}, nginx("nginx:1.24"), "", assess.OtherStream},
		"nobody does, and dnf offers it":   {[]patching.Advisory{fixes("A", alma8, "nginx", fix)}, nginx("nginx:1.24"), fix, ""},
		"nobody does, and dnf offers less": {[]patching.Advisory{fixes("A", alma8, "nginx", fix)}, nginx("nginx:1.22"), "1:1.22.1-1.module_el8.9.0+1", assess.OtherStream},
		"its stream, and dnf offers less":  {[]patching.Advisory{fixes("A", alma8, "nginx", fix, ofModule("nginx:1.24"))}, nginx("nginx:1.24"), "1:1.22.1-1.module_el8.9.0+1", assess.OtherBuild},
		"the same release, built anew":     {[]patching.Advisory{fixes("A", alma8, "nginx", rebuilt, ofModule("nginx:1.22"))}, nginx("nginx:1.22"), "", assess.OtherBuild},
		"built anew, and dnf offers it":    {[]patching.Advisory{fixes("A", alma8, "nginx", rebuilt, ofModule("nginx:1.22"))}, nginx("nginx:1.22"), rebuilt, ""},
		"a fix that is of no module":       {[]patching.Advisory{fixes("A", alma8, "nginx", "1:1.24.0-1.el8")}, nginx(""), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			m := assess.Machine{Platform: alma8, Packages: patching.PackageSet{Packages: []patching.Package{c.has}}}
			if c.offer != "" {
				m.Offers = map[assess.Installed]string{{Name: "nginx", Arch: "amd64"}: c.offer}
			}
			got := assess.NewIndex(c.advisories).Match(m, scanned)
			require.Len(t, got, 1)
			assert.Equal(t, c.aside, got[0].Aside)
		})
	}
}

// Serves G1.
func TestOfKernelsTheOneThatRunsAndTheNewestCount(t *testing.T) {
	image := func(abi, v string) patching.Package {
		return has("linux-image-"+abi+"-amd64", v, func(p *patching.Package) { p.Source = "linux-signed-amd64" })
	}
	x := assess.NewIndex([]patching.Advisory{fixes("DSA-1", bookworm, "linux", "6.1.140-1", ofSource), fixes("ALSA-1", alma8, "kernel-core", "4.18.0-600.el8")})
	asides := func(m assess.Machine) (all []assess.Aside) {
		for _, f := range x.Match(m, scanned) {
			all = append(all, f.Aside)
		}
		return all
	}
	debian := assess.Machine{Platform: bookworm, Packages: patching.PackageSet{Packages: []patching.Package{
		image("6.1.0-29", "6.1.123+1"), image("6.1.0-32", "6.1.129+1"), image("6.1.0-35", "6.1.137+1"),
	}}}
	assert.Equal(t, []assess.Aside{"", "", ""}, asides(debian), "nobody knows which one runs")
	debian.Kernel = "6.1.0-35-amd64"
	assert.Equal(t, []assess.Aside{assess.OlderKernel, assess.OlderKernel, ""}, asides(debian))
	debian.Kernel = "6.1.0-29-amd64"
	assert.Equal(t, []assess.Aside{"", assess.OlderKernel, ""}, asides(debian))
	debian.Packages.Packages[2] = image("6.1.0-37", "6.1.140+1")
	assert.Equal(t, []assess.Aside{"", assess.OlderKernel}, asides(debian), "the newest is sound, and does not run")

	core := func(v string) patching.Package {
		return patching.Package{Name: "kernel-core", Arch: "x86_64", Version: v}
	}
	rhel := assess.Machine{Platform: alma8, Kernel: "4.18.0-513.9.1.el8_9.x86_64", Packages: patching.PackageSet{Packages: []patching.Package{
		core("4.18.0-477.el8"), core("4.18.0-513.9.1.el8_9"), core("4.18.0-513.24.1.el8_9"),
	}}}
	assert.Equal(t, []assess.Aside{assess.OlderKernel, "", ""}, asides(rhel))
}

func TestAdvisoriesCountFromTheirDateUntilTheyAreWithdrawn(t *testing.T) {
	at := func(published, withdrawn time.Time) assess.Aside {
		a := fixes("A", bookworm, "tool", "2")
		a.Published, a.Withdrawn = published, withdrawn
		got := assess.NewIndex([]patching.Advisory{a}).Match(assess.Machine{Platform: bookworm, Packages: patching.PackageSet{Packages: []patching.Package{has("tool", "1")}}}, scanned)
		require.Len(t, got, 1)
		return got[0].Aside
	}
	day := 24 * time.Hour
	assert.Empty(t, at(scanned, time.Time{}))
	assert.Empty(t, at(time.Time{}, scanned.Add(day)))
	assert.Equal(t, assess.NotPublished, at(scanned.Add(day), time.Time{}))
	assert.Equal(t, assess.TakenBack, at(scanned.Add(-2*day), scanned.Add(-day)))
}

func TestWhatAMachineHasNoRightToIsSaid(t *testing.T) {
	jammy := patching.Platform{ID: "ubuntu", Release: "22.04"}
	a := fixes("USN-1", jammy, "tool", "2")
	a.Affected[0].Entitlement = "ubuntu-pro"
	x := assess.NewIndex([]patching.Advisory{a})
	m := assess.Machine{Platform: jammy, Packages: patching.PackageSet{Packages: []patching.Package{has("tool", "1")}}}
	assert.Equal(t, "ubuntu-pro", x.Match(m, scanned)[0].Entitlement)
	m.Entitlements = []string{"ubuntu-pro"}
	assert.Empty(t, x.Match(m, scanned)[0].Entitlement)
}

func TestAdvisoriesOfTheSameNameAreOne(t *testing.T) {
	december, november := fixes("KB1", bookworm, "tool", "2"), fixes("KB1", bookworm, "tool", "2")
	december.SetCVEs("CVE-2025-0002")
	november.SetCVEs("CVE-2025-0001")
	november.Published = scanned.AddDate(0, -2, 0)
	x := assess.NewIndex([]patching.Advisory{december, november})
	m := assess.Machine{Platform: bookworm, Packages: patching.PackageSet{Packages: []patching.Package{has("tool", "1")}}}
	got := assess.Unite(x.Match(m, scanned))
	require.Len(t, got, 1)
	assert.Equal(t, []patching.CVE{"CVE-2025-0001", "CVE-2025-0002"}, got[0].CVEs)
	assert.Equal(t, november.Published, got[0].Advisory.Published)
	assert.Equal(t, scanned.AddDate(0, -1, 0), december.Published, "what was read stays as it was")
}

// Serves G2.
func TestASheetSaysWhatIsKnownAndNothingElse(t *testing.T) {
	k := assess.Knowledge{
		Advisories: assess.NewIndex([]patching.Advisory{fixes("A", bookworm, "tool", "2"), fixes("B", bookworm, "tool", ""), fixes("C", bookworm, "other", "3")}),
		Lifecycles: []patching.Lifecycle{{Feed: "test", Product: "debian", Release: "12", SecurityEnd: scanned.AddDate(0, 1, 0)}, {Product: "debian", Release: "11", SecurityEnd: scanned}},
	}
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	m := assess.Machine{
		Platform: bookworm, Offers: map[assess.Installed]string{{Name: "tool", Arch: "amd64"}: "2", {Name: "plain", Arch: "amd64"}: "5", {Name: "new", Arch: "amd64"}: "1"},
		Packages: patching.PackageSet{Manager: "apt", Packages: []patching.Package{has("tool", "1", func(p *patching.Package) { p.Source = "tools" }), has("other", "1"), has("plain", "4"), has("new", "1")}},
	}
	s := assess.NewSheet(k, m, patching.Asset{Exposure: patching.ExposureUnknown}, assess.Judgement{Regimes: tables, Unknown: urgency.AsWorst, AsOf: scanned})
	require.Len(t, s.Findings, 3)
	other, plain, tool := s.Findings[0], s.Findings[1], s.Findings[2]
	assert.Equal(t, "3", *other.Fixed)
	assert.Nil(t, other.Candidate)
	assert.Nil(t, other.KEV, "no catalogue was read")
	assert.Nil(t, other.EPSS)
	assert.Nil(t, other.CVSS)
	assert.NotNil(t, other.Lane)
	assert.NotNil(t, other.Due)
	assert.Equal(t, "5", *plain.Candidate)
	assert.Nil(t, plain.Lane, "no advisory is about it")
	assert.Empty(t, plain.Advisories)
	assert.Nil(t, tool.Fixed, "B has no fix")
	assert.Equal(t, []patching.AdvisoryID{"B"}, tool.Unfixed)
	assert.Equal(t, "2", *tool.Candidate)
	require.Len(t, s.EndOfLife, 1)
	assert.False(t, s.EndOfLife[0].Ended)
	assert.Empty(t, s.BlindSpots)
	s = assess.NewSheet(k, assess.Machine{Platform: patching.Platform{ID: "haiku"}}, patching.Asset{}, assess.Judgement{AsOf: scanned})
	assert.True(t, s.Blind)
	assert.Equal(t, "haiku", s.BlindSpots[0].What)
}

// Serves G4.
func TestPackagesOfWhichAdvisoriesMaySpeakAreABlindSpot(t *testing.T) {
	k := assess.Knowledge{Advisories: assess.NewIndex([]patching.Advisory{
		fixes("A", bookworm, "tool", "not a version !"), fixes("B", alma8, "nginx", "1.24-1.module_el8.9.0+1"),
		fixes("C", alma8, "squid", "4.15-1.module_el8.9.0+1", ofModule("squid:4")),
	})}
	spots := func(on patching.Platform, p patching.Package) (all []string) {
		m := assess.Machine{Platform: on, Packages: patching.PackageSet{Packages: []patching.Package{p}}}
		s := assess.NewSheet(k, m, patching.Asset{}, assess.Judgement{AsOf: scanned})
		assert.Len(t, s.Aside, 1)
		assert.False(t, s.Blind)
		for _, b := range s.BlindSpots {
			all = append(all, b.What)
		}
		return all
	}
	assert.Contains(t, spots(bookworm, has("tool", "1")), "packages whose versions cannot be compared: tool")
	assert.Contains(t, spots(alma8, has("nginx", "1.22-1.module_el8.8.0+1")), "packages of module streams: nginx")
	squid := has("squid", "3.5-1.module_el8.8.0+1")
	assert.Contains(t, spots(alma8, squid), "packages of module streams: squid")
	squid.Module = "squid:3"
	assert.NotContains(t, spots(alma8, squid), "packages of module streams: squid", "both are known")
	assert.NotContains(t, spots(alma8, has("nginx", "1.22-1.el8")), "packages of module streams: nginx", "it is of none")
}

// Serves G1.
// Serves G1: software that no feed covers.
func TestWhatIsNotTheDistributionsIsABlindSpotUnlessSomebodyTellsOfIt(t *testing.T) {
	byHand := fixes("HOUSE-1", bookworm, "billing-agent", "2")
	byHand.Feed = patching.ByHand
	k := assess.Knowledge{Advisories: assess.NewIndex([]patching.Advisory{
		byHand, fixes("DSA-1", bookworm, "nginx", "1.22"), fixes("DSA-2", bookworm, "python2.7", "2.7.19", ofSource),
	})}
	m := assess.Machine{
		Platform: bookworm, Offers: map[assess.Installed]string{},
		Packages: patching.PackageSet{Packages: []patching.Package{
			has("billing-agent", "1"), has("docker-ce", "24"), has("docker-ce-cli", "24"), has("libpython2.7", "2.7.20", func(p *patching.Package) { p.Source = "python2.7" }),
			has("linux-image-6.1.0-9-amd64", "6.1.27-1"), has("nginx", "1.27"), has("tool", "1"),
		}},
		Foreign: []patching.Foreign{
			{Name: "billing-agent", Origin: "House"},
			{Name: "docker-ce-cli", Origin: "Docker"},
			{Name: "docker-ce", Origin: "Docker"},
			{Name: "gone since", Origin: "Docker"},
			{Name: "libpython2.7"},
			{Name: "linux-image-6.1.0-9-amd64"},
			{Name: "nginx", Origin: "nginx"},
			{Name: "tool"},
		},
	}
	spots := func() []assess.BlindSpot {
		s := assess.NewSheet(k, m, patching.Asset{}, assess.Judgement{AsOf: scanned})
		return slices.DeleteFunc(s.BlindSpots, func(b assess.BlindSpot) bool { return b.Packages == nil })
	}
	const why = "No feed publishes advisories for them."
	require.Equal(t, []assess.BlindSpot{
		{What: "packages that no repository offers", Why: "Nobody publishes newer versions where the machine looks, and no feed publishes advisories for them.", Packages: []string{"tool"}},
		{What: "packages from Docker", Why: why, Packages: []string{"docker-ce", "docker-ce-cli"}},
		{What: "packages from nginx", Why: why, Packages: []string{"nginx"}},
	}, spots(), "Debian's advisories are about Debian's nginx")
	require.Equal(t, "packages from Docker: docker-ce, docker-ce-cli", spots()[1].Words())
	m.Foreign = nil
	require.Empty(t, spots(), "where it is not known, nothing is said")
}

// Serves G1: an index may be a part of one.
func TestOnlyWhatAnIndexReallyHasIsFromItsPublisher(t *testing.T) {
	offer := func(name, v, origin string) patching.Offer {
		return patching.Offer{Name: name, Arch: "amd64", Version: v, Origin: origin, Suite: "bookworm"}
	}
	offers := []patching.Offer{
		offer("docker-ce", "24", "Docker"), offer("nginx", "1.22", "Debian"), offer("nginx", "1.27", "nginx"), offer("other", "2", "Docker"),
		offer("bare", "1", ""), offer("bare", "1", "Docker"),
		{Name: "arm", Arch: "arm64", Version: "1", Origin: "Docker"},
	}
	set := patching.PackageSet{Packages: []patching.Package{
		has("arm", "1"), has("bare", "1"), has("docker-ce", "24"), has("nginx", "1.27"), has("nobody-lists-it", "1"), has("other", "1"),
	}}
	require.Equal(t, []patching.Foreign{{Name: "docker-ce", Origin: "Docker"}}, assess.ForeignBy(offers, bookworm, set))
}

func TestAMachineIsOfferedNothingFromTheListsOfAnotherRelease(t *testing.T) {
	offers := []patching.Offer{{Name: "bash", Arch: "amd64", Version: "5.2.37", Suite: "trixie"}, {Name: "bash", Arch: "amd64", Version: "5.2.15", Suite: "bookworm-security"}}
	set := patching.PackageSet{Packages: []patching.Package{has("bash", "5.0")}}
	of := func(id, release string) map[assess.Installed]string {
		return assess.Candidates(offers, patching.Platform{ID: id, Release: release}, set)
	}
	bash := assess.Installed{Name: "bash", Arch: "amd64"}
	require.Equal(t, map[assess.Installed]string{bash: "5.2.15"}, of("debian", "12"))
	require.Equal(t, map[assess.Installed]string{bash: "5.2.15"}, of("debian", "12.5"))
	require.Nil(t, of("debian", "11"))
	require.Nil(t, of("ubuntu", "22.04"))
	require.Nil(t, of("ubuntu", "31.10"), "a release that nobody has named yet")
	offers[0].Suite = ""
	require.Equal(t, map[assess.Installed]string{bash: "5.2.37"}, of("debian", "11"), "a bare list may be of any")
}

// Serves G1.
func TestASupportThatTwoFilesOfAFeedTellEndsOnce(t *testing.T) {
	l := patching.Lifecycle{Feed: "endoflife", Product: "debian", Release: "12", SecurityEnd: scanned}
	require.Len(t, assess.EndsOf([]patching.Lifecycle{l, l}, bookworm, scanned), 1)
	other := l
	other.Feed = "distroinfo"
	require.Len(t, assess.EndsOf([]patching.Lifecycle{l, other, l}, bookworm, scanned), 2)
}

// Serves G1, G11.
func TestTheEndOfWindowsIsThatOfAllEditionsOfItsBuild(t *testing.T) {
	release := func(product, name, build string, end time.Time) patching.Lifecycle {
		return patching.Lifecycle{Feed: "endoflife", Product: product, Release: name, Latest: build, SecurityEnd: end}
	}
	past, future := scanned.AddDate(0, -1, 0), scanned.AddDate(3, 0, 0)
	k := assess.Knowledge{Advisories: assess.NewIndex(nil), Lifecycles: []patching.Lifecycle{
		release("windows", "10-22h2", "10.0.19045", past), release("windows", "11-23h2-w", "10.0.22631", past),
		release("windows", "11-23h2-e", "10.0.22631", future), release("windows", "10-1809-e", "10.0.17763", past),
		release("windows-server", "2019", "10.0.17763", future), release("windows-server", "2012-r2", "6.3.9600", past),
	}}
	sheet := func(product, build string) assess.Sheet {
		m := assess.Machine{Platform: patching.Platform{ID: "windows", Release: product}}
		m.Packages.Packages = []patching.Package{{Name: "windows", Version: build}}
		return assess.NewSheet(k, m, patching.Asset{}, assess.Judgement{AsOf: scanned})
	}
	s := sheet("Windows 10 Version 22H2 for x64-based Systems", "10.0.19045.5011")
	require.Len(t, s.EndOfLife, 1)
	require.Equal(t, "10-22h2", s.EndOfLife[0].Release)
	s = sheet("Windows 11 Version 23H2 for x64-based Systems", "10.0.22631.4")
	require.Empty(t, s.EndOfLife)
	require.Contains(t, s.BlindSpots, assess.BlindSpot{What: "the edition", Why: "Support of some that have its build has ended, or ends soon, and of others not: 11-23h2-w."})
	require.Empty(t, sheet("Windows Server 2019", "10.0.17763.1").EndOfLife)
	require.Len(t, sheet("Windows Server 2012 R2", "6.3.9600.22869").EndOfLife, 1)
	require.Empty(t, sheet("Windows 10 Version 22H2 for x64-based Systems", "10.0.190451.1").EndOfLife, "not another build that begins so")
}

// Serves G1.
func TestAProlongedMinorReleaseIsJudgedByItsOwnAdvisories(t *testing.T) {
	rhel := func(release string) patching.Platform { return patching.Platform{ID: "rhel", Release: release} }
	about := func(cves ...patching.CVE) func(*patching.Advisory) {
		return func(a *patching.Advisory) { a.CVEs = cves }
	}
	eus := func(a *patching.Advisory) { a.Affected[0].Entitlement = "rhel-eus" }
	x := assess.NewIndex([]patching.Advisory{
		fixes("RHSA-main", rhel("8"), "openssl", "1:1.1.1k-12.el8_10", about("CVE-2026-1000")),
		fixes("RHSA-eus", rhel("8.8"), "openssl", "1:1.1.1k-9.el8_8.2", about("CVE-2026-1000"), eus),
		fixes("RHSA-only-main", rhel("8"), "openssl", "1:1.1.1k-14.el8_10", about("CVE-2026-1000", "CVE-2026-2000")),
	})
	count := func(v string, entitlements ...string) (ids []string) {
		m := assess.Machine{Platform: rhel("8.8"), Entitlements: entitlements}
		m.Packages.Packages = []patching.Package{has("openssl", v)}
		for _, f := range x.Match(m, scanned) {
			if f.Aside == "" && f.Entitlement == "" {
				ids = append(ids, string(f.Advisory.ID))
			}
		}
		return ids
	}
	require.Equal(t, []string{"RHSA-eus", "RHSA-only-main"}, count("1:1.1.1k-9.el8_7", "rhel-eus"))
	require.Equal(t, []string{"RHSA-only-main"}, count("1:1.1.1k-9.el8_8.2", "rhel-eus"), "fixed, by the fix of its own release")
	require.Equal(t, []string{"RHSA-main", "RHSA-only-main"}, count("1:1.1.1k-9.el8_8.2"), "without the right to it, the next release is the way")
}
