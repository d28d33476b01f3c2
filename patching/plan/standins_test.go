package plan_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// lab returns machines that the policy of [labInput] selects for its test ring.
func lab(n int, change ...func(*patching.Asset)) []patching.Asset {
	machines := some(n, "hall", change...)
	for i := range machines {
		machines[i].ID = patching.AssetID(fmt.Sprintf("lab-%d", i))
		machines[i].Device, machines[i].Tags = patching.DeviceID("d-"+machines[i].ID), append(machines[i].Tags, "lab")
	}
	return machines
}

// labInput has a test ring of the machines tagged lab.
func labInput(assets ...patching.Asset) plan.Input {
	in := input(assets...)
	in.Policy.Rings[0] = policy.Ring{Name: "test", Select: `"lab" in tags`, Batch: 2}
	in.Policy.Rings[1] = policy.Ring{Name: "early", Select: `"pilot" in tags`, Batch: 10}
	return in
}

func pilot(a *patching.Asset) { a.Tags = append(a.Tags, "pilot") }

func ringSizes(out plan.Output) map[patching.RingName]int {
	n := map[patching.RingName]int{}
	for _, r := range out.Plan.Rings {
		n[r.Name] = r.Assets
	}
	return n
}

// Serves G5, U4, Q1: an emergency beside a monthly cycle, and the remainder of a
// month that closed at its date, find the test ring's own machines done or at
// work. The test is not skipped, and the cycle is not lost.
func TestOthersStandInForATestRingNoneOfWhoseMachinesTakesPart(t *testing.T) {
	busy := func(in *plan.Input, ids ...patching.AssetID) {
		in.Busy = map[patching.AssetID]patching.CycleID{}
		for _, id := range ids {
			in.Busy[id] = "cycle/servers/2026-10.1"
		}
	}
	pilots := func(n int) []patching.Asset { return some(n, "tokyo", pilot) }
	for _, c := range []struct {
		name   string
		assets []patching.Asset
		change func(*plan.Input)
		words  string
		sizes  map[patching.RingName]int
	}{
		{
			name:   "they are up to date: as many of the next ring as they are",
			assets: slices.Concat(lab(3, kind(nothing)), pilots(8), some(20, "hall")),
			words:  "its 3 machines are already up to date; 3 machines of ring early stand in",
			sizes:  map[patching.RingName]int{"test": 3, "early": 5, "rest": 20},
		},
		{
			name:   "or as the policy says",
			assets: slices.Concat(lab(3, kind(nothing)), pilots(8)),
			change: func(in *plan.Input) { in.Policy.Rings[0].Count = 2 },
			words:  "its 3 machines are already up to date; 2 machines of ring early stand in",
			sizes:  map[patching.RingName]int{"test": 2, "early": 6},
		},
		{
			name:   "they are busy in another cycle, which is named",
			assets: slices.Concat(lab(2), pilots(8)),
			change: func(in *plan.Input) { busy(in, "lab-0", "lab-1") },
			words:  "its 2 machines are busy in cycle/servers/2026-10.1; 2 machines of ring early stand in",
			sizes:  map[patching.RingName]int{"test": 2, "early": 6},
		},
		{
			name:   "some are this and some are that",
			assets: slices.Concat(lab(6, kind(nothing))[:3], lab(6)[3:], pilots(8)),
			change: func(in *plan.Input) {
				busy(in, "lab-3", "lab-4")
				in.Policy.Exclude = []policy.Exclusion{{Select: `hostname == "hall-005"`, Reason: "on loan"}}
			},
			words: "of its 6 machines 3 are already up to date, 2 are busy in cycle/servers/2026-10.1 and 1 is left out (the policy excludes the machine);" +
				" 6 machines of ring early stand in",
			sizes: map[patching.RingName]int{"test": 6, "early": 2},
		},
		{
			name:   "there are fewer of the next ring",
			assets: slices.Concat(lab(3, kind(nothing)), pilots(1), some(20, "hall")),
			words:  "its 3 machines are already up to date; 1 machine of ring early stands in",
			sizes:  map[patching.RingName]int{"test": 1, "rest": 20},
		},
		{
			name:   "nobody is left of the next ring, so it is the one after it",
			assets: slices.Concat(lab(1, kind(nothing)), some(4, "tokyo", pilot, kind(nothing)), some(20, "hall")),
			words:  "its 1 machine is already up to date; 1 machine of ring rest stands in",
			sizes:  map[patching.RingName]int{"test": 1, "rest": 19},
		},
		{
			name:   "one machine is left in all, and is its own test",
			assets: slices.Concat(lab(3, kind(nothing)), some(1, "hall")),
			words:  "its 3 machines are already up to date; 1 machine of ring rest stands in",
			sizes:  map[patching.RingName]int{"test": 1},
		},
		{
			name: "machines that patchcycle runs on come last, and neither test nor hinder it",
			assets: slices.Concat(lab(3, kind(nothing))[:2], lab(3, func(a *patching.Asset) { a.CarriesPatchcycle = true })[2:],
				some(4, "tokyo", func(a *patching.Asset) { a.CarriesPatchcycle = true }, pilot), some(20, "hall")),
			words: "its 2 machines are already up to date; 2 machines of ring rest stand in",
			sizes: map[patching.RingName]int{"test": 2, "rest": 23},
		},
		{
			name:   "one of them takes part: it tests alone, and nobody stands in",
			assets: slices.Concat(lab(3, kind(nothing))[:2], lab(3)[2:], pilots(8)),
			sizes:  map[patching.RingName]int{"test": 1, "early": 8},
		},
		{
			name:   "there is nothing to patch at all",
			assets: slices.Concat(lab(3, kind(nothing)), some(8, "tokyo", pilot, kind(nothing))),
			sizes:  map[patching.RingName]int{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := labInput(c.assets...)
			if c.change != nil {
				c.change(&in)
			}
			out := build(t, in)
			assert.Equal(t, c.sizes, ringSizes(out))
			for n, r := range out.Plan.Rings {
				assert.Equal(t, map[bool]string{true: c.words}[n == 0], r.StandIns, r.Name)
			}
			text := string(out.Plan.Canonical())
			if c.words == "" {
				assert.NotContains(t, text, "stand-ins")
			} else {
				assert.Contains(t, text, "\nstand-ins\ttest\t"+c.words+"\n", "who approves the plan reads it")
			}
		})
	}
}

