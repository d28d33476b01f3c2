package notice_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

func ids(names ...patching.AdvisoryID) []patching.AdvisoryID { return names }

// words are notices as "kind site subject: words".
func words(all []notice.Notice) (out []string) {
	for _, n := range all {
		out = append(out, fmt.Sprintf("%s %s %s: %s", n.Kind, n.Site, n.Subject, n.Words))
	}
	return out
}

// Serves G4: new patches are told by role and site, a digest and not a flood.
func TestWhatIsNewToAPolicyIsToldOnceASiteAndNeverOnceAMachine(t *testing.T) {
	a := notice.Ahead{Policy: "servers", Alike: []notice.Alike{{Site: "berlin", Machines: 3, Has: ids("DSA-1")}}}
	news, told := a.News(nil, noon)
	require.Empty(t, news, "what is there at the first look is no news")
	news, told = a.News(told, noon.AddDate(0, 0, 1))
	require.Empty(t, news)

	exploited := true
	a.Alike = []notice.Alike{
		{Site: "berlin", Machines: 3, Has: ids("DSA-1", "DSA-2"), Gets: ids("DSA-1")},
		{Site: "berlin", Machines: 4, Has: ids("DSA-2", "DSA-3")},
		{Site: "tokyo", Machines: 5, Has: ids("DSA-3")},
		{Site: "oslo", Machines: 9, Has: ids("DSA-1"), Gets: ids("DSA-1")},
	}
	a.Remediation.Remedies = []plan.Remedy{{
		Advisory: "DSA-3", KEV: &exploited, Deadline: &urgency.Deadline{Lane: urgency.Immediate, Due: noon.AddDate(0, 0, 3)},
	}}
	news, told = a.News(told, noon.AddDate(0, 0, 2))
	require.Equal(t, []string{
		"new-advisory berlin servers: 2 advisories, on 7 machines: DSA-3 (known to be exploited, due 23 Nov 2026), DSA-2",
		"new-advisory tokyo servers: 1 advisory, on 5 machines: DSA-3 (known to be exploited, due 23 Nov 2026)",
		"new-patches berlin servers: patches for 1 advisory, on 3 machines: DSA-1",
		"new-patches oslo servers: patches for 1 advisory, on 9 machines: DSA-1",
	}, words(news))
	require.Equal(t, notice.Important, news[0].Severity)
	require.Equal(t, notice.Routine, news[2].Severity)
	news, told = a.News(told, noon.AddDate(0, 0, 3))
	require.Empty(t, news)

	gone := notice.Ahead{Policy: "servers"}
	_, told = gone.News(told, noon.AddDate(0, 0, 80))
	require.Len(t, told, 3)
	_, told = gone.News(told, noon.AddDate(0, 0, 120))
	require.Empty(t, told, "the record does not grow for ever")
	require.NotNil(t, told)
	news, _ = a.News(told, noon.AddDate(0, 0, 121))
	require.NotEmpty(t, news)
}

// Each advisory that a site's machines have is told there or was told before, whichever way
// the machines come; and what was told is told no second time.
func TestNoAdvisoryIsLostAndNoneIsToldTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := rapid.SliceOfNDistinct(rapid.IntRange(0, 9), 0, 10, rapid.ID[int])
		draw := func() notice.Ahead {
			a := notice.Ahead{Policy: "p"}
			for range rapid.IntRange(0, 4).Draw(t, "groups") {
				l := notice.Alike{Site: rapid.SampledFrom([]patching.SiteName{"a", "b"}).Draw(t, "site"), Machines: 1}
				for _, i := range some.Draw(t, "has") {
					l.Has = append(l.Has, patching.AdvisoryID(fmt.Sprint("A-", i)))
				}
				l.Gets = l.Has[:len(l.Has)/2]
				a.Alike = append(a.Alike, l)
			}
			return a
		}
		_, told := draw().News(nil, noon)
		a := draw()
		news, next := a.News(told, noon)
		for _, l := range a.Alike {
			for _, id := range l.Has {
				_, before := told[id]
				is := slices.ContainsFunc(news, func(n notice.Notice) bool { return n.Kind == notice.NewAdvisory && n.Site == l.Site })
				require.True(t, before || is, "%s at %s", id, l.Site)
				require.Contains(t, next, id)
			}
		}
		again, same := a.News(next, noon)
		require.Empty(t, again)
		require.Equal(t, next, same)
		require.LessOrEqual(t, len(news), 4, "two kinds, two sites")
	})
}

