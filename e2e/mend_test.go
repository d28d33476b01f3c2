package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Machines of the test ring are left half installed by a postinst that never
// succeeds. Each gets one order to repair and one more try, and then a task.
// Serves Q4, Q8, G21.
func provesMending(t *testing.T, h *house) {
	var broken []truth.Machine
	s := h.newSite(t, "mend", truth.Profile{
		Machines: 14, Bad: []truth.Bad{{Package: "openssl", How: truth.PostinstFails, Rate: 0.4}},
	}, func(all []truth.Machine, r *rules) {
		sound := slices.DeleteFunc(slices.Clone(all), func(m truth.Machine) bool { return len(m.Breaks) > 0 })
		broken = slices.DeleteFunc(slices.Clone(all), func(m truth.Machine) bool { return len(m.Breaks) == 0 })
		broken = broken[:2]
		r.Test, r.TestCount = hosts(append(slices.Clone(broken), sound[:3]...)), 5
	})
	id := s.begin(t)
	c := h.finish(t, id)
	h.requireConserved(t, id, 14)
	machines := h.machines(t, id)
	for _, m := range broken {
		d := machines[m.Facts.Hostname]
		require.Equal(t, patching.NeedsHands, d.Outcome, d.Why)
		record, err := h.admin.Machine(t.Context(), id, d.Asset)
		require.NoError(t, err)
		ends := 0
		for _, r := range record.Receipts {
			if r.Stage.Terminal() {
				ends++
			}
		}
		require.GreaterOrEqual(t, ends, 3, "the first try, the repair, the second try")
	}
	trail, err := h.Store.Audit(t.Context(), 0, 10_000)
	require.NoError(t, err)
	tried := 0
	for _, e := range trail {
		if e.Verb == "try again" && strings.HasPrefix(e.Subject, string(id)) {
			tried++
			require.Contains(t, e.Body, "2 machines once more, within the window")
		}
	}
	require.Equal(t, 1, tried)
	require.NotEmpty(t, c.Diagnoses, "what they have in common was asked")
	require.Contains(t, c.Diagnoses[0].Words, "They are too few to have something in common")
	require.Contains(t, h.report(t, id), "2 machines once more, within the window")
	tasks, err := h.Store.Tasks(t.Context(), store.TaskFilter{Cycle: id})
	require.NoError(t, err)
	require.Len(t, tasks, 2)
	require.Contains(t, tasks[0].Tried, "It was tried once more.")
}
