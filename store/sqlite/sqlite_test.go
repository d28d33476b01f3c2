package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/store/storetest"
)

func engine(t testing.TB) storetest.Database {
	t.Helper()
	path := filepath.Join(t.TempDir(), "patchcycle.db")
	raw, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	return storetest.Database{
		Open: func(ctx context.Context) (*store.Store, error) { return sqlite.Open(ctx, path) },
		Raw:  raw,
	}
}

func TestSQLiteBehavesAsAStoreHasTo(t *testing.T) { storetest.Run(t, engine) }

func TestAFileThatIsNoDatabaseIsCalledDamagedWithTheWayOut(t *testing.T) {
	for name, text := range map[string][]byte{
		"rubbish":     bytes.Repeat([]byte("rubbish "), 1000),
		"a text":      []byte("Minutes of the meeting, which was long enough to be no database at all, whatever it was about; and so on.\n"),
		"half a page": append([]byte("SQLite format 3\x00"), make([]byte, 300)...),
	} {
		path := filepath.Join(t.TempDir(), "patchcycle.db")
		require.NoError(t, os.WriteFile(path, text, 0o600))
		_, err := sqlite.Open(t.Context(), path)
		require.ErrorContains(t, err, "the file is damaged; restore it from a backup", name)
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, kept, name)
	}
}

func TestADatabaseThatMayNotGrowIsAFullDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "small.db")
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=max_page_count(4)")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	_, err = db.Exec("CREATE TABLE t (x BLOB); INSERT INTO t VALUES (zeroblob(100000))")
	require.Error(t, err)
	full, remote := disk.Full(fmt.Errorf("commit: %w", err))
	require.True(t, full, "%v", err)
	require.False(t, remote)
}

func BenchmarkTakeReports(b *testing.B)  { storetest.BenchTakeReports(b, engine) }
func BenchmarkTally(b *testing.B)        { storetest.BenchTally(b, engine) }
func BenchmarkPutPlan20000(b *testing.B) { storetest.BenchPutPlan20000(b, engine) }
func BenchmarkCycle20000(b *testing.B)   { storetest.BenchCycle20000(b, engine) }
