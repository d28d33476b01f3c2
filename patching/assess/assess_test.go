package assess_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/policy"
)

var (
	now = time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC)
	all = policy.Patches{Take: "all", Reboot: "when-needed"}
)

func installed(nameVersion ...string) patching.PackageSet {
	s := patching.PackageSet{Manager: "apt"}
	for i := 0; i < len(nameVersion); i += 2 {
		s.Packages = append(s.Packages, patching.Package{Name: nameVersion[i], Arch: "amd64", Version: nameVersion[i+1]})
	}
	return s
}

func up(name, from, to string) patching.Candidate {
	return patching.Candidate{Name: name, Arch: "amd64", From: from, To: to, Origin: "Debian", Codename: "bookworm", Size: 7}
}

func security(c patching.Candidate) patching.Candidate {
	c.Origin, c.Security = "Debian-Security", true
	return c
}

func offered(c ...patching.Candidate) patching.CandidateSet {
	return patching.CandidateSet{Manager: "apt", Candidates: c}
}

// Serves Q1: a verdict for each patch, with its reason.
func TestEveryCandidateGetsAVerdictWithItsReason(t *testing.T) {
	held := policy.Hold{Package: "postgresql-*", Reason: "the vendor supports 15.6 only", Owner: "ana", Until: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, c := range []struct {
		name      string
		candidate patching.Candidate
		policy    policy.Patches
		verdict   patching.Verdict
		why       string
	}{
		{"an upgrade is deployed", up("nginx", "1.22.1-9", "1.22.1-9+deb12u2"), all, patching.VerdictDeploy, ""},
		{"so is what an upgrade brings along", up("libnew1", "", "1.0"), all, patching.VerdictDeploy, ""},
		{
			"a held package keeps its version", up("postgresql-15", "15.6", "15.10"),
			policy.Patches{Hold: []policy.Hold{held}},
			patching.VerdictHold,
			"Held: the vendor supports 15.6 only, says ana, until 2027-01-01.",
		},
		{
			"a hold that has run out holds nothing", up("postgresql-15", "15.6", "15.10"),
			policy.Patches{Hold: []policy.Hold{{Package: "postgresql-*", Until: now}}},
			patching.VerdictDeploy, "",
		},
		{
			"a hold without an end holds for as long as it is written", up("bash", "5.2", "5.3"),
			policy.Patches{Hold: []policy.Hold{{Package: "bash", Reason: "scripts"}}},
			patching.VerdictHold, "Held: scripts.",
		},
		{
			"a hold holds what it names, not what begins with it", up("bashtop", "0.9", "1.0"),
			policy.Patches{Hold: []policy.Hold{{Package: "bash"}}},
			patching.VerdictDeploy, "",
		},
		{
			"a pattern that cannot be read names itself", up("bash", "5.2", "5.3"),
			policy.Patches{Hold: []policy.Hold{{Package: "ba[sh", Reason: "typo"}}},
			patching.VerdictDeploy, "",
		},
		{
			"where only security updates are taken the rest does not apply", up("nginx", "1.22.1-9", "1.22.1-9+deb12u2"),
			policy.Patches{Take: "security"},
			patching.VerdictNotApplicable, "It is no security update, and the policy takes only those.",
		},
		{"a security update is taken there", security(up("nginx", "1.22.1-9", "1.22.1-9+deb12u2")), policy.Patches{Take: "security"}, patching.VerdictDeploy, ""},
		{
			"an older version is rejected", up("vim", "2:9.0.1378-2", "2:9.0.1378-2~bpo1"), all, patching.VerdictReject,
			"The package manager offers an older version than the one installed; a cycle never goes back unasked.",
		},
		{
			"an offer for another version is for another machine", up("git", "1:2.39.1-1", "1:2.39.5-0+deb12u1"), all, patching.VerdictNotApplicable,
			"The offer is for a machine with 1:2.39.1-1, this one has 1:2.39.2-1.1.",
		},
		{
			"an offer to install what is there is for another machine", up("git", "", "1:2.39.5-0+deb12u1"), all, patching.VerdictNotApplicable,
			"The offer is for a machine with none installed, this one has 1:2.39.2-1.1.",
		},
		{
			"an offer to upgrade what is not there is for another machine", up("emacs", "1", "2"), all, patching.VerdictNotApplicable,
			"The offer is for a machine with 1, this one has none installed.",
		},
		{"what is installed is not offered twice", up("nginx", "1.22.1-9", "1.22.1-9"), all, patching.VerdictNotApplicable, "The version is installed."},
	} {
		t.Run(c.name, func(t *testing.T) {
			has := installed("nginx", "1.22.1-9", "postgresql-15", "15.6", "bash", "5.2", "bashtop", "0.9", "vim", "2:9.0.1378-2", "git", "1:2.39.2-1.1")
			a := assess.Findings(has, offered(c.candidate), c.policy, now)
			require.Len(t, a.Findings, 1)
			assert.Equal(t, c.verdict, a.Findings[0].Verdict)
			assert.Equal(t, c.why, a.Findings[0].Why)
			assert.Equal(t, c.verdict != patching.VerdictDeploy, a.UpToDate())
		})
	}
}

func TestAHoldSaysWhoseItIsAndUntilWhen(t *testing.T) {
	until := now.Add(time.Hour)
	p := policy.Patches{Hold: []policy.Hold{{Package: "n*", Owner: "ana", Until: until}, {Package: "nginx", Owner: "bob"}}}
	f := assess.Findings(installed("nginx", "1"), offered(up("nginx", "1", "2")), p, now).Findings[0]
	assert.Equal(t, "ana", f.Owner, "the first hold counts")
	assert.Equal(t, until, f.Until)
}

// A package that moves from amd64 to all is still the same package.
func TestAPackageMayChangeItsArchitecture(t *testing.T) {
	c := up("python3-six", "1.16-4", "1.16-5")
	c.Arch = "all"
	a := assess.Findings(installed("python3-six", "1.16-4"), offered(c), all, now)
	assert.Equal(t, patching.VerdictDeploy, a.Findings[0].Verdict)
}

func TestWhatTheManagerKeepsBackIsNamed(t *testing.T) {
	set := offered(up("nginx", "1", "2"))
	set.KeptBack = []string{"gnome-shell"}
	assert.Equal(t, []string{"gnome-shell"}, assess.Findings(installed("nginx", "1"), set, all, now).KeptBack)
}

func TestVersionsOfAnUnknownOrderAreNeverCalledOlder(t *testing.T) {
	set := patching.CandidateSet{Manager: "pacman", Candidates: []patching.Candidate{up("bash", "5.2", "5.1")}}
	a := assess.Findings(installed("bash", "5.2"), set, all, now)
	assert.Equal(t, patching.VerdictDeploy, a.Findings[0].Verdict)
}

var kept = assess.ByPackages(func(name, _, _ string) bool { return name != "gone" })

// Serves G15: risky patches alone, each with its own restart.
func TestRiskyPatchesComeLastAndAlone(t *testing.T) {
	kernel := up("linux-image-amd64", "6.1.123-1", "6.1.158-1")
	kernel.NeedsReboot = true
	image := up("linux-image-6.1.0-41-amd64", "", "6.1.158-1")
	image.NeedsReboot = true
	set := offered(up("bash", "5", "6"), image, kernel, up("openssl", "3.0", "3.1"), up("postgresql-15", "15.6", "15.10"))
	has := installed("bash", "5", "linux-image-amd64", "6.1.123-1", "openssl", "3.0", "postgresql-15", "15.6")
	p := all
	p.Alone = []string{"postgresql-*", "linux-image-*"}
	names := func(b patching.Bundle) (steps [][]string, restarts []bool) {
		for _, s := range b.Steps {
			var step []string
			for _, x := range s.Patches {
				step = append(step, x.Name)
			}
			steps, restarts = append(steps, step), append(restarts, s.Restart)
		}
		return steps, restarts
	}
	a := assess.Findings(has, set, p, now)
	b := assess.Bundle(a, p, kept)
	steps, restarts := names(b)
	assert.Equal(t, [][]string{{"bash", "openssl"}, {"postgresql-15"}, {"linux-image-6.1.0-41-amd64", "linux-image-amd64"}}, steps)
	assert.Equal(t, []bool{false, false, true}, restarts, "a restart where one is needed")

	p.Reboot = "always"
	_, restarts = names(assess.Bundle(a, p, kept))
	assert.Equal(t, []bool{true, true, true}, restarts)
	p.Reboot = "never"
	_, restarts = names(assess.Bundle(a, p, kept))
	assert.Equal(t, []bool{false, false, false}, restarts)

	again, err := patching.ParseBundle(b.Canonical())
	require.NoError(t, err)
	assert.Equal(t, b, again)
}

// Serves G9: how each patch can be undone is known before approval.
func TestTheWayBackIsAFactOfThePatch(t *testing.T) {
	for name, c := range map[string]struct {
		candidate patching.Candidate
		back      assess.WayBack
		want      patching.Reversibility
	}{
		"an upgrade whose old version is kept":      {up("bash", "1", "2"), kept, patching.ByDowngrade},
		"an upgrade whose old version is gone":      {up("gone", "1", "2"), kept, patching.Irreversible},
		"a package that is new":                     {up("new", "", "2"), kept, patching.ByUninstall},
		"a kernel, which a machine may come to run": {up("linux-image-6.1.0-41-amd64", "", "2"), kept, patching.UnlessRunning},
		"the package that depends on a kernel":      {up("linux-image-amd64", "1", "2"), kept, patching.ByDowngrade},
		"anything, where nobody says what is kept":  {up("bash", "1", "2"), nil, patching.Irreversible},
		"a machine that can be returned as a whole": {up("bash", "1", "2"), func(patching.Candidate) patching.Reversibility { return patching.BySnapshot }, patching.BySnapshot},
	} {
		b := assess.Bundle(assess.Assessment{Manager: "apt", Findings: []assess.Finding{{Candidate: c.candidate, Verdict: patching.VerdictDeploy}}}, all, c.back)
		assert.Equal(t, c.want, b.Patches()[0].Reversible, name)
		_, ok := b.Revert()
		assert.Equal(t, c.want == patching.ByDowngrade || c.want == patching.ByUninstall || c.want == patching.UnlessRunning, ok, name)
	}
}

// Serves G9, Q2: what still differs after a roll-back is listed.
func TestAMachineIsBackThoughItKeepsTheKernelThatItRuns(t *testing.T) {
	set := offered(up("bash", "5", "6"), up("linux-image-6.1.0-41-amd64", "", "6.1.158-1"), up("linux-image-amd64", "6.1.123-1", "6.1.158-1"), up("tool", "", "2"))
	has := installed("bash", "5", "linux-image-amd64", "6.1.123-1")
	b := assess.Bundle(assess.Findings(has, set, all, now), all, kept)
	back, ok := b.Revert()
	require.True(t, ok)
	for _, c := range []struct {
		name, kernel string
		after        patching.PackageSet
		missing      []string
		remains      []string
	}{
		{"nothing stays", "6.1.0-40-amd64", has, nil, nil},
		{
			"it runs the new kernel", "6.1.0-41-amd64", installed("bash", "5", "linux-image-amd64", "6.1.123-1", "linux-image-6.1.0-41-amd64", "6.1.158-1"),
			nil,
			[]string{"linux-image-6.1.0-41-amd64 6.1.158-1"},
		},
		{
			"it runs the old one, and has the new one", "6.1.0-40-amd64", installed("bash", "5", "linux-image-amd64", "6.1.123-1", "linux-image-6.1.0-41-amd64", "6.1.158-1"),
			[]string{"linux-image-6.1.0-41-amd64 removed (has 6.1.158-1)"},
			[]string{"linux-image-6.1.0-41-amd64 6.1.158-1"},
		},
		{
			"it went back half the way", "6.1.0-41-amd64", installed("bash", "6", "linux-image-amd64", "6.1.123-1", "tool", "2"),
			[]string{"bash 5 (has 6)", "tool removed (has 2)"},
			[]string{"bash 6", "tool 2"},
		},
		{
			"an old package is gone", "6.1.0-40-amd64", installed("linux-image-amd64", "6.1.123-1"),
			[]string{"bash 5 (not installed)"},
			nil,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, missing := assess.Returned(back, c.after, c.kernel)
			assert.Equal(t, c.missing, missing)
			assert.Equal(t, len(c.missing) == 0, ok)
			var remains []string
			for _, p := range assess.Remains(b, c.after) {
				remains = append(remains, p.Name+" "+p.Version)
			}
			assert.Equal(t, c.remains, remains)
		})
	}
}

