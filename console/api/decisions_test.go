package api_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	planning "github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/store"
)

func inDays(n int) time.Time { return noon.AddDate(0, 0, n) }

// audited is the newest entry of the record.
func (h *house) audited() patching.AuditEntry {
	h.t.Helper()
	all, err := h.store.Audit(h.t.Context(), 0, 0)
	require.NoError(h.t, err)
	require.NotEmpty(h.t, all)
	return all[len(all)-1]
}

// Serves G2, G6, U9.
func TestASecurityLeadDecidesHowUrgentSomethingIsAndThatIsOnRecord(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	accept := wire.NewReview{Subject: wire.Subject{Advisory: "DSA-1", Selector: `site == "tokyo"`}, Answer: patching.AnswerAccept, Reason: "not reachable there", Until: inDays(60)}
	a, err := sam.AddReview(ctx, accept, "key-1")
	require.NoError(t, err)
	assert.Regexp(t, `^review-[0-9a-f]{10}$`, a.Review.ID)
	assert.Equal(t, patching.AccountName("sam"), a.Review.By)
	assert.Equal(t, patching.RoleSecurityLead, a.Review.Role)
	assert.Equal(t, patching.TermHolds, a.Review.State)
	assert.Equal(t, "It is about 1 machine of 3.", a.Words)
	entry := h.audited()
	assert.Equal(t, "review urgency", entry.Verb)
	assert.Equal(t, string(a.Review.ID), entry.Subject)
	assert.Equal(t, `accept the risk for DSA-1 where site == "tokyo"; until 2027-01-19; reason "not reachable there"`, entry.Body)

	// What was lost on the way is sent again.
	again, err := sam.AddReview(ctx, accept, "key-1")
	require.NoError(t, err)
	assert.Equal(t, a.Review, again.Review)
	assert.Equal(t, entry, h.audited(), "and counts once")
	other := accept
	other.Answer = patching.AnswerNow
	_, err = sam.AddReview(ctx, other, "key-1")
	problem(t, err, http.StatusConflict, wire.CodeConflict)

	sooner, err := sam.AddReview(ctx, wire.NewReview{Subject: wire.Subject{Advisory: "cve-2026-1000"}, Answer: patching.AnswerNow, Reason: "exploited", Until: inDays(5)}, "")
	require.NoError(t, err)
	assert.Equal(t, "It is about all machines.", sooner.Words)
	assert.Equal(t, wire.Subject{CVE: "CVE-2026-1000"}, sooner.Review.Subject, "what looks like a CVE is one")
	list, err := sam.Reviews(ctx, false)
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	assert.Equal(t, sooner.Review.ID, list.Items[0].ID, "what ends soon stands first")

	_, err = sam.EndReview(ctx, sooner.Review.ID, "it was\u202e a false alarm")
	p := problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Equal(t, "letter 7 is U+202E, which is not to be seen: write one line without it", p.Errors[0].Message)
	ended, err := sam.EndReview(ctx, sooner.Review.ID, "it was a false alarm")
	require.NoError(t, err)
	assert.Equal(t, patching.TermEnded, ended.Review.State)
	assert.Equal(t, "end review", h.audited().Verb)
	_, err = sam.EndReview(ctx, sooner.Review.ID, "again")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	_, err = sam.EndReview(ctx, "review-0", "nothing")
	p = problem(t, err, http.StatusNotFound, wire.CodeNotFound)
	assert.Equal(t, "There is no review review-0.", p.Detail)
	list, err = sam.Reviews(ctx, false)
	require.NoError(t, err)
	assert.Len(t, list.Items, 1)
	list, err = sam.Reviews(ctx, true)
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	assert.Equal(t, a.Review.ID, list.Items[0].ID, "what holds stands before what does not")

	// What was decided is what planning finds.
	all, err := h.store.DecisionsAt(ctx, noon)
	require.NoError(t, err)
	book, err := urgency.OpenBook(all, noon)
	require.NoError(t, err)
	on, err := book.On(&patching.Asset{ID: "a-3", Site: "tokyo"})
	require.NoError(t, err)
	d := urgency.Decide(patching.Matter{Asset: "a-3", Advisory: "DSA-1"}, nil, on, noon)
	require.NotNil(t, d.By)
	assert.Equal(t, a.Review.ID, d.By.ID)
	assert.True(t, d.Hold)
}

