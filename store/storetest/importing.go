package storetest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves G1.
func imports(t *testing.T, s *store.Store) {
	ctx := context.Background()
	cmdb := store.Import{Source: "cmdb.csv", At: at(1), By: "ana"}
	nas := patching.Asset{ID: "listed-1", Hostname: "nas", Site: "roaming", Owner: "office", Addresses: []string{"10.0.0.40"}}

	t.Run("what a list tells is kept with the list's name, date and reader", func(t *testing.T) {
		require.NoError(t, s.PutImported(ctx, []patching.Asset{nas, nas}, cmdb))
		got, err := s.Asset(ctx, "listed-1")
		require.NoError(t, err)
		same(t, nas, got)
		require.Empty(t, got.Device, "nobody enrolled it")
		all, err := s.Imports(ctx, "listed-1", 10)
		require.NoError(t, err)
		same(t, []store.Import{cmdb}, all)
	})
	t.Run("lists add up, the newest first, and the same one counts once", func(t *testing.T) {
		later := store.Import{Source: "other.csv", At: at(2), By: "bea"}
		require.NoError(t, s.PutImported(ctx, []patching.Asset{nas}, later))
		require.NoError(t, s.PutImported(ctx, []patching.Asset{nas}, cmdb))
		all, err := s.Imports(ctx, "listed-1", 10)
		require.NoError(t, err)
		same(t, []store.Import{later, cmdb}, all)
		all, err = s.Imports(ctx, "listed-1", 1)
		require.NoError(t, err)
		require.Len(t, all, 1)
		all, err = s.Imports(ctx, "nobody", 10)
		require.NoError(t, err)
		require.Empty(t, all)
	})
	t.Run("a list with an asset that cannot be kept leaves nothing", func(t *testing.T) {
		require.Error(t, s.PutImported(ctx, []patching.Asset{{ID: "listed-2"}, {}}, cmdb))
		_, err := s.Asset(ctx, "listed-2")
		require.ErrorIs(t, err, store.ErrNotFound)
		all, err := s.Imports(ctx, "listed-2", 10)
		require.NoError(t, err)
		require.Empty(t, all)
	})
}
