package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// admit brings machines of those numbers in, and takes the plan over.
func (h *house) admit(s *contract.CycleState, numbers ...int) contract.AdmitOut {
	h.t.Helper()
	in := contract.AdmitIn{State: *s, By: "olga", Why: "installed last night"}
	for _, n := range numbers {
		in.Assets = append(in.Assets, asset(n))
	}
	out, err := h.planning.Admit(h.ctx, in)
	require.NoError(h.t, err)
	if out.Admitted > 0 {
		s.Admit(out.Plan, in.By)
	}
	return out
}

// Serves Q15, U1: a supplementary grant over the difference only. What was signed before
// holds, and covers nobody who came in later.
func TestMachinesThatComeInAreSignedForAlone(t *testing.T) {
	h := newSignatories(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	for _, who := range []patching.AccountName{"ben", "cy"} {
		require.Empty(t, h.vote(s, who).Refused)
	}
	s.Cleared = []patching.RingName{"early"}
	before := s.Plan

	h.arrive(13, 15)
	out := h.admit(&s, 13, 14, 15)
	require.Equal(t, 3, out.Admitted)
	require.Equal(t, before.Revision+1, s.Plan.Revision)
	require.True(t, s.Plan.Signed)
	last := s.Plan.Rings[len(s.Plan.Rings)-1]
	require.Equal(t, patching.RingName("added-1"), last.Name)
	require.True(t, last.Approve)
	require.Equal(t, before.Rings, s.Plan.Rings[:len(before.Rings)], "nothing else has changed")
	require.Equal(t, []patching.AccountName{"olga"}, s.Admitted)

	h.release(s, "broad")
	h.release(s, "added-1")
	for _, d := range h.desk.drafts(trust.Apply) {
		if d.Ring == "broad" {
			require.NoError(t, h.taken(d), "what was signed for the plan before holds")
		} else {
			require.Nil(t, d.Warrant, "nobody has signed for who came in")
		}
	}
	lapsed, err := h.people.CheckGrants(h.ctx, contract.CheckGrantsIn{Cycle: s.ID})
	require.NoError(t, err)
	require.Len(t, lapsed.Lapsed, 2, "of the test ring, which nobody signed for here, and of that which came in")

	s.Rings = append(s.Rings, contract.RingState{Name: "early", Ended: true}, contract.RingState{Name: "broad", Ended: true})
	require.Equal(t, []patching.RingName{"added-1"}, s.AskedRings())
	for _, who := range []patching.AccountName{"ben", "cy"} {
		require.Empty(t, h.vote(s, who).Refused)
	}
	h.desk.issued = nil
	h.arrive(16, 16)
	require.Equal(t, 1, h.admit(&s, 16).Admitted)
	h.release(s, "added-1")
	require.NotEmpty(t, h.desk.drafts(trust.Apply))
	for _, d := range h.desk.drafts(trust.Apply) {
		require.Nil(t, d.Warrant, "one more machine in that ring: another root, which nobody has signed")
	}
}

func TestMachinesThatWereSignedForObey(t *testing.T) {
	h := newSignatories(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	s.Rings = []contract.RingState{{Name: "test", Ended: true}, {Name: "early", Ended: true}, {Name: "broad", Ended: true}}
	h.arrive(13, 15)
	h.admit(&s, 13, 14, 15)
	refused := h.vote(s, "ben", func(in *contract.VerifyActIn) { in.Admitted = []patching.AccountName{"ben"} }).Refused
	require.Contains(t, refused, "whoever brought machines into a cycle cannot approve it")
	for _, who := range []patching.AccountName{"ben", "cy"} {
		require.Empty(t, h.vote(s, who).Refused)
	}
	s.Cleared = []patching.RingName{"added-1"}
	h.release(s, "added-1")
	n := 0
	for _, d := range h.desk.drafts(trust.Apply) {
		require.NoError(t, h.taken(d))
		n++
	}
	require.Equal(t, 3, n)
	h.arrive(16, 16)
	h.admit(&s, 16)
	require.Equal(t, patching.RingName("added-2"), s.Plan.Rings[4].Name, "about added-1 people have decided")
}

// Serves Q7, L5.
func TestAMachineDoesNotComeInThat(t *testing.T) {
	for name, c := range map[string]struct {
		number int
		before func(*house, contract.CycleState)
		says   string
	}{
		"is in a ring already": {number: 5, says: "does not: It is in ring"},
		"was taken out": {number: 5, before: func(h *house, s contract.CycleState) {
			_, err := h.planning.Amend(h.ctx, contract.AmendIn{Cycle: s.ID, Assets: []patching.AssetID{asset(5)}, By: "olga", Why: "year-end closing"})
			require.NoError(h.t, err)
		}, says: "That is how it ended in this cycle."},
		"is not known":  {number: 999, says: "a999 does not: There is no such machine."},
		"is up to date": {number: 13, before: func(h *house, _ contract.CycleState) { h.current(13) }, says: "host013 does not: The machine's package manager offers nothing"},
		"would get what nobody has tested": {number: 13, before: func(h *house, _ contract.CycleState) {
			has, offered := sets(h.t, "web")
			offered.Candidates = append(offered.Candidates[:0:0], offered.Candidates...)
			offered.Candidates[0].To += "+newer1"
			h.inventory(13, has, offered)
		}, says: "It would get what this cycle has tested nowhere:"},
		"is at work elsewhere": {number: 13, before: func(h *house, s contract.CycleState) {
			other := h.begin("cycle/servers/2026-11.9", patching.Monthly)
			_, busy, err := h.LockAssets(h.ctx, other.ID, []patching.AssetID{asset(13)}, h.now)
			require.NoError(h.t, err)
			require.Empty(h.t, busy)
		}, says: "Another cycle is working on the machine (cycle/servers/2026-11.9)."},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.enrol(12)
			s := h.begin(monthly, patching.Monthly)
			h.plan(&s)
			h.arrive(13, 13)
			if c.before != nil {
				c.before(h, s)
			}
			before := s.Plan
			out := h.admit(&s, c.number)
			assert.Zero(t, out.Admitted)
			assert.Contains(t, out.Words, c.says)
			assert.Equal(t, before, out.Plan, "the plan stays in force")
			made, err := h.Plan(h.ctx, s.ID)
			require.NoError(t, err)
			assert.Equal(t, before.Hash, made.Hash())
		})
	}
}

