package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves G4, G6.
func feeds(t *testing.T, s *store.Store) {
	ctx := context.Background()
	edition := patching.FeedEdition{
		Digest: patching.DigestOf([]byte("kev")), Revision: "2026.11.10", Made: at(-60).UTC(), Got: at(0).UTC(),
		Records: map[string]int{"risks": 1674}, Formats: map[string]map[string]int{"kev": {"risks": 1674}}, Signed: true,
	}
	sync := func(feed patching.FeedName, minute int, result patching.FeedResult) patching.FeedSync {
		return patching.FeedSync{Feed: feed, At: at(minute), From: "https://feeds.example/" + string(feed), Result: result, Bytes: 5 << 32, Edition: edition}
	}
	first, refused, again := sync("kev", 1, patching.FeedNew), sync("kev", 3, patching.FeedRefused), sync("kev", 2, patching.FeedUnchanged)
	refused.By, refused.Why, first.Accepted = "ana", "It has 3 risks, and the one before had 1674: less than half.", "it was split in two"
	other := sync("epss", 9, patching.FeedFailed)
	other.Edition = patching.FeedEdition{}
	for _, f := range []patching.FeedSync{refused, first, other, again} {
		require.NoError(t, s.AddFeedSync(ctx, f))
	}
	t.Run("syncs of a feed come back as they were, the newest first", func(t *testing.T) {
		got, err := s.FeedSyncs(ctx, "kev", 0)
		require.NoError(t, err)
		same(t, []patching.FeedSync{refused, again, first}, got)
		got, err = s.FeedSyncs(ctx, "kev", 1)
		require.NoError(t, err)
		same(t, []patching.FeedSync{refused}, got)
		got, err = s.FeedSyncs(ctx, "nobody", 0)
		require.NoError(t, err)
		require.Empty(t, got)
	})
	t.Run("what is on record of a moment is not replaced", func(t *testing.T) {
		forged := refused
		forged.Result, forged.Why = patching.FeedNew, ""
		require.NoError(t, s.AddFeedSync(ctx, forged))
		got, err := s.FeedSyncs(ctx, "kev", 1)
		require.NoError(t, err)
		same(t, []patching.FeedSync{refused}, got)
	})
	t.Run("the latest are the newest of each feed and the newest that counts", func(t *testing.T) {
		got, err := s.LatestFeedSyncs(ctx)
		require.NoError(t, err)
		same(t, map[patching.FeedName][]patching.FeedSync{"kev": {refused, again}, "epss": {other}}, got)
	})
}
