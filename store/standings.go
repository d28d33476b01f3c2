package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// PutStanding keeps which advisories a cycle's machines still have; the one kept last
// counts.
func (s *Store) PutStanding(ctx context.Context, c patching.CycleID, st plan.Standing) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO standings (cycle, document) VALUES (?, ?)
			ON CONFLICT (cycle) DO UPDATE SET document = excluded.document`, string(c), encode(st))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep which advisories the machines of %s have: %w", c, err)
	}
	return nil
}

// Standing returns which advisories a cycle's machines still had at its end;
// [ErrNotFound] as long as nobody has looked.
func (s *Store) Standing(ctx context.Context, c patching.CycleID) (plan.Standing, error) {
	st, err := one(ctx, s.reader(), func(row scanner) (st plan.Standing, err error) {
		return st, row.Scan(document{&st})
	}, "SELECT document FROM standings WHERE cycle = ?", string(c))
	if err != nil {
		return st, fmt.Errorf("advisories of the machines of %s: %w", c, err)
	}
	return st, nil
}
