package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

// crashing names, for the child process, the database that it writes.
const crashing = "PATCHCYCLE_TEST_CRASHING"

const crashCycle = patching.CycleID("cycle/crash/2026-11.1")

// Nothing is acknowledged that is not durable (design, the uplink).
func TestKill9InTheMiddleOfWritesLosesNothingAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "patchcycle.db")
	random := rand.New(rand.NewPCG(1, 2))
	last := 0
	for round := range 6 {
		acknowledged := killed(t, path, time.Duration(20+random.IntN(150))*time.Millisecond)
		require.GreaterOrEqual(t, acknowledged, last, "round %d", round)
		last = checkCrashed(t, path, acknowledged)
	}
	require.Positive(t, last, "no round wrote anything")
}

// killed runs a child that writes, kills it some time after its first
// acknowledgement, and returns its last one.
func killed(t *testing.T, path string, after time.Duration) (acknowledged int) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashing+"="+path)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	limit := time.AfterFunc(20*time.Second, func() { _ = child.Process.Kill() })
	defer limit.Stop()
	lines := bufio.NewScanner(out)
	for first := true; lines.Scan(); first = false {
		n, err := strconv.Atoi(lines.Text())
		if err != nil {
			break // the kill cut the line
		}
		acknowledged = n
		if first {
			time.AfterFunc(after, func() { _ = child.Process.Kill() })
		}
	}
	require.Error(t, child.Wait(), "the child ended by itself")
	return acknowledged
}

// checkCrashed opens what the child left and returns its last complete write.
func checkCrashed(t *testing.T, path string, acknowledged int) int {
	t.Helper()
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	_, err = s.AcquireServerLock(ctx, false)
	require.NoError(t, err, "the dead child still holds the server lock")
	entries, err := s.VerifyAudit(ctx)
	require.NoError(t, err)
	require.GreaterOrEqual(t, entries, int64(acknowledged))
	plan, err := s.Plan(ctx, crashCycle)
	require.NoError(t, err)
	require.GreaterOrEqual(t, plan.Revision, acknowledged)
	rows, err := s.Deployments(ctx, store.DeploymentFilter{Cycle: crashCycle})
	require.NoError(t, err)
	require.Len(t, rows, crashItems(plan.Revision), "half a plan of revision %d", plan.Revision)
	for _, d := range rows {
		require.Equal(t, fmt.Sprint("revision ", plan.Revision), d.Stratum)
	}
	raw, err := sql.Open("sqlite", "file:"+path)
	require.NoError(t, err)
	defer func() { require.NoError(t, raw.Close()) }()
	var verdict string
	require.NoError(t, raw.QueryRowContext(ctx, "PRAGMA integrity_check").Scan(&verdict))
	require.Equal(t, "ok", verdict)
	return int(entries)
}

func crashItems(revision int) int { return 150 + 100*(revision%2) }

// TestMain lets the test binary be the child too.
func TestMain(m *testing.M) {
	if path := os.Getenv(crashing); path != "" {
		fmt.Fprintln(os.Stderr, writeForEver(path))
		return
	}
	m.Run()
}

// writeForEver writes a plan and an audit entry, says so when both calls have
// returned, and goes on until it is killed.
func writeForEver(path string) error {
	ctx := context.Background()
	s, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	if _, err := s.AcquireServerLock(ctx, false); err != nil {
		return err
	}
	if _, err := s.OpenCycle(ctx, patching.Cycle{ID: crashCycle}); err != nil {
		return err
	}
	done, err := s.VerifyAudit(ctx)
	for n := int(done) + 1; err == nil; n++ {
		items := make([]patching.PlanItem, crashItems(n))
		for i := range items {
			items[i] = patching.PlanItem{Asset: patching.AssetID(fmt.Sprint("a", i)), Ring: "broad", Stratum: fmt.Sprint("revision ", n)}
		}
		if err = s.PutPlan(ctx, patching.Plan{Cycle: crashCycle, Revision: n}, items); err != nil {
			break
		}
		if _, err = s.AppendAudit(ctx, patching.AuditEntry{Actor: "child", Body: strconv.Itoa(n)}); err == nil {
			_, err = fmt.Fprintln(os.Stdout, n)
		}
	}
	return err
}
