package policy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// CheckDates says what has run out, or not begun, at the given time. All of it
// is warnings: a policy goes on until somebody replaces it.
func CheckDates(p *Policy, now time.Time) []Problem {
	s := p.finder()
	if now.Before(p.ValidFrom) {
		s.warn("valid_from", "the policy is not in force yet", "apply it, and its first cycle starts after that day")
	}
	if due := p.ReviewBy.AddDate(0, 0, 1); !now.Before(due) {
		s.warn("review_by", fmt.Sprintf("the review is overdue by %s", days(now.Sub(due))), "look at it again, and set a new date")
	}
	for i, e := range p.Exclude {
		if !now.Before(e.Until) {
			s.warn(fmt.Sprintf("exclude[%d].until", i), "the exclusion has ended: its machines are patched again", fmt.Sprintf("remove it, or let %s renew it", e.Owner))
		}
	}
	for i, h := range p.Patches.Hold {
		if !now.Before(h.Until) {
			s.warn(fmt.Sprintf("patches.hold[%d].until", i), fmt.Sprintf("the hold has ended: %s is patched again", short(h.Package)), fmt.Sprintf("remove it, or let %s renew it", h.Owner))
		}
	}
	return s.found()
}

// NotYet says why no cycle may start under the policy at that time; empty: one may.
// A shadow cycle installs nothing and may start before.
func (p *Policy) NotYet(now time.Time, shadow bool) string {
	if shadow || !now.Before(p.ValidFrom) {
		return ""
	}
	return fmt.Sprintf("Policy %s is valid from %s on: no cycle starts before.", p.Name, p.ValidFrom.Format("2 January 2006"))
}

// days in words, begun ones too.
func days(d time.Duration) string { return number(1+int(d/day), "day") }

// Check tries the policy on machines: who would be in which ring, at which
// site? It deals machines to limited rings by their ids, where a plan spreads
// them; so the numbers agree with a plan's and the names may not.
func Check(p *Policy, assets []patching.Asset) []Problem {
	s := p.finder()
	d := &deal{Policy: p, source: s}
	machines := d.inScope(assets)
	if len(machines) > 0 {
		d.sites(machines)
		d.rings(machines)
	}
	return s.found()
}

// finder notes new problems of a policy at the places of its text.
func (p *Policy) finder() *source {
	if p.source == nil {
		return newSource(string(p.Name), nil)
	}
	return p.source.again()
}

// deal is one trial of a policy on machines.
type deal struct {
	*Policy
	*source
}

// takes returns which machines a selector means.
func (d *deal) takes(path, text string, from []patching.Asset) []patching.Asset {
	sel, err := Compile(text)
	if err != nil {
		d.fail(path, err.Error(), "see docs/policy.md for what a selector can say")
		return nil
	}
	var taken []patching.Asset
	for i := range from {
		ok, err := sel.Match(&from[i])
		if err != nil {
			d.fail(path, err.Error(), "give the machines a tag, and select by it")
			return nil
		}
		if ok {
			taken = append(taken, from[i])
		}
	}
	return taken
}

func (d *deal) inScope(assets []patching.Asset) []patching.Asset {
	assets = slices.Clone(assets)
	slices.SortFunc(assets, func(a, b patching.Asset) int { return cmp.Compare(a.ID, b.ID) })
	scope := d.takes("select", d.Select, assets)
	if len(assets) == 0 {
		d.fail("select", "no machine is known yet", "enrol machines first")
		return nil
	}
	if len(scope) == 0 {
		if !d.failed() {
			d.fail("select", fmt.Sprintf("the policy takes none of %s", machines(len(assets))), "widen select")
		}
		return nil
	}
	rest := scope
	for i, e := range d.Exclude {
		path := fmt.Sprintf("exclude[%d].select", i)
		out := d.takes(path, e.Select, scope)
		if len(out) == 0 {
			d.warn(path, "leaves no machine out", "remove it, or correct what it selects")
		}
		rest = without(rest, out)
	}
	if len(rest) == 0 {
		d.fail("exclude", fmt.Sprintf("all of %s are left out", machines(len(scope))), "narrow what is excluded")
	}
	return rest
}

func (d *deal) sites(all []patching.Asset) {
	unknown := map[patching.SiteName]int{}
	for _, a := range all {
		name := cmp.Or(a.Site, patching.Roaming)
		if _, ok := d.Site(name); !ok {
			unknown[name]++
		}
	}
	if len(unknown) == 0 {
		return
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(unknown)) {
		names = append(names, fmt.Sprintf("%s (%s)", short(string(name)), machines(unknown[name])))
	}
	d.warn("sites", "machines are left out, because the policy does not name their site: "+some(names), "add the site with its zone and windows, or narrow select")
}

func (d *deal) rings(all []patching.Asset) {
	left := all
	for i, r := range d.Rings {
		path := fmt.Sprintf("rings[%d].select", i)
		wanted := d.takes(path, r.Select, all)
		pool := d.takes(path, r.Select, left)
		switch {
		case len(pool) > 0:
		case len(wanted) == 0:
			d.fail(path, fmt.Sprintf("the ring %q takes no machine: none of %s is selected", r.Name, machines(len(all))), "correct select; "+tagsThere(all))
		case d.shadowed(i):
			d.fail(path, fmt.Sprintf("the ring %q takes no machine: rings before it take all %d that it selects", r.Name, len(wanted)), "give an earlier ring a count or a percent, or change select")
		default:
			d.warn(path, fmt.Sprintf("no machine is left for the ring %q", r.Name), "lower the count of earlier rings, or remove the ring")
		}
		left = without(left, pool[:min(len(pool), r.Room(len(all)))])
	}
	if len(left) > 0 {
		d.warn("rings", fmt.Sprintf("no ring takes %s, such as %s", machines(len(left)), short(left[0].Hostname)), "let the last ring take what the others leave: no select, no count, no percent")
	}
}

// shadowed reports whether an unlimited ring goes before.
func (d *deal) shadowed(ring int) bool {
	return slices.ContainsFunc(d.Rings[:ring], func(r Ring) bool { return !r.limited() })
}

func without(all, gone []patching.Asset) []patching.Asset {
	ids := make(map[patching.AssetID]bool, len(gone))
	for _, a := range gone {
		ids[a.ID] = true
	}
	var rest []patching.Asset
	for _, a := range all {
		if !ids[a.ID] {
			rest = append(rest, a)
		}
	}
	return rest
}

func tagsThere(all []patching.Asset) string {
	seen := map[string]bool{}
	for _, a := range all {
		for _, t := range a.Tags {
			seen[short(t)] = true
		}
	}
	tags := slices.Sorted(maps.Keys(seen))
	if len(tags) == 0 {
		return "no machine has a tag"
	}
	return "the tags there are: " + some(tags)
}

// some lists the first of many.
func some(words []string) string {
	if len(words) > 12 {
		words = append(words[:12:12], fmt.Sprintf("and %d more", len(words)-12))
	}
	return strings.Join(words, ", ")
}

func machines(n int) string { return number(n, "machine") }
