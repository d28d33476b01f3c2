package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestAnOrderGoesFromAcceptedToPatched(t *testing.T) {
	b := newBench(t)
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, []patching.Stage{
		patching.StageAccepted, patching.StageFetched, patching.StageStarted,
		patching.StageInstalled, patching.StageRebooting, patching.StageFinished,
	}, b.office.stages("o-1"))
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Equal(t, patching.ReasonVerified, last.Reason)
	assert.Equal(t, []patching.Change{
		{Name: "openssl", Arch: "amd64", From: "1", To: "2"},
		{Name: "nginx", Arch: "amd64", From: "7", To: "8"},
		{Name: "linux", Arch: "amd64", From: "5", To: "6"},
	}, last.Changes)
	assert.Equal(t, []string{
		"apply for o-1", "unpacked openssl 2", "configured openssl 2", "unpacked nginx 8", "configured nginx 8",
		"apply for o-1", "unpacked linux 6", "configured linux 6", "reboot",
	}, b.box.wrote, "one step at a time, the kernel alone with its restart")
	b.run(func() bool { return len(b.office.facts) == 2 })
}

func TestAStepThatNeedsNoRestartGetsNone(t *testing.T) {
	b := newBench(t)
	bundle := small()
	bundle.Steps[0].Restart = true
	b.apply(bundle)
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
	assert.NotContains(t, b.box.wrote, "reboot")
}

// Scenario 29: the repository changed between plan and window.
func TestAnOrderThatWouldChangeMoreThanWasApprovedIsDeferred(t *testing.T) {
	for name, c := range map[string]struct {
		extra  patching.Change
		detail string
	}{
		"another package comes along": {patching.Change{Name: "libevil", Arch: "amd64", To: "1"}, "It would also change: install libevil 1"},
		"a package would go":          {patching.Change{Name: "nginx", Arch: "amd64", From: "7"}, "It would also change: remove nginx"},
		"another version would come":  {patching.Change{Name: "openssl", Arch: "amd64", From: "1", To: "3"}, "It would also change: openssl from 1 to 3"},
		"it is another version now":   {patching.Change{Name: "openssl", Arch: "amd64", From: "9", To: "2"}, "It would also change: openssl from 9 to 2"},
		"for another architecture":    {patching.Change{Name: "openssl", Arch: "i386", From: "1", To: "2"}, "It would also change: openssl from 1 to 2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.onSimulate = func(all []patching.Change) []patching.Change { return append(all, c.extra) }
			b.apply(small())
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			assert.Equal(t, patching.Deferred, last.Outcome)
			assert.Equal(t, patching.ReasonPlanStale, last.Reason)
			assert.Equal(t, c.detail, last.Detail)
			assert.Empty(t, b.box.wrote)
		})
	}
}

func TestAPlanThatGoesStaleBetweenStepsStopsThere(t *testing.T) {
	b := newBench(t)
	b.box.onSimulate = func(all []patching.Change) []patching.Change {
		if b.box.installed["openssl"] == "2" {
			all = append(all, patching.Change{Name: "libevil", Arch: "amd64", To: "1"})
		}
		return all
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonPlanStale, last.Reason)
	assert.Len(t, last.Changes, 2, "what the first step changed is told")
	assert.Equal(t, "5", b.box.installed["linux"])
}

func TestAPlanThatGoesStaleAfterTheBeginningChangesNothing(t *testing.T) {
	b := newBench(t)
	asked := 0
	b.box.onSimulate = func(all []patching.Change) []patching.Change {
		if asked++; asked > 1 {
			all = append(all, patching.Change{Name: "libevil", Arch: "amd64", To: "1"})
		}
		return all
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonPlanStale, last.Reason)
	assert.Empty(t, b.box.wrote)
}

