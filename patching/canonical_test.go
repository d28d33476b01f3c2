package patching_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
)

var (
	names    = rapid.StringMatching(`[a-z][a-z0-9+.-]{0,12}`)
	versions = rapid.StringMatching(`[0-9][0-9.]{0,6}(\+deb12u[1-9])?(-[0-9])?`)
	arches   = rapid.SampledFrom([]string{"amd64", "arm64", "all"})
	origins  = rapid.SampledFrom([]string{"", "Debian", "Debian-Security"})
	hashes   = rapid.SampledFrom([]string{"", strings.Repeat("ab", 32)})
	sizes    = rapid.Int64Range(0, 1<<40)
)

func packages(t *rapid.T) patching.PackageSet {
	s := patching.PackageSet{Manager: "apt"}
	s.Packages = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) patching.Package {
		return patching.Package{Name: names.Draw(t, "name"), Arch: arches.Draw(t, "arch"), Version: versions.Draw(t, "version"), Source: origins.Draw(t, "source")}
	}), 0, 20).Draw(t, "packages")
	if len(s.Packages) == 0 {
		s.Packages = nil
	}
	s.Sort()
	return s
}

func candidates(t *rapid.T) patching.CandidateSet {
	s := patching.CandidateSet{Manager: "apt"}
	for range rapid.IntRange(0, 10).Draw(t, "candidates") {
		s.Candidates = append(s.Candidates, patching.Candidate{
			Name: names.Draw(t, "name"), Arch: arches.Draw(t, "arch"), From: rapid.OneOf(rapid.Just(""), versions).Draw(t, "from"), To: versions.Draw(t, "to"),
			Origin: origins.Draw(t, "origin"), Codename: "bookworm", Security: rapid.Bool().Draw(t, "security"),
			Size: sizes.Draw(t, "size"), SHA256: hashes.Draw(t, "hash"), NeedsReboot: rapid.Bool().Draw(t, "reboot"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, "kept back") {
		s.KeptBack = append(s.KeptBack, names.Draw(t, "kept"))
	}
	for range rapid.IntRange(0, 3).Draw(t, "foreign") {
		s.Foreign = append(s.Foreign, patching.Foreign{Name: names.Draw(t, "foreign name"), Origin: rapid.OneOf(rapid.Just(""), origins).Draw(t, "from")})
	}
	s.Sort()
	return s
}

// bundle draws a bundle; undoable ones hold only patches that can be undone.
func bundle(t *rapid.T, undoable bool) patching.Bundle {
	b := patching.Bundle{Manager: "apt"}
	if rapid.Bool().Draw(t, "from a snapshot") {
		b.Sources, b.Beside = patching.DigestOf([]byte("sources")), rapid.Bool().Draw(t, "beside")
	}
	for range rapid.IntRange(0, 4).Draw(t, "steps") {
		step := patching.Step{Restart: rapid.Bool().Draw(t, "restart")}
		for range rapid.IntRange(1, 4).Draw(t, "patches") {
			p := patching.Patch{
				Action: patching.Upgrade, Name: names.Draw(t, "name"), Arch: arches.Draw(t, "arch"), From: versions.Draw(t, "from"), To: versions.Draw(t, "to"),
				Origin: origins.Draw(t, "origin"), Codename: "bookworm", Security: rapid.Bool().Draw(t, "security"),
				Size: sizes.Draw(t, "size"), SHA256: hashes.Draw(t, "hash"), NeedsReboot: rapid.Bool().Draw(t, "reboot"), Reversible: patching.ByDowngrade,
			}
			switch n := rapid.IntRange(0, 3).Draw(t, "action"); {
			case n == 0:
				p.Action, p.From, p.Reversible = patching.Install, "", patching.ByUninstall
			case n == 1 && !undoable:
				p.Action, p.To, p.Reversible = patching.Remove, "", patching.Irreversible
			case n == 2 && !undoable:
				p.Action, p.Reversible = patching.Downgrade, patching.BySnapshot
			}
			step.Patches = append(step.Patches, p)
		}
		b.Steps = append(b.Steps, step)
	}
	return b
}

// Serves L3: content and address are one to one.
func TestASetIsReadAsItWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packages(t)
		again, err := patching.ParsePackageSet(p.Canonical())
		require.NoError(t, err)
		require.Equal(t, p, again)

		c := candidates(t)
		offered, err := patching.ParseCandidateSet(c.Canonical())
		require.NoError(t, err)
		require.Equal(t, c, offered)

		b := bundle(t, false)
		resolved, err := patching.ParseBundle(b.Canonical())
		require.NoError(t, err)
		require.Equal(t, b, resolved)
	})
}

