package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves G12.
func backups(t *testing.T, s *store.Store) {
	f := with(t, s, "backups")
	one := patching.Backup{
		Source: "berlin", Tool: "restic", Host: "web-1", Asset: f.asset(1), Last: at(10), Verified: at(5), Proof: patching.ProofRestored,
		Checked: at(11), Asked: at(12),
	}
	two := patching.Backup{Source: "berlin", Tool: "restic", Host: "nobody", Last: at(1), Asked: at(12)}
	other := patching.Backup{Source: "tokyo", Tool: "hook", Host: "web-1", Asset: f.asset(1), Last: at(2), Asked: at(3)}
	require.NoError(t, f.PutBackups(f.ctx, "berlin", []patching.Backup{one, two}))
	require.NoError(t, f.PutBackups(f.ctx, "tokyo", []patching.Backup{other}))
	for name, c := range map[string]struct {
		want   store.BackupFilter
		answer []patching.Backup
	}{
		"all":              {store.BackupFilter{}, []patching.Backup{two, one, other}},
		"of a place":       {store.BackupFilter{Source: "berlin"}, []patching.Backup{two, one}},
		"of a machine":     {store.BackupFilter{Assets: []patching.AssetID{f.asset(1), f.asset(2)}}, []patching.Backup{one, other}},
		"of no machine":    {store.BackupFilter{Assets: []patching.AssetID{}}, nil},
		"of another one":   {store.BackupFilter{Assets: []patching.AssetID{f.asset(2)}}, nil},
		"of another place": {store.BackupFilter{Source: "rome"}, nil},
	} {
		got, err := f.Backups(f.ctx, c.want)
		require.NoError(t, err, name)
		same(t, c.answer, got)
	}
	two.Last = at(20)
	require.NoError(t, f.PutBackups(f.ctx, "berlin", []patching.Backup{two}))
	got, err := f.Backups(f.ctx, store.BackupFilter{})
	require.NoError(t, err)
	same(t, []patching.Backup{two, other}, got)
}
