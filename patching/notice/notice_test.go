package notice_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func ops() notice.Recipient {
	return notice.Recipient{
		Name: "ops", Roles: []patching.Role{patching.RoleOperator, patching.RoleApprover},
		Every: notice.DefaultEvery, AlertEvery: notice.DefaultAlertEvery, Lines: notice.DefaultLines,
	}
}

func silent(i int, site patching.SiteName) notice.Queued {
	return notice.Queued{Seq: int64(i + 1), Recorded: noon, Notice: notice.Notice{
		ID: notice.ID(fmt.Sprint("agent-silent/", i)), Kind: notice.AgentSilent, Severity: notice.Routine, Site: site,
		Subject: fmt.Sprintf("host-%05d", i), Words: "not heard since noon", At: noon.Add(time.Duration(i) * time.Second),
	}}
}

// Serves G4: who is told, by role and site.
func TestANoticeIsToldToThoseItConcernsAndToNobodyElse(t *testing.T) {
	machine := notice.Notice{Kind: notice.AgentSilent, Site: "berlin", Owner: "ana"}
	cycle := notice.Notice{Kind: notice.CycleWaits, Policy: "monthly"}
	feed := notice.Notice{Kind: notice.FeedRefused}
	one := func(r ...patching.Role) []patching.Role { return r }
	for name, c := range map[string]struct {
		to   notice.Recipient
		of   notice.Notice
		told bool
	}{
		"the role that it concerns":                {notice.Recipient{Roles: one(patching.RoleOperator)}, machine, true},
		"another role":                             {notice.Recipient{Roles: one(patching.RoleAuditor)}, machine, false},
		"no role":                                  {notice.Recipient{}, machine, false},
		"the role at that site":                    {notice.Recipient{Roles: one(patching.RoleSiteAdmin), Sites: []patching.SiteName{"berlin"}}, machine, true},
		"the role at another site":                 {notice.Recipient{Roles: one(patching.RoleSiteAdmin), Sites: []patching.SiteName{"tokyo"}}, machine, false},
		"the owner, without a role":                {notice.Recipient{Owners: []string{"ana"}}, machine, true},
		"the owner, at another site":               {notice.Recipient{Owners: []string{"ana"}, Sites: []patching.SiteName{"tokyo"}}, machine, true},
		"another owner":                            {notice.Recipient{Owners: []string{"bob"}}, machine, false},
		"an owner of nothing, of what is nobody's": {notice.Recipient{Owners: []string{""}}, feed, false},
		"the role, but not of that kind":           {notice.Recipient{Roles: one(patching.RoleOperator), Kinds: []notice.Kind{notice.CycleHalted}}, machine, false},
		"the owner, but not of that kind":          {notice.Recipient{Owners: []string{"ana"}, Kinds: []notice.Kind{notice.CycleHalted}}, machine, false},
		"the policy":                               {notice.Recipient{Roles: one(patching.RoleApprover), Policies: []patching.PolicyName{"monthly"}}, cycle, true},
		"another policy":                           {notice.Recipient{Roles: one(patching.RoleApprover), Policies: []patching.PolicyName{"weekly"}}, cycle, false},
		"a site, of what is everywhere":            {notice.Recipient{Roles: one(patching.RoleAdmin), Sites: []patching.SiteName{"tokyo"}}, feed, true},
	} {
		require.Equal(t, c.told, c.to.Concerned(c.of), name)
	}
}

// Serves G4, G6.
func TestWhoeverLosesAnAccountIsToldNothing(t *testing.T) {
	machine := notice.Notice{Kind: notice.AgentSilent, Site: "berlin", Owner: "ana"}
	account := patching.Account{Name: "ana", Roles: []patching.Role{patching.RoleSiteAdmin}, Scopes: []string{"site:berlin"}}
	to := notice.Recipient{Name: "ana", Owners: []string{"ana"}}
	require.True(t, to.As(account).Concerned(machine))
	require.False(t, notice.Recipient{}.As(account).Concerned(notice.Notice{Kind: notice.AgentSilent, Site: "tokyo"}))
	everywhere := account
	everywhere.Scopes = []string{"*", "site:berlin"}
	require.True(t, notice.Recipient{}.As(everywhere).Concerned(notice.Notice{Kind: notice.AgentSilent, Site: "tokyo"}))
	account.Revoked = noon
	require.False(t, to.As(account).Concerned(machine))
	require.False(t, to.As(patching.Account{Roles: patching.Roles()}).Concerned(machine), "an account without a scope")
}

