package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// BackupFilter chooses backups. The zero filter takes all.
type BackupFilter struct {
	Source string
	// Assets takes those of these machines only; none are not the same as nil.
	Assets []patching.AssetID
}

var backupsTable = table{"backups", append(text("source", "host", "tool", "asset", "proof"), ints("last", "verified", "checked", "asked")...)}

// PutBackups keeps what a place says of all machines; what it does not name any
// more is gone.
func (s *Store) PutBackups(ctx context.Context, source string, all []patching.Backup) error {
	rows := make([][]any, len(all))
	for i, b := range all {
		rows[i] = []any{
			source, clean(b.Host), b.Tool, string(b.Asset), string(b.Proof),
			micros(b.Last), micros(b.Verified), micros(b.Checked), micros(b.Asked),
		}
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		if _, err := t.exec(ctx, "DELETE FROM backups WHERE source = ?", source); err != nil {
			return err
		}
		_, err := t.merge(ctx, backupsTable, "(source, host) DO NOTHING", rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the backups of %s: %w", source, err)
	}
	return nil
}

// Backups returns what is known of backups, by source and host.
func (s *Store) Backups(ctx context.Context, want BackupFilter) ([]patching.Backup, error) {
	if want.Assets != nil && len(want.Assets) == 0 {
		return nil, nil
	}
	f := s.filter()
	f.equal("source", want.Source)
	f.within("asset", list(want.Assets))
	out, err := all(ctx, s.reader(), func(row scanner) (b patching.Backup, err error) {
		return b, row.Scan(&b.Source, &b.Host, &b.Tool, &b.Asset, &b.Proof,
			instant{&b.Last}, instant{&b.Verified}, instant{&b.Checked}, instant{&b.Asked})
	}, "SELECT "+names(backupsTable.columns)+" FROM backups"+f.where()+" ORDER BY source, host", f.args...)
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	return out, nil
}