// A text that is nearly canonical would be a second address of the same content.
func TestATextThatWouldNotBeWrittenThatWayIsRefused(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for _, kind := range []struct {
			text  []byte
			parse func([]byte) ([]byte, error)
		}{
			{packages(t).Canonical(), func(b []byte) ([]byte, error) { s, err := patching.ParsePackageSet(b); return s.Canonical(), err }},
			{candidates(t).Canonical(), func(b []byte) ([]byte, error) { s, err := patching.ParseCandidateSet(b); return s.Canonical(), err }},
			{bundle(t, false).Canonical(), func(b []byte) ([]byte, error) { s, err := patching.ParseBundle(b); return s.Canonical(), err }},
		} {
			bad := bytes.Clone(kind.text)
			i := rapid.IntRange(0, len(bad)-1).Draw(t, "at")
			bad[i] = rapid.Byte().Draw(t, "byte")
			if again, err := kind.parse(bad); err == nil {
				require.Equal(t, bad, again, "two texts for one content")
			}
			_, err := kind.parse(kind.text[:len(kind.text)-1])
			require.Error(t, err, "cut off")
			_, err = kind.parse(append(bytes.Clone(kind.text), "\n"...))
			require.Error(t, err, "an empty line")
		}
	})
}

func TestWhatNoPackageManagerWritesIsRefused(t *testing.T) {
	for want, parse := range map[string]func() error{
		"the last line does not end":    func() error { _, err := patching.ParsePackageSet([]byte("packages v1\tapt")); return err },
		`want "packages v1"`:            func() error { _, err := patching.ParsePackageSet([]byte("packages v2\tapt\n")); return err },
		`want "bundle v1"`:              func() error { _, err := patching.ParseBundle([]byte("packages v1\tapt\n")); return err },
		"line 2: 3 fields, want 4 or 6": func() error { _, err := patching.ParsePackageSet([]byte("packages v1\tapt\na\tb\tc\n")); return err },
		`package name "-o"`: func() error {
			_, err := patching.ParsePackageSet([]byte("packages v1\tapt\n-o\tamd64\t1\t\n"))
			return err
		},
		"line 2: 1 fields, want 10": func() error { _, err := patching.ParseCandidateSet([]byte("candidates v1\tapt\nx\n")); return err },
		"size": func() error {
			_, err := patching.ParseCandidateSet([]byte("candidates v1\tapt\na\tamd64\t\t1\t\t\tfalse\tbig\t\tfalse\n"))
			return err
		},
		"not in canonical form": func() error {
			_, err := patching.ParseCandidateSet([]byte("candidates v1\tapt\na\tamd64\t\t1\t\t\tTRUE\t1\t\tfalse\n"))
			return err
		},
		"neither a step nor a patch": func() error {
			_, err := patching.ParseBundle([]byte("bundle v1\tapt\nupgrade\ta\tamd64\t1\t2\t\t\tfalse\t0\t\tfalse\tnone\n"))
			return err
		},
		"bundle, line 3": func() error {
			_, err := patching.ParseBundle([]byte("bundle v1\tapt\nstep\tfalse\nupgrade\t-a\tamd64\t1\t2\t\t\tfalse\t0\t\tfalse\tnone\n"))
			return err
		},
	} {
		assert.ErrorContains(t, parse(), want)
	}
}