func TestEveryKindHasItsWordsAndIsToldToSomebody(t *testing.T) {
	require.Len(t, notice.Kinds(), 21)
	for _, k := range notice.Kinds() {
		require.True(t, k.Valid())
		require.NotEqual(t, string(k), k.Heading(), k)
		require.Equal(t, k == notice.Test, len(k.Tells()) == 0, k)
	}
	require.False(t, notice.Kind("x").Valid())
	require.NotContains(t, notice.Standing(), notice.KnownIssue)
	require.Contains(t, notice.Standing(), notice.AgentSilent)
}

// Serves G4: a digest, not a flood.
func TestAHundredThousandNoticesMakeASmallMessageThatCountsThemAll(t *testing.T) {
	c := notice.Compose(ops(), notice.Digests, 0)
	for i := range 100_000 {
		q := silent(i, patching.SiteName(fmt.Sprint("site-", i%3)))
		q.Subject = strings.Repeat("x", 300) + "\nBcc: everybody\r\n" + q.Subject
		c.Add(q)
	}
	c.Add(notice.Queued{Seq: 100_001, Recorded: noon, Notice: notice.Notice{
		ID: "w", Kind: notice.CycleWaits, Severity: notice.Important, Policy: "monthly", Subject: "cycle/monthly/2026-11.1", Words: "Waiting for approval.",
	}})
	d := c.Digest("patchcycle", noon)
	require.Equal(t, 100_001, d.Total)
	require.EqualValues(t, 100_001, d.Upto)
	require.Equal(t, notice.CycleWaits, d.Groups[0].Kind, "the flood does not crowd it out")
	require.Len(t, d.Groups, 4)
	text := d.Text()
	require.Less(t, len(text), 20_000)
	require.Less(t, strings.Count(text, "\n"), 70)
	require.NotContains(t, text, "\nBcc")
	require.Contains(t, text, "and 33321 more")
	require.Equal(t, "[patchcycle] 1 plan to approve, 100000 silent machines", d.Subject())
}

func TestAMessageReadsLikeThis(t *testing.T) {
	c := notice.Compose(ops(), notice.Alerts, 4)
	c.Add(notice.Queued{Seq: 3, Recorded: noon, Notice: notice.Notice{ID: "0", Kind: notice.CycleHalted, Severity: notice.Urgent, Words: "told before"}})
	c.Add(notice.Queued{Seq: 5, Recorded: noon, Notice: notice.Notice{
		ID: "1", Kind: notice.CycleHalted, Severity: notice.Urgent, Site: "berlin", Policy: "monthly", Words: "3 of 10 failed.",
		Subject: "cycle/monthly/2026-11.1/ring/test/wave/berlin/night/20261120T2200Z", At: noon,
	}})
	c.Add(silent(6, "berlin"))
	c.Add(notice.Queued{Seq: 9, Recorded: noon, Over: noon, Notice: notice.Notice{ID: "2", Kind: notice.CycleMissed, Severity: notice.Urgent, Words: "it did start"}})
	d := c.Digest("patchcycle", noon)
	require.Equal(t, "[patchcycle] URGENT: 1 halt", d.Subject())
	require.Equal(t, `1 notice of the installation patchcycle, 20 Nov 2026 12:00 UTC.

A gate halted at berlin: 1
! cycle/monthly/2026-11.1/ring/test/wave/berlin/night/20261120T2200Z: 3 of 10 failed.

You get this as recipient ops. Who is told what stands in the server's notify.yaml.
`, d.Text())
	require.EqualValues(t, 9, d.Upto, "what is not told is passed, too")
}

