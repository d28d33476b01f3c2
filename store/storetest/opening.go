package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// opening says what holds for a database as a whole.
func opening(t *testing.T, engine Engine) {
	ctx := context.Background()
	t.Run("what was written is there when the database is opened again", func(t *testing.T) {
		d := engine(t)
		s, err := d.Open(ctx)
		require.NoError(t, err)
		digest, err := s.PutContent(ctx, "bundle", []byte("kept"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		got, err := d.open(t).Content(ctx, digest)
		require.NoError(t, err)
		require.Equal(t, "kept", string(got))
	})
	t.Run("a database that a newer program has migrated is refused in words", func(t *testing.T) {
		d := engine(t)
		d.open(t)
		_, err := d.Raw.ExecContext(ctx, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)")
		require.NoError(t, err)
		_, err = d.Open(ctx)
		require.ErrorIs(t, err, store.ErrNewerSchema)
		require.ErrorContains(t, err, "schema 9999")
	})
	t.Run("two programs that open a new database at once both get it", func(t *testing.T) {
		d := engine(t)
		errs := make(chan error, 4)
		for range cap(errs) {
			go func() {
				s, err := d.Open(ctx)
				if err == nil {
					err = s.Close()
				}
				errs <- err
			}()
		}
		for range cap(errs) {
			require.NoError(t, <-errs)
		}
	})
	t.Run("readers see what was there while a writer is at work, and writers wait for each other", func(t *testing.T) {
		f := with(t, engine(t).open(t), "busy")
		f.planned(200)
		done := make(chan error, 8)
		for range cap(done) / 2 {
			go func() {
				var err error
				for i := 1; i <= 10 && err == nil; i++ {
					err = f.PutPlan(f.ctx, f.plan(1), f.items(200))
				}
				done <- err
			}()
			go func() {
				var err error
				for i := 1; i <= 50 && err == nil; i++ {
					var got patching.Tally
					if got, err = f.Tally(f.ctx, store.Slice{Cycle: f.cycle()}); err == nil && got.Planned != 200 {
						t.Errorf("%d machines, want 200: half a plan was seen", got.Planned)
					}
				}
				done <- err
			}()
		}
		for range cap(done) {
			require.NoError(t, <-done)
		}
	})
}

// serverLock says that one server is active at a time.
func serverLock(t *testing.T, engine Engine) {
	ctx := context.Background()
	t.Run("one server is active at a time; a second is refused, or waits until the first ends", func(t *testing.T) {
		d := engine(t)
		first, err := d.Open(ctx)
		require.NoError(t, err)
		lost, err := first.AcquireServerLock(ctx, false)
		require.NoError(t, err)
		_, err = first.AcquireServerLock(ctx, false)
		require.NoError(t, err, "it has it already")

		second := d.open(t)
		_, err = second.AcquireServerLock(ctx, false)
		require.ErrorIs(t, err, store.ErrServerRuns)
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		defer cancel()
		_, err = second.AcquireServerLock(short, true)
		require.Error(t, err)
		require.ErrorIs(t, short.Err(), context.DeadlineExceeded)

		got := make(chan error, 1)
		go func() {
			_, err := second.AcquireServerLock(ctx, true)
			got <- err
		}()
		select {
		case err := <-got:
			t.Fatalf("the second got the lock while the first had it: %v", err)
		case <-lost:
			t.Fatal("the first lost its lock")
		case <-time.After(300 * time.Millisecond):
		}
		require.NoError(t, first.Close())
		select {
		case err := <-got:
			require.NoError(t, err)
		case <-time.After(10 * time.Second):
			t.Fatal("the second did not get the lock that the first gave back")
		}
	})
}
