package activities_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// rehearsal is what a workflow asks with for the plan that counts.
func (h *house) rehearsal(s contract.CycleState) contract.RehearseIn {
	return contract.RehearseIn{Cycle: s.ID, Plan: s.Plan.Hash, Revision: s.Plan.Revision, Until: h.now.Add(5 * time.Minute)}
}

func (h *house) rehearse(s contract.CycleState) contract.Asked {
	h.t.Helper()
	out, err := h.campaigns.Rehearse(h.ctx, h.rehearsal(s))
	require.NoError(h.t, err)
	return out
}

// noteRehearsal returns what is told of it, once it stands beside the plan.
func (h *house) noteRehearsal(s contract.CycleState) string {
	h.t.Helper()
	out, err := h.campaigns.NoteRehearsal(h.ctx, h.rehearsal(s))
	require.NoError(h.t, err)
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(h.t, err)
	require.Equal(h.t, out.Words, looks[s.Plan.Hash].Rehearsal.Words())
	require.NotEmpty(h.t, looks[s.Plan.Hash].Forecast.Words(), "the rest of the outlook stays")
	return out.Words
}

// Serves G14, Q1.
func TestAPlanIsRehearsedOnOneMachineOfEachKindAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host004"`) // web servers
	h.enrol(12)
	h.now = h.now.Add(time.Minute)
	h.report(9, nil) // a database that was heard last
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	require.Equal(t, contract.Asked{Asked: 2}, h.rehearse(s))
	asked := h.desk.drafts(trust.Simulate)
	require.Len(t, asked, 2)
	for _, n := range []int{1, 9} {
		o := asked[asset(n)]
		require.Equal(t, h.deployment(s.ID, n).Bundle, o.Bundle, "host %d", n)
		require.Equal(t, device(n), o.Device)
		require.Empty(t, o.WindowRule, "it disturbs nobody")
	}
	require.Empty(t, h.desk.permitted)

	h.finished(asked[asset(1)].ID, 1, patching.Receipt{Detail: "would change 7 packages"})
	h.finished(asked[asset(9)].ID, 9, patching.Receipt{
		Outcome: patching.Deferred, Reason: patching.ReasonPlanStale, Detail: "It would also change: install libevil 1",
	})
	await := contract.AwaitOrdersIn{Cycle: s.ID, Verb: "simulate", Revision: 1, Until: h.now.Add(time.Hour)}
	got, err := h.campaigns.Await(h.ctx, await)
	require.NoError(t, err)
	require.Equal(t, contract.Asked{Asked: 2, Answered: 2}, got)
	const words = "Rehearsed on 2 machines, one of each kind: 1 as planned. On host009, for 4 machines of its kind: It would also change: install libevil 1."
	for range 2 {
		require.Equal(t, words, h.noteRehearsal(s))
	}
	for n := 1; n <= 12; n++ {
		require.Equal(t, patching.DeploymentPlanned, h.deployment(s.ID, n).State, "host %d", n)
	}
}

// An activity may run twice, and another machine may be the better one by then.
func TestARehearsalThatIsRepeatedAsksNobodyElse(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.desk.broken = store.ErrNotFound
	_, err := h.campaigns.Rehearse(h.ctx, h.rehearsal(s))
	require.Error(t, err)
	h.desk.broken = nil
	first := h.rehearse(s)
	h.now = h.now.Add(time.Minute)
	for n := 1; n <= 12; n++ {
		h.report(n, nil)
	}
	require.Equal(t, first, h.rehearse(s))
	issued, _, err := h.OrderCounts(h.ctx, store.Slice{Cycle: s.ID}, string(trust.Simulate))
	require.NoError(t, err)
	require.Equal(t, 2, issued)
}

