package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

func fiveEntries(t *testing.T, engine Engine) (*store.Store, *sql.DB) {
	t.Helper()
	d := engine(t)
	s := d.open(t)
	for i := range 5 {
		e, err := s.AppendAudit(context.Background(), patching.AuditEntry{
			At: at(i), Actor: "ana", Verb: "approve", Subject: "cycle/x/2026-11.1", Body: fmt.Sprintf("vote %d", i),
		})
		require.NoError(t, err)
		require.EqualValues(t, i+1, e.Seq)
	}
	return s, d.Raw
}

func audit(t *testing.T, engine Engine) {
	ctx := context.Background()
	t.Run("entries are chained, come back in order and page by page, and hold", func(t *testing.T) {
		s, _ := fiveEntries(t, engine)
		n, err := s.VerifyAudit(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
		got, err := s.Audit(ctx, 1, 2)
		require.NoError(t, err)
		require.Len(t, got, 2)
		require.EqualValues(t, 2, got[0].Seq)
		require.Equal(t, got[0].Hash, got[1].Prev)
		same(t, at(1), got[0].At)
	})
	t.Run("an empty record holds", func(t *testing.T) {
		s := engine(t).open(t)
		n, err := s.VerifyAudit(ctx)
		require.NoError(t, err)
		require.Zero(t, n)
	})
	t.Run("the same entry again is the entry that is there", func(t *testing.T) {
		s, _ := fiveEntries(t, engine)
		again, err := s.AppendAudit(ctx, patching.AuditEntry{At: at(2), Actor: "ana", Verb: "approve", Subject: "cycle/x/2026-11.1", Body: "vote 2"})
		require.NoError(t, err)
		require.EqualValues(t, 3, again.Seq)
		n, err := s.VerifyAudit(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
	})
	t.Run("entries appended by many at once make one chain", func(t *testing.T) {
		s := engine(t).open(t)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 5 {
					if _, err := s.AppendAudit(ctx, patching.AuditEntry{Actor: fmt.Sprint(w), Body: fmt.Sprint(i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		n, err := s.VerifyAudit(ctx)
		require.NoError(t, err)
		require.EqualValues(t, 40, n)
	})
}

// Serves G6, G8.
func auditForged(t *testing.T, engine Engine) {
	ctx := context.Background()
	for _, edit := range []struct{ name, sql, want string }{
		{"a changed body is found with its entry", "UPDATE audit SET body = 'vote 9' WHERE seq = 3", "entry 3 was changed"},
		{"a changed time is found with its entry", "UPDATE audit SET at = at + 1 WHERE seq = 2", "entry 2 was changed"},
		{"an entry taken from the middle is found", "DELETE FROM audit WHERE seq = 4", "entry 4 is missing"},
		{"an entry taken from the beginning is found", "DELETE FROM audit WHERE seq = 1", "entry 1 is missing"},
		{"an entry taken from the end is found", "DELETE FROM audit WHERE seq = 5", "entry 5 is missing"},
		{"an entry that was made to fit itself does not fit the next", "UPDATE audit SET hash = 'sha256:00' WHERE seq = 2", "entry 2 was changed"},
		{"all entries taken away are found", "DELETE FROM audit", "entry 1 is missing"},
	} {
		t.Run(edit.name, func(t *testing.T) {
			s, raw := fiveEntries(t, engine)
			_, err := raw.ExecContext(ctx, edit.sql)
			require.NoError(t, err)
			_, err = s.VerifyAudit(ctx)
			require.ErrorIs(t, err, store.ErrBrokenChain)
			require.ErrorContains(t, err, edit.want)
		})
	}
	t.Run("an entry whose own hash was recomputed breaks at the next one", func(t *testing.T) {
		s, raw := fiveEntries(t, engine)
		got, err := s.Audit(ctx, 1, 1)
		require.NoError(t, err)
		forged := got[0]
		forged.Body = "something else"
		_, err = raw.ExecContext(ctx, fmt.Sprintf("UPDATE audit SET body = 'something else', hash = '%s' WHERE seq = 2", store.AuditHash(forged)))
		require.NoError(t, err)
		_, err = s.VerifyAudit(ctx)
		require.ErrorContains(t, err, "entry 3 does not follow on entry 2")
	})
	t.Run("no two entries have the same hash because their fields were shifted", func(t *testing.T) {
		a := store.AuditHash(patching.AuditEntry{At: noon, Actor: "ab", Verb: "c", Body: "1\n1:d"})
		b := store.AuditHash(patching.AuditEntry{At: noon, Actor: "a", Verb: "bc", Body: "1\n1:d"})
		require.NotEqual(t, a, b)
		require.True(t, strings.HasPrefix(string(a), "sha256:"))
	})
}
