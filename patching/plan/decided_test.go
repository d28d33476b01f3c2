package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

func by(id patching.DecisionID, until time.Time) patching.Term {
	return patching.Term{ID: id, By: "sam", Role: patching.RoleSecurityLead, At: now.AddDate(0, 0, -9), Until: until, Reason: "it is certified"}
}

func answered(a patching.Answer) patching.Decisions {
	return patching.Decisions{Reviews: []patching.Review{{Term: by("r-1", now.AddDate(0, 2, 0)), Subject: patching.Subject{Advisory: "DSA-1"}, Answer: a}}}
}

var without = patching.Decisions{Exceptions: []patching.Exception{{
	Term: by("x-1", now.AddDate(0, 2, 0)), Subject: patching.Subject{Advisory: "DSA-1"}, Owner: "radiology", ReviewBy: now.AddDate(0, 0, 5),
}}}

// Serves G2, G11, U9.
func TestARowSaysWhatHoldsByPeopleAndBesideItWhatTheRegimesSay(t *testing.T) {
	over := now.AddDate(0, 0, -20)
	worksAround := answered(patching.AnswerWorkAround)
	worksAround.WorkArounds = []patching.WorkAround{{ID: "w-1", Subject: patching.Subject{Advisory: "DSA-1"}, Steps: []patching.WorkAroundStep{
		{State: patching.WorkAroundProposed, At: now.AddDate(0, 0, -8)}, {State: patching.WorkAroundInPlace, At: now.AddDate(0, 0, -8), Assets: []patching.AssetID{"m"}},
	}}}
	for name, c := range map[string]struct {
		on       patching.Decisions
		installs bool
		lane     urgency.Lane
		late     int
		accepted int
		stays    map[plan.Staying]int
	}{
		"nobody decided":        {installs: true, lane: urgency.Scheduled, late: 7},
		"patch now":             {on: answered(patching.AnswerNow), installs: true, lane: urgency.Immediate, late: 7},
		"monthly, overdue":      {on: answered(patching.AnswerMonthly), installs: true, lane: urgency.Scheduled, late: 7, accepted: 7},
		"worked around":         {on: worksAround, installs: true, lane: urgency.Scheduled, accepted: 7},
		"accepted, overdue":     {on: answered(patching.AnswerAccept), lane: urgency.Defer, accepted: 7, stays: map[plan.Staying]int{"accept the risk, says sam until 2027-01-24": 7}},
		"an exception, overdue": {on: without, lane: urgency.Defer, accepted: 7, stays: map[plan.Staying]int{"an exception of radiology until 2027-01-24": 7}},
	} {
		t.Run(name, func(t *testing.T) {
			a := flaw("DSA-1", "nginx", "1.24", "CVE-2026-0001")
			a.Published = over
			g := grounds(t, patching.Monthly, nil, a)
			b := patching.Bundle{}
			if c.installs {
				b = takes("nginx", "1.22", "1.24")
			}
			l := alike(g, 7, box(has("nginx", "1.22")), b, now.AddDate(0, 0, 1))
			l.Sample, l.On = "m", c.on
			r := g.Remedy([]plan.Likes{l})
			row := r.Remedies[0]
			assert.Equal(t, c.lane, row.Binds().Lane)
			assert.Equal(t, urgency.Scheduled, row.Deadline.Lane, "the regime's own stays")
			assert.Equal(t, c.late, row.Late)
			assert.Equal(t, c.late > 0, r.Proposes() != "", "what somebody accepted proposes no emergency")
			overdue := 0
			for _, d := range row.Decided {
				overdue += d.Overdue
			}
			assert.Equal(t, c.accepted, overdue)
			if c.stays != nil {
				assert.Equal(t, c.stays, row.Stays)
			}
			assert.Equal(t, map[urgency.Lane]int{c.lane: 7}, r.Lanes)
			s := g.Stand([]plan.Likes{l})
			assert.Equal(t, 7, s.Overdue["DSA-1"], "it is no less overdue for that")
			assert.Equal(t, c.accepted, s.Accepted["DSA-1"])
		})
	}
}