// Serves Q2, G9.
func TestAnOrderOfWhichATryThatWasCutOffDidAPartIsNotDeferred(t *testing.T) {
	locked := &Failure{Reason: patching.ReasonLocked}
	for name, second := range map[string]func(b *bench){
		"a transaction that cannot begin": func(b *bench) {
			b.box.onApply = func(p patching.Patch) error {
				if p.Name == "nginx" {
					b.box.installed[p.Name], b.box.broken[p.Name] = p.From, false
					return locked
				}
				return nil
			}
		},
		"a plan that went stale": func(b *bench) {
			b.box.onSimulate = func(all []patching.Change) []patching.Change {
				if b.box.installed["openssl"] == "2" {
					all = append(all, patching.Change{Name: "libevil", Arch: "amd64", To: "1"})
				}
				return all
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			quiet, _ := whole(t, false)
			cut := slices.Index(quiet.fuse.named, "between two packages")
			b := newBench(t)
			b.fuse.kill = map[int]bool{cut + 1: true}
			second(b)
			b.apply(twoSteps())
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			require.Equal(t, 2, b.lives)
			assert.Equal(t, "2", b.box.installed["openssl"])
			assert.Equal(t, "7", b.box.installed["nginx"])
			assert.Equal(t, patching.Failed, last.Outcome)
			assert.Len(t, last.Changes, 1)
		})
	}
}

// Serves Q2.
func TestTriesAreCountedOverLossesOfPower(t *testing.T) {
	b := newBench(t)
	b.power = true
	b.box.onApply = func(p patching.Patch) error {
		b.box.installed[p.Name], b.box.broken[p.Name] = p.From, false // nothing of it had reached the disk
		panic(killed{})
	}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, "It was interrupted 3 times.", last.Detail)
}

func TestWhatKeepsAnOrderFromBeginningIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		err     error
		outcome patching.Outcome
		reason  patching.Reason
		detail  string
	}{
		"a full disk":    {&Failure{Reason: patching.ReasonPreflight, Detail: "/var has 12 MB left"}, patching.Failed, patching.ReasonPreflight, "/var has 12 MB left"},
		"a foreign lock": {&Failure{Reason: patching.ReasonLocked}, patching.Deferred, patching.ReasonLocked, ""},
		"anything else":  {errors.New("exit status 2"), patching.Failed, patching.ReasonPreflight, "exit status 2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.onPreflight = func() error { return c.err }
			b.apply(small())
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			assert.Equal(t, c.outcome, last.Outcome)
			assert.Equal(t, c.reason, last.Reason)
			assert.Equal(t, c.detail, last.Detail)
			assert.Empty(t, b.box.wrote)
		})
	}
}

// Serves Q4.
func TestWhatOthersLeftHalfInstalledIsRepairedBeforeTheOrderOnce(t *testing.T) {
	half := &Failure{Reason: patching.ReasonPreflight, Detail: "Half installed: grub", Mendable: true}
	repaired := func(b *bench) bool { return slices.Contains(b.box.wrote, "repair") }
	for name, c := range map[string]struct {
		helps   bool
		rules   Rules
		outcome patching.Outcome
		repairs int
	}{
		"it helps":                   {true, Rules{}, patching.Patched, 1},
		"it does not":                {false, Rules{}, patching.Failed, 1},
		"the machine's rules say no": {true, Rules{Allowed: []trust.Verb{trust.Apply}}, patching.Failed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.rules = c.rules
			b.box.onPreflight = func() error {
				if c.helps && repaired(b) {
					return nil
				}
				return half
			}
			b.apply(small())
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			assert.Equal(t, c.outcome, last.Outcome)
			assert.Equal(t, c.repairs, last.Repairs)
			if c.outcome == patching.Failed {
				assert.Equal(t, half.Detail, last.Detail)
			}
			assert.Equal(t, c.repairs > 0, repaired(b))
		})
	}
}

func TestWhatIsInPlaceAlreadyIsLeftAlone(t *testing.T) {
	b := newBench(t)
	b.box.installed["openssl"] = "2"
	b.apply(small())
	b.office.permit("o-1")
	assert.Equal(t, patching.AlreadyUpToDate, b.untilFinal("o-1").Outcome)
	assert.Empty(t, b.box.wrote)

	b = newBench(t)
	b.box.installed["openssl"] = "2"
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Len(t, last.Changes, 2, "only what this order changed")
	assert.NotContains(t, b.box.wrote, "unpacked openssl 2")
}

