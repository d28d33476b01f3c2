package agent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// revert issues the order to undo a bundle tonight, and permits it.
func (b *bench) revert(bundle patching.Bundle) {
	b.t.Helper()
	b.office.issue(b.draft(trust.Revert, bundle))
	b.office.permit("o-1")
}

// misfired leaves a package half configured at a version whose postinst fails,
// as an apply that no repair could pass.
func (b *bench) misfired(name, version string) {
	b.box.installed[name], b.box.broken[name] = version, true
	b.box.bad = map[string]string{name: version}
}

// Serves G9.
func TestARevertBringsTheEarlierVersionsBack(t *testing.T) {
	b := newBench(t)
	b.box.installed["openssl"], b.box.installed["nginx"] = "2", "8" // the kernel never came
	b.revert(twoSteps())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome)
	assert.Equal(t, map[string]string{"openssl": "1", "nginx": "7", "linux": "5"}, b.box.installed)
	assert.NotContains(t, b.box.wrote, "unpacked linux 5")
}

func TestARevertOfNothingIsDone(t *testing.T) {
	b := newBench(t)
	b.revert(twoSteps())
	assert.Equal(t, patching.RolledBack, b.untilFinal("o-1").Outcome)
	assert.Empty(t, b.box.wrote)
}

func TestARevertThatFailsNeedsHands(t *testing.T) {
	for name, spoil := range map[string]func(*bench){
		"the old version is gone": func(b *bench) { b.box.onFetch = func() error { return errors.New("404") } },
		"its script fails": func(b *bench) {
			b.box.onApply = func(patching.Patch) error { return errors.New("postinst") }
			b.box.onRepair = func() error { return errors.New("no") }
		},
		"it was never permitted": func(b *bench) { delete(b.office.leases, "o-1") },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.installed["openssl"] = "2"
			b.office.issue(b.draft(trust.Revert, small()))
			b.office.permit("o-1")
			spoil(b)
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.NeedsHands, last.Outcome)
			assert.Equal(t, patching.ReasonRollBackFailed, last.Reason)
			assert.NotEmpty(t, last.Detail)
		})
	}
}

// Serves G9, Q4. The lab's faults 01 and 04: configuring again fails again,
// installing the earlier version repairs.
func TestARevertReplacesWhatABadScriptLeftHalfConfigured(t *testing.T) {
	b := newBench(t)
	b.misfired("openssl", "2")
	b.revert(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome, last.Detail)
	assert.Equal(t, patching.ReasonRolledBack, last.Reason)
	assert.Equal(t, "1", b.box.installed["openssl"])
	assert.False(t, b.box.broken["openssl"])
	assert.Zero(t, last.Repairs)
	assert.Equal(t, []string{"apply for o-1", "unpacked openssl 1", "configured openssl 1"}, b.box.wrote, "the bad script is not run again")
	assert.Equal(t, []patching.Change{{Name: "openssl", Arch: "amd64", From: "2", To: "1"}}, last.Changes)
}

// The lab's fault 01c: while a package of a later step is half configured, each
// transaction fails, though it does what it was asked for.
func TestAStepOfARevertMayFailForAPackageOfALaterOne(t *testing.T) {
	b := newBench(t)
	b.misfired("openssl", "2")
	b.box.installed["nginx"], b.box.installed["linux"] = "8", "6"
	b.revert(twoSteps())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome, last.Detail)
	assert.Equal(t, map[string]string{"openssl": "1", "nginx": "7", "linux": "5"}, b.box.installed)
	assert.Contains(t, b.box.wrote, "failed openssl 2", "with the step of the kernel")
	assert.False(t, b.box.broken["openssl"])
	assert.Len(t, last.Changes, 3)
}

func TestANewPackageThatIsHalfConfiguredIsRemovedAgain(t *testing.T) {
	b := newBench(t)
	b.misfired("tool", "1")
	b.revert(patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{
		{Action: patching.Install, Name: "tool", Arch: "amd64", To: "1", Reversible: patching.ByUninstall},
	}}}})
	assert.Equal(t, patching.RolledBack, b.untilFinal("o-1").Outcome)
	assert.NotContains(t, b.box.installed, "tool")
	assert.Equal(t, []string{"apply for o-1", "removed tool"}, b.box.wrote)
}

