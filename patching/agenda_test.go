package patching_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves G11: whether each exception is still needed.
func TestEachCycleLooksAtWhatExpiredIsDueOrEndsAndAtEveryWorkAround(t *testing.T) {
	last, now, next := decided.AddDate(0, 5, 0), decided.AddDate(0, 6, 0), decided.AddDate(0, 7, 0)
	until := func(id patching.DecisionID, until time.Time) patching.Term {
		term := aTerm()
		term.ID, term.Until = id, until
		return term
	}
	calm := until("x-calm", decided.AddDate(0, 11, 0))
	ended := until("x-ended", decided.AddDate(0, 11, 0))
	ended.Ended = patching.Ending{Decision: "x-ended", At: now.Add(-time.Hour), By: "sam"}
	exception := func(term patching.Term, reviewBy time.Time) patching.Exception {
		return patching.Exception{Term: term, Subject: patching.Subject{Advisory: "DSA-1"}, Owner: "radiology", ReviewBy: reviewBy}
	}
	named := func(id patching.DecisionID, w patching.WorkAround) patching.WorkAround { w.ID = id; return w }
	d := patching.Decisions{
		Reviews: []patching.Review{
			{Term: until("r-ends", next), Subject: patching.Subject{Advisory: "DSA-2"}, Answer: patching.AnswerAccept},
			{Term: until("r-expired", now.Add(-time.Hour)), Answer: patching.AnswerNow},
			{Term: until("r-old", last), Answer: patching.AnswerNow},
		},
		Exceptions: []patching.Exception{
			exception(calm, decided.AddDate(0, 9, 0)), exception(ended, now),
			exception(until("x-review", decided.AddDate(0, 11, 0)), next), exception(until("x-overdue", decided.AddDate(0, 11, 0)), last),
		},
		WorkArounds: []patching.WorkAround{
			named("w-1", aWorkAround()), named("w-2", aWorkAround(placed("a"))), named("w-3", aWorkAround(placed("a"), leaving)), named("w-4", aWorkAround(placed("a"), gone())),
		},
	}
	var got []string
	for _, item := range d.Agenda(last, now, next) {
		got = append(got, string(item.ID)+": "+string(item.Why))
	}
	assert.Equal(t, []string{
		"w-1: not in place", "w-2: in place", "w-3: to be removed",
		"x-overdue: review due", "r-expired: expired", "r-ends: ends soon", "x-review: review due",
	}, got)
	first := d.Agenda(last, now, next)[3]
	require.Equal(t, patching.AgendaItem{ID: "x-overdue", Kind: "exception", Subject: patching.Subject{Advisory: "DSA-1"}, Owner: "radiology", Why: patching.AgendaReview, At: last}, first)
	assert.Empty(t, patching.Decisions{}.Agenda(last, now, next))
}
