package plan_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// rehearses returns a machine that may be asked.
func rehearses(id string, change ...func(*patching.Asset)) patching.Asset {
	return a(id, "hall", append([]func(*patching.Asset){func(a *patching.Asset) { a.Allowed = []string{"collect", "simulate"} }}, change...)...)
}

func mute(a *patching.Asset) { a.Allowed = []string{"collect"} }

func heard(ago time.Duration) func(*patching.Asset) {
	return func(a *patching.Asset) { a.Seen = now.Add(-ago) }
}

// cast puts machines into rings. Those that are offered the same get the same bundle.
func cast(rings map[patching.RingName][]patching.Asset) ([]patching.PlanItem, map[patching.AssetID]patching.Asset) {
	var items []patching.PlanItem
	assets := map[patching.AssetID]patching.Asset{}
	for ring, machines := range rings {
		for _, m := range machines {
			assets[m.ID] = m
			items = append(items, patching.PlanItem{Asset: m.ID, Ring: ring, Bundle: m.Candidates})
		}
	}
	return items, assets
}

// Serves G14: one machine of each kind says it for all of them.
func TestOneMachineOfEachKindIsAskedTheTestRingsFirstThenWhoWasHeardLast(t *testing.T) {
	other := func(a *patching.Asset) { a.Packages = patching.DigestOf([]byte("with nginx")) }
	for name, c := range map[string]struct {
		rings map[patching.RingName][]patching.Asset
		asked map[string]int // by hostname, of how many machines
	}{
		"nobody is in the plan": {map[patching.RingName][]patching.Asset{"": {rehearses("x")}}, map[string]int{}},
		"one of the test ring, although another was heard later": {
			map[patching.RingName][]patching.Asset{"test": {rehearses("t", heard(time.Hour))}, "rest": {rehearses("r")}}, map[string]int{"t": 2},
		},
		"where the test ring has none of the kind, who was heard last": {
			map[patching.RingName][]patching.Asset{
				"test": {rehearses("t", kind(kindB))}, "rest": {rehearses("r1", heard(time.Hour)), rehearses("r2", heard(time.Minute)), rehearses("r3", heard(time.Hour))},
			}, map[string]int{"r2": 3, "t": 1},
		},
		"of those heard at the same time, the first by name": {
			map[patching.RingName][]patching.Asset{"rest": {rehearses("r2"), rehearses("r1"), rehearses("r3")}}, map[string]int{"r1": 3},
		},
		"the same patches beside other packages are another kind": {
			map[patching.RingName][]patching.Asset{"rest": {rehearses("plain"), rehearses("web", other)}}, map[string]int{"plain": 1, "web": 1},
		},
		"nobody whose rules do not allow it, or who is not enrolled": {
			map[patching.RingName][]patching.Asset{
				"test": {rehearses("t", mute)}, "rest": {rehearses("r1", func(a *patching.Asset) { a.Device = "" }), rehearses("r2", heard(time.Hour))},
			}, map[string]int{"r2": 3},
		},
		"a kind of which nobody may be asked is counted": {
			map[patching.RingName][]patching.Asset{"test": {rehearses("t", mute)}}, map[string]int{"": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			items, assets := cast(c.rings)
			r := plan.Rehearsal{}.Ask(items, assets, "test")
			asked := map[string]int{}
			for _, k := range r.Kinds {
				asked[k.Hostname] = k.Machines
			}
			assert.Equal(t, c.asked, asked)
			slices.Reverse(items)
			assert.Equal(t, r, plan.Rehearsal{}.Ask(items, assets, "test"), "in whatever order they come")
			assert.Equal(t, r, r.Ask(items, assets, "test"), "what is asked is not asked again")
		})
	}
}

// A fleet of single machines is not asked as a whole.
func TestOfVeryManyKindsThoseWithTheMostMachinesAreAsked(t *testing.T) {
	rings := map[patching.RingName][]patching.Asset{}
	own := func(n int) func(*patching.Asset) {
		return func(a *patching.Asset) { a.Candidates = patching.DigestOf([]byte(fmt.Sprint(n))) }
	}
	for n := range 600 {
		rings["rest"] = append(rings["rest"], rehearses(fmt.Sprintf("m%03d", n), own(n)))
		if n >= 590 { // these ten kinds have a second machine
			rings["rest"] = append(rings["rest"], rehearses(fmt.Sprintf("s%03d", n), own(n)))
		}
	}
	items, assets := cast(rings)
	r := plan.Rehearsal{}.Ask(items, assets, "test")
	require.Len(t, r.Kinds, 500)
	require.Equal(t, 100, r.Beyond)
	for i, k := range r.Kinds {
		require.Equal(t, i < 10, k.Machines == 2, "the largest come first")
	}
	said := map[patching.AssetID]patching.Receipt{}
	for _, k := range r.Open() {
		said[k.Asset] = patching.Receipt{Stage: patching.StageFinished}
	}
	require.Equal(t, "Rehearsed on 500 machines, for 500 of 600 kinds: all as planned. 100 kinds with fewer machines: nobody was asked.", r.Hear(said).Words())
	require.Len(t, r.Ask(items, assets, "test").Kinds, 500, "there is no room for more")
}

