package report_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/report"
	"github.com/patchcycle/patchcycle/store"
)

// grounds are three made-up advisories: one that is being exploited, one that is not,
// and one without a fix.
func (w *world) grounds() plan.Grounds {
	w.t.Helper()
	about := func(id patching.AdvisoryID, title, source, fixed string, days int, cves ...patching.CVE) patching.Advisory {
		return patching.Advisory{
			ID: id, Feed: "hand", Title: title, Kind: "security", Severity: "high", CVEs: cves, Published: opened.AddDate(0, 0, -days),
			Affected: []patching.Affected{{
				Platform: patching.Platform{ID: "debian", Release: "12"}, Package: source, Ranges: []patching.VersionRange{{Fixed: fixed}},
			}},
		}
	}
	tables, err := urgency.Shipped()
	w.must(err)
	chosen, err := urgency.Select(tables, "cyber-essentials")
	w.must(err)
	g := plan.Grounds{
		Kind: w.cycle.Kind, Judgement: assess.Judgement{Regimes: chosen, Unknown: urgency.AsWorst, AsOf: w.now},
		Feeds: []patching.FeedState{
			{FeedSource: patching.FeedSource{Name: "kev", StaleAfter: 48 * time.Hour}, Asked: opened.Add(-time.Hour), Edition: patching.FeedEdition{Digest: "k", Revision: "2026.01.13", Records: map[string]int{"risks": 1}}},
			{FeedSource: patching.FeedSource{Name: "ours", StaleAfter: 48 * time.Hour}, Asked: opened.AddDate(0, 0, -4), Edition: patching.FeedEdition{Digest: "o", Records: map[string]int{"advisories": 3}}},
		},
	}
	g.Assessor = assess.NewAssessor(assess.Knowledge{
		Advisories: assess.NewIndex([]patching.Advisory{
			about("HOUSE-1", "A handshake that never ends", "openssl", "3.0.17-1~deb12u2", 12, "CVE-2099-0001"),
			about("HOUSE-2", "A header that is too long", "nginx", "1.22.1-9+deb12u3", 3, "CVE-2099-0002", "CVE-2099-0003"),
			about("HOUSE-3", "A clock that is wrong", "tzdata", "", 3, "CVE-2099-0004"),
		}),
		Risks: assess.RisksBy([]patching.Risk{
			{CVE: "CVE-2099-0001", Exploited: &patching.Exploited{Feed: "kev", Added: opened.AddDate(0, 0, -2)}},
			{CVE: "CVE-2099-0002", EPSS: &patching.EPSS{Feed: "epss", Score: 0.42, Date: opened.AddDate(0, 0, -1)}, CVSS: []patching.CVSS{{Feed: "nvd", Version: "3.1", Score: 7.5}}},
		}),
		Catalogue: opened,
	}, g.Judgement)
	return g
}

// likes are the machines of the plan, those that are done with their patches in.
func (w *world) likes(g plan.Grounds, done map[patching.AssetID]bool) (all []plan.Likes) {
	for _, m := range w.fleet {
		b := w.bundles[m.item.Bundle]
		if b.Empty() {
			b = w.bundles[m.item.Would]
		}
		now := assess.Machine{Platform: patching.Platform{ID: "debian", Release: "12"}, Kernel: m.asset.OS.Kernel, Offers: map[assess.Installed]string{}}
		for _, p := range b.Patches() {
			if p.From != "" {
				now.Packages.Packages = append(now.Packages.Packages, patching.Package{Name: p.Name, Arch: p.Arch, Version: p.From})
			}
		}
		then := assess.After(now, b)
		if done[m.asset.ID] {
			now = then
		}
		l := plan.Likes{
			Machines: 1, Owners: []string{m.asset.Owner}, Class: assess.Class{Exposure: patching.Internet}, Begins: m.item.Start, Out: m.item.Exclude,
			Sample: m.asset.ID, On: w.decided,
			Has: g.Assessor.Kind(now).Matches(), Left: g.Assessor.Kind(then).Matches(), By: b.Patches(),
		}
		all = append(all, l)
	}
	return all
}

// stand looks which advisories the machines have at the end.
func (w *world) stand() {
	w.t.Helper()
	rows, err := w.Deployments(w.t.Context(), store.DeploymentFilter{Cycle: w.cycle.ID, Outcomes: []patching.Outcome{patching.Patched, patching.AlreadyUpToDate}})
	w.must(err)
	done := map[patching.AssetID]bool{}
	for _, d := range rows {
		done[d.Asset] = true
	}
	g := w.grounds()
	w.must(w.PutStanding(w.t.Context(), w.cycle.ID, g.Stand(w.likes(g, done))))
}

