package patching_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

var decided = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func aTerm() patching.Term {
	return patching.Term{ID: "d-1", By: "sam", Role: patching.RoleSecurityLead, At: decided, Until: decided.AddDate(0, 6, 0), Reason: "The vendor's fix breaks printing."}
}

func aReview() patching.Review {
	return patching.Review{Term: aTerm(), Subject: patching.Subject{Advisory: "DSA-1"}, Answer: patching.AnswerAccept}
}

func anException() patching.Exception {
	e := patching.Exception{Term: aTerm(), Subject: patching.Subject{Selector: `"medical" in tags`}, Owner: "radiology"}
	e.ReviewBy = e.Quarter()
	return e
}

// field is which field is wrong, empty: none.
func field(t *testing.T, err error) string {
	t.Helper()
	var m *patching.Misfit
	if err == nil {
		return ""
	}
	require.ErrorAs(t, err, &m)
	assert.NotEmpty(t, m.Words)
	return m.Field
}

// Serves G2, G6, U9.
func TestAReviewNeedsAnAnswerAReasonAnEndAndSomethingThatItIsAbout(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*patching.Review)
		wrong  string
	}{
		"all is there":             {func(*patching.Review) {}, ""},
		"about a CVE":              {func(r *patching.Review) { r.Subject = patching.Subject{CVE: "CVE-2026-1000"} }, ""},
		"no answer":                {func(r *patching.Review) { r.Answer = "" }, "answer"},
		"another answer":           {func(r *patching.Review) { r.Answer = "maybe" }, "answer"},
		"about machines alone":     {func(r *patching.Review) { r.Subject = patching.Subject{Selector: `site == "bern"`} }, "advisory"},
		"no CVE's name":            {func(r *patching.Review) { r.CVE = "CVE-26-1" }, "cve"},
		"no advisory's name":       {func(r *patching.Review) { r.Advisory = "D S A" }, "advisory"},
		"no package's name":        {func(r *patching.Review) { r.Package = "--all" }, "package"},
		"no reason":                {func(r *patching.Review) { r.Reason = " " }, "reason"},
		"a reason of two lines":    {func(r *patching.Review) { r.Reason = "a\nb" }, "reason"},
		"a reason without end":     {func(r *patching.Review) { r.Reason = strings.Repeat("a", 1001) }, "reason"},
		"no end":                   {func(r *patching.Review) { r.Until = time.Time{} }, "until"},
		"over already":             {func(r *patching.Review) { r.Until = r.At }, "until"},
		"a year, to its last hour": {func(r *patching.Review) { r.Until = time.Date(2027, 11, 20, 23, 59, 59, 0, time.UTC) }, ""},
		"longer than a year":       {func(r *patching.Review) { r.Until = r.At.AddDate(1, 0, 2) }, "until"},
	} {
		t.Run(name, func(t *testing.T) {
			r := aReview()
			c.change(&r)
			assert.Equal(t, c.wrong, field(t, r.Check()))
		})
	}
}

// Serves G2, G11.
func TestAnExceptionNeedsAnOwnerWhoIsNotTheOneThatMakesIt(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*patching.Exception)
		wrong  string
	}{
		"for machines":              {func(*patching.Exception) {}, ""},
		"for everything":            {func(e *patching.Exception) { e.Subject = patching.Subject{} }, "selector"},
		"no owner":                  {func(e *patching.Exception) { e.Owner = "" }, "owner"},
		"for themselves":            {func(e *patching.Exception) { e.Owner = "sam" }, "owner"},
		"with a blank behind":       {func(e *patching.Exception) { e.Owner = "sam\u00a0" }, "owner"},
		"in capitals":               {func(e *patching.Exception) { e.Owner = "SAM" }, "owner"},
		"with a letter of no width": {func(e *patching.Exception) { e.Owner = "sa\u200bm" }, "owner"},
		"from right to left":        {func(e *patching.Exception) { e.Owner = "\u202emas" }, "owner"},
		"somebody alike":            {func(e *patching.Exception) { e.Owner = "samantha" }, ""},
		"a reason that turns round": {func(e *patching.Exception) { e.Reason = "yes \u202eon" }, "reason"},
		"a reason with a command":   {func(e *patching.Exception) { e.Reason = "\x9b2J" }, "reason"},
		"a measure of two lines":    {func(e *patching.Exception) { e.Measure = "a\u2028b" }, "measure"},
		"no reason":                 {func(e *patching.Exception) { e.Reason = "" }, "reason"},
		"no end":                    {func(e *patching.Exception) { e.Until = time.Time{} }, "until"},
		"a review after its end":    {func(e *patching.Exception) { e.ReviewBy = e.Until.Add(time.Second) }, "review_by"},
		"no review":                 {func(e *patching.Exception) { e.ReviewBy = time.Time{} }, "review_by"},
		"a measure that is a novel": {func(e *patching.Exception) { e.Measure = strings.Repeat("a", 1001) }, "measure"},
	} {
		t.Run(name, func(t *testing.T) {
			e := anException()
			c.change(&e)
			assert.Equal(t, c.wrong, field(t, e.Check()))
		})
	}
	e := anException()
	assert.Equal(t, decided.AddDate(0, 3, 0), e.Quarter())
	e.Until = decided.AddDate(0, 1, 0)
	assert.Equal(t, e.Until, e.Quarter(), "one that is over before is looked at then")
}