// Serves G14, U1: whoever approves reads what would be otherwise, and of whom
// nothing is known.
func TestARehearsalIsToldInWords(t *testing.T) {
	finished := func(o patching.Outcome, r patching.Reason, detail string) *patching.Receipt {
		return &patching.Receipt{Stage: patching.StageFinished, Outcome: o, Reason: r, Detail: detail}
	}
	well := finished("", "", "would change 4 packages")
	more := finished(patching.Deferred, patching.ReasonPlanStale, "It would also change: install libevil 1")
	type kind struct {
		host     string
		machines int
		said     *patching.Receipt
	}
	for name, c := range map[string]struct {
		kinds []kind
		want  string
	}{
		"nothing was rehearsed": {nil, ""},
		"all as planned":        {[]kind{{"a", 3, well}, {"b", 1, well}}, "Rehearsed on 2 machines, one of each kind: all as planned."},
		"one would be otherwise": {
			[]kind{{"a", 3, well}, {"web3", 12, more}},
			"Rehearsed on 2 machines, one of each kind: 1 as planned. On web3, for 12 machines of its kind: It would also change: install libevil 1.",
		},
		"the only one would be otherwise": {
			[]kind{{"web3", 1, more}},
			"Rehearsed on 1 machine, one of each kind: none as planned. On web3, for 1 machine of its kind: It would also change: install libevil 1.",
		},
		"the package manager refuses, in several lines": {
			[]kind{{"web3", 2, finished(patching.Failed, patching.ReasonUnknown, "E: Unable to correct problems,\n  you have held broken packages.\n")}},
			"Rehearsed on 1 machine, one of each kind: none as planned. On web3, for 2 machines of its kind: E: Unable to correct problems, you have held broken packages.",
		},
		"the machine could not look": {
			[]kind{{"web3", 2, finished(patching.Deferred, patching.ReasonLocked, "unattended-upgr holds it")}},
			"Rehearsed on 1 machine, one of each kind: none as planned. On web3, for 2 machines of its kind: " +
				"Another program held the package manager's lock for too long. unattended-upgr holds it.",
		},
		"it has no words for it": {
			[]kind{{"web3", 2, finished("bewitched", "bewitched", "")}},
			"Rehearsed on 1 machine, one of each kind: none as planned. On web3, for 2 machines of its kind: " +
				"The cause could not be told from what the machine reported.",
		},
		"it refuses the order": {
			[]kind{{"web3", 2, &patching.Receipt{Stage: patching.StageRefused, Detail: "unknown verb"}}},
			"Rehearsed on 1 machine, one of each kind: none as planned. On web3, for 2 machines of its kind: The machine refused the instruction. unknown verb.",
		},
		"some do not answer, or too late, or may not be asked": {
			[]kind{
				{"a", 9, well},
				{"b", 8, nil},
				{"c", 7, finished(patching.Deferred, patching.ReasonWindowOver, "")},
				{"d", 6, &patching.Receipt{Stage: patching.StageAccepted}},
				{"", 5, nil},
			},
			"Rehearsed on 1 machine, for 1 of 5 kinds: all as planned. Of 3 kinds nobody answered. Of 1 kind no machine lets itself be asked.",
		},
		"nobody answers":      {[]kind{{"a", 9, nil}, {"b", 8, nil}, {"", 7, nil}}, "Rehearsed on none of 3 kinds: nobody answered."},
		"nobody may be asked": {[]kind{{"", 9, nil}}, "Rehearsed on none of 1 kind: no machine lets itself be asked."},
		"only the largest kinds are named": {
			[]kind{{"a", 9, more}, {"b", 8, more}, {"c", 7, more}, {"d", 6, more}, {"e", 5, more}},
			"Rehearsed on 5 machines, one of each kind: none as planned. On a, for 9 machines of its kind: It would also change: install libevil 1. " +
				"On b, for 8 machines of its kind: It would also change: install libevil 1. " +
				"On c, for 7 machines of its kind: It would also change: install libevil 1. 2 kinds more would be otherwise.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var r plan.Rehearsal
			said := map[patching.AssetID]patching.Receipt{}
			for _, k := range c.kinds {
				id := patching.AssetID(k.host)
				r.Kinds = append(r.Kinds, plan.Rehearsed{Asset: id, Hostname: k.host, Machines: k.machines})
				if k.said != nil {
					said[id] = *k.said
				}
			}
			assert.Equal(t, c.want, r.Hear(said).Words())
		})
	}
}

func TestAMachinesWordsAreCutWhereTheyAreLong(t *testing.T) {
	r := plan.Rehearsal{Kinds: []plan.Rehearsed{{Asset: "a", Hostname: "a", Machines: 1}}}
	long := patching.Receipt{Stage: patching.StageFinished, Outcome: patching.Failed, Reason: patching.ReasonUnknown, Detail: strings.Repeat("ä", 4000)}
	words := r.Hear(map[patching.AssetID]patching.Receipt{"a": long}).Words()
	assert.Less(t, len(words), 500)
	assert.True(t, strings.HasSuffix(words, "ä…"))
}

// Serves G14, Q4: a plan that lost a patch may need it for another one, so that
// what was said of the whole bundle says nothing of the rest.
func TestARehearsalHoldsForBundlesThatStay(t *testing.T) {
	well := patching.Receipt{Stage: patching.StageFinished}
	late := patching.DigestOf([]byte("nobody answers for it"))
	said := map[patching.AssetID]patching.Receipt{"a": well, "b": well, "c": well}
	before := plan.Rehearsal{Kinds: []plan.Rehearsed{
		{Bundle: "a", Asset: "a"}, {Bundle: "b", Asset: "b"}, {Bundle: late, Asset: "c"}, {Bundle: late, Asset: "d"},
	}}.Hear(said)
	items := []patching.PlanItem{{Ring: "rest", Bundle: "a"}, {Ring: "rest", Bundle: "b less one"}, {Ring: "rest", Bundle: late}, {Bundle: "b"}}
	after := before.Still(items)
	require.Len(t, after.Kinds, 1)
	assert.EqualValues(t, "a", after.Kinds[0].Bundle)
	assert.Equal(t, after, after.Still(items), "once more changes nothing")
	assert.Len(t, before.Kinds, 4, "what the plan before says stays")
	assert.Len(t, before.Open(), 1)
}
