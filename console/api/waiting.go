package api

import (
	"cmp"
	"context"
	"slices"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// waitingShown is how many advisories that wait are listed; a policy's own list has more.
const waitingShown = 200

// listWaiting goes by the policies that the account may look at, each as if its next cycle were made now, and by
// decisions as plans do: since a month ago, and until a month from now.
func (s *server) listWaiting(ctx context.Context, _ *struct{}) (wire.Waiting, error) {
	now := s.Now().UTC()
	all, err := s.Store.DecisionsAt(ctx, now)
	if err != nil {
		return wire.Waiting{}, err
	}
	out := wire.Waiting{Advisories: []wire.WaitingAdvisory{}, Decisions: agendaShape(all.Agenda(now.AddDate(0, -1, 0), now, now.AddDate(0, 1, 0)))}
	policies, err := s.Store.Policies(ctx)
	if err != nil {
		return out, err
	}
	for _, p := range policies {
		if !account(ctx).Covers(p.Name) {
			continue
		}
		r, _, _, err := s.Urgent.Coming(ctx, p.Name)
		if err != nil {
			return out, absent(aPolicy, p.Name, err)
		}
		for i := range r.Remedies {
			if !waits(&r.Remedies[i]) {
				continue
			}
			a := remedyShape(&r.Remedies[i])
			w := wire.WaitingAdvisory{Policy: p.Name, Advisory: a.Advisory, Title: a.Title, CVEs: a.CVEs, KEV: a.KEV, Lane: a.Lane, Due: a.Due, Machines: a.Clears}
			for _, stay := range a.Stays {
				w.Machines += stay.Machines
			}
			out.Advisories = append(out.Advisories, w)
		}
	}
	slices.SortStableFunc(out.Advisories, sooner)
	if n := len(out.Advisories); n > waitingShown {
		out.Advisories, out.Unlisted = out.Advisories[:waitingShown], n-waitingShown
	}
	return out, nil
}

// waits reports whether an advisory is an emergency that nobody decided about.
func waits(r *plan.Remedy) bool {
	d := r.Deadline
	return len(r.Decided) == 0 && d != nil && (d.Lane == urgency.Immediate || d.Lane == urgency.OutOfCycle)
}

// sooner puts what is due first in front, and what has no date behind.
func sooner(a, b wire.WaitingAdvisory) int {
	switch {
	case a.Due == nil && b.Due == nil:
		return cmp.Compare(a.Advisory, b.Advisory)
	case a.Due == nil:
		return 1
	case b.Due == nil:
		return -1
	}
	return cmp.Or(a.Due.Compare(*b.Due), cmp.Compare(a.Advisory, b.Advisory))
}
