package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves U1, U4, U5, G6.
func provesSignals(t *testing.T, h *house) {
	s := h.newSite(t, "signals", truth.Profile{Machines: 10}, nil)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	act := contract.Act{Plan: c.Plan, Reason: "looks good"}

	requireRefused(t, h.signal(t, aud, id, "approve", act), "aud")
	requireRefused(t, h.signal(t, ben, id, "control", contract.Control{Stop: true}), "these are")
	require.NoError(t, h.Engine.Client().SignalWorkflow(t.Context(), string(id), "", "approve", act), "the product's own token")
	h.awaitNote(t, id, "approve by an unknown sender does not count")
	require.NoError(t, h.signal(t, ben, id, "approve", "not an object"))
	h.awaitNote(t, id, "could not be read")
	require.NoError(t, h.signal(t, ben, id, "approve", contract.Act{Plan: patching.DigestOf([]byte("another"))}))
	h.awaitNote(t, id, "was not taken")
	require.NoError(t, h.signal(t, amy, id, "approve", contract.Act{}))
	h.awaitNote(t, id, "named no plan")
	stands, err := h.admin.Cycle(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, patching.PhaseApproval, stands.Phase)
	require.Zero(t, stands.Votes)

	require.NoError(t, h.signal(t, ben, id, "approve", act))
	h.await(t, id, patching.PhaseClosed)
	votes, err := h.Store.Approvals(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, votes, 1, "%+v", votes)
	require.Equal(t, ben, votes[0].Account)
	require.Equal(t, "signal", votes[0].Via)
	require.Empty(t, votes[0].Refused)
	require.WithinDuration(t, time.Now(), votes[0].At, 5*time.Minute)
	h.requireConserved(t, id, 10)
}

// awaitNote waits for an answer on the cycle's page.
func (h *house) awaitNote(t *testing.T, id patching.CycleID, words string) {
	t.Helper()
	until(t, 20*time.Second, "the answer "+words, func() bool {
		state, err := h.Starter.State(t.Context(), id)
		require.NoError(t, err)
		for _, n := range state.Notes {
			if strings.Contains(n, words) {
				return true
			}
		}
		return false
	})
}
