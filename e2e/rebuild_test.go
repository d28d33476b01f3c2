package e2e_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
)

// The engine's own state is thrown away twice, while the fleet lives on: when the
// cycle waits for its approval, and when machines are at work: they drop what the
// lost engine told them and they have not begun. Serves Q1, Q2, G9.
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

	var waiting map[patching.OrderID]patching.AssetID // held under the epoch that ends
	until(t, 40*time.Second, "a ring at work, with machines that hold their instruction and have no permit", func() bool {
		waiting = h.held(t, id)
		return len(waiting) >= 2
	})
	h.rebuild(t, 3)
	closed := h.await(t, id, patching.PhaseClosed)
	require.Equal(t, patching.ClosedSuccessful, closed.ClosedAs, closed.Words)
	require.Equal(t, waits.Plan, closed.Plan)
	h.requireConserved(t, id, machines)
	s.requireNoRepeat(t)
	h.requireDropped(t, s, id, waiting)
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

// held are the orders that machines have taken in hand and have no start permit
// for.
func (h *house) held(t *testing.T, id patching.CycleID) map[patching.OrderID]patching.AssetID {
	t.Helper()
	rows, err := h.Store.Deployments(t.Context(), store.DeploymentFilter{Cycle: id, States: []patching.DeploymentState{patching.DeploymentStaged}})
	require.NoError(t, err)
	assets := map[patching.OrderID]patching.AssetID{}
	for _, d := range rows {
		assets[d.Order] = d.Asset
	}
	orders, err := h.Store.Orders(t.Context(), slices.Collect(maps.Keys(assets)))
	require.NoError(t, err)
	held := map[patching.OrderID]patching.AssetID{}
	for _, o := range orders {
		if o.Stage == patching.StageAccepted || o.Stage == patching.StageFetched {
			held[o.ID] = assets[o.ID]
		}
	}
	return held
}

// requireDropped checks that machines dropped the orders of an epoch that has
// ended, unless they had begun them, and did the work under those of the next.
func (h *house) requireDropped(t *testing.T, s *site, id patching.CycleID, held map[patching.OrderID]patching.AssetID) {
	t.Helper()
	did, err := sim.Orders(s.dir)
	require.NoError(t, err)
	old, err := h.Store.Orders(t.Context(), slices.Collect(maps.Keys(held)))
	require.NoError(t, err)
	require.Len(t, old, len(held))
	dropped := 0
	for _, o := range old {
		if o.Final {
			continue // it got its permit before its engine was lost
		}
		dropped++
		require.True(t, o.Withdrawn, "%s of an epoch before is still in force", o.ID)
		require.Zero(t, did[o.ID], "a machine carried out what an epoch before told it")
		d, err := h.Store.Deployment(t.Context(), id, held[o.ID])
		require.NoError(t, err)
		require.NotEqual(t, o.ID, d.Order)
		require.Equal(t, patching.Patched, d.Outcome)
		require.Positive(t, did[d.Order], "the machine's own log names the instruction that it carried out")
		now, err := h.Store.Orders(t.Context(), []patching.OrderID{d.Order})
		require.NoError(t, err)
		require.Less(t, epochOf(t, o.Envelope), epochOf(t, now[0].Envelope))
	}
	require.Positive(t, dropped, "all had begun before the engine was lost: this run shows nothing")
}

func epochOf(t *testing.T, envelope []byte) int64 {
	t.Helper()
	var sealed struct{ Payload []byte }
	require.NoError(t, json.Unmarshal(envelope, &sealed))
	var order trust.Order
	require.NoError(t, trust.Decode(sealed.Payload, &order))
	return order.Epoch
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
