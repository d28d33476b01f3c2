package flights

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestItIsDoneOnceForAllWhoAskAndGoesOnWhenOneLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, end := context.WithCancel(t.Context())
		g := New(life)
		var times atomic.Int32
		go_, failed := make(chan struct{}), errors.New("no such file")
		do := func(ctx context.Context) error {
			times.Add(1)
			select {
			case <-go_:
				return failed
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		results := make(chan error, 3)
		leaves, leave := context.WithCancel(t.Context())
		for _, ctx := range []context.Context{t.Context(), leaves, t.Context()} {
			go func() { results <- g.Do(ctx, "a", do) }()
		}
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-results, context.Canceled)
		close(go_)
		require.ErrorIs(t, <-results, failed)
		require.ErrorIs(t, <-results, failed)
		require.EqualValues(t, 1, times.Load())

		go_ = make(chan struct{})
		go func() { results <- g.Do(t.Context(), "b", do) }()
		synctest.Wait()
		closed := make(chan struct{})
		go func() { g.Close(); close(closed) }()
		synctest.Wait()
		require.ErrorIs(t, g.Do(t.Context(), "c", do), ErrClosed)
		select {
		case <-closed:
			t.Fatal("something is under way")
		default:
		}
		end()
		<-closed
		require.ErrorIs(t, <-results, context.Canceled)
	})
}