var drawn = rapid.Custom(func(t *rapid.T) notice.Queued {
	q := notice.Queued{Recorded: noon, Notice: notice.Notice{
		Kind:     rapid.SampledFrom(notice.Kinds()).Draw(t, "kind"),
		Severity: rapid.SampledFrom([]notice.Severity{notice.Urgent, notice.Important, notice.Routine}).Draw(t, "severity"),
		Site:     rapid.SampledFrom([]patching.SiteName{"", "a", "b", "c", "d"}).Draw(t, "site"),
		Owner:    rapid.SampledFrom([]string{"", "ana"}).Draw(t, "owner"),
		Subject:  rapid.String().Draw(t, "subject"), Words: rapid.String().Draw(t, "words"),
		At: noon.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "at")) * time.Hour),
	}}
	if rapid.Bool().Draw(t, "over") {
		q.Over = noon
	}
	return q
})

// Serves G4: nothing is told twice, nothing is lost, and nobody is told what does not
// concern them.
func TestEachNoticeIsCountedInExactlyOneMessageOfThoseItConcerns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		to := notice.Recipient{
			Name: "r", Roles: rapid.SliceOfN(rapid.SampledFrom(patching.Roles()), 0, 3).Draw(t, "roles"),
			Sites: rapid.SliceOfN(rapid.SampledFrom([]patching.SiteName{"a", "b"}), 0, 2).Draw(t, "sites"), Lines: rapid.IntRange(1, 8).Draw(t, "lines"),
		}
		all := rapid.SliceOfN(drawn, 0, 40).Draw(t, "notices")
		want := 0
		for i := range all {
			all[i].Seq, all[i].ID = int64(i+1), notice.ID(fmt.Sprint(i))
			if all[i].Over.IsZero() && all[i].Kind != notice.Test && to.Concerned(all[i].Notice) {
				want++
			}
		}
		told := 0
		for _, lane := range []notice.Lane{notice.Digests, notice.Alerts} {
			for from := int64(0); from < int64(len(all)); {
				c := notice.Compose(to, lane, from)
				// Also what the recipient was told before is handed in again.
				for _, q := range all[:rapid.Int64Range(from+1, int64(len(all))).Draw(t, "so far")] {
					c.Add(q)
				}
				d := c.Digest("f", noon)
				lines, counted := 0, d.Unlisted
				for _, g := range d.Groups {
					counted += g.Total
					lines += len(g.Lines)
					if len(g.Lines) == 0 || len(g.Lines) > g.Total {
						t.Fatalf("group %s names %d of %d", g.Kind, len(g.Lines), g.Total)
					}
				}
				if counted != d.Total || lines > to.Lines {
					t.Fatalf("counted %d of %d, %d lines of %d", counted, d.Total, lines, to.Lines)
				}
				told += d.Total
				from = d.Upto
			}
		}
		if told != want {
			t.Fatalf("told %d, want %d", told, want)
		}
	})
}

func TestTheOrderInWhichNoticesComeDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOfN(drawn, 0, 40).Draw(t, "notices")
		for i := range all {
			all[i].Seq, all[i].ID = int64(i+1), notice.ID(fmt.Sprint(i))
		}
		message := func() notice.Digest {
			to := ops()
			to.Lines = 5
			c := notice.Compose(to, notice.Digests, 0)
			for _, q := range all {
				c.Add(q)
			}
			return c.Digest("f", noon)
		}
		first := message()
		shuffle := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		shuffle.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		require.Equal(t, first, message())
	})
}

func TestWhateverStrangersWriteStaysOnItsLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := notice.Line(rapid.String().Draw(t, "text") + rapid.SampledFrom([]string{"", "\r\n", "\x00", "\u2028Bcc: x", "\xff", "\x1b[31m", "\u202e"}).Draw(t, "more"))
		if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == '\u2028' || r == '\u202e' || r == '\x7f' }) || len([]rune(s)) > 200 {
			t.Fatalf("%q", s)
		}
	})
	require.Len(t, []rune(notice.Line(strings.Repeat("é", 1<<20))), 200)
}

