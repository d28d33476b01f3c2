package plan

import (
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// Outlook is what people are told beside a plan when they decide about it. It is
// no part of what they agree to: it names the plan by its hash.
type Outlook struct {
	Plan     patching.Digest
	Mirror   Mirrored
	Forecast Forecast
	Back     WayBack
	// Rehearsal is what machines said of it, once they were asked.
	Rehearsal Rehearsal
	// Remediation is why: advisories, how urgent they are, and what stays. Its AsOf is
	// zero in outlooks of before patchcycle knew feeds.
	Remediation Remediation
	// Change is what differs from the revision before; nil for the first plan.
	Change *Difference
}

// Look makes the outlook of a sealed plan. Bundles are those of its items and of
// the items before, by address. Begun are rings of which nothing is to be foreseen.
func Look(p *policy.Policy, made patching.Plan, before, items []patching.PlanItem, bundles map[patching.Digest]patching.Bundle, begun ...patching.RingName) Outlook {
	o := Outlook{Plan: made.Hash(), Mirror: Mirror(items, policy.TestRing, bundles), Forecast: Foresee(p, made, items, begun...)}
	for _, i := range items {
		if i.Ring != "" {
			o.Back.Add(bundles[i.Bundle], i.Rollback != "", 1)
		}
	}
	if made.Revision > 1 {
		d := Diff(before, items, bundles)
		o.Change = &d
	}
	return o
}
