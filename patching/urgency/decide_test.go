package urgency_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// matter is an advisory about two flaws and one package, on web-1.
var matter = patching.Matter{
	Asset: "web-1", Advisory: "DSA-1", CVEs: []patching.CVE{"CVE-2026-1000", "CVE-2026-2000"},
	Packages: []patching.Package{{Name: "libssl3", Source: "openssl"}},
}

// dueIn5 binds five days after today.
var dueIn5 = []urgency.Deadline{
	{Regime: "pci-dss", Lane: urgency.OutOfCycle, Due: end("2026-09-15"), Clock: urgency.Clock{What: urgency.PatchAvailable, At: day("2026-08-15")}},
	{Regime: "house", Lane: urgency.Scheduled, Condition: "in time"},
}

func term(id patching.DecisionID, made, until string) patching.Term {
	return patching.Term{ID: id, By: "sam", Role: patching.RoleSecurityLead, At: day(made), Until: end(until), Reason: "because"}
}

func review(id patching.DecisionID, a patching.Answer, about patching.Subject) patching.Review {
	return patching.Review{Term: term(id, "2026-09-01", "2026-10-31"), Answer: a, Subject: about}
}

func exception(id patching.DecisionID, about patching.Subject) patching.Exception {
	return patching.Exception{Term: term(id, "2026-09-01", "2026-12-31"), Subject: about, Owner: "lab-team", ReviewBy: end("2026-11-30")}
}

func inPlace(id patching.DecisionID, on ...patching.AssetID) patching.WorkAround {
	return patching.WorkAround{ID: id, Subject: advisory, What: "switch it off", Owner: "ops", Steps: []patching.WorkAroundStep{
		{WorkAround: id, State: patching.WorkAroundProposed, At: day("2026-09-01")},
		{WorkAround: id, State: patching.WorkAroundInPlace, At: day("2026-09-02"), Assets: on, Note: "seen"},
	}}
}

var (
	advisory = patching.Subject{Advisory: "DSA-1"}
	oneCVE   = patching.Subject{CVE: "CVE-2026-1000"}
	openssl  = patching.Subject{Package: "openssl"}
	other    = patching.Subject{Advisory: "DSA-2"}
)

func reviews(all ...patching.Review) patching.Decisions { return patching.Decisions{Reviews: all} }

