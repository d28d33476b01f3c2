package e2e_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// One server, many sites: what follows runs at the same time and shares no
// machine. It mostly waits, so all of it is begun at once, whatever the number of
// processors.
func TestCyclesOnOneServer(t *testing.T) {
	h := newHouse(t)
	var running sync.WaitGroup
	defer running.Wait()
	for name, proves := range map[string]func(*testing.T, *house){
		"a cycle goes from monitoring to the report":                     provesWholeCycle,
		"a signal counts by whom Temporal's server stamped":              provesSignals,
		"a bad patch in a later ring halts the cycle and is rolled back": provesHalt,
		"a schedule starts the month's cycle once":                       provesSchedule,
		"an emergency takes over what has no start permit":               provesEmergency,
		"who enters a running cycle is asked about alone":                provesAdmission,
		"shadow mode installs nothing":                                   provesShadow,
		"what is left half installed is repaired and tried once more":    provesMending,
		"at its date a cycle closes and the next takes up what it left":  provesCloseBy,
		"a broken policy changes nothing":                                provesBrokenPolicy,
		"the pages say in words where a cycle stands":                    provesPages,
	} {
		running.Go(func() { t.Run(name, func(t *testing.T) { proves(t, h) }) })
	}
}

// Serves G5, G6, G8, Q1, Q2, U3, U4, U5.
func provesWholeCycle(t *testing.T, h *house) {
	s := h.newSite(t, "whole", truth.Profile{Machines: 16, Dead: 1, ClockOff: 1, ObserveOnly: 1}, nil)
	started, err := h.as(t, amy).StartCycle(t.Context(), s.policy(), wire.StartCycle{}, client.NewKey())
	require.NoError(t, err)
	id := started.Cycle
	c := h.await(t, id, patching.PhaseApproval)
	require.Contains(t, c.Words, "An approver has to act")
	require.Zero(t, c.Votes)

	act := wire.Act{Plan: c.Plan, Reason: "looks good"}
	_, err = h.as(t, amy).Do(t.Context(), id, "approve", act, client.NewKey())
	require.ErrorContains(t, err, "the author of a cycle cannot approve it")
	_, err = h.as(t, aud).Do(t.Context(), id, "approve", act, client.NewKey())
	requireCode(t, err, wire.CodeNotAllowed)
	_, err = h.as(t, ana).Do(t.Context(), id, "approve", act, client.NewKey())
	requireCode(t, err, wire.CodeNotAllowed)
	_, err = h.as(t, ben).Do(t.Context(), id, "approve", wire.Act{Plan: patching.DigestOf([]byte("another"))}, client.NewKey())
	requireCode(t, err, wire.CodeConflict)

	key := client.NewKey()
	answer, err := h.as(t, ben).Do(t.Context(), id, "approve", act, key)
	require.NoError(t, err)
	require.Contains(t, answer.Words, "Approved by ben")
	again, err := h.as(t, ben).Do(t.Context(), id, "approve", act, key)
	require.NoError(t, err, "the same act again")
	require.Equal(t, answer.Request, again.Request)

	c = h.await(t, id, patching.PhaseClosed)
	h.requireConserved(t, id, 16)
	s.requireNoRepeat(t)
	require.Positive(t, s.installed(t))
	require.Equal(t, patching.ClosedWithExceptions, c.ClosedAs, "a machine is dead: %s", c.Words)
	require.Equal(t, 2, c.Outcomes[patching.Unreachable]+c.Outcomes[patching.Deferred], "%v", c.Outcomes)
	require.Positive(t, c.Outcomes[patching.Patched])
	machines := h.machines(t, id)
	for _, m := range s.fleet.Truth() {
		if m.Trouble.Clock != 0 {
			d := machines[m.Facts.Hostname]
			require.Equal(t, patching.ReasonClockOff, d.Reason, "%s: %s", d.Outcome, d.Why)
			require.Equal(t, patching.Deferred, d.Outcome)
			require.Contains(t, d.Why, "about 3 days behind")
		}
	}
	for host, d := range machines {
		if d.Outcome == patching.Patched {
			require.False(t, d.Verified.Before(d.Answered), "%s counts as patched by an inventory of before", host)
		}
	}
	votes, err := h.admin.Approvals(t.Context(), id)
	require.NoError(t, err)
	counted := 0
	for _, v := range votes.Items {
		if v.Counts {
			counted++
			require.Equal(t, ben, v.Account)
			require.Equal(t, "api", v.Via)
			require.Equal(t, c.Plan, v.Plan)
		} else {
			require.NotEmpty(t, v.Refused)
		}
	}
	require.Equal(t, 1, counted, "%+v", votes.Items)
	require.Contains(t, h.report(t, id), string(id))
	check, err := h.admin.VerifyAudit(t.Context())
	require.NoError(t, err)
	require.True(t, check.OK, check.Words)
}

// replaced is the site's policy with something else in one place.
func replaced(t *testing.T, s *site, old, by string) string {
	t.Helper()
	text := string(s.text(t))
	require.Contains(t, text, old)
	return strings.Replace(text, old, by, 1)
}

func requireCode(t *testing.T, err error, code wire.Code) {
	t.Helper()
	var p *wire.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, code, p.Code, "%s", p.Detail)
}

// Serves G3: what is in force stays until something better is.
func provesBrokenPolicy(t *testing.T, h *house) {
	s := h.newSite(t, "broken", truth.Profile{Machines: 4}, nil)
	before, err := h.admin.Policy(t.Context(), s.policy(), "")
	require.NoError(t, err)
	for what, text := range map[string]string{
		"wrong key":     string(s.text(t)) + "\nringz: 3\n",
		"unquoted time": replaced(t, s, `at: "09:00"`, `at: 09:00`),
		"unknown zone":  replaced(t, s, `zone: Europe/Amsterdam`, `zone: Europe/Amsterdamm`),
		"two rings":     replaced(t, s, `name: early`, `name: test`),
		"no YAML":       "policy: [",
		"alias bomb":    "a: &a [x,x]\nb: &b [*a,*a,*a]\nc: [*b,*b,*b]\n" + string(s.text(t)),
	} {
		_, err := h.as(t, ana).ApplyPolicy(t.Context(), s.policy(), "broken.yaml", []byte(text), true)
		requireCode(t, err, wire.CodeBadPolicy)
		var p *wire.Problem
		require.ErrorAs(t, err, &p)
		require.NotEmpty(t, p.Policy, what)
		require.Positive(t, p.Policy[0].Line, what)
		require.NotEmpty(t, p.Policy[0].Way, what)
		after, err := h.admin.Policy(t.Context(), s.policy(), "")
		require.NoError(t, err)
		require.Equal(t, before, after, what)
	}
	c := h.await(t, s.begin(t), patching.PhaseClosed) // four machines: all of them are in the test ring
	require.Equal(t, before.Version, c.PolicyVersion)
}

// A cycle is taken up by the next start of the server where the last one left
// it, by the same people.
func TestACycleOutlivesItsServer(t *testing.T) {
	h := newHouse(t, func(c *serve.Config) { c.UI = "" })
	s := h.newSite(t, "restart", truth.Profile{Machines: 10}, nil)
	id := s.begin(t)
	c := h.await(t, id, patching.PhaseApproval)
	began := time.Now()
	h.Stop()
	h.start(t)
	require.Less(t, time.Since(began), time.Minute)
	after := h.await(t, id, patching.PhaseApproval)
	require.Equal(t, c.Plan, after.Plan)
	h.finish(t, id)
	h.requireConserved(t, id, 10)
	s.requireNoRepeat(t)
}
