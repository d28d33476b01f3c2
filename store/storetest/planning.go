package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

func plans(t *testing.T, s *store.Store) {
	t.Run("a plan comes back with the hash that was approved, its text is content, its cycle names it", func(t *testing.T) {
		f := with(t, s, "plan")
		f.planned(3)
		p := f.plan(1)
		got, err := f.Plan(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, p, got)
		require.Equal(t, p.Hash(), got.Hash())
		text, err := f.Content(f.ctx, p.Hash())
		require.NoError(t, err)
		require.Equal(t, string(p.Canonical()), string(text))
		c, err := f.Cycle(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Equal(t, p.Hash(), c.Plan)
		d := f.deployment(2)
		same(t, patching.Deployment{Cycle: f.cycle(), PlanItem: f.item(2), State: patching.DeploymentPlanned}, d)
	})
	t.Run("a plan for a cycle that nobody opened, or with an asset twice or without an id, leaves nothing behind", func(t *testing.T) {
		f := with(t, s, "plan-refused")
		require.ErrorIs(t, f.PutPlan(f.ctx, f.plan(1), f.items(1)), store.ErrNotFound)
		f.open()
		require.ErrorContains(t, f.PutPlan(f.ctx, f.plan(1), append(f.items(2), f.item(1))), "twice")
		require.Error(t, f.PutPlan(f.ctx, f.plan(1), []patching.PlanItem{{Ring: "broad"}}))
		_, err := f.Plan(f.ctx, f.cycle())
		require.ErrorIs(t, err, store.ErrNotFound)
		rows, err := f.Deployments(f.ctx, store.DeploymentFilter{Cycle: f.cycle()})
		require.NoError(t, err)
		require.Empty(t, rows)
	})
	t.Run("an outlook names its plan, which may come later; the one kept last counts", func(t *testing.T) {
		f := with(t, s, "plan-outlook")
		f.open()
		p := f.plan(2)
		first := plan.Outlook{Plan: p.Hash(), Mirror: plan.Mirrored{Ring: "test", Machines: 1, Of: 3, Untested: []string{"debian 11"}}}
		second := first
		second.Forecast = plan.Forecast{Rings: []plan.RingForecast{{Ring: "broad", Machines: 2, Waves: 1, Begin: at(1), End: at(2), Soaked: at(3)}}, End: at(3), Fits: true}
		yes, due := true, urgency.Deadline{Regime: "pci-dss", Lane: urgency.Scheduled, Due: at(9), Clock: urgency.Clock{What: urgency.Published, At: at(1)}}
		second.Remediation = plan.Remediation{
			AsOf: at(1), Lanes: map[urgency.Lane]int{urgency.Scheduled: 2}, Feeds: []plan.FeedLine{{Name: "kev", Age: time.Hour, Stale: true}},
			Remedies: []plan.Remedy{{Advisory: "DSA-1", CVEs: []patching.CVE{"CVE-2026-0001"}, KEV: &yes, Deadline: &due, Clears: 2, Stays: map[plan.Staying]int{plan.NoFix: 1}}},
		}
		second.Change = &plan.Difference{Stay: 2, Patches: 1, Leave: map[patching.Reason]int{patching.ReasonWithdrawn: 1}, Withdrawn: []string{"nginx"}}
		second.Rehearsal = plan.Rehearsal{Kinds: []plan.Rehearsed{{Bundle: "sha256:b", Asset: f.asset(1), Hostname: "web-1", Machines: 2, Answered: true, Words: "It would also change: install libevil 1."}}}
		for _, o := range []plan.Outlook{first, second, second} {
			require.NoError(t, f.PutOutlook(f.ctx, f.cycle(), o))
		}
		require.NoError(t, f.PutPlan(f.ctx, p, f.items(3)))
		got, err := f.Outlooks(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, map[patching.Digest]plan.Outlook{p.Hash(): second}, got)
		none, err := f.Outlooks(f.ctx, "cycle/another/2026-11.1")
		require.NoError(t, err)
		require.Empty(t, none)
	})
	t.Run("the newest revision counts; of two with one number, the one kept last", func(t *testing.T) {
		f := with(t, s, "plan-newest")
		f.planned(1)
		second, third := f.plan(2), f.plan(2)
		third.Author = "bob"
		for _, p := range []patching.Plan{second, third, f.plan(1)} {
			require.NoError(t, f.PutPlan(f.ctx, p, f.items(1)))
		}
		got, err := f.Plan(f.ctx, f.cycle())
		require.NoError(t, err)
		require.EqualValues(t, "bob", got.Author)
		all, err := f.Plans(f.ctx, f.cycle())
		require.NoError(t, err)
		require.Len(t, all, 3)
	})
}

func replanning(t *testing.T, s *store.Store) {
	t.Run("what a plan leaves out has ended with its reason, and the next plan may take it in", func(t *testing.T) {
		f := with(t, s, "plan-excluded")
		f.enrol(4)
		f.open()
		items := f.items(4)
		leave := func(i int, r patching.Reason, why string) {
			items[i] = patching.PlanItem{Asset: items[i].Asset, Device: items[i].Device, Site: "bern", Exclude: r, Why: why, Would: f.digest("would")}
		}
		leave(1, patching.ReasonHostRules, "held by ana")
		leave(2, patching.ReasonNothingMissing, "")
		leave(3, patching.ReasonFreeze, "until 2027-01-01")
		require.NoError(t, f.PutPlan(f.ctx, f.plan(1), items))
		d := f.deployment(2)
		same(t, patching.Deployment{
			Cycle: f.cycle(), PlanItem: items[1], State: patching.DeploymentDone, Outcome: patching.Excluded,
			Reason: patching.ReasonHostRules, Detail: "held by ana",
		}, d)
		require.Equal(t, patching.AlreadyUpToDate, f.deployment(3).Outcome)
		require.Equal(t, patching.Deferred, f.deployment(4).Outcome)
		require.Equal(t, map[patching.Outcome]int{patching.Excluded: 1, patching.AlreadyUpToDate: 1, patching.Deferred: 1}, f.tally().Outcomes)
		items[1] = f.item(2)
		require.NoError(t, f.PutPlan(f.ctx, f.plan(2), items))
		require.Equal(t, patching.DeploymentPlanned, f.deployment(2).State)
		require.Equal(t, 4, f.tally().Planned)
	})
	t.Run("a new plan keeps what was released or has ended, and replaces all else", func(t *testing.T) {
		f := with(t, s, "plan-again")
		f.staged(6)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 2, at(20)) // 1 and 2
		require.NoError(t, err)
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Failed)))
		require.Equal(t, 1, f.end(patching.Deferred, patching.ReasonRemoved, 3))
		before := []patching.Deployment{f.deployment(1), f.deployment(2), f.deployment(3)}

		items := f.items(8)[:7] // 7 is new
		items = append(items[:5], items[6])
		for i := range items {
			if items[i].Asset != f.asset(4) {
				items[i].Bundle = f.digest("a smaller bundle")
			}
		}
		// 4 is the same as before, 5 gets another bundle, 6 is not in the plan any more.
		require.NoError(t, f.PutPlan(f.ctx, f.plan(2), items))
		same(t, before, []patching.Deployment{f.deployment(1), f.deployment(2), f.deployment(3)})
		require.Equal(t, patching.DeploymentStaged, f.deployment(4).State)
		require.Equal(t, f.order("apply", 4), f.deployment(4).Order)
		require.Equal(t, patching.DeploymentPlanned, f.deployment(5).State)
		require.Equal(t, f.digest("a smaller bundle"), f.deployment(5).Bundle)
		require.Empty(t, f.deployment(5).Order)
		_, err = f.Deployment(f.ctx, f.cycle(), f.asset(6))
		require.ErrorIs(t, err, store.ErrNotFound)
		require.Equal(t, patching.DeploymentPlanned, f.deployment(7).State)

		pending, err := f.PendingOrders(f.ctx, []patching.DeviceID{f.device(4), f.device(5), f.device(6)}, at(30))
		require.NoError(t, err)
		require.Len(t, pending, 1, "the orders of 5 and 6 are withdrawn")
		require.Equal(t, f.device(4), pending[0].Device)
	})
	t.Run("the same plan again changes nothing", func(t *testing.T) {
		f := with(t, s, "plan-twice")
		f.staged(3)
		before := []patching.Deployment{f.deployment(1), f.deployment(2), f.deployment(3)}
		require.NoError(t, f.PutPlan(f.ctx, f.plan(1), f.items(3)))
		same(t, before, []patching.Deployment{f.deployment(1), f.deployment(2), f.deployment(3)})
		pending, err := f.PendingOrders(f.ctx, []patching.DeviceID{f.device(1)}, at(30))
		require.NoError(t, err)
		require.Len(t, pending, 1)
	})
}

