package plan_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

const added patching.RingName = "added-1"

// admit brings machines into a cycle whose policy has three rings.
func admit(t require.TestingT, assets ...patching.Asset) plan.Admitted {
	in := input(assets...)
	in.Policy = in.Policy.With(added)
	wanted := []patching.AssetID{"nobody's"}
	for _, a := range assets {
		wanted = append(wanted, a.ID)
	}
	got, err := plan.Admit(in, wanted, added, plan.Forecast{})
	require.NoError(t, err)
	return got
}

// Serves U1, L5.
func TestWhoComesInGetsARingOfItsOwnAndTheOthersLearnWhyTheyDoNot(t *testing.T) {
	got := admit(t,
		a("new", "hall"), a("newer", "tokyo", kind(kindB)),
		a("current", "hall", kind(nothing)), a("mute", "hall", func(a *patching.Asset) { a.Device = "" }), a("lost", "attic"),
	)
	require.Len(t, got.Items, 2)
	for _, i := range got.Items {
		assert.Equal(t, added, i.Ring)
		assert.NotEmpty(t, i.Wave)
		assert.NotEmpty(t, i.Bundle)
		assert.NotEmpty(t, i.WindowRule)
	}
	assert.Contains(t, got.Out["current"], "offers nothing that this policy would install.")
	assert.Contains(t, got.Out["mute"], "no agent is enrolled on it.")
	assert.Contains(t, got.Out["lost"], "No maintenance window")
	assert.Equal(t, "There is no such machine.", got.Out["nobody's"])

	name := func(id patching.AssetID) string { return "host-" + string(id) }
	words := got.Words(added, name)
	assert.Contains(t, words, "2 machines come in as ring added-1, after all others; people approve it before it begins.")
	assert.Contains(t, words, "host-mute does not: The machine is known, but no agent is enrolled on it.")
	assert.Equal(t, "No machine comes in. host-x does not: It is in ring broad.",
		plan.Admitted{Out: map[patching.AssetID]string{"x": "It is in ring broad."}}.Words(added, name))
}

func TestTheRingOfThoseWhoComeInHasTheRulesOfTheLastAndIsApproved(t *testing.T) {
	p := servers().With(added, "test")
	require.Len(t, p.Rings, 4)
	ring, ok := p.Ring(added)
	require.True(t, ok)
	last, _ := p.Ring("rest")
	last.Name, last.Approve = added, true
	assert.Equal(t, last, ring)
	assert.Len(t, servers().Rings, 3, "the policy itself stays as it is")
	assert.True(t, plan.NeedsApproval(ring, patching.PlanRing{Name: added}))
}

func TestMachinesJoinTheLastRingOfSuchUntilSomebodyHasDecidedAboutIt(t *testing.T) {
	rings := func(names ...patching.RingName) (all []patching.PlanRing) {
		for _, n := range names {
			all = append(all, patching.PlanRing{Name: n})
		}
		return all
	}
	taken := servers()
	taken.Rings[2].Name = added
	for _, c := range []struct {
		name      string
		rings     []patching.PlanRing
		undecided bool
		own       bool
		want      patching.RingName
	}{
		{"nobody has come in yet", rings("test", "rest"), true, false, "added-1"},
		{"the ring before is undecided", rings("test", "rest", "added-1"), true, false, "added-1"},
		{"the ring before is approved, or has begun", rings("test", "rest", "added-1"), false, false, "added-2"},
		{"the policy has a ring of that name", rings("test", added), true, true, "added-2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := servers()
			if c.own {
				p = taken
			}
			assert.Equal(t, c.want, plan.RingForAdmitted(p, c.rings, func(patching.RingName) bool { return c.undecided }))
		})
	}
}

// Serves U1, Q15: what people approved of the other rings covers them as it did.
func TestWhoeverComesInChangesNothingForTheOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := some(rapid.IntRange(1, 30).Draw(t, "old"), "hall")
		before, err := plan.Build(input(old...))
		require.NoError(t, err)
		come := admit(t, some(rapid.IntRange(0, 10).Draw(t, "new"), "tokyo", kind(kindB))...)
		after := come.Into(before.Items)
		require.NoError(t, plan.Grown(before.Items, after, added))
		require.Len(t, after, len(before.Items)+len(come.Items))
		is := plan.Summarize(before.Plan, after)
		require.Equal(t, before.Plan.Rings, is.Rings[:len(before.Plan.Rings)])
	})
}

func TestAPlanHasNotOnlyGrownIf(t *testing.T) {
	before := build(t, input(some(6, "hall")...)).Items
	come := admit(t, a("new", "tokyo"))
	for name, change := range map[string]func([]patching.PlanItem) []patching.PlanItem{
		"a machine has left":             func(all []patching.PlanItem) []patching.PlanItem { return all[1:] },
		"a machine gets other patches":   func(all []patching.PlanItem) []patching.PlanItem { all[0].Bundle = kindB.Packages; return all },
		"a machine changed its ring":     func(all []patching.PlanItem) []patching.PlanItem { all[0].Ring = added; return all },
		"one came in by another ring":    func(all []patching.PlanItem) []patching.PlanItem { all[len(all)-1].Ring = "test"; return all },
		"a machine has another time now": func(all []patching.PlanItem) []patching.PlanItem { all[0].Start = now; return all },
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, plan.Grown(before, change(come.Into(before)), added))
		})
	}
}

// Serves Q7.
func TestOnlyWhoHasNoPlaceInAPlanIsNew(t *testing.T) {
	row := func(id patching.AssetID, ring patching.RingName, exclude patching.Reason, state patching.DeploymentState, why patching.Reason) patching.Deployment {
		return patching.Deployment{PlanItem: patching.PlanItem{Asset: id, Ring: ring, Exclude: exclude}, State: state, Reason: why}
	}
	free, in := plan.Newcomers([]patching.AssetID{"new", "left-out", "waiting", "done", "taken-out"}, []patching.Deployment{
		row("left-out", "", patching.ReasonInventoryStale, patching.DeploymentDone, patching.ReasonInventoryStale),
		row("waiting", "rest", "", patching.DeploymentPlanned, ""),
		row("done", "test", "", patching.DeploymentDone, patching.ReasonVerified),
		row("taken-out", "", patching.ReasonRemoved, patching.DeploymentDone, patching.ReasonRemoved),
	})
	assert.Equal(t, []patching.AssetID{"new", "left-out"}, free)
	assert.Len(t, in, 3)
	assert.Equal(t, "It is in ring rest.", in["waiting"])
	assert.Equal(t, "A person took the machine out of the cycle. That is how it ended in this cycle.", in["taken-out"])
}