// Serves G2.
func TestWhereAnExceptionHoldsAPackageForAnotherReasonThePlanSaysSo(t *testing.T) {
	g := grounds(t, patching.Monthly, nil, flaw("DSA-1", "nginx", "1.24"), flaw("DSA-2", "nginx", "1.24"))
	l := alike(g, 7, box(has("nginx", "1.22")), patching.Bundle{}, now)
	l.Sample, l.On = "m", without
	l.Held = assess.HeldOn("m", box(has("nginx", "1.22")).Packages, l.Has, l.On, now)
	r := g.Remedy([]plan.Likes{l})
	for _, row := range r.Remedies {
		for why := range row.Stays {
			if row.Advisory == "DSA-2" {
				require.Equal(t, plan.Staying("an exception of radiology until 2027-01-24, which holds the package for another reason"), why)
				require.Empty(t, row.Decided, "nobody decided about this one")
			}
		}
	}
	require.Len(t, r.Review, 1)
	require.Equal(t, patching.AgendaReview, r.Review[0].Why)
	require.Contains(t, r.Words(), "1 decision has to be looked at again.")
}

// Serves G2: there is an emergency already, and it is as soon as can be.
func TestAnEmergencyForWhatIsPatchedNowProposesNoOther(t *testing.T) {
	g := grounds(t, patching.Emergency, nil, flaw("DSA-1", "nginx", "1.24"))
	l := alike(g, 7, box(has("nginx", "1.22")), takes("nginx", "1.22", "1.24"), now.Add(time.Hour))
	l.Sample, l.On = "m", answered(patching.AnswerNow)
	require.Empty(t, g.Remedy([]plan.Likes{l}).Proposes())
}

// Serves G2: an empty promise is named; one that was decided anew is none.
func TestADecisionToWorkAroundWithoutAWorkAroundIsNamed(t *testing.T) {
	g := grounds(t, patching.Monthly, nil, flaw("DSA-1", "nginx", "1.24"))
	l := alike(g, 7, box(has("nginx", "1.22")), patching.Bundle{}, now)
	l.Sample, l.On = "m", answered(patching.AnswerWorkAround)
	r := g.Remedy([]plan.Likes{l, l})
	require.Equal(t, []plan.Unbacked{{ID: "r-1", By: "sam", Advisory: "DSA-1", Machines: 14}}, r.Unbacked)
	require.Contains(t, r.Warnings(), "r-1 by sam says to work around DSA-1, and no work-around is on record: it counts for nothing on 14 machines.")

	anew := l.On.Reviews[0]
	anew.ID, anew.At, anew.Answer = "r-2", now.AddDate(0, 0, -1), patching.AnswerMonthly
	l.On.Reviews = append(l.On.Reviews, anew)
	require.Empty(t, g.Remedy([]plan.Likes{l}).Unbacked)
}

// Bounded, whatever people decide.
func TestOfThousandsOfDecisionsARowListsThoseOnMostMachines(t *testing.T) {
	g := grounds(t, patching.Monthly, nil, flaw("DSA-1", "nginx", "1.24"))
	var all []plan.Likes
	total := 0
	for i := range 60 {
		l := alike(g, i+1, box(has("nginx", "1.22")), patching.Bundle{}, now)
		e := without.Exceptions[0]
		e.ID, e.Owner = patching.DecisionID(fmt.Sprintf("x-%02d", i)), fmt.Sprintf("team %02d", i)
		l.Sample, l.On = "m", patching.Decisions{Exceptions: []patching.Exception{e}}
		all, total = append(all, l), total+l.Machines
	}
	r := g.Remedy(all)
	row := r.Remedies[0]
	require.Len(t, row.Decided, plan.MostDecided)
	require.Equal(t, 60, row.Decided[0].Machines)
	require.Equal(t, 60-plan.MostDecided, row.MoreDecided)
	require.Len(t, row.Stays, plan.MostDecided+1)
	require.Equal(t, total, row.Stay())
	require.Len(t, r.Review, plan.MostReviewed)
	require.Equal(t, 60-plan.MostReviewed, r.MoreReview)
}
