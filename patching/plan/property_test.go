package plan_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/window"
)

// anInput draws a fleet in which anything may keep a machine out, and a policy
// whose rings may be limited in any way.
func anInput(t *rapid.T) plan.Input {
	var assets []patching.Asset
	for i := range rapid.IntRange(0, 60).Draw(t, "machines") {
		site := rapid.SampledFrom([]patching.SiteName{"amsterdam", "tokyo", "hall", "hall", "attic", "moon", ""}).Draw(t, "site")
		assets = append(assets, a(fmt.Sprintf("m-%02d", i), site, func(a *patching.Asset) {
			switch rapid.IntRange(0, 20).Draw(t, "fate") {
			case 0:
				a.Device = ""
			case 1:
				a.Manager = ""
			case 2:
				a.Inventoried = now.Add(-48 * time.Hour)
			case 3:
				a.Allowed = nil
			case 4:
				a.CarriesPatchcycle = true
			case 5:
				a.Tags = []string{"pet"}
			case 6:
				a.Owner = "nobody"
			case 7:
				a.Zone = "America/New_York"
			}
			kind(rapid.SampledFrom([]plan.BundleKey{kindA, kindA, kindB, nothing, {}}).Draw(t, "kind"))(a)
			a.Services = rapid.SampledFrom([][]string{nil, {"nginx"}, {"postgresql"}}).Draw(t, "role")
		}))
	}
	in := input(assets...)
	in.Kind = rapid.SampledFrom([]patching.Kind{patching.Monthly, patching.Emergency}).Draw(t, "kind of cycle")
	in.CloseBy = now.Add(time.Duration(rapid.IntRange(0, 10*24).Draw(t, "hours to close")) * time.Hour)
	p := in.Policy
	p.Select = rapid.SampledFrom([]string{"", `owner != "nobody"`}).Draw(t, "select")
	p.Exclude = []policy.Exclusion{{Select: `"pet" in tags`, Reason: "fragile", Until: now.Add(time.Hour)}}
	p.Rings[0] = policy.Ring{Name: "test", Count: rapid.IntRange(0, 9).Draw(t, "test ring"), Batch: 3, Soak: time.Hour}
	p.Rings[1].Percent = rapid.SampledFrom([]float64{0, 0.1, 30}).Draw(t, "percent")
	p.Emergency.AnyWindow = rapid.Bool().Draw(t, "any window")
	if from := rapid.IntRange(-24, 200).Draw(t, "freeze from hour"); from > 0 {
		start := now.Add(time.Duration(from) * time.Hour)
		p.Freezes = []policy.Freeze{{Name: "freeze", From: start, Until: start.Add(36 * time.Hour)}}
	}
	in.Busy = map[patching.AssetID]patching.CycleID{}
	for _, asset := range assets {
		switch rapid.IntRange(0, 15).Draw(t, "elsewhere") {
		case 0:
			in.CarryOver = append(in.CarryOver, asset.ID)
		case 1:
			in.Busy[asset.ID] = "emergency/servers/xz"
		}
	}
	return in
}

// Serves G10: every asset of a cycle ends in exactly one outcome.
func TestEverySelectedMachineIsInThePlanExactlyOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		out, err := plan.Build(in)
		require.NoError(t, err)
		require.Equal(t, len(in.Assets), len(out.Items)+out.NotSelected)
		requireTested(t, out.Items)
		seen := map[patching.AssetID]bool{}
		for _, i := range out.Items {
			require.False(t, seen[i.Asset], "%s twice", i.Asset)
			seen[i.Asset] = true
			require.NotEqual(t, i.Ring == "", i.Exclude == "", "a ring or an exclusion: %+v", i)
			require.Equal(t, i.Ring == "", i.Bundle == "")
			if i.Ring == "" {
				require.True(t, i.Exclude.Valid())
				outcome, ok := i.Exclude.LeavesAs()
				require.True(t, ok && outcome.Valid(), i.Exclude)
			}
		}
		left := 0
		for _, n := range out.Plan.Excluded {
			left += n
		}
		require.Equal(t, len(out.Items), out.Plan.Assets()+left)
	})
}

func TestThePlanDoesNotDependOnTheOrderOfTheFleet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		first, err := plan.Build(in)
		require.NoError(t, err)
		in.Assets = rapid.Permutation(in.Assets).Draw(t, "order")
		again, err := plan.Build(in)
		require.NoError(t, err)
		require.Equal(t, first, again)
	})
}

// Serves G3, invariant I4 of the reliability study: the window binds, and so do
// freezes and the closing date.
func TestEveryMachineIsPlannedIntoAWindowOfItsPlace(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		out, err := plan.Build(in)
		require.NoError(t, err)
		for _, i := range out.Items {
			if i.Ring == "" {
				continue
			}
			rule, loc, err := window.ParseSigned(i.WindowRule)
			require.NoError(t, err)
			require.True(t, rule.Open(i.Start, i.End, loc), "%s in %s to %s", i.WindowRule, i.Start, i.End)
			require.True(t, i.End.After(in.Now))
			require.False(t, i.End.After(in.CloseBy))
			for _, f := range in.Policy.Freezes {
				require.False(t, i.Start.Before(f.Until) && f.From.Before(i.End), "in a freeze")
			}
		}
	})
}

