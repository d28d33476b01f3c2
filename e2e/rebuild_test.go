package e2e_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// The engine's own state is thrown away twice, while the fleet lives on: when the
// cycle waits for its approval, and when machines are at work. Serves Q1, Q2, G9.
func TestACycleGoesOnInAnEngineThatWasRebuilt(t *testing.T) {
	const machines = 16
	h := newHouse(t, func(c *serve.Config) { c.UI = "" })
	s := h.newSite(t, "rebuilt", truth.Profile{Machines: machines}, func(_ []truth.Machine, r *rules) { r.Batch = 2 })
	_, err := h.as(t, ana).SetSchedule(t.Context(), s.policy(), wire.SetSchedule{})
	require.NoError(t, err)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)

	h.rebuild(t, 2)
	waits := h.await(t, id, patching.PhaseApproval)
	require.Equal(t, c.Plan, waits.Plan, "people were asked about this plan")
	kept, err := h.admin.Schedule(t.Context(), s.policy())
	require.NoError(t, err)
	require.NotEmpty(t, kept.Next)
	h.approve(t, id)

	var waiting []patching.OrderID // staged under the epoch that ends
	until(t, 40*time.Second, "a ring at work, with machines that have their instruction and no permit", func() bool {
		rows, err := h.Store.Deployments(t.Context(), store.DeploymentFilter{Cycle: id, States: []patching.DeploymentState{patching.DeploymentStaged}})
		require.NoError(t, err)
		waiting = nil
		for _, d := range rows {
			waiting = append(waiting, d.Order)
		}
		return len(waiting) >= 2
	})
	h.rebuild(t, 3)
	closed := h.await(t, id, patching.PhaseClosed)
	require.Equal(t, patching.ClosedSuccessful, closed.ClosedAs, closed.Words)
	require.Equal(t, waits.Plan, closed.Plan)
	h.requireConserved(t, id, machines)
	s.requireNoRepeat(t)
	old, err := h.Store.Orders(t.Context(), waiting)
	require.NoError(t, err)
	require.Len(t, old, len(waiting))
	for _, o := range old {
		require.True(t, o.Withdrawn || o.Final, "%s of an epoch before is still in force", o.ID)
	}
	votes, err := h.Store.Approvals(t.Context(), id)
	require.NoError(t, err)
	require.Len(t, votes, 1, "nobody was asked twice")
	audit, err := h.admin.Audit(t.Context(), 0, 1000)
	require.NoError(t, err)
	var epochs []string
	for _, e := range audit.Items {
		if e.Verb == "epoch" {
			epochs = append(epochs, e.Subject)
			require.Contains(t, e.Body, "its file was lost")
		}
	}
	require.Equal(t, []string{"2", "3"}, epochs)
	all, err := h.admin.Cycles(t.Context(), client.CycleQuery{})
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
}

// rebuild stops the server, rebuilds its engine and starts it again.
func (h *house) rebuild(t *testing.T, epoch int64) {
	t.Helper()
	h.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	words, err := serve.Rebuild(ctx, h.config, "its file was lost")
	require.NoError(t, err)
	require.Contains(t, words, "1 cycles go on")
	require.Contains(t, words, "The old state is in ")
	h.start(t)
	now, err := h.Store.Epoch(t.Context())
	require.NoError(t, err)
	require.Equal(t, epoch, now)
}