func locks(t *testing.T, s *store.Store) {
	lock := func(f fixture, c patching.CycleID, assets ...int) (map[patching.AssetID]int64, map[patching.AssetID]patching.CycleID) {
		f.Helper()
		ids := make([]patching.AssetID, len(assets))
		for i, a := range assets {
			ids[i] = f.asset(a)
		}
		fences, busy, err := f.LockAssets(f.ctx, c, ids, noon)
		require.NoError(f, err)
		return fences, busy
	}
	t.Run("one cycle holds an asset at a time; for the same cycle a lock taken again is the same lock", func(t *testing.T) {
		f := with(t, s, "lock")
		fences, busy := lock(f, "c1", 1, 2, 2)
		require.Equal(t, map[patching.AssetID]int64{f.asset(1): 1, f.asset(2): 1}, fences)
		require.Empty(t, busy)
		again, busy := lock(f, "c1", 1)
		require.Equal(t, map[patching.AssetID]int64{f.asset(1): 1}, again)
		require.Empty(t, busy)
		fences, busy = lock(f, "c2", 2, 3)
		require.Equal(t, map[patching.AssetID]int64{f.asset(3): 1}, fences)
		require.Equal(t, map[patching.AssetID]patching.CycleID{f.asset(2): "c1"}, busy)
	})
	t.Run("fences grow with every taking, through releases, for ever", func(t *testing.T) {
		f := with(t, s, "fence")
		for n := range int64(3) {
			fences, _ := lock(f, "c3", 1)
			require.Equal(t, n+1, fences[f.asset(1)])
			require.NoError(t, f.ReleaseLocks(f.ctx, "c3"))
		}
		fences, busy := lock(f, "c4", 1)
		require.EqualValues(t, 4, fences[f.asset(1)])
		require.Empty(t, busy)
		require.NoError(t, f.ReleaseLocks(f.ctx, ""))
	})
	t.Run("a deployment carries the fence, whether locked before it was planned or after", func(t *testing.T) {
		f := with(t, s, "fence-deployment")
		lock(f, "earlier", 1, 2)
		require.NoError(t, f.ReleaseLocks(f.ctx, "earlier"))
		lock(f, f.cycle(), 1)
		f.planned(2)
		require.EqualValues(t, 2, f.deployment(1).Fence)
		require.Zero(t, f.deployment(2).Fence)
		lock(f, f.cycle(), 2)
		require.EqualValues(t, 2, f.deployment(2).Fence)
	})
	t.Run("of ten cycles that want the same hundred machines at once, one gets each", func(t *testing.T) {
		f := with(t, s, "lock-race")
		var mu sync.Mutex
		var wg sync.WaitGroup
		got := map[patching.AssetID]int{}
		for c := range 10 {
			ids := make([]patching.AssetID, 100)
			for i := range ids {
				ids[i] = f.asset((i*(c+3))%101 + 1)
			}
			wg.Go(func() {
				fences, _, err := f.LockAssets(f.ctx, patching.CycleID(fmt.Sprint("race-", c)), ids, noon)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				for a := range fences {
					got[a]++
				}
			})
		}
		wg.Wait()
		require.NotEmpty(t, got)
		for a, n := range got {
			require.Equal(t, 1, n, a)
		}
	})
}

