package storetest

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

func messages(t *testing.T, s *store.Store) {
	t.Run("a message counts once, whatever comes again", func(t *testing.T) {
		f := with(t, s, "once")
		f.enrol(2)
		require.Equal(t, []patching.Intake{patching.Taken, patching.Duplicate, patching.Taken}, f.became(f.report(1, 5), f.report(1, 5), f.report(1, 9)))
		require.Equal(t, []patching.Intake{patching.Duplicate, patching.Duplicate, patching.Taken}, f.became(f.report(1, 5), f.report(1, 9), f.report(2, 1)))
		d, err := f.Device(f.ctx, f.device(1))
		require.NoError(t, err)
		require.EqualValues(t, 9, d.Counter)
		require.Equal(t, "boot-1", d.Boot)
	})
	t.Run("an older counter that was never taken is refused as a replay", func(t *testing.T) {
		f := with(t, s, "replay")
		f.enrol(1)
		require.Equal(t, []patching.Intake{patching.Taken, patching.Replayed, patching.Replayed}, f.became(f.report(1, 5), f.report(1, 4), f.report(1, 0)))
		require.Equal(t, []patching.Intake{patching.Replayed}, f.became(f.report(1, 4)))
	})
	t.Run("a counter beyond what can be stored is refused, and spoils nobody else's report", func(t *testing.T) {
		f := with(t, s, "huge")
		f.enrol(2)
		require.Equal(t, []patching.Intake{patching.Replayed, patching.Taken}, f.became(f.report(1, math.MaxUint64), f.report(2, 1)))
	})
	// Serves Q15.
	for name, forked := range map[string]func(f fixture) patching.Report{
		"two messages under the last counter are a fork: the device is quarantined": func(f fixture) patching.Report { return f.report(1, 7) },
		"so are two messages under an earlier one":                                  func(f fixture) patching.Report { return f.report(1, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			f := with(t, s, "fork-"+map[bool]string{true: "a", false: "b"}[strings.Contains(name, "last")])
			f.enrol(2)
			f.take(f.report(1, 3), f.report(1, 7))
			clone := forked(f)
			clone.Digest = f.digest("something else")
			require.Equal(t, []patching.Intake{patching.Forked, patching.Stranger, patching.Taken}, f.became(clone, f.report(1, 8), f.report(2, 1)))
			d, err := f.Device(f.ctx, f.device(1))
			require.NoError(t, err)
			require.Equal(t, patching.DeviceQuarantined, d.State)
			require.EqualValues(t, 7, d.Counter)
			require.Equal(t, []patching.Intake{patching.Stranger}, f.became(f.report(1, 7)))
		})
	}
	t.Run("two messages under one counter in one batch are a fork too", func(t *testing.T) {
		f := with(t, s, "fork-batch")
		f.enrol(1)
		clone := f.report(1, 1)
		clone.Digest = f.digest("something else")
		require.Equal(t, []patching.Intake{patching.Taken, patching.Forked}, f.became(f.report(1, 1), clone))
	})
	t.Run("who is unknown, pending or revoked is a stranger", func(t *testing.T) {
		f := with(t, s, "stranger")
		f.enrol(1)
		require.NoError(t, f.PutEnrolToken(f.ctx, store.EnrolToken{Hash: f.digest("slow"), Uses: 1, Expires: at(60)}))
		_, err := f.Enrol(f.ctx, f.digest("slow"), noon, patching.Device{ID: f.device(2), Key: []byte("pending")}, patching.Asset{ID: f.asset(2)})
		require.NoError(t, err)
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(1), patching.DeviceRevoked))
		strange := f.report(3, 1)
		strange.Device = "nul\x00 and \xff"
		require.Equal(t, []patching.Intake{patching.Stranger, patching.Stranger, patching.Stranger, patching.Stranger},
			f.became(f.report(1, 1), f.report(2, 1), f.report(3, 1), strange))
	})
	t.Run("500 messages of 500 machines are taken at once, and again are all duplicates", func(t *testing.T) {
		f := with(t, s, "many")
		f.enrol(500)
		reports := make([]patching.Report, 500)
		for i := range reports {
			reports[i] = f.report(i+1, 1)
		}
		f.take(reports...)
		for _, k := range f.became(reports...) {
			require.Equal(t, patching.Duplicate, k)
		}
		none, err := f.TakeReports(f.ctx, nil)
		require.NoError(t, err)
		require.Empty(t, none)
	})
}

