package api_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/store"
)

// Serves Q5, Q8.
func TestACycleShowsWhatItsFailuresHaveInCommon(t *testing.T) {
	h := newHouse(t)
	h.policy()
	_, err := h.store.OpenCycle(t.Context(), patching.Cycle{ID: cycleID, Policy: "demo", Opened: noon, Phase: patching.PhaseDeploy})
	require.NoError(t, err)
	found := diagnose.Diagnosis{Tried: 100, Failed: 20, Rate: 0.01, Least: 3, Causes: []diagnose.Cause{{
		Kind: diagnose.KindRelay, Name: "r1", LaidTo: patching.CauseRelay, Inside: 20, InsideFailed: 20, Outside: 80, P: 1e-20,
	}}}
	require.NoError(t, h.store.PutDiagnosis(t.Context(), store.DiagnosisRow{Cycle: cycleID, Ring: "early", At: noon, Diagnosis: found}))
	require.NoError(t, h.store.PutDiagnosis(t.Context(), store.DiagnosisRow{Cycle: cycleID, Ring: "test", At: noon}))
	c, err := h.as("aud", "*", patching.RoleAuditor).Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	require.Len(t, c.Diagnoses, 1, "where nothing failed there is nothing to say")
	d := c.Diagnoses[0]
	require.Equal(t, []any{patching.RingName("early"), 20, 0.01}, []any{d.Ring, d.Failed, d.ErrorRate})
	require.Equal(t, []string{"next route", "wait", "task"}, d.Causes[0].Steps)
	require.Contains(t, d.Causes[0].Procedure, "Look after the relay r1")
	require.Contains(t, d.Words, "Of 20 machines behind the relay r1 20 failed, of the others 0 of 80")
}