// Serves Q4.
func TestAHalfInstalledPackageIsRepairedOnce(t *testing.T) {
	b := newBench(t)
	failures := 1
	b.box.onApply = func(patching.Patch) error {
		if failures--; failures >= 0 {
			return &Failure{Reason: patching.ReasonInstallFailed, Detail: "postinst returned 1", Signature: "openssl: postinst"}
		}
		return nil
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Equal(t, 1, last.Repairs)
	assert.Equal(t, []string{
		"apply for o-1", "unpacked openssl 2", "repair", "configured openssl 2", "apply for o-1", "unpacked nginx 8",
	}, b.box.wrote[:6], "the rest of the step follows the repair")
}

// Serves G9.
// The failure that was repaired explains nothing that is wrong afterwards.
func TestAFailureThatWasRepairedIsNotBlamedForAServiceThatDied(t *testing.T) {
	b := newBench(t)
	b.box.sick = func(m *box) []string {
		if m.installed["openssl"] == "2" {
			return []string{"smbd.service"}
		}
		return nil
	}
	b.box.onApply = func(patching.Patch) error {
		return &Failure{Reason: patching.ReasonInstallFailed, Detail: "postinst returned 1", Signature: "openssl: postinst"}
	}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonServiceBroken, last.Reason)
	assert.Equal(t, "Not running: smbd.service", last.Detail)
	assert.Equal(t, "smbd.service: not running", last.Signature)
	assert.Equal(t, 1, last.Repairs)
}

func TestARepairThatTheAgentWasKilledInIsBegunAgain(t *testing.T) {
	b := newBench(t)
	b.box.onApply = func(patching.Patch) error { return errors.New("postinst returned 1") }
	lives := b.lives
	b.box.onRepair = func() error {
		if b.lives < lives+2 {
			panic(killed{})
		}
		return nil
	}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Equal(t, 1, last.Repairs, "one step needed one")
}

// Serves Q4: the second try tells the failure by the same signature as the
// first, or the gates would count one failure as two.
func TestASecondOrderOverWhatTheFirstLeftHalfInstalledEndsByTheSameSignature(t *testing.T) {
	b := newBench(t)
	b.box.installed["openssl"], b.box.broken["openssl"] = "2", true
	b.box.bad = map[string]string{"openssl": "2"}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, "openssl: postinst", last.Signature)
	assert.Equal(t, "postinst returned 1", last.Detail)
	assert.Equal(t, []string{"repair", "failed openssl 2"}, b.box.wrote)
}

func TestWhatCannotBeRepairedNeedsHands(t *testing.T) {
	b := newBench(t)
	b.box.onApply = func(patching.Patch) error {
		return &Failure{Reason: patching.ReasonInstallFailed, Detail: "postinst returned 1", Signature: "openssl: postinst"}
	}
	b.box.onRepair = func() error { return errors.New("postinst returned 1") }
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, patching.ReasonInstallFailed, last.Reason)
	assert.Equal(t, "openssl: postinst", last.Signature)
	assert.Equal(t, 1, last.Repairs)
	assert.Equal(t, []string{"apply for o-1", "unpacked openssl 2", "repair"}, b.box.wrote)
	assert.Equal(t, []patching.Change{{Name: "openssl", Arch: "amd64", From: "1", To: "2"}}, last.Changes, "it is changed, though half")
}

func TestATransactionThatFailsCleanlyFails(t *testing.T) {
	b := newBench(t)
	b.box.onApply = func(p patching.Patch) error {
		b.box.installed[p.Name], b.box.broken[p.Name] = p.From, false
		return errors.New("hash sum mismatch")
	}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonInstallFailed, last.Reason)
	assert.Equal(t, "hash sum mismatch", last.Detail)
	assert.Empty(t, last.Changes)
}

// Serves G9.
func TestAMachineOnWhichAnotherPackageBrokeIsNotRestarted(t *testing.T) {
	for name, cured := range map[string]bool{"a repair does not help": false, "a repair helps": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.box.failing = []string{"old-trouble (half installed)"}
			trigger := false
			b.box.sick = func(*box) []string {
				if trigger {
					return []string{"initramfs-tools (half installed)"}
				}
				return nil
			}
			b.box.afterApply = func() error {
				trigger = true
				return &Failure{Reason: patching.ReasonInstallFailed, Detail: "update-initramfs: no space left on /boot", Signature: "initramfs-tools: postinst"}
			}
			b.box.onRepair = func() error {
				trigger = !cured
				return nil
			}
			b.apply(patching.Bundle{Manager: "apt", Steps: []patching.Step{kernel()}})
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			assert.Equal(t, "6", b.box.installed["linux"], "what was asked for is in place")
			if cured {
				assert.Equal(t, patching.Patched, last.Outcome)
				assert.Contains(t, b.box.wrote, "reboot")
				return
			}
			assert.NotContains(t, b.box.wrote, "reboot", "it might not come back")
			assert.Equal(t, patching.Failed, last.Outcome)
			assert.Equal(t, patching.ReasonInstallFailed, last.Reason)
			assert.Equal(t, "initramfs-tools: postinst", last.Signature)
			assert.Equal(t, "update-initramfs: no space left on /boot Not running: initramfs-tools (half installed)", last.Detail)
			assert.Len(t, last.Changes, 1)
		})
	}
}