// Serves G4: known issues are told, of what would be installed.
func TestAKnownIssueIsToldOnceAndAgainWhenItChangesAndNoneIsLost(t *testing.T) {
	about := &patching.Advisory{ID: "KB1"}
	a := notice.Ahead{
		Policy: "windows", Alike: []notice.Alike{{Site: "berlin", Machines: 3, Has: ids("KB1", "KB2"), Gets: ids("KB1")}},
		Advisories: map[patching.AdvisoryID]*patching.Advisory{"KB1": about, "KB2": {ID: "KB2", KnownIssues: []string{"not offered to anybody"}}},
	}
	_, told := a.News(nil, noon)
	about.KnownIssues = []string{"Printers stop.", "So do scanners."}
	news, told := a.News(told, noon)
	require.Equal(t, []string{"known-issue  KB1: 3 machines would get it, 2 issues: Printers stop."}, words(news))
	first := news[0].ID
	news, told = a.News(told, noon)
	require.Empty(t, news)
	about.KnownIssues = []string{"Printers stop again."}
	news, told = a.News(told, noon)
	require.Len(t, news, 1)
	require.NotEqual(t, first, news[0].ID)

	for i := range 120 {
		id := patching.AdvisoryID(fmt.Sprintf("KB1%03d", i))
		a.Advisories[id] = &patching.Advisory{ID: id, KnownIssues: []string{"Something."}}
		a.Alike = append(a.Alike, notice.Alike{Site: "berlin", Machines: 1, Has: ids(id), Gets: ids(id)})
	}
	seen := map[notice.ID]bool{}
	for range 3 {
		news, told = a.News(told, noon)
		for _, n := range news {
			if n.Kind == notice.KnownIssue {
				require.False(t, seen[n.ID])
				seen[n.ID] = true
			}
		}
		require.LessOrEqual(t, len(news), 52)
	}
	require.Len(t, seen, 120)
}

// Serves G4, G11.
func TestAProposedEmergencyIsUrgentAndToldOncePerAdvisory(t *testing.T) {
	a := notice.Ahead{Policy: "servers", Owner: "it-operations", Next: noon.AddDate(0, 0, 20), Remediation: plan.Remediation{
		AsOf: noon, Late: 2, Remedies: []plan.Remedy{
			{Advisory: "DSA-1", Late: 7, Deadline: &urgency.Deadline{Lane: urgency.Immediate, Due: noon.AddDate(0, 0, 2)}},
			{Advisory: "DSA-2", Late: 1, Deadline: &urgency.Deadline{Lane: urgency.Immediate}},
			{Advisory: "DSA-3", Clears: 4},
		},
	}}
	got := a.Standing()
	require.Equal(t, []string{
		"emergency-proposed  DSA-1: due 22 Nov 2026 12:00 UTC; the cycle of 10 Dec 2026 is too late for 7 machines. See: patchcycle urgency due servers",
		"emergency-proposed  DSA-2: due at once; the cycle of 10 Dec 2026 is too late for 1 machine. See: patchcycle urgency due servers",
	}, words(got))
	lead := notice.Recipient{Roles: []patching.Role{patching.RoleSecurityLead}}
	owner := notice.Recipient{Owners: []string{"it-operations"}}
	for _, n := range got {
		require.Equal(t, notice.Alerts, n.Lane())
		require.True(t, lead.Concerned(n))
		require.True(t, owner.Concerned(n))
		require.Equal(t, notice.Line(n.Words), n.Words, "none of it is cut off")
	}
	a.Remediation.AsOf, a.Remediation.Remedies[0].Late = noon.Add(time.Hour), 8
	require.Equal(t, got[0].ID, a.Standing()[0].ID, "the same proposal, an hour later")
	a.Remediation.Remedies[0].Late, a.Remediation.Remedies[1].Late = 0, 0
	require.Empty(t, a.Standing())
}

// Serves G11: outdated machines.
func TestTheEndOfSupportIsToldToEachOwnerAndTogetherWhereThereAreMany(t *testing.T) {
	end := noon.AddDate(0, 0, 40)
	old := assess.EndOfLife{Product: "debian", Release: "11", Ends: &end, Feed: "eol"}
	a := notice.Ahead{Policy: "servers", Remediation: plan.Remediation{AsOf: noon}, Alike: []notice.Alike{
		{Site: "berlin", Owner: "ana", Machines: 2, Ends: []assess.EndOfLife{old}},
		{Site: "tokyo", Owner: "ana", Machines: 3, Ends: []assess.EndOfLife{old}},
		{Site: "tokyo", Machines: 1, Ends: []assess.EndOfLife{old}},
	}}
	before := a.Standing()
	require.Equal(t, []string{
		"support-ends  debian 11: 1 machine: support for all ends on 30 Dec 2026",
		"support-ends  debian 11: 5 machines of ana: support for all ends on 30 Dec 2026",
	}, words(before))
	require.Equal(t, "ana", before[1].Owner)
	later := end.AddDate(2, 0, 0)
	old.Ended, old.Extended = true, &later
	a.Alike = a.Alike[:1]
	a.Alike[0].Ends = []assess.EndOfLife{old}
	over := a.Standing()
	require.Equal(t, []string{"support-ends  debian 11: 2 machines of ana: support for all has ended on 30 Dec 2026, for those who pay on 30 Dec 2028"}, words(over))
	require.Equal(t, notice.Important, over[0].Severity)
	require.NotEqual(t, before[1].ID, over[0].ID, "that it has ended is news")
	for i := range 500 {
		a.Alike = append(a.Alike, notice.Alike{Owner: fmt.Sprint("o", i), Machines: 1, Ends: []assess.EndOfLife{old}})
	}
	many := a.Standing()
	require.Len(t, many, 1)
	require.Contains(t, many[0].Words, "502 machines: ")
}
