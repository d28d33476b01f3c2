package activities_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// backedUp keeps a backup of each machine; that of a number in without was never verified.
func (h *house) backedUp(n int, verified time.Time, without ...int) {
	h.t.Helper()
	var all []patching.Backup
	for i := 1; i <= n; i++ {
		b := patching.Backup{Source: "berlin", Tool: "restic", Host: string(asset(i)), Asset: asset(i), Last: verified, Verified: verified, Proof: patching.ProofChecked, Asked: h.now}
		for _, w := range without {
			if w == i {
				b.Verified, b.Proof = time.Time{}, patching.ProofNone
			}
		}
		all = append(all, b)
	}
	require.NoError(h.t, h.PutBackups(h.ctx, "berlin", all))
}

// Serves G12: where policy asks for it, nothing is upgraded before a verified backup
// is known; it is asked for in the plan, and again before each wave.
func TestWithoutAVerifiedBackupNothingIsPlannedAndNothingOrdered(t *testing.T) {
	h := newHouse(t)
	h.applyPolicy(servers + "backup: {require: true, verified_within: 2d, select: 'site == \"berlin\" || site == \"tokyo\"'}\n")
	h.enrol(20)
	h.backedUp(20, h.now.Add(-24*time.Hour), 3, 4)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	for n := 1; n <= 20; n++ {
		d := h.deployment(s.ID, n)
		if n == 3 || n == 4 {
			require.Equal(t, patching.ReasonNoBackup, d.Exclude)
			require.Equal(t, "the newest backup is of 9 Nov 2026 12:00 UTC, and none was verified; at most 2d are allowed", d.Why)
			continue
		}
		require.NotEqual(t, patching.ReasonNoBackup, d.Exclude)
	}
	early := h.ring(s.ID, "early")
	require.NotEmpty(t, early)

	// A day later the backup is too old for all but one.
	h.now = h.now.Add(25 * time.Hour)
	all := h.ring(s.ID, "early")
	h.backedUp(20, noon.Add(-24*time.Hour))
	require.NoError(t, h.PutBackups(h.ctx, "hall", []patching.Backup{{
		Source: "hall", Host: "x", Asset: asset(all[0]), Last: h.now, Verified: h.now, Proof: patching.ProofRestored,
	}}))
	for _, w := range h.waveList(s.ID, "early") {
		_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: contract.WaveInput{Cycle: s.ID, Ring: "early", Wave: w}})
		require.NoError(t, err)
	}
	require.Len(t, h.desk.drafts(trust.Apply), 1, "nothing is ordered of a machine that could not be restored")
	for i, n := range all {
		d := h.deployment(s.ID, n)
		if i == 0 {
			require.Equal(t, patching.DeploymentStaged, d.State)
			continue
		}
		require.Equal(t, []any{patching.Deferred, patching.ReasonNoBackup}, []any{d.Outcome, d.Reason})
		require.True(t, strings.HasPrefix(d.Detail, "the newest verified backup is of 9 Nov 2026"), d.Detail)
	}

	lacking, err := (&activities.Backing{Store: h.Store}).Lacking(h.ctx, h.now)
	require.NoError(t, err)
	require.Len(t, lacking, 19, "they are watched all month")
}

// A policy that does not ask for backups asks for nothing.
func TestWhereNoBackupIsRequiredNoneIsAskedFor(t *testing.T) {
	h := newHouse(t)
	h.enrol(20)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "test")
	lacking, err := (&activities.Backing{Store: h.Store}).Lacking(h.ctx, h.now)
	require.NoError(t, err)
	require.Empty(t, lacking)
}
