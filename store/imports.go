package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Import says that a list from elsewhere told of assets.
type Import struct {
	// Source names the list, At is when it was taken in, By who did.
	Source string
	At     time.Time
	By     patching.AccountName
}

var importsTable = table{"imports", append(text("asset", "source"), append([]Column{{"at", Int}}, text("actor")...)...)}

// PutImported is [Store.PutAssets] of what a list from elsewhere changes, with the list
// written down beside each asset. Both are kept, or neither.
func (s *Store) PutImported(ctx context.Context, assets []patching.Asset, from Import) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		if err := t.putAssets(ctx, assets); err != nil {
			return err
		}
		rows := make([][]any, 0, len(assets))
		for _, a := range assets {
			rows = append(rows, []any{string(a.ID), from.Source, micros(from.At), string(from.By)})
		}
		_, err := t.merge(ctx, importsTable, "(asset, source, at) DO NOTHING", rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d assets of %s: %w", len(assets), from.Source, err)
	}
	return nil
}

// Imports returns the lists that changed what is known of an asset, the newest first.
func (s *Store) Imports(ctx context.Context, a patching.AssetID, limit int) ([]Import, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (i Import, err error) {
		return i, row.Scan(&i.Source, instant{&i.At}, &i.By)
	}, "SELECT source, at, actor FROM imports WHERE asset = ? ORDER BY at DESC, source LIMIT ?", string(a), limit)
	if err != nil {
		return nil, fmt.Errorf("lists that tell of %s: %w", a, err)
	}
	return out, nil
}
