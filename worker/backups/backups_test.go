package backups

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

// house is a keeper over a real store, with a clock that the test moves.
type house struct {
	*Keeper
	*store.Store
	t   *testing.T
	dir string
	now time.Time
}

func newHouse(t *testing.T, hostnames ...string) *house {
	t.Helper()
	dir := t.TempDir()
	s, err := sqlite.Open(t.Context(), filepath.Join(dir, "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := &house{Store: s, t: t, dir: dir, now: time.Now()}
	h.Keeper = h.keeper()
	for i, name := range hostnames {
		require.NoError(t, s.PutAsset(t.Context(), patching.Asset{ID: patching.AssetID(fmt.Sprintf("a%d", i+1)), Hostname: name}))
	}
	return h
}

// keeper is that of a server that has just started.
func (h *house) keeper() *Keeper {
	return &Keeper{
		File: filepath.Join(h.dir, "backups.yaml"), Cache: filepath.Join(h.dir, "cache"), Record: h.Store,
		Now: func() time.Time { return h.now }, Log: zaptest.NewLogger(h.t),
	}
}

func (h *house) write(name, text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
}

// tend asks what is due, and waits for it.
func (h *house) tend() {
	h.t.Helper()
	require.NoError(h.t, h.Tend(h.t.Context()))
	h.Close()
}

// Close is the keeper's.
func (h *house) Close() { h.Keeper.Close() }

func (h *house) backups() map[string]patching.Backup {
	h.t.Helper()
	rows, err := h.Backups(h.t.Context(), store.BackupFilter{})
	require.NoError(h.t, err)
	out := map[string]patching.Backup{}
	for _, b := range rows {
		out[b.Source+"/"+b.Host] = b
	}
	return out
}

func (h *house) restic(args ...string) {
	h.t.Helper()
	if _, err := command.Find("restic"); err != nil {
		require.NotEqual(h.t, "true", os.Getenv("CI"), "install restic")
		h.t.Skip("no restic: apt install restic")
	}
	common := []string{"--repo", filepath.Join(h.dir, "repository"), "--password-file", filepath.Join(h.dir, "password"), "--cache-dir", filepath.Join(h.dir, "cache")}
	_, err := command.Run(h.t.Context(), time.Minute, "restic", append(common, args...)...)
	require.NoError(h.t, err)
}

// Serves G12: a real repository that is good, grows old, is damaged and is mended.
func TestWhatIsKnownOfBackupsIsWhatTheRepositoryShows(t *testing.T) {
	h := newHouse(t, "web-1.example.org", "db-1")
	h.write("password", "secret\n")
	require.NoError(t, os.MkdirAll(filepath.Join(h.dir, "etc"), 0o755))
	h.write("etc/hostname", "web-1\n")
	h.write("etc/data", strings.Repeat("a till and its sales\n", 1000))
	hostname := filepath.Join(h.dir, "etc", "hostname")
	h.restic("init")
	h.restic("backup", "--host", "web-1", filepath.Join(h.dir, "etc"))
	h.restic("backup", "--host", "db-1", filepath.Join(h.dir, "etc", "data"))
	h.write("backups.yaml", fmt.Sprintf("repositories: [{name: berlin, tool: restic, repository: %s/repository, password_file: password, sample: 100%%, restore: %s, verify_every: 1d}]\n", h.dir, hostname))

	h.tend()
	known := h.backups()
	web, db := known["berlin/web-1"], known["berlin/db-1"]
	require.Equal(t, []patching.AssetID{"a1", "a2"}, []patching.AssetID{web.Asset, db.Asset}, "by hostname, with or without its domain")
	require.Equal(t, patching.ProofRestored, web.Proof)
	require.Equal(t, web.Last, web.Verified)
	require.Equal(t, patching.ProofNone, db.Proof, "the file to restore is not in its backup")
	all, trouble := h.States()
	require.Empty(t, trouble)
	require.Contains(t, all[0].Trouble, "could not be restored from the newest backup of db-1")

	h.now = h.now.Add(7 * time.Hour)
	h.restic("backup", "--host", "web-1", filepath.Join(h.dir, "etc"))
	h.tend()
	newer := h.backups()["berlin/web-1"]
	require.True(t, newer.Last.After(web.Last))
	require.Equal(t, web.Verified, newer.Verified, "the newest one was not verified yet")

	require.NoError(t, filepath.WalkDir(filepath.Join(h.dir, "repository", "data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		require.NoError(t, os.Chmod(path, 0o600))
		text, err := os.ReadFile(path)
		if err == nil {
			text[len(text)/2] ^= 0xff
			err = os.WriteFile(path, text, 0o600)
		}
		return err
	}))
	h.now = h.now.Add(18 * time.Hour)
	h.tend()
	for _, b := range h.backups() {
		require.Equal(t, patching.ProofNone, b.Proof, "nothing of a damaged repository is relied upon")
		require.True(t, b.Verified.IsZero())
	}
	all, _ = h.States()
	require.Contains(t, all[0].Trouble, "Its check failed, and no backup of it is relied upon")
	entries, err := h.Audit(t.Context(), 0, 100)
	require.NoError(t, err)
	require.Equal(t, "backups", entries[len(entries)-1].Actor)
	require.NotContains(t, fmt.Sprint(entries), "secret")

	h.Keeper = h.keeper() // a restart does not make it good
	h.now = h.now.Add(time.Minute)
	h.tend()
	all, _ = h.States()
	require.Contains(t, all[0].Trouble, "Its check failed")
}

// Serves G12, Q15: a machine that calls itself as another one does passes for
// nobody's backup.
func TestANameThatTwoMachinesHaveIsNobodys(t *testing.T) {
	h := newHouse(t, "web-1", "WEB-1", "db-1.example.org", "app-1.other.org")
	at := h.now.Add(-time.Hour).UTC().Format(time.RFC3339)
	h.write("said.json", fmt.Sprintf(`{"format":"patchcycle backups v1","backups":[
		{"host":"web-1","at":%q,"proof":"restored"},{"host":"db-1","at":%q,"proof":"checked"},
		{"host":"app-1.example.org","at":%q,"proof":"checked"},{"host":"nobody","at":%q}]}`, at, at, at, at))
	h.write("backups.yaml", "repositories: [{name: others, tool: hook, program: cat, args: ["+filepath.Join(h.dir, "said.json")+"]}]\n")
	h.tend()
	known := h.backups()
	require.Len(t, known, 4)
	require.Equal(t, []patching.AssetID{"", "a3", "", ""},
		[]patching.AssetID{known["others/web-1"].Asset, known["others/db-1"].Asset, known["others/app-1.example.org"].Asset, known["others/nobody"].Asset})
	require.Equal(t, patching.ProofChecked, known["others/db-1"].Proof)

	// What is proven no more is not: the hook takes it back.
	h.write("said.json", fmt.Sprintf(`{"format":"patchcycle backups v1","backups":[{"host":"db-1","at":%q}]}`, at))
	h.now = h.now.Add(7 * time.Hour)
	h.tend()
	require.Len(t, h.backups(), 1)
	require.Equal(t, patching.ProofNone, h.backups()["others/db-1"].Proof)

	// A hook that breaks says nothing: what was known grows old by itself.
	h.write("said.json", "oops")
	h.now = h.now.Add(7 * time.Hour)
	h.tend()
	all, _ := h.States()
	require.Contains(t, all[0].Trouble, "It does not answer")
	require.Len(t, h.backups(), 1)

	// A mistake in the list changes nothing, and without the list nobody is watched.
	h.write("backups.yaml", "repositories: [{name: Others}]\n")
	h.tend()
	all, trouble := h.States()
	require.Len(t, all, 1)
	require.Contains(t, trouble, "backups.yaml:1: name")
	require.NoError(t, os.Remove(h.File))
	h.tend()
	all, trouble = h.States()
	require.Empty(t, all)
	require.Empty(t, trouble)
	require.Empty(t, h.backups())
}

// A place that does not answer is not asked again and again.
func TestWhatDoesNotAnswerIsAskedAgainLater(t *testing.T) {
	h := newHouse(t)
	h.write("backups.yaml", "repositories: [{name: others, tool: hook, program: cat, args: [/not/there]}]\n")
	h.tend()
	first, _ := h.States()
	h.now = h.now.Add(time.Minute)
	h.tend()
	again, _ := h.States()
	require.Equal(t, first[0].Asked, again[0].Asked)
	h.now = h.now.Add(10 * time.Minute)
	h.tend()
	again, _ = h.States()
	require.True(t, again[0].Asked.After(first[0].Asked))

	_, err := h.Check(t.Context(), t.Context(), "rome")
	require.ErrorIs(t, err, ErrNoSource)
	checked, err := h.Check(t.Context(), context.WithoutCancel(t.Context()), "others")
	require.NoError(t, err)
	require.Contains(t, checked.Trouble, "It does not answer")
}

// busy is a record that cannot be written for now.
type busy struct {
	*store.Store
	err error
}

func (b *busy) PutBackups(ctx context.Context, source string, all []patching.Backup) error {
	if b.err != nil {
		return b.err
	}
	return b.Store.PutBackups(ctx, source, all)
}

// Serves G12: nobody relies on a backup at a place that is watched no more.
func TestAPlaceThatIsNotListedAnyMoreIsForgottenAlsoIfThatFailedAtFirst(t *testing.T) {
	h := newHouse(t, "web-1")
	require.NoError(t, h.PutBackups(t.Context(), "old", []patching.Backup{{
		Source: "old", Tool: "hook", Host: "web-1", Asset: "a1", Last: h.now, Verified: h.now, Proof: patching.ProofChecked, Checked: h.now, Asked: h.now,
	}}))
	record := &busy{h.Store, errors.New("the database is locked")}
	h.Record = record
	require.ErrorContains(t, h.Tend(t.Context()), "locked")
	require.Len(t, h.backups(), 1)
	record.err = nil
	h.tend()
	require.Empty(t, h.backups())
}
