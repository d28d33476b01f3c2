package storetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

func waves(t *testing.T, s *store.Store) {
	t.Run("waves come by their start, then by id, page by page, with site, window and size", func(t *testing.T) {
		f := with(t, s, "waves")
		f.open()
		var items []patching.PlanItem
		for i := range 30 {
			site := patching.SiteName(fmt.Sprintf("site-%d", i%5))
			item := f.item(i + 1)
			item.Site, item.Start, item.End = site, at(100-10*(i%5)), at(200)
			item.Wave = patching.NewWaveID(f.cycle(), "broad", site, "weekend", "20261110T2200Z")
			items = append(items, item)
		}
		items = append(items, patching.PlanItem{Asset: "excluded", Exclude: patching.ReasonHostRules})
		require.NoError(t, f.PutPlan(f.ctx, f.plan(1), items))
		var got []patching.WaveSummary
		for offset := 0; ; offset += 2 {
			page, err := f.Waves(f.ctx, f.cycle(), "broad", offset, 2)
			require.NoError(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		require.Len(t, got, 5)
		for i, w := range got {
			site := patching.SiteName(fmt.Sprintf("site-%d", 4-i))
			same(t, patching.WaveSummary{
				ID: patching.NewWaveID(f.cycle(), "broad", site, "weekend", "20261110T2200Z"), Site: site, Window: "weekend",
				Start: at(60 + 10*i), End: at(200), Assets: 6,
			}, w)
		}
		all, err := f.Waves(f.ctx, f.cycle(), "broad", 0, 0)
		require.NoError(t, err)
		same(t, got, all)
	})
	t.Run("a batch releases the next machines by position, and the same batch again the same ones", func(t *testing.T) {
		f := with(t, s, "batches")
		f.staged(5)
		release := func(batch, size int) []patching.AssetID {
			t.Helper()
			rows, err := f.ReleaseBatch(f.ctx, f.wave(), batch, size, at(20+batch))
			require.NoError(t, err)
			var ids []patching.AssetID
			for _, d := range rows {
				require.Equal(t, batch, d.Batch)
				same(t, at(20+batch), d.Released)
				ids = append(ids, d.Asset)
			}
			return ids
		}
		require.Equal(t, []patching.AssetID{f.asset(1), f.asset(2)}, release(1, 2))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		require.Equal(t, []patching.AssetID{f.asset(1), f.asset(2)}, release(1, 4))
		require.Equal(t, patching.DeploymentDone, f.deployment(1).State)
		require.Equal(t, []patching.AssetID{f.asset(3), f.asset(4)}, release(2, 2))
		require.Equal(t, []patching.AssetID{f.asset(5)}, release(3, 2))
		require.Empty(t, release(4, 2))
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 0, 2, noon)
		require.Error(t, err)
	})
}

func staging(t *testing.T, s *store.Store) {
	t.Run("only what is staged is released", func(t *testing.T) {
		f := with(t, s, "unstaged")
		f.planned(3)
		f.issue("apply", 3)
		require.NoError(t, f.Stage(f.ctx, []store.StagedOrder{{Cycle: f.cycle(), Asset: f.asset(2), Order: f.order("apply", 2)}}))
		rows, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 10, at(20))
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, f.asset(2), rows[0].Asset)
	})
	t.Run("staging moves forward only, takes a newer order, and knows what is not there", func(t *testing.T) {
		f := with(t, s, "staging")
		f.staged(2)
		newer := store.StagedOrder{Cycle: f.cycle(), Asset: f.asset(1), Order: "newer"}
		require.NoError(t, f.Stage(f.ctx, []store.StagedOrder{newer}))
		require.EqualValues(t, "newer", f.deployment(1).Order)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 2, at(20))
		require.NoError(t, err)
		newer.Order = "too late"
		require.NoError(t, f.Stage(f.ctx, []store.StagedOrder{newer}))
		require.EqualValues(t, "newer", f.deployment(1).Order)
		require.Equal(t, patching.DeploymentReleased, f.deployment(1).State)
		newer.Asset = f.asset(9)
		require.ErrorIs(t, f.Stage(f.ctx, []store.StagedOrder{newer}), store.ErrNotFound)
	})
}