// inventory is a report whose facts are full, and changed as told.
func (f fixture) inventory(i int, counter uint64, change func(*patching.Asset)) patching.Report {
	a := fullAsset("not its own id")
	a.Site, a.Owner, a.Device = "not its site", "not its owner", "not its device"
	if change != nil {
		change(&a)
	}
	r := f.report(i, counter)
	r.Facts = &a
	return r
}

func inventories(t *testing.T, s *store.Store) {
	t.Run("what the machine says replaces what it said, what the server keeps stays", func(t *testing.T) {
		f := with(t, s, "facts")
		f.enrol(1)
		kept := patching.Asset{ID: f.asset(1), Site: "bern", Owner: "ana", Criticality: patching.High, Tags: []string{"db"}, Exposure: patching.Internet, Services: []string{"web"}}
		require.NoError(t, f.PutAsset(f.ctx, kept))
		f.take(f.inventory(1, 1, nil))
		want := fullAsset(f.asset(1))
		want.Device, want.Relay, want.Seen, want.Inventoried = f.device(1), "r1", at(30), at(30)
		want.Site, want.Owner, want.Criticality, want.Tags, want.Exposure, want.Services = "bern", "ana", patching.High, []string{"db"}, patching.Internet, []string{"web"}
		want.BusinessUnit, want.DataClass = "", ""
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		same(t, want, got)
	})
	t.Run("of two inventories in one batch the later counts, and a duplicate does not", func(t *testing.T) {
		f := with(t, s, "facts-later")
		f.enrol(1)
		rename := func(to string) func(*patching.Asset) { return func(a *patching.Asset) { a.Hostname = to } }
		f.take(f.inventory(1, 1, rename("one")), f.inventory(1, 2, rename("two")))
		require.Equal(t, []patching.Intake{patching.Duplicate}, f.became(f.inventory(1, 1, rename("one"))))
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		require.Equal(t, "two", got.Hostname)
	})
	t.Run("a clock that is off is noted for device and asset until it is right", func(t *testing.T) {
		f := with(t, s, "clocks")
		f.enrol(2)
		for _, off := range []time.Duration{-72 * time.Hour, 11 * time.Minute, 0} {
			require.NoError(t, f.NoteClocks(f.ctx, map[patching.DeviceID]time.Duration{f.device(1): off, "no-such-device": time.Hour}))
			a, err := f.Asset(f.ctx, f.asset(1))
			require.NoError(t, err)
			require.Equal(t, off, a.ClockOff)
			d, err := f.Device(f.ctx, f.device(1))
			require.NoError(t, err)
			require.Equal(t, off, d.ClockOff)
			other, err := f.Asset(f.ctx, f.asset(2))
			require.NoError(t, err)
			require.Zero(t, other.ClockOff)
		}
	})
	t.Run("every message notes the route and when the machine was seen", func(t *testing.T) {
		f := with(t, s, "seen")
		f.enrol(1)
		r := f.report(1, 1)
		r.At = at(31)
		f.take(r)
		late := f.report(1, 2)
		late.Relay, late.At = "", at(30) // spooled, then sent directly
		f.take(late)
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		same(t, at(31), got.Seen)
		require.Empty(t, got.Relay)
		require.True(t, got.Inventoried.IsZero())
	})
}

