// Package measure computes how a cycle went: how soon how much of the fleet was
// covered, where and why machines failed, and what that suggests.
package measure

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Measures are the numbers of one cycle (Q9, G10, L8).
type Measures struct {
	// Machines counts all deployments, Managed those that the cycle was to bring
	// up to date: neither excluded nor not applicable.
	Machines, Managed int
	Outcomes          map[patching.Outcome]int
	Reasons           map[patching.Reason]int
	// Reached says when 75, 90 and 100 % of the managed machines were covered.
	Reached []Coverage
	// The failures, the most frequent first.
	BySite, ByCause, ByStratum, ByPackage []Count
	Repairs                               int
	Freed                                 int64 // bytes
}

// Coverage is when a share of the managed machines was confirmed to be patched,
// or was up to date from the start.
type Coverage struct {
	Percent int
	// Reached is false when it never was; After counts from the cycle's opening.
	Reached bool
	After   time.Duration
}

// Count is how many of a group of machines failed.
type Count struct {
	Name   string
	Failed int
	Of     int // machines of that name that were started; 0 where that says nothing
}

// Of computes the measures of a cycle that opened at a time.
func Of(opened time.Time, deployments []patching.Deployment) Measures {
	m := Measures{Machines: len(deployments), Outcomes: map[patching.Outcome]int{}, Reasons: map[patching.Reason]int{}}
	var confirmed []time.Duration
	sites, strata := groups{}, groups{}
	causes, packages := groups{}, groups{}
	for i := range deployments {
		d := &deployments[i]
		m.Outcomes[d.Outcome]++
		m.Reasons[d.Reason]++
		m.Repairs += d.Repairs
		m.Freed += d.Freed
		if d.Outcome != patching.Excluded && d.Outcome != patching.NotApplicable {
			m.Managed++
		}
		if after, ok := covered(d, opened); ok {
			confirmed = append(confirmed, after)
		}
		failed := d.Outcome.NeedsTask() || d.Outcome.Bad()
		if !d.Released.IsZero() || failed {
			sites.add(string(d.Site), failed)
			strata.add(d.Stratum, failed)
		}
		if failed {
			causes.add(causeWords(d.Reason.Cause()), true)
			if p := patching.BlamedPackage(d.Signature); p != "" {
				packages.add(p, true)
			}
		}
	}
	slices.Sort(confirmed)
	for _, percent := range []int{75, 90, 100} {
		m.Reached = append(m.Reached, coverage(percent, m.Managed, confirmed))
	}
	m.BySite, m.ByStratum = sites.failed(), strata.failed()
	m.ByCause, m.ByPackage = causes.failed().alone(), packages.failed().alone()
	return m
}

// covered says how long after the opening a machine counted as patched.
// Nothing counts before a fresh inventory has confirmed it.
func covered(d *patching.Deployment, opened time.Time) (after time.Duration, ok bool) {
	switch {
	case d.Outcome == patching.AlreadyUpToDate:
		return 0, true
	case d.Outcome == patching.Patched && !d.Verified.IsZero():
		return max(0, d.Verified.Sub(opened)), true
	default:
		return 0, false
	}
}

// coverage reads the share from the sorted times. Rounding up makes 100 % of a
// fleet all of it.
func coverage(percent, managed int, confirmed []time.Duration) Coverage {
	need := int(math.Ceil(float64(percent*managed) / 100))
	if need == 0 || need > len(confirmed) {
		return Coverage{Percent: percent}
	}
	return Coverage{Percent: percent, Reached: true, After: confirmed[need-1]}
}

func causeWords(c patching.Cause) string {
	if c == patching.CauseNone {
		return "unknown"
	}
	return string(c)
}

// groups counts machines by some name.
type groups map[string]*Count

func (g groups) add(name string, failed bool) {
	c := g[name]
	if c == nil {
		c = &Count{Name: name}
		g[name] = c
	}
	c.Of++
	if failed {
		c.Failed++
	}
}

// counts are groups in order.
type counts []Count

// failed returns the groups with failures, the most frequent first.
func (g groups) failed() counts {
	var all counts
	for _, c := range g {
		if c.Failed > 0 {
			all = append(all, *c)
		}
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Failed, a.Failed), strings.Compare(a.Name, b.Name))
	})
	return all
}

// alone drops the size of groups that have no members but failures.
func (c counts) alone() counts {
	for i := range c {
		c[i].Of = 0
	}
	return c
}