func listing(t *testing.T, s *store.Store) {
	t.Run("deployments of a wave come by position and page after a machine, others by asset", func(t *testing.T) {
		f := with(t, s, "listing")
		f.open()
		items := f.items(6)
		for i := range items {
			items[i].Position = 6 - i
		}
		require.NoError(t, f.PutPlan(f.ctx, f.plan(1), items))
		ids := func(want store.DeploymentFilter) (ids []patching.AssetID) {
			t.Helper()
			rows, err := f.Deployments(f.ctx, want)
			require.NoError(t, err)
			for _, d := range rows {
				ids = append(ids, d.Asset)
			}
			return ids
		}
		require.Equal(t, []patching.AssetID{f.asset(6), f.asset(5)}, ids(store.DeploymentFilter{Wave: f.wave(), Limit: 2}))
		require.Equal(t, []patching.AssetID{f.asset(4), f.asset(3)}, ids(store.DeploymentFilter{Wave: f.wave(), After: f.asset(5), Limit: 2}))
		require.Equal(t, []patching.AssetID{f.asset(1), f.asset(2)}, ids(store.DeploymentFilter{Cycle: f.cycle(), Limit: 2}))
		require.Equal(t, []patching.AssetID{f.asset(3)}, ids(store.DeploymentFilter{Cycle: f.cycle(), After: f.asset(2), Limit: 1}))
		require.Equal(t, []patching.AssetID{f.asset(5)}, ids(store.DeploymentFilter{Device: f.device(5)}))
		require.Empty(t, ids(store.DeploymentFilter{Cycle: f.cycle(), States: []patching.DeploymentState{patching.DeploymentDone}}))
		require.Len(t, ids(store.DeploymentFilter{Cycle: f.cycle(), Outcomes: []patching.Outcome{"", patching.Failed}}), 6)
		require.Empty(t, ids(store.DeploymentFilter{Cycle: f.cycle(), Ring: "test"}))
	})
}

func ending(t *testing.T, s *store.Store) {
	t.Run("what has no outcome gets one; what has keeps it; the number is of those that got it", func(t *testing.T) {
		f := with(t, s, "end")
		f.staged(4)
		require.Equal(t, 1, f.end(patching.Deferred, patching.ReasonRemoved, 1))
		n, err := f.EndDeployments(f.ctx, store.EndSpec{Cycle: f.cycle(), Wave: f.wave(), Outcome: patching.Deferred, Reason: patching.ReasonWindowOver, Detail: "it was late", At: at(40)})
		require.NoError(t, err)
		require.Equal(t, 3, n)
		require.Equal(t, patching.ReasonRemoved, f.deployment(1).Reason)
		d := f.deployment(2)
		require.Equal(t, "it was late", d.Detail)
		require.Equal(t, patching.DeploymentDone, d.State)
		require.True(t, d.Answered.IsZero())
	})
	t.Run("states and rings narrow it, a nil list of assets does not, an empty one takes none", func(t *testing.T) {
		f := with(t, s, "end-narrow")
		f.staged(4)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 2, at(20))
		require.NoError(t, err)
		end := store.EndSpec{Cycle: f.cycle(), Outcome: patching.Deferred, Reason: patching.ReasonCarriedOver, At: at(40)}
		for _, c := range []struct {
			change func(*store.EndSpec)
			want   int
		}{
			{func(e *store.EndSpec) { e.Assets = []patching.AssetID{} }, 0},
			{func(e *store.EndSpec) { e.Ring = "test" }, 0},
			{func(e *store.EndSpec) { e.States = []patching.DeploymentState{patching.DeploymentPlanned} }, 0},
			{func(e *store.EndSpec) {
				e.States = []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged}
			}, 2},
			{func(*store.EndSpec) {}, 2},
		} {
			e := end
			c.change(&e)
			n, err := f.EndDeployments(f.ctx, e)
			require.NoError(t, err)
			require.Equal(t, c.want, n, "%+v", e)
		}
	})
}