func strangeInventories(t *testing.T, s *store.Store) {
	t.Run("bytes that no database stores are made storable, and spoil nobody else's report", func(t *testing.T) {
		f := with(t, s, "bytes")
		f.enrol(2)
		f.take(f.inventory(1, 1, func(a *patching.Asset) {
			a.Hostname, a.Model, a.Tags = "nul\x00", strings.Repeat("ü", 5000), []string{"server's"}
			a.Addresses = []string{"\xff\xfe"}
		}), f.report(2, 1))
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		require.Equal(t, "nul\uFFFD", got.Hostname)
		require.Len(t, got.Model, 4096)
		require.Equal(t, []string{"\uFFFD"}, got.Addresses)
	})
	t.Run("a machine can say that patchcycle runs on it, and cannot unsay it", func(t *testing.T) {
		f := with(t, s, "carries")
		f.enrol(1)
		f.take(f.inventory(1, 1, nil))
		f.take(f.inventory(1, 2, func(a *patching.Asset) { a.CarriesPatchcycle = false }))
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		require.True(t, got.CarriesPatchcycle)
	})
	t.Run("a device that was replaced does not speak for the asset", func(t *testing.T) {
		f := with(t, s, "replaced")
		f.enrol(1)
		require.NoError(t, f.PutEnrolToken(f.ctx, store.EnrolToken{Hash: f.digest("second"), Uses: 1, Expires: at(60), AutoAccept: true}))
		_, err := f.Enrol(f.ctx, f.digest("second"), noon, patching.Device{ID: f.device(2), Key: []byte("installed anew")}, patching.Asset{ID: f.asset(1)})
		require.NoError(t, err)
		f.take(f.inventory(2, 1, func(a *patching.Asset) { a.Hostname = "new" }))
		f.take(f.inventory(1, 1, func(a *patching.Asset) { a.Hostname = "old" }))
		got, err := f.Asset(f.ctx, f.asset(1))
		require.NoError(t, err)
		require.Equal(t, "new", got.Hostname)
		require.Equal(t, f.device(2), got.Device)
	})
}

// changedSets shows which inventories are written down beside the newest.
func changedSets(t *testing.T, s *store.Store) {
	t.Run("whose packages changed is written down, with both sets", func(t *testing.T) {
		f := with(t, s, "changed")
		f.enrol(2)
		set := func(n int) patching.Digest { return f.digest(fmt.Sprint("set", n)) }
		say := func(counter uint64, hour, packages int) {
			r := f.report(1, counter)
			r.At = at(hour) // inventories are of when they came
			a, err := f.Asset(f.ctx, f.asset(1))
			require.NoError(t, err)
			a.Packages = set(packages)
			r.Facts = &a
			f.take(r)
		}
		say(1, 31, 1)
		say(2, 32, 1)
		before, err := f.Changes(f.ctx, f.asset(1), 10)
		require.NoError(t, err)
		say(3, 33, 2)
		say(4, 34, 3)
		got, err := f.Changes(f.ctx, f.asset(1), 10)
		require.NoError(t, err)
		same(t, []store.Changed{
			{Asset: f.asset(1), At: at(33), Since: at(32), Before: set(1), After: set(2)},
			{Asset: f.asset(1), At: at(34), Since: at(33), Before: set(2), After: set(3)},
		}, got[len(before):])
		newest, err := f.Changes(f.ctx, f.asset(1), 1)
		require.NoError(t, err)
		same(t, got[len(got)-1:], newest)
		other, err := f.Changes(f.ctx, f.asset(2), 10)
		require.NoError(t, err)
		require.Empty(t, other)
	})
}

