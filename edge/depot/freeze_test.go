package depot_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
)

var (
	oldTool, newTool, newerTool = fake("tool", "1.0"), fake("tool", "2.0"), fake("tool", "3.0")
	steady                      = fake("steady", "5")
)

// Serves G9, L3.
func TestAVersionThatTheArchiveReplacedStaysInTheSnapshotWithItsOwnIndex(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -10), today.AddDate(0, 0, 10), oldTool, steady)
	d := newDepot(t, a.repository("tests"))
	before := d.freeze(t, oldTool, steady)

	a.publish(today.AddDate(0, 0, -1), today.AddDate(0, 0, 10), newTool, steady)
	s := d.freeze(t, oldTool, newTool, newerTool, steady)
	require.True(t, s.Has("tool", "amd64", "1.0"))
	require.True(t, s.Has("tool", "amd64", "2.0"))
	require.False(t, s.Has("tool", "amd64", "3.0"))
	require.False(t, s.Has("tool", "arm64", "1.0"))
	require.Equal(t, []depot.Missing{{Wanted: depot.Wanted{Name: "tool", Arch: "amd64", Version: "3.0"}, Why: depot.NotNamed}}, s.Missing)
	require.Len(t, s.Generations, 2, "the old version hangs on the old index")
	require.Len(t, before.Generations, 1)
	require.Equal(t, 1, a.count("/"+oldTool.path()), "what is here is not fetched again")

	// That is the fact on which the way back hangs.
	back := assess.ByPackages(s.Has)
	require.Equal(t, patching.ByDowngrade, back(patching.Candidate{Name: "tool", Arch: "amd64", From: "1.0", To: "2.0"}))
	require.Equal(t, patching.Irreversible, back(patching.Candidate{Name: "tool", Arch: "amd64", From: "0.9", To: "2.0"}))

	// And the archive may go away as a whole.
	a.server.Close()
	for _, p := range s.Packages {
		for _, place := range p.Places {
			status, text := d.get(t, pathIn(s, place))
			require.Equal(t, http.StatusOK, status)
			require.Equal(t, p.SHA256, hash([]byte(text)))
		}
	}
	require.NoError(t, d.Check(s.ID))
}

// pathIn is where the door has a file of a snapshot.
func pathIn(s *depot.Snapshot, p depot.Place) string {
	return patching.SnapshotPath + strings.TrimPrefix(string(s.ID), "sha256:")[:32] + "/tests/" + p.Generation + "/" + p.Path
}

func TestTheSameRequestToTheSameIndexesIsTheSameSnapshot(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool, steady)
	d := newDepot(t, a.repository("tests"))
	first := d.freeze(t, newTool, steady, oldTool)
	d.clock.forward(time.Hour)
	require.Equal(t, first.ID, d.freeze(t, steady, oldTool, newTool, steady).ID, "in another order, and one of them twice")
	require.NotEqual(t, first.ID, d.freeze(t, newTool).ID)
	other := newDepot(t, a.repository("tests"))
	require.Equal(t, first.ID, other.freeze(t, newTool, steady, oldTool).ID, "on another server")
	require.Len(t, d.Snapshots(), 2)
}

func TestASnapshotIsThereAfterARestart(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -10), time.Time{}, oldTool)
	d := newDepot(t, a.repository("tests"))
	first := d.freeze(t, oldTool)
	d.Close()
	// A process that was killed in the middle of a write leaves such a file.
	half := filepath.Join(d.dir, "blobs", ".half")
	require.NoError(t, os.WriteFile(half, []byte("half"), 0o600))

	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	again := openDepot(t, depot.Options{Dir: d.dir, Repositories: []depot.Repository{a.repository("tests")}})
	kept, ok := again.Snapshot(first.ID)
	require.True(t, ok)
	require.Equal(t, first, kept)
	require.NoError(t, again.Check(first.ID))
	require.True(t, again.freeze(t, oldTool, newTool).Has("tool", "amd64", "1.0"), "the index that named it was kept too")
	require.NoFileExists(t, half)

	// One that was edited is not taken for what it was.
	again.Close()
	file := filepath.Join(d.dir, "snapshots", strings.TrimPrefix(string(first.ID), "sha256:")+".json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, append(text, ' '), 0o600))
	_, err = depot.Open(depot.Options{Dir: d.dir})
	require.ErrorContains(t, err, "not as it was written")
}

func TestAFreezeThatBrokeOffGoesOnFromWhatItFetched(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool, steady)
	d := openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{a.repository("tests")}, Fetches: 1})
	ctx, cancel := context.WithCancel(t.Context())
	a.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/"+newTool.path() { // the second of the two
			cancel()
			<-r.Context().Done()
		}
		return false
	})
	wanted := []depot.Wanted{{Name: "steady", Arch: "amd64", Version: "5"}, {Name: "tool", Arch: "amd64", Version: "2.0"}}
	_, err := d.Freeze(ctx, depot.Request{Wanted: wanted})
	require.ErrorIs(t, err, context.Canceled)
	require.Empty(t, d.Snapshots())
	d.Close()

	a.answers(nil)
	again := openDepot(t, depot.Options{Dir: d.dir, Repositories: []depot.Repository{a.repository("tests")}})
	s := again.freeze(t, newTool, steady)
	require.Empty(t, s.Missing)
	require.Equal(t, 1, a.count("/"+steady.path()))
}