func endingOrders(t *testing.T, s *store.Store) {
	t.Run("orders of those that end are withdrawn if asked to, of those that were released and stay never", func(t *testing.T) {
		f := with(t, s, "end-withdraw")
		f.staged(4)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 2, at(20))
		require.NoError(t, err)
		n, err := f.EndDeployments(f.ctx, store.EndSpec{
			Cycle: f.cycle(), Wave: f.wave(), Outcome: patching.Deferred, Reason: patching.ReasonWindowOver, At: at(40), Withdraw: true,
			States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
		})
		require.NoError(t, err)
		require.Equal(t, 2, n)
		orders, err := f.Orders(f.ctx, []patching.OrderID{f.order("apply", 1), f.order("apply", 2), f.order("apply", 3), f.order("apply", 4)})
		require.NoError(t, err)
		for i, o := range orders {
			require.Equal(t, i >= 2, o.Withdrawn, "order of machine %d", i+1)
		}
		f.take(f.report(1, 1, f.said("apply", 1, patching.StageStarted)))
		_, err = f.EndDeployments(f.ctx, store.EndSpec{Cycle: f.cycle(), Outcome: patching.NeedsHands, Reason: patching.ReasonUnknown, At: at(50), Withdraw: true})
		require.NoError(t, err)
		orders, err = f.Orders(f.ctx, []patching.OrderID{f.order("apply", 1), f.order("apply", 2)})
		require.NoError(t, err)
		require.False(t, orders[0].Withdrawn, "what a machine has begun cannot be taken back")
		require.True(t, orders[1].Withdrawn)
	})
}

func endingTwice(t *testing.T, s *store.Store) {
	t.Run("words outside the vocabulary, and no cycle, are refused", func(t *testing.T) {
		f := with(t, s, "end-refused")
		for _, e := range []store.EndSpec{
			{Cycle: f.cycle(), Outcome: "fine", Reason: patching.ReasonRemoved},
			{Cycle: f.cycle(), Outcome: patching.Deferred, Reason: "because"},
			{Outcome: patching.Deferred, Reason: patching.ReasonRemoved},
		} {
			_, err := f.EndDeployments(f.ctx, e)
			require.Error(t, err)
		}
	})
	t.Run("an outcome is replaced where done is named, once, and the earlier one is kept as corrected", func(t *testing.T) {
		f := with(t, s, "end-done")
		f.released(2)
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Failed)))
		for _, want := range []int{1, 0} {
			n, err := f.EndDeployments(f.ctx, store.EndSpec{
				Cycle: f.cycle(), States: []patching.DeploymentState{patching.DeploymentDone},
				Outcome: patching.NeedsHands, Reason: patching.ReasonIrreversible, At: at(45),
			})
			require.NoError(t, err)
			require.Equal(t, want, n)
		}
		require.Equal(t, patching.NeedsHands, f.deployment(1).Outcome)
		require.Equal(t, patching.DeploymentReleased, f.deployment(2).State)
		got, err := f.Corrections(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, []store.Correction{{
			Cycle: f.cycle(), Asset: f.asset(1), At: at(45), WasOutcome: patching.Failed, WasReason: "",
			Outcome: patching.NeedsHands, Reason: patching.ReasonIrreversible, Applied: true,
		}}, got)
	})
}