// Serves G9.
func TestABundlePointsToTheSnapshotAndBeyondItOnlyForWhatItLacks(t *testing.T) {
	b := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{
		{Action: patching.Upgrade, Name: "nginx", Arch: "amd64", From: "1", To: "2", Reversible: patching.ByDowngrade},
		{Action: patching.Install, Name: "agent", Arch: "amd64", To: "7", Reversible: patching.ByUninstall},
	}}}}
	sources := patching.DigestOf([]byte("sources"))
	whole := assess.From(b, sources, func(string, string, string) bool { return true })
	require.Equal(t, sources, whole.Sources)
	require.False(t, whole.Beside)
	part := assess.From(b, sources, func(name, _, _ string) bool { return name == "nginx" })
	require.True(t, part.Beside, "the agent comes from elsewhere")
	back, ok := part.Revert()
	require.True(t, ok)
	require.Equal(t, sources, back.Sources)
	require.False(t, back.Beside, "what leads back is what the snapshot has")

	left := assess.Without(part, "agent")
	require.True(t, assess.Within(left, part))
	require.False(t, assess.Within(left, b), "people approved where it comes from")
	require.False(t, assess.Within(left, whole))
}

func TestWhatAnOrderDidMayBeToldByAClockThatIsALittleWrong(t *testing.T) {
	at := func(d time.Duration, name string) patching.Receipt {
		return patching.Receipt{At: now.Add(d), Changes: []patching.Change{{Name: name, To: "2"}}}
	}
	got := assess.DoneSince([]patching.Receipt{at(-61*time.Minute, "long-before"), at(-59*time.Minute, "nginx"), at(48*time.Hour, "curl")}, now)
	require.Equal(t, []patching.Change{{Name: "nginx", To: "2"}, {Name: "curl", To: "2"}}, got)
}

