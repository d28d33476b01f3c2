package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

const feedSyncColumns = "feed, at, made_by, origin, result, why, accepted, bytes, edition"

// AddFeedSync puts an attempt to bring a feed up to date on record, for good. A feed has
// one at a time: the same moment again changes nothing.
func (s *Store) AddFeedSync(ctx context.Context, f patching.FeedSync) error {
	err := s.inTx(ctx, SerialSettings, func(t *tx) error {
		_, err := t.exec(ctx, "INSERT INTO feed_syncs ("+feedSyncColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (feed, at) DO NOTHING",
			string(f.Feed), micros(f.At), string(f.By), clean(f.From), string(f.Result), clean(f.Why), clean(f.Accepted), f.Bytes, encode(f.Edition))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep what came of feed %s: %w", f.Feed, err)
	}
	return nil
}

// FeedSyncs returns the newest syncs of a feed, the newest first; limit 0 returns all.
func (s *Store) FeedSyncs(ctx context.Context, name patching.FeedName, limit int) ([]patching.FeedSync, error) {
	f := s.filter()
	f.and("feed = ?", string(name))
	query := "SELECT " + feedSyncColumns + " FROM feed_syncs" + f.where() + " ORDER BY at DESC"
	query += f.limit(limit)
	out, err := all(ctx, s.reader(), scanFeedSync, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("syncs of feed %s: %w", name, err)
	}
	return out, nil
}

// LatestFeedSyncs returns, for each feed, its newest sync and the newest that counts: by
// those two a feed stands as it does, see [patching.FeedSource.State].
func (s *Store) LatestFeedSyncs(ctx context.Context) (map[patching.FeedName][]patching.FeedSync, error) {
	rows, err := all(ctx, s.reader(), scanFeedSync, `SELECT `+feedSyncColumns+` FROM feed_syncs f
		WHERE at = (SELECT MAX(g.at) FROM feed_syncs g WHERE g.feed = f.feed)
		OR at = (SELECT MAX(g.at) FROM feed_syncs g WHERE g.feed = f.feed AND g.result IN (?, ?))
		ORDER BY feed, at DESC`, string(patching.FeedNew), string(patching.FeedUnchanged))
	if err != nil {
		return nil, fmt.Errorf("the latest syncs of feeds: %w", err)
	}
	out := map[patching.FeedName][]patching.FeedSync{}
	for _, f := range rows {
		out[f.Feed] = append(out[f.Feed], f)
	}
	return out, nil
}

func scanFeedSync(row scanner) (patching.FeedSync, error) {
	var f patching.FeedSync
	err := row.Scan(&f.Feed, instant{&f.At}, &f.By, &f.From, &f.Result, &f.Why, &f.Accepted, &f.Bytes, document{&f.Edition})
	return f, err
}