// Serves Q2.
func verifying(t *testing.T, s *store.Store) {
	f := with(t, s, "verify")
	f.released(4)
	f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)), f.report(2, 1, f.finished("apply", 2, patching.Patched)),
		f.report(3, 1, f.finished("apply", 3, patching.Failed)))
	verify := func(i int, ok bool, minute int) {
		t.Helper()
		require.NoError(t, f.MarkVerified(f.ctx, f.cycle(), []store.Verification{{Asset: f.asset(i), OK: ok, Reason: patching.ReasonNotTaken, Detail: "openssl is still 3.0.15", At: at(minute)}}))
	}
	t.Run("what a fresh inventory shows is verified, from the first time on", func(t *testing.T) {
		verify(1, true, 50)
		verify(1, true, 60)
		same(t, at(50), f.deployment(1).Verified)
		require.Equal(t, patching.Patched, f.deployment(1).Outcome)
	})
	t.Run("what it does not show has failed, though the machine said patched", func(t *testing.T) {
		verify(2, false, 50)
		d := f.deployment(2)
		require.Equal(t, patching.Failed, d.Outcome)
		require.Equal(t, patching.ReasonNotTaken, d.Reason)
		require.Equal(t, "openssl is still 3.0.15", d.Detail)
		require.True(t, d.Verified.IsZero())
	})
	t.Run("a verification that fails later takes an earlier one back", func(t *testing.T) {
		verify(1, false, 70)
		require.Equal(t, patching.Failed, f.deployment(1).Outcome)
		require.True(t, f.deployment(1).Verified.IsZero())
	})
	// Serves G9.
	t.Run("what was rolled back is verified with what still differs, and else needs hands", func(t *testing.T) {
		f := with(t, s, "verify-return")
		f.released(2)
		f.issue("revert", 2)
		for i := 1; i <= 2; i++ {
			f.take(f.report(i, 1, f.finished("apply", i, patching.Failed)), f.report(i, 2, f.finished("revert", i, patching.RolledBack)))
		}
		require.NoError(t, f.MarkVerified(f.ctx, f.cycle(), []store.Verification{
			{Asset: f.asset(1), OK: true, Detail: "the kernel stays", At: at(50)},
			{Asset: f.asset(2), Reason: patching.ReasonRollBackFailed, Detail: "openssl is still 3.0.16", At: at(50)},
		}))
		d := f.deployment(1)
		require.Equal(t, patching.RolledBack, d.Outcome)
		require.Equal(t, "the kernel stays", d.Detail)
		same(t, at(50), d.Verified)
		d = f.deployment(2)
		require.Equal(t, patching.NeedsHands, d.Outcome)
		require.Equal(t, patching.ReasonRollBackFailed, d.Reason)
		require.Equal(t, "openssl is still 3.0.16", d.Detail)
		require.True(t, d.Verified.IsZero())
		require.NoError(t, f.MarkVerified(f.ctx, f.cycle(), []store.Verification{{Asset: f.asset(1), OK: true, At: at(60)}}))
		require.Equal(t, "the kernel stays", f.deployment(1).Detail)
	})
	t.Run("only what the machine said went well turns, and what has not ended is left alone", func(t *testing.T) {
		verify(3, false, 50)
		require.Empty(t, f.deployment(3).Reason)
		verify(4, true, 50)
		require.True(t, f.deployment(4).Verified.IsZero())
	})
}

func deferred(t *testing.T, s *store.Store) {
	t.Run("a machine that is deferred without an answer is not waited for", func(t *testing.T) {
		f := with(t, s, "tally-deferred")
		f.enrol(3)
		f.open()
		require.NoError(t, f.PutPlan(f.ctx, f.plan(1), f.items(3)))
		f.issue("apply", 3)
		f.stage(3)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 3, at(20))
		require.NoError(t, err)
		require.Equal(t, 1, f.end(patching.Deferred, patching.ReasonClockOff, 1))
		answer := f.finished("apply", 2, patching.Deferred)
		answer.Reason = patching.ReasonLocked
		f.take(f.report(2, 1, answer))
		got := f.tally()
		require.Equal(t, 2, got.Released)
		require.Equal(t, 1, got.Answered)
		require.Equal(t, 1, got.Open(), "the third may still answer")
		require.Equal(t, 2, got.Outcomes[patching.Deferred])
	})
}

