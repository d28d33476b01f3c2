package plan_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Serves G6, Q15: what enters needs an approval; each way to grow is named.
func TestAPlanThatGrewIsFoundAndSaysHow(t *testing.T) {
	before := build(t, input(slices.Concat(some(6, "hall"), some(2, "attic"))...)).Items
	patched, left := 0, len(before)-1
	for _, c := range []struct {
		name  string
		grow  func([]patching.PlanItem) []patching.PlanItem
		error string
	}{
		{"a machine that nobody approved", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Asset = "intruder"
			return i
		}, "intruder was not in the plan before"},
		{"a machine twice", func(i []patching.PlanItem) []patching.PlanItem { return append(i, i[patched]) }, "or is in it twice now"},
		{"a machine lost", func(i []patching.PlanItem) []patching.PlanItem { return i[1:] }, "has to say why"},
		{"a machine neither in nor out", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Ring = ""
			return i
		}, "neither a ring nor a reason"},
		{"a machine in and out", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Exclude = patching.ReasonRemoved
			return i
		}, "has a ring and a reason"},
		{"a machine that was left out", func(i []patching.PlanItem) []patching.PlanItem {
			i[left].Ring, i[left].Exclude = "test", ""
			return i
		}, "was left out before"},
		{"an earlier ring", func(i []patching.PlanItem) []patching.PlanItem {
			n := slices.IndexFunc(i, func(p patching.PlanItem) bool { return p.Ring == "early" })
			i[n].Ring = "test"
			return i
		}, "moved from ring early to ring test"},
		{"another device", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Device = "d-other"
			return i
		}, "another device"},
		{"another window", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].WindowRule = "always in Mars"
			return i
		}, "another window rule"},
		{"other patches", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Bundle = "sha256:more"
			return i
		}, "patches that it did not have"},
		{"another way back", func(i []patching.PlanItem) []patching.PlanItem {
			i[patched].Rollback = "sha256:elsewhere"
			return i
		}, "another way back"},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.ErrorContains(t, plan.Shrunk(before, c.grow(slices.Clone(before)), nil), c.error)
		})
	}
	assert.NoError(t, plan.Shrunk(before, before, nil))
}

func TestRingsThatHaveBegunDoNotShrink(t *testing.T) {
	out := build(t, input(some(6, "hall")...))
	less := plan.Less{Begun: []patching.RingName{"test"}, Out: map[patching.AssetID]plan.Leave{}}
	for _, i := range out.Items {
		less.Out[i.Asset] = plan.Leave{Reason: patching.ReasonRemoved, Why: "by omar"}
	}
	p := plan.Summarize(out.Plan, plan.Shrink(out.Items, less))
	assert.Equal(t, []patching.PlanRing{{Name: "test", Assets: 4}}, p.Rings)
	assert.Equal(t, map[patching.Reason]int{patching.ReasonRemoved: 2}, p.Excluded)
}

// Serves G3: a plan that waited for its approval does not point into the past.
func TestARingThatWaitedForApprovalTakesTheNextWindow(t *testing.T) {
	in := input(append(some(20, "amsterdam"), a("server", "amsterdam", func(a *patching.Asset) { a.CarriesPatchcycle = true }))...)
	out := build(t, in)
	in.Now = now.Add(4*24*time.Hour + time.Hour)
	moved, err := plan.Reschedule(in, out.Items, "test")
	require.NoError(t, err)
	want := map[patching.RingName]time.Time{"test": at("24T21:00"), "early": at("28T21:00"), "rest": at("29T21:00")}
	for _, i := range moved {
		if i.Asset == "server" {
			assert.Equal(t, at("30T21:00"), i.Start)
			assert.Contains(t, string(i.Wave), "/night.patchcycle-1/20261130T2100Z")
			continue
		}
		assert.Equal(t, want[i.Ring], i.Start, "%s", i.Ring)
	}
	d := plan.Diff(out.Items, moved, nil)
	assert.Equal(t, plan.Difference{Stay: 21, Time: 17, Leave: map[patching.Reason]int{}}, d)
	assert.Equal(t, "Of the machines, 17 get another time; 21 stay in the plan.", d.Words())
}

