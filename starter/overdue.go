package starter

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/store"
)

// Grace is how late a cycle may start before it counts as missed.
const Grace = 15 * time.Minute

// Missed is a cycle that should have started and did not (Q1).
type Missed struct {
	Cycle patching.CycleID
	Due   time.Time
	Words string
}

// Overdue returns the cycles that the policies' schedules should have started by
// their calendars, and that are not on record. Schedules too are those on record:
// one that Temporal lost never fires.
func (s *Starter) Overdue(ctx context.Context, calendars map[patching.PolicyName]window.Monthly) ([]Missed, error) {
	var missed []Missed
	for _, p := range slices.Sorted(maps.Keys(calendars)) {
		kept, ok, err := s.Kept(ctx, p)
		if err != nil {
			return nil, err
		}
		if !ok || kept.Paused {
			continue
		}
		if kept.Since.IsZero() { // from before it was on record
			one, err := s.Schedule(ctx, p)
			if err != nil {
				return nil, err
			}
			kept.Since = one.Since
		}
		due, id, err := lastDue(p, calendars[p], s.now())
		if err != nil {
			return nil, err
		}
		if due.Before(kept.Since) || s.now().Sub(due) < Grace {
			continue
		}
		_, err = s.record.Cycle(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			missed = append(missed, Missed{Cycle: id, Due: due, Words: fmt.Sprintf(
				"%s should have started on %s and did not. Start it with \"patchcycle cycle start %s\".",
				id, due.Format("2 January 2006 15:04 MST"), p)})
		} else if err != nil {
			return nil, err
		}
	}
	return missed, nil
}

// lastDue returns the newest moment at which a cycle was due, and that cycle's id.
func lastDue(p patching.PolicyName, m window.Monthly, now time.Time) (time.Time, patching.CycleID, error) {
	loc, err := window.Zone(m.Zone)
	if err != nil {
		return time.Time{}, "", err
	}
	month := now.In(loc)
	for range 2 { // this month's, or the month's before
		due, err := m.Start(month.Year(), month.Month())
		if err != nil {
			return time.Time{}, "", err
		}
		if !due.After(now) {
			return due, patching.NewCycleID(p, due.Year(), int(due.Month()), 1), nil
		}
		month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, loc).AddDate(0, 0, -1)
	}
	return time.Time{}, "", fmt.Errorf("calendar of policy %s has no moment before %s", p, now)
}
