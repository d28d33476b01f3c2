package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Listened notes that a part of the path ("server", a relay) was listening at
// now. It extends the part's newest interval, or begins another if more than
// gap has passed since: time in between counts for nobody's silence.
func (s *Store) Listened(ctx context.Context, part string, now time.Time, gap time.Duration) error {
	err := s.inTx(ctx, SerialPresence, func(t *tx) error {
		var since, until time.Time
		err := t.row(ctx, []any{instant{&since}, instant{&until}},
			"SELECT since, until FROM presence WHERE part = ? ORDER BY since DESC LIMIT 1", part)
		switch {
		case errors.Is(err, ErrNotFound) || err == nil && now.Sub(until) > gap:
			_, err = t.exec(ctx, "INSERT INTO presence (part, since, until) VALUES (?, ?, ?)", part, micros(now), micros(now))
			return err
		case err != nil || !now.After(until):
			return err
		}
		_, err = t.exec(ctx, "UPDATE presence SET until = ? WHERE part = ? AND since = ?", micros(now), part, micros(since))
		return err
	})
	if err != nil {
		return fmt.Errorf("note that %s listens: %w", part, err)
	}
	return nil
}

// ListenedSince returns for how long, between since and now, the part listened.
func (s *Store) ListenedSince(ctx context.Context, part string, since, now time.Time) (time.Duration, error) {
	var total int64
	err := s.reader().each(ctx, func(row scanner) error {
		var from, until int64
		err := row.Scan(&from, &until)
		total += max(0, min(until, micros(now))-max(from, micros(since)))
		return err
	}, "SELECT since, until FROM presence WHERE part = ? AND until > ? AND since < ?", part, micros(since), micros(now))
	if err != nil {
		return 0, fmt.Errorf("how long %s listened: %w", part, err)
	}
	return time.Duration(total) * time.Microsecond, nil
}

// Parts returns when each part of the path was last listening.
func (s *Store) Parts(ctx context.Context) (map[string]time.Time, error) {
	out := make(map[string]time.Time)
	err := s.reader().each(ctx, func(row scanner) error {
		var part string
		var until time.Time
		err := row.Scan(&part, instant{&until})
		out[part] = until
		return err
	}, "SELECT part, MAX(until) FROM presence GROUP BY part")
	if err != nil {
		return nil, fmt.Errorf("list the parts of the path: %w", err)
	}
	return out, nil
}