// Serves G5: packages of one source ask for each other in one version.
func TestWhatIsBuiltFromTheSameSourceIsWithdrawnAlong(t *testing.T) {
	set := patching.PackageSet{Manager: "apt", Packages: []patching.Package{
		{Name: "nginx", Arch: "amd64", Version: "1"},
		{Name: "nginx-common", Arch: "all", Version: "1", Source: "nginx"},
		{Name: "libnginx-mod-http-echo", Arch: "amd64", Version: "1", Source: "nginx"},
		{Name: "curl", Arch: "amd64", Version: "7"},
		{Name: "libcurl4", Arch: "amd64", Version: "7", Source: "curl"},
		{Name: "libcurl4", Arch: "i386", Version: "7", Source: "curl"},
	}}
	require.Equal(t, []string{"nginx-common", "libnginx-mod-http-echo"}, assess.SameSource(set, "nginx"))
	require.Equal(t, []string{"nginx", "libnginx-mod-http-echo"}, assess.SameSource(set, "nginx-common"))
	require.Equal(t, []string{"libcurl4"}, assess.SameSource(set, "curl"))
	require.Empty(t, assess.SameSource(set, "unheard-of"))
}

// Serves G18.
func TestWhatChangedAndNoOrderDidIsSaid(t *testing.T) {
	set := func(packages ...string) (s patching.PackageSet) {
		s.Manager = "apt"
		for _, p := range packages {
			f := strings.Fields(p)
			s.Packages = append(s.Packages, patching.Package{Name: f[0], Arch: f[1], Version: f[2]})
		}
		return s
	}
	before := set("nginx amd64 1", "curl amd64 7", "old amd64 1", "kernel x86_64 5", "tz all 1")
	after := set("nginx amd64 2", "curl amd64 8", "new amd64 1", "kernel x86_64 5", "kernel x86_64 6", "tz amd64 1")
	by := func(changes ...string) (all []patching.Change) {
		for _, c := range changes {
			f := strings.Split(c, " ")
			all = append(all, patching.Change{Name: f[0], Arch: f[1], From: f[2], To: f[3]})
		}
		return all
	}
	require.Equal(t, by("curl amd64 7 8", "kernel x86_64  6", "new amd64  1", "nginx amd64 1 2", "old amd64 1 ", "tz all 1 ", "tz amd64  1"), assess.Outside(before, after, nil))
	require.Equal(t, by("curl amd64 7 8", "new amd64  1", "old amd64 1 "), assess.Outside(before, after, by("nginx amd64 1 2", "kernel x86_64  6", "tz all 1 ", "tz amd64  1", "curl amd64 7 9")),
		"an order that brought another version explains nothing")
	require.Empty(t, assess.Outside(before, before, nil))
}

