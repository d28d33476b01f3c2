package e2e_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// A cycle that nobody approves before its date closes, with what is left named;
// the next one takes those machines before all others. Its test ring is done with
// by then: of the remainder some go first, as a test. Serves G5, Q1.
func provesCloseBy(t *testing.T, h *house) {
	const machines = 14
	s := h.newSite(t, "closeby", truth.Profile{Machines: machines}, func(all []truth.Machine, r *rules) {
		r.CloseAfter, r.EarlyCount = "1m", 3
		r.Test, r.TestCount = hosts(all[:3]), 3
	})
	first := h.await(t, s.begin(t), patching.PhaseClosed)
	require.Equal(t, patching.ClosedWithExceptions, first.ClosedAs, first.Words)
	require.Contains(t, first.Words, "closing date")
	h.requireConserved(t, first.ID, machines)
	var left []string
	for host, d := range h.machines(t, first.ID) {
		if d.Outcome == patching.Deferred {
			require.Equal(t, patching.ReasonCarriedOver, d.Reason, host)
			left = append(left, host)
		}
	}
	require.NotEmpty(t, left)
	report := h.report(t, first.ID)
	for _, host := range left {
		require.Contains(t, report, host, "the report does not name it")
	}

	s.rules.CloseAfter = "2h"
	s.apply(t)
	second := s.begin(t)
	require.NotEqual(t, first.ID, second)
	plan := h.approveStandIns(t, second)
	require.Equal(t, "its 3 machines are already up to date; 3 machines of ring early stand in", plan.Rings[0].StandIns)
	c := h.finish(t, second)
	require.Equal(t, patching.ClosedSuccessful, c.ClosedAs, c.Words)
	h.requireConserved(t, second, machines)
	var done []string
	for host, d := range h.machines(t, second) {
		if d.Ring != "" {
			done = append(done, host)
			require.Equal(t, patching.Patched, d.Outcome, host)
		}
	}
	slices.Sort(left)
	slices.Sort(done)
	require.Equal(t, left, done)
	s.requireNoRepeat(t)
}
