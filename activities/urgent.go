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
	g, err := u.Remedying.grounds(ctx, &policy.Policy{Urgency: by}, "", patching.Monthly, u.Remedying.Now().UTC())
	if err != nil {
		return assess.Sheet{}, nil, err
	}
	_, kind, err := newSorter(g, newReader(u.Store)).look(ctx, kindOf(&a))
	if err != nil {
		return assess.Sheet{}, nil, fmt.Errorf("machine %s: %w", a.ID, err)
	}
	if err := u.Remedying.remember(ctx, &g, kind.Matches()); err != nil {
		return assess.Sheet{}, nil, err
	}
	return kind.Sheet(a), g.Lines(), nil
}

// Doubt says of what somebody decides about that no feed knows it; empty: one does. A
// decision waits for no feed, so what cannot be found out is told, and no error.
func (u *Urgent) Doubt(ctx context.Context, about patching.Subject) string {
	if about.Advisory == "" && about.CVE == "" {
		return ""
	}
	know, _, err := u.Remedying.knowledge(ctx, "", u.Remedying.Now().UTC())
	if err != nil {
		return fmt.Sprintf("Whether a feed knows it cannot be told: %v.", err)
	}
	return know.Doubt(about)
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
// next monthly cycle certainly misses. Running is the monthly cycle that is open, whose plan
// says what it does, and what it is too late for: then nothing is proposed here.
func (u *Urgent) Coming(ctx context.Context, name patching.PolicyName) (r plan.Remediation, next time.Time, running patching.CycleID, err error) {
	o, err := u.look(ctx, name)
	if err != nil {
		return r, o.next, o.running, err
	}
	r, err = u.remedy(ctx, o)
	return r, o.next, o.running, err
}

// outlook is a policy's next cycle, as if it took all that the policy does, and reached
// its machines when it begins.
type outlook struct {
	policy  *policy.Policy
	next    time.Time
	running patching.CycleID
	assets  []patching.Asset
	items   []patching.PlanItem // one for each of the assets
	grounds plan.Grounds
	read    *reader
}

func (u *Urgent) look(ctx context.Context, name patching.PolicyName) (o outlook, err error) {
	version, err := u.Store.Policy(ctx, name)
	if err != nil {
		return o, err
	}
	o.policy, err = policy.Adopted(string(name), version.Source)
	if err != nil {
		return o, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	now := u.Remedying.Now().UTC()
	calendar, err := o.policy.Calendar.Monthly()
	if err == nil {
		o.next, err = calendar.Next(now)
	}
	if err != nil {
		return o, fmt.Errorf("%w: policy %s: calendar: %w", ErrRefused, name, err)
	}
	cycles, err := u.Store.Cycles(ctx, store.CycleFilter{Policy: name, Open: true})
	if err != nil {
		return o, err
	}
	begins := o.next
	for _, c := range cycles {
		if c.Kind == patching.Monthly && !c.Shadow {
			o.running, begins = c.ID, now
		}
	}
	return o, u.foresee(ctx, &o, now, begins)
}

// foresee says what each machine would get.
func (u *Urgent) foresee(ctx context.Context, o *outlook, now, begins time.Time) (err error) {
	if o.assets, err = selected(ctx, u.Store, o.policy); err != nil {
		return err
	}
	o.read = newReader(u.Store)
	held, err := u.Remedying.holding(ctx, o.policy, o.read, o.assets, now)
	if err != nil {
		return err
	}
	f, err := assessFleet(ctx, o.read, o.policy, o.assets, now, held)
	if err != nil {
		return err
	}
	gets := map[plan.BundleKey]patching.Digest{}
	for key, found := range f.kinds {
		b := assess.Bundle(found, o.policy.Patches, func(patching.Candidate) patching.Reversibility { return patching.Irreversible })
		if !b.Empty() {
			gets[key] = b.Digest()
			o.read.resolved[gets[key]] = b
		}
	}
	o.items = make([]patching.PlanItem, len(o.assets))
	for i := range o.assets {
		o.items[i] = patching.PlanItem{Asset: o.assets[i].ID, Ring: "next", Start: begins, Bundle: gets[held.keyOf(&o.assets[i])]}
		if _, excepted := held.excepted[o.assets[i].ID]; excepted {
			o.items[i] = patching.PlanItem{Asset: o.assets[i].ID, Exclude: patching.ReasonExcepted}
		}
	}
	o.grounds, err = u.Remedying.grounds(ctx, o.policy, "", patching.Monthly, now)
	return err
}

func (u *Urgent) remedy(ctx context.Context, o outlook) (plan.Remediation, error) {
	all, err := u.Remedying.alike(ctx, &o.grounds, o.assets, o.items, plan.Forecast{}, o.read)
	if err != nil {
		return plan.Remediation{}, err
	}
	r := o.grounds.Remedy(all)
	if o.running != "" { // lanes without a date would be late whatever runs
		r.Late = 0
		for i := range r.Remedies {
			r.Remedies[i].Late = 0
		}
	}
	return r, nil
}
