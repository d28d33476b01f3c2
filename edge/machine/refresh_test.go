package machine

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Serves G4: nothing is offered that the lists do not name.
func TestListsThatAreOldAreFetchedBeforeAnInventory(t *testing.T) {
	m, b := newMachine(t)
	m.o.Dir = t.TempDir()
	now := m.now()
	m.now = func() time.Time { return now }
	look := func(want int, why string) {
		t.Helper()
		m.refresh(t.Context())
		require.Equal(t, want, b.updates, why)
	}
	look(0, "nobody asked for that")
	m.o.Fresh = 6 * time.Hour
	look(1, "nobody knows how old they are")
	look(1, "they are fresh")
	now = now.Add(6*time.Hour - time.Minute)
	look(1, "still")
	now = now.Add(2 * time.Minute)
	look(2, "they are old")
	b.away = errors.New("no route to host")
	now = now.Add(7 * time.Hour)
	look(3, "it was tried")
	now = now.Add(time.Minute)
	look(3, "and is not tried again at once")
	now = now.Add(15 * time.Minute)
	b.away = nil
	look(4, "but later")
	now = now.Add(-48 * time.Hour)
	look(5, "a clock that was set back makes nothing fresh")
	m.units = nil
	now = now.Add(30 * 24 * time.Hour)
	look(5, "a machine that is only looked at is not touched")
}

func TestFetchingListsHoldsNoInventoryUpForLong(t *testing.T) {
	m, b := newMachine(t)
	m.o.Dir, m.o.Fresh = t.TempDir(), time.Hour
	b.onUpdate = func(ctx context.Context) {
		end, ok := ctx.Deadline()
		require.True(t, ok)
		require.LessOrEqual(t, time.Until(end), 3*time.Minute)
	}
	m.refresh(t.Context())
	require.Equal(t, 1, b.updates)
}
