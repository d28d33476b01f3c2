package notices

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

// Lookout says what machines miss and what feeds say of it.
type Lookout interface {
	// Feeds says how feeds stand. It is asked each minute.
	Feeds() []patching.FeedState
	// Ahead says what a policy's machines miss. It looks at the whole fleet.
	Ahead(ctx context.Context, p patching.PolicyName) (notice.Ahead, error)
	// Outlived says from how many machines work-arounds have to go, as their patch is in.
	Outlived(ctx context.Context, all []patching.WorkAround) (map[patching.DecisionID]int, error)
}

// How often the fleet is looked at as a whole. Feeds come one by one, and each may change
// what machines miss: they are waited for.
const (
	lookAhead   = time.Hour
	leastBefore = 5 * time.Minute
)

// sight is what was in force when the fleet was last looked at.
type sight struct {
	at       time.Time
	policies map[patching.PolicyName]patching.Digest
	editions map[patching.FeedName]patching.Digest
}

// ofFeeds puts on record what is wrong with feeds.
func (k *Keeper) ofFeeds(ctx context.Context, now time.Time) error {
	_, err := k.Record.QueueNotices(ctx, notice.OfFeeds(k.Lookout.Feeds(), now), now)
	return err
}

// ofFleet puts on record what comes of what machines miss and of what people decided
// about it, if there is a reason to look.
func (k *Keeper) ofFleet(ctx context.Context, now time.Time) error {
	policies, err := k.Record.Policies(ctx)
	if err != nil {
		return err
	}
	is := sight{at: now, policies: map[patching.PolicyName]patching.Digest{}, editions: map[patching.FeedName]patching.Digest{}}
	for _, p := range policies {
		is.policies[p.Name] = p.Digest
	}
	for _, f := range k.Lookout.Feeds() {
		if f.Edition.Digest != "" {
			is.editions[f.Name] = f.Edition.Digest
		}
	}
	if !k.ahead.due(is) {
		return nil
	}
	// Whatever goes wrong is tried again as soon as if a feed had changed.
	k.ahead = sight{at: now}
	if err := errors.Join(k.ofPolicies(ctx, policies, now), k.ofDecisions(ctx, now)); err != nil {
		return err
	}
	k.ahead = is
	return nil
}

// due reports whether there is a reason to look again.
func (l sight) due(is sight) bool {
	past := is.at.Sub(l.at)
	return past >= lookAhead || past >= leastBefore && (!maps.Equal(l.policies, is.policies) || !maps.Equal(l.editions, is.editions))
}

func (k *Keeper) ofPolicies(ctx context.Context, policies []store.PolicyVersion, now time.Time) error {
	var errs []error
	var stands notice.Found
	for _, p := range policies {
		a, err := k.Lookout.Ahead(ctx, p.Name)
		if err == nil {
			stands.Notices = append(stands.Notices, a.Standing()...)
			err = k.news(ctx, a, now)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("what the machines of policy %s miss: %w", p.Name, err))
		}
	}
	// What one policy's machines have may be over only when all were looked at.
	if len(errs) == 0 {
		stands.Whole = []notice.Kind{notice.EmergencyProposed, notice.SupportEnds}
	}
	_, err := k.Record.QueueNotices(ctx, stands, now)
	return errors.Join(append(errs, err)...)
}

// news tells what is new to a policy.
func (k *Keeper) news(ctx context.Context, a notice.Ahead, now time.Time) error {
	key := "notices/ahead/" + string(a.Policy)
	value, known, err := k.Record.Setting(ctx, key)
	if err != nil {
		return err
	}
	var told notice.Told
	if known {
		if err := json.Unmarshal([]byte(value), &told); err != nil {
			return fmt.Errorf("setting %s: %w", key, err)
		}
	}
	news, next := a.News(told, now)
	if _, err := k.Record.QueueNotices(ctx, notice.Found{Notices: news}, now); err != nil {
		return err
	}
	text, err := json.Marshal(next)
	if err != nil || string(text) == value {
		return err
	}
	// After the notices: broken off between the two, they are found again, and known.
	return k.Record.SetSetting(ctx, key, string(text))
}

func (k *Keeper) ofDecisions(ctx context.Context, now time.Time) error {
	all, err := k.Record.DecisionsAt(ctx, now)
	if err != nil {
		return err
	}
	outlived, err := k.Lookout.Outlived(ctx, all.WorkArounds)
	if err != nil {
		return err
	}
	_, err = k.Record.QueueNotices(ctx, notice.OfDecisions(all, outlived, now), now)
	return err
}
