package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

// RemedyingStore is what judging by advisories needs of the store.
type RemedyingStore interface {
	FleetStore
	AdvisoriesByHand(ctx context.Context) ([]patching.Advisory, error)
	DecisionsAt(ctx context.Context, now time.Time) (patching.Decisions, error)
	NoteSeen(ctx context.Context, seen map[patching.AdvisoryID]urgency.Seen) error
	FirstSeen(ctx context.Context, ids []patching.AdvisoryID) (map[patching.AdvisoryID]urgency.Seen, error)
}

// Remedying says which advisories machines have, and how urgent they are.
type Remedying struct {
	Store RemedyingStore
	Now   Clock
	// Feeds say what is wrong with which versions, beside what people entered by hand;
	// nil: there are none. Tables are those that policies may judge by.
	Feeds  Feeds
	Tables []urgency.Table
	// Changelogs are those of frozen packages; nil: none are frozen. Patience is how long
	// a plan waits for those that were not read yet.
	Changelogs Changelogs
	Patience   time.Duration

	index index
}

// StandingStore is what a cycle's end needs of the store.
type StandingStore interface {
	RemedyingStore
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error)
	PutStanding(ctx context.Context, c patching.CycleID, s plan.Standing) error
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
	PutTasks(ctx context.Context, tasks []patching.Task) error
}

// plan says why a plan is made: which advisories its patches clear on which machines, how
// soon they are due, and what stays.
func (r *Remedying) plan(ctx context.Context, pol *policy.Policy, made patching.Plan, items []patching.PlanItem, f plan.Forecast, read *reader) (plan.Remediation, error) {
	g, err := r.grounds(ctx, pol, made.Cycle, made.Kind, made.Made)
	if err != nil {
		return plan.Remediation{}, err
	}
	if calendar, err := pol.Calendar.Monthly(); err == nil { // one without: decisions are looked at again in a month
		if next, err := calendar.Next(made.CloseBy); err == nil {
			g.Next = next
		}
	}
	all, err := r.likes(ctx, &g, items, f, read)
	if err != nil {
		return plan.Remediation{}, err
	}
	return g.Remedy(all), nil
}

// stand keeps which advisories the machines of a cycle have now.
func (r *Remedying) stand(ctx context.Context, s StandingStore, id patching.CycleID) error {
	record, err := s.Cycle(ctx, id)
	if err != nil {
		return err
	}
	pol, err := readPolicy(ctx, s, record.PolicyVersion)
	if err != nil {
		return err
	}
	g, err := r.grounds(ctx, pol, id, record.Kind, r.Now().UTC())
	if err != nil {
		return err
	}
	rows, err := s.Deployments(ctx, store.DeploymentFilter{Cycle: id})
	if err != nil {
		return fmt.Errorf("machines of %s: %w", id, err)
	}
	items := itemsOf(rows)
	for i := range items {
		items[i].Bundle = "" // what was to be installed says nothing of what is
	}
	all, err := r.likes(ctx, &g, items, plan.Forecast{}, newReader(s))
	if err != nil {
		return err
	}
	if err := r.removals(ctx, s, record, pol.Fresh, g, items); err != nil {
		return err
	}
	looks, err := s.Outlooks(ctx, id)
	if err != nil {
		return err
	}
	return s.PutStanding(ctx, id, g.Stand(all, named(looks)...))
}

// named are the advisories that the plans of a cycle name, in a fixed order.
func named(looks map[patching.Digest]plan.Outlook) []patching.AdvisoryID {
	ids := map[patching.AdvisoryID]bool{}
	for _, look := range looks {
		for i := range look.Remediation.Remedies {
			ids[look.Remediation.Remedies[i].Advisory] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// likes reads the machines of a plan, and puts those together that are alike.
func (r *Remedying) likes(ctx context.Context, g *plan.Grounds, items []patching.PlanItem, f plan.Forecast, read *reader) ([]plan.Likes, error) {
	assets, err := r.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	return r.alike(ctx, g, assets, items, f, read)
}

// alike puts machines together that are alike, and sees to it that the grounds know since
// when what they have is known here.
func (r *Remedying) alike(ctx context.Context, g *plan.Grounds, assets []patching.Asset, items []patching.PlanItem, f plan.Forecast, read *reader) ([]plan.Likes, error) {
	book, unread, err := r.book(ctx, g.AsOf)
	if err != nil {
		return nil, err
	}
	g.Unread = unread
	s := newSorter(*g, read)
	s.book = book
	for _, ring := range f.Rings {
		s.reaches[ring.Ring] = ring.Begin
	}
	byID := make(map[patching.AssetID]*patching.Asset, len(assets))
	for i := range assets {
		byID[assets[i].ID] = &assets[i]
	}
	for i := range items {
		if a := byID[items[i].Asset]; a != nil {
			if err := s.add(ctx, a, &items[i]); err != nil {
				return nil, err
			}
		}
	}
	all := make([]plan.Likes, 0, len(s.likes))
	for _, l := range s.likes {
		all = append(all, *l)
	}
	return all, r.note(ctx, g, all)
}

func (r *Remedying) grounds(ctx context.Context, pol *policy.Policy, id patching.CycleID, kind patching.Kind, now time.Time) (plan.Grounds, error) {
	g := plan.Grounds{Kind: kind, Judgement: assess.Judgement{Unknown: urgency.Unknown(pol.Urgency.Unknown), AsOf: now}}
	for _, id := range pol.Urgency.Regimes {
		chosen, err := urgency.Select(r.Tables, id)
		if err != nil {
			g.Missing = append(g.Missing, id)
		}
		g.Regimes = append(g.Regimes, chosen...)
	}
	know, feeds, err := r.knowledge(ctx, id, now)
	g.Feeds, g.Assessor = feeds, assess.NewAssessor(know, g.Judgement)
	return g, err
}
