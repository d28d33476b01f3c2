package notice

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// failsFor is for how long a feed may be due and not come before it is told: a host that
// is away is asked again after a quarter of an hour (see [patching.FeedRetry]).
const failsFor = time.Hour

// OfFeeds returns what is wrong with feeds now. A trouble lasts until the feed comes again:
// until then it is the same one, whatever is said of it meanwhile.
func OfFeeds(states []patching.FeedState, now time.Time) Found {
	found := Found{Whole: []Kind{FeedRefused, FeedFailed, FeedStale}}
	for _, f := range states {
		found.Notices = append(found.Notices, ofFeed(f, now)...)
	}
	return found
}

func ofFeed(f patching.FeedState, now time.Time) (all []Notice) {
	since := f.Asked
	if since.IsZero() {
		since = f.Edition.Got
	}
	tell := func(k Kind, s Severity, words string) {
		n := Notice{
			ID: ID(fmt.Sprintf("%s/%s/never", k, f.Name)), Kind: k, Severity: s, Owner: f.Owner,
			Subject: string(f.Name), Words: words, At: now,
		}
		if !since.IsZero() {
			n.ID, n.At = ID(fmt.Sprintf("%s/%s/%d", k, f.Name, since.UnixMicro())), since
		}
		all = append(all, n)
	}
	switch {
	case f.Result == patching.FeedRefused:
		tell(FeedRefused, Important, f.Trouble)
	case f.Result == patching.FeedFailed && now.Sub(since) > f.Every+failsFor: // what never came is told at once
		tell(FeedFailed, Routine, f.Trouble)
	}
	switch {
	case !f.Stale(now):
	case f.Edition.Digest != "":
		tell(FeedStale, Important, fmt.Sprintf("%s old; plans that rest on it say so", phrase.About(f.Age(now))))
	// One that is asked for the first time is on its way, or its failure is told.
	case f.URL == "":
		tell(FeedStale, Important, "was never there: import it, or take it out of feeds.yaml")
	}
	return all
}