// Serves G4: quiet hours and intervals.
func TestADigestWaitsForItsIntervalAndForTheEndOfTheQuietHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	r := ops()
	r.Quiet = notice.Quiet{From: 20 * 60, Until: 7 * 60, Zone: berlin}
	at := func(clock string) time.Time {
		t.Helper()
		when, err := time.ParseInLocation("2006-01-02 15:04", clock, berlin)
		require.NoError(t, err)
		return when
	}
	for name, c := range map[string]struct {
		lane              notice.Lane
		last, oldest, now string
		want              string
	}{
		"the first one waits for what is noticed with it": {notice.Digests, "2020-01-01 00:00", "2026-11-20 12:00", "2026-11-20 12:01", "2026-11-20 12:05"},
		"and is due then":                          {notice.Digests, "2020-01-01 00:00", "2026-11-20 12:00", "2026-11-20 12:06", "2026-11-20 12:06"},
		"the next one waits for its interval":      {notice.Digests, "2026-11-20 12:00", "2026-11-20 12:01", "2026-11-20 12:10", "2026-11-20 16:00"},
		"in the evening it waits for the morning":  {notice.Digests, "2026-11-20 17:30", "2026-11-20 17:31", "2026-11-20 19:00", "2026-11-21 07:00"},
		"after midnight too":                       {notice.Digests, "2026-11-20 09:00", "2026-11-21 02:00", "2026-11-21 03:00", "2026-11-21 07:00"},
		"also in the night that is an hour longer": {notice.Digests, "2026-10-24 09:00", "2026-10-25 01:00", "2026-10-25 01:30", "2026-10-25 07:00"},
		"what is urgent goes out at night":         {notice.Alerts, "2020-01-01 00:00", "2026-11-21 03:00", "2026-11-21 03:00", "2026-11-21 03:00"},
		"but not more often than that":             {notice.Alerts, "2026-11-21 02:50", "2026-11-21 03:00", "2026-11-21 03:00", "2026-11-21 03:05"},
	} {
		require.True(t, at(c.want).Equal(r.Next(c.lane, at(c.last), at(c.oldest), at(c.now))), name)
	}
	day := notice.Quiet{From: 9 * 60, Until: 17 * 60, Zone: berlin}
	require.True(t, at("2026-11-20 17:00").Equal(day.After(at("2026-11-20 09:00"))))
	require.True(t, at("2026-11-20 08:59").Equal(day.After(at("2026-11-20 08:59"))))
	require.True(t, noon.Equal(notice.Quiet{}.After(noon)))
}

func TestNoDigestEverGoesOutInTheQuietHours(t *testing.T) {
	zones := []string{"Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "UTC", "Pacific/Apia"}
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(t, "zone"))
		require.NoError(t, err)
		q := notice.Quiet{From: rapid.IntRange(0, 1439).Draw(t, "from"), Until: rapid.IntRange(0, 1439).Draw(t, "until"), Zone: zone}
		at := noon.Add(time.Duration(rapid.IntRange(0, 400*24*60).Draw(t, "minutes")) * time.Minute)
		then := q.After(at)
		if then.Before(at) || then.Sub(at) > 26*time.Hour {
			t.Fatalf("%s becomes %s", at, then)
		}
		if again := q.After(then); again.Sub(then) > time.Hour { // the hour that a clock is set back by
			t.Fatalf("%s is quiet until %s", then, again)
		}
	})
}

func TestAMessageThatFailsIsTriedLessAndLessOftenAndGivenUpAfterThreeDays(t *testing.T) {
	made, now, tries := noon, noon, 0
	for tries < 100 {
		tries++
		next, again := notice.Retry(made, now, tries)
		if !again {
			break
		}
		require.Greater(t, next.Sub(now), 30*time.Second)
		require.LessOrEqual(t, next.Sub(now), 6*time.Hour)
		now = next
	}
	require.InDelta(t, 20, tries, 5)
	require.Greater(t, now.Sub(made), 71*time.Hour)
	next, _ := notice.Retry(made, made, 1_000_000)
	require.Equal(t, 6*time.Hour, next.Sub(made))
}