// Serves G2, G20, U9.
func TestWhatPeopleDecideHoldsBesideWhatTheRegimesSay(t *testing.T) {
	ended := review("r-1", patching.AnswerAccept, advisory)
	ended.Ended = patching.Ending{Decision: "r-1", At: day("2026-09-05"), By: "sam"}
	expired := review("r-1", patching.AnswerAccept, advisory)
	expired.Until = end("2026-09-09")
	again := review("r-2", patching.AnswerMonthly, advisory)
	again.At = day("2026-09-03")
	brief := review("r-2", patching.AnswerNow, advisory)
	brief.At, brief.Until = day("2026-09-03"), end("2026-09-04")
	stillNow := review("r-2", patching.AnswerNow, advisory)
	stillNow.At = day("2026-09-09")
	later := review("r-1", patching.AnswerAccept, advisory)
	later.At = day("2026-09-11")
	for name, c := range map[string]struct {
		on       patching.Decisions
		by       patching.DecisionID
		lane     urgency.Lane
		due      time.Time
		hold     bool
		standing urgency.Standing
		idle     string
	}{
		"nobody decided": {lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen},
		"about another advisory": {
			on:   reviews(review("r-1", patching.AnswerAccept, other)),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen,
		},
		"patch now": {
			on: reviews(review("r-1", patching.AnswerNow, advisory)),
			by: "r-1", lane: urgency.Immediate, due: day("2026-09-01"), standing: urgency.StandingOverdue,
		},
		"patch now for one of its flaws": {
			on: reviews(review("r-1", patching.AnswerNow, oneCVE)),
			by: "r-1", lane: urgency.Immediate, due: day("2026-09-01"), standing: urgency.StandingOverdue,
		},
		"monthly keeps the date": {
			on: reviews(review("r-1", patching.AnswerMonthly, advisory)),
			by: "r-1", lane: urgency.Scheduled, due: end("2026-09-15"), standing: urgency.StandingOpen,
		},
		"accepted": {
			on: reviews(review("r-1", patching.AnswerAccept, advisory)),
			by: "r-1", lane: urgency.Defer, due: end("2026-10-31"), hold: true, standing: urgency.StandingAccepted,
		},
		"accepted for the source package": {
			on: reviews(review("r-1", patching.AnswerAccept, openssl)),
			by: "r-1", lane: urgency.Defer, due: end("2026-10-31"), hold: true, standing: urgency.StandingAccepted,
		},
		"accepted for one of its flaws": {
			on:   reviews(review("r-1", patching.AnswerAccept, oneCVE)),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen,
			idle: "It names a part of what DSA-1 is about: decide about the advisory.",
		},
		"ended by hand": {
			on:   reviews(ended),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen,
		},
		"expired": {
			on:   reviews(expired),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen, idle: "It expired on 2026-09-09.",
		},
		"not made yet": {
			on:   reviews(later),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen,
		},
		"decided anew": {
			on: reviews(review("r-1", patching.AnswerAccept, advisory), again),
			by: "r-2", lane: urgency.Scheduled, due: end("2026-09-15"), standing: urgency.StandingOpen, idle: "It was decided anew: r-2.",
		},
		"decided anew, and that is over": {
			on:   reviews(review("r-1", patching.AnswerAccept, advisory), brief),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen, idle: "It expired on 2026-09-04.",
		},
		"patch now, said twice": {
			on: reviews(review("r-1", patching.AnswerNow, advisory), stillNow),
			by: "r-2", lane: urgency.Immediate, due: day("2026-09-01"), standing: urgency.StandingOverdue, idle: "It was decided anew: r-2.",
		},
		"of several the most urgent": {
			on: reviews(review("r-1", patching.AnswerAccept, openssl), review("r-2", patching.AnswerNow, oneCVE)),
			by: "r-2", lane: urgency.Immediate, due: day("2026-09-01"), standing: urgency.StandingOverdue, idle: "A more urgent decision counts: r-2.",
		},
		"to be worked around, and nothing is in place": {
			on:   reviews(review("r-1", patching.AnswerWorkAround, advisory)),
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen, idle: "No work-around is in place on this machine.",
		},
		"to be worked around, and it is in place elsewhere": {
			on:   patching.Decisions{Reviews: []patching.Review{review("r-1", patching.AnswerWorkAround, advisory)}, WorkArounds: []patching.WorkAround{inPlace("w-1", "web-2")}},
			lane: urgency.OutOfCycle, due: end("2026-09-15"), standing: urgency.StandingOpen, idle: "No work-around is in place on this machine.",
		},
		"worked around": {
			on: patching.Decisions{Reviews: []patching.Review{review("r-1", patching.AnswerWorkAround, advisory)}, WorkArounds: []patching.WorkAround{inPlace("w-1", "web-1")}},
			by: "r-1", lane: urgency.Scheduled, due: end("2026-10-31"), standing: urgency.StandingAccepted,
		},
		"an exception": {
			on: patching.Decisions{Exceptions: []patching.Exception{exception("x-1", advisory)}},
			by: "x-1", lane: urgency.Defer, due: end("2026-12-31"), hold: true, standing: urgency.StandingAccepted,
		},
		"an exception for machines": {
			on: patching.Decisions{Exceptions: []patching.Exception{exception("x-1", patching.Subject{Selector: `"medical" in tags`})}},
			by: "x-1", lane: urgency.Defer, due: end("2026-12-31"), hold: true, standing: urgency.StandingAccepted,
		},
		"an exception and a milder review": {
			on: patching.Decisions{Reviews: []patching.Review{review("r-1", patching.AnswerMonthly, advisory)}, Exceptions: []patching.Exception{exception("x-1", advisory)}},
			by: "x-1", lane: urgency.Defer, due: end("2026-12-31"), hold: true, standing: urgency.StandingAccepted, idle: "The exception x-1 counts.",
		},
		"an exception, and patch now": {
			on: patching.Decisions{Reviews: []patching.Review{review("r-1", patching.AnswerNow, advisory)}, Exceptions: []patching.Exception{exception("x-1", advisory)}},
			by: "x-1", lane: urgency.Immediate, due: day("2026-09-01"), hold: true, standing: urgency.StandingOverdue,
			idle: "The exception x-1 holds all the same: end it, and the patch is installed.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := urgency.Decide(matter, dueIn5, c.on, today)
			assert.Equal(t, dueIn5[0], d.Judged, "what the regimes say stays")
			assert.Equal(t, c.lane, d.Lane)
			assert.Equal(t, c.due, d.Due)
			assert.Equal(t, c.hold, d.Hold)
			assert.Equal(t, c.standing, d.Standing(today))
			if c.by == "" {
				assert.Nil(t, d.By)
			} else {
				require.NotNil(t, d.By)
				assert.Equal(t, c.by, d.By.ID)
			}
			if c.idle == "" {
				assert.Empty(t, d.Idle)
			} else {
				require.NotEmpty(t, d.Idle)
				assert.Equal(t, c.idle, d.Idle[0].Why)
			}
		})
	}
}

