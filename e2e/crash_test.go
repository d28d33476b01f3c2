package e2e_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/crash/drill"
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
