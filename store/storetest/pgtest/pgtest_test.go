package pgtest_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

func TestEveryCallHasAnEmptyDatabaseOfItsOwn(t *testing.T) {
	ctx := t.Context()
	a, b := pgtest.Start(t), pgtest.Start(t)
	require.NotEqual(t, a, b)

	one, err := pgx.Connect(ctx, a)
	require.NoError(t, err)
	defer one.Close(ctx)
	_, err = one.Exec(ctx, "CREATE TABLE only_here (id int)")
	require.NoError(t, err)

	two, err := pgx.Connect(ctx, b)
	require.NoError(t, err)
	defer two.Close(ctx)
	var tables int
	require.NoError(t, two.QueryRow(ctx, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").Scan(&tables))
	require.Zero(t, tables)
}

func TestFsyncIsOffUnlessADurableServerIsAskedFor(t *testing.T) {
	for url, want := range map[string]string{pgtest.Start(t): "off", pgtest.Start(t, pgtest.Durable()): "on"} {
		require.Equal(t, want, show(t, url, "fsync"))
	}
}

// The child below is killed, as a test that runs out of time is, and must
// leave neither a server nor a folder behind.
func TestTheServerGoesWithAKilledTestProcess(t *testing.T) {
	url := pgtest.Start(t) // skips where there is no PostgreSQL
	if report := os.Getenv("PGTEST_REPORT"); report != "" {
		require.NoError(t, os.WriteFile(report, []byte(url+"\n"+show(t, url, "data_directory")), 0o600))
		time.Sleep(time.Minute)
		t.Fatal("was not killed")
	}
	report := filepath.Join(t.TempDir(), "report")
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "PGTEST_REPORT="+report)
	require.NoError(t, child.Start())
	var lines []string
	require.Eventually(t, func() bool {
		text, _ := os.ReadFile(report) // absent until the child's server runs
		lines = strings.Split(string(text), "\n")
		return len(lines) == 2
	}, 30*time.Second, 20*time.Millisecond)
	require.NoError(t, child.Process.Kill())
	_ = child.Wait() // "signal: killed"

	require.Eventually(t, func() bool {
		_, err := os.Stat(lines[1])
		return os.IsNotExist(err)
	}, 10*time.Second, 20*time.Millisecond, "the data folder stays")
	_, err := pgx.Connect(context.Background(), lines[0])
	require.Error(t, err, "the server still answers")
}

func show(t *testing.T, url, setting string) (value string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), "SHOW "+setting).Scan(&value))
	return value
}
