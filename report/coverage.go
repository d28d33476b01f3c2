package report

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
)

// coverage draws the curve behind measure's times: the same machines count,
// from the same instants on.
func (f *facts) coverage(m measure.Measures) Coverage {
	c := Coverage{Managed: m.Managed}
	for _, r := range m.Reached {
		c.Reached = append(c.Reached, Reached{Percent: r.Percent, Reached: r.Reached, After: r.After})
	}
	var after []time.Duration
	for i := range f.deployments {
		switch d := &f.deployments[i]; {
		case d.Outcome == patching.AlreadyUpToDate:
			after = append(after, 0)
		case d.Outcome == patching.Patched && !unconfirmed(d):
			after = append(after, max(0, d.Verified.Sub(f.cycle.Opened)))
		}
	}
	slices.Sort(after)
	c.Curve = []CurvePoint{{}}
	for i, a := range after {
		if last := &c.Curve[len(c.Curve)-1]; last.After == a {
			last.Covered = i + 1
		} else {
			c.Curve = append(c.Curve, CurvePoint{After: a, Covered: i + 1})
		}
	}
	c.Covered = len(after)
	end := f.now
	if !f.cycle.Closed.IsZero() {
		end = f.cycle.Closed
	}
	c.Span = max(end.Sub(f.cycle.Opened), c.Curve[len(c.Curve)-1].After, time.Second)
	return c
}