// Serves G4, G11.
func TestAnAgentIsSilentOnlyByTheTimeInWhichTheWholePathListened(t *testing.T) {
	hours := func(from, to int) notice.Span {
		return notice.Span{Since: noon.Add(time.Duration(from) * time.Hour), Until: noon.Add(time.Duration(to) * time.Hour)}
	}
	direct := notice.Mute{Asset: "a-1", Hostname: "web", Site: "berlin", Owner: "ana", Since: noon}
	relayed := direct
	relayed.Relay = "berlin"
	now := noon.Add(100 * time.Hour)
	for name, c := range map[string]struct {
		of            notice.Mute
		server, relay []notice.Span
		silent        bool
	}{
		"the server listened all the time":        {direct, []notice.Span{hours(-5, 100)}, nil, true},
		"the server was down nearly all the time": {direct, []notice.Span{hours(-50, 1), hours(90, 100)}, nil, false},
		"before it was heard does not count":      {direct, []notice.Span{hours(-50, 10)}, nil, false},
		"two times add up":                        {direct, []notice.Span{hours(0, 12), hours(50, 62)}, nil, true},
		"the relay listened too":                  {relayed, []notice.Span{hours(0, 100)}, []notice.Span{hours(0, 30)}, true},
		"the relay was down":                      {relayed, []notice.Span{hours(0, 100)}, []notice.Span{hours(0, 5)}, false},
		"nobody knows of the relay":               {relayed, []notice.Span{hours(0, 100)}, nil, false},
	} {
		n, silent := notice.Silent(c.of, c.server, c.relay, 24*time.Hour, now)
		require.Equal(t, c.silent, silent, name)
		if silent {
			require.Equal(t, "not heard since 20 Nov 2026 12:00 UTC (about 4 days)", n.Words)
			require.Equal(t, "ana", n.Owner)
		}
	}
	first, _ := notice.Silent(direct, []notice.Span{hours(0, 100)}, nil, time.Hour, now)
	again := direct
	again.Since = noon.Add(time.Hour)
	second, _ := notice.Silent(again, []notice.Span{hours(0, 100)}, nil, time.Hour, now)
	require.NotEqual(t, first.ID, second.ID, "silent another time is another notice")
	direct.Never, direct.Site, direct.Hostname = true, "", ""
	n, _ := notice.Silent(direct, []notice.Span{hours(0, 100)}, nil, time.Hour, now)
	require.Equal(t, "enrolled on 20 Nov 2026 12:00 UTC and never heard since", n.Words)
	require.Equal(t, patching.Roaming, n.Site)
	require.Equal(t, "a-1", n.Subject)
	require.Empty(t, direct.Part())
	require.Equal(t, "relay/berlin", relayed.Part())
}

// Serves U1, G4: reminders and escalations reach people.
func TestTheRecordOfDecisionsGivesRiseToNotices(t *testing.T) {
	const cycle, wave = "cycle/monthly/2026-11.1", "cycle/monthly/2026-11.1/ring/test/wave/berlin/night/20261120T2200Z"
	for name, c := range map[string]struct {
		entry patching.AuditEntry
		kind  notice.Kind
		sev   notice.Severity
		site  patching.SiteName
	}{
		"a reminder":                  {patching.AuditEntry{Actor: "patchcycle", Verb: "reminder", Subject: cycle}, notice.ApprovalReminder, notice.Urgent, ""},
		"an escalation":               {patching.AuditEntry{Actor: "patchcycle", Verb: "escalation", Subject: cycle}, notice.ApprovalEscalation, notice.Urgent, ""},
		"a cycle that closed":         {patching.AuditEntry{Actor: "patchcycle", Verb: "closed", Subject: cycle}, notice.CycleClosed, notice.Routine, ""},
		"a gate that halted a wave":   {patching.AuditEntry{Actor: "gate counts v1", Verb: "halt", Subject: wave}, notice.CycleHalted, notice.Urgent, "berlin"},
		"a gate that halted a ring":   {patching.AuditEntry{Actor: "gate counts v1", Verb: "halt", Subject: cycle + "/ring/test"}, notice.CycleHalted, notice.Urgent, ""},
		"a gate that lets go on":      {patching.AuditEntry{Actor: "gate counts v1", Verb: "proceed", Subject: wave}, "", "", ""},
		"a person who calls it so":    {patching.AuditEntry{Actor: "ana", Verb: "halt", Subject: wave}, "", "", ""},
		"a person who writes of such": {patching.AuditEntry{Actor: "ana", Verb: "closed", Subject: cycle}, "", "", ""},
		"a phase":                     {patching.AuditEntry{Actor: "patchcycle", Verb: "phase", Subject: cycle}, "", "", ""},
	} {
		n, ok := notice.OfRecord(c.entry)
		require.Equal(t, c.kind != "", ok, name)
		require.Equal(t, c.kind, n.Kind, name)
		require.Equal(t, c.sev, n.Severity, name)
		require.Equal(t, c.site, n.Site, name)
		if ok {
			require.EqualValues(t, "monthly", n.Policy, name)
		}
	}
	n, ok := notice.OfRecord(patching.AuditEntry{Actor: "patchcycle", Verb: "closed", Subject: "x"})
	require.True(t, ok)
	require.Empty(t, n.Policy)
}

