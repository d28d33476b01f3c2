package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

const holdColumns = "version, lifted, actor, reason, at, until"

// SayHold appends a word about whether anything may start. A version that is there
// already is [ErrFinal]: somebody else has said something meanwhile.
func (s *Store) SayHold(ctx context.Context, h patching.Hold) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		n, err := t.exec(ctx, "INSERT INTO holds ("+holdColumns+") VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (version) DO NOTHING",
			h.Version, h.Lifted, string(h.By), h.Reason, micros(h.At), micros(h.Until))
		if err == nil && n == 0 {
			err = fmt.Errorf("somebody else said something meanwhile: that %w", ErrFinal)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("hold, version %d: %w", h.Version, err)
	}
	return nil
}

// Hold returns the latest word about whether anything may start; the zero hold: nobody
// has said any.
func (s *Store) Hold(ctx context.Context) (patching.Hold, error) {
	h, err := one(ctx, s.reader(), scanHold, "SELECT "+holdColumns+" FROM holds ORDER BY version DESC LIMIT 1")
	if errors.Is(err, ErrNotFound) {
		return patching.Hold{}, nil
	}
	if err != nil {
		return h, fmt.Errorf("hold: %w", err)
	}
	return h, nil
}

// Holds returns all that was said, the newest first.
func (s *Store) Holds(ctx context.Context, limit int) ([]patching.Hold, error) {
	out, err := all(ctx, s.reader(), scanHold, "SELECT "+holdColumns+" FROM holds ORDER BY version DESC LIMIT ?", limit)
	if err != nil {
		return nil, fmt.Errorf("holds: %w", err)
	}
	return out, nil
}

func scanHold(row scanner) (h patching.Hold, err error) {
	return h, row.Scan(&h.Version, &h.Lifted, &h.By, &h.Reason, instant{&h.At}, instant{&h.Until})
}