// Serves G9.
func TestAnAgentThatWasKilledLooksForWhatBrokeBeforeItRestarts(t *testing.T) {
	b := newBench(t)
	trigger := false
	b.box.sick = func(*box) []string {
		if trigger {
			return []string{"initramfs-tools (half installed)"}
		}
		return nil
	}
	b.box.afterApply = func() error {
		trigger = true
		panic(killed{})
	}
	b.apply(patching.Bundle{Manager: "apt", Steps: []patching.Step{kernel()}})
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.NotContains(t, b.box.wrote, "reboot")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, "Not running: initramfs-tools (half installed)", last.Detail)
}

func TestWhatAMachinePrintsNeedNotBeUTF8(t *testing.T) {
	b := newBench(t)
	b.box.failing = []string{"caf\xe9.service"}
	b.box.onApply = func(patching.Patch) error { return errors.New("d\xe9faut \x1b[31m") }
	lives := b.lives
	b.box.onRepair = func() error {
		if b.lives == lives {
			panic(killed{}) // so that it reads its journal
		}
		return errors.New("encore")
	}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, "d\uFFFDfaut \x1b[31m", last.Detail)
}

// Serves G13 and G15.
func TestAServiceThatDoesNotComeBackFailsTheOrder(t *testing.T) {
	b := newBench(t)
	b.box.failing = []string{"old-trouble.service"}
	b.box.sick = func(b *box) []string {
		if b.installed["nginx"] == "8" {
			return []string{"nginx.service"}
		}
		return nil
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonServiceBroken, last.Reason)
	assert.Equal(t, "Not running: nginx.service", last.Detail, "what was down before is not laid to the patch")
	assert.Equal(t, "nginx.service: not running", last.Signature)
	assert.Equal(t, "5", b.box.installed["linux"], "the next step was not begun")
	assert.Len(t, last.Changes, 2)
}

func TestAServiceMayTakeItsTimeToComeUp(t *testing.T) {
	b := newBench(t)
	b.box.sick = func(box *box) []string {
		if box.installed["openssl"] == "2" && b.clock.now.Before(tonight.Add(time.Minute)) {
			return []string{"nginx.service"}
		}
		return nil
	}
	b.apply(small())
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

// Serves G13: such a service runs at most moments that one looks.
func TestAServiceThatDiesAgainAndAgainFailsTheOrder(t *testing.T) {
	for name, c := range map[string]struct {
		every   time.Duration // it dies so often
		times   int           // and so often in all
		outcome patching.Outcome
		waited  time.Duration
	}{
		"it dies at once":         {time.Second, 1000, patching.Failed, 2 * time.Minute},
		"it runs for a while":     {9 * time.Second, 1000, patching.Failed, 2 * time.Minute},
		"it needed a second try":  {3 * time.Second, 1, patching.Patched, 2 * time.Minute},
		"it runs as it should":    {time.Second, 0, patching.Patched, 10 * time.Second},
		"it dies later than that": {time.Hour, 1000, patching.Patched, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			var since time.Time
			b.box.counts = func() map[string]int {
				if b.box.installed["openssl"] == "1" {
					return map[string]int{"flaky.service": 7}
				}
				if since.IsZero() {
					since = b.clock.now
				}
				n := min(c.times, int(b.clock.now.Sub(since)/c.every))
				return map[string]int{"nginx.service": n, "flaky.service": 8}
			}
			b.apply(small())
			b.office.permit("o-1")
			last := b.untilFinal("o-1")
			assert.Equal(t, c.outcome, last.Outcome, last.Detail)
			if c.outcome == patching.Failed {
				assert.Equal(t, patching.ReasonServiceBroken, last.Reason)
				assert.Equal(t, "Dies and is started again: nginx.service", last.Detail)
				assert.Equal(t, "nginx.service: not running", last.Signature)
			}
			assert.GreaterOrEqual(t, last.At.Sub(since), c.waited)
			assert.Less(t, last.At.Sub(since), c.waited+10*time.Second)
		})
	}
}

