package e2e_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// A monthly cycle waits for its approval when an emergency is called. Two of its
// machines have a start permit and no answer yet: they are dead, which nobody
// can know. The test ring is up to date or busy, so others test in its place, once
// somebody has agreed to them. Serves G5, G10, U4.
func provesEmergency(t *testing.T, h *house) {
	const machines = 16
	s := h.newSite(t, "emergency", truth.Profile{Machines: machines, Dead: 2}, func(all []truth.Machine, r *rules) {
		var first []truth.Machine // the dead ones are in the ring that has run
		for _, m := range all {
			if m.Trouble.Dead || len(first) < 4 {
				first = append(first, m)
			}
		}
		r.Test, r.TestCount = hosts(first), len(first)
	})
	monthly := s.begin(t)
	h.await(t, monthly, patching.PhaseApproval)
	before := h.machines(t, monthly)
	planned, told := map[string]bool{}, map[string]bool{}
	for host, d := range before {
		if d.State == patching.DeploymentPlanned {
			planned[host] = true
		}
		if !d.Released.IsZero() && d.Answered.IsZero() {
			told[host] = true
		}
	}
	require.NotEmpty(t, planned)
	require.NotEmpty(t, told)

	call := wire.StartEmergency{Slug: "openssl-cve-2026-1", Reason: "it is being exploited"}
	_, err := h.as(t, aud).StartEmergency(t.Context(), s.policy(), call, client.NewKey())
	requireCode(t, err, wire.CodeNotAllowed)
	started, err := h.as(t, ana).StartEmergency(t.Context(), s.policy(), call, client.NewKey())
	require.NoError(t, err)
	emergency := started.Cycle
	require.Equal(t, patching.CycleID("emergency/emergency/openssl-cve-2026-1"), emergency)
	plan := h.approveStandIns(t, emergency)
	require.Contains(t, plan.Rings[0].StandIns, fmt.Sprintf("%d are busy in %s", len(told), monthly))
	require.Contains(t, plan.Rings[0].StandIns, "machines of ring early stand in")
	e := h.finish(t, emergency)
	require.Equal(t, patching.Emergency, e.Kind)
	require.Equal(t, "it is being exploited", e.Reason)

	c := h.finish(t, monthly)
	require.Equal(t, patching.ClosedWithExceptions, c.ClosedAs)
	h.requireConserved(t, monthly, machines)
	h.requireConserved(t, emergency, machines)
	s.requireNoRepeat(t)
	there := h.machines(t, emergency)
	for host, d := range h.machines(t, monthly) {
		switch {
		case planned[host]:
			require.Equal(t, patching.ReasonTakenOver, d.Reason, host)
			require.Contains(t, d.Why, string(emergency), host)
			require.Equal(t, patching.Patched, there[host].Outcome, "%s: %s", host, there[host].Why)
		case told[host]:
			require.Equal(t, patching.ReasonBusyElsewhere, there[host].Reason, host)
			require.Contains(t, there[host].Why, string(monthly), host)
		default:
			require.NotEqual(t, patching.ReasonTakenOver, d.Reason, host)
		}
	}
	report := h.report(t, monthly)
	require.Contains(t, report, patching.ReasonTakenOver.Words())
	report = h.report(t, emergency)
	require.Contains(t, report, patching.ReasonBusyElsewhere.Words())
	require.Contains(t, report, call.Reason)
	require.Contains(t, report, plan.Rings[0].StandIns)
	for host := range told {
		require.Contains(t, report, host, "a busy machine is named in the emergency's report")
	}
}