// Serves G1, G2, G4, G20.
func TestAReportSaysWhichAdvisoriesAreLeftOnHowManyMachines(t *testing.T) {
	d := tell(t, "successful")
	a, unpatched := d.Advisories, d.Total
	for _, o := range d.Outcomes {
		if o.Outcome == patching.Patched || o.Outcome == patching.AlreadyUpToDate {
			unpatched -= o.Count
		}
	}
	require.Len(t, a.Rows, 3)
	byID := map[patching.AdvisoryID]report.Advised{}
	for _, r := range a.Rows {
		require.LessOrEqual(t, *r.Have, r.Had, r.Advisory)
		byID[r.Advisory] = r
	}
	require.Equal(t, unpatched, *byID["HOUSE-1"].Have, "by inventory, not by what was planned")
	require.Equal(t, unpatched, *byID["HOUSE-1"].Overdue)
	require.Greater(t, byID["HOUSE-1"].Had, unpatched)
	require.True(t, *byID["HOUSE-1"].KEV)
	require.Equal(t, byID["HOUSE-3"].Had, *byID["HOUSE-3"].Have, "there is no fix")
	require.Contains(t, strings.Join(d.Summary.Sentences, " "), "Of 3 advisories that its machines had, 1 is gone from all of them, and 2 are left on some, 1 of them past the due date.")
	require.Contains(t, strings.Join(a.Warnings, " "), "The feed ours is stale")
}

// someDecisions are one to patch at once, a risk that is accepted, one to work around what
// nobody has a work-around for, and one that has expired.
func someDecisions() patching.Decisions {
	term := func(id patching.DecisionID, days int, until time.Time, reason string) patching.Term {
		return patching.Term{ID: id, By: "sam", Role: patching.RoleSecurityLead, At: opened.AddDate(0, 0, -days), Until: until, Reason: reason}
	}
	later := opened.AddDate(0, 2, 0)
	return patching.Decisions{
		Reviews: []patching.Review{
			{Term: term("review-1", 1, later, "seen at a neighbour's"), Subject: patching.Subject{Advisory: "HOUSE-2"}, Answer: patching.AnswerNow},
			{Term: term("review-2", 5, later, "nothing of ours reads that clock"), Subject: patching.Subject{CVE: "CVE-2099-0004"}, Answer: patching.AnswerAccept},
			{Term: term("review-3", 5, later, "only if TLS 1.0 is on"), Subject: patching.Subject{Advisory: "HOUSE-1"}, Answer: patching.AnswerWorkAround},
		},
		Exceptions: []patching.Exception{{
			Term: term("exception-1", 40, opened.AddDate(0, 0, -2), "the maker had to certify it"), Subject: patching.Subject{Package: "nginx"}, Owner: "web-team",
		}},
	}
}

// Serves G2, G20, U9.
func TestAReportNamesWhatPeopleDecidedBesideWhatTheRegimesSay(t *testing.T) {
	a := tell(t, "with-exceptions").Advisories
	byID := map[patching.AdvisoryID]report.Advised{}
	for _, r := range a.Rows {
		byID[r.Advisory] = r
	}
	now, accepted := byID["HOUSE-2"], byID["HOUSE-3"]
	require.Equal(t, urgency.Immediate, *now.HoldsLane)
	require.Equal(t, urgency.Scheduled, *now.Lane, "the regime's own stays")
	require.Contains(t, now.Decided[0], "Decided by sam (security-lead) until 2026-03-15: patch now: seen at a neighbour's. On ")
	require.Equal(t, urgency.Defer, *accepted.HoldsLane)
	require.Contains(t, accepted.Decided[0], "accept the risk")
	require.Empty(t, byID["HOUSE-1"].Decided, "without a work-around that counts for nothing")
	require.Contains(t, strings.Join(a.Warnings, " "), "review-3 by sam says to work around HOUSE-1, and no work-around is on record")
	require.Contains(t, strings.Join(a.Warnings, " "), "The exception exception-1 of web-team about package nginx expired on ")
	require.Len(t, a.Review, 1)
	require.Equal(t, patching.AgendaExpired, a.Review[0].Why)
}

// Serves Q2: what no source speaks of any more is not gone from machines for that.
func TestOfAnAdvisoryThatNoSourceHasAnyMoreNothingIsClaimed(t *testing.T) {
	w := successful(t)
	st, err := w.Standing(t.Context(), w.cycle.ID)
	w.must(err)
	delete(st.Has, "HOUSE-1")
	delete(st.Overdue, "HOUSE-1")
	st.Unknown = []patching.AdvisoryID{"HOUSE-1"}
	w.must(w.PutStanding(t.Context(), w.cycle.ID, st))
	d := w.build()
	for _, r := range d.Advisories.Rows {
		require.Equal(t, r.Advisory == "HOUSE-1", r.Have == nil, r.Advisory)
	}
	require.Contains(t, strings.Join(d.Summary.Sentences, " "), "; of 1 it is not known, as no source has them any more.")
	require.Contains(t, string(html(t, d)), ">not known</td>")
}