// Serves G13.
func TestWhatWasSoBeforeIsNotLaidToThePatch(t *testing.T) {
	for name, c := range map[string]struct {
		before, now map[string]int
		want        decline
	}{
		"nothing counts":                     {nil, nil, decline{}},
		"nothing died":                       {nil, map[string]int{}, decline{counted: true}},
		"one restart":                        {nil, map[string]int{"a": 1}, decline{counted: true, restless: true}},
		"three":                              {nil, map[string]int{"a": 3}, decline{counted: true, restless: true, looping: []string{"a"}}},
		"as many as before":                  {map[string]int{"a": 3}, map[string]int{"a": 3}, decline{counted: true}},
		"a few more of what dies often":      {map[string]int{"a": 100}, map[string]int{"a": 104}, decline{counted: true}},
		"many more of what died seldom":      {map[string]int{"a": 2}, map[string]int{"a": 7}, decline{counted: true, restless: true, looping: []string{"a"}}},
		"counted anew, as often as before":   {map[string]int{"a": 9}, map[string]int{"a": 5}, decline{counted: true}},
		"counted anew, more often":           {map[string]int{"a": 1}, map[string]int{"a": 5}, decline{counted: true, restless: true, looping: []string{"a"}}},
		"what was down before":               {nil, map[string]int{"down": 9}, decline{counted: true}},
		"what is down is not named twice":    {nil, map[string]int{"new": 9}, decline{counted: true, failing: []string{"new"}}},
		"two, in the order of their letters": {nil, map[string]int{"b": 4, "a": 5, "c": 1}, decline{counted: true, restless: true, looping: []string{"a", "b"}}},
	} {
		t.Run(name, func(t *testing.T) {
			before, now := Health{Failing: []string{"down"}, Restarts: c.before}, Health{Failing: []string{"down"}, Restarts: c.now}
			if len(c.want.failing) > 0 {
				now.Failing = append(now.Failing, c.want.failing...)
			}
			assert.Equal(t, c.want, declined(before, now))
		})
	}
}

func TestAPatchThatIsNotThereAfterTheRestartHasNotTaken(t *testing.T) {
	b := newBench(t)
	b.box.onBoot = func() { b.box.installed["linux"] = "5" }
	b.apply(patching.Bundle{Manager: "apt", Steps: []patching.Step{kernel()}})
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Failed, last.Outcome)
	assert.Equal(t, patching.ReasonNotTaken, last.Reason)
}

// Scenario 22.
func TestABootLoopIsLeftAfterThreeRestarts(t *testing.T) {
	b := newBench(t)
	b.box.onLook = func() error {
		if b.box.boot > 1 {
			b.box.restart() // it crashes whenever the check begins
			panic(killed{})
		}
		return nil
	}
	b.apply(patching.Bundle{Manager: "apt", Steps: []patching.Step{kernel()}})
	b.office.permit("o-1")
	b.run(func() bool { return b.box.boot == 5 })
	b.box.onLook = nil
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, patching.ReasonNoBoot, last.Reason)
	assert.Equal(t, "It restarted 4 times without passing its check.", last.Detail)
	assert.Equal(t, 1, strings.Count(strings.Join(b.box.wrote, "\n"), "reboot"), "the agent asked for one of them")
}

func TestEveryStepMayHaveItsRestart(t *testing.T) {
	b := newBench(t)
	var bundle patching.Bundle
	bundle.Manager = "apt"
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		p := upgrade(name, "1", "2")
		p.NeedsReboot = true
		b.box.installed[name] = "1"
		bundle.Steps = append(bundle.Steps, patching.Step{Patches: []patching.Patch{p}, Restart: true})
	}
	b.apply(bundle)
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome, "five restarts that were wanted and passed are no loop")
	assert.Equal(t, 6, b.box.boot)
}

func TestAMachineThatDoesNotRestartNeedsHands(t *testing.T) {
	b := newBench(t)
	b.box.deaf = true
	b.apply(patching.Bundle{Manager: "apt", Steps: []patching.Step{kernel()}})
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.NeedsHands, last.Outcome)
	assert.Equal(t, patching.ReasonNoBoot, last.Reason)
	assert.Equal(t, 3, strings.Count(strings.Join(b.box.wrote, "\n"), "reboot"))
}