func tallies(t *testing.T, s *store.Store) {
	f := with(t, s, "tally")
	f.enrol(8)
	f.open()
	items := f.items(9)
	for i := range items {
		items[i].Stratum = []string{"debian 12", "debian 11"}[i%2]
	}
	items[8] = patching.PlanItem{Asset: f.asset(9), Exclude: patching.ReasonHostRules}
	require.NoError(t, f.PutPlan(f.ctx, f.plan(1), items))
	f.issue("apply", 8)
	f.stage(8)
	for batch := 1; batch <= 2; batch++ {
		_, err := f.ReleaseBatch(f.ctx, f.wave(), batch, 3, at(20))
		require.NoError(t, err)
	}
	broken := f.finished("apply", 3, patching.Failed)
	broken.Signature, broken.Reason = "openssl: postinst", patching.ReasonInstallFailed
	also := broken
	also.Order = f.order("apply", 4)
	f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)), f.report(2, 1, f.finished("apply", 2, patching.Patched)),
		f.report(3, 1, broken), f.report(4, 1, also), f.report(5, 1, f.said("apply", 5, patching.StageStarted)))
	require.Equal(t, 1, f.end(patching.Unreachable, patching.ReasonSilent, 6))

	t.Run("a ring's tally counts offered, answered, outcomes, signatures, strata and host-hours", func(t *testing.T) {
		got, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle(), Ring: "broad", Now: at(90)})
		require.NoError(t, err)
		same(t, patching.Tally{
			Planned: 8, Released: 6, Answered: 4,
			Outcomes:   map[patching.Outcome]int{patching.Patched: 2, patching.Failed: 2, patching.Unreachable: 1},
			Signatures: []patching.SignatureCount{{Signature: "openssl: postinst", Count: 2}},
			HostHours:  2, // two machines, an hour each
			Strata:     []patching.StratumCount{{Stratum: "debian 11", Answered: 2, Bad: 1}, {Stratum: "debian 12", Answered: 2, Bad: 1}},
			LastAnswer: at(30),
		}, got)
	})
	t.Run("a batch and a wave are parts of it, and the cycle has what the plan left out too", func(t *testing.T) {
		got, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle(), Wave: f.wave(), Batch: 2})
		require.NoError(t, err)
		require.Equal(t, 3, got.Planned)
		require.Equal(t, 1, got.Answered)
		require.Equal(t, 9, f.tally().Planned)
		require.Equal(t, 1, f.tally().Outcomes[patching.Excluded])
	})
	t.Run("a slice with nobody in it is empty", func(t *testing.T) {
		got, err := f.Tally(f.ctx, store.Slice{Cycle: "cycle/none/2026-01.1"})
		require.NoError(t, err)
		same(t, patching.Tally{}, got)
	})
	t.Run("who was released and has not answered is counted by the way it is heard", func(t *testing.T) {
		got, err := f.WaitingByRelay(f.ctx, store.Slice{Cycle: f.cycle()})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"r1": 1}, got) // machine 5; 6 has ended
	})
	t.Run("host-hours begin at the present without a time, and never run backwards", func(t *testing.T) {
		past, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle(), Now: at(-1000)})
		require.NoError(t, err)
		require.Zero(t, past.HostHours)
		present, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle()})
		require.NoError(t, err)
		require.InDelta(t, max(0, 2*time.Since(at(30)).Hours()), present.HostHours, 0.1)
	})
	t.Run("a cycle's counts add up", func(t *testing.T) {
		planned, outcomes, repairs, freed, err := f.CycleCounts(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Equal(t, 9, planned)
		require.Equal(t, map[patching.Outcome]int{patching.Patched: 2, patching.Failed: 2, patching.Unreachable: 1, patching.Excluded: 1}, outcomes)
		require.Zero(t, repairs)
		require.Zero(t, freed)
	})
	t.Run("an answer before the start permit counts as offered, so that shares stay below the whole", func(t *testing.T) {
		f.take(f.report(7, 1, f.said("apply", 7, patching.StageRefused)))
		got := f.tally()
		require.Equal(t, 7, got.Released)
		require.Equal(t, 5, got.Answered)
	})
}

func orders(t *testing.T, s *store.Store) {
	t.Run("an order comes back as it was put, and put again it stays", func(t *testing.T) {
		f := with(t, s, "order")
		f.enrol(1)
		want := store.OrderRow{
			ID: "o1", Device: f.device(1), Asset: f.asset(1), Cycle: f.cycle(), Ring: "broad", Wave: f.wave(), Verb: "apply", Seq: 1 << 40,
			Envelope: []byte{0, 1, 255}, Issued: noon, Expires: at(60), Stage: patching.StageFetched, Lease: []byte("lease"), LeaseUntil: at(15),
		}
		require.NoError(t, f.PutOrders(f.ctx, []store.OrderRow{want}))
		other := want
		other.Envelope, other.Seq = []byte("another"), 1<<40+1
		require.NoError(t, f.PutOrders(f.ctx, []store.OrderRow{other, other}))
		got, err := f.Orders(f.ctx, []patching.OrderID{"o1", "nobody"})
		require.NoError(t, err)
		same(t, []store.OrderRow{want}, got)
	})
	t.Run("pending is what is not final, withdrawn or expired, by number, for accepted devices alone", func(t *testing.T) {
		f := with(t, s, "pending")
		f.released(5)
		f.issue("clean", 5)
		ids := func(minute int, devices ...int) (out []patching.OrderID) {
			t.Helper()
			var ds []patching.DeviceID
			for _, d := range devices {
				ds = append(ds, f.device(d))
			}
			rows, err := f.PendingOrders(f.ctx, ds, at(minute))
			require.NoError(t, err)
			for i, o := range rows {
				require.True(t, i == 0 || rows[i-1].Seq < o.Seq)
				out = append(out, o.ID)
			}
			return out
		}
		require.Equal(t, []patching.OrderID{f.order("apply", 1), f.order("apply", 2), f.order("clean", 1), f.order("clean", 2)}, ids(30, 2, 1))
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		require.Equal(t, []patching.OrderID{f.order("clean", 1)}, ids(30, 1))
		require.Empty(t, ids(300, 1, 2, 3), "they expire at 300")
		n, err := f.WithdrawOrders(f.ctx, store.Slice{Cycle: f.cycle()}, "clean")
		require.NoError(t, err)
		require.Equal(t, 5, n)
		require.Empty(t, ids(30, 1))
		require.NoError(t, f.SetDeviceState(f.ctx, f.device(2), patching.DeviceRevoked))
		require.Empty(t, ids(30, 2))
		require.Empty(t, ids(30))
	})
}

