package storetest

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/store"
)

// Serves Q5, Q6, Q8.
func cells(t *testing.T, s *store.Store) {
	f := with(t, s, "cells")
	f.released(6)
	f.take(f.inventory(1, 1, func(a *patching.Asset) { a.Agent = "0.3.0" }), f.inventory(2, 1, func(a *patching.Asset) { a.Agent = "0.3.0" }))
	broken := f.finished("apply", 3, patching.Failed)
	broken.Signature, broken.Reason = "openssl: postinst", patching.ReasonInstallFailed
	f.take(f.report(1, 2, f.finished("apply", 1, patching.Patched)), f.report(2, 2, f.finished("apply", 2, patching.Patched)), f.report(3, 1, broken))
	require.Equal(t, 1, f.end(patching.Unreachable, patching.ReasonPathDown, 4))

	t.Run("machines that are alike in all that a failure could be laid to are one cell", func(t *testing.T) {
		got, err := f.Cells(f.ctx, store.Slice{Cycle: f.cycle(), Ring: "broad"})
		require.NoError(t, err)
		alike := diagnose.Cell{
			Site: "bern", Rule: "daily 22:00+4h Europe/Zurich", Ring: "broad", Bundle: f.digest("bundle"), Released: true, Machines: 1,
		}
		silent, failed, patched := alike, alike, alike
		silent.Outcome, silent.Reason = patching.Unreachable, patching.ReasonPathDown
		failed.Relay, failed.Answered, failed.Outcome, failed.Reason, failed.Signature = "r1", true, patching.Failed, patching.ReasonInstallFailed, "openssl: postinst"
		patched.Relay, patched.Agent, patched.OS, patched.Answered, patched.Outcome, patched.Machines = "r1", "0.3.0", "debian 12", true, patching.Patched, 2
		same(t, []diagnose.Cell{silent, failed, patched}, got)
	})
	t.Run("of a cycle that is not there nothing is counted", func(t *testing.T) {
		got, err := f.Cells(f.ctx, store.Slice{Cycle: "cycle/none/2026-01.1"})
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func diagnoses(t *testing.T, s *store.Store) {
	f := with(t, s, "diagnoses")
	f.open()
	none, err := f.Diagnoses(f.ctx, f.cycle())
	require.NoError(t, err)
	require.Empty(t, none)
	found := diagnose.Diagnosis{
		Tried: 100, Failed: 21, Rate: 0.01, Least: 3, Tested: 17,
		Causes: []diagnose.Cause{{
			Kind: diagnose.KindRelay, Name: "r1", Same: []diagnose.Group{{Kind: diagnose.KindSite, Name: "bern"}}, LaidTo: patching.CauseRelay,
			Inside: 20, InsideFailed: 20, Outside: 80, OutsideFailed: 1, P: 1e-20, Limit: 1e-3, Rate: 0.01,
		}},
		Single: []diagnose.Count{{Reason: patching.ReasonDisk, LaidTo: patching.CauseDevice, Machines: 1}},
	}
	want := []store.DiagnosisRow{{Cycle: f.cycle(), Ring: "broad", At: at(2), Diagnosis: found}, {Cycle: f.cycle(), At: at(3), Diagnosis: found}}
	require.NoError(t, f.PutDiagnosis(f.ctx, store.DiagnosisRow{Cycle: f.cycle(), Ring: "broad", At: at(1)}))
	for _, d := range want {
		require.NoError(t, f.PutDiagnosis(f.ctx, d))
	}
	got, err := f.Diagnoses(f.ctx, f.cycle())
	require.NoError(t, err)
	same(t, want, got)
}

// Serves Q4.
func tryingAgain(t *testing.T, s *store.Store) {
	f := with(t, s, "again")
	f.released(3)
	failed := f.finished("apply", 1, patching.NeedsHands)
	failed.Reason, failed.Detail, failed.Signature, failed.Repairs = patching.ReasonInstallFailed, "nginx is half installed", "nginx: postinst", 1
	f.take(f.report(1, 1, failed), f.report(2, 1, f.finished("apply", 2, patching.Patched)))
	first, err := f.ReserveSeq(f.ctx, 1)
	require.NoError(t, err)
	require.NoError(t, f.PutOrders(f.ctx, []store.OrderRow{{
		ID: f.order("again", 1), Device: f.device(1), Asset: f.asset(1), Cycle: f.cycle(), Ring: "broad", Wave: f.wave(),
		Verb: "apply", Seq: first, Envelope: []byte("sealed"), Issued: at(50), Expires: at(300),
	}}))
	orders := []store.StagedOrder{
		{Cycle: f.cycle(), Asset: f.asset(1), Order: f.order("again", 1)},
		{Cycle: f.cycle(), Asset: f.asset(2), Order: f.order("again", 2)},
		{Cycle: f.cycle(), Asset: f.asset(3), Order: f.order("again", 3)},
	}
	for _, round := range []string{"first", "repeated"} {
		require.NoError(t, f.TryAgain(f.ctx, orders, at(50)))
		require.Equal(t, []int{1, 0, 0}, []int{f.deployment(1).Again, f.deployment(2).Again, f.deployment(3).Again},
			"%s: what went well, and what has not ended, is left alone", round)
	}
	d := f.deployment(1)
	require.Equal(t, patching.DeploymentReleased, d.State)
	require.Equal(t, 1, d.Repairs, "what was tried before counts")
	require.Empty(t, d.Outcome)
	same(t, at(50), d.Released)
	require.Equal(t, 2, f.tally().Waiting(), "machine 1 is waited for again, as machine 3 is")
	require.Equal(t, 1, f.tally().Answered)

	f.take(f.report(1, 2, f.said("apply", 1, patching.StageFinished)))
	require.Equal(t, patching.DeploymentReleased, f.deployment(1).State, "the order that was replaced says nothing any more")
	row := f.finished("apply", 1, patching.AlreadyUpToDate)
	row.Order = f.order("again", 1)
	f.take(f.report(1, 3, row))
	d = f.deployment(1)
	require.Equal(t, patching.Patched, d.Outcome, "the first try, or its repair, had done it: an inventory has to show it")
	require.Equal(t, patching.ReasonVerified, d.Reason)
	require.NoError(t, f.TryAgain(f.ctx, orders, at(60)))
	require.Equal(t, patching.Patched, f.deployment(1).Outcome)
}
