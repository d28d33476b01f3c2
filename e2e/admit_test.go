package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Machines that are installed while a cycle waits for its approval. Serves U1, Q7.
func provesAdmission(t *testing.T, h *house) {
	s := h.newSite(t, "enters", truth.Profile{Machines: 12}, nil)
	id := s.begin(t)
	h.await(t, id, patching.PhaseApproval)
	before, err := h.admin.Plan(t.Context(), id, 0)
	require.NoError(t, err)
	was := map[patching.AssetID]bool{}
	for _, d := range s.machines(t, id) {
		was[d.Asset] = true
	}

	late := &site{house: h, name: s.name, dir: t.TempDir()}
	late.run(t, truth.Profile{Machines: 4, Seed: 1, Sites: []truth.Site{{Name: patching.SiteName(s.name), Zone: "Europe/Amsterdam"}}})
	s.awaitInventories(t, 16)
	page, err := h.admin.Assets(t.Context(), client.AssetQuery{Site: patching.SiteName(s.name), Limit: 1000})
	require.NoError(t, err)
	var act wire.Act
	for _, a := range page.Items {
		if !was[a.ID] {
			act.Assets = append(act.Assets, a.ID)
		}
	}
	require.Len(t, act.Assets, 4)
	act.Reason = "installed today"
	_, err = h.as(t, aud).Do(t.Context(), id, "admit", act, client.NewKey())
	requireCode(t, err, wire.CodeNotAllowed)
	answer, err := h.as(t, ana).Do(t.Context(), id, "admit", act, client.NewKey())
	require.NoError(t, err)
	require.Contains(t, answer.Words, "as ring added-1, after all others; people approve it before it begins.")
	t.Log(answer.Words)

	grown, err := h.admin.Plan(t.Context(), id, 0)
	require.NoError(t, err)
	require.NotEqual(t, before.Hash, grown.Hash)
	ring := grown.Rings[len(grown.Rings)-1]
	require.Equal(t, patching.RingName("added-1"), ring.Name)
	require.Equal(t, 4, ring.Machines)
	h.approve(t, id)
	h.await(t, id, patching.PhaseDeploy)
	h.await(t, id, patching.PhaseApproval)
	for _, asset := range act.Assets {
		d, err := h.admin.Machine(t.Context(), id, asset)
		require.NoError(t, err)
		require.Equal(t, patching.RingName("added-1"), d.Ring)
		require.Empty(t, d.Outcome, "before people have approved it")
	}
	for asset := range was {
		is, err := h.admin.Machine(t.Context(), id, asset)
		require.NoError(t, err)
		require.NotEmpty(t, is.Outcome, "they come after all others")
	}
	h.approve(t, id)
	c := h.await(t, id, patching.PhaseClosed)
	require.NotContains(t, c.Words, "halted")
	for _, asset := range act.Assets {
		d, err := h.admin.Machine(t.Context(), id, asset)
		require.NoError(t, err)
		require.Equal(t, patching.Patched, d.Outcome, d.Why)
	}
	s.requireNoRepeat(t)
	late.requireNoRepeat(t)
}