func TestItemsThatNoPlanMadeCannotBePlannedAgain(t *testing.T) {
	in := input(some(5, "hall")...)
	for want, change := range map[string]func(*patching.PlanItem){
		`the policy has no ring "gone"`: func(i *patching.PlanItem) { i.Ring = "gone" },
		"is not the id of a wave":       func(i *patching.PlanItem) { i.Wave = "wave" },
		"names no zone":                 func(i *patching.PlanItem) { i.WindowRule = "always" },
	} {
		items := build(t, in).Items
		change(&items[0])
		_, err := plan.Reschedule(in, items)
		require.ErrorContains(t, err, want)
	}
	in.Policy.Windows[0].Rule = "nightly"
	_, err := plan.Reschedule(in, nil)
	assert.ErrorContains(t, err, "window night")
}

func TestADifferenceCountsWhatPeopleAskAbout(t *testing.T) {
	item := func(id patching.AssetID, ring patching.RingName, bundle patching.Digest) patching.PlanItem {
		return patching.PlanItem{Asset: id, Ring: ring, Bundle: bundle}
	}
	gone := patching.PlanItem{Asset: "gone", Exclude: patching.ReasonRemoved}
	bundles := map[patching.Digest]patching.Bundle{"x": bundleOf("openssl", "nginx"), "y": bundleOf("openssl"), "z": bundleOf("bash")}
	d := plan.Diff(
		[]patching.PlanItem{item("same", "test", "x"), item("moved", "test", "x"), item("less", "rest", "x"), item("gone", "rest", "x"), item("lost", "rest", "x"), item("emptied", "rest", "z"), {Asset: "out", Exclude: patching.ReasonNoRing}},
		[]patching.PlanItem{
			item("same", "test", "x"), item("moved", "rest", "x"), item("less", "rest", "y"), gone, item("new", "rest", "x"),
			{Asset: "emptied", Exclude: patching.ReasonWithdrawn},
			{Asset: "out", Exclude: patching.ReasonNoRing},
		}, bundles,
	)
	assert.Equal(t, plan.Difference{
		Stay: 3, Ring: 1, Patches: 1, Enter: 1,
		Leave:     map[patching.Reason]int{patching.ReasonRemoved: 1, patching.ReasonUnknown: 1, patching.ReasonWithdrawn: 1},
		Withdrawn: []string{"bash", "nginx"},
	}, d)
	assert.Equal(t, "Withdrawn: bash, nginx. Of the machines, 1 enter, 3 leave, 1 change their ring, 1 get other patches; 3 stay in the plan.", d.Words())
	assert.Equal(t, "Nothing changes for the 0 machines of the plan.", plan.Diff(nil, nil, nil).Words())
}

func bundleOf(names ...string) (b patching.Bundle) {
	for _, n := range names {
		b.Steps = append(b.Steps, patching.Step{Patches: []patching.Patch{{Action: patching.Upgrade, Name: n, Arch: "amd64", From: "1", To: "2"}}})
	}
	return b
}

// Serves G5: how well the test ring mirrors production is computed.
func TestTheTestRingSaysHowWellItMirrorsProduction(t *testing.T) {
	items := []patching.PlanItem{
		{Asset: "1", Ring: "test", Stratum: "debian 12 web", Bundle: "a"},
		{Asset: "2", Ring: "test", Stratum: "debian 12 db", Bundle: "a"},
		{Asset: "3", Ring: "rest", Stratum: "debian 12 web", Bundle: "a"},
		{Asset: "4", Ring: "rest", Stratum: "debian 11 web", Bundle: "b"},
		{Asset: "5", Exclude: patching.ReasonNoRing, Stratum: "debian 9 vax"},
	}
	m := plan.Mirror(items, "test", map[patching.Digest]patching.Bundle{"a": bundleOf("openssl", "nginx"), "b": bundleOf("openssl", "bash")})
	assert.Equal(t, plan.Mirrored{
		Ring: "test", Machines: 2, Of: 4, Kinds: 2, KindsOf: 3, Like: 3, Untested: []string{"debian 11 web"}, Patches: 2, PatchesOf: 3,
	}, m)
	assert.Equal(t, "2 of 4 machines: 2 of 3 kinds (75 % of all machines are of one of these) and 2 of 3 patches."+
		" Not tested: debian 11 web. A defect that hits 3 % of machines shows here with a chance of 5 %.", m.Words())
	assert.Equal(t, "The ring canary has no machine.", plan.Mirror(items, "canary", nil).Words())
}

