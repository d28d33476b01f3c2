package cli

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// vault watches three places: a good one, one that is damaged, one that is being read.
type vault struct{}

func (vault) Places() ([]wire.BackupPlace, string) {
	return []wire.BackupPlace{
		{Name: "berlin", Tool: "restic", Asked: noon.Add(-time.Hour), Verified: noon.Add(-2 * time.Hour)},
		{Name: "tokyo", Tool: "borg", Asked: noon.Add(-time.Hour), Trouble: "Its check failed."},
		{Name: "hall", Tool: "borg", Running: true},
	}, ""
}

func (v vault) Check(_ context.Context, place string) (wire.BackupPlace, error) {
	all, _ := v.Places()
	for _, p := range all {
		if p.Name == place {
			return p, nil
		}
	}
	return wire.BackupPlace{}, fmt.Errorf("place %s: %w", place, store.ErrNotFound)
}

func (vault) Lacking(context.Context) ([]wire.Lacking, error) {
	return []wire.Lacking{{Policy: "servers", Asset: "a1", Hostname: "web-1", Site: "berlin", Owner: "it", Why: "no backup of it is known"}}, nil
}

// Serves G12.
func TestBackupsAreListedAndChecked(t *testing.T) {
	h := newHouse(t)
	require.NoError(t, h.store.PutBackups(t.Context(), "berlin", []patching.Backup{
		{Source: "berlin", Host: "web-1", Last: noon.Add(-time.Hour), Verified: noon.Add(-3 * time.Hour), Proof: patching.ProofRestored, Asked: noon},
		{Source: "berlin", Host: "db-1", Last: noon.Add(-time.Hour), Asked: noon},
	}))
	out := h.ok("backup", "list")
	assert.Contains(t, out, "berlin  restic  good        1 h ago  2 h ago")
	assert.Contains(t, out, "tokyo   borg    in trouble  1 h ago  never     Its check failed.\n")
	assert.Contains(t, out, "web-1  not known        berlin  1 h ago  3 h ago   restored\n")
	assert.Contains(t, out, "db-1   not known        berlin  1 h ago  never     not verified\n")
	assert.Contains(t, h.ok("backup", "list", "--lacking"), "web-1    berlin  servers  it     no backup of it is known\n")
	assert.Len(t, decode[wire.Backups](h, "backup", "list").Places, 3)

	assert.Equal(t, "berlin was asked and verified: all is well.\n", h.ok("backup", "check", "berlin"))
	assert.Equal(t, "tokyo: Its check failed.\n", h.ok("backup", "check", "tokyo"))
	assert.Contains(t, h.ok("backup", "check", "hall"), "It is being read")
	r := h.run("backup", "check", "rome")
	assert.NotEqual(t, ExitOK, r.code)
	assert.Contains(t, r.errs, "There is no place with backups rome.")
}
