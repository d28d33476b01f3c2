package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Feed is how a feed of advisories stands.
type Feed struct {
	Name       patching.FeedName `json:"name"`
	URL        string            `json:"url,omitempty" doc:"Where it is asked for; none: it comes by import alone."`
	Owner      string            `json:"owner,omitempty" doc:"Who answers for it."`
	Every      int64             `json:"every_seconds,omitempty" doc:"How often it is asked for."`
	StaleAfter int64             `json:"stale_after_seconds,omitempty" doc:"From what age on it is stale; none: never."`
	Edition    *FeedEdition      `json:"edition,omitempty" doc:"The one that counts; none: it was never there."`
	Asked      time.Time         `json:"asked,omitzero" doc:"When it was last asked for with an answer that counts."`
	Stale      bool              `json:"stale" doc:"Whether a plan that rests on it says that it is old, or was never there."`
	Trouble    string            `json:"trouble,omitempty" doc:"Why the newest sync was refused or failed."`
	Running    *FeedProgress     `json:"running,omitempty" doc:"How far the sync is that is going on."`
}

// Feeds is a list of them.
type Feeds struct {
	Items   []Feed `json:"items"`
	Trouble string `json:"trouble,omitempty" doc:"Why the list of feeds is not in force as it stands."`
}

// FeedDetail is a feed with its newest syncs, the newest first.
type FeedDetail struct {
	Feed
	Syncs []FeedSync `json:"syncs"`
}

// FeedEdition is a state of a feed.
type FeedEdition struct {
	Digest   patching.Digest           `json:"digest" doc:"Address of its files."`
	Revision string                    `json:"revision,omitempty" doc:"The publisher's name for it."`
	Made     time.Time                 `json:"made,omitzero" doc:"When the publisher made it."`
	Got      time.Time                 `json:"got" doc:"When it came."`
	Records  map[string]int            `json:"records" doc:"What it says, by kind: advisories, risks, lifecycles, offers."`
	Formats  map[string]map[string]int `json:"formats,omitempty" doc:"The same by format, such as kev or epss, and in it by kind; none: it was kept before those were counted."`
	Signed   bool                      `json:"signed" doc:"Whether a signature was checked, down to all of its parts."`
}

// FeedProgress is how far a sync is.
type FeedProgress struct {
	Documents int    `json:"documents" doc:"That are there."`
	Of        int    `json:"of" doc:"That are wanted, as far as that is known."`
	Bytes     int64  `json:"bytes" doc:"That crossed the network."`
	At        string `json:"at,omitempty" doc:"What is asked for now."`
}

// FeedSync is one attempt to bring a feed up to date.
type FeedSync struct {
	Feed     patching.FeedName    `json:"feed"`
	At       time.Time            `json:"at"`
	By       patching.AccountName `json:"by,omitempty" doc:"Who asked for it; none: the server."`
	From     string               `json:"from" doc:"An address, or what was imported."`
	Result   patching.FeedResult  `json:"result" enum:"new,unchanged,refused,failed" doc:"Refused: it came, and is worse than none. Failed: it did not come."`
	Why      string               `json:"why,omitempty" doc:"Of a refusal or failure, or what was accepted."`
	Accepted string               `json:"accepted,omitempty" doc:"The reason for which a person let it in all the same."`
	Bytes    int64                `json:"bytes" doc:"That crossed the network or were read."`
	Edition  *FeedEdition         `json:"edition,omitempty" doc:"The one that counts after it."`
}

// SyncFeeds says which feeds are asked for.
type SyncFeeds struct {
	Feeds []patching.FeedName `json:"feeds,omitempty" maxItems:"200" doc:"None: all that have an address."`
}

// StartedFeeds is what goes on after that.
type StartedFeeds struct {
	Since   time.Time           `json:"since" doc:"A sync that ends later is one of these."`
	Started []patching.FeedName `json:"started"`
	Recent  []patching.FeedName `json:"recent" doc:"Were asked for within the last minute: the last answer stands."`
}
