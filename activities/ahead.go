package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// Ahead is [Urgent.Coming] for those who are told of it, by site and owner.
func (u *Urgent) Ahead(ctx context.Context, name patching.PolicyName) (notice.Ahead, error) {
	o, err := u.look(ctx, name)
	if err != nil {
		return notice.Ahead{}, err
	}
	a := notice.Ahead{Policy: name, Owner: o.policy.Owner, Next: o.next, Advisories: map[patching.AdvisoryID]*patching.Advisory{}}
	if a.Remediation, err = u.remedy(ctx, o); err != nil {
		return a, err
	}
	// A fleet has few kinds of machines, on many sites: each kind is matched once.
	type at struct {
		kindAfter
		site  patching.SiteName
		owner string
	}
	machines := map[at]int{}
	for i := range o.assets {
		m := &o.assets[i]
		machines[at{kindAfter{kindOf(m), o.items[i].Bundle}, m.Site, m.Owner}]++
	}
	s := newSorter(o.grounds, o.read)
	known := map[kindAfter]notice.Alike{}
	for key, n := range machines {
		l, ok := known[key.kindAfter]
		if !ok {
			if l, err = s.misses(ctx, key.kindAfter, a.Advisories); err != nil {
				return a, fmt.Errorf("policy %s: %w", name, err)
			}
			known[key.kindAfter] = l
		}
		l.Site, l.Owner, l.Machines = key.site, key.owner, n
		a.Alike = append(a.Alike, l)
	}
	return a, nil
}

// misses is what a kind of machine has and would get, and notes which advisories these are.
func (s *sorter) misses(ctx context.Context, k kindAfter, names map[patching.AdvisoryID]*patching.Advisory) (l notice.Alike, err error) {
	likes, err := s.make(ctx, like{kindAfter: k}, "")
	if err != nil {
		return l, err
	}
	has, left := map[patching.AdvisoryID]bool{}, map[patching.AdvisoryID]bool{}
	for _, m := range likes.Has {
		has[m.Advisory.ID], names[m.Advisory.ID] = true, m.Advisory
	}
	for _, m := range likes.Left {
		left[m.Advisory.ID] = true
	}
	l.Has, l.Ends = slices.Sorted(maps.Keys(has)), likes.Ends
	l.Gets = slices.DeleteFunc(slices.Clone(l.Has), func(id patching.AdvisoryID) bool { return left[id] })
	return l, nil
}

// Outlived says of work-arounds that are in place from how many machines they have to go,
// for a fresh inventory shows the patch. Where no feed names what a work-around makes up
// for, nobody knows how the patch stands, and nothing is said.
func (u *Urgent) Outlived(ctx context.Context, all []patching.WorkAround) (map[patching.DecisionID]int, error) {
	now := u.Remedying.Now().UTC()
	all = slices.DeleteFunc(slices.Clone(all), func(w patching.WorkAround) bool { return w.State() != patching.WorkAroundInPlace })
	if len(all) == 0 {
		return nil, nil
	}
	know, _, err := u.Remedying.knowledge(ctx, "", now)
	if err != nil {
		return nil, err
	}
	g := plan.Grounds{Judgement: assess.Judgement{AsOf: now}}
	g.Assessor = assess.NewAssessor(know, g.Judgement)
	s := newSorter(g, newReader(u.Store))
	out := map[patching.DecisionID]int{}
	for _, w := range all {
		fixes, err := s.fixes(ctx, u.Store, w, w.InPlace(now), freshPatch)
		if err != nil {
			return nil, fmt.Errorf("work-around %s: %w", w.ID, err)
		}
		for _, errand := range w.Errands(fixes, now) {
			if errand == patching.ErrandRemove {
				out[w.ID]++
			}
		}
	}
	return out, nil
}

// freshPatch is how old an inventory may be that shows a patch.
const freshPatch = 48 * time.Hour