// Serves G6: what held on a past day can be asked.
func TestADecisionHoldsFromWhenItIsMadeUntilItEnds(t *testing.T) {
	term := aTerm()
	ended, renewed, late := term, term, term
	ended.Ended = patching.Ending{Decision: "d-1", At: decided.AddDate(0, 1, 0), By: "sam"}
	renewed.Ended = ended.Ended
	renewed.Ended.RenewedBy = "d-2"
	late.Ended = patching.Ending{Decision: "d-1", At: term.Until.Add(time.Hour), By: "sam", RenewedBy: "d-2"}
	for name, c := range map[string]struct {
		term patching.Term
		at   time.Time
		want patching.TermState
	}{
		"before it was made":               {term, decided.Add(-time.Second), patching.TermAhead},
		"at once":                          {term, decided, patching.TermHolds},
		"at its last instant":              {term, term.Until, patching.TermHolds},
		"after it":                         {term, term.Until.Add(1), patching.TermExpired},
		"before it was ended":              {ended, ended.Ended.At.Add(-1), patching.TermHolds},
		"when it was ended":                {ended, ended.Ended.At, patching.TermEnded},
		"long after it was ended":          {ended, term.Until.Add(1), patching.TermEnded},
		"when another one took its place":  {renewed, renewed.Ended.At, patching.TermRenewed},
		"renewed when it was over already": {late, late.Ended.At, patching.TermExpired},
	} {
		assert.Equal(t, c.want, c.term.State(c.at), name)
		assert.Equal(t, c.want == patching.TermHolds, c.term.InForce(c.at), name)
	}
}

// Serves G2.
func TestASubjectTouchesAnyPartOfAMatterAndCoversOnlyAllOfIt(t *testing.T) {
	two := patching.Matter{Advisory: "DSA-1", CVEs: []patching.CVE{"CVE-2026-1000", "CVE-2026-2000"}, Packages: []patching.Package{{Name: "libssl3", Source: "openssl"}, {Name: "openssl"}}}
	alone := patching.Matter{Advisory: "CVE-2026-1000", Packages: []patching.Package{{Name: "zlib1g", Source: "zlib"}}}
	for name, c := range map[string]struct {
		s               patching.Subject
		m               patching.Matter
		touches, covers bool
	}{
		"the advisory":                    {patching.Subject{Advisory: "DSA-1"}, two, true, true},
		"another one":                     {patching.Subject{Advisory: "DSA-2"}, two, false, false},
		"one of its flaws":                {patching.Subject{CVE: "CVE-2026-1000"}, two, true, false},
		"the advisory for one of them":    {patching.Subject{Advisory: "DSA-1", CVE: "CVE-2026-1000"}, two, true, true},
		"another flaw":                    {patching.Subject{CVE: "CVE-2026-3000"}, two, false, false},
		"the only flaw":                   {patching.Subject{CVE: "CVE-2026-1000"}, patching.Matter{Advisory: "DSA-3", CVEs: []patching.CVE{"CVE-2026-1000"}}, true, true},
		"a flaw that is its own advisory": {patching.Subject{CVE: "CVE-2026-1000"}, alone, true, true},
		"the source of all packages":      {patching.Subject{Package: "openssl"}, two, true, true},
		"one of the packages":             {patching.Subject{Package: "libssl3"}, two, true, false},
		"the advisory, another package":   {patching.Subject{Advisory: "DSA-1", Package: "zlib"}, two, false, false},
		"machines":                        {patching.Subject{Selector: `site == "bern"`}, two, true, true},
	} {
		assert.Equal(t, c.touches, c.s.Touches(c.m), name)
		assert.Equal(t, c.covers, c.s.Covers(c.m), name)
	}
	assert.Equal(t, `DSA-1, CVE-2026-1000, package openssl where site == "bern"`, patching.Subject{Advisory: "DSA-1", CVE: "CVE-2026-1000", Package: "openssl", Selector: `site == "bern"`}.Words())
	assert.Equal(t, `everything where site == "bern"`, patching.Subject{Selector: `site == "bern"`}.Words())
}

// Serves U9, G6.
func TestOnlyASecurityLeadWhoWritesNoPoliciesAcceptsARisk(t *testing.T) {
	for name, c := range map[string]struct {
		roles []patching.Role
		may   bool
	}{
		"a security lead":                 {[]patching.Role{patching.RoleSecurityLead, patching.RoleOperator}, true},
		"a security lead and an author":   {[]patching.Role{patching.RoleSecurityLead, patching.RoleAuthor}, false},
		"an administrator":                {[]patching.Role{patching.RoleAdmin}, false},
		"everybody else, all roles taken": {[]patching.Role{patching.RoleApprover, patching.RoleOperator, patching.RoleSiteAdmin, patching.RoleAuditor}, false},
	} {
		words := patching.Account{Name: "sam", Roles: c.roles}.MayAcceptRisk()
		assert.Equal(t, c.may, words == "", "%s: %s", name, words)
	}
	for _, a := range patching.Answers() {
		assert.True(t, a.Valid())
		assert.Equal(t, a != patching.AnswerNow, a.AcceptsRisk(), a)
	}
}
