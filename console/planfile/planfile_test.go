package planfile

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// day is when plans are made here.
var day = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// sealedPlan is a plan of one ring with two machines, as a server writes its file. The
// lines can be changed before they are written.
func sealedPlan(t testing.TB, change func([]wire.PlanFile) []wire.PlanFile) (patching.Plan, []byte) {
	t.Helper()
	bundle := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{{Action: patching.Upgrade, Name: "openssl", Arch: "amd64", From: "1", To: "2"}}}}}
	var leaves [][]byte
	lines := []wire.PlanFile{{}}
	for _, d := range []patching.DeviceID{"d-1", "d-2"} {
		key := trust.PublicKey(d).ID()
		leaves = append(leaves, patching.PlanItem{Device: d, WindowRule: "always in UTC", Bundle: bundle.Digest()}.Leaf(key))
		lines = append(lines, wire.PlanFile{Machine: &wire.PlanMachine{
			Asset: patching.AssetID(d), Hostname: string(d), Ring: "early", Device: d, DeviceKey: key, Rule: "always in UTC", Bundle: bundle.Digest(),
		}})
	}
	root, err := trust.RingRoot(leaves)
	require.NoError(t, err)
	made := patching.Plan{
		Cycle: "cycle/demo/2026-11.1", Revision: 2, Kind: patching.Monthly, Policy: "demo", PolicyVersion: "sha256:1", Author: "ana", Made: day, CloseBy: day.AddDate(0, 0, 14),
		Rings: []patching.PlanRing{{Name: "early", Assets: 2, Root: root}},
	}
	lines[0].Plan = string(made.Canonical())
	lines = append(lines, wire.PlanFile{Bundle: string(bundle.Canonical())})
	if change != nil {
		lines = change(lines)
	}
	var b bytes.Buffer
	for _, l := range lines {
		require.NoError(t, json.NewEncoder(&b).Encode(l))
	}
	return made, b.Bytes()
}

// Serves U1, Q15.
func TestAPlanIsComputedAgainFromItsFile(t *testing.T) {
	made, text := sealedPlan(t, nil)
	f, err := Read(text)
	require.NoError(t, err)
	assert.Equal(t, made.Hash(), f.Hash)
	root := trust.Root{Fleet: "acme", Epoch: 1}
	g := trust.GrantsFor(root, made, []patching.RingName{"early"}, "")
	require.NoError(t, f.Check(g, ""))
	for name, change := range map[string]func(*trust.Grants){
		"another plan":           func(g *trust.Grants) { g.Plan = patching.DigestOf([]byte("x")) },
		"a ring with more in it": func(g *trust.Grants) { g.Rings[0].Machines = 3 },
		"other machines":         func(g *trust.Grants) { g.Rings[0].Root = patching.DigestOf([]byte("x")) },
		"a ring that is not there": func(g *trust.Grants) {
			g.Rings = append(g.Rings, trust.RingGrant{Ring: "broad", Root: g.Rings[0].Root, Machines: 2})
		},
		"another author":        func(g *trust.Grants) { g.Author = "eve" },
		"an author's beginning": func(g *trust.Grants) { g.Author = "an" },
		"no author":             func(g *trust.Grants) { g.Author = "" },
		"another cycle":         func(g *trust.Grants) { g.Cycle = "cycle/demo/2027-01.1" },
		"a cycle's beginning":   func(g *trust.Grants) { g.Cycle = "cycle/demo/2026-11" },
		"another policy":        func(g *trust.Grants) { g.Policy = "dem" },
		"another kind":          func(g *trust.Grants) { g.Kind = patching.Emergency },
		"another day":           func(g *trust.Grants) { g.Made = g.Made.AddDate(0, 0, -9) },
		"a later deadline":      func(g *trust.Grants) { g.NotAfter = g.NotAfter.AddDate(0, 0, 9) },
		"going back for longer": func(g *trust.Grants) { g.RevertUntil = g.RevertUntil.AddDate(0, 0, 9) },
		"a reason nobody gave":  func(g *trust.Grants) { g.BreakGlass = "nobody is there" },
	} {
		other := trust.GrantsFor(root, made, []patching.RingName{"early"}, "")
		change(&other)
		assert.ErrorContains(t, f.Check(other, ""), "tell whoever runs the server", name)
	}
}

func TestGrantsOfBreakGlassAreThoseOfTheReasonThatWasGiven(t *testing.T) {
	made, text := sealedPlan(t, nil)
	f, err := Read(text)
	require.NoError(t, err)
	g := trust.GrantsFor(trust.Root{Fleet: "acme", Epoch: 1}, made, []patching.RingName{"early"}, "it burns")
	require.NoError(t, f.Check(g, "it burns"))
	require.ErrorContains(t, f.Check(g, "nobody is there"), "tell whoever runs the server")
	require.ErrorContains(t, f.Check(g, ""), "it burns")
}

func TestAPlansFileIsRefusedThat(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]wire.PlanFile) []wire.PlanFile
		says   string
	}{
		"gives a machine something else": {func(l []wire.PlanFile) []wire.PlanFile { l[1].Machine.Rule = "daily 02:00 for 4h in UTC"; return l }, "does not name"},
		"leaves a machine out":           {func(l []wire.PlanFile) []wire.PlanFile { return append(l[:1:1], l[2:]...) }, "does not name"},
		"was cut off":                    {func(l []wire.PlanFile) []wire.PlanFile { return l[:len(l)-1] }, "cut off"},
		"has two plans":                  {func(l []wire.PlanFile) []wire.PlanFile { return append(l, l[0]) }, "second plan"},
		"has none":                       {func(l []wire.PlanFile) []wire.PlanFile { return l[1:] }, "holds no plan"},
		"has a bundle that is none":      {func(l []wire.PlanFile) []wire.PlanFile { l[len(l)-1].Bundle = "x"; return l }, "bundle"},
	} {
		_, text := sealedPlan(t, c.change)
		_, err := Read(text)
		assert.ErrorContains(t, err, c.says, name)
	}
	_, err := Read([]byte("{"))
	assert.ErrorContains(t, err, "line 1")
}

// Whatever is in a plan's file: it is refused, or comes to what its text says.
func FuzzPlanFile(f *testing.F) {
	_, good := sealedPlan(f, nil)
	f.Add(good)
	f.Add([]byte(`{"machine":{}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := Read(text)
		if err != nil {
			return
		}
		require.Equal(t, patching.DigestOf([]byte(p.Text)), p.Hash)
		for _, r := range p.Rings {
			require.Contains(t, p.Text, string(r.Root))
		}
	})
}