// Serves Q7: a policy that selects nobody is mistaken, which is not the same as
// a ring that is done.
func TestNobodyStandsInForATestRingThatSelectsNobody(t *testing.T) {
	for name, assets := range map[string][]patching.Asset{
		"no machine has the tag":                               some(5, "hall"),
		"only the machine that patchcycle runs on has the tag": append(some(5, "hall"), lab(1, func(a *patching.Asset) { a.CarriesPatchcycle = true })...),
		"those that have it are none of the policy's":          append(some(5, "hall"), lab(3, kind(nothing), func(a *patching.Asset) { a.Owner = "nobody" })...),
	} {
		in := labInput(assets...)
		in.Policy.Select = `owner != "nobody"`
		_, err := plan.Build(in)
		assert.ErrorContains(t, err, "ring test would be empty while ", name)
	}
}

// Serves G5.
func TestStandInsMirrorTheRingThatTheyComeFrom(t *testing.T) {
	db := func(a *patching.Asset) { a.Tags = []string{"role:db", "pilot"} }
	in := labInput(slices.Concat(lab(3, kind(nothing)), some(60, "amsterdam", pilot), some(30, "tokyo", db), some(1, "hall", pilot))...)
	taken := map[string]int{}
	for _, i := range build(t, in).Items {
		if i.Ring == "test" {
			taken[string(i.Site)+" "+i.Stratum]++
		}
	}
	assert.Equal(t, map[string]int{"amsterdam debian 12 nginx": 1, "tokyo debian 12 db": 1, "hall debian 12 nginx": 1}, taken)
}

// A plan that is made again, or shrinks, says the same of its test ring.
func TestWhoStandsInStaysOnThePlanThatIsMadeAgain(t *testing.T) {
	in := labInput(slices.Concat(lab(3, kind(nothing)), some(8, "tokyo", pilot))...)
	out := build(t, in)
	out.Plan.Rings[0].Root = "sha256:1"
	again := plan.Summarize(out.Plan, plan.Shrink(out.Items, plan.Less{}))
	assert.Equal(t, out.Plan.Rings[0].StandIns, again.Rings[0].StandIns)
	assert.Empty(t, again.Rings[1].StandIns)
}

// Serves G5: whatever keeps the test ring's machines out, a plan that patches
// anything tests it first; others stand in only where none of them can.
func TestTheTestRingIsNeverSkippedAndNeverReplacedWhileItCanTest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		in.Policy.Rings[0].Select = `"lab" in tags`
		labs := map[patching.AssetID]bool{}
		for i := range in.Assets {
			if a := &in.Assets[i]; rapid.IntRange(0, 3).Draw(t, "in the lab") == 0 {
				a.Tags = append(a.Tags, "lab")
				labs[a.ID] = true
				if rapid.Bool().Draw(t, "done") {
					kind(nothing)(a)
				}
			}
		}
		out, err := plan.Build(in)
		selected, room, planned := 0, len(in.Assets), 0
		own := map[patching.AssetID]bool{}
		for _, a := range in.Assets {
			own[a.ID] = a.CarriesPatchcycle
		}
		for _, i := range out.Items {
			if labs[i.Asset] && !own[i.Asset] {
				selected++
			}
		}
		if n := in.Policy.Rings[0].Count; n > 0 {
			room = n
		}
		if err != nil {
			require.ErrorContains(t, err, "ring test would be empty")
			for _, a := range in.Assets {
				ours := in.Policy.Select == "" || a.Owner != "nobody"
				require.False(t, ours && labs[a.ID] && !a.CarriesPatchcycle, "%s could have been stood in for", a.ID)
			}
			return
		}
		requireTested(t, out.Items)
		var testers, strangers int
		for _, i := range out.Items {
			if i.Ring == "" {
				continue
			}
			planned++
			if i.Ring == "test" {
				testers++
				if !labs[i.Asset] {
					strangers++
				}
			}
		}
		if strangers == 0 {
			require.False(t, planned > 0 && out.Plan.Rings[0].StandIns != "", "nobody stands in, and it is said")
			return
		}
		require.NotEmpty(t, out.Plan.Rings[0].StandIns)
		require.Equal(t, testers, strangers, "the ring's own machines beside those that stand in for them")
		require.LessOrEqual(t, testers, min(selected, room), "more than the ring would have had")
		for _, i := range out.Items {
			require.False(t, labs[i.Asset] && !own[i.Asset] && i.Ring != "", "%s could have tested", i.Asset)
		}
	})
}

// Serves G5.
func TestARingThatOthersStandInForIsNotPreApproved(t *testing.T) {
	for _, asks := range []bool{false, true} {
		for _, standIns := range []string{"", "its 2 machines are busy; 2 machines of ring early stand in"} {
			require.Equal(t, asks || standIns != "", plan.NeedsApproval(policy.Ring{Approve: asks}, patching.PlanRing{StandIns: standIns}))
		}
	}
}