// Serves G2, U9.
func TestWhatWaitsToBeReviewedIsAskedOfAllPolicies(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	_, err := sam.AddException(ctx, wire.NewException{Subject: wire.Subject{Package: "nginx"}, Owner: "web-team", Reason: "r", Until: inDays(9)}, "")
	require.NoError(t, err)
	due := func(days int, lane urgency.Lane) *urgency.Deadline {
		return &urgency.Deadline{Lane: lane, Due: noon.AddDate(0, 0, days)}
	}
	require.NoError(t, h.store.ApplyPolicy(ctx, store.PolicyVersion{Name: "web", Source: []byte("policy: web\n"), Applied: noon, By: "ana"}))
	h.coming = planning.Remediation{Remedies: []planning.Remedy{
		{Advisory: "DSA-2", Deadline: due(14, urgency.OutOfCycle), Clears: 3, Stays: map[planning.Staying]int{planning.NoFix: 2}},
		{Advisory: "DSA-3", Deadline: due(3, urgency.Immediate), Clears: 1},
		{Advisory: "DSA-4", Deadline: due(3, urgency.Immediate), Decided: []planning.DecidedOn{{}}},
		{Advisory: "DSA-5", Deadline: due(30, urgency.Scheduled)},
		{Advisory: "DSA-6"},
	}}
	w, err := h.as("aud", "*", patching.RoleAuditor).Waiting(ctx)
	require.NoError(t, err)
	require.Len(t, w.Advisories, 2, "neither what is decided nor what the monthly cycle does")
	assert.Equal(t, patching.AdvisoryID("DSA-3"), w.Advisories[0].Advisory, "what is due first")
	assert.Equal(t, 5, w.Advisories[1].Machines, "also those that keep it")
	other, err := h.as("site", "site:tokyo", patching.RoleSiteAdmin).Waiting(ctx)
	require.NoError(t, err)
	assert.Empty(t, other.Advisories, "what machines miss is told of policies in scope")
	require.Len(t, w.Decisions, 1)
	assert.Equal(t, patching.AgendaEnds, w.Decisions[0].Why)
}

// Serves G2, U9.
func TestADecisionAboutWhatNoFeedKnowsIsTakenAndWarnedOf(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	for _, about := range []wire.Subject{{Advisory: "DSA-11"}, {CVE: "CVE-2026-1001"}, {Advisory: "DSA-1"}, {CVE: "CVE-2026-1000"}, {Package: "nginx"}} {
		want := ""
		if name := string(about.Advisory) + string(about.CVE); name == "DSA-11" || name == "CVE-2026-1001" {
			want = "No feed knows " + name + ": is it written as its publisher writes it?"
		}
		r, err := sam.AddReview(ctx, wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}, "")
		require.NoError(t, err, "never refused")
		e, err := sam.AddException(ctx, wire.NewException{Subject: about, Owner: "web-team", Reason: "r", Until: inDays(9)}, "")
		require.NoError(t, err)
		w, err := sam.AddWorkAround(ctx, wire.NewWorkAround{Subject: about, What: "w", Owner: "web-team", Reason: "r"}, "")
		require.NoError(t, err)
		for _, got := range []string{r.Warning, e.Warning, w.Warning} {
			assert.Contains(t, got, want)
			assert.Equal(t, want == "", got == "", got)
		}
	}
}