// What is broken at the version that it should have is repaired, before
// anything else is tried.
func TestWhatIsHalfConfiguredAtTheEarlierVersionIsRepaired(t *testing.T) {
	b := newBench(t)
	b.box.broken["openssl"] = true
	b.revert(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome, last.Detail)
	assert.Equal(t, 1, last.Repairs)
	assert.Equal(t, []string{"repair", "configured openssl 1"}, b.box.wrote)
}

func TestARevertWhoseEarlierVersionFailsTooNeedsHands(t *testing.T) {
	b := newBench(t)
	b.misfired("openssl", "2")
	b.box.onApply = func(p patching.Patch) error {
		b.box.bad[p.Name] = p.To // whatever comes
		return nil
	}
	b.revert(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, patching.ReasonRollBackFailed, last.Reason)
	assert.Equal(t, "openssl: postinst", last.Signature)
	assert.Equal(t, 1, strings.Count(strings.Join(b.box.wrote, "\n"), "apply"), "%q", b.box.wrote)
}

// A transaction that is refused leaves the package where it was: one repair, one
// more try, and a person.
func TestARevertThatIsRefusedAgainAndAgainNeedsHands(t *testing.T) {
	b := newBench(t)
	b.misfired("openssl", "2")
	tries := 0
	b.box.onApply = func(p patching.Patch) error {
		tries++
		b.box.installed[p.Name] = p.From // its preinst failed
		return &Failure{Reason: patching.ReasonInstallFailed, Detail: "preinst returned 1", Signature: "openssl: preinst"}
	}
	b.revert(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Contains(t, last.Detail, "preinst returned 1")
	assert.Equal(t, 2, tries)
	assert.Equal(t, 1, last.Repairs)
}

// An apply that finds its own package half configured at another version, from
// a cycle before, brings the version that may mend it.
func TestAnApplyReplacesWhatAnEarlierPatchLeftHalfConfigured(t *testing.T) {
	b := newBench(t)
	b.misfired("openssl", "1")
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome, last.Detail)
	assert.Equal(t, []string{"apply for o-1", "unpacked openssl 2", "configured openssl 2"}, b.box.wrote)
}

// newKernel upgrades openssl, then brings a kernel beside the old one.
func newKernel() patching.Bundle {
	b := small()
	meta := upgrade("linux-image-amd64", "5", "6")
	meta.NeedsReboot = true
	image := patching.Patch{
		Action: patching.Install, Name: "linux-image-6-amd64", Arch: "amd64", To: "6", NeedsReboot: true, Reversible: patching.UnlessRunning,
	}
	b.Steps = append(b.Steps, patching.Step{Patches: []patching.Patch{image, meta}, Restart: true})
	return b
}

// Serves G9: what still differs afterwards is listed.
func TestAKernelThatRunsStaysAndIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		running string
		broken  bool
		wrote   []string
		detail  string
	}{
		"it runs": {
			running: "linux-image-6-amd64",
			wrote:   []string{"apply for o-1", "unpacked linux-image-amd64 5", "configured linux-image-amd64 5", "apply for o-1", "unpacked openssl 1", "configured openssl 1"},
			detail:  "linux-image-6-amd64 stays installed: the machine runs it.",
		},
		"the machine never came to run it": {
			wrote: []string{"apply for o-1", "removed linux-image-6-amd64", "unpacked linux-image-amd64 5", "configured linux-image-amd64 5", "apply for o-1", "unpacked openssl 1", "configured openssl 1"},
		},
		"its own script failed": {
			broken: true,
			wrote:  []string{"apply for o-1", "removed linux-image-6-amd64", "unpacked linux-image-amd64 5", "configured linux-image-amd64 5", "apply for o-1", "unpacked openssl 1", "configured openssl 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.installed = map[string]string{"openssl": "2", "linux-image-amd64": "6", "linux-image-6-amd64": "6"}
			if c.broken {
				b.misfired("linux-image-6-amd64", "6")
			}
			b.box.running = c.running
			b.revert(newKernel())
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.RolledBack, last.Outcome, last.Detail)
			assert.Equal(t, c.detail, last.Detail)
			assert.Equal(t, c.wrote, b.box.wrote, "and no restart: none would change what runs")
			for _, change := range last.Changes {
				assert.NotEqual(t, c.running, change.Name, "it was not removed")
			}
		})
	}
}