// Serves G9.
func TestWhatStaysAfterARollBackIsNamedOnce(t *testing.T) {
	b := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{
		{Name: "linux-image-6.1", Arch: "amd64", To: "6.1.2", Action: patching.Install},
		{Name: "nginx", Arch: "amd64", From: "1", To: "2", Action: patching.Upgrade},
	}}}}
	image := patching.Package{Name: "linux-image-6.1", Arch: "amd64", Version: "6.1.2"}
	nginx := patching.Package{Name: "nginx", Arch: "amd64", Version: "2"}
	back := patching.Package{Name: "nginx", Arch: "amd64", Version: "1"}
	for _, c := range []struct {
		said string
		has  []patching.Package
		want string
	}{
		{"", []patching.Package{back}, ""},
		{"It went back.", []patching.Package{back}, "It went back."},
		{"", []patching.Package{image, back}, "Still there: linux-image-6.1 6.1.2."},
		{"It went back.", []patching.Package{image, nginx}, "It went back. Still there: linux-image-6.1 6.1.2, nginx 2."},
		{"linux-image-6.1 stays installed: the machine runs it.", []patching.Package{image, nginx}, "linux-image-6.1 stays installed: the machine runs it. Still there: nginx 2."},
		// The name of another package begins with this one's.
		{"linux-image-6.1.0-41 stays installed: the machine runs it.", []patching.Package{image}, "linux-image-6.1.0-41 stays installed: the machine runs it. Still there: linux-image-6.1 6.1.2."},
	} {
		require.Equal(t, c.want, assess.StillThere(c.said, b, patching.PackageSet{Manager: "apt", Packages: c.has}))
	}
}