func permits(t *testing.T, s *store.Store) {
	t.Run("a start permit is kept, and the next replaces it, unless the order is over", func(t *testing.T) {
		f := with(t, s, "lease")
		f.released(2)
		permit := func(i int, words string) error {
			return f.PutLeases(f.ctx, []store.LeaseRow{{Order: f.order("apply", i), Lease: []byte(words), Until: at(35)}})
		}
		require.NoError(t, permit(1, "first"))
		require.NoError(t, permit(1, "second"))
		f.take(f.report(2, 1, f.finished("apply", 2, patching.Patched)))
		require.NoError(t, permit(2, "too late"))
		got, err := f.Orders(f.ctx, []patching.OrderID{f.order("apply", 1), f.order("apply", 2)})
		require.NoError(t, err)
		require.Equal(t, "second", string(got[0].Lease))
		same(t, at(35), got[0].LeaseUntil)
		require.Nil(t, got[1].Lease)
		require.ErrorIs(t, permit(9, "nobody"), store.ErrNotFound)
	})
	t.Run("withdrawing spares what was begun, and can take a wave, a batch or a verb", func(t *testing.T) {
		f := with(t, s, "withdraw")
		f.staged(6)
		f.issue("collect", 6)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 2, at(20))
		require.NoError(t, err)
		f.take(f.report(1, 1, f.said("apply", 1, patching.StageStarted)), f.report(3, 1, f.said("apply", 3, patching.StageFetched)))
		withdraw := func(of store.Slice, verb string) int {
			t.Helper()
			n, err := f.WithdrawOrders(f.ctx, of, verb)
			require.NoError(t, err)
			return n
		}
		require.Zero(t, withdraw(store.Slice{Cycle: f.cycle(), Ring: "test"}, ""))
		require.Equal(t, 1, withdraw(store.Slice{Cycle: f.cycle(), Wave: f.wave(), Batch: 1}, "apply"))
		require.Equal(t, 4, withdraw(store.Slice{Cycle: f.cycle(), Wave: f.wave()}, "apply"))
		require.Zero(t, withdraw(store.Slice{Cycle: f.cycle(), Ring: "broad"}, "apply"))
		require.Equal(t, 6, withdraw(store.Slice{Cycle: f.cycle()}, ""))
		_, err = f.WithdrawOrders(f.ctx, store.Slice{}, "apply")
		require.Error(t, err)
	})
	t.Run("a campaign counts the orders that stand and those that are final", func(t *testing.T) {
		f := with(t, s, "campaign")
		f.released(3)
		f.issue("collect", 3)
		f.take(f.report(1, 1, f.finished("collect", 1, "")), f.report(2, 1, f.said("collect", 2, patching.StageRefused)))
		_, err := f.WithdrawOrders(f.ctx, store.Slice{Cycle: f.cycle()}, "collect")
		require.NoError(t, err)
		issued, final, err := f.OrderCounts(f.ctx, store.Slice{Cycle: f.cycle(), Ring: "broad"}, "collect")
		require.NoError(t, err)
		require.Equal(t, 2, issued)
		require.Equal(t, 2, final)
	})
}
