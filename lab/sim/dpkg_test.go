package sim

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// one picks the upgrade of a package.
func one(t *testing.T, patches []patching.Patch, name string) patching.Patch {
	t.Helper()
	i := slices.IndexFunc(patches, func(p patching.Patch) bool { return p.Name == name })
	require.GreaterOrEqual(t, i, 0, name)
	return patches[i]
}

// undo is the way back of an upgrade, or of an installation.
func undo(p patching.Patch) patching.Patch {
	p.Action, p.From, p.To = patching.Downgrade, p.To, p.From
	if p.To == "" {
		p.Action = patching.Remove
	}
	return p
}

func of(patches ...patching.Patch) patching.Bundle {
	return patching.Bundle{Manager: manager, Steps: []patching.Step{{Patches: patches}}}
}

// misfired is a machine on which the postinst of openssl has failed, with all
// that it is offered.
func misfired(t *testing.T) (*machine, []patching.Patch) {
	t.Helper()
	m := host(t, t.TempDir(), truth.Bad{Package: "openssl", How: truth.PostinstFails, Rate: 1})
	all := upgrades(t, m)
	require.Error(t, m.Apply(ordered("o1"), []patching.Patch{one(t, all, "openssl")}))
	return m, all
}

func failureOf(t *testing.T, err error) *agent.Failure {
	t.Helper()
	var f *agent.Failure
	require.ErrorAs(t, err, &f)
	return f
}

// The lab's faults 01 and 01e on a real machine: configuring again fails again,
// the earlier version repairs.
func TestTheEarlierVersionRepairsWhatABadScriptLeftHalfConfigured(t *testing.T) {
	m, all := misfired(t)
	bad := one(t, all, "openssl")
	stands, err := m.Look(ordered("o1"), []patching.Patch{bad})
	require.NoError(t, err)
	require.Equal(t, agent.Standing{Version: bad.To, Broken: true}, stands[0])
	require.Equal(t, "openssl: postinst", failureOf(t, m.Repair(ordered("o1"))).Signature)

	back := undo(bad)
	require.NoError(t, m.Preflight(ordered("o2"), of(back)), "the order cures what is broken")
	changes, err := m.Simulate(ordered("o2"), []patching.Patch{back})
	require.NoError(t, err)
	require.Equal(t, []patching.Change{{Name: "openssl", Arch: bad.Arch, From: bad.To, To: bad.From}}, changes)
	require.NoError(t, m.Apply(ordered("o2"), []patching.Patch{back}))
	require.Empty(t, m.dpkg.broken())
	stands, err = m.Look(ordered("o2"), []patching.Patch{back})
	require.NoError(t, err)
	require.Equal(t, agent.Standing{Version: bad.From}, stands[0])
}

// The lab's fault 01c: apt configures what an earlier transaction left, and
// fails for it, though what was asked for is installed.
func TestWhileAPackageIsHalfConfiguredEveryTransactionFails(t *testing.T) {
	m, all := misfired(t)
	i := slices.IndexFunc(all, func(p patching.Patch) bool { return p.Name != "openssl" && p.From != "" && !p.NeedsReboot })
	other := all[i]
	err := m.Preflight(ordered("o2"), of(other))
	require.Equal(t, patching.ReasonPreflight, failureOf(t, err).Reason)
	require.Contains(t, err.Error(), "openssl", "what is in the way is named")

	require.Equal(t, "openssl: postinst", failureOf(t, m.Apply(ordered("o2"), []patching.Patch{other})).Signature)
	stands, err := m.Look(ordered("o2"), []patching.Patch{other})
	require.NoError(t, err)
	require.Equal(t, agent.Standing{Version: other.To}, stands[0])
}

// The lab's faults 50 and 51: apt refuses to do anything before what was cut off
// is completed.
func TestAfterACutOffTransactionNothingBeginsBeforeItIsRepaired(t *testing.T) {
	for name, waits := range map[string]int{"while unpacking": 1, "before its script": 2} {
		t.Run(name, func(t *testing.T) {
			m := host(t, t.TempDir())
			p := one(t, upgrades(t, m), "openssl")
			ctx, cancel := context.WithCancel(ordered("o1"))
			pace := m.dpkg.wait
			m.dpkg.wait = func(ctx context.Context, d time.Duration) error {
				if waits--; waits == 0 {
					cancel()
				}
				return pace(ctx, d)
			}
			require.ErrorIs(t, m.Apply(ctx, []patching.Patch{p}), context.Canceled)
			require.Contains(t, m.Apply(ordered("o1"), []patching.Patch{p}).Error(), "dpkg was interrupted")
			require.Contains(t, m.Apply(ordered("o2"), []patching.Patch{undo(p)}).Error(), "dpkg was interrupted")
			require.NoError(t, m.Repair(ordered("o1")))
			require.NoError(t, m.Apply(ordered("o2"), []patching.Patch{undo(p)}))
			stands, err := m.Look(ordered("o2"), []patching.Patch{undo(p)})
			require.NoError(t, err)
			require.Equal(t, agent.Standing{Version: p.From}, stands[0])
		})
	}
}

// Serves G9: a machine goes back behind a new kernel, which goes where it does
// not run.
func TestAKernelIsRemovedAgainUnlessItRuns(t *testing.T) {
	for name, restarts := range map[string]bool{"it never ran": false, "it runs": true} {
		t.Run(name, func(t *testing.T) {
			m := host(t, t.TempDir())
			var forth, back []patching.Patch
			var image patching.Patch
			for _, p := range upgrades(t, m) {
				if !strings.HasPrefix(p.Name, "linux-image-") {
					continue
				}
				if forth = append(forth, p); p.From == "" {
					image = p
				} else {
					back = append(back, undo(p))
				}
			}
			require.NotEmpty(t, image.Name)
			old := m.boot.Load().Kernel
			require.NoError(t, m.Apply(ordered("o1"), forth))
			if restarts {
				require.NoError(t, m.Reboot(ordered("o1")))
				require.NotEqual(t, old, m.boot.Load().Kernel)
			}
			stands, err := m.Look(ordered("o2"), []patching.Patch{undo(image)})
			require.NoError(t, err)
			require.Equal(t, agent.Standing{Version: image.To, Running: restarts}, stands[0])
			err = m.Apply(ordered("o2"), []patching.Patch{undo(image)})
			require.Equal(t, restarts, err != nil, "%v", err)
			require.Equal(t, restarts, m.dpkg.has(image.Name))

			require.NoError(t, m.Apply(ordered("o2"), back), "what depends on the newest kernel goes back either way")
			require.False(t, m.rebootPending(), "a restart would change nothing")
			require.NoError(t, m.Reboot(ordered("o2")))
			require.Equal(t, restarts, m.boot.Load().Kernel != old, "the newest kernel is started, whatever depends on it")
		})
	}
}
