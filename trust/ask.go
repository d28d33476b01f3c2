package trust

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Lapsed says in words why none of the grants that people have signed holds for a ring as
// the plan has it; empty: one does. Machines decide by [Verifier.Basis]; the server asks
// this so as to ask people again before machines have to say that they obey nobody.
func (r Root) Lapsed(ring patching.PlanRing, signed []Signed) string {
	why := fmt.Sprintf("nobody has signed for ring %s", ring.Name)
	for _, s := range signed {
		g, err := ReadGrants(s.Document)
		if err != nil {
			continue
		}
		of, named := g.ring(ring.Name)
		if !named {
			continue
		}
		switch persons, need, err := r.Votes(s, g); {
		case g.Epoch != r.Epoch:
			why = fmt.Sprintf("the server began anew after people had signed for ring %s", ring.Name)
		case of.Root != ring.Root:
			why = fmt.Sprintf("what people signed for ring %s is for other machines or other patches", ring.Name)
		case err != nil || len(persons) < need:
			why = fmt.Sprintf("of those who signed for ring %s too few count", ring.Name)
		default:
			return ""
		}
	}
	return why
}

// Missing says in words why the first ring of a plan may not begin on what was signed
// beforehand; empty: it may. p is the pre-approval in force, nil if none is, and machines
// are those that it names.
func Missing(p *PreApproval, machines []PreApproved, made patching.Plan, items []patching.PlanItem) string {
	if made.Shadow || len(made.Rings) == 0 {
		return ""
	}
	ring := made.Rings[0].Name
	if p == nil {
		return fmt.Sprintf("no pre-approval of policy %s is in force, so people have to sign before ring %s begins", made.Policy, ring)
	}
	rules := map[patching.DeviceID]string{}
	for _, m := range machines {
		rules[m.Device] = m.Rule
	}
	var latest time.Time
	for _, i := range items {
		if i.Ring != ring {
			continue
		}
		if rule, named := rules[i.Device]; !named || rule != i.WindowRule {
			return fmt.Sprintf("machine %s is not in the pre-approval that is in force, or in another window, so people have to sign before ring %s begins", i.Asset, ring)
		}
		if i.End.After(latest) {
			latest = i.End
		}
	}
	if latest.After(p.NotAfter) {
		return fmt.Sprintf("the pre-approval ends on %s, before the windows of ring %s, so people have to sign first", p.NotAfter.Format(time.DateOnly), ring)
	}
	return ""
}
