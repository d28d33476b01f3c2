package store

import (
	"context"
	"errors"
	"fmt"
)

// Setting returns what is kept under a key; ok is false when nothing is.
func (s *Store) Setting(ctx context.Context, key string) (value string, ok bool, err error) {
	return s.reader().setting(ctx, key)
}

func (q querier) setting(ctx context.Context, key string) (value string, ok bool, err error) {
	err = q.row(ctx, []any{&value}, "SELECT value FROM settings WHERE key = ?", key)
	if errors.Is(err, ErrNotFound) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("setting %s: %w", key, err)
	}
	return value, true, nil
}

// SetSetting keeps a value under a key, in place of an earlier one.
func (s *Store) SetSetting(ctx context.Context, key, value string) error {
	err := s.inTx(ctx, SerialSettings, func(t *tx) error { return t.setSetting(ctx, key, value) })
	if err != nil {
		return fmt.Errorf("setting %s: %w", key, err)
	}
	return nil
}

func (t *tx) setSetting(ctx context.Context, key, value string) error {
	_, err := t.exec(ctx, `INSERT INTO settings (key, value) VALUES (?, ?)
		ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
	return err
}

// Epoch returns the present epoch; the first is 1. It grows when an engine is
// rebuilt, and machines refuse orders of an earlier one.
func (s *Store) Epoch(ctx context.Context) (int64, error) {
	var n int64
	if err := s.reader().row(ctx, []any{&n}, "SELECT value FROM counters WHERE name = 'epoch'"); err != nil {
		return 0, fmt.Errorf("read the epoch: %w", err)
	}
	return n, nil
}

// BumpEpoch begins the next epoch and returns it.
func (s *Store) BumpEpoch(ctx context.Context) (int64, error) {
	n, err := s.count(ctx, "epoch", 1)
	if err != nil {
		return 0, fmt.Errorf("begin a new epoch: %w", err)
	}
	return n, nil
}

// ReserveSeq reserves n sequence numbers for orders and returns the first. One
// counter serves the fleet; it goes on through epochs and never gives a number
// twice, though a caller that crashes leaves a gap.
func (s *Store) ReserveSeq(ctx context.Context, n int) (first uint64, err error) {
	if n < 1 {
		return 0, fmt.Errorf("reserve %d sequence numbers: want at least 1", n)
	}
	last, err := s.count(ctx, "seq", n)
	if err != nil {
		return 0, fmt.Errorf("reserve %d sequence numbers: %w", n, err)
	}
	return uint64(last) - uint64(n) + 1, nil
}

// count adds n to a counter and returns its new value.
func (s *Store) count(ctx context.Context, name string, n int) (value int64, err error) {
	err = s.inTx(ctx, SerialSettings, func(t *tx) error {
		t.rows++
		return t.row(ctx, []any{&value}, "UPDATE counters SET value = value + ? WHERE name = ? RETURNING value", int64(n), name)
	})
	return value, err
}
