package patching

import (
	"errors"
	"hash/fnv"
	"math"
	"strings"
	"time"
)

// FeedName names a source of advisories or of what is known about flaws, as the
// people who run the server call it: "kev", "debian-security".
type FeedName string

// Valid reports whether it can name a feed: as all names, and not as a file of YAML, for
// the server keeps its list beside the folders of feeds.
func (n FeedName) Valid() bool {
	return ValidName(string(n)) && !strings.HasSuffix(string(n), ".yaml")
}

// FeedNameShape tells people what [FeedName.Valid] wants.
const FeedNameShape = "want lower-case letters, digits, dots and dashes, not ending in .yaml, such as debian-security"

// FeedSource is where a feed comes from.
type FeedSource struct {
	Name FeedName
	// URL is asked for it; empty: it comes by import alone.
	URL string
	// Owner answers for it: who is told when it is refused or stale.
	Owner string
	// Every is how often it is asked for, StaleAfter from what age on it is stale.
	Every, StaleAfter time.Duration
}

// FeedResult is how a sync ended.
type FeedResult string

// The results of a sync. After a refusal and a failure the last good edition stays.
const (
	FeedNew       FeedResult = "new"
	FeedUnchanged FeedResult = "unchanged"
	FeedRefused   FeedResult = "refused" // it came, and is worse than none
	FeedFailed    FeedResult = "failed"  // it did not come
)

// FeedSync is one attempt to bring a feed up to date: a fact, kept for good.
type FeedSync struct {
	Feed FeedName
	At   time.Time
	// By is who asked for it; empty: the server, by its schedule or for a cycle.
	By AccountName
	// From is the address, or the name of the file that was imported.
	From   string
	Result FeedResult
	Why    string // of a refusal or failure, a sentence with the way out
	// Accepted is the reason for which a person let an edition in that would have been
	// refused for Why; empty: nobody had to.
	Accepted string
	Bytes    int64 // that crossed the network or were read
	// Edition is the one that counts after the sync; zero: there is none yet.
	Edition FeedEdition
}

// Counts reports whether the sync told what the newest edition is.
func (s FeedSync) Counts() bool { return s.Result == FeedNew || s.Result == FeedUnchanged }

// FeedProgress is how far a sync is.
type FeedProgress struct {
	// Documents are there, Of is how many are wanted, as far as that is known.
	Documents, Of int
	Bytes         int64  // that crossed the network
	At            string // what is asked for now
}

// ErrFeedBusy says that a feed is being brought up to date by somebody else.
var ErrFeedBusy = errors.New("the feed is being brought up to date already: wait until that has ended")

// ErrFeedUnasked says that a feed comes from nowhere by itself.
var ErrFeedUnasked = errors.New("no address is known for the feed: write one into the list of feeds, or import it")

// FeedEdition is a state of a feed.
type FeedEdition struct {
	// Digest addresses the files as they came.
	Digest Digest
	// Revision is the publisher's name for it, and Made when it was made, as far as it
	// tells; Got is when it came to us.
	Revision  string
	Made, Got time.Time
	// Records counts what it says, by kind: advisories, risks, lifecycles, offers.
	Records map[string]int
	// Formats counts the same by the format that says it, as the readers of documents are
	// called (kev, epss, osv), and in it by kind. Files that are there twice count once. Nil:
	// the edition was kept before formats were counted.
	Formats map[string]map[string]int `json:",omitempty"`
	// Signed: a signature was checked, down to all of its parts.
	Signed bool
}

// Empty reports whether it says nothing.
func (e FeedEdition) Empty() bool {
	for _, n := range e.Records {
		if n > 0 {
			return false
		}
	}
	return true
}

// FeedState is how a feed stands at a time: what a plan says that it rests on.
type FeedState struct {
	FeedSource
	Edition FeedEdition // zero: it was never there
	// Asked is when it was last asked for with an answer that counts, new or unchanged.
	Asked time.Time
	// Result is how the newest sync ended; empty: there was none. Trouble is why it was
	// refused or failed; empty: it was not.
	Result  FeedResult
	Trouble string
}

// State is how the feed stands, by the edition that is kept and its syncs, in any order.
// What came before the newest sync of each kind does not count.
func (s FeedSource) State(kept FeedEdition, syncs []FeedSync) FeedState {
	state := FeedState{FeedSource: s, Edition: kept}
	var newest FeedSync
	for _, sync := range syncs {
		if sync.Counts() && sync.At.After(state.Asked) {
			state.Asked = sync.At
		}
		if !sync.At.Before(newest.At) {
			newest = sync
		}
	}
	state.Result = newest.Result
	if !newest.Counts() {
		state.Trouble = newest.Why
	}
	return state
}

// FeedRetry is how soon a feed is asked for again that did not come or was refused, if
// it is not asked for more often anyway.
const FeedRetry = 15 * time.Minute

// Due is when the feed is asked for again after a sync; zero: never, for it comes by
// import alone. Each feed is due at its own moment, up to a tenth of its time early, so
// that the feeds of many servers are not asked for all at once; seed tells servers apart.
func (s FeedSource) Due(last FeedSync, seed string) time.Time {
	if s.URL == "" || s.Every <= 0 {
		return time.Time{}
	}
	every := s.Every
	if !last.Counts() {
		every = min(every, FeedRetry)
	}
	spread := fnv.New32a()
	_, _ = spread.Write([]byte(seed + "\n" + string(s.Name))) // a hash takes all that it is given
	early := time.Duration(float64(every) / 10 * float64(spread.Sum32()) / math.MaxUint32)
	return last.At.Add(every - early)
}

// Age is how old what the feed says is: since it was last known to be the newest. A
// publisher that has said nothing new for a month has told us so each day.
func (s FeedState) Age(now time.Time) time.Duration {
	if s.Asked.IsZero() {
		return now.Sub(s.Edition.Got)
	}
	return now.Sub(s.Asked)
}

// Stale reports whether a plan that rests on the feed has to say that it is old, or
// was never there.
func (s FeedState) Stale(now time.Time) bool {
	return s.Edition.Digest == "" || (s.StaleAfter > 0 && s.Age(now) > s.StaleAfter)
}