func TestAMachineThatIsBackAlreadyNamesItsKernelToo(t *testing.T) {
	b := newBench(t)
	b.box.installed = map[string]string{"openssl": "1", "linux-image-amd64": "5", "linux-image-6-amd64": "6"}
	b.box.running = "linux-image-6-amd64"
	b.revert(newKernel())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome)
	assert.Equal(t, "It had the earlier versions already. linux-image-6-amd64 stays installed: the machine runs it.", last.Detail)
	assert.Empty(t, b.box.wrote)
}

func TestARunningKernelThatIsHalfConfiguredIsRepaired(t *testing.T) {
	b := newBench(t)
	b.box.installed = map[string]string{"openssl": "1", "linux-image-amd64": "5", "linux-image-6-amd64": "6"}
	b.box.broken["linux-image-6-amd64"], b.box.running = true, "linux-image-6-amd64"
	b.revert(newKernel())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.RolledBack, last.Outcome, last.Detail)
	assert.Equal(t, []string{"repair", "configured linux-image-6-amd64 6"}, b.box.wrote)
}

// Serves Q2: the earlier versions may not have been what was missing.
func TestAServiceThatTheEarlierVersionsDoNotBringBackIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		sick   func(*bench) bool
		detail string
		waited time.Duration
	}{
		"it comes back by itself": {func(b *bench) bool { return b.box.installed["openssl"] == "2" }, "", 0},
		"it takes its time":       {func(b *bench) bool { return b.clock.now.Before(tonight.Add(time.Minute)) }, "", time.Minute},
		"it does not come back":   {func(*bench) bool { return true }, "Not running: nginx.service.", 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.installed["openssl"] = "2"
			b.box.sick = func(*box) []string {
				if c.sick(b) {
					return []string{"nginx.service"}
				}
				return nil
			}
			b.revert(small())
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.RolledBack, last.Outcome)
			assert.Equal(t, c.detail, last.Detail)
			assert.GreaterOrEqual(t, last.At.Sub(tonight), c.waited)
			assert.Less(t, last.At.Sub(tonight), c.waited+time.Minute)
		})
	}
}

// Serves G6, G9: going back stands the same kills as going forth, from the
// state in which it is needed most.
func TestKilledAtAnyEventARevertComesToItsEnd(t *testing.T) {
	whole := func(power bool, kill int) *bench {
		b := newBench(t)
		b.power, b.fuse.kill = power, map[int]bool{kill: true}
		b.box.installed["nginx"], b.box.installed["linux"] = "8", "6"
		b.misfired("openssl", "2")
		b.revert(twoSteps())
		last := b.untilFinal("o-1")
		require.Equal(t, patching.RolledBack, last.Outcome, "%s: %q", last.Detail, b.box.wrote)
		return b
	}
	quiet := whole(false, 0)
	require.Greater(t, quiet.fuse.events, 25)
	for _, power := range []bool{false, true} {
		for n := 1; n <= quiet.fuse.events; n++ {
			t.Run(fmt.Sprintf("power %t, event %d, %s", power, n, quiet.fuse.named[n-1]), func(*testing.T) {
				b := whole(power, n)
				assert.Empty(t, b.box.repeats(), "%q", b.box.wrote)
				assert.Equal(t, map[string]string{"openssl": "1", "nginx": "7", "linux": "5"}, b.box.installed)
				assert.False(t, b.box.broken["openssl"])
				assert.GreaterOrEqual(t, b.lives, 2, "it was killed")
			})
		}
	}
}
