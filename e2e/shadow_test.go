package e2e_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Everything is planned, rehearsed and judged, nothing is installed and nobody is
// asked. Serves G14, U3.
func provesShadow(t *testing.T, h *house) {
	s := h.newSite(t, "shadow", truth.Profile{Machines: 12}, nil)
	started, err := h.as(t, ana).StartCycle(t.Context(), s.policy(), wire.StartCycle{Shadow: true}, client.NewKey())
	require.NoError(t, err)
	c := h.await(t, started.Cycle, patching.PhaseClosed)
	require.Equal(t, patching.ClosedSuccessful, c.ClosedAs, c.Words)
	require.True(t, c.Shadow)
	h.requireConserved(t, c.ID, 12)
	require.Zero(t, c.Outcomes[patching.Patched])
	require.Positive(t, c.Outcomes[patching.Deferred])
	for host, d := range h.machines(t, c.ID) {
		if d.Ring != "" {
			require.Equal(t, patching.ReasonShadow, d.Reason, host)
			require.Zero(t, d.Released, host)
		}
	}
	s.requireNoWitness(t)
	plan, err := h.admin.Plan(t.Context(), c.ID, 0)
	require.NoError(t, err)
	rehearsed := plan.Outlook.Rehearsal
	require.NotNil(t, rehearsed, "machines say what the plan would change, and nothing was")
	require.Positive(t, rehearsed.AsPlanned, rehearsed.Words)
	require.Empty(t, rehearsed.Otherwise, rehearsed.Words)
	require.Equal(t, 2, plan.Revision, "the plan after the test ring says it too")
	require.Contains(t, h.report(t, c.ID), "hadow")

	// The same machines are patched by the next cycle, which is none.
	h.finish(t, s.begin(t))
	require.Positive(t, s.installed(t), "the witness would have seen it")
}

// requireNoWitness checks that no package manager has written a line.
func (s *site) requireNoWitness(t *testing.T) {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(s.dir, "machines", "*", "witness.log"))
	require.NoError(t, err)
	for _, log := range logs {
		info, err := os.Stat(log)
		require.NoError(t, err)
		require.Zero(t, info.Size(), log)
	}
}
