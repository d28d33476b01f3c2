package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// The last ring meets patches that did no harm in the rings before: one whose
// postinst fails and goes on failing, and one that kills a service. Every bundle
// brings a new kernel. The whole ring goes back. Serves G8, G9, Q2, Q4, Q9.
func provesHalt(t *testing.T, h *house) {
	s := h.newSite(t, "halt", truth.Profile{
		Machines: 20, Bad: []truth.Bad{
			{Package: "openssl", How: truth.PostinstFails, Rate: 0.3}, {Package: "perl-base", How: truth.ServiceDies, Rate: 0.2},
		},
	}, func(all []truth.Machine, r *rules) {
		sound := slices.DeleteFunc(slices.Clone(all), func(m truth.Machine) bool { return len(m.Breaks) > 0 })
		r.Test, r.Early = hosts(sound), hosts(sound)
	})
	id := s.begin(t)
	h.await(t, id, patching.PhaseApproval)
	p, err := h.admin.Plan(t.Context(), id, 0)
	require.NoError(t, err)
	require.Zero(t, p.Outlook.WayBack.Stuck, "who approves reads that everything has a way back")
	require.Contains(t, p.Outlook.WayBack.Words, "What stays on a machine that has come to run it: linux-image-6.1.0-")

	c := h.finish(t, id)
	require.Equal(t, patching.ClosedBackedOut, c.ClosedAs, c.Words)
	require.Contains(t, c.Words, "ring broad was halted")
	h.requireConserved(t, id, 20)
	s.requireNoRepeat(t)
	half, err := sim.HalfDone(s.dir)
	require.NoError(t, err)
	require.Empty(t, half)

	went := s.requireWentBack(t, id)
	require.Positive(t, went.misfired, "machines were half configured")
	require.Positive(t, went.died, "machines had lost a service")
	require.Greater(t, went.kept, went.died, "machines were sound, and run the new kernel")
	report := h.report(t, id)
	require.Contains(t, report, "Still different from before on ")
	require.Contains(t, report, " is installed, because they run it.")

	decisions, err := h.admin.Decisions(t.Context(), id)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(decisions.Items, func(d wire.Decision) bool { return d.Verb == patching.Halt }))
}

// back counts machines that were rolled back: those on which a postinst had
// failed, those on which a service had died, and those that kept the kernel that
// they run.
type back struct{ misfired, died, kept int }

// requireWentBack checks every machine of the halted ring against its own package
// manager's log, and that the rings that passed their gates stayed.
func (s *site) requireWentBack(t *testing.T, id patching.CycleID) (went back) {
	t.Helper()
	logs, err := sim.Witnessed(s.dir)
	require.NoError(t, err)
	all := s.machines(t, id)
	stayed := 0
	for _, m := range s.fleet.Truth() {
		d := all[m.Facts.Hostname]
		switch {
		case d.Ring == "broad" && d.Outcome == patching.RolledBack:
			record, err := s.admin.Machine(t.Context(), id, d.Asset)
			require.NoError(t, err)
			events := logs[m.Index]
			kept := requireAsBefore(t, record, events)
			if slices.ContainsFunc(events, func(e sim.Event) bool { return e.Phase == sim.Misfired }) {
				went.misfired++
				require.False(t, kept, "%s never came to run its kernel", d.Hostname)
			} else if len(m.Breaks) > 0 {
				went.died++
			}
			if kept {
				went.kept++
			}
			require.Equal(t, patching.ReasonRolledBack, d.Reason, d.Hostname)
			require.True(t, d.Verified.After(d.Answered), "%s counts as rolled back by an inventory of before", d.Hostname)
		case d.Ring == "broad":
			require.Contains(t, []patching.Outcome{patching.AlreadyUpToDate, patching.Deferred}, d.Outcome, "%s was left in the halted ring: %s", d.Hostname, d.Why)
		case d.Outcome == patching.Patched:
			stayed++
		}
	}
	require.Positive(t, stayed, "rings that passed their gates stay")
	return went
}

// requireAsBefore checks that a machine's package manager left every package of
// its bundle as it was, but for a kernel that its receipt names; it reports
// whether there is one.
func requireAsBefore(t *testing.T, record wire.MachineRecord, events []sim.Event) (kept bool) {
	t.Helper()
	last := map[string]sim.Event{}
	for _, e := range events {
		last[e.Package] = e
	}
	i := slices.IndexFunc(record.Receipts, func(r wire.Receipt) bool { return r.Outcome == patching.RolledBack })
	require.GreaterOrEqual(t, i, 0, record.Hostname)
	said := record.Receipts[i]
	for _, step := range record.Steps {
		for _, p := range step.Patches {
			e, touched := last[p.Name]
			switch {
			case !touched || p.From == "" && e.Phase == sim.Removed:
			case p.From == "":
				require.Contains(t, said.Detail, p.Name+" stays installed", "%s: what still differs is in its receipt", record.Hostname)
				require.True(t, strings.HasPrefix(p.Name, "linux-image-"), "%s kept %s", record.Hostname, p.Name)
				require.Contains(t, record.Why, p.Name, "and on record")
				kept = true
			default:
				require.Equal(t, p.From+" configured", e.Version+" "+string(e.Phase), "%s of %s", p.Name, record.Hostname)
			}
		}
	}
	return kept
}