// Serves G20: who accepted a miss.
func TestARiskThatIsAcceptedBeyondItsDateIsShownAsOverdueWithWhoAcceptedIt(t *testing.T) {
	on := reviews(review("r-1", patching.AnswerAccept, advisory))
	after := day("2026-09-20")
	d := urgency.Decide(matter, dueIn5, on, after)
	assert.Equal(t, urgency.StandingAcceptedOverdue, d.Standing(after))
	assert.Equal(t, "Decided by sam (security-lead) until 2026-10-31: accept the risk: because. "+
		"Under pci-dss: emergency, overdue since 2026-09-15. The risk is accepted beyond its due date.", d.Words(after))

	monthly := urgency.Decide(matter, dueIn5, reviews(review("r-1", patching.AnswerMonthly, advisory)), after)
	assert.Equal(t, urgency.StandingAcceptedOverdue, monthly.Standing(after), "the regular cycle came too late")

	x := exception("x-1", advisory)
	x.Measure = "It is behind a firewall"
	d = urgency.Decide(matter, dueIn5, patching.Decisions{Exceptions: []patching.Exception{x}}, today)
	assert.Equal(t, "Exception until 2026-12-31, owner lab-team, by sam (security-lead): because. Instead: It is behind a firewall. "+
		"Under pci-dss: emergency, due 2026-09-15.", d.Words(today))
}

// Serves G4, G20: whoever accepted the risk did not know.
func TestNewsThatCameAfterADecisionIsToldAndTheDecisionHolds(t *testing.T) {
	listed := []urgency.Deadline{{Regime: "cisa-bod-26-04", Lane: urgency.Immediate, Due: end("2026-09-12"), Clock: urgency.Clock{What: urgency.KEVAdded, At: day("2026-09-09")}}}
	on := reviews(review("r-1", patching.AnswerAccept, advisory))
	d := urgency.Decide(matter, listed, on, today)
	assert.True(t, d.News())
	assert.True(t, d.Hold)
	assert.Contains(t, d.Words(today), "Its clock (listed as exploited) began on 2026-09-09, after that was decided: look at it again.")
	assert.False(t, urgency.Decide(matter, dueIn5, on, today).News(), "it was known")
	assert.False(t, urgency.Decide(matter, listed, reviews(review("r-1", patching.AnswerNow, advisory)), today).News(), "nobody waits")
	assert.False(t, urgency.Decide(matter, listed, patching.Decisions{}, today).News())
}

// Serves Q1: a verdict for each patch.
func TestWhatIsAcceptedOrExceptedIsHeldByNameUntilItsEnd(t *testing.T) {
	verdict, owner, until, why := urgency.Decide(matter, dueIn5, reviews(review("r-1", patching.AnswerAccept, advisory)), today).Verdict()
	assert.Equal(t, patching.VerdictHold, verdict)
	assert.Equal(t, "sam", owner)
	assert.Equal(t, end("2026-10-31"), until)
	assert.Equal(t, "Decided by sam (security-lead) until 2026-10-31: accept the risk: because.", why)
	_, owner, _, _ = urgency.Decide(matter, dueIn5, patching.Decisions{Exceptions: []patching.Exception{exception("x-1", advisory)}}, today).Verdict()
	assert.Equal(t, "lab-team", owner)
	for _, a := range []patching.Answer{patching.AnswerNow, patching.AnswerMonthly, patching.AnswerWorkAround} {
		verdict, owner, until, why = urgency.Decide(matter, dueIn5, reviews(review("r-1", a, advisory)), today).Verdict()
		assert.Equal(t, patching.VerdictDeploy, verdict, a)
		assert.Empty(t, owner+why)
		assert.True(t, until.IsZero())
	}
}

