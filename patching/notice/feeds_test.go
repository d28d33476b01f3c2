package notice_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// Serves G4: a stale feed has an owner who hears of it.
func TestTheTroubleOfAFeedIsToldToItsOwnerOnceAndItsEndResetsIt(t *testing.T) {
	source := patching.FeedSource{Name: "kev", URL: "https://feeds.example/kev", Owner: "sam", Every: 6 * time.Hour, StaleAfter: 48 * time.Hour}
	good := patching.FeedSync{Feed: "kev", At: noon, Result: patching.FeedNew}
	ended := func(after time.Duration, r patching.FeedResult, why string) patching.FeedSync {
		return patching.FeedSync{Feed: "kev", At: noon.Add(after), Result: r, Why: why}
	}
	kept := patching.FeedEdition{Digest: "d", Got: noon}
	for name, c := range map[string]struct {
		kept  patching.FeedEdition
		syncs []patching.FeedSync
		after time.Duration
		want  []string
	}{
		"all is well":                         {kept, []patching.FeedSync{good}, time.Hour, nil},
		"refused":                             {kept, []patching.FeedSync{good, ended(time.Hour, patching.FeedRefused, "it shrank by half")}, time.Hour, []string{"feed-refused  kev: it shrank by half"}},
		"a host that is away for a moment":    {kept, []patching.FeedSync{good, ended(6*time.Hour, patching.FeedFailed, "no route")}, 6*time.Hour + 30*time.Minute, nil},
		"a host that stays away":              {kept, []patching.FeedSync{good, ended(7*time.Hour, patching.FeedFailed, "no route")}, 7*time.Hour + time.Minute, []string{"feed-failed  kev: no route"}},
		"one that came again":                 {kept, []patching.FeedSync{good, ended(time.Hour, patching.FeedRefused, "x"), ended(2*time.Hour, patching.FeedUnchanged, "")}, 2 * time.Hour, nil},
		"stale, and nobody asked for it":      {kept, []patching.FeedSync{good}, 49 * time.Hour, []string{"feed-stale  kev: about 2 days old; plans that rest on it say so"}},
		"on its way for the first time":       {patching.FeedEdition{}, nil, 0, nil},
		"never there, and what came is wrong": {patching.FeedEdition{}, []patching.FeedSync{ended(0, patching.FeedFailed, "no route")}, 0, []string{"feed-failed  kev: no route"}},
	} {
		found := notice.OfFeeds([]patching.FeedState{source.State(c.kept, c.syncs)}, noon.Add(c.after))
		require.Equal(t, c.want, words(found.Notices), name)
		require.Len(t, found.Whole, 3, name)
		for _, n := range found.Notices {
			require.Equal(t, "sam", n.Owner)
			require.True(t, n.Kind.Standing())
		}
	}

	trouble := func(syncs ...patching.FeedSync) notice.ID {
		all := notice.OfFeeds([]patching.FeedState{source.State(kept, syncs)}, noon.Add(24*time.Hour)).Notices
		require.Len(t, all, 1)
		return all[0].ID
	}
	first := trouble(good, ended(time.Hour, patching.FeedRefused, "x"))
	require.Equal(t, first, trouble(good, ended(time.Hour, patching.FeedRefused, "x"), ended(2*time.Hour, patching.FeedRefused, "y")), "the same trouble")
	require.NotEqual(t, first, trouble(good, ended(3*time.Hour, patching.FeedUnchanged, ""), ended(4*time.Hour, patching.FeedRefused, "x")), "another one")

	byHand := patching.FeedSource{Name: "house"}
	require.Equal(t, []string{"feed-stale  house: was never there: import it, or take it out of feeds.yaml"},
		words(notice.OfFeeds([]patching.FeedState{byHand.State(patching.FeedEdition{}, nil)}, noon).Notices))
}