// Serves G6, U9.
func TestARiskIsAcceptedByNobodyWhoWritesPoliciesOrOwnsIt(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	both := h.as("bo", "*", patching.RoleSecurityLead, patching.RoleAuthor)
	about := wire.Subject{Advisory: "DSA-1"}
	for _, answer := range []patching.Answer{patching.AnswerAccept, patching.AnswerWorkAround, patching.AnswerMonthly} {
		_, err := both.AddReview(ctx, wire.NewReview{Subject: about, Answer: answer, Reason: "r", Until: inDays(9)}, "")
		p := problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
		assert.Contains(t, p.Detail, "bo is an author of policies as well")
	}
	now, err := both.AddReview(ctx, wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}, "")
	require.NoError(t, err, "whoever makes it more urgent accepts no risk")
	_, err = both.EndReview(ctx, now.Review.ID, "calm")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = both.AddException(ctx, wire.NewException{Subject: about, Owner: "it", Reason: "r", Until: inDays(9)}, "")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)

	sam := h.as("sam", "*", patching.RoleSecurityLead)
	_, err = sam.AddException(ctx, wire.NewException{Subject: about, Owner: "sam", Reason: "r", Until: inDays(9)}, "")
	p := problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Contains(t, p.Detail, "sam cannot make an exception for themselves")
	own := func(owner string) error {
		_, err := sam.AddException(ctx, wire.NewException{Subject: about, Owner: owner, Reason: "r", Until: inDays(9)}, "")
		return err
	}
	for _, owner := range []string{"sam ", "Sam", "s\u200bam", "\u202emas"} {
		p := problem(t, own(owner), http.StatusUnprocessableEntity, wire.CodeInvalid)
		assert.Equal(t, "body.owner", p.Errors[0].Location, "%q", owner)
	}
	require.NoError(t, own(" Security-Lead"), "bo is one, too")
	h.as("bo", "*", patching.RoleAuthor)
	p = problem(t, own(" Security-Lead"), http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Contains(t, p.Detail, "nobody but sam is security-lead: name somebody else")
	limited := h.as("lin", "site:tokyo", patching.RoleSecurityLead)
	_, err = limited.AddReview(ctx, wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}, "")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
}

// Serves G2, G11.
func TestAnExceptionIsMadeRenewedAndEndedWithEachStepOnRecord(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	one, err := sam.AddException(ctx, wire.NewException{
		Subject: wire.Subject{Selector: `hostname in ["host-a-1"]`}, Owner: "radiology", Reason: "not certified", Measure: "a network of its own", Until: inDays(200),
	}, "")
	require.NoError(t, err)
	assert.Equal(t, noon.AddDate(0, 3, 0), one.Exception.ReviewBy)
	assert.False(t, one.Exception.Due)
	assert.Equal(t, "It is about 1 machine of 3.", one.Words)

	two, err := sam.AddException(ctx, wire.NewException{Renews: one.Exception.ID, Reason: "not certified yet", Until: inDays(300), ReviewBy: inDays(30)}, "key")
	require.NoError(t, err)
	assert.Equal(t, one.Exception.Subject, two.Exception.Subject)
	assert.Equal(t, "radiology", two.Exception.Owner)
	assert.Equal(t, "a network of its own", two.Exception.Measure)
	assert.Equal(t, inDays(30), two.Exception.ReviewBy)
	assert.Contains(t, h.audited().Body, "renews "+string(one.Exception.ID))
	again, err := sam.AddException(ctx, wire.NewException{Renews: one.Exception.ID, Reason: "not certified yet", Until: inDays(300)}, "key")
	require.NoError(t, err)
	assert.Equal(t, two.Exception, again.Exception)

	before := h.audited()
	_, err = sam.AddException(ctx, wire.NewException{Renews: one.Exception.ID, Reason: "r", Until: inDays(300)}, "")
	p := problem(t, err, http.StatusConflict, wire.CodeConflict)
	assert.Equal(t, string(one.Exception.ID)+" was renewed on 2026-11-20 by sam.", p.Detail)
	assert.Equal(t, "Renew that one: --renews "+string(two.Exception.ID), p.WayOut)
	assert.Equal(t, before, h.audited())
	_, err = sam.AddException(ctx, wire.NewException{Renews: two.Exception.ID, Subject: wire.Subject{Advisory: "DSA-2"}, Reason: "r", Until: inDays(300)}, "")
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	_, err = sam.AddException(ctx, wire.NewException{Renews: "exception-0", Reason: "r", Until: inDays(300)}, "")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)

	list, err := sam.Exceptions(ctx, true)
	require.NoError(t, err)
	require.Len(t, list.Items, 2)
	assert.Equal(t, patching.TermRenewed, list.Items[1].State)
	require.NotNil(t, list.Items[1].Ended)
	assert.Equal(t, two.Exception.ID, list.Items[1].Ended.RenewedBy)

	gone, err := sam.ExpireException(ctx, two.Exception.ID, "certified")
	require.NoError(t, err)
	assert.Equal(t, patching.TermEnded, gone.Exception.State)
	list, err = sam.Exceptions(ctx, false)
	require.NoError(t, err)
	assert.Empty(t, list.Items)
	_, err = sam.ExpireException(ctx, "exception-0", "r")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves G2, Q7.