// Serves G5, G7: ring order, and the limits of rings.
func TestRingsKeepTheirOrderAndTheirLimits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		out, err := plan.Build(in)
		require.NoError(t, err)
		count := map[patching.RingName]int{}
		waves := map[patching.WaveID][]patching.PlanItem{}
		own := map[patching.AssetID]bool{}
		for _, a := range in.Assets {
			own[a.ID] = a.CarriesPatchcycle
		}
		for _, i := range out.Items {
			if i.Ring != "" {
				count[i.Ring]++
				waves[i.Wave] = append(waves[i.Wave], i)
			}
		}
		if limit := in.Policy.Rings[0].Count; limit > 0 {
			require.LessOrEqual(t, count["test"], limit)
		}
		for id, items := range waves {
			turns := map[int]bool{}
			for _, i := range items {
				turns[i.Position] = true
				require.Equal(t, items[0].Ring, i.Ring)
				require.Equal(t, items[0].Site, i.Site)
				require.True(t, items[0].Start.Equal(i.Start))
				require.True(t, len(items) == 1 || !own[i.Asset], "%s goes alone, not in %s", i.Asset, id)
			}
			require.Len(t, turns, len(items), "one turn each")
		}
	})
}

// Serves Q4, Q7: what leaves an approved plan needs nothing.
func TestWhatShrinksIsProvedToShrink(t *testing.T) {
	part := patching.DigestOf([]byte("part of a"))
	within := func(p, whole patching.Digest) bool { return p == part && whole == bundles[kindA].Bundle }
	rapid.Check(t, func(t *rapid.T) {
		out, err := plan.Build(anInput(t))
		require.NoError(t, err)
		less := plan.Less{Out: map[patching.AssetID]plan.Leave{}, Withdrawn: map[patching.Digest]string{}}
		for _, i := range out.Items {
			if rapid.IntRange(0, 4).Draw(t, "leaves") == 0 {
				less.Out[i.Asset] = plan.Leave{Reason: patching.ReasonRemoved, Why: "by omar"}
			}
		}
		if rapid.Bool().Draw(t, "a bundle loses patches") {
			less.Bundles = map[patching.Digest]plan.BundleRef{bundles[kindA].Bundle: {Bundle: part}}
			less.Withdrawn[bundles[kindB].Bundle] = "nginx failed in ring test"
		}
		if rapid.Bool().Draw(t, "the test ring has begun") {
			less.Begun = []patching.RingName{"test"}
		}
		was := slices.Clone(out.Items)
		smaller := plan.Shrink(out.Items, less)
		require.Equal(t, was, out.Items, "the old plan stays as it was")
		require.NoError(t, plan.Shrunk(out.Items, smaller, within))
		if p, q := plan.Summarize(out.Plan, out.Items), plan.Summarize(out.Plan, smaller); p.Assets() == q.Assets() && less.Bundles == nil {
			require.ElementsMatch(t, rings(out.Items), rings(smaller))
		} else if less.Bundles == nil {
			require.Error(t, plan.Shrunk(smaller, out.Items, within), "a plan that grew is found")
		}
	})
}

func rings(items []patching.PlanItem) (all []string) {
	for _, i := range items {
		all = append(all, fmt.Sprintln(i.Asset, i.Ring, i.Bundle))
	}
	return all
}

// Serves G3: time that testing and approval took.
func TestPlanningAgainLaterKeepsWhatWasApproved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		out, err := plan.Build(in)
		require.NoError(t, err)
		in.Now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "hours later")) * time.Hour)
		var begun []patching.RingName
		if rapid.Bool().Draw(t, "tested") {
			begun = append(begun, "test")
		}
		moved, err := plan.Reschedule(in, out.Items, begun...)
		if err != nil {
			require.ErrorContains(t, err, "would be patched untested")
			require.Empty(t, begun)
			return
		}
		requireTested(t, moved)
		require.NoError(t, plan.Shrunk(out.Items, moved, nil))
		was := map[patching.AssetID]patching.PlanItem{}
		for _, i := range out.Items {
			was[i.Asset] = i
		}
		for _, i := range moved {
			switch {
			case i.Ring == "" && was[i.Asset].Ring != "":
				require.Equal(t, patching.ReasonNoWindow, i.Exclude)
			case i.Ring == "" || slices.Contains(begun, i.Ring):
				require.Equal(t, was[i.Asset], i)
			default:
				require.True(t, i.End.After(in.Now), "in the past")
			}
		}
		again, err := plan.Reschedule(in, moved, begun...)
		require.NoError(t, err)
		require.Equal(t, maps.Collect(byAsset(moved)), maps.Collect(byAsset(again)), "nothing moves twice")
	})
}

func byAsset(items []patching.PlanItem) func(func(patching.AssetID, patching.PlanItem) bool) {
	return func(yield func(patching.AssetID, patching.PlanItem) bool) {
		for _, i := range items {
			if !yield(i.Asset, i) {
				return
			}
		}
	}
}

// requireTested holds of every plan: none but the test ring goes first.
func requireTested(t require.TestingT, items []patching.PlanItem) {
	in := map[patching.RingName]int{}
	for _, i := range items {
		in[i.Ring]++
	}
	require.False(t, in["test"] == 0 && len(items) > in[""], "machines would be patched untested: %v", in)
}