func TestWithoutPatchesThereIsNoStep(t *testing.T) {
	b := assess.Bundle(assess.Findings(installed(), offered(), all, now), all, kept)
	assert.True(t, b.Empty())
	assert.Empty(t, b.Steps)
	assert.Equal(t, "apt", b.Manager)
}

// Serves Q2, G8: a fresh inventory judges, not the machine's claim.
func TestAnInventoryShowsWhatWasNotTaken(t *testing.T) {
	b := patching.Bundle{Manager: "apt", Steps: []patching.Step{
		{Patches: []patching.Patch{
			{Action: patching.Upgrade, Name: "nginx", Arch: "amd64", From: "1.22.1-9", To: "1.22.1-9+deb12u2"},
			{Action: patching.Install, Name: "libnew1", Arch: "amd64", To: "1.0"},
		}},
		{Patches: []patching.Patch{{Action: patching.Remove, Name: "old", Arch: "amd64", From: "3"}}},
		{Patches: []patching.Patch{{Action: patching.Downgrade, Name: "vim", Arch: "amd64", From: "9.1", To: "9.0"}}},
	}}
	for _, c := range []struct {
		name    string
		after   patching.PackageSet
		missing []string
	}{
		{"all is there", installed("nginx", "1.22.1-9+deb12u2", "libnew1", "1.0", "vim", "9.0"), nil},
		{"a newer version is as good", installed("nginx", "1.22.1-9+deb12u3", "libnew1", "1.0+b1", "vim", "9.0"), nil},
		{
			"nothing was done", installed("nginx", "1.22.1-9", "old", "3", "vim", "9.1"),
			[]string{"nginx 1.22.1-9+deb12u2 (has 1.22.1-9)", "libnew1 1.0 (not installed)", "old removed (has 3)", "vim 9.0 (has 9.1)"},
		},
		{
			"a tilde sorts before the end", installed("nginx", "1.22.1-9+deb12u2~rc1", "libnew1", "1.0", "vim", "9.0"),
			[]string{"nginx 1.22.1-9+deb12u2 (has 1.22.1-9+deb12u2~rc1)"},
		},
		{"going back means exactly there", installed("nginx", "1.22.1-9+deb12u2", "libnew1", "1.0", "vim", "9.0.1"), []string{"vim 9.0 (has 9.0.1)"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ok, missing := assess.Verify(b, c.after)
			assert.Equal(t, c.missing, missing)
			assert.Equal(t, len(c.missing) == 0, ok)
		})
	}
}

func TestWhereTheOrderOfVersionsIsUnknownOnlyTheSameWillDo(t *testing.T) {
	patch := patching.Patch{Action: patching.Upgrade, Name: "bash", Arch: "amd64", From: "5.1", To: "5.2"}
	for manager, want := range map[string]bool{"apt": true, "pacman": false} {
		ok, _ := assess.Verify(patching.Bundle{Manager: manager, Steps: []patching.Step{{Patches: []patching.Patch{patch}}}}, installed("bash", "5.3"))
		assert.Equal(t, want, ok, manager)
	}
	broken := patch
	broken.To = "not a version"
	ok, _ := assess.Verify(patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{broken}}}}, installed("bash", "5.3"))
	assert.False(t, ok)
}

