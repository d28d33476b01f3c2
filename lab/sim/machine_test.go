package sim

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// host opens machine 0 of a fleet of one web server.
func host(t *testing.T, dir string, bad ...truth.Bad) *machine {
	t.Helper()
	c, err := newCatalog(1)
	require.NoError(t, err)
	breaks := map[string]truth.Bad{}
	for _, b := range bad {
		breaks[b.Package] = b
	}
	m, err := openMachine(filepath.Join(dir, "machines", "0"), truth.Machine{
		Role: "web", Variant: truth.Behind, Breaks: breaks, Trouble: truth.Trouble{Drag: 1},
		Facts: patching.Asset{Hostname: "web", Services: []string{"nginx"}},
	}, c, newPen(4, nil), 1e6)
	require.NoError(t, err)
	return m
}

func upgrades(t *testing.T, m *machine) []patching.Patch {
	t.Helper()
	var patches []patching.Patch
	for _, c := range m.candidates().Candidates {
		p := patching.Patch{Action: patching.Upgrade, Name: c.Name, Arch: c.Arch, From: c.From, To: c.To, Size: c.Size, SHA256: c.SHA256}
		if c.From == "" {
			p.Action = patching.Install
		}
		patches = append(patches, p)
	}
	require.Greater(t, len(patches), 30)
	return patches
}

func ordered(id patching.OrderID) context.Context {
	return agent.WithOrder(context.Background(), trust.Order{ID: id, Cycle: "cycle/test/2026-11.1"})
}

func TestAMachineIsUpToDateAfterItInstalledWhatItWasOffered(t *testing.T) {
	dir := t.TempDir()
	m := host(t, dir)
	patches := upgrades(t, m)
	kernel := m.boot.Load().Kernel

	changes, err := m.Simulate(ordered("o1"), patches)
	require.NoError(t, err)
	require.Len(t, changes, len(patches), "nothing comes along that was not offered")
	require.NoError(t, m.Apply(ordered("o1"), patches))

	require.Empty(t, m.candidates().Candidates)
	standing, err := m.Look(ordered("o1"), patches)
	require.NoError(t, err)
	for i, s := range standing {
		require.Equal(t, agent.Standing{Version: patches[i].To}, s, patches[i].Name)
	}
	health, err := m.Health(ordered("o1"))
	require.NoError(t, err)
	require.True(t, health.RebootPending, "a new kernel was installed")
	boot := m.Boot()
	require.NoError(t, m.Reboot(ordered("o1")))
	require.NotEqual(t, boot, m.Boot())
	require.NotEqual(t, kernel, m.boot.Load().Kernel)
	require.False(t, m.rebootPending())
}

func TestAKernelComesAlongWithThePackageThatDependsOnIt(t *testing.T) {
	m := host(t, t.TempDir())
	o, ok := m.dpkg.catalog.update("linux-image-amd64", "6.1.176-1")
	require.True(t, ok)
	changes, err := m.Simulate(ordered("o1"), []patching.Patch{{Action: patching.Upgrade, Name: o.Name, Arch: o.Arch, To: o.Version}})
	require.NoError(t, err)
	require.Len(t, changes, 2)
	require.Contains(t, changes[0].Name, "linux-image-6.1.0-")
	require.Empty(t, changes[0].From)
}

func TestWhatWasKilledInTheMiddleIsFinishedAndNothingIsDoneTwice(t *testing.T) {
	for seed := range uint64(10) {
		dir := t.TempDir()
		r := rand.New(rand.NewPCG(seed, 0))
		var patches []patching.Patch
		for kills := 0; ; kills++ {
			m := host(t, dir)
			if patches == nil {
				patches = upgrades(t, m)
			}
			// The kill: the machine's process ends in the middle of a wait.
			ctx, cancel := context.WithCancel(ordered("o1"))
			left := 1 + r.IntN(40)
			pace := m.dpkg.wait
			m.dpkg.wait = func(ctx context.Context, d time.Duration) error {
				if left--; left == 0 {
					cancel()
				}
				return pace(ctx, d)
			}
			err := m.Repair(ctx)
			if err == nil {
				err = m.Apply(ctx, patches)
			}
			cancel()
			if err == nil {
				require.Empty(t, m.candidates().Candidates)
				require.Positive(t, kills, "never killed")
				break
			}
			require.ErrorIs(t, err, context.Canceled)
			require.Less(t, kills, 200)
		}
		n, details, err := Repeats(dir)
		require.NoError(t, err)
		require.Zero(t, n, "%v", details)
		events, err := Events(dir)
		require.NoError(t, err)
		require.Equal(t, len(patches), events[Configured], "each exactly once")
	}
}

