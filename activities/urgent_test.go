package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

func (h *house) urgent() *activities.Urgent {
	return &activities.Urgent{Store: h.Store, Remedying: h.remedying}
}

// Serves G2, G4, U9.
func TestWhatAMachineMissesIsJudgedByThePoliciesThatSelectIt(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1", "postgresql-15": "DSA-2"})
	a, err := h.Asset(h.ctx, asset(3))
	require.NoError(t, err)
	sheet, feeds, err := h.urgent().Findings(h.ctx, a)
	require.NoError(t, err)
	require.Len(t, feeds, 1)
	var ids []patching.AdvisoryID
	for _, row := range sheet.Findings {
		ids = append(ids, row.Advisories...)
		for _, d := range row.Deadlines {
			require.Equal(t, "ssvc-deployer", d.Regime)
		}
	}
	require.ElementsMatch(t, []patching.AdvisoryID{"DSA-1", "DSA-2"}, ids)
	web, err := h.Asset(h.ctx, asset(1))
	require.NoError(t, err)
	sheet, _, err = h.urgent().Findings(h.ctx, web)
	require.NoError(t, err)
	for _, row := range sheet.Findings {
		require.NotContains(t, row.Advisories, patching.AdvisoryID("DSA-2"), "a web server has no database")
	}
}

// Serves G4, G11: the next monthly cycle is in four weeks.
func TestWhatTheComingCycleCertainlyMissesProposesAnEmergency(t *testing.T) {
	h := newHouse(t)
	h.now = time.Date(2026, 11, 10, 13, 0, 0, 0, time.UTC)
	h.applyPolicy(servers + "urgency: {regimes: [cyber-essentials]}\n")
	h.enrol(12)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	r, next, running, err := h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, time.Date(2026, 12, 8, 12, 0, 0, 0, time.UTC), next)
	require.Empty(t, running)
	require.Contains(t, r.Proposes(), "1 advisory cannot wait, on up to 12 machines. The first is DSA-1")
	require.Equal(t, 12, r.Remedies[0].Clears)

	s := h.begin(monthly, patching.Monthly)
	r, _, running, err = h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, s.ID, running)
	require.Empty(t, r.Proposes(), "a cycle is at it")
	h.applyPolicy(servers) // by lanes that have no date
	r, _, _, err = h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, urgency.Immediate, r.Remedies[0].Deadline.Lane)
	require.Empty(t, r.Proposes())

	_, _, _, err = h.urgent().Coming(h.ctx, "nobody")
	require.ErrorIs(t, err, store.ErrNotFound)
}
