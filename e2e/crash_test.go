package e2e_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/crash/drill"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

// Each run loses a cycle its process, in the middle of installations or when a
// person was just told that an approval counts; the drill's package says what
// has to hold. make crash draws more moments.
//
// Serves G6, G8, Q2.
func TestACycleThatIsKilledEndsAsIfNothingHadBeen(t *testing.T) {
	t.Parallel()
	runs := map[string]drill.Run{
		"everything in the middle of installations": {Number: 1, Victim: drill.Everything, Kills: []drill.Moment{{Kind: drill.AtEvent, Event: 700}}},
		"the server alone after an approval":        {Number: 2, Victim: drill.ServerAlone, Kills: []drill.Moment{{Kind: drill.Approved}}},
	}
	for engine, database := range map[string]func(*testing.T) string{
		"SQLite":     func(*testing.T) string { return "" },
		"PostgreSQL": func(t *testing.T) string { return pgtest.Start(t, pgtest.Durable()) },
	} {
		for name, run := range runs {
			t.Run(engine+", "+name, func(t *testing.T) {
				t.Parallel()
				dir, err := os.MkdirTemp("", "crash-") //nolint:usetesting // a test's own is too long for a unix socket
				require.NoError(t, err)
				t.Cleanup(func() { _ = os.RemoveAll(dir) })
				program, err := os.Executable()
				require.NoError(t, err)
				run.Seed = 1
				got := drill.Do(t.Context(), drill.Options{
					Program: program, Env: []string{asProgram}, Dir: dir, DatabaseURL: database(t), Machines: 40, Limit: 5 * time.Minute,
				}, run)
				require.Empty(t, got.Problems)
				t.Logf("killed in %s; the API answered after %.1f s", got.Killed, got.Recovery)
			})
		}
	}
}

// Temporal's tools commit each statement of a schema, and cannot take up what a
// kill left of it.
func TestAServerThatIsKilledWhileItMakesTheEnginesTablesStartsAgain(t *testing.T) {
	t.Parallel()
	database := pgtest.Start(t, pgtest.Durable())
	dir, err := os.MkdirTemp("", "crash-") //nolint:usetesting // a test's own is too long for a unix socket
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	for _, d := range []struct{ suffix, half string }{
		{"_temporal", "namespace_metadata"}, {"_temporal_visibility", "executions_visibility"},
	} {
		server := startServer(t, dir, database)
		for end := time.Now().Add(time.Minute); !tableExists(t, database, d.suffix, d.half); { // quickly: the rest takes half a second
			require.True(t, time.Now().Before(end), "no table %s", d.half)
		}
		require.NoError(t, server.Process.Kill())
		_ = server.Wait() // "signal: killed"
	}
	startServer(t, dir, database)
	until(t, time.Minute, "an answer", func() bool {
		c, err := trial.As(dir, "")
		require.NoError(t, err)
		_, err = c.Health(t.Context())
		return err == nil
	})
}

func startServer(t *testing.T, dir, database string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	log, err := os.OpenFile(filepath.Join(dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	c := exec.Command(program, "server", "--data-dir", dir, "--uplink", "127.0.0.1:0", "--ui", "")
	c.Env = append(os.Environ(), asProgram, "PATCHCYCLE_DATABASE_URL="+database)
	c.Stderr = log
	require.NoError(t, c.Start())
	t.Cleanup(func() {
		if c.ProcessState == nil {
			_ = c.Process.Kill()
			_ = c.Wait()
		}
	})
	return c
}

// tableExists asks a database beside the one that the URL names.
func tableExists(t *testing.T, url, suffix, table string) bool {
	t.Helper()
	conf, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	conf.Database += suffix
	conn, err := pgx.ConnectConfig(t.Context(), conf)
	if err != nil {
		return false // there is no such database yet
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var exists bool
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT to_regclass($1) IS NOT NULL", table).Scan(&exists))
	return exists
}