// Serves U1, U4.
func TestAPlanThatWaitsForApprovalIsToldOncePerPlan(t *testing.T) {
	c := patching.Cycle{ID: "cycle/monthly/2026-11.1", Kind: patching.Monthly, Policy: "monthly", Phase: patching.PhaseApproval, Plan: "sha256:1", Words: "Waits."}
	first, ok := notice.Waiting(c)
	require.True(t, ok)
	require.Equal(t, notice.Important, first.Severity)
	c.Plan, c.Kind = "sha256:2", patching.Emergency
	second, ok := notice.Waiting(c)
	require.True(t, ok)
	require.NotEqual(t, first.ID, second.ID)
	require.Equal(t, notice.Urgent, second.Severity)
	c.Phase = patching.PhaseDeploy
	_, ok = notice.Waiting(c)
	require.False(t, ok)
	c.Phase, c.Closed = patching.PhaseApproval, noon
	_, ok = notice.Waiting(c)
	require.False(t, ok)
}

// Serves G6, U1.
func TestAReviewIsAskedForUntilItIsDone(t *testing.T) {
	k := patching.Task{
		ID: "t-7", Cycle: "cycle/monthly/2026-11.1", Tried: "Signed by ana: \"exploited tonight\".", Due: noon, State: patching.TaskOpen,
		NotBy: []patching.AccountName{"ana"},
	}
	n, ok := notice.Review(k)
	require.True(t, ok)
	require.Equal(t, patching.PolicyName("monthly"), n.Policy)
	require.Contains(t, n.Words, "patchcycle task show t-7")
	require.Contains(t, n.Kind.Tells(), patching.RoleApprover)
	require.True(t, n.Kind.Standing())
	k.State = patching.TaskDone
	_, ok = notice.Review(k)
	require.False(t, ok)
	k.State, k.NotBy = patching.TaskOpen, nil
	_, ok = notice.Review(k)
	require.False(t, ok, "a machine's task is its owner's")
}

// Serves G12: who looks after machines hears of backups that grow old, once for each
// time, and who looks after the server of places that cannot be relied upon.
func TestBackupsThatGrowOldAreTold(t *testing.T) {
	a := patching.Asset{ID: "a1", Hostname: "web-1", Site: "berlin", Owner: "ana"}
	n := notice.Unbacked("servers", a, "the newest verified backup is of 1 Nov", noon.Add(-time.Hour), noon)
	require.Equal(t, []any{notice.BackupMissing, patching.SiteName("berlin"), "ana", "web-1"}, []any{n.Kind, n.Site, n.Owner, n.Subject})
	require.Equal(t, "the newest verified backup is of 1 Nov: it is not upgraded until there is one", n.Words)
	require.Equal(t, n.ID, notice.Unbacked("servers", a, "said otherwise", noon.Add(-time.Hour), noon.Add(time.Hour)).ID, "the same fact")
	require.NotEqual(t, n.ID, notice.Unbacked("servers", a, "another time", noon, noon).ID)
	none := notice.Unbacked("servers", patching.Asset{ID: "a2"}, "no backup of it is known", time.Time{}, noon)
	require.Equal(t, []any{patching.Roaming, "a2", noon}, []any{none.Site, none.Subject, none.At})

	broken := notice.Unreliable("berlin", "Its check failed.", noon)
	require.Equal(t, []any{notice.BackupFailed, notice.Important, "berlin"}, []any{broken.Kind, broken.Severity, broken.Subject})
	require.Equal(t, broken.ID, notice.Unreliable("berlin", "Its check failed.", noon.Add(time.Hour)).ID)
	require.Contains(t, notice.Standing(), notice.BackupMissing)
}