func TestWhyAPackageCouldNotBeHad(t *testing.T) {
	other := deb{name: "tool", arch: "amd64", version: "2.0", body: []byte("THE package tool 2.0")}
	for name, c := range map[string]struct {
		spoil func(a *archive)
		why   depot.Why
	}{
		"the archive no longer has the file": {func(a *archive) { a.remove("pool") }, depot.Gone},
		"other bytes of the same size":       {func(a *archive) { a.write(newTool.path(), other.body) }, depot.WrongBytes},
		"cut off":                            {func(a *archive) { a.write(newTool.path(), newTool.body[:5]) }, depot.WrongBytes},
		"longer":                             {func(a *archive) { a.write(newTool.path(), append(newTool.body, 'x')) }, depot.WrongBytes},
		"an archive that fails": {func(a *archive) {
			a.answers(failing(newTool.path(), func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) }))
		}, depot.NotFetched},
		"an archive that sends elsewhere": {func(a *archive) {
			a.answers(failing(newTool.path(), func(w http.ResponseWriter) {
				w.Header().Set("Location", strings.Replace(a.server.URL, "127.0.0.1", "localhost", 1)+"/"+newTool.path())
				w.WriteHeader(http.StatusFound)
			}))
		}, depot.NotFetched},
		"an archive that stops in the middle": {func(a *archive) {
			a.answers(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/"+newTool.path() {
					return false
				}
				w.Header().Set("Content-Length", "100")
				_, _ = w.Write(newTool.body[:5])
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
				return true
			})
		}, depot.NotFetched},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newArchive(t)
			a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool, steady)
			d := openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{a.repository("tests")}, Stall: 300 * time.Millisecond})
			c.spoil(a)
			a.write(steady.path(), steady.body)
			s := d.freeze(t, newTool, steady)
			require.True(t, s.Has("steady", "amd64", "5"), "the others are had all the same")
			require.Equal(t, []depot.Missing{{Wanted: depot.Wanted{Name: "tool", Arch: "amd64", Version: "2.0"}, Why: c.why}}, s.Missing)
			require.NoFileExists(t, d.blob(other.body))
			status, _ := d.get(t, "/apt/tests/"+newTool.path())
			assert.GreaterOrEqual(t, status, 400)
		})
	}
}

// An archive could send the server to doors that only it can reach.
func TestAnArchiveCannotSendTheServerElsewhere(t *testing.T) {
	a, other := newArchive(t), newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	other.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{a.repository("tests")}, Stall: 100 * time.Millisecond})
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other.server.URL+r.URL.Path, http.StatusMovedPermanently) // another port of the same host
		return true
	})
	_, err := d.tryFreeze(t, newTool)
	require.ErrorContains(t, err, "is not configured: write the address")
	require.Zero(t, other.count("/dists/stable/InRelease"))
	a.answers(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/moved") {
			http.StripPrefix("/moved", http.FileServer(http.Dir(a.dir))).ServeHTTP(w, r)
		} else {
			http.Redirect(w, r, "/moved"+r.URL.Path, http.StatusFound)
		}
		return true
	})
	require.True(t, d.freeze(t, newTool).Has("tool", "amd64", "2.0"), "within the host it may")
}

func failing(path string, fail func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/"+path {
			return false
		}
		fail(w)
		return true
	}
}

func TestAFileThatWasChangedOnDiskIsNeitherServedNorCounted(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := newDepot(t, a.repository("tests"))
	s := d.freeze(t, newTool)
	path := pathIn(s, s.Packages[0].Places[0])
	status, _ := d.get(t, path)
	require.Equal(t, http.StatusOK, status)

	changed := append([]byte("THE"), newTool.body[3:]...)
	require.NoError(t, os.WriteFile(d.blob(newTool.body), changed, 0o600))
	status, text := d.get(t, path)
	require.Equal(t, http.StatusInternalServerError, status)
	require.NotContains(t, text, string(changed))
	require.ErrorContains(t, d.Check(s.ID), hash(newTool.body))

	// It is fetched again where that can be done, and missed where not.
	require.Equal(t, s.ID, d.freeze(t, newTool).ID)
	require.NoError(t, d.Check(s.ID))
	require.NoError(t, os.WriteFile(d.blob(newTool.body), changed, 0o600))
	a.remove("pool")
	require.Equal(t, depot.Gone, d.freeze(t, newTool).Missing[0].Why)
}