func TestADecisionThatLacksSomethingIsRefusedWithItsFieldAndTheWayOut(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	about := wire.Subject{Advisory: "DSA-1"}
	review := func(r wire.NewReview) error { _, err := sam.AddReview(ctx, r, ""); return err }
	except := func(e wire.NewException) error { _, err := sam.AddException(ctx, e, ""); return err }
	around := func(w wire.NewWorkAround) error { _, err := sam.AddWorkAround(ctx, w, ""); return err }
	for name, c := range map[string]struct {
		err         error
		where, says string
	}{
		"no reason":           {review(wire.NewReview{Subject: about, Answer: patching.AnswerNow, Until: inDays(9)}), "body.reason", "say why"},
		"no end":              {review(wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r"}), "body.until", "say until when"},
		"too long":            {review(wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r", Until: inDays(400)}), "body.until", "2027-12-25 is more than a year away"},
		"over":                {review(wire.NewReview{Subject: about, Answer: patching.AnswerNow, Reason: "r", Until: inDays(-1)}), "body.until", "2026-11-19 is over"},
		"about nothing":       {review(wire.NewReview{Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}), "body.advisory", "say what it is about"},
		"nearly a CVE":        {review(wire.NewReview{Subject: wire.Subject{Advisory: "cve-2026-1"}, Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}), "body.advisory", "such as CVE-2024-3094"},
		"a selector's slip":   {review(wire.NewReview{Subject: wire.Subject{Advisory: "DSA-1", Selector: `sight == "x"`}, Answer: patching.AnswerNow, Reason: "r", Until: inDays(9)}), "body.selector", "the facts are hostname, site"},
		"no owner":            {except(wire.NewException{Subject: about, Reason: "r", Until: inDays(9)}), "body.owner", "say who answers for it"},
		"for everything":      {except(wire.NewException{Owner: "it", Reason: "r", Until: inDays(9)}), "body.selector", "say what it is about"},
		"a review afterwards": {except(wire.NewException{Subject: about, Owner: "it", Reason: "r", Until: inDays(9), ReviewBy: inDays(10)}), "body.review_by", "take a day between them"},
		"nothing to be done":  {around(wire.NewWorkAround{Subject: about, Owner: "it", Reason: "r"}), "body.what", "say what is to be done"},
		"no owner of it":      {around(wire.NewWorkAround{Subject: about, What: "w", Reason: "r"}), "body.owner", "say who answers for it"},
		"no reason for it":    {around(wire.NewWorkAround{Subject: about, What: "w", Owner: "it"}), "body.reason", "say why"},
	} {
		p := problem(t, c.err, http.StatusUnprocessableEntity, wire.CodeInvalid)
		require.Len(t, p.Errors, 1, name)
		assert.Equal(t, c.where, p.Errors[0].Location, name)
		assert.Contains(t, p.Errors[0].Message, c.says, name)
	}
	all, err := h.store.Audit(ctx, 0, 0)
	require.NoError(t, err)
	assert.Empty(t, all, "what is not taken is not on record")
}

// Serves G2, U6.
func TestAWorkAroundIsFollowedMachineByMachineWithinOnesSites(t *testing.T) {
	h := newHouse(t)
	h.fleet() // a-1 and a-2 in Amsterdam, a-3 in Tokyo
	ctx := t.Context()
	sue, olga := h.as("sue", "site:amsterdam", patching.RoleSiteAdmin), h.as("olga", "*", patching.RoleOperator)
	a, err := olga.AddWorkAround(ctx, wire.NewWorkAround{Subject: wire.Subject{CVE: "CVE-2026-1000"}, What: "switch it off", Owner: "it", Reason: "no fix yet"}, "key")
	require.NoError(t, err)
	assert.Equal(t, patching.WorkAroundProposed, a.WorkAround.State)
	assert.Contains(t, a.Words, "patchcycle workaround place "+string(a.WorkAround.ID))
	again, err := olga.AddWorkAround(ctx, wire.NewWorkAround{Subject: wire.Subject{CVE: "CVE-2026-1000"}, What: "switch it off", Owner: "it", Reason: "no fix yet"}, "key")
	require.NoError(t, err)
	assert.Equal(t, a.WorkAround, again.WorkAround)

	id := a.WorkAround.ID
	step := func(c *client.Client, state patching.WorkAroundState, on ...patching.AssetID) (wire.WorkAroundAnswer, error) {
		return c.StepWorkAround(ctx, id, wire.NewWorkAroundStep{State: state, Assets: on, Note: "curl answers 403"})
	}
	placed, err := step(sue, patching.WorkAroundInPlace, "a-1")
	require.NoError(t, err)
	assert.Equal(t, []patching.AssetID{"a-1"}, placed.WorkAround.Machines)
	assert.Contains(t, h.audited().Body, `in place on a-1; "curl answers 403"`)
	_, err = step(sue, patching.WorkAroundInPlace, "a-3")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = step(olga, patching.WorkAroundInPlace, "a-9")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
	_, err = step(olga, patching.WorkAroundInPlace)
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	_, err = step(olga, patching.WorkAroundInPlace, "a-3")
	require.NoError(t, err)

	seen, err := sue.WorkAround(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, []patching.AssetID{"a-1"}, seen.Machines, "she sees hers")
	assert.Equal(t, 1, seen.Others)
	require.Len(t, seen.Steps, 3)
	assert.Equal(t, patching.RoleSiteAdmin, seen.Steps[1].Role)
	_, err = step(sue, patching.WorkAroundLeaving)
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed) // it is in Tokyo, too

	_, err = step(olga, patching.WorkAroundLeaving)
	require.NoError(t, err)
	_, err = step(sue, patching.WorkAroundRemoved, "a-1")
	require.NoError(t, err)
	done, err := step(olga, patching.WorkAroundRemoved)
	require.NoError(t, err)
	assert.Equal(t, patching.WorkAroundRemoved, done.WorkAround.State)
	list, err := olga.WorkArounds(ctx, false)
	require.NoError(t, err)
	assert.Empty(t, list.Items)
	list, err = olga.WorkArounds(ctx, true)
	require.NoError(t, err)
	assert.Len(t, list.Items, 1)
	_, err = olga.WorkAround(ctx, "workaround-0")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves G2, U9.
func TestAnExceptionThatLeavesOutNoMachineIsRefusedHoweverItSaysSo(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	sam := h.as("sam", "*", patching.RoleSecurityLead)
	add := func(about wire.Subject) error {
		_, err := sam.AddException(ctx, wire.NewException{Subject: about, Owner: "it", Reason: "r", Until: inDays(9)}, "")
		return err
	}
	refused := func(selector string) {
		t.Helper()
		p := problem(t, add(wire.Subject{Selector: selector}), http.StatusUnprocessableEntity, wire.CodeInvalid)
		assert.Equal(t, "body.selector", p.Errors[0].Location)
		assert.Contains(t, p.Detail, "takes every machine that is known now, and would be no patching: narrow it, or say an advisory, a CVE or a package")
	}
	refused("true") // of a fleet that is still to come as well
	require.NoError(t, add(wire.Subject{Selector: `site == "bern"`}))
	h.fleet()
	for _, selector := range []string{"true", ` 1 < 2 || site == "tokyo"`, `site != "bern"`, `hostname in ["host-a-1", "host-a-2", "host-a-3"]`} {
		refused(selector)
	}
	require.NoError(t, add(wire.Subject{Selector: `site == "tokyo"`}))
	require.NoError(t, add(wire.Subject{Selector: "true", Package: "openssl"}), "a package, on all of them")
}

// Serves G2, U6.
func TestAWorkAroundIsProposedWithinOnesSitesAndPlacedWhereItIsAbout(t *testing.T) {
	h := newHouse(t)
	h.fleet() // a-1 and a-2 in Amsterdam, a-3 in Tokyo
	ctx := t.Context()
	sue, olga := h.as("sue", "site:amsterdam", patching.RoleSiteAdmin), h.as("olga", "*", patching.RoleOperator)
	add := func(c *client.Client, selector string) (wire.WorkAroundAnswer, error) {
		return c.AddWorkAround(ctx, wire.NewWorkAround{Subject: wire.Subject{CVE: "CVE-2026-1000", Selector: selector}, What: "w", Owner: "it", Reason: "r"}, "")
	}
	for _, selector := range []string{"", "true", `site == "tokyo"`} {
		_, err := add(sue, selector)
		p := problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
		assert.Contains(t, p.Detail, "sue is limited to", selector)
		assert.Contains(t, p.WayOut, "Narrow it to your sites", selector)
	}
	all, err := h.store.Audit(ctx, 0, 0)
	require.NoError(t, err)
	assert.Empty(t, all)
	_, err = add(sue, `site == "amsterdam"`)
	require.NoError(t, err)

	one, err := add(olga, `hostname == "host-a-1"`)
	require.NoError(t, err)
	place := func(on ...patching.AssetID) error {
		_, err := olga.StepWorkAround(ctx, one.WorkAround.ID, wire.NewWorkAroundStep{State: patching.WorkAroundInPlace, Assets: on, Note: "seen"})
		return err
	}
	p := problem(t, place("a-1", "a-2"), http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Equal(t, "body.assets", p.Errors[0].Location)
	assert.Contains(t, p.Detail, "a-2 is not among the machines that "+string(one.WorkAround.ID)+` is about, hostname == "host-a-1"`)
	is, err := olga.WorkAround(ctx, one.WorkAround.ID)
	require.NoError(t, err)
	assert.Empty(t, is.Machines, "none of them, then")
	require.NoError(t, place("a-1"))
}

const byHand = `advisories:
  - id: LOCAL-2026-1
    title: The billing agent writes passwords to its log
    kind: security
    cves: [CVE-2026-1000]
    platform: debian 12
    package: billing-agent
    fixed: 2.10
  - id: LOCAL-2026-2
    title: openssl, before the vendor says so
    platform: debian 12
    source: openssl
`

// Serves G4.
func TestAnAdvisoryEnteredByHandCountsUntilItIsWithdrawnAndStaysOnRecord(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	olga := h.as("olga", "*", patching.RoleOperator)
	inForce := func() []patching.AdvisoryID {
		t.Helper()
		all, err := h.store.AdvisoriesByHand(ctx)
		require.NoError(t, err)
		var ids []patching.AdvisoryID
		for _, a := range all {
			ids = append(ids, a.ID)
		}
		return ids
	}
	entered, err := olga.AddAdvisories(ctx, "local.yaml", []byte(byHand))
	require.NoError(t, err)
	require.Len(t, entered.Items, 2)
	assert.Equal(t, "2 advisories are in force.", entered.Words)
	assert.Equal(t, []wire.Affected{{Platform: "debian 12", Package: "billing-agent", Fixed: "2.10"}}, entered.Items[0].Affected)
	assert.Equal(t, "LOCAL-2026-1, LOCAL-2026-2", h.audited().Subject)
	assert.Equal(t, []patching.AdvisoryID{"LOCAL-2026-1", "LOCAL-2026-2"}, inForce())
	entered, err = olga.AddAdvisories(ctx, "local.yaml", []byte(byHand))
	require.NoError(t, err)
	assert.Empty(t, entered.Items)
	assert.Equal(t, 2, entered.Same)

	_, err = olga.AddAdvisories(ctx, "local.yaml", []byte("advisories:\n  - id: A B\n  - title: c\n"))
	p := problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Contains(t, p.Detail, `line 2: id "A B": want`)
	assert.Contains(t, p.Detail, "advisory 2 () has no id")
	_, err = olga.AddAdvisories(ctx, "policy.yaml", []byte("policy: demo\n"))
	p = problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	assert.Contains(t, p.Detail, `begin with "advisories:"`)
	assert.Len(t, inForce(), 2, "what was in force stays")

	_, err = olga.WithdrawAdvisory(ctx, "LOCAL-2026-1", "two\nlines")
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	gone, err := olga.WithdrawAdvisory(ctx, "LOCAL-2026-2", "the vendor has it now")
	require.NoError(t, err)
	assert.Equal(t, noon, gone.Withdrawn)
	assert.Equal(t, []patching.AdvisoryID{"LOCAL-2026-1"}, inForce())
	_, err = olga.WithdrawAdvisory(ctx, "LOCAL-2026-2", "again")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	_, err = olga.WithdrawAdvisory(ctx, "LOCAL-0", "r")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)

	detail, err := olga.Advisory(ctx, "LOCAL-2026-2")
	require.NoError(t, err)
	assert.Equal(t, byHand, detail.Source)
	require.Len(t, detail.Versions, 2)
	assert.Equal(t, "the vendor has it now", detail.Reason)
	count := func(all bool) int {
		list, err := olga.Advisories(context.WithoutCancel(ctx), all)
		require.NoError(t, err)
		return len(list.Items)
	}
	assert.Equal(t, 1, count(false))
	assert.Equal(t, 2, count(true))
}
