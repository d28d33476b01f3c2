package depot_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves L3, G9: whoever knows a snapshot's name, as from an order, can check each of its
// files, and whoever keeps copies knows of which snapshots.
func TestASnapshotsManifestIsServedUnderTheNameThatItsDigestBeginsWith(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool, steady)
	d := newDepot(t, a.repository("tests"))
	status, text := d.get(t, patching.SnapshotPath)
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"snapshots":[]}`, text)

	s := d.freeze(t, newTool)
	_, text = d.get(t, patching.SnapshotPath)
	require.JSONEq(t, `{"snapshots":["`+s.Path()+`"]}`, text)
	status, text = d.get(t, patching.SnapshotPath+s.Path())
	require.Equal(t, http.StatusOK, status)
	same, err := depot.ReadSnapshot([]byte(text))
	require.NoError(t, err)
	require.Equal(t, s, same)
	had, ok := same.Find("tool", "amd64", "2.0")
	require.True(t, ok)
	file, ok := same.At("tests", had.Places[0].Generation, had.Places[0].Path)
	require.True(t, ok)
	require.Equal(t, had.File, file)

	status, _ = d.get(t, patching.SnapshotPath+"00000000000000000000000000000000")
	require.Equal(t, http.StatusNotFound, status)
}
