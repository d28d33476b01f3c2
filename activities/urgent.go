package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

// UrgentStore is what looking ahead needs of the store.
type UrgentStore interface {
	FleetStore
	Policy(ctx context.Context, name patching.PolicyName) (store.PolicyVersion, error)
	Policies(ctx context.Context) ([]store.PolicyVersion, error)
	Cycles(ctx context.Context, f store.CycleFilter) ([]patching.Cycle, error)
}

// Urgent says how urgent things are while no cycle asks.
type Urgent struct {
	Store     UrgentStore
	Remedying *Remedying
}

// Findings says what a machine misses, which advisories that is about and until when it
// has to be patched, under the regimes of all policies in force that select it.
func (u *Urgent) Findings(ctx context.Context, a patching.Asset) (assess.Sheet, []plan.FeedLine, error) {
	by, err := u.judgedBy(ctx, &a)
	if err != nil {
		return assess.Sheet{}, nil, err
	}
	g, err := u.Remedying.grounds(ctx, &policy.Policy{Urgency: by}, patching.Monthly, u.Remedying.Now().UTC())
	if err != nil {
		return assess.Sheet{}, nil, err
	}
	s := sorter{grounds: g, read: newReader(u.Store)}
	m, err := s.machine(ctx, kindOf(&a))
	if err != nil {
		return assess.Sheet{}, nil, fmt.Errorf("machine %s: %w", a.ID, err)
	}
	kind := g.Assessor.Kind(m)
	if err := u.Remedying.remember(ctx, &g, kind.Matches()); err != nil {
		return assess.Sheet{}, nil, err
	}
	return kind.Sheet(a), g.Lines(), nil
}

// judgedBy joins how the policies in force that select a machine judge; with none it is
// judged as by one that does not say how.
func (u *Urgent) judgedBy(ctx context.Context, a *patching.Asset) (by policy.Urgency, err error) {
	by.Unknown = string(urgency.AsWorst)
	judged := false
	all, err := u.Store.Policies(ctx)
	if err != nil {
		return by, err
	}
	for _, version := range all {
		p, err := policy.Adopted(string(version.Name), version.Source)
		if err != nil {
			return by, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		if p.Select != "" {
			sel, err := policy.Compile(p.Select)
			if err != nil {
				return by, fmt.Errorf("%w: policy %s: select: %w", ErrRefused, p.Name, err)
			}
			if ok, err := sel.Match(a); err != nil || !ok {
				continue // what cannot be evaluated for a machine does not select it
			}
		}
		judged = true
		for _, id := range p.Urgency.Regimes {
			if !slices.Contains(by.Regimes, id) {
				by.Regimes = append(by.Regimes, id)
			}
		}
	}
	if !judged {
		return policy.DefaultUrgency(), nil
	}
	return by, nil
}

// Coming says what a policy's machines miss, how urgent that is, and which deadlines its
// next monthly cycle certainly misses. Open is the monthly cycle that runs, whose plan
// says what it does: then nothing is proposed.
func (u *Urgent) Coming(ctx context.Context, name patching.PolicyName) (r plan.Remediation, next time.Time, running patching.CycleID, err error) {
	version, err := u.Store.Policy(ctx, name)
	if err != nil {
		return r, next, "", err
	}
	p, err := policy.Adopted(string(name), version.Source)
	if err != nil {
		return r, next, "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	now := u.Remedying.Now().UTC()
	calendar, err := p.Calendar.Monthly()
	if err == nil {
		next, err = calendar.Next(now)
	}
	if err != nil {
		return r, next, "", fmt.Errorf("%w: policy %s: calendar: %w", ErrRefused, name, err)
	}
	cycles, err := u.Store.Cycles(ctx, store.CycleFilter{Policy: name, Open: true})
	if err != nil {
		return r, next, "", err
	}
	begins := next
	for _, c := range cycles {
		if c.Kind == patching.Monthly && !c.Shadow {
			running, begins = c.ID, now
		}
	}
	r, err = u.foresee(ctx, p, now, begins)
	return r, next, running, err
}

// foresee makes the remediation of a cycle that installs all that the policy takes, and
// whose machines are reached then at the earliest.
func (u *Urgent) foresee(ctx context.Context, p *policy.Policy, now, begins time.Time) (plan.Remediation, error) {
	assets, err := selected(ctx, u.Store, p)
	if err != nil {
		return plan.Remediation{}, err
	}
	read := newReader(u.Store)
	held, err := u.Remedying.holding(ctx, p, read, assets, now)
	if err != nil {
		return plan.Remediation{}, err
	}
	f, err := assessFleet(ctx, read, p, assets, now, held)
	if err != nil {
		return plan.Remediation{}, err
	}
	gets := map[plan.BundleKey]patching.Digest{}
	for key, found := range f.kinds {
		b := assess.Bundle(found, p.Patches, func(patching.Candidate) patching.Reversibility { return patching.Irreversible })
		if !b.Empty() {
			gets[key] = b.Digest()
			read.resolved[gets[key]] = b
		}
	}
	items := make([]patching.PlanItem, len(assets))
	for i := range assets {
		items[i] = patching.PlanItem{Asset: assets[i].ID, Ring: "next", Start: begins, Bundle: gets[held.keyOf(&assets[i])]}
		if _, excepted := held.excepted[assets[i].ID]; excepted {
			items[i] = patching.PlanItem{Asset: assets[i].ID, Exclude: patching.ReasonExcepted}
		}
	}
	g, err := u.Remedying.grounds(ctx, p, patching.Monthly, now)
	if err != nil {
		return plan.Remediation{}, err
	}
	all, err := u.Remedying.likes(ctx, &g, items, plan.Forecast{}, read)
	if err != nil {
		return plan.Remediation{}, err
	}
	return g.Remedy(all), nil
}
