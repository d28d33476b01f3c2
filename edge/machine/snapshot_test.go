package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves G9: an order's packages come from where its plan was made.
func TestAnOrdersSnapshotIsAskedOfTheServerAndOtherwiseTheMachinesOwnSources(t *testing.T) {
	m, b := newMachine(t)
	m.o.Server, m.o.CA, m.o.Lists = "https://server:7440", "/etc/ca.pem", t.TempDir()
	frozen := patching.Sources{Snapshot: strings.Repeat("0a", 16)}
	ctx := agent.WithSources(t.Context(), agent.Sources{Sources: frozen, Beside: true})
	s, ok := m.snapshot(ctx)
	require.True(t, ok)
	require.Equal(t, packages.Snapshot{
		Sources: frozen, Beside: true, Base: m.o.Server, CA: m.o.CA, Dir: filepath.Join(m.o.Lists, frozen.Snapshot),
	}, s)
	_, ok = m.snapshot(t.Context())
	require.False(t, ok)

	// Lists that are gone, as after a cleaning, are fetched by whichever step needs them.
	require.NoError(t, m.Fetch(ctx, bundle))
	require.NoError(t, m.Preflight(ctx, bundle))
	require.Error(t, m.Apply(ctx, bundle.Patches()))
	_, _ = m.Simulate(ctx, bundle.Patches())
	require.Equal(t, 4, b.updates)
	require.NoError(t, m.Fetch(t.Context(), bundle))
	require.NoError(t, m.Preflight(t.Context(), bundle))
	require.Equal(t, 4, b.updates, "the machine's own lists are its own business")
	m.o.Lists = ""
	_, ok = m.snapshot(ctx)
	require.False(t, ok, "who only looks keeps no lists")
}

// Serves G8.
func TestCleaningForgetsTheListsOfSnapshotsAndCountsThem(t *testing.T) {
	m, _ := newMachine(t)
	freed, err := m.Clean(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 7, freed)
	m.o.Lists = t.TempDir()
	one := filepath.Join(m.o.Lists, "0a", "lists")
	require.NoError(t, os.MkdirAll(one, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(one, "Packages"), make([]byte, 1000), 0o600))
	require.NoError(t, os.Symlink("/etc/passwd", filepath.Join(one, "own.list")))
	freed, err = m.Clean(t.Context(), nil)
	require.NoError(t, err)
	require.EqualValues(t, 1007, freed)
	left, err := os.ReadDir(m.o.Lists)
	require.NoError(t, err)
	require.Empty(t, left)
	require.FileExists(t, "/etc/passwd")
}
