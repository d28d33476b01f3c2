package snapshots_test

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/worker/snapshots"
)

// record is a [snapshots.Record] in memory.
type record struct {
	mu       sync.Mutex
	settings map[string]string
	cycles   []patching.Cycle
}

func (r *record) Setting(_ context.Context, key string) (string, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.settings[key]
	return v, ok, nil
}

func (r *record) SetSetting(_ context.Context, key, value string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings[key] = value
	return nil
}

func (r *record) Cycles(context.Context, store.CycleFilter) ([]patching.Cycle, error) {
	return r.cycles, nil
}

// debian is an archive of Debian's own recorded index: signed and whole, without
// the packages that it names.
func debian(t *testing.T) depot.Repository {
	t.Helper()
	data := filepath.Join("..", "..", "lab", "fixtures", "debian", "data")
	dir := t.TempDir()
	for from, to := range map[string]string{
		"bookworm-security.InRelease":   "dists/bookworm-security/InRelease",
		"bookworm-security.Packages.xz": "dists/bookworm-security/main/binary-amd64/Packages.xz",
	} {
		text, err := os.ReadFile(filepath.Join(data, from))
		require.NoError(t, err)
		file := filepath.Join(dir, filepath.FromSlash(to))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, text, 0o600))
	}
	text, err := os.ReadFile(filepath.Join(data, "debian-archive-keyring.gpg"))
	require.NoError(t, err)
	keys, err := apt.ReadKeys(text)
	require.NoError(t, err)
	return depot.Repository{
		Name: "debian-security", URL: &url.URL{Scheme: "file", Path: dir}, Keys: keys,
		Suites: []string{"bookworm-security"}, Components: []string{"main"}, Architectures: []string{"amd64"},
	}
}

// Serves G9, Q3.
func TestASnapshotStaysUntilLongAfterEveryCycleThatNeedsItHasClosed(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	d, err := depot.Open(depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{debian(t)}, Now: func() time.Time { return now }})
	require.NoError(t, err)
	defer d.Close()
	r := &record{settings: map[string]string{}, cycles: []patching.Cycle{{ID: "cycle/a/2026-11.1"}, {ID: "emergency/a/hole"}, {ID: "cycle/b/2026-11.1"}}}
	k := &snapshots.Keeper{Depot: d, Record: r, Now: func() time.Time { return now }}

	tool, other := patching.Package{Name: "openssl", Arch: "amd64", Version: "3.0.0-1"}, patching.Package{Name: "rsync", Arch: "amd64", Version: "3.0"}
	first, err := k.Freeze(t.Context(), "cycle/a/2026-11.1", []patching.Package{tool})
	require.NoError(t, err)
	require.Equal(t, 1, first.Missing)
	require.False(t, first.Has("openssl", "amd64", "3.0.0-1"), "Debian's index does not name it")
	again, err := k.Freeze(t.Context(), "emergency/a/hole", []patching.Package{tool})
	require.NoError(t, err)
	require.Equal(t, first.ID, again.ID)
	second, err := k.Freeze(t.Context(), "cycle/b/2026-11.1", []patching.Package{other})
	require.NoError(t, err)
	require.NotEqual(t, first.ID, second.ID)

	kept := func(ids ...patching.Digest) {
		t.Helper()
		require.NoError(t, k.Tidy(t.Context()))
		require.ElementsMatch(t, ids, d.Snapshots())
	}
	kept(first.ID, second.ID)
	r.cycles[0].Closed = now.Add(-snapshots.Life - time.Hour)
	kept(first.ID, second.ID) // the emergency needs it too
	r.cycles[1].Closed = now.Add(-snapshots.Life + time.Hour)
	kept(first.ID, second.ID)
	r.cycles[1].Closed = now.Add(-snapshots.Life - time.Hour)
	kept(second.ID)
	kept(second.ID)
}