func receipts(t *testing.T, s *store.Store) {
	changedSets(t, s)
	t.Run("receipts come back as the machine said them", func(t *testing.T) {
		f := with(t, s, "said")
		f.released(1)
		c := patching.Receipt{
			Order: f.order("apply", 1), Device: f.device(1), Counter: 2, Boot: "boot-1", At: at(29), Stage: patching.StageFinished,
			Outcome: patching.Failed, Reason: patching.ReasonInstallFailed, Detail: "dpkg: error", Signature: "openssl: postinst", Repairs: 2, Freed: 4096,
			Changes: []patching.Change{{Name: "openssl", Arch: "amd64", From: "1", To: "2"}, {Name: "new", Arch: "all", To: "1"}},
		}
		started := f.said("apply", 1, patching.StageStarted)
		started.Boot = "boot-1"
		f.take(f.report(1, 1, started), f.report(1, 2, c))
		got, err := f.Receipts(f.ctx, f.device(1), f.cycle())
		require.NoError(t, err)
		started.Device, started.Counter = f.device(1), 1
		same(t, []patching.Receipt{started, c}, got)
		none, err := f.Receipts(f.ctx, f.device(1), "cycle/other/2026-11.1")
		require.NoError(t, err)
		require.Empty(t, none)
		all, err := f.Receipts(f.ctx, f.device(1), "")
		require.NoError(t, err)
		require.Len(t, all, 2)
	})
	t.Run("an apply order moves its deployment stage by stage, by the server's clock", func(t *testing.T) {
		f := with(t, s, "stages")
		f.planned(1)
		f.issue("apply", 1)
		for i, c := range []struct {
			stage patching.Stage
			want  patching.DeploymentState
		}{
			{patching.StageAccepted, patching.DeploymentStaged},
			{patching.StageFetched, patching.DeploymentStaged},
			{patching.StageStarted, patching.DeploymentStarted},
			{patching.StageInstalled, patching.DeploymentStarted},
			{patching.StageRebooting, patching.DeploymentStarted},
		} {
			f.take(f.report(1, uint64(i+1), f.said("apply", 1, c.stage)))
			require.Equal(t, c.want, f.deployment(1).State, c.stage)
		}
		end := f.finished("apply", 1, patching.Patched)
		end.Repairs, end.Freed = 1, 10
		f.take(f.report(1, 9, end))
		d := f.deployment(1)
		require.Equal(t, patching.DeploymentDone, d.State)
		require.Equal(t, patching.Patched, d.Outcome)
		require.Equal(t, f.order("apply", 1), d.Order)
		same(t, at(30), d.Answered)
		require.Equal(t, 1, d.Repairs)
		require.EqualValues(t, 10, d.Freed)
	})
}

func forwardOnly(t *testing.T, s *store.Store) {
	t.Run("nothing moves back: late stages and a second end change nothing", func(t *testing.T) {
		f := with(t, s, "forward-only")
		f.released(1)
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		before := f.deployment(1)
		f.take(f.report(1, 2, f.said("apply", 1, patching.StageStarted)), f.report(1, 3, f.finished("apply", 1, patching.Failed)),
			f.report(1, 4, f.said("apply", 1, patching.StageRefused)))
		same(t, before, f.deployment(1))
		o, err := f.Orders(f.ctx, []patching.OrderID{f.order("apply", 1)})
		require.NoError(t, err)
		require.Equal(t, patching.StageFinished, o[0].Stage)
		require.True(t, o[0].Final)
		kept, err := f.Receipts(f.ctx, f.device(1), f.cycle())
		require.NoError(t, err)
		require.Len(t, kept, 4, "what it said is kept all the same")
	})
	t.Run("all stages in one message are taken in their order", func(t *testing.T) {
		f := with(t, s, "one-message")
		f.released(1)
		f.take(f.report(1, 1, f.said("apply", 1, patching.StageAccepted), f.said("apply", 1, patching.StageStarted), f.finished("apply", 1, patching.AlreadyUpToDate)))
		require.Equal(t, patching.AlreadyUpToDate, f.deployment(1).Outcome)
	})
	t.Run("a refused order is a failure laid to the server, with the machine's words", func(t *testing.T) {
		f := with(t, s, "refused")
		f.staged(1)
		c := f.said("apply", 1, patching.StageRefused)
		c.Outcome, c.Reason, c.Detail = patching.Patched, patching.ReasonVerified, "fence 1 is lower than 2"
		f.take(f.report(1, 1, c))
		d := f.deployment(1)
		require.Equal(t, patching.Failed, d.Outcome)
		require.Equal(t, patching.ReasonRefused, d.Reason)
		require.Equal(t, "fence 1 is lower than 2", d.Detail)
	})
}

