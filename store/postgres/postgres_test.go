package postgres_test

import (
	"context"
	"database/sql"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for the raw handle
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/postgres"
	"github.com/patchcycle/patchcycle/store/storetest"
	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

func at(t testing.TB, url string) storetest.Database {
	t.Helper()
	raw, err := sql.Open("pgx", url)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, raw.Close()) })
	return storetest.Database{
		Open: func(ctx context.Context) (*store.Store, error) { return postgres.Open(ctx, url) },
		Raw:  raw,
	}
}

func TestPostgreSQLBehavesAsAStoreHasTo(t *testing.T) {
	storetest.Run(t, func(t testing.TB) storetest.Database { t.Helper(); return at(t, pgtest.Start(t)) })
}

// BenchmarkPostgres flushes every commit, as a real server does.
func BenchmarkPostgres(b *testing.B) {
	storetest.Bench(b, func(t testing.TB) storetest.Database { t.Helper(); return at(t, pgtest.Start(t, pgtest.Durable())) })
}
