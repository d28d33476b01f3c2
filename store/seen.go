package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

var seenTable = table{"first_seen", append(text("advisory", "what"), Column{"at", Int})}

// What is noted of an advisory for the first time.
const (
	seenFlaw = "flaw" // on a machine
	seenFix  = "fix"  // its fix, offered to a machine or in an archive
)

// NoteSeen notes when advisories were first found on a machine of this house, and when
// their fix was first to be had; a zero time notes nothing. What is noted stays: a finding
// that goes and comes back has the day on which it was first there.
func (s *Store) NoteSeen(ctx context.Context, seen map[patching.AdvisoryID]urgency.Seen) error {
	var rows [][]any
	for id, is := range seen {
		for what, at := range map[string]time.Time{seenFlaw: is.First, seenFix: is.Patch} {
			if !at.IsZero() {
				rows = append(rows, []any{string(id), what, micros(at)})
			}
		}
	}
	slices.SortFunc(rows, func(a, b []any) int { return cmp.Or(cmpText(a[0], b[0]), cmpText(a[1], b[1])) })
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.merge(ctx, seenTable, "(advisory, what) DO NOTHING", rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("note %d advisories as seen: %w", len(seen), err)
	}
	return nil
}

// FirstSeen returns what is noted of advisories; those of which nothing is are left out.
func (s *Store) FirstSeen(ctx context.Context, ids []patching.AdvisoryID) (map[patching.AdvisoryID]urgency.Seen, error) {
	out := make(map[patching.AdvisoryID]urgency.Seen, len(ids))
	within, arg := s.dialect.Within(list(ids))
	err := s.reader().each(ctx, func(row scanner) error {
		var id patching.AdvisoryID
		var what string
		var at time.Time
		err := row.Scan(&id, &what, instant{&at})
		is := out[id]
		if what == seenFix {
			is.Patch = at
		} else {
			is.First = at
		}
		out[id] = is
		return err
	}, "SELECT advisory, what, at FROM first_seen WHERE advisory"+within, arg)
	if err != nil {
		return nil, fmt.Errorf("when %d advisories were first seen: %w", len(ids), err)
	}
	return out, nil
}
