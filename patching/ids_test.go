package patching_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves U2, U3: ids come from the domain; Temporal refuses a second start.
func TestIdsAreMadeFromTheDomain(t *testing.T) {
	c := patching.NewCycleID("servers", 2026, 3, 1)
	assert.Equal(t, patching.CycleID("cycle/servers/2026-03.1"), c)
	assert.Equal(t, patching.CycleID("emergency/servers/xz-backdoor"), patching.NewEmergencyID("servers", "xz-backdoor"))
	assert.Equal(t, "cycle/servers/2026-03.1/ring/test", patching.RingID(c, "test"))
	assert.Equal(t, patching.WaveID("cycle/servers/2026-03.1/ring/test/wave/tokyo/night/20260310T1300Z"),
		patching.NewWaveID(c, "test", "tokyo", "night", "20260310T1300Z"))
}

func TestNamesCannotBreakOutOfAnId(t *testing.T) {
	for _, good := range []string{"a", "servers", "site-1", "a.b_c-d", strings.Repeat("x", 64)} {
		assert.True(t, patching.ValidName(good), good)
	}
	for _, bad := range []string{"", "a/b", "A", "-a", "a-", ".", "a b", "ä", "a\n", strings.Repeat("x", 65)} {
		assert.False(t, patching.ValidName(bad), "%q", bad)
	}
	assert.True(t, patching.ValidName(string(patching.Roaming)))
}

func TestADigestIsTheAddressOfItsContent(t *testing.T) {
	d := patching.DigestOf([]byte("patchcycle"))
	assert.True(t, d.Valid())
	assert.Equal(t, d, patching.DigestOf([]byte("patchcycle")))
	assert.Len(t, d.Short(), 12)
	assert.Equal(t, "abc", patching.Digest("sha256:abc").Short())
	for _, bad := range []patching.Digest{"", "sha256:", d + "0", d[:len(d)-1], "md5:" + d[7:], patching.Digest(strings.ToUpper(string(d))), "sha256:" + patching.Digest(strings.Repeat("x", 64))} {
		assert.False(t, bad.Valid(), "%q", bad)
	}
}

// Serves G3: the hash that people approve covers what the plan decides, and
// nothing that it does not.
func TestThePlansHashCoversWhatItDecides(t *testing.T) {
	made := time.Date(2026, 11, 20, 9, 0, 0, 0, time.FixedZone("CET", 3600))
	plan := patching.Plan{
		Cycle: "cycle/servers/2026-11.1", Revision: 2, Kind: patching.Monthly, Policy: "servers", PolicyVersion: "sha256:p",
		Author: "ana", Made: made, CloseBy: made.Add(24 * time.Hour),
		Rings:    []patching.PlanRing{{Name: "test", Assets: 4, Root: "sha256:r"}, {Name: "rest", Assets: 9}},
		Excluded: map[patching.Reason]int{patching.ReasonNoWindow: 2, patching.ReasonFreeze: 1, patching.ReasonShadow: 0},
	}
	assert.Equal(t, strings.Join([]string{
		"patchcycle plan v1", "cycle\tcycle/servers/2026-11.1", "revision\t2", "kind\tmonthly", "shadow\tfalse", "policy\tservers\tsha256:p",
		"author\tana", "made\t2026-11-20T08:00:00Z", "close by\t2026-11-21T08:00:00Z",
		"ring\ttest\t4\tsha256:r", "ring\trest\t9\t", "excluded\tfreeze\t1", "excluded\tno-window\t2", "",
	}, "\n"), string(plan.Canonical()))
	assert.Equal(t, 13, plan.Assets())
	hash := plan.Hash()
	for name, change := range map[string]func(*patching.Plan){
		"revision": func(p *patching.Plan) { p.Revision++ },
		"shadow":   func(p *patching.Plan) { p.Shadow = true },
		"policy":   func(p *patching.Plan) { p.PolicyVersion = "sha256:q" },
		"author":   func(p *patching.Plan) { p.Author = "bob" },
		"close by": func(p *patching.Plan) { p.CloseBy = p.CloseBy.Add(time.Second) },
		"a root": func(p *patching.Plan) {
			p.Rings = []patching.PlanRing{{Name: "test", Assets: 4, Root: "sha256:x"}, p.Rings[1]}
		},
		"excluded":  func(p *patching.Plan) { p.Excluded = nil },
		"the order": func(p *patching.Plan) { p.Rings = []patching.PlanRing{p.Rings[1], p.Rings[0]} },
	} {
		changed := plan
		change(&changed)
		assert.NotEqual(t, hash, changed.Hash(), name)
	}
}

// Serves Q15: the leaf binds device, key, window rule and both bundles.
func TestALeafBindsWhatAMachineMayBeTold(t *testing.T) {
	item := patching.PlanItem{Device: "d1", WindowRule: "always in UTC", Bundle: "sha256:b", Rollback: "sha256:r", Position: 3, Start: time.Unix(1, 0)}
	leaf := string(item.Leaf("sha256:k"))
	assert.Equal(t, "leaf v1\nd1\nsha256:k\nalways in UTC\nsha256:b\nsha256:r\n", leaf)
	item.Position, item.Start = 4, time.Unix(2, 0)
	assert.Equal(t, leaf, string(item.Leaf("sha256:k")), "turn and time may change")
}
