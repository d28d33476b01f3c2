package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

const duePolicy = `
policy: servers
title: Servers of the tests
owner: it-operations
approver: change advisory board
valid_from: 2026-01-01
review_by: 2099-12-31
calendar: {nth: 2, weekday: tue, plus: 0, at: "12:00", zone: UTC}
close_after: 21d
sites:
  - {name: amsterdam, zone: Europe/Amsterdam, windows: [open]}
windows:
  - {name: open, rule: always}
rings:
  - {name: test, count: 1, soak: 1h, batch: 5, gate: {answered: 90, same: 1}}
  - {name: broad, soak: 1h, batch: 2, gate: {answered: 90, same: 1}}
approval: {quorum: 1, remind: 24h, escalate: 48h, expire: 96h}
on_halt: ring
silence: 30m
fresh: 2d
emergency: {soak: 10m, close_after: 2d, quorum: 1, expire: 6h, any_window: true}
`

// exposed has a policy with a machine that HOUSE-1 is about.
func (h *house) exposed() {
	t := h.t
	t.Helper()
	require.NoError(t, h.store.ApplyPolicy(t.Context(), store.PolicyVersion{Name: "servers", Source: []byte(duePolicy), Applied: noon, By: "ana"}))
	require.Contains(t, h.ok("urgency", "due", "servers"), "No feed names an advisory")
	set := patching.PackageSet{Manager: "apt", Packages: []patching.Package{{Name: "bash", Arch: "amd64", Version: "5.2.15-2"}}}
	offered := patching.CandidateSet{Manager: "apt", Candidates: []patching.Candidate{{Name: "bash", Arch: "amd64", From: "5.2.15-2", To: "5.3", Origin: "Debian", Security: true}}}
	for kind, text := range map[string][]byte{"package set": set.Canonical(), "candidate set": offered.Canonical()} {
		_, err := h.store.PutContents(t.Context(), kind, [][]byte{text})
		require.NoError(t, err)
	}
	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{
		ID: "web-1", Hostname: "web-1.example", Site: "amsterdam", OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12"},
		Manager: "apt", Packages: set.Digest(), Candidates: offered.Digest(),
	}))
}

// Serves G2, G4, U9.
func TestWhatWaitsToBeReviewedIsListedAndAnsweredInOneLine(t *testing.T) {
	h := newHouse(t)
	h.as("sam", patching.RoleSecurityLead)
	require.Contains(t, h.run("urgency", "review").errs, "Nothing waits to be reviewed.")
	h.exposed()
	out := h.ok("urgency", "review")
	require.Regexp(t, `HOUSE-1 +immediate .* 1 +servers +CVE-2099-0001\n`, out)
	require.Contains(t, out, "To answer: patchcycle urgency review ADVISORY --answer")
	require.NotContains(t, out, "looked at again")
	require.Equal(t, 1, decode[wire.Waiting](h, "urgency", "review").Advisories[0].Machines)
	require.Equal(t, ExitUsage, h.run("urgency", "review", "--answer", "now").code, "half an answer is none")

	h.ok("urgency", "review", "HOUSE-1", "--answer", "monthly", "--reason", "it is behind a wall", "--until", "2026-12-10")
	out = h.ok("urgency", "review")
	require.NotContains(t, out, "To answer", "it is decided")
	require.Regexp(t, `review-[0-9a-f]+ +HOUSE-1 +sam +ends soon +2026-12-10\n`, out)
	require.Empty(t, decode[wire.Waiting](h, "urgency", "review").Advisories)
}

// Serves G4, U9.
func TestWhatAPolicysMachinesMissIsShownWithTheEmergencyThatIsProposed(t *testing.T) {
	h := newHouse(t)
	h.exposed()
	out := h.ok("urgency", "due", "servers")
	require.Contains(t, out, "The next cycle of servers begins on 2026-12-08 13:00 CET.")
	require.Contains(t, out, "Note: The feed ours was never there.")
	require.Contains(t, out, "An emergency is proposed: 1 advisory cannot wait, on up to 1 machine. The first is HOUSE-1")
	require.Contains(t, out, `patchcycle emergency start servers house-1 --reason "HOUSE-1"`)
	require.Regexp(t, `HOUSE-1 +immediate .*CVE-2099-0001 +bash 5.3`, out)
	got := decode[wire.Urgency](h, "urgency", "due", "servers")
	require.Equal(t, 1, got.Remediation.Remedies[0].Late)

	r := h.run("urgency", "due", "servers", "--fail-on-proposal")
	require.Equal(t, ExitFailed, r.code)
	require.Equal(t, out, r.out)
	require.Equal(t, ExitNotFound, h.run("urgency", "due", "nobody").code)
	require.Equal(t, ExitUsage, h.run("urgency", "due").code)

	_, err := h.store.OpenCycle(t.Context(), patching.Cycle{ID: "cycle/servers/2026-11.1", Kind: patching.Monthly, Policy: "servers", Phase: patching.PhaseAssess, Opened: noon})
	require.NoError(t, err)
	r = h.run("urgency", "due", "servers", "--fail-on-proposal")
	require.Equal(t, ExitOK, r.code, r.errs)
	require.NotContains(t, r.out, "proposed")
	require.Contains(t, r.out, "Cycle cycle/servers/2026-11.1 runs")
}

func TestTheCommandThatCallsAnEmergencyCanBeCopiedWhateverAFeedNamesItsAdvisories(t *testing.T) {
	for id, want := range map[patching.AdvisoryID]string{
		"ALSA-2025:0288": `alsa-2025-0288 --reason "ALSA-2025:0288"`,
		"$(reboot)":      `reboot --reason "reboot"`,
		"`x`; \"rm\"":    `x-rm --reason "x-rm"`,
		"--shadow":       `shadow --reason "--shadow"`,
		"№":              `NAME --reason ""`,
		patching.AdvisoryID(strings.Repeat("a-", 60)): strings.TrimSuffix(strings.Repeat("a-", 32), "-") + ` --reason "` + strings.Repeat("a-", 60) + `"`,
	} {
		got := callEmergency("servers", []wire.Remedy{{Advisory: "DSA-1"}, {Advisory: id, Late: 1}})
		require.Equal(t, "patchcycle emergency start servers "+want, got, id)
	}
	require.Equal(t, "patchcycle emergency start servers NAME --reason WHY", callEmergency("servers", nil))
}
