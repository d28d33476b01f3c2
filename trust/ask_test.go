package trust

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves U1, Q15: why people are asked again.
func TestARingIsSignedForAgainIf(t *testing.T) {
	o := newOffice(t)
	ring := o.plan.Rings[0]
	good := o.signed(t, o.grants(), o.ana, o.ben)
	for name, c := range map[string]struct {
		change func(*Root, *patching.PlanRing)
		signed []Signed
		says   string // empty: what was signed holds
	}{
		"two have signed":                        {signed: []Signed{good}},
		"an earlier paper was for other rings":   {signed: []Signed{o.signed(t, GrantsFor(o.root, o.plan, []patching.RingName{"ring3"}, ""), o.ana, o.ben), good}},
		"a later paper has one signature so far": {signed: []Signed{good, o.signed(t, GrantsFor(o.root, o.plan, []patching.RingName{"ring2", "ring3"}, ""), o.ana)}},
		"a paper cannot be read":                 {signed: []Signed{{Document: []byte("hello")}, good}},
		"nobody has":                             {says: "nobody has signed for ring ring2"},
		"only others were signed for":            {signed: []Signed{o.signed(t, GrantsFor(o.root, o.plan, []patching.RingName{"ring3"}, ""), o.ana, o.ben)}, says: "nobody has signed"},
		"one of two has":                         {signed: []Signed{o.signed(t, o.grants(), o.ana)}, says: "of those who signed for ring ring2 too few count"},
		"an epoch has begun":                     {change: func(r *Root, _ *patching.PlanRing) { r.Epoch++ }, signed: []Signed{good}, says: "began anew after people had signed for ring ring2"},
		"an approver has left":                   {change: func(r *Root, _ *patching.PlanRing) { r.Approvers = r.Approvers[:1] }, signed: []Signed{good}, says: "too few count"},
		"other machines are in it":               {change: func(_ *Root, r *patching.PlanRing) { r.Root = patching.DigestOf([]byte("x")) }, signed: []Signed{good}, says: "other machines or other patches"},
	} {
		t.Run(name, func(t *testing.T) {
			root, ring := o.root, ring
			if c.change != nil {
				c.change(&root, &ring)
			}
			got := root.Lapsed(ring, c.signed)
			if c.says == "" {
				assert.Empty(t, got)
			} else {
				assert.Contains(t, got, c.says)
			}
		})
	}
}

// Serves G5, Q15: what has to be so for a test ring to go first without anybody asked.
func TestATestRingBeginsOnItsPreApprovalUnless(t *testing.T) {
	end := time.Date(2026, 11, 20, 4, 0, 0, 0, time.UTC)
	made := patching.Plan{Policy: "servers", Rings: []patching.PlanRing{{Name: "test"}, {Name: "broad"}}}
	item := func(d patching.DeviceID, ring patching.RingName, until time.Time) patching.PlanItem {
		return patching.PlanItem{Asset: patching.AssetID("a-" + d), Device: d, Ring: ring, WindowRule: "always", End: until}
	}
	items := []patching.PlanItem{item("d-1", "test", end), item("d-2", "test", end), item("d-9", "broad", end.AddDate(0, 1, 0))}
	machines := []PreApproved{{Device: "d-1", Rule: "always"}, {Device: "d-2", Rule: "always"}}
	until := func(at time.Time) *PreApproval { return &PreApproval{NotAfter: at} }
	for name, c := range map[string]struct {
		p        *PreApproval
		machines []PreApproved
		change   func(*patching.Plan)
		says     string
	}{
		"it names all, for long enough":             {p: until(end), machines: machines},
		"nothing is in force":                       {says: "no pre-approval of policy servers is in force, so people have to sign before ring test begins"},
		"nothing is in force, in a shadow":          {change: func(p *patching.Plan) { p.Shadow = true }},
		"nothing is in force, and nothing is to do": {change: func(p *patching.Plan) { p.Rings = nil }},
		"a machine is not named":                    {p: until(end), machines: machines[:1], says: "machine a-d-2 is not in the pre-approval"},
		"a machine is named for another window":     {p: until(end), machines: []PreApproved{machines[0], {Device: "d-2", Rule: "daily 22:00 for 4h"}}, says: "machine a-d-2 is not in the pre-approval that is in force, or in another window"},
		"it ends before a window does":              {p: until(end.Add(-time.Second)), machines: machines, says: "the pre-approval ends on 2026-11-20, before the windows of ring test"},
	} {
		t.Run(name, func(t *testing.T) {
			plan := made
			if c.change != nil {
				c.change(&plan)
			}
			got := Missing(c.p, c.machines, plan, items)
			if c.says == "" {
				assert.Empty(t, got)
			} else {
				assert.Contains(t, got, c.says)
			}
		})
	}
}