func TestAnIndexWhoseKeyWasTakenOutOfTheKeyringIsNotUsedAgain(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := newDepot(t, a.repository("tests"))
	d.freeze(t, newTool)
	d.Close()
	r := a.repository("tests")
	var err error
	r.Keys, err = apt.ReadKeys(publicKeys(t, otherKey(t)))
	require.NoError(t, err)
	again := openDepot(t, depot.Options{Dir: d.dir, Repositories: []depot.Repository{r}})
	_, err = again.tryFreeze(t, newTool)
	require.ErrorContains(t, err, "unknown entity")

	// Nor does it keep out what the new key signs, which has an earlier date.
	a.key = otherKey(t)
	a.publish(today.AddDate(0, 0, -2), time.Time{}, newerTool)
	require.True(t, again.freeze(t, newerTool).Has("tool", "amd64", "3.0"))
}

func TestAnArchiveThatIsDownIsNotAskedForEveryFile(t *testing.T) {
	a := newArchive(t)
	var all []deb
	for n := range 40 {
		all = append(all, fake(fmt.Sprintf("tool%02d", n), "1"))
	}
	a.publish(today.AddDate(0, 0, -1), time.Time{}, all...)
	d := openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{a.repository("tests")}, Stall: 100 * time.Millisecond})
	d.freeze(t)
	a.answers(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusServiceUnavailable)
		return true
	})
	s := d.freeze(t, all...)
	require.Len(t, s.Missing, 40)
	require.Equal(t, depot.NotFetched, s.Missing[39].Why)
	asked := 0
	for _, one := range all {
		asked += a.count("/" + one.path())
	}
	require.LessOrEqual(t, asked, 3*(8+4), "three times for eight files, and for those under way")
	a.answers(nil)
	require.Empty(t, d.freeze(t, all...).Missing)
}

func TestAnArchiveIsAskedAgainWhenItsOwnTimeHasPassed(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	r := a.repository("tests")
	r.Refresh = 30 * time.Second
	d := newDepot(t, r)
	asked := func() int { return a.count("/dists/stable/InRelease") }
	d.get(t, "/apt/tests/dists/stable/InRelease")
	before := asked()
	require.Positive(t, before)
	d.clock.forward(28 * time.Second)
	d.get(t, "/apt/tests/dists/stable/InRelease")
	require.Equal(t, before, asked(), "after 29 seconds")
	d.get(t, "/apt/tests/dists/stable/InRelease")
	require.Equal(t, before+1, asked(), "after 30 seconds")
}

func TestAServerThatStopsMakesNoSnapshotOfWhatItHasSoFar(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newTool)
	d := newDepot(t, a.repository("tests"))
	a.answers(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/"+newTool.path() {
			go d.Close()
			<-r.Context().Done()
		}
		return false
	})
	_, err := d.tryFreeze(t, newTool)
	require.Error(t, err)
	require.Empty(t, d.Snapshots())
}

func TestAnIndexThatExpiredBeforeTheSnapshotIsNoneToPlanFrom(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -1), today.AddDate(0, 0, 1), newTool)
	d := newDepot(t, a.repository("tests"))
	d.freeze(t, newTool)
	d.clock.forward(48 * time.Hour)
	_, err := d.tryFreeze(t, newTool)
	require.ErrorContains(t, err, "the last good one was valid until")
}

func TestWhatAKeptSnapshotNeedsIsNeverRemoved(t *testing.T) {
	a := newArchive(t)
	a.publish(today.AddDate(0, 0, -10), time.Time{}, oldTool, steady)
	d := openDepot(t, depot.Options{Dir: t.TempDir(), Repositories: []depot.Repository{a.repository("tests")}, Cache: 1, Generations: 1})
	first := d.freeze(t, oldTool)
	a.publish(today.AddDate(0, 0, -5), time.Time{}, newTool)
	second := d.freeze(t, oldTool, newTool)
	a.publish(today.AddDate(0, 0, -1), time.Time{}, newerTool)
	status, _ := d.get(t, "/apt/tests/dists/stable/InRelease")
	require.Equal(t, http.StatusOK, status)
	status, _ = d.get(t, "/apt/tests/"+newerTool.path())
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, d.Collect())
	require.NoFileExists(t, d.blob(newerTool.body), "the cache is one byte small")
	require.NoError(t, d.Check(first.ID))
	require.NoError(t, d.Check(second.ID))

	require.NoError(t, d.Drop(first.ID))
	require.NoError(t, d.Drop(first.ID), "twice does not matter")
	require.NoError(t, d.Check(second.ID), "the second one needs it too")
	status, _ = d.get(t, pathIn(first, first.Packages[0].Places[0]))
	require.Equal(t, http.StatusNotFound, status)

	require.NoError(t, d.Drop(second.ID))
	require.NoFileExists(t, d.blob(oldTool.body))
	require.NoFileExists(t, d.blob(newTool.body))
	require.False(t, d.freeze(t, oldTool).Has("tool", "amd64", "1.0"), "nothing is left that could vouch for it")
}