// Serves G9.
func reverting(t *testing.T, s *store.Store) {
	t.Run("a revert that succeeds is rolled back, one that fails or is refused needs hands", func(t *testing.T) {
		f := with(t, s, "revert")
		f.released(4)
		f.issue("revert", 4)
		for i := 1; i <= 4; i++ {
			f.take(f.report(i, 1, f.finished("apply", i, patching.Failed)))
		}
		require.NoError(t, f.MarkVerified(f.ctx, f.cycle(), []store.Verification{{Asset: f.asset(1), OK: true, At: at(40)}}))
		back := f.report(1, 2, f.finished("revert", 1, patching.RolledBack))
		back.At = at(60)
		f.take(back, f.report(2, 2, f.finished("revert", 2, patching.Failed)),
			f.report(3, 2, f.said("revert", 3, patching.StageRefused)), f.report(4, 2, f.said("revert", 4, patching.StageStarted)))
		want := []struct {
			o patching.Outcome
			r patching.Reason
		}{{patching.RolledBack, patching.ReasonRolledBack}, {patching.NeedsHands, patching.ReasonRollBackFailed}, {patching.NeedsHands, patching.ReasonRollBackFailed}, {patching.Failed, ""}}
		for i, w := range want {
			d := f.deployment(i + 1)
			require.Equal(t, w.o, d.Outcome, "machine %d", i+1)
			require.Equal(t, w.r, d.Reason, "machine %d", i+1)
		}
		require.True(t, f.deployment(1).Verified.IsZero(), "what was rolled back has to be looked at again")
		same(t, at(60), f.deployment(1).Answered)
	})
}