// A plan that was sent back before anything was touched is built and rehearsed
// anew: what was answered to the one before stays with that one.
func TestEachPlanThatIsBuiltIsRehearsedByOrdersOfItsOwn(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.rehearse(s)
	h.desk.issued = slices.DeleteFunc(h.desk.issued, func(d trust.Draft) bool { return d.Verb != trust.Simulate })
	for _, o := range h.desk.issued {
		h.finished(o.ID, number(t, o.Asset), patching.Receipt{})
	}
	first := h.noteRehearsal(s)
	require.Equal(t, "Rehearsed on 2 machines, one of each kind: all as planned.", first)
	h.now = h.now.Add(time.Hour)
	require.Empty(t, h.plan(&s).Rehearsal)
	require.Equal(t, contract.Asked{Asked: 2}, h.rehearse(s))
	require.Len(t, h.desk.issued, 4)
	require.NotEqual(t, h.desk.issued[0].ID, h.desk.issued[2].ID)
	require.Equal(t, "Rehearsed on none of 2 kinds: nobody answered.", h.noteRehearsal(s))
}

// Serves G14, Q4: people approve the plan after the test ring, and read there what
// was rehearsed before it. What lost a patch is rehearsed as it is now.
func TestAPlanThatShrinksKeepsWhatWasRehearsedAndRehearsesTheRest(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host004"`)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.rehearse(s)
	for _, o := range h.desk.drafts(trust.Simulate) {
		h.finished(o.ID, number(t, o.Asset), patching.Receipt{})
	}
	all := h.noteRehearsal(s)
	h.release(s, "test")
	tested := h.ring(s.ID, "test")
	for _, n := range tested {
		h.ended(s.ID, n, patching.Patched, patching.ReasonVerified, "")
	}
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	require.Equal(t, all, h.plan(&s).Rehearsal, "nothing failed, so nothing is new")
	require.Zero(t, h.rehearse(s).Asked)
	require.Equal(t, all, h.noteRehearsal(s))

	// The same test, but a package of the web servers fails that databases have not.
	other := map[string]bool{}
	for _, p := range h.patches(s.ID, 3) {
		other[p.Name] = true
	}
	var bad string
	for _, p := range h.patches(s.ID, tested[0]) {
		if !other[p.Name] {
			bad = p.Name
		}
	}
	require.NotEmpty(t, bad, "web servers and databases get the same")
	h.release(s, "early")
	for _, n := range h.ring(s.ID, "early") {
		h.ended(s.ID, n, patching.Failed, patching.ReasonInstallFailed, bad+": postinst")
	}
	s.Rings = append(s.Rings, contract.RingState{Name: "early", Ended: true})
	h.plan(&s)
	shrunk := h.rehearse(s)
	require.Equal(t, 1, shrunk.Asked, "web servers, without what failed")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	open := looks[s.Plan.Hash].Rehearsal.Open()
	require.Len(t, open, 1)
	require.Equal(t, h.deployment(s.ID, number(t, open[0].Asset)).Bundle, open[0].Bundle)
	require.Contains(t, h.ring(s.ID, "broad"), number(t, open[0].Asset), "others have been patched")
	require.Equal(t, "Rehearsed on 2 machines, for 2 of 3 kinds: all as planned. Of 1 kind nobody answered.", h.noteRehearsal(s))
}

func TestNobodyIsAskedToRehearseWhoseRulesDoNotAllowIt(t *testing.T) {
	h := newHouse(t)
	h.allowed = []string{"collect", "apply", "revert", "clean"}
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	require.Zero(t, h.rehearse(s).Asked)
	require.Empty(t, h.desk.issued)
	require.Equal(t, "Rehearsed on none of 2 kinds: no machine lets itself be asked.", h.noteRehearsal(s))
}

func TestAPlanThatNobodyKeptIsNotRehearsed(t *testing.T) {
	h := newHouse(t)
	s := h.begin(monthly, patching.Monthly)
	s.Plan.Hash = "sha256:1"
	_, err := h.campaigns.Rehearse(h.ctx, h.rehearsal(s))
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = h.campaigns.NoteRehearsal(h.ctx, h.rehearsal(s))
	require.ErrorIs(t, err, store.ErrNotFound)
}
