package api_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// vault watches one place.
type vault struct{}

func (vault) Places() ([]wire.BackupPlace, string) {
	return []wire.BackupPlace{{Name: "berlin", Tool: "restic", Trouble: "Its check failed."}}, ""
}

func (vault) Check(_ context.Context, place string) (wire.BackupPlace, error) {
	if place != "berlin" {
		return wire.BackupPlace{}, fmt.Errorf("place %s: %w", place, store.ErrNotFound)
	}
	return wire.BackupPlace{Name: place, Tool: "restic"}, nil
}

func (vault) Lacking(context.Context) ([]wire.Lacking, error) {
	return []wire.Lacking{{Policy: "demo", Asset: "a-1", Hostname: "web-1", Site: "amsterdam", Why: "no backup of it is known"}}, nil
}

// Serves G12, U5, U6.
func TestBackupsAreListedWithThoseThatLackOne(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	require.NoError(t, h.store.PutBackups(t.Context(), "berlin", []patching.Backup{
		{Source: "berlin", Tool: "restic", Host: "host-a-1", Asset: "a-1", Last: noon, Verified: noon.Add(-time.Hour), Proof: patching.ProofRestored, Checked: noon, Asked: noon},
		{Source: "berlin", Tool: "restic", Host: "host-a-3", Asset: "a-3", Last: noon, Asked: noon},
		{Source: "berlin", Tool: "restic", Host: "nobody", Last: noon, Asked: noon},
	}))
	all, err := h.as("aud", "*", patching.RoleAuditor).Backups(t.Context())
	require.NoError(t, err)
	require.Equal(t, "Its check failed.", all.Places[0].Trouble)
	require.Len(t, all.Machines, 3)
	require.Equal(t, patching.ProofRestored, all.Machines[0].Proof)
	require.Len(t, all.Lacking, 1)

	ours, err := h.as("tom", "site:tokyo", patching.RoleSiteAdmin).Backups(t.Context())
	require.NoError(t, err)
	require.Len(t, ours.Machines, 1, "of his site, and none that nobody knows")
	require.Equal(t, patching.AssetID("a-3"), ours.Machines[0].Asset)
	require.Empty(t, ours.Lacking)
}

// Serves G6, G12.
func TestACheckOfBackupsIsAskedForByWhoMayAndStandsOnRecord(t *testing.T) {
	h := newHouse(t)
	olga := h.as("olga", "*", patching.RoleOperator)
	is, err := olga.CheckBackups(t.Context(), "berlin")
	require.NoError(t, err)
	require.Equal(t, "berlin", is.Name)
	_, err = olga.CheckBackups(t.Context(), "rome")
	require.ErrorContains(t, err, "There is no place with backups rome.")
	_, err = h.as("aud", "*", patching.RoleAuditor).CheckBackups(t.Context(), "berlin")
	require.Error(t, err)
	entries, err := h.store.Audit(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Equal(t, []string{"olga", "verify backups", "berlin"}, []string{entries[0].Actor, entries[0].Verb, entries[0].Subject})
}
