package postgres_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx", for the raw handle
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/internal/disk"
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

// PostgreSQL is asked to fail as it does on a full disk.
func TestAFullDiskOfPostgreSQLIsToldAsTheDatabases(t *testing.T) {
	d := at(t, pgtest.Start(t))
	_, err := d.Raw.Exec("DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$")
	full, remote := disk.Full(fmt.Errorf("commit: %w", err))
	require.True(t, full, "%v", err)
	require.True(t, remote)
	full, remote = disk.Full(errors.New(err.Error()))
	require.True(t, full && remote, "as the engine passes it on: %v", err)
}

// durable flushes every commit, as a real server does.
func durable(t testing.TB) storetest.Database {
	t.Helper()
	return at(t, pgtest.Start(t, pgtest.Durable()))
}

func BenchmarkTakeReports(b *testing.B)  { storetest.BenchTakeReports(b, durable) }
func BenchmarkTally(b *testing.B)        { storetest.BenchTally(b, durable) }
func BenchmarkPutPlan20000(b *testing.B) { storetest.BenchPutPlan20000(b, durable) }
func BenchmarkCycle20000(b *testing.B)   { storetest.BenchCycle20000(b, durable) }

func TestAServerLearnsAtOnceThatItsLockIsLost(t *testing.T) {
	ctx := context.Background()
	d := at(t, pgtest.Start(t))
	first, err := d.Open(ctx)
	require.NoError(t, err)
	lost, err := first.AcquireServerLock(ctx, false)
	require.NoError(t, err)
	_, err = d.Raw.ExecContext(ctx, `SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
	require.NoError(t, err)
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Fatal("the session that held the lock was ended, and nobody was told")
	}
	second, err := d.Open(ctx)
	require.NoError(t, err)
	_, err = second.AcquireServerLock(ctx, false)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
}

func TestAnUnreachableServerIsNamedWithoutThePassword(t *testing.T) {
	_, err := postgres.Open(context.Background(), "postgres://patch:hunter2@127.0.0.1:1/patchcycle?connect_timeout=2")
	require.ErrorContains(t, err, "127.0.0.1")
	require.NotContains(t, err.Error(), "hunter2")
}