// Serves G9, Q2: a machine that carries a bundle out is verified and up to
// date; one that carries its way back out is where it was.
func TestWhatIsDeployedIsVerifiedAndWhatIsUndoneIsWhereItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has, set := aMachine(t)
		a := assess.Findings(has, set, all, now)
		b := assess.Bundle(a, all, assess.ByPackages(func(string, string, string) bool { return true }))
		ok, missing := assess.Verify(b, has)
		require.Equal(t, b.Empty(), ok)
		require.Len(t, missing, len(b.Patches()), "nothing was done yet")

		after := apply(has, b)
		ok, missing = assess.Verify(b, after)
		require.True(t, ok, missing)
		require.True(t, assess.Findings(after, set, all, now).UpToDate(), "what was offered is installed")

		back, ok := b.Revert()
		require.True(t, ok)
		undone := apply(after, back)
		ok, missing = assess.Verify(back, undone)
		require.True(t, ok, missing)
		require.Equal(t, string(has.Canonical()), string(undone.Canonical()))
	})
}

// Serves Q4: a bundle may lose patches without another approval.
func TestABundleThatLostPatchesIsWithinTheOldOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		has, set := aMachine(t)
		p := all
		p.Alone = []string{"p0*"}
		whole := assess.Bundle(assess.Findings(has, set, p, now), p, kept)
		var names []string
		for _, x := range whole.Patches() {
			if rapid.Bool().Draw(t, "goes") {
				names = append(names, x.Name)
			}
		}
		part := assess.Without(whole, names...)
		require.Len(t, part.Patches(), len(whole.Patches())-len(names))
		for _, s := range part.Steps {
			require.NotEmpty(t, s.Patches)
		}
		require.True(t, assess.Within(part, whole))
		require.Equal(t, len(names) == 0, assess.Within(whole, part))
	})
}

func TestABundleWithMoreOrOtherPatchesIsNotWithin(t *testing.T) {
	step := func(names ...string) patching.Bundle {
		b := patching.Bundle{Manager: "apt", Steps: []patching.Step{{}}}
		for _, n := range names {
			b.Steps[0].Patches = append(b.Steps[0].Patches, patching.Patch{Action: patching.Upgrade, Name: n, To: "2"})
		}
		return b
	}
	assert.True(t, assess.Within(step("a", "c"), step("a", "b", "c")))
	assert.False(t, assess.Within(step("c", "a"), step("a", "b", "c")), "another order")
	assert.False(t, assess.Within(step("a", "a"), step("a", "b")), "twice")
	newer := step("a")
	newer.Steps[0].Patches[0].To = "3"
	assert.False(t, assess.Within(newer, step("a")))
	other := step("a")
	other.Manager = "pacman"
	assert.False(t, assess.Within(other, step("a")))
}

// aMachine draws what is installed and an offer for part of it, and for new packages.
func aMachine(t *rapid.T) (patching.PackageSet, patching.CandidateSet) {
	has, set := patching.PackageSet{Manager: "apt"}, patching.CandidateSet{Manager: "apt"}
	for i := range rapid.IntRange(0, 12).Draw(t, "packages") {
		name := "p" + string(rune('0'+i/10)) + string(rune('0'+i%10))
		switch rapid.IntRange(0, 2).Draw(t, "offer") {
		case 0:
			has.Packages = append(has.Packages, patching.Package{Name: name, Arch: "amd64", Version: "1.0-1"})
		case 1:
			has.Packages = append(has.Packages, patching.Package{Name: name, Arch: "amd64", Version: "1.0-1"})
			set.Candidates = append(set.Candidates, up(name, "1.0-1", "1.0-1+deb12u1"))
		case 2:
			set.Candidates = append(set.Candidates, up(name, "", "2.0"))
		}
	}
	return has, set
}

// apply does to a set of packages what a package manager would.
func apply(s patching.PackageSet, b patching.Bundle) patching.PackageSet {
	after := patching.PackageSet{Manager: s.Manager, Packages: slices.Clone(s.Packages)}
	for _, p := range b.Patches() {
		after.Packages = slices.DeleteFunc(after.Packages, func(x patching.Package) bool { return x.Name == p.Name })
		if p.To != "" {
			after.Packages = append(after.Packages, patching.Package{Name: p.Name, Arch: p.Arch, Version: p.To})
		}
	}
	after.Sort()
	return after
}