const emergency = patching.CycleID("emergency/x/heartbleed")

// locked stages n machines whose locks the cycle holds.
func locked(t *testing.T, s *store.Store, name string, n int) fixture {
	t.Helper()
	f := with(t, s, name)
	f.staged(n)
	ids := make([]patching.AssetID, n)
	for i := range ids {
		ids[i] = f.asset(i + 1)
	}
	_, busy, err := f.LockAssets(f.ctx, f.cycle(), ids, noon)
	require.NoError(t, err)
	require.Empty(t, busy)
	return f
}

// emergencyTakes lets the emergency take machines over.
func (f fixture) emergencyTakes(assets ...int) ([]patching.AssetID, map[patching.AssetID]string) {
	f.Helper()
	ids := make([]patching.AssetID, len(assets))
	for i, a := range assets {
		ids[i] = f.asset(a)
	}
	taken, named, err := f.TakeOver(f.ctx, f.cycle(), emergency, ids, at(35))
	require.NoError(f, err)
	return taken, named
}

// Serves U4.
func takingOver(t *testing.T, s *store.Store) {
	t.Run("what has no start permit is taken and ends deferred, its order withdrawn, its fence grown", func(t *testing.T) {
		f := locked(t, s, "over", 2)
		taken, named := f.emergencyTakes(2)
		require.Equal(t, []patching.AssetID{f.asset(2)}, taken)
		require.Empty(t, named)
		d := f.deployment(2)
		require.Equal(t, patching.DeploymentDone, d.State)
		require.Equal(t, patching.Deferred, d.Outcome)
		require.Equal(t, patching.ReasonTakenOver, d.Reason)
		require.Contains(t, d.Detail, string(emergency))
		require.Equal(t, patching.DeploymentStaged, f.deployment(1).State)
		fences, busy, err := f.LockAssets(f.ctx, emergency, []patching.AssetID{f.asset(1), f.asset(2)}, at(36))
		require.NoError(t, err)
		require.Equal(t, map[patching.AssetID]int64{f.asset(2): 2}, fences)
		require.Equal(t, map[patching.AssetID]patching.CycleID{f.asset(1): f.cycle()}, busy)
		pending, err := f.PendingOrders(f.ctx, []patching.DeviceID{f.device(1), f.device(2)}, at(36))
		require.NoError(t, err)
		require.Len(t, pending, 1)
	})
	t.Run("what was told to start is named, also when it began or the server stopped waiting", func(t *testing.T) {
		f := locked(t, s, "over-named", 4)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 3, at(20))
		require.NoError(t, err)
		f.take(f.report(2, 1, f.said("apply", 2, patching.StageStarted)))
		require.Equal(t, 1, f.end(patching.Unreachable, patching.ReasonSilent, 3))
		taken, named := f.emergencyTakes(1, 2, 3, 4)
		require.Equal(t, []patching.AssetID{f.asset(4)}, taken)
		require.Len(t, named, 3)
		require.Contains(t, named[f.asset(1)], "told it to start at 2026-11-10 11:20 UTC")
		require.Equal(t, patching.DeploymentReleased, f.deployment(1).State)
		require.Equal(t, patching.Unreachable, f.deployment(3).Outcome)
	})
	t.Run("what has answered is taken, and its outcome stays", func(t *testing.T) {
		f := locked(t, s, "over-done", 1)
		_, err := f.ReleaseBatch(f.ctx, f.wave(), 1, 1, at(20))
		require.NoError(t, err)
		f.take(f.report(1, 1, f.finished("apply", 1, patching.Patched)))
		taken, named := f.emergencyTakes(1)
		require.Len(t, taken, 1)
		require.Empty(t, named)
		require.Equal(t, patching.Patched, f.deployment(1).Outcome)
	})
	t.Run("what a third cycle holds is named with it, what nobody holds is taken", func(t *testing.T) {
		f := locked(t, s, "over-third", 1)
		_, _, err := f.LockAssets(f.ctx, "cycle/third/2026-11.1", []patching.AssetID{f.asset(8)}, noon)
		require.NoError(t, err)
		taken, named := f.emergencyTakes(8, 9)
		require.Equal(t, []patching.AssetID{f.asset(9)}, taken)
		require.Contains(t, named[f.asset(8)], "cycle/third/2026-11.1 works on it")
	})
	t.Run("taking over twice takes nothing twice", func(t *testing.T) {
		f := locked(t, s, "over-twice", 1)
		first, _ := f.emergencyTakes(1)
		ended := f.deployment(1)
		second, named := f.emergencyTakes(1)
		require.Equal(t, first, second)
		require.Empty(t, named)
		same(t, ended, f.deployment(1))
		fences, _, err := f.LockAssets(f.ctx, emergency, []patching.AssetID{f.asset(1)}, noon)
		require.NoError(t, err)
		require.EqualValues(t, 2, fences[f.asset(1)])
	})
	t.Run("an order that was taken over cannot move its deployment any more", func(t *testing.T) {
		f := locked(t, s, "over-late", 1)
		f.emergencyTakes(1)
		f.take(f.report(1, 1, f.said("apply", 1, patching.StageAccepted)), f.report(1, 2, f.said("apply", 1, patching.StageRefused)))
		require.Equal(t, patching.ReasonTakenOver, f.deployment(1).Reason)
		require.Empty(t, f.tally().Signatures)
		require.Zero(t, f.tally().Answered)
	})
}

func standings(t *testing.T, s *store.Store) {
	t.Run("what a cycle's machines still have is kept once, as it was seen last", func(t *testing.T) {
		f := with(t, s, "plan-standing")
		f.open()
		_, err := f.Standing(f.ctx, f.cycle())
		require.ErrorIs(t, err, store.ErrNotFound, "nobody has looked, which is not the same as none")
		first := plan.Standing{AsOf: at(1), Machines: 3, Has: map[patching.AdvisoryID]int{"DSA-1": 3}}
		second := plan.Standing{AsOf: at(2), Machines: 3, Has: map[patching.AdvisoryID]int{"DSA-1": 1}, Overdue: map[patching.AdvisoryID]int{"DSA-1": 1}}
		for _, st := range []plan.Standing{first, second, second} {
			require.NoError(t, f.PutStanding(f.ctx, f.cycle(), st))
		}
		got, err := f.Standing(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, second, got)
	})
}