// Serves G4: a flaw without a patch.
func TestPatchNowWithoutAPatchWaitsForItAndIsUrgentOnceItIsThere(t *testing.T) {
	waiting := []urgency.Deadline{{Regime: "pci-dss", Lane: urgency.Scheduled, Clock: urgency.Clock{What: urgency.PatchAvailable}, Condition: "1 month from when there is a patch"}}
	on := reviews(review("r-1", patching.AnswerNow, advisory))
	d := urgency.Decide(matter, waiting, on, today)
	assert.Equal(t, urgency.Immediate, d.Lane)
	assert.True(t, d.Due.IsZero())
	assert.False(t, d.Misses(time.Time{}), "an emergency could install nothing")

	d = urgency.Decide(matter, dueIn5, on, today)
	assert.True(t, d.Misses(today), "and now it can")
}

// Serves U4.
func TestAnEmergencyIsProposedForWhatIsDecidedAndNotForWhatIsHeld(t *testing.T) {
	next := day("2026-09-20")
	misses := func(on patching.Decisions) bool { return urgency.Decide(matter, dueIn5, on, today).Misses(next) }
	assert.True(t, misses(patching.Decisions{}), "its date is before the cycle has come round")
	assert.True(t, misses(reviews(review("r-1", patching.AnswerMonthly, advisory))), "monthly is no later date")
	assert.True(t, misses(reviews(review("r-1", patching.AnswerNow, advisory))))
	assert.False(t, misses(reviews(review("r-1", patching.AnswerAccept, advisory))))
	assert.False(t, urgency.Decide(matter, nil, patching.Decisions{}, today).Misses(next), "no regime says anything")
}

// Serves G2, G20.
func TestWhateverIsDecidedItsEndGivesBackWhatTheRegimesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deadlines := someDeadlines(t)
		judged := urgency.Decide(matter, deadlines, patching.Decisions{}, today)
		on := someDecisions(t)
		over := today.AddDate(2, 0, 0)
		after := urgency.Decide(matter, deadlines, on, over)
		require.Equal(t, judged.Judged, after.Judged)
		require.Equal(t, judged.Lane, after.Lane)
		require.Equal(t, judged.Due, after.Due)
		require.False(t, after.Hold)
		require.Nil(t, after.By)
		require.Nil(t, after.Now)
	})
}

// Serves G2, G20.
func TestNoDecisionMakesADateLaterWithoutAName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deadlines, on := someDeadlines(t), someDecisions(t)
		binding, _ := urgency.Binding(deadlines)
		d := urgency.Decide(matter, deadlines, on, today)
		require.Equal(t, binding, d.Judged)
		if later(d.Due, d.Judged.Due) {
			require.NotNil(t, d.By)
			require.True(t, d.By.Answer == "" || d.By.Answer.AcceptsRisk())
			require.Equal(t, d.By.Until, d.Due, "and not beyond the decision's end")
		}
		if d.Hold {
			require.NotNil(t, d.By, "nothing is held back without a name")
		}
	})
}

// Serves G2, U9.
func TestPatchNowNeverMeansMoreTimeOrAMilderLane(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deadlines, on := someDeadlines(t), someDecisions(t)
		without := urgency.Decide(matter, deadlines, on, today)
		now := review("r-now", patching.AnswerNow, rapid.SampledFrom([]patching.Subject{advisory, oneCVE, openssl}).Draw(t, "about"))
		now.At = today
		on.Reviews = append(on.Reviews, now)
		with := urgency.Decide(matter, deadlines, on, today)
		require.False(t, later(with.Due, without.Due), "%v and then %v", without, with)
		require.Equal(t, urgency.Immediate, with.Lane)
		require.NotNil(t, with.Now)
		if with.Hold {
			require.True(t, without.Hold, "only what an exception holds already")
		}
	})
}

