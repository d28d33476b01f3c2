package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// PutOutlook keeps what people are told beside a plan of the cycle; the one
// kept last counts. The plan itself need not be on record yet.
func (s *Store) PutOutlook(ctx context.Context, c patching.CycleID, o plan.Outlook) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO outlooks (cycle, plan, document) VALUES (?, ?, ?)
			ON CONFLICT (cycle, plan) DO UPDATE SET document = excluded.document`, string(c), string(o.Plan), encode(o))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep the outlook of plan %s of %s: %w", o.Plan.Short(), c, err)
	}
	return nil
}

// Outlooks returns what was told beside the cycle's plans, by their hashes.
func (s *Store) Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error) {
	rows, err := all(ctx, s.reader(), func(row scanner) (o plan.Outlook, err error) {
		return o, row.Scan(document{&o})
	}, "SELECT document FROM outlooks WHERE cycle = ?", string(c))
	if err != nil {
		return nil, fmt.Errorf("outlooks of the plans of %s: %w", c, err)
	}
	out := make(map[patching.Digest]plan.Outlook, len(rows))
	for _, o := range rows {
		out[o.Plan] = o
	}
	return out, nil
}
