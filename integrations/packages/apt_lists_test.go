package packages

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q4.
func TestADownloadIsWaitedForByItsSize(t *testing.T) {
	require.Equal(t, 10*time.Minute, downloadTime(nil))
	size := []patching.Patch{{Size: 100 << 20}, {Size: 400 << 20}}
	require.InDelta(t, 4.6, downloadTime(size).Hours(), 0.1, "500 MB over 256 kbit/s")
}

// Serves G9: an order that has started goes on without a line.
func TestTheListsOfASnapshotAreFetchedOnceAndAgainWhenItsPlaceChanges(t *testing.T) {
	s := Snapshot{Base: "http://server:7440", Dir: filepath.Join(t.TempDir(), "one"), Sources: patching.Sources{
		Snapshot: strings.Repeat("0a", 16), Indexes: []patching.SourceIndex{{
			Repository: "debian", Generation: "1f", Suite: "stable", Components: []string{"main"}, Architectures: []string{"amd64"},
		}},
	}}
	inUse, away, fetched := true, false, 0
	a := &APT{root: fstest.MapFS{}, o: Options{Snapshot: func(context.Context) (Snapshot, bool) { return s, inUse }}}
	a.load = func(_ context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
		require.Equal(t, "apt-get", program)
		require.LessOrEqual(t, limit, 10*time.Minute, "apt may wait for ever where its server went away")
		require.Equal(t, inUse, strings.Contains(strings.Join(args, " "), "Dir::State::Lists="+filepath.Join(s.Dir, "lists")))
		if away {
			return nil, errors.New("no route to host")
		}
		fetched++
		return nil, nil
	}
	away = true
	require.Error(t, a.Update(t.Context()))
	away = false
	for range 3 {
		require.NoError(t, a.Update(t.Context()))
	}
	require.Equal(t, 1, fetched, "what failed was not taken for fetched")
	s.Base = "http://elsewhere:7440"
	require.NoError(t, a.Update(t.Context()))
	require.Equal(t, 2, fetched, "lists are by address")
	s.Beside = true
	for range 2 {
		require.NoError(t, a.Update(t.Context()))
	}
	require.Equal(t, 3, fetched, "the machine's own were not among them")
	s.Beside = false
	require.NoError(t, a.Update(t.Context()))
	require.Equal(t, 3, fetched, "those beside it do no harm")
	inUse = false
	for range 2 {
		require.NoError(t, a.Update(t.Context()))
	}
	require.Equal(t, 5, fetched, "the machine's own change")
}