func TestAPlantedRepeatIsFound(t *testing.T) {
	dir := t.TempDir()
	m := host(t, dir)
	patches := upgrades(t, m)[:3]
	require.NoError(t, m.Apply(ordered("o1"), patches))
	n, _, err := Repeats(dir)
	require.NoError(t, err)
	require.Zero(t, n)

	p := patching.Package{Name: patches[1].Name, Arch: patches[1].Arch, Version: patches[1].To}
	require.NoError(t, m.dpkg.unpack(ordered("o2"), order{id: "o2"}, p))
	n, details, err := Repeats(dir)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, "0", details[0].Machine)
	require.EqualValues(t, "o2", details[0].Again.Order)
	require.Contains(t, details[0].String(), p.Name)
}

func TestGoingBackAndForthIsNoRepeat(t *testing.T) {
	dir := t.TempDir()
	m := host(t, dir)
	forth := upgrades(t, m)[:2]
	back := []patching.Patch{
		{Action: patching.Downgrade, Name: forth[0].Name, Arch: forth[0].Arch, To: forth[0].From},
		{Action: patching.Downgrade, Name: forth[1].Name, Arch: forth[1].Arch, To: forth[1].From},
	}
	require.NoError(t, m.Apply(ordered("o1"), forth))
	require.NoError(t, m.Apply(ordered("o2"), back))
	require.NoError(t, m.Apply(ordered("o3"), forth))
	require.NoError(t, m.Apply(ordered("o3"), forth), "asked again: already the newest version")
	n, details, err := Repeats(dir)
	require.NoError(t, err)
	require.Zero(t, n, "%v", details)
}

func TestALineThatAKillCutOffNeverHappened(t *testing.T) {
	dir := t.TempDir()
	m := host(t, dir)
	patches := upgrades(t, m)[:2]
	require.NoError(t, m.Apply(ordered("o1"), patches))
	log := filepath.Join(dir, "machines", "0", witnessName)
	text, err := os.ReadFile(log)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(log, text[:len(text)-5], 0o644))

	m = host(t, dir)
	require.Len(t, m.dpkg.broken(), 1, "the last \"configured\" is not there any more")
	require.NoError(t, m.Repair(ordered("o1")))
	require.Empty(t, m.dpkg.broken())
	again, err := os.ReadFile(log)
	require.NoError(t, err)
	require.Len(t, again, len(text))
}

func TestABadPatchShowsInItsOwnWay(t *testing.T) {
	apply := func(how truth.How) (*machine, []patching.Patch, error) {
		m := host(t, t.TempDir(), truth.Bad{Package: "openssl", How: how, Rate: 1})
		patches := upgrades(t, m)
		return m, patches, m.Apply(ordered("o1"), patches)
	}

	m, patches, err := apply(truth.PostinstFails)
	var failure *agent.Failure
	require.ErrorAs(t, err, &failure)
	require.Equal(t, "openssl: postinst", failure.Signature)
	require.Contains(t, failure.Detail, "installed openssl package post-installation script subprocess returned error exit status 1")
	require.Error(t, m.Repair(ordered("o1")), "configuring again does not help")
	require.Len(t, m.dpkg.broken(), 1, "the others were configured")
	var back []patching.Patch
	for _, p := range patches {
		if p.Name == "openssl" {
			back = append(back, patching.Patch{Action: patching.Downgrade, Name: p.Name, Arch: p.Arch, To: p.From})
		}
	}
	require.NoError(t, m.Apply(ordered("o2"), back), "another version does")
	require.Empty(t, m.dpkg.broken())

	m, _, err = apply(truth.PostinstFailsOnce)
	require.ErrorAs(t, err, &failure)
	require.NoError(t, m.Repair(ordered("o1")))

	m, _, err = apply(truth.ServiceDies)
	require.NoError(t, err, "the package manager does not notice")
	health, err := m.Health(ordered("o1"))
	require.NoError(t, err)
	require.Equal(t, []string{"nginx.service"}, health.Failing)

	m, _, err = apply(truth.NoBoot)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(ordered("o1"), 50*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, m.Reboot(ctx), context.DeadlineExceeded)
	require.True(t, m.down())
}

func TestCleaningUpRemovesWhatNeitherRunsNorWouldRun(t *testing.T) {
	m := host(t, t.TempDir())
	old := "linux-image-" + m.boot.Load().Kernel
	patches := upgrades(t, m)
	require.NoError(t, m.Fetch(ordered("o1"), patching.Bundle{Steps: []patching.Step{{Patches: patches}}}))
	require.NoError(t, m.Apply(ordered("o1"), patches))
	freed, err := m.Clean(ordered("o2"), nil)
	require.NoError(t, err)
	require.Equal(t, patching.Bundle{Steps: []patching.Step{{Patches: patches}}}.Bytes(), freed, "the old kernel still runs")
	require.True(t, m.dpkg.has(old))

	require.NoError(t, m.Reboot(ordered("o2")))
	freed, err = m.Clean(ordered("o3"), nil)
	require.NoError(t, err)
	require.Positive(t, freed)
	require.False(t, m.dpkg.has(old))
}