func strangeReceipts(t *testing.T, s *store.Store) {
	t.Run("an outcome that is none is a failure, a reason that is none is unknown", func(t *testing.T) {
		f := with(t, s, "no-words")
		f.released(2)
		odd := f.finished("apply", 2, patching.Failed)
		odd.Reason = "gremlins"
		f.take(f.report(1, 1, f.finished("apply", 1, "splendid")), f.report(2, 1, odd))
		require.Equal(t, patching.Failed, f.deployment(1).Outcome)
		require.Equal(t, patching.ReasonUnknown, f.deployment(1).Reason)
		require.Equal(t, patching.ReasonUnknown, f.deployment(2).Reason)
	})
	t.Run("other verbs add what they repaired and freed, once each", func(t *testing.T) {
		f := with(t, s, "clean")
		f.released(1)
		f.issue("clean", 1)
		f.issue("repair", 1)
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		clean, repair := f.finished("clean", 1, ""), f.finished("repair", 1, "")
		clean.Freed, repair.Repairs = 5_000_000_000, 3
		f.take(f.report(1, 2, clean), f.report(1, 3, repair), f.report(1, 4, clean))
		_, _, repairs, freed, err := f.CycleCounts(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Equal(t, 3, repairs)
		require.EqualValues(t, 5_000_000_000, freed)
		require.Equal(t, patching.Patched, f.deployment(1).Outcome)
	})
	t.Run("a machine cannot answer for another, nor for an order that nobody issued, and both are kept", func(t *testing.T) {
		f := with(t, s, "other")
		f.released(2)
		f.take(f.report(1, 1, f.finished("apply", 2, patching.Patched), f.finished("imagined", 1, patching.Patched)))
		require.Equal(t, patching.DeploymentReleased, f.deployment(2).State)
		require.Equal(t, patching.DeploymentReleased, f.deployment(1).State)
		kept, err := f.Receipts(f.ctx, f.device(1), "")
		require.NoError(t, err)
		require.Len(t, kept, 2)
	})
	t.Run("an order that another one has replaced says nothing of the deployment", func(t *testing.T) {
		f := with(t, s, "superseded")
		f.staged(1)
		require.NoError(t, f.Stage(f.ctx, []store.StagedOrder{{Cycle: f.cycle(), Asset: f.asset(1), Order: "attempt two"}}))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		require.Equal(t, patching.DeploymentStaged, f.deployment(1).State)
	})
	t.Run("a receipt that cannot be kept is left out, and spoils nobody's report", func(t *testing.T) {
		f := with(t, s, "unkeepable")
		f.released(2)
		long := patching.Receipt{Order: patching.OrderID(strings.Repeat("x", 9000)), Stage: patching.StageStarted}
		odd := f.said("apply", 1, "levitating")
		words := f.finished("apply", 1, patching.Failed)
		words.Detail, words.Signature = strings.Repeat("é", 9000), "\x00"
		f.take(f.report(1, 1, long, odd, patching.Receipt{Stage: patching.StageStarted}, patching.Receipt{Order: "\x00", Stage: patching.StageStarted}, words),
			f.report(2, 1, f.finished("apply", 2, patching.Patched)))
		kept, err := f.Receipts(f.ctx, f.device(1), "")
		require.NoError(t, err)
		require.Len(t, kept, 1)
		require.LessOrEqual(t, len(f.deployment(1).Detail), 4096)
		require.Equal(t, "\uFFFD", f.deployment(1).Signature)
		require.Equal(t, patching.Patched, f.deployment(2).Outcome)
	})
}

func corrections(t *testing.T, s *store.Store) {
	t.Run("an answer after the server stopped waiting replaces the outcome, and both are on record", func(t *testing.T) {
		f := with(t, s, "correct")
		f.released(2)
		require.Equal(t, 2, f.end(patching.Unreachable, patching.ReasonSilent, 1, 2))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		d := f.deployment(1)
		require.Equal(t, patching.Patched, d.Outcome)
		same(t, at(30), d.Answered)
		require.Equal(t, patching.Unreachable, f.deployment(2).Outcome)
		got, err := f.Corrections(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, []store.Correction{{
			Cycle: f.cycle(), Asset: f.asset(1), Order: f.order("apply", 1), At: at(30), WasOutcome: patching.Unreachable,
			WasReason: patching.ReasonSilent, Outcome: patching.Patched, Applied: true,
		}}, got)
		require.Equal(t, map[patching.Outcome]int{patching.Patched: 1, patching.Unreachable: 1}, f.tally().Outcomes)
	})
	t.Run("that it began is no answer, and takes nothing back", func(t *testing.T) {
		f := with(t, s, "correct-started")
		f.released(1)
		require.Equal(t, 1, f.end(patching.Unreachable, patching.ReasonSilent, 1))
		f.take(f.report(1, 1, f.said("apply", 1, patching.StageStarted)))
		require.Equal(t, patching.Unreachable, f.deployment(1).Outcome)
		require.Equal(t, patching.DeploymentDone, f.deployment(1).State)
	})
	t.Run("after the close the outcome is final, and the answer stands beside it", func(t *testing.T) {
		f := with(t, s, "correct-closed")
		f.released(2)
		f.issue("revert", 2)
		f.take(f.report(2, 1, f.finished("apply", 2, patching.Patched)))
		require.Equal(t, 1, f.end(patching.Unreachable, patching.ReasonSilent, 1))
		f.close()
		before := f.deployment(1)
		late := f.finished("apply", 1, patching.Patched)
		late.Freed = 7
		f.take(f.report(1, 1, late), f.report(2, 2, f.finished("revert", 2, patching.RolledBack)))
		same(t, before, f.deployment(1))
		require.Equal(t, patching.Patched, f.deployment(2).Outcome)
		got, err := f.Corrections(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Len(t, got, 2)
		for _, c := range got {
			require.False(t, c.Applied)
		}
	})
	t.Run("a machine that was never told to start cannot overturn why it was deferred", func(t *testing.T) {
		f := with(t, s, "correct-deferred")
		f.staged(1)
		require.Equal(t, 1, f.end(patching.Deferred, patching.ReasonRingHalted, 1))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		require.Equal(t, patching.Deferred, f.deployment(1).Outcome)
		got, err := f.Corrections(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("one that was told to start, and deferred by mistake, is believed", func(t *testing.T) {
		f := with(t, s, "correct-told")
		f.released(1)
		require.Equal(t, 1, f.end(patching.Deferred, patching.ReasonWindowOver, 1))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		require.Equal(t, patching.Patched, f.deployment(1).Outcome)
	})
}