// Serves G20: what was decided can be looked up again.
func TestTheOrderInWhichDecisionsAreReadDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		deadlines, on := someDeadlines(t), someDecisions(t)
		again := patching.Decisions{
			Reviews: rapid.Permutation(on.Reviews).Draw(t, "reviews"), Exceptions: rapid.Permutation(on.Exceptions).Draw(t, "exceptions"),
			WorkArounds: rapid.Permutation(on.WorkArounds).Draw(t, "work-arounds"),
		}
		a, b := urgency.Decide(matter, deadlines, on, today), urgency.Decide(matter, deadlines, again, today)
		require.ElementsMatch(t, a.Idle, b.Idle)
		a.Idle, b.Idle = nil, nil
		require.Equal(t, a, b)
	})
}

func someDeadlines(t *rapid.T) []urgency.Deadline {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) urgency.Deadline {
		d := urgency.Deadline{Regime: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "regime"), Lane: rapid.SampledFrom(urgency.Lanes()).Draw(t, "lane")}
		if rapid.Bool().Draw(t, "dated") {
			d.Due = aDay(t, "due").AddDate(0, rapid.IntRange(0, 12).Draw(t, "months"), 0)
		}
		return d
	}), 0, 3).Draw(t, "deadlines")
}

func someDecisions(t *rapid.T) patching.Decisions {
	subjects := []patching.Subject{advisory, oneCVE, openssl, other, {Advisory: "DSA-1", CVE: "CVE-2026-2000"}}
	ids := 0
	aTerm := func(t *rapid.T) patching.Term {
		ids++
		made := aDay(t, "made").AddDate(0, 0, rapid.IntRange(0, 200).Draw(t, "later"))
		term := patching.Term{
			ID: patching.DecisionID(fmt.Sprintf("d-%d", ids)), By: "sam", Role: patching.RoleSecurityLead, At: made,
			Until: made.AddDate(0, 0, rapid.IntRange(1, 365).Draw(t, "days")), Reason: "because",
		}
		if rapid.IntRange(0, 4).Draw(t, "ended") == 0 {
			term.Ended = patching.Ending{Decision: term.ID, At: made.AddDate(0, 0, rapid.IntRange(0, 400).Draw(t, "ended on")), By: "sam"}
		}
		return term
	}
	subject := func(t *rapid.T) patching.Subject { return rapid.SampledFrom(subjects).Draw(t, "about") }
	return patching.Decisions{
		Reviews: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) patching.Review {
			return patching.Review{Term: aTerm(t), Subject: subject(t), Answer: rapid.SampledFrom(patching.Answers()).Draw(t, "answer")}
		}), 0, 5).Draw(t, "reviews"),
		Exceptions: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) patching.Exception {
			return patching.Exception{Term: aTerm(t), Subject: subject(t), Owner: "ops"}
		}), 0, 3).Draw(t, "exceptions"),
		WorkArounds: rapid.SampledFrom([][]patching.WorkAround{nil, {inPlace("w-1", "web-1")}}).Draw(t, "work-arounds"),
	}
}

// Serves G2.
func TestABookGivesEachMachineTheDecisionsThatTakeIt(t *testing.T) {
	there := patching.Subject{Advisory: "DSA-1", Selector: `site == "bern"`}
	gone := patching.Subject{Advisory: "DSA-1", Selector: `planet == "mars"`}
	book, err := urgency.OpenBook(patching.Decisions{
		Reviews:     []patching.Review{review("r-1", patching.AnswerNow, there), review("r-2", patching.AnswerAccept, gone)},
		Exceptions:  []patching.Exception{exception("x-1", advisory), exception("x-2", there)},
		WorkArounds: []patching.WorkAround{inPlace("w-1", "web-1")},
	}, today)
	require.ErrorContains(t, err, "decision r-2 counts for nothing")
	require.ErrorContains(t, err, `"planet" is nothing that is known of a machine`)

	on, err := book.On(&patching.Asset{ID: "web-1", Site: "bern"})
	require.NoError(t, err)
	require.Len(t, on.Reviews, 1)
	require.Len(t, on.Exceptions, 2)
	require.Len(t, on.WorkArounds, 1)
	on, err = book.On(&patching.Asset{ID: "web-2", Site: "basel"})
	require.NoError(t, err)
	require.Empty(t, on.Reviews)
	require.Len(t, on.Exceptions, 1)
	require.EqualValues(t, "x-1", on.Exceptions[0].ID)
}