func TestADownloadThatFailsIsTriedAgain(t *testing.T) {
	b := newBench(t)
	failures := 3
	b.box.onFetch = func() error {
		if failures--; failures >= 0 {
			return errors.New("connection reset")
		}
		return nil
	}
	b.apply(small())
	b.office.grantLease = true
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
	assert.Equal(t, 4, b.box.fetched)
}

func TestADownloadThatNeverSucceedsIsNotLaidToThePatch(t *testing.T) {
	b := newBench(t)
	b.box.onFetch = func() error { return errors.New("no route to host") }
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonDownload, last.Reason)
	assert.Equal(t, "no route to host", last.Detail)
	assert.False(t, last.Outcome.Bad())
	assert.Less(t, b.box.fetched, 60, "with longer and longer pauses")
}

// Serves G9: what was frozen when the plan was made is what is installed.
func TestAnOrderTakesItsPackagesFromTheSnapshotThatItsBundleNames(t *testing.T) {
	b := newBench(t)
	frozen := patching.Sources{Snapshot: strings.Repeat("0a", 16), Indexes: []patching.SourceIndex{{
		Repository: "debian", Generation: "1f", Suite: "bookworm", Components: []string{"main"}, Architectures: []string{"amd64"},
	}}}
	text := frozen.Canonical()
	b.office.contents[patching.DigestOf(text)] = text
	bundle := small()
	bundle.Sources = patching.DigestOf(text)
	// It is on the shelf when the order starts: there is no line any more.
	b.box.onPreflight = func() error { b.office.down = true; return nil }
	b.box.sick = func(*box) []string { b.office.down = b.office.down && b.box.installed["openssl"] != "2"; return nil }
	b.apply(bundle)
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
	for _, what := range []string{"fetch", "preflight", "simulate", "apply"} {
		assert.Equal(t, frozen.Snapshot, b.box.sources[what], what)
	}
}

func TestSourcesThatCannotBeReadAreNotTaken(t *testing.T) {
	b := newBench(t)
	text := []byte("sources v1\t" + strings.Repeat("0a", 16) + "\ndebian\t1f\tstable\\nTrusted: yes\tmain\tamd64\n")
	b.office.contents[patching.DigestOf(text)] = text
	bundle := small()
	bundle.Sources = patching.DigestOf(text)
	b.apply(bundle)
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Contains(t, last.Detail, "not the name of a part of a repository")
	assert.Zero(t, b.box.fetched)
}

func TestABundleThatIsNotWhatWasOrderedIsNotTaken(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.contents[small().Digest()] = twoSteps().Canonical()
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.ReasonDownload, last.Reason)
	assert.Contains(t, last.Detail, "the server sent something else")
}

// Design 6: the order that started goes on without a line.
func TestAStartedOrderGoesOnWithoutALine(t *testing.T) {
	b := newBench(t)
	b.box.onApply = func(patching.Patch) error { b.office.down = true; return nil }
	b.apply(twoSteps())
	b.office.permit("o-1")
	b.run(func() bool {
		return b.box.installed["linux"] == "6" && !b.box.pending && b.agent.state.underWay() == nil
	})
	assert.Empty(t, b.office.final("o-1"))
	b.until(tonight.Add(24 * time.Hour))
	b.office.down, b.box.onApply = false, nil
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestWhatCannotBeWrittenDownIsNotDone(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	_, err := b.agent.PollOnce(t.Context(), 0)
	require.NoError(t, err)
	b.disk.fail = errors.New("no space left on device")
	for range 3 {
		_, err = b.agent.Work(t.Context())
		assert.ErrorContains(t, err, "no space left")
	}
	assert.Empty(t, b.box.wrote)
	b.disk.fail = nil
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestAJournalThatTakesNothingIsNotTriedInALoop(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.turn()
	b.agent.mu.Lock()
	b.agent.note("o-1", patching.StageFetched, b.clock.now)
	b.agent.mu.Unlock()
	b.disk.fail, b.disk.failLazy = errors.New("read-only file system"), true
	wake, err := b.agent.Work(t.Context())
	if err == nil {
		assert.True(t, wake.After(b.clock.now))
	}
	assert.Empty(t, b.box.wrote)
}
