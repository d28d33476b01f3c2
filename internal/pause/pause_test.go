package pause

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestItLastsAsLongAsItIsToldOrAsItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		require.NoError(t, For(t.Context(), time.Minute))
		require.Equal(t, time.Minute, time.Since(began))

		why := errors.New("the machine is retired")
		ctx, end := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { end(why) })
		began = time.Now()
		require.ErrorIs(t, For(ctx, time.Hour), why)
		require.Equal(t, time.Second, time.Since(began))
		require.ErrorIs(t, For(ctx, 0), why, "there is nobody left to wait")
	})
}