// current lets machine n say that nothing is offered to it.
func (h *house) current(n int) {
	h.t.Helper()
	has, offered := sets(h.t, "web")
	offered.Candidates = nil
	h.inventory(n, has, offered)
}

// The answer of an attempt can be lost, after its plan has become the one that counts.
func TestBringingMachinesInAgainGivesTheSamePlan(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.arrive(13, 14)
	in := contract.AdmitIn{State: s, Assets: []patching.AssetID{asset(13), asset(14)}, By: "olga", Why: "installed last night"}
	first, err := h.planning.Admit(h.ctx, in)
	require.NoError(t, err)
	h.now = h.now.Add(time.Minute)
	second, err := h.planning.Admit(h.ctx, in)
	require.NoError(t, err)
	require.Equal(t, first.Plan, second.Plan)
	require.Equal(t, 2, second.Admitted)
}

// What failed in the cycle is not installed on who comes in.
func TestWhoeverComesInGetsNothingThatFailed(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "test")
	tested := h.ring(s.ID, "test")
	bad := names(h.patches(s.ID, tested[0]))[0]
	h.ended(s.ID, tested[0], patching.Failed, patching.ReasonInstallFailed, bad+": postinst")
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.plan(&s)
	from := 13
	if tested[0]%3 == 0 {
		from = 15
	}
	h.arrive(from, from)
	require.Equal(t, 1, h.admit(&s, from).Admitted)
	require.NotContains(t, names(h.patches(s.ID, from)), bad)
	h.arrive(from+3, from+3) // of the same kind, into the ring that is there
	require.Equal(t, 1, h.admit(&s, from+3).Admitted)
	require.Equal(t, []int{from, from + 3}, h.ring(s.ID, "added-1"))
	require.NotContains(t, names(h.patches(s.ID, from+3)), bad)
}