// Serves Q15: what would be an option, a path or a shell word is no package.
func TestNamesThatCouldMeanSomethingElseAreNoPackages(t *testing.T) {
	for _, name := range []string{"", "-o", "--purge", "a b", "a\nb", "a;b", "../a", "a/b", "$a", "ä", strings.Repeat("a", 201)} {
		require.Error(t, patching.ValidatePackage(name, "amd64", "1"), "%q", name)
	}
	for _, version := range []string{"", "-1", "1 2", "1\t2", "1/2", "=1"} {
		require.Error(t, patching.ValidatePackage("a", "amd64", version), "%q", version)
	}
	for _, arch := range []string{"", "AMD64", "-", "a b"} {
		require.Error(t, patching.ValidatePackage("a", arch, "1"), "%q", arch)
	}
	assert.NoError(t, patching.ValidatePackage("libstdc++6", "amd64", "1:12.2.0-14+deb12u1"))
	assert.NoError(t, patching.ValidatePackage("crontabs", "noarch", "1.11^20190603git9e74f2d-6.el10"))
	assert.NoError(t, patching.ValidatePackage("kernel-core", "x86_64", "5.14.0-570.12.1.el9_6"))
}

// Serves G9.
func TestUndoingTwiceLeadsBackToTheSameVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := bundle(t, true)
		back, ok := b.Revert()
		require.True(t, ok)
		require.Len(t, back.Patches(), len(b.Patches()))

		// What was undone can be done again: the same packages, newest step first.
		for i := range back.Steps {
			for j := range back.Steps[i].Patches {
				p := &back.Steps[i].Patches[j]
				p.Reversible = patching.ByDowngrade
				if p.Action == patching.Downgrade {
					p.Action = patching.Upgrade
				} else {
					p.Action, p.Reversible = patching.Install, patching.ByUninstall
				}
			}
		}
		again, ok := back.Revert()
		require.True(t, ok)
		require.Equal(t, moves(b), moves(again))
	})
}

// moves are the versions from and to, step by step.
func moves(b patching.Bundle) (steps [][]string) {
	for _, s := range b.Steps {
		var step []string
		for _, p := range s.Patches {
			step = append(step, p.Name+" "+p.Arch+" "+p.From+" > "+p.To)
		}
		steps = append(steps, step)
	}
	return steps
}

// Serves G9: nothing is promised that cannot be kept.
func TestABundleWithOnePatchThatCannotBeUndoneHasNoWayBack(t *testing.T) {
	up := patching.Patch{Action: patching.Upgrade, Name: "a", From: "1", To: "2", Reversible: patching.ByDowngrade}
	for name, p := range map[string]patching.Patch{
		"the old version is gone":   {Action: patching.Upgrade, Name: "b", From: "1", To: "2", Reversible: patching.Irreversible},
		"only a snapshot helps":     {Action: patching.Upgrade, Name: "b", From: "1", To: "2", Reversible: patching.BySnapshot},
		"a removal":                 {Action: patching.Remove, Name: "b", From: "1", Reversible: patching.Irreversible},
		"an install that must stay": {Action: patching.Install, Name: "b", To: "1", Reversible: patching.Irreversible},
		"a downgrade":               {Action: patching.Downgrade, Name: "b", From: "2", To: "1", Reversible: patching.ByDowngrade},
	} {
		b := patching.Bundle{Steps: []patching.Step{{Patches: []patching.Patch{up}}, {Patches: []patching.Patch{p}}}}
		back, ok := b.Revert()
		assert.False(t, ok, name)
		assert.True(t, back.Empty(), name)
	}
	back, ok := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{up}, Restart: true}}}.Revert()
	assert.True(t, ok)
	assert.Equal(t, patching.Step{Restart: true, Patches: []patching.Patch{
		{Action: patching.Downgrade, Name: "a", From: "2", To: "1", Reversible: patching.Irreversible},
	}}, back.Steps[0])
}

