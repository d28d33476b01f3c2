package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Feeds tells what feeds say, and how they stand, and brings them up to date.
type Feeds interface {
	// Sync asks for all feeds that come from the network. An error is ours; what is wrong
	// with a feed stands in its sync.
	Sync(ctx context.Context, names ...patching.FeedName) ([]patching.FeedSync, error)
	Knowledge(ctx context.Context) (assess.Knowledge, []patching.FeedState, error)
}

// Changelogs tell what packages say themselves that they fix.
type Changelogs interface {
	// Fixes are those of a cycle's snapshots; of all that are kept, if none is named. It
	// reads for so long at most; unread counts the packages that it did not come to.
	Fixes(ctx context.Context, c patching.CycleID, within time.Duration) (fixes []patching.Advisory, unread int, err error)
}

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
}

// StandingStore is what a cycle's end needs of the store.
type StandingStore interface {
	RemedyingStore
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	PutStanding(ctx context.Context, c patching.CycleID, s plan.Standing) error
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
	PutTasks(ctx context.Context, tasks []patching.Task) error
}

// SyncFeeds brings the feeds up to date. A feed that does not come, or is refused, holds no
// cycle up; nor does it if we cannot ask at all: the plan names what is stale.
func (r *Remedying) SyncFeeds(ctx context.Context, _ contract.SyncFeedsIn) (contract.SyncFeedsOut, error) {
	stop := beat(ctx)
	defer stop()
	var out contract.SyncFeedsOut
	if r.Feeds == nil {
		return out, nil
	}
	syncs, err := r.Feeds.Sync(ctx)
	switch {
	case ctx.Err() != nil:
		return out, ctx.Err()
	case err != nil:
		out.Words = append(out.Words, err.Error())
	}
	for _, s := range syncs {
		switch s.Result {
		case patching.FeedNew:
			out.New++
		case patching.FeedUnchanged:
			out.Unchanged++
		case patching.FeedRefused:
			out.Refused++
		case patching.FeedFailed:
			out.Failed++
		}
		if s.Why != "" {
			out.Words = append(out.Words, fmt.Sprintf("%s: %s", s.Feed, s.Why))
		}
	}
	return out, nil
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
	return s.PutStanding(ctx, id, g.Stand(all))
}

