package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// noteChanged writes down whose inventory shows other packages than the last one
// did. It comes before the inventories replace what they are compared with.
func (t *tx) noteChanged(ctx context.Context, facts []Column, rows [][]any) error {
	_, err := t.bulk(ctx, `INSERT INTO inventories (asset, at, since, before, after)
		SELECT v.id, v.inventoried, a.inventoried, a.packages, v.packages FROM {rows} AS v
		JOIN assets a ON a.id = v.id AND a.device = v.device
		WHERE a.packages <> '' AND v.packages <> '' AND a.packages <> v.packages
		ON CONFLICT (asset, at) DO NOTHING`, facts, rows)
	if err != nil {
		return fmt.Errorf("note whose packages changed: %w", err)
	}
	return nil
}

// Changed is an inventory that showed other packages than the one before it.
type Changed struct {
	Asset patching.AssetID
	// At is when it was made, Since when the one before was.
	At, Since time.Time
	// Before and After address the package sets of both.
	Before, After patching.Digest
}

// Changes returns the newest inventories of an asset that showed other packages
// than those before them, the oldest first.
func (s *Store) Changes(ctx context.Context, a patching.AssetID, limit int) ([]Changed, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (Changed, error) {
		c := Changed{Asset: a}
		return c, row.Scan(instant{&c.At}, instant{&c.Since}, &c.Before, &c.After)
	}, "SELECT at, since, before, after FROM inventories WHERE asset = ? ORDER BY at DESC LIMIT ?", string(a), limit)
	if err != nil {
		return nil, fmt.Errorf("inventories of %s: %w", a, err)
	}
	slices.Reverse(out)
	return out, nil
}