// Serves G9: a kernel comes beside the one that runs, and leaves everything else
// its way back.
func TestABundleWithANewKernelLeadsBackAndNamesWhatMayStay(t *testing.T) {
	image := patching.Patch{Action: patching.Install, Name: "linux-image-6-amd64", To: "6", NeedsReboot: true, Reversible: patching.UnlessRunning}
	meta := patching.Patch{Action: patching.Upgrade, Name: "linux-image-amd64", From: "5", To: "6", NeedsReboot: true, Reversible: patching.ByDowngrade}
	libc := patching.Patch{Action: patching.Upgrade, Name: "libc6", From: "1", To: "2", NeedsReboot: true, Reversible: patching.ByDowngrade}
	b := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{libc, image, meta}, Restart: true}}}
	require.Equal(t, []patching.Patch{image}, b.MayStay())
	back, ok := b.Revert()
	require.True(t, ok)
	require.Empty(t, back.MayStay())
	require.Equal(t, []patching.Step{{Restart: true, Patches: []patching.Patch{
		{Action: patching.Downgrade, Name: "libc6", From: "2", To: "1", NeedsReboot: true, Reversible: patching.Irreversible},
		{Action: patching.Remove, Name: "linux-image-6-amd64", From: "6", Reversible: patching.Irreversible},
		{Action: patching.Downgrade, Name: "linux-image-amd64", From: "6", To: "5", Reversible: patching.Irreversible},
	}}}, back.Steps, "no restart for a kernel: none would change which one runs")

	// One that is replaced under its own name runs again only after a restart.
	image = patching.Patch{Action: patching.Upgrade, Name: "linux-image-5-amd64", From: "5.1", To: "5.2", NeedsReboot: true, Reversible: patching.ByDowngrade}
	b.Steps[0].Patches = []patching.Patch{image}
	require.Empty(t, b.MayStay())
	back, ok = b.Revert()
	require.True(t, ok)
	require.True(t, back.Patches()[0].NeedsReboot)
}

func TestAMachineRunsFromItsKernel(t *testing.T) {
	for name, want := range map[string]bool{
		"linux-image-6.1.0-41-amd64": true, "linux-modules-6.1.0-41-amd64": true, "linux-image-unsigned-6.1.0-41-amd64": true,
		"linux-image-6.1.0-4-amd64": false, "linux-image-amd64": false, "linux-headers-6.1.0-41-amd64": false, "linux-image-16.1.0-41-amd64": false,
	} {
		require.Equal(t, want, patching.RunsFrom(name, "6.1.0-41-amd64"), name)
		require.False(t, patching.RunsFrom(name, ""), "%s on a machine that does not tell", name)
	}
}

func TestABundleCountsWhatHasToBeDownloaded(t *testing.T) {
	b := patching.Bundle{Steps: []patching.Step{{Patches: []patching.Patch{{Size: 3}, {Size: 4}}}, {Patches: []patching.Patch{{Size: 5}}}}}
	assert.Equal(t, int64(12), b.Bytes())
	assert.False(t, b.Empty())
	assert.True(t, patching.Bundle{Steps: []patching.Step{{Restart: true}}}.Empty())
}

func TestTheOrderOfListingDoesNotChangeAnAddress(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := packages(t)
		shuffled := patching.PackageSet{Manager: p.Manager, Packages: rapid.Permutation(p.Packages).Draw(t, "order")}
		shuffled.Sort()
		require.Equal(t, versionsOnly(p), versionsOnly(shuffled))
	})
}

// versionsOnly leaves the source out: two packages that differ only in it
// cannot be installed at once.
func versionsOnly(s patching.PackageSet) (lines []string) {
	for _, p := range s.Packages {
		lines = append(lines, p.Name+" "+p.Arch+" "+p.Version)
	}
	return lines
}

// A set of an agent that does not know of foreign packages keeps its address.
func TestForeignPackagesStandBehindAllElse(t *testing.T) {
	s := patching.CandidateSet{Manager: "apt", KeptBack: []string{"curl"}}
	before := "candidates v1\tapt\nkept back\tcurl\n"
	require.Equal(t, before, string(s.Canonical()))
	s.Foreign = []patching.Foreign{{Name: "tool"}, {Name: "docker-ce", Origin: "Docker"}}
	s.Sort()
	require.Equal(t, before+"foreign\tdocker-ce\tDocker\nforeign\ttool\t\n", string(s.Canonical()))
	for text, says := range map[string]string{
		"foreign\t-x\tDocker\n": "foreign package", "foreign\tx\tDo\x01cker\n": "control characters", "foreign\tx\n": "2 fields",
		"foreign\tx\t" + strings.Repeat("d", 201) + "\n":        "longer than 200 bytes",
		strings.Repeat("foreign\tx\t\n", patching.MaxForeign+1): "more than 1000",
	} {
		_, err := patching.ParseCandidateSet([]byte(before + text))
		require.ErrorContains(t, err, says)
	}
}