// likes puts the machines of a plan together that are alike, and sees to it that the
// grounds know since when what they have is known here.
func (r *Remedying) likes(ctx context.Context, g *plan.Grounds, items []patching.PlanItem, f plan.Forecast, read *reader) ([]plan.Likes, error) {
	assets, err := r.Store.Assets(ctx, store.AssetFilter{})
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	book, unread, err := r.book(ctx, g.AsOf)
	if err != nil {
		return nil, err
	}
	g.Unread = unread
	s := sorter{
		grounds: *g, book: book, read: read, looks: map[kind]*assess.Kind{}, after: map[kindAfter]*assess.Kind{}, likes: map[like]*plan.Likes{},
		reaches: map[patching.RingName]time.Time{},
	}
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

// knowledge is what feeds say, what people entered, and what packages say themselves.
func (r *Remedying) knowledge(ctx context.Context, id patching.CycleID, now time.Time) (know assess.Knowledge, feeds []patching.FeedState, err error) {
	if r.Feeds != nil {
		if know, feeds, err = r.Feeds.Knowledge(ctx); err != nil {
			return know, nil, fmt.Errorf("feeds: %w", err)
		}
	}
	byHand, err := r.Store.AdvisoriesByHand(ctx)
	if err != nil {
		return know, nil, fmt.Errorf("advisories entered by hand: %w", err)
	}
	more := byHand
	if len(byHand) > 0 {
		feeds = append(feeds, ownFeed("hand", byHand, now))
	}
	if r.Changelogs != nil {
		patience := r.Patience
		if id == "" {
			patience = 0
		}
		fixes, unread, err := r.Changelogs.Fixes(ctx, id, patience)
		if err != nil {
			return know, nil, fmt.Errorf("changelogs of packages: %w", err)
		}
		if len(fixes)+unread > 0 {
			own := ownFeed("changelogs", fixes, now)
			if unread > 0 {
				own.Trouble = fmt.Sprintf("%s not read yet: the next plan knows more", phrase.Count(unread, "package is", "packages are"))
			}
			feeds = append(feeds, own)
		}
		more = append(more, fixes...)
	}
	know.Advisories = know.Advisories.With(more)
	return know, feeds, nil
}

// ownFeed is what we know without a feed, as a plan names it.
func ownFeed(name patching.FeedName, all []patching.Advisory, now time.Time) patching.FeedState {
	ids := make([]string, len(all))
	for i, a := range all {
		ids[i] = string(a.ID)
	}
	return patching.FeedState{
		FeedSource: patching.FeedSource{Name: name}, Asked: now,
		Edition: patching.FeedEdition{
			Digest: patching.DigestOf([]byte(strings.Join(ids, "\n"))), Got: now, Records: map[string]int{"advisories": len(all)},
		},
	}
}

// kind is what machines have in common that advisories are matched with.
type kind struct {
	plan.BundleKey
	patching.Platform
	kernel string
}

func kindOf(a *patching.Asset) kind {
	return kind{BundleKey: plan.KeyOf(a), Platform: assess.PlatformOf(a.OS), kernel: a.OS.Kernel}
}

type kindAfter struct {
	kind
	bundle patching.Digest
}

// like is what machines have in common that a plan's remediation tells apart.
type like struct {
	kindAfter
	assess.Class
	out    patching.Reason
	begins time.Time
	taken  urgency.Taken
}

// sorter puts machines together that are alike, and matches each kind once.
type sorter struct {
	grounds plan.Grounds
	book    *urgency.Book // nil: nobody decided anything
	read    *reader
	looks   map[kind]*assess.Kind
	after   map[kindAfter]*assess.Kind
	likes   map[like]*plan.Likes
	reaches map[patching.RingName]time.Time // the earliest, by ring
}

func (s *sorter) add(ctx context.Context, a *patching.Asset, i *patching.PlanItem) error {
	at := like{kindAfter: kindAfter{kind: kindOf(a)}, Class: assess.ClassOf(a), out: i.Exclude}
	// What is up to date is no machine that is left out.
	if i.Exclude == patching.ReasonNothingMissing {
		at.out = ""
	}
	if i.Ring != "" {
		at.bundle, at.begins = i.Bundle, i.Start
		if ring := s.reaches[i.Ring]; ring.After(at.begins) {
			at.begins = ring
		}
	}
	var err error
	if at.taken, err = s.book.Takes(a); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	l := s.likes[at]
	if l == nil {
		if l, err = s.make(ctx, at, a.ID); err != nil {
			return fmt.Errorf("machine %s: %w", a.ID, err)
		}
		s.likes[at] = l
	}
	l.Machines++
	if a.Owner != "" && !slices.Contains(l.Owners, a.Owner) {
		l.Owners = append(l.Owners, a.Owner)
	}
	return nil
}

func (s *sorter) make(ctx context.Context, at like, sample patching.AssetID) (*plan.Likes, error) {
	l := &plan.Likes{Class: at.Class, Out: at.out, Begins: at.begins, Sample: sample, On: s.book.Of(at.taken)}
	m, now, err := s.look(ctx, at.kind)
	if err != nil {
		return nil, err
	}
	unsent := len(m.Packages.Packages) == 0
	l.Has, l.Blind, l.Ends = now.Matches(), now.Spots(), now.Ends()
	l.Left, l.Held = l.Has, assess.HeldOn(sample, m.Packages, l.Has, l.On, s.grounds.AsOf)
	if unsent {
		l.Blind = []assess.BlindSpot{{What: "what is installed", Why: "The machine never said it."}}
	}
	if unsent || at.bundle == "" {
		return l, nil
	}
	b, err := s.read.bundle(ctx, at.bundle)
	if err != nil {
		return nil, err
	}
	then, known := s.after[at.kindAfter]
	if !known {
		then = s.grounds.Assessor.Kind(assess.After(m, b))
		s.after[at.kindAfter] = then
	}
	l.Left, l.By = then.Matches(), b.Patches()
	return l, nil
}

// machine is what advisories are matched with. A machine that never said what is
// installed on it has nothing, and is a blind spot as a whole; so is one that was cut off
// after it had named what it has, and before it sent the list.
func (s *sorter) machine(ctx context.Context, k kind) (assess.Machine, error) {
	m := assess.Machine{Platform: k.Platform, Kernel: k.kernel}
	if k.Packages == "" || k.Candidates == "" {
		return m, nil
	}
	set, err := s.read.packages(ctx, k.Packages)
	var offered patching.CandidateSet
	if err == nil {
		offered, err = s.read.candidates(ctx, k.Candidates)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return m, nil
	case err != nil:
		return m, err
	}
	m.Packages, m.Offers = set, make(map[assess.Installed]string, len(offered.Candidates))
	for _, c := range offered.Candidates {
		m.Offers[assess.Installed{Name: c.Name, Arch: c.Arch}] = c.To
	}
	return m, nil
}
