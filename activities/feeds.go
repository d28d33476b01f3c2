package activities

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
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
	know.Advisories = r.index.with(know.Advisories, more)
	return know, feeds, nil
}

// index remembers the last index that was made of what feeds say and of what is known
// beside them: it is asked for far more often than either changes.
type index struct {
	mu    sync.Mutex
	of    *assess.Index
	more  patching.Digest
	known *assess.Index
}

func (x *index) with(of *assess.Index, more []patching.Advisory) *assess.Index {
	x.mu.Lock()
	defer x.mu.Unlock()
	if digest := digestOf(more); x.known == nil || x.of != of || x.more != digest {
		x.of, x.more, x.known = of, digest, of.With(more)
	}
	return x.known
}

func digestOf(all []patching.Advisory) patching.Digest {
	return patching.DigestOf(fmt.Appendf(nil, "%+v", all))
}

// ownFeed is what we know without a feed, as a plan names it.
func ownFeed(name patching.FeedName, all []patching.Advisory, now time.Time) patching.FeedState {
	return patching.FeedState{
		FeedSource: patching.FeedSource{Name: name}, Asked: now,
		Edition: patching.FeedEdition{
			Digest: digestOf(all), Got: now, Records: map[string]int{"advisories": len(all)},
		},
	}
}