func TestWhoseAnArchiveIs(t *testing.T) {
	for origin, of := range map[string]string{"Debian": "debian", "Ubuntu": "Ubuntu", "UbuntuESM": "ubuntu", "UbuntuESMApps": "ubuntu"} {
		require.True(t, patching.OfDistribution(of, origin), origin)
	}
	for origin, of := range map[string]string{"Debian Backports": "debian", "UbuntuESM": "debian", "Docker": "debian", "": "debian", "LP-PPA-ondrej-php": "ubuntu"} {
		require.False(t, patching.OfDistribution(of, origin), origin)
	}
}

func TestAVersionIsFoundByNameAndArchitecture(t *testing.T) {
	s := patching.PackageSet{Packages: []patching.Package{{Name: "libc6", Arch: "amd64", Version: "2"}, {Name: "libc6", Arch: "i386", Version: "3"}}}
	for arch, want := range map[string]string{"amd64": "2", "i386": "3", "": "2"} {
		got, ok := s.Version("libc6", arch)
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	_, ok := s.Version("libc6", "arm64")
	assert.False(t, ok)
}

func index(change func(*patching.SourceIndex)) patching.Sources {
	i := patching.SourceIndex{Repository: "debian", Generation: "1f2e", Suite: "bookworm/updates", Components: []string{"main", "non-free-firmware"}, Architectures: []string{"all", "amd64"}}
	change(&i)
	return patching.Sources{Snapshot: strings.Repeat("0a", 16), Indexes: []patching.SourceIndex{i}}
}

// Serves L3: a machine makes its package manager's list of them.
func TestSourcesAreReadAsTheyWereWrittenAndMeanNothingMore(t *testing.T) {
	s := index(func(*patching.SourceIndex) {})
	again, err := patching.ParseSources(s.Canonical())
	require.NoError(t, err)
	require.Equal(t, s, again)
	require.Equal(t, "/snapshot/"+s.Snapshot+"/debian/1f2e", s.Path(s.Indexes[0]))
	for name, s := range map[string]patching.Sources{
		"a line more":                index(func(i *patching.SourceIndex) { i.Suite = "bookworm\nTrusted: yes" }),
		"a field more":               index(func(i *patching.SourceIndex) { i.Suite = "bookworm\tmain" }),
		"a word more":                index(func(i *patching.SourceIndex) { i.Suite = "bookworm main" }),
		"an option":                  index(func(i *patching.SourceIndex) { i.Suite = "-o" }),
		"the way up":                 index(func(i *patching.SourceIndex) { i.Repository = "a/../../b" }),
		"the way up alone":           index(func(i *patching.SourceIndex) { i.Generation = ".." }),
		"no suite":                   index(func(i *patching.SourceIndex) { i.Suite = "" }),
		"no component":               index(func(i *patching.SourceIndex) { i.Components = nil }),
		"an option in [brackets]":    index(func(i *patching.SourceIndex) { i.Architectures = []string{"[trusted=yes]"} }),
		"a snapshot that is no name": {Snapshot: "../x"},
	} {
		_, err := patching.ParseSources(s.Canonical())
		require.Error(t, err, name)
	}
}

func TestABundlesSourcesAreAnAddress(t *testing.T) {
	for _, text := range []string{
		"bundle v1\tapt\nsources\thttp://elsewhere/\tfalse\n", "bundle v1\tapt\nsources\t" + string(patching.DigestOf(nil)) + "\tno\n",
		"bundle v1\tapt\nstep\tfalse\nsources\t" + string(patching.DigestOf(nil)) + "\tfalse\n",
	} {
		_, err := patching.ParseBundle([]byte(text))
		require.Error(t, err, text)
	}
}
