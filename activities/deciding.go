package activities

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// book opens what people decided. What cannot be read is told in words.
func (r *Remedying) book(ctx context.Context, now time.Time) (*urgency.Book, []string, error) {
	all, err := r.Store.DecisionsAt(ctx, now)
	if err != nil {
		return nil, nil, fmt.Errorf("decisions: %w", err)
	}
	book, err := urgency.OpenBook(all, now)
	if err != nil {
		return book, strings.Split(err.Error(), "\n"), nil
	}
	return book, nil, nil
}

// holding is what people hold on machines. Its zero is nothing.
type holding struct {
	// held tells machines apart, and by says what that is. Excepted are machines that go
	// unpatched altogether.
	held     map[patching.AssetID]patching.Digest
	by       map[patching.Digest]assess.Held
	excepted map[patching.AssetID]string
}

func (h holding) keyOf(a *patching.Asset) plan.BundleKey {
	key := plan.KeyOf(a)
	key.Held = h.held[a.ID]
	return key
}

// holding finds out what people hold on the machines of a policy. Advisories are matched
// only where somebody holds something: of most machines nobody does.
func (r *Remedying) holding(ctx context.Context, pol *policy.Policy, read *reader, assets []patching.Asset, now time.Time) (holding, error) {
	h := holding{held: map[patching.AssetID]patching.Digest{}, by: map[patching.Digest]assess.Held{}, excepted: map[patching.AssetID]string{}}
	all, err := r.Store.DecisionsAt(ctx, now)
	if err != nil {
		return h, fmt.Errorf("decisions: %w", err)
	}
	all = holds(all, now)
	if len(all.Exceptions)+len(all.Reviews) == 0 {
		return h, nil
	}
	book, _ := urgency.OpenBook(all, now) // which cannot be read is told by the plan's remediation
	g, err := r.grounds(ctx, pol, "", patching.Monthly, now)
	if err != nil {
		return h, err
	}
	s := newSorter(g, read)
	known := map[takenKind]patching.Digest{}
	for i := range assets {
		a := &assets[i]
		taken, err := book.Takes(a)
		if err != nil {
			return h, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		on := book.Of(taken)
		if by, exempt := assess.Exempts(on, now); exempt {
			h.excepted[a.ID] = by.Short() + " (" + string(by.ID) + "): " + by.Reason
		}
		if len(on.Exceptions)+len(on.Reviews) == 0 {
			continue
		}
		at := takenKind{kindOf(a), taken}
		digest, done := known[at]
		if !done {
			held, err := s.held(ctx, a, on)
			if err != nil {
				return h, fmt.Errorf("machine %s: %w", a.ID, err)
			}
			digest = held.Digest()
			known[at], h.by[digest] = digest, held
		}
		if digest != "" {
			h.held[a.ID] = digest
		}
	}
	return h, nil
}

// takenKind is a kind of machine that the same decisions take.
type takenKind struct {
	kind
	taken urgency.Taken
}

// holds are the decisions by which nothing is installed, and those that speak against
// them: whether a risk is accepted is for all reviews together to say.
func holds(all patching.Decisions, now time.Time) patching.Decisions {
	var some patching.Decisions
	accepts := false
	for _, e := range all.Exceptions {
		if e.InForce(now) {
			some.Exceptions = append(some.Exceptions, e)
		}
	}
	for _, r := range all.Reviews {
		accepts = accepts || r.Answer == patching.AnswerAccept && r.InForce(now)
	}
	if accepts {
		some.Reviews, some.WorkArounds = all.Reviews, all.WorkArounds
	}
	return some
}

func (s *sorter) held(ctx context.Context, a *patching.Asset, on patching.Decisions) (assess.Held, error) {
	m, k, err := s.look(ctx, kindOf(a))
	if err != nil {
		return nil, err
	}
	return assess.HeldOn(a.ID, m.Packages, k.Matches(), on, s.grounds.AsOf), nil
}

// note keeps when advisories were first seen here, and lets the grounds go by that: clocks
// that count from it must not begin anew with every plan.
func (r *Remedying) note(ctx context.Context, g *plan.Grounds, all []plan.Likes) error {
	var matches []assess.Match
	seen := map[patching.AdvisoryID]urgency.Seen{}
	for i := range all {
		for _, f := range all[i].Has {
			if _, known := seen[f.Advisory.ID]; !known {
				seen[f.Advisory.ID] = urgency.Seen{First: g.AsOf}
				matches = append(matches, f)
			}
		}
	}
	if len(seen) == 0 {
		return nil
	}
	if err := r.Store.NoteSeen(ctx, seen); err != nil {
		return err
	}
	return r.remember(ctx, g, matches)
}

func (r *Remedying) remember(ctx context.Context, g *plan.Grounds, matches []assess.Match) error {
	var ids []patching.AdvisoryID
	for id := range assess.ByAdvisory(matches) {
		ids = append(ids, id)
	}
	seen, err := r.Store.FirstSeen(ctx, ids)
	if err != nil {
		return err
	}
	first := make(map[patching.AdvisoryID]time.Time, len(seen))
	for id, is := range seen {
		first[id] = is.First
	}
	g.Assessor.Remember(first)
	return nil
}
