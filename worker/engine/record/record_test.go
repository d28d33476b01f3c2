package record_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/worker/engine/record"
)

func made() record.Record {
	return record.Record{
		ServerVersion: "1.32.1",
		Schema:        record.Schema{Temporal: "0.11", Visibility: "0.1", SHA256: "aa"},
		Shards:        1,
		CreatedAt:     time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC),
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "engine.json")
	_, err := record.Read(file)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, made().Write(file))
	got, err := record.Read(file)
	require.NoError(t, err)
	require.Equal(t, made(), got)
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1, "a temporary file stays")
}

func TestABrokenRecordIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "engine.json")
	require.NoError(t, os.WriteFile(file, []byte("{"), 0o600))
	_, err := record.Read(file)
	require.ErrorContains(t, err, file)
}

func TestOnlyAPatchReleaseWithTheSameTablesTakesAFileOver(t *testing.T) {
	cases := []struct {
		name            string
		change          func(r *record.Record)
		update, refused bool
	}{
		{"the same server", func(*record.Record) {}, false, false},
		{"a newer patch release", func(r *record.Record) { r.ServerVersion = "1.32.0" }, true, false},
		{"an older patch release", func(r *record.Record) { r.ServerVersion = "1.32.9" }, true, false},
		{"another minor release with the same tables", func(r *record.Record) { r.ServerVersion = "1.31.1" }, false, true},
		{"a longer number that begins alike", func(r *record.Record) { r.ServerVersion = "1.3.21" }, false, true},
		{"other tables", func(r *record.Record) { r.Schema.Temporal = "0.10" }, false, true},
		{"other visibility tables", func(r *record.Record) { r.Schema.Visibility = "0.2" }, false, true},
		{"tables that changed without a number", func(r *record.Record) { r.Schema.SHA256 = "bb" }, false, true},
		{"other shards", func(r *record.Record) { r.Shards = 4 }, false, true},
		{"an empty record", func(r *record.Record) { *r = record.Record{} }, false, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			have := made()
			c.change(&have)
			update, err := record.Check("temporal.db", &have, made())
			require.Equal(t, c.update, update)
			if !c.refused {
				require.NoError(t, err)
				return
			}
			var outdated *record.OutdatedError
			require.ErrorAs(t, err, &outdated)
			require.ErrorContains(t, err, "temporal.db")
			require.ErrorContains(t, err, made().ServerVersion)
			require.ErrorContains(t, err, "patchcycle engine rebuild")
		})
	}
}

func TestAFileWithoutARecordIsRefused(t *testing.T) {
	_, err := record.Check("temporal.db", nil, made())
	require.ErrorContains(t, err, "temporal.db has no record")
	require.ErrorContains(t, err, "patchcycle engine rebuild")
}