func TestTheForecastFollowsWindowsBatchesAndSoaks(t *testing.T) {
	in := input(slices.Concat(some(10, "amsterdam"), some(10, "tokyo"))...)
	out := build(t, in)
	f := plan.Foresee(in.Policy, out.Plan, out.Items)
	require.Len(t, f.Rings, 3)
	assert.Equal(t, plan.RingForecast{
		Ring: "test", Machines: 4, Waves: 2,
		Begin: now, End: at("24T22:00"), Soaked: at("25T00:00"),
	}, f.Rings[0])
	assert.Equal(t, at("26T22:00"), f.End)
	assert.True(t, f.Fits)
	assert.Equal(t, "test: 4 machines in 2 waves from 24 Nov 2026 17:00 UTC; early: 4 machines in 2 waves from 25 Nov 2026 00:00 UTC;"+
		" rest: 12 machines in 2 waves from 26 Nov 2026 14:00 UTC. Done by 26 Nov 2026 22:00 UTC at the earliest, and as much later as approval takes.", f.Words())

	out.Plan.CloseBy = at("26T21:00")
	f = plan.Foresee(in.Policy, out.Plan, out.Items)
	assert.False(t, f.Fits)
	assert.Contains(t, f.Words(), "That is after the cycle closes")
	assert.Equal(t, "Nothing is left to be patched.", plan.Foresee(in.Policy, out.Plan, nil).Words())
}

// What is shown beside a plan that is made again after its test ring.
func TestTheOutlookOfALaterPlanForeseesTheRestAndSaysWhatChanged(t *testing.T) {
	in := input(slices.Concat(some(10, "amsterdam"), some(10, "tokyo"))...)
	out := build(t, in)
	bundles := map[patching.Digest]patching.Bundle{bundles[kindA].Bundle: bundleOf("openssl")}
	first := plan.Look(in.Policy, out.Plan, nil, out.Items, bundles)
	assert.Equal(t, out.Plan.Hash(), first.Plan)
	assert.Len(t, first.Forecast.Rings, 3)
	assert.Equal(t, 4, first.Mirror.Machines)
	assert.Nil(t, first.Change, "there is nothing before it")

	again := out.Plan
	again.Revision, again.Made = 2, at("25T12:00")
	left := plan.Shrink(out.Items, plan.Less{Begun: []patching.RingName{"test"}, Withdrawn: map[patching.Digest]string{out.Items[0].Bundle: "openssl failed in ring test"}})
	second := plan.Look(in.Policy, again, out.Items, left, bundles, "test")
	assert.Empty(t, second.Forecast.Rings, "the test ring is not foreseen any more, and nothing else is left")
	require.NotNil(t, second.Change)
	assert.Equal(t, []string{"openssl"}, second.Change.Withdrawn)
	assert.Equal(t, map[patching.Reason]int{patching.ReasonWithdrawn: 16}, second.Change.Leave)

	second = plan.Look(in.Policy, again, out.Items, out.Items, bundles, "test")
	assert.Equal(t, patching.RingName("early"), second.Forecast.Rings[0].Ring)
	assert.Equal(t, again.Made, second.Forecast.Rings[0].Begin, "its window was there before the test was over")
	assert.Equal(t, "Nothing changes for the 20 machines of the plan.", second.Change.Words())
}

func TestAnEmergencySoaksNoLongerThanItsProfileSays(t *testing.T) {
	in := input(some(12, "hall")...)
	in.Kind = patching.Emergency
	in.Policy.Emergency = policy.EmergencyProfile{Soak: time.Hour}
	out := build(t, in)
	f := plan.Foresee(in.Policy, out.Plan, out.Items)
	assert.Equal(t, time.Hour, f.Rings[0].Soaked.Sub(f.Rings[0].End))
	assert.Zero(t, f.Rings[2].Soaked.Sub(f.Rings[2].End), "a ring without a soak gets none")
}
