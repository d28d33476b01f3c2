package storetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

func aTerm(id patching.DecisionID, days int) patching.Term {
	return patching.Term{ID: id, By: "sam", Role: patching.RoleSecurityLead, At: noon, Until: noon.AddDate(0, 0, days), Reason: "It breaks printing."}
}

// Serves G2, G6, U9.
func decisionsOfPeople(t *testing.T, s *store.Store) {
	f := with(t, s, "reviews")
	review := patching.Review{Term: aTerm("review-1", 30), Subject: patching.Subject{Advisory: "DSA-1", CVE: "CVE-2026-1000", Package: "openssl", Selector: `site == "bern"`}, Answer: patching.AnswerAccept}
	sooner := patching.Review{Term: aTerm("review-2", 10), Subject: patching.Subject{Advisory: "DSA-2"}, Answer: patching.AnswerNow}
	exception := patching.Exception{Term: aTerm("exception-1", 30), Subject: patching.Subject{Selector: `"medical" in tags`}, Owner: "radiology", Measure: "A firewall", ReviewBy: noon.AddDate(0, 0, 20)}
	t.Run("what is kept comes back, those that end first in front", func(t *testing.T) {
		require.NoError(t, s.PutReview(f.ctx, review))
		require.NoError(t, s.PutReview(f.ctx, sooner))
		require.NoError(t, s.PutException(f.ctx, exception))
		reviews, err := s.Reviews(f.ctx, time.Time{})
		require.NoError(t, err)
		same(t, []patching.Review{sooner, review}, reviews)
		one, err := s.Review(f.ctx, "review-1")
		require.NoError(t, err)
		same(t, review, one)
		exceptions, err := s.Exceptions(f.ctx, time.Time{})
		require.NoError(t, err)
		same(t, []patching.Exception{exception}, exceptions)
		_, err = s.Review(f.ctx, "exception-1")
		require.ErrorIs(t, err, store.ErrNotFound)
		_, err = s.Exception(f.ctx, "review-1")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("the same again changes nothing, and another of that id is refused", func(t *testing.T) {
		require.NoError(t, s.PutReview(f.ctx, review))
		require.NoError(t, s.PutException(f.ctx, exception))
		milder, longer := review, exception
		milder.Answer, longer.Until = patching.AnswerMonthly, noon.AddDate(0, 0, 90)
		require.ErrorIs(t, s.PutReview(f.ctx, milder), store.ErrFinal)
		require.ErrorIs(t, s.PutException(f.ctx, longer), store.ErrFinal)
		is, err := s.Review(f.ctx, "review-1")
		require.NoError(t, err)
		same(t, review, is)
	})
	t.Run("an end stands beside the decision, and is final", func(t *testing.T) {
		end := patching.Ending{Decision: "review-2", At: at(5), By: "ana", Role: patching.RoleSecurityLead, Reason: "calm again"}
		require.NoError(t, s.EndDecision(f.ctx, end))
		require.NoError(t, s.EndDecision(f.ctx, end), "the same again")
		ended := sooner
		ended.Ended = end
		is, err := s.Review(f.ctx, "review-2")
		require.NoError(t, err)
		same(t, ended, is)
		end.By = "eve"
		require.ErrorIs(t, s.EndDecision(f.ctx, end), store.ErrFinal)
		end.Decision = "review-9"
		require.ErrorIs(t, s.EndDecision(f.ctx, end), store.ErrNotFound)
	})
	t.Run("a renewal ends the exception that it renews, or is not there at all", func(t *testing.T) {
		again := exception
		again.Term, again.Renews = aTerm("exception-2", 90), "exception-1"
		again.At = at(10)
		require.NoError(t, s.PutException(f.ctx, again))
		require.NoError(t, s.PutException(f.ctx, again), "the same again")
		was, err := s.Exception(f.ctx, "exception-1")
		require.NoError(t, err)
		same(t, patching.Ending{Decision: "exception-1", At: at(10), By: "sam", Role: patching.RoleSecurityLead, Reason: again.Reason, RenewedBy: "exception-2"}, was.Ended)
		twice, ofNone := again, again
		twice.ID, ofNone.ID, ofNone.Renews = "exception-3", "exception-4", "exception-9"
		require.ErrorIs(t, s.PutException(f.ctx, twice), store.ErrFinal)
		require.ErrorIs(t, s.PutException(f.ctx, ofNone), store.ErrNotFound)
		for _, id := range []patching.DecisionID{"exception-3", "exception-4"} {
			_, err = s.Exception(f.ctx, id)
			require.ErrorIs(t, err, store.ErrNotFound, "half a renewal")
		}
	})
	t.Run("what matters at a time is what holds, and what ended in the year before", func(t *testing.T) {
		for days, want := range map[int]int{0: 2, 100: 2, 377: 2, 379: 1, 400: 0} {
			all, err := s.DecisionsAt(f.ctx, noon.AddDate(0, 0, days))
			require.NoError(t, err)
			require.Len(t, all.Reviews, want, "after %d days", days)
		}
		since, err := s.Reviews(f.ctx, noon.AddDate(0, 0, 11))
		require.NoError(t, err)
		require.Len(t, since, 1)
	})
}

// Serves G2.
func workArounds(t *testing.T, s *store.Store) {
	f := with(t, s, "workarounds")
	w := patching.WorkAround{ID: "workaround-1", Subject: patching.Subject{CVE: "CVE-2026-1000"}, What: "Switch it off.", Owner: "ops", Steps: []patching.WorkAroundStep{
		{WorkAround: "workaround-1", State: patching.WorkAroundProposed, At: noon, By: "sam", Role: patching.RoleSecurityLead, Note: "no fix yet"},
	}}
	step := func(minutes int, state patching.WorkAroundState, on ...patching.AssetID) patching.WorkAroundStep {
		return patching.WorkAroundStep{WorkAround: "workaround-1", State: state, At: at(minutes), By: "olga", Role: patching.RoleOperator, Assets: on, Note: "curl answers 403"}
	}
	t.Run("its whole life comes back, the oldest step first", func(t *testing.T) {
		require.NoError(t, s.PutWorkAround(f.ctx, w))
		require.NoError(t, s.PutWorkAround(f.ctx, w), "the same again")
		other := w
		other.Owner = "eve"
		require.ErrorIs(t, s.PutWorkAround(f.ctx, other), store.ErrFinal)
		for i, next := range []patching.WorkAroundStep{step(1, patching.WorkAroundInPlace, "a", "b"), step(2, patching.WorkAroundRemoved, "a")} {
			is, err := s.AddWorkAroundStep(f.ctx, next)
			require.NoError(t, err)
			w.Steps = append(w.Steps, next)
			same(t, w, is)
			is, err = s.WorkAround(f.ctx, w.ID)
			require.NoError(t, err)
			same(t, w, is)
			require.Len(t, is.Steps, i+2)
		}
	})
	t.Run("a step that does not follow is refused and leaves nothing", func(t *testing.T) {
		_, err := s.AddWorkAroundStep(f.ctx, step(3, patching.WorkAroundRemoved, "a"))
		var misfit *patching.Misfit
		require.ErrorAs(t, err, &misfit)
		is, err := s.WorkAround(f.ctx, w.ID)
		require.NoError(t, err)
		same(t, w, is)
		nobody := step(3, patching.WorkAroundInPlace, "a")
		nobody.WorkAround = "workaround-9"
		_, err = s.AddWorkAroundStep(f.ctx, nobody)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("one that is gone for a year is no longer listed, and one that stays always is", func(t *testing.T) {
		stays := patching.WorkAround{ID: "workaround-2", Subject: w.Subject, What: "x", Owner: "ops", Steps: []patching.WorkAroundStep{
			{WorkAround: "workaround-2", State: patching.WorkAroundProposed, At: noon, By: "sam", Role: patching.RoleSecurityLead, Note: "n"},
		}}
		require.NoError(t, s.PutWorkAround(f.ctx, stays))
		_, err := s.AddWorkAroundStep(f.ctx, step(4, patching.WorkAroundRemoved))
		require.NoError(t, err)
		for years, want := range map[int]int{0: 2, 1: 2, 2: 1, 9: 1} {
			all, err := s.DecisionsAt(f.ctx, noon.AddDate(years, 0, 0))
			require.NoError(t, err)
			require.Len(t, all.WorkArounds, want, "after %d years", years)
		}
		all, err := s.WorkArounds(f.ctx, time.Time{})
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.EqualValues(t, "workaround-1", all[0].ID)
	})
}

// Serves G20.
func firstSeen(t *testing.T, s *store.Store) {
	f := with(t, s, "seen")
	note := func(seen map[patching.AdvisoryID]urgency.Seen) { require.NoError(t, s.NoteSeen(f.ctx, seen)) }
	t.Run("the first day stays, however often a finding comes back", func(t *testing.T) {
		note(nil)
		note(map[patching.AdvisoryID]urgency.Seen{"DSA-1": {First: at(1)}, "DSA-2": {First: at(1), Patch: at(2)}})
		note(map[patching.AdvisoryID]urgency.Seen{"DSA-1": {First: at(9), Patch: at(9)}, "DSA-2": {First: at(9), Patch: at(9)}})
		got, err := s.FirstSeen(f.ctx, []patching.AdvisoryID{"DSA-1", "DSA-2", "DSA-3"})
		require.NoError(t, err)
		same(t, map[patching.AdvisoryID]urgency.Seen{"DSA-1": {First: at(1), Patch: at(9)}, "DSA-2": {First: at(1), Patch: at(2)}}, got)
	})
}

// Serves G4.
func handAdvisories(t *testing.T, s *store.Store) {
	f := with(t, s, "hand")
	a := patching.Advisory{
		ID: "LOCAL-1", Feed: "hand", Kind: "security", Severity: "important", Title: "The agent logs passwords", CVEs: []patching.CVE{"CVE-2026-1000"}, Published: noon,
		KnownIssues: []string{"It forgets its proxy."}, Affected: []patching.Affected{{Platform: patching.Platform{ID: "debian", Release: "12"}, Package: "agent", Ranges: []patching.VersionRange{{Fixed: "2.10"}}}},
	}
	b := patching.Advisory{ID: "LOCAL-2", Feed: "hand", Title: "Another"}
	put := func(source string, minutes int, all ...patching.Advisory) []store.HandAdvisory {
		t.Helper()
		changed, err := s.PutHandAdvisories(f.ctx, []byte(source), all, "sam", at(minutes))
		require.NoError(t, err)
		return changed
	}
	inForce := func() []patching.Advisory {
		t.Helper()
		all, err := s.AdvisoriesByHand(f.ctx)
		require.NoError(t, err)
		return all
	}
	t.Run("advisories come back as they were read, with the document that they stood in", func(t *testing.T) {
		require.Empty(t, inForce())
		require.Len(t, put("one", 1, a, b), 2)
		same(t, []patching.Advisory{a, b}, inForce())
		versions, err := s.HandAdvisoryVersions(f.ctx, "LOCAL-1")
		require.NoError(t, err)
		same(t, []store.HandAdvisory{{Advisory: a, Version: 1, Source: patching.DigestOf([]byte("one")), At: at(1), By: "sam"}}, versions)
		text, err := s.Content(f.ctx, versions[0].Source)
		require.NoError(t, err)
		require.Equal(t, "one", string(text))
	})
	t.Run("only what is changed is a new version, and the old ones stay", func(t *testing.T) {
		fixed := a
		fixed.Title = "The agent logs passwords and names"
		changed := put("two", 2, fixed, b)
		require.Len(t, changed, 1)
		require.Equal(t, 2, changed[0].Version)
		require.Empty(t, put("two again", 3, fixed, b))
		same(t, []patching.Advisory{fixed, b}, inForce())
		versions, err := s.HandAdvisoryVersions(f.ctx, "LOCAL-1")
		require.NoError(t, err)
		require.Len(t, versions, 2)
		require.Equal(t, a.Title, versions[1].Title)
		_, err = s.HandAdvisoryVersions(f.ctx, "LOCAL-9")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("what is withdrawn is not in force, is on record, and can be entered again", func(t *testing.T) {
		gone, err := s.WithdrawHandAdvisory(f.ctx, "LOCAL-2", "ana", at(5), "a mistake")
		require.NoError(t, err)
		same(t, at(5), gone.Withdrawn)
		require.Len(t, inForce(), 1)
		_, err = s.WithdrawHandAdvisory(f.ctx, "LOCAL-2", "ana", at(6), "again")
		require.ErrorIs(t, err, store.ErrFinal)
		_, err = s.WithdrawHandAdvisory(f.ctx, "LOCAL-9", "ana", at(6), "x")
		require.ErrorIs(t, err, store.ErrNotFound)
		all, err := s.HandAdvisories(f.ctx)
		require.NoError(t, err)
		require.Len(t, all, 2)
		require.Equal(t, "a mistake", all[1].Reason)
		require.Len(t, put("three", 7, b), 1)
		require.Len(t, inForce(), 2)
		versions, err := s.HandAdvisoryVersions(f.ctx, "LOCAL-2")
		require.NoError(t, err)
		require.Len(t, versions, 3)
	})
}
