package sqlite_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

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

func BenchmarkTakeReports(b *testing.B)  { storetest.BenchTakeReports(b, engine) }
func BenchmarkTally(b *testing.B)        { storetest.BenchTally(b, engine) }
func BenchmarkPutPlan20000(b *testing.B) { storetest.BenchPutPlan20000(b, engine) }
func BenchmarkCycle20000(b *testing.B)   { storetest.BenchCycle20000(b, engine) }
