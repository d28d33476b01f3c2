package policy_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/policy"
)

var update = flag.Bool("update", false, "write golden files, the JSON Schema and the generated part of docs/policy.md")

// base is a small policy without a flaw; cases change one line of it.
const base = `policy: web
owner: ops
approver: board
valid_from: 2026-01-01
review_by: 2026-12-31
calendar:
  zone: Europe/Amsterdam
sites:
  - name: amsterdam
    zone: Europe/Amsterdam
    windows: [nights]
windows:
  - name: nights
    rule: daily 22:00 for 4h
rings:
  - name: test
    count: 5
  - name: broad
`

// golden compares with a file of testdata, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "go generate writes %s", file)
}

func parse(t *testing.T, text string) *policy.Policy {
	t.Helper()
	p, err := policy.Parse("web.yaml", []byte(text))
	require.NoError(t, err)
	return p
}

// problems returns what is wrong with a text; none for one that is right.
func problems(t *testing.T, text string) []policy.Problem {
	t.Helper()
	p, err := policy.Parse("web.yaml", []byte(text))
	if err == nil {
		assert.False(t, policy.HasErrors(p.Warnings()))
		return p.Warnings()
	}
	var wrong *policy.Problems
	require.ErrorAs(t, err, &wrong)
	assert.True(t, policy.HasErrors(wrong.Problems()))
	assert.Nil(t, p)
	return wrong.Problems()
}

func TestEmbeddedPoliciesHaveNothingDoubtful(t *testing.T) {
	for _, name := range []string{"monthly", "demo"} {
		text, err := policy.Example(name)
		require.NoError(t, err)
		assert.Empty(t, problems(t, string(text)), name)
		p := parse(t, string(text))
		assert.Equal(t, text, p.Text())
		assert.Equal(t, patching.DigestOf(text), p.Digest())
	}
	_, err := policy.Example("yearly")
	assert.Error(t, err)
}

// Serves G3.
func TestAPolicySaysWhatWasWrittenAndDefaultsFillTheRest(t *testing.T) {
	text, err := policy.Example("monthly")
	require.NoError(t, err)
	got := parse(t, string(text))
	ams, err := time.LoadLocation("Europe/Amsterdam")
	require.NoError(t, err)
	day := func(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, ams) }
	const hour = time.Hour
	want := &policy.Policy{
		Name: "servers-monthly", Title: "Servers, monthly", Owner: "it-operations", Approver: "change advisory board",
		ValidFrom: day(2026, 12, 1), ReviewBy: day(2027, 11, 30),
		Select:     `os.family in ["debian", "rhel", "suse"]`,
		Calendar:   policy.Calendar{Nth: 2, Weekday: time.Tuesday, Plus: 2, At: "09:00", Zone: "Europe/Amsterdam"},
		CloseAfter: 21 * 24 * hour,
		Sites: []policy.Site{
			{Name: "amsterdam", Zone: "Europe/Amsterdam", Windows: []string{"weeknights", "weekend"}},
			{Name: "newyork", Zone: "America/New_York", Windows: []string{"weeknights", "weekend"}},
			{Name: "tokyo", Zone: "Asia/Tokyo", Windows: []string{"weekend"}},
			{Name: "roaming", Zone: "Europe/Amsterdam", Windows: []string{"weeknights"}},
		},
		Windows: []policy.Window{
			{Name: "weeknights", Rule: "weekly mon,tue,wed,thu 22:00 for 6h"},
			{Name: "weekend", Rule: "weekly sat,sun 08:00 for 12h"},
		},
		Freezes: []policy.Freeze{{
			Name: "year-end", From: day(2026, 12, 21), Until: day(2027, 1, 4), Reason: "closing of the books", MayPass: []string{"security-lead"},
		}},
		Patches: policy.Patches{
			Take: "all", Reboot: "when-needed", Alone: []string{"linux-image-*", "postgresql-*"},
			Hold: []policy.Hold{{Package: "docker-ce*", Reason: "the vendor supports version 27 only", Owner: "platform-team", Until: day(2027, 6, 30)}},
		},
		Urgency: policy.Urgency{Regimes: []string{"ssvc-deployer"}, Unknown: "worst"},
		Rings: []policy.Ring{
			{
				Name: "test", Count: 10, Batch: 200, Parallel: 4, Soak: 24 * hour,
				Gate: gate.Params{Answered: 100, Same: 2, BadPercent: 5, MinAnswered: 10, HostHours: 100, Unreachable: 10},
			},
			{
				Name: "early", Percent: 10, Batch: 50, Parallel: 4, Soak: 48 * hour, Approve: true,
				Gate: gate.Params{Answered: 95, Same: 3, BadPercent: 3, MinAnswered: 20, Unreachable: 10},
			},
			{
				Name: "broad", Batch: 200, Parallel: 4, Soak: 48 * hour,
				Gate: gate.Params{Answered: 95, Same: 3, BadPercent: 5, MinAnswered: 20, Unreachable: 10},
			},
		},
		Approval:  policy.Approval{Quorum: 1, Remind: 24 * hour, Escalate: 48 * hour, Expire: 120 * hour},
		Exclude:   []policy.Exclusion{{Select: `"lab" in tags`, Reason: "rebuilt every week", Owner: "test-lab", Until: day(2027, 6, 30)}},
		OnHalt:    policy.RollBackAffected,
		OnFailure: policy.Mend,
		Backup:    policy.Backup{Within: 7 * 24 * time.Hour},
		Silence:   hour,
		Fresh:     36 * hour,
		Emergency: policy.EmergencyProfile{Soak: hour, CloseAfter: 72 * hour, Quorum: 1, Expire: 4 * hour},
	}
	assert.Empty(t, cmp.Diff(want, got, cmpopts.IgnoreUnexported(policy.Policy{})))
}

func TestWhatIsAbsentHasItsDefault(t *testing.T) {
	p := parse(t, base+"approval:\n  quorum: 3\n  expire: 8h\n")
	assert.Equal(t, "web", p.Title)
	assert.Equal(t, policy.Calendar{Nth: 2, Weekday: time.Tuesday, At: "09:00", Zone: "Europe/Amsterdam"}, p.Calendar)
	assert.Equal(t, policy.Approval{Quorum: 3, Remind: 2 * time.Hour, Escalate: 4 * time.Hour, Expire: 8 * time.Hour}, p.Approval)
	assert.Equal(t, 3, p.Emergency.Quorum, "an emergency asks no fewer people unless somebody writes so")
	assert.Equal(t, gate.Params{Answered: 95, Same: 3, BadPercent: 5, MinAnswered: 5, Unreachable: 10}, p.Rings[0].Gate)
	assert.False(t, p.Rings[0].Approve, "the test ring has its pre-approval")
	assert.True(t, p.Rings[1].Approve, "the next ring asks")
	assert.Equal(t, policy.Patches{Take: "all", Reboot: "when-needed"}, p.Patches)

	ring, ok := p.Ring("broad")
	assert.True(t, ok)
	assert.Equal(t, 200, ring.Batch)
	site, ok := p.Site("amsterdam")
	assert.True(t, ok)
	w, ok := p.Window(site.Windows[0])
	assert.True(t, ok)
	assert.Equal(t, "daily 22:00 for 4h", w.Rule)
	_, a := p.Ring("none")
	_, b := p.Site("none")
	_, c := p.Window("none")
	assert.False(t, a || b || c)
}

// Serves Q7.
func TestWhatIsWrongIsMarkedAndHasAWayOut(t *testing.T) {
	cases := []struct {
		name, old, new string
		// marked is what the caret stands under, of the line that contains near.
		near, marked    string
		path, what, way string
	}{
		{"a key that is not one", "owner: ops", "ownr: ops", "ownr", "ownr", "ownr", `no key "ownr"`, `write "owner"`},
		{"a key of another group", "count: 5", "quorum: 5", "quorum", "quorum", "rings[0].quorum", "no key", "the keys here are name, select"},
		{"a key that is missing", "approver: board\n", "", "policy: web", "policy", "approver", "is missing", `add "approver:"`},
		{"a list that is missing", "windows:\n  - name: nights\n    rule: daily 22:00 for 4h\n", "", "policy: web", "policy", "windows", "is missing", "a list under it"},
		{"a number for text", "owner: ops", "owner: 12", "owner", "12", "owner", "read as the number 12", "'12' in quotes"},
		{"a truth value for text", "owner: ops", "owner: true", "owner", "true", "owner", "read as true or false", "'true' in quotes"},
		{"text for a number", "count: 5", "count: five", "count", "five", "rings[0].count", "want a whole number", "whole number"},
		{"a fraction for a whole number", "count: 5", "count: 5.5", "count", "5.5", "rings[0].count", "want a whole number", "whole number"},
		{"an octal number", "count: 5", "count: 010", "count", "010", "rings[0].count", "the number 8", "whole number"},
		{"a percentage with its sign", "count: 5", "percent: 5 %", "percent", "5 %", "rings[0].percent", "want a number", "number"},
		{"a list for text", "owner: ops", "owner: [ops]", "owner", "[", "owner", "want text, not a list", "text"},
		{"text for a list", "windows: [nights]", "windows: nights", "windows: nights", "nights", "sites[0].windows", "want a list", "list"},
		{"text for a group", "calendar:\n  zone: Europe/Amsterdam", "calendar: monthly", "calendar", "monthly", "calendar", "want a group of keys", "group"},
		{"nothing where text belongs", "owner: ops", "owner:", "owner", "", "owner", "nothing stands here", "remove the key"},
		{"an empty text", "owner: ops", "owner: ' '", "owner", "' '", "owner", "is empty", "a word"},
		{"a key twice", "owner: ops", "owner: ops\nowner: me", "owner: me", "owner", "owner", "written twice, first on line 2", "remove one"},
		{"a merge key", "owner: ops", "owner: ops\n<<: {title: x}", "<<", "<<", "", "merge keys", "write the keys out"},
		{"a name with a blank", "policy: web", "policy: Web servers", "policy", "Web servers", "policy", "is not a name", "lower-case"},

		{"a time without quotes that is a number", "calendar:\n", "calendar:\n  at: 0130\n", "at:", "0130", "calendar.at", "the number 88", "write '01:30' in quotes"},
		{"a time without quotes", "calendar:\n", "calendar:\n  at: 22:00\n", "at:", "22:00", "calendar.at", "has no quotes", "write '22:00'"},
		{"no time of day", "calendar:\n", "calendar:\n  at: '25:00'\n", "at:", "'25:00'", "calendar.at", "not a time of day", "'09:00'"},
		{"a day that is not one", "calendar:\n", "calendar:\n  weekday: tues\n", "weekday", "tues", "calendar.weekday", "not a choice", "write tue"},
		{"a fifth week", "calendar:\n", "calendar:\n  nth: 5\n", "nth", "5", "calendar.nth", "too large", "1 to 4"},
		{"days over a month's end", "calendar:\n", "calendar:\n  nth: 4\n  plus: 3\n", "plus", "3", "calendar.plus", "a day of the next", "0 at most"},
		{"an hour that the clocks jump over", "calendar:\n", "calendar:\n  nth: 4\n  weekday: sun\n  at: '02:30'\n", "at:", "'02:30'", "calendar.at", "2027-03-28", "another hour"},
		{"an unknown zone", "calendar:\n  zone: Europe/Amsterdam", "calendar:\n  zone: Europe/Amsterdan", "zone: Europe/Amsterdan", "Europe/Amsterdan", "calendar.zone", "is not a zone", "IANA"},
		{"an unknown zone of a site", "    zone: Europe/Amsterdam", "    zone: europe/amsterdam", "europe", "europe/amsterdam", "sites[0].zone", "is not a zone", "IANA"},

		{"a date that is not one", "valid_from: 2026-01-01", "valid_from: 2026-02-30", "valid_from", "2026-02-30", "valid_from", "is not a date", "2026-12-31"},
		{"a review before it is valid", "review_by: 2026-12-31", "review_by: 2025-12-31", "review_by", "2025-12-31", "review_by", "before the policy is valid", "after 2026-01-01"},
		{"a duration that is not one", "sites:", "close_after: three weeks\nsites:", "close_after", "three weeks", "close_after", "is not a duration", "3d"},
		{"a cycle shorter than its soaks", "sites:", "close_after: 2d\nsites:", "close_after", "2d", "close_after", "the soaks alone take 2d", "close later"},
		{"an emergency shorter than its soaks", "sites:", "emergency: {soak: 12h, close_after: 1d}\nsites:", "emergency", "1d", "emergency.close_after", "the soaks alone take 24h", "emergency.soak"},
		{"an approval that outlives its cycle", "sites:", "close_after: 3d\nsites:", "policy: web", "policy", "approval.expire", "outlives the cycle", "close_after"},
		{"an approval that expires before people are told", "sites:", "approval: {escalate: 6d}\nsites:", "approval", "{", "approval.expire", "before anybody is told", "escalate earlier"},
		{"a reminder after the escalation", "sites:", "approval: {remind: 3d}\nsites:", "approval", "{", "approval.escalate", "no later", "remind earlier"},
		{"no approver asked", "sites:", "approval: {quorum: 0}\nsites:", "quorum", "0", "approval.quorum", "too small", "from 1"},

		{"two rings of one name", "name: broad", "name: test", "  - name: test\n", "test", "rings[1].name", "two rings", "rename"},
		{"two sites of one name", "windows:\n  -", "  - {name: amsterdam, zone: UTC, windows: [nights]}\nwindows:\n  -", "{name: amsterdam", "amsterdam", "sites[1].name", "first on line 9", "rename"},
		{"two windows of one name", "rings:", "  - {name: nights, rule: always}\nrings:", "{name: nights", "nights", "windows[1].name", "two windows", "rename"},
		{"no test ring", "name: test", "name: pilot", "pilot", "pilot", "rings[0].name", "not test", "name the first ring test"},
		{"the test ring second", "rings:\n", "rings:\n  - {name: first, count: 1}\n", "- name: test", "test", "rings[1].name", "not the first", "move it"},
		{"nothing but a test ring", "  - name: broad\n", "", "- name: test", "name", "rings[0]", "no ring after", "add a ring"},
		{"a test ring that asks", "count: 5", "count: 5\n    approve: true", "approve", "true", "rings[0].approve", "pre-approval", "remove the line"},
		{"a ring after it that does not ask", "- name: broad", "- name: broad\n    approve: false", "approve", "false", "rings[1].approve", "always asks", "remove the line"},
		{"a ring in another's shadow", "    count: 5\n", "", "- name: broad", "name", "rings[1]", `the ring "test" before it takes them all`, "give test a count"},
		{"a share over a hundred", "count: 5", "percent: 120", "percent", "120", "rings[0].percent", "too large", "up to 100"},
		{"a share of nothing", "count: 5", "percent: 0", "percent", "0", "rings[0].percent", "too small", "above 0"},
		{"a gate's share over a hundred", "count: 5", "count: 5\n    gate: {answered: 101}", "answered", "101", "rings[0].gate.answered", "too large", "from 0 to 100"},

		{"a rule that is not one", "rule: daily 22:00 for 4h", "rule: nightly 22:00 for 4h", "rule", "nightly", "windows[0].rule", "not a kind of window", "daily 22:00 for 4h"},
		{"a window longer than its period", "rule: daily 22:00 for 4h", "rule: daily 22:00 for 25h", "rule", "25h", "windows[0].rule", "longer than the 24h", "24h at most"},
		{"a window of no length", "rule: daily 22:00 for 4h", "rule: \"daily 22:00 for 0h\"", "rule", "0h", "windows[0].rule", "closes as it opens", "a minute"},
		{"a window of a week that some months lack", "rule: daily 22:00 for 4h", "rule: monthly 5th sat 22:00 for 4h", "rule", "5th", "windows[0].rule", "every month", "4th"},
		{"a site without windows", "windows: [nights]", "windows: []", "windows: []", "[", "sites[0].windows", "empty", "at least one"},
		{"a window that does not exist", "windows: [nights]", "windows: [nigths]", "nigths", "nigths", "sites[0].windows[0]", "there is no window", "write nights"},
		{"a window named twice", "windows: [nights]", "windows: [nights, nights]", "nights, nights", "nights]", "sites[0].windows[1]", "named twice", "once"},
		{"a site whose windows never open in a cycle", "rule: daily 22:00 for 4h", "rule: monthly 1st mon 22:00 for 4h\nclose_after: 14d", "windows: [nights]", "[", "sites[0].windows", "none of its windows opens in any cycle", "lengthen close_after"},
		{"a freeze over all cycles", "sites:", "freezes: [{name: f, from: 2026-01-01, until: 2027-12-31, reason: x}]\nsites:", "windows: [nights]", "[", "sites[0].windows", "none of its windows opens", "shorten a freeze"},
		{"a freeze that ends before it begins", "sites:", "freezes: [{name: f, from: 2026-02-01 18:00, until: 2026-02-01, reason: x}]\nsites:", "freezes", "2026-02-01,", "freezes[0].until", "ends before it begins", "later date"},

		{"an unknown fact", "count: 5", "select: hostnam == \"a\"", "select", "hostnam", "rings[0].select", "nothing that is known", "write hostname"},
		{"an unknown fact of a group", "count: 5", "select: os.famly == \"a\"", "select", "os.famly", "rings[0].select", "nothing that is known", "write os.family"},
		{"an order of words", "count: 5", "select: criticality >= \"high\"", "select", ">", "rings[0].select", "does not go with text and text", `criticality in ["high"`},
		{"a word that is never said", "count: 5", "select: exposure == 'internt'", "select", "'internt'", "rings[0].select", "never", "write internet"},
		{"one equals sign", "count: 5", "select: site = \"a\"", "select", "=", "rings[0].select", "compares nothing", "write =="},
		{"and in letters", "count: 5", "select: site == \"a\" and true", "select", "a", "rings[0].select", `"and" is not a sign`, "write &&"},
		{"an expression that says no yes or no", "count: 5", "select: hostname", "select", "h", "rings[0].select", "says text, not yes or no", "compare it"},
		{"an expression that ends too early", "count: 5", "select: site ==", "select", "", "rings[0].select", "ends too early", "finish"},
		{"an expression over two lines", "count: 5", "select: |\n      true &&\n        tagz.size() == 0", "tagz", "tagz", "rings[0].select", "nothing that is known", "write tags"},
		{"an expression that YAML folds", "count: 5", "select: >-\n      true &&\n      tagz.size() == 0", "tagz", "tagz", "rings[0].select", "nothing that is known", "write tags"},
		{"an expression in single quotes", "count: 5", "select: '''a'' == tagz'", "select", "tagz", "rings[0].select", "nothing that is known", "write tags"},
		{"an expression in double quotes", "count: 5", `select: "\"a\" == hostnam"`, "select", "hostnam", "rings[0].select", "nothing that is known", "write hostname"},
		{"no regular expression", "count: 5", "select: hostname.matches('(')", "select", "'", "rings[0].select", "not a regular expression", "RE2"},
		{"a loop in a loop", "count: 5", "select: tags.exists(t, services.exists(s, services.exists(u, u == t)))", "select", "", "rings[0].select", "a loop inside a loop", "one list"},
		{"a selector of everything excluded", "rings:", "exclude: [{select: '', reason: x, owner: y, until: 2026-12-31}]\nrings:", "exclude", "''", "exclude[0].select", "is empty", "a word"},
		{"an exclusion without an end", "rings:", "exclude: [{select: 'true', reason: x, owner: y}]\nrings:", "exclude", "{", "exclude[0].until", "is missing", `add "until:"`},
		{"no shell pattern", "rings:", "patches: {alone: ['linux-[']}\nrings:", "patches", "'linux-['", "patches.alone[0]", "not a shell pattern", "linux-image-*"},
		{"a shell's own negation", "rings:", "patches: {alone: ['[!l]*']}\nrings:", "patches", "'[!l]*'", "patches.alone[0]", "would match what it means to leave out", "[^a-z]"},
		{"an end of what halts", "rings:", "on_halt: all\nrings:", "on_halt", "all", "on_halt", "not a choice", "affected, ring or nothing"},

		{"a tab", "  - name: test", "\t- name: test", "\t- name", "\t", "", "a tab", "two spaces"},
		{"an indentation that does not fit", "    count: 5", "      count: 5", "name: test", "", "", "not YAML", "indentation"},
		{"a quote that is not closed", "owner: ops", "owner: 'ops", "owner", "'", "", "not YAML", "close the quote"},
		{"a bracket that is not closed", "windows: [nights]", "windows: [nights", "windows:\n", "", "", "not YAML", "close the bracket"},
		{"a colon in a value", "owner: ops", "owner: ops: me", "owner", "", "", "not YAML", "in quotes"},
		{"a second document", "rings:", "---\nrings:", "rings:", "rings", "", "a second document", "one policy a file"},
		{"a directive", "policy: web", "%YAML 1.1\n---\npolicy: web", "%YAML", "%", "", "directives", "remove"},
		{"a tag", "owner: ops", "owner: !!str ops", "owner", "!!str", "", "tags", "remove"},
		{"an alias of nothing", "owner: ops", "owner: *nobody", "owner", "*", "owner", "no anchor &nobody", "write the value out"},
		{"an alias inside its own anchor", "count: 5", "gate: &g {same: *g}", "gate", "{", "rings[0].gate.same", "want a whole number, not a group", "whole number"},
		{"an alias of itself", "owner: ops", "owner: &a\n  *a", "  *a", "*", "owner", "leads to itself", "write the value out"},
		{"a control character", "owner: ops", "owner: o\x07ps", "owner", "\uFFFD", "", "U+0007", "remove"},
		{"a character that turns the line around", "owner: ops", "owner: o\u202Eps", "owner", "\uFFFD", "", "U+202E", "remove"},
		{"bytes that are no text", "owner: ops", "owner: o\xffps", "owner", "o", "", "not text in UTF-8", "UTF-8"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, base, c.old)
			text := strings.Replace(base, c.old, c.new, 1)
			if c.name == "an hour that the clocks jump over" {
				text = strings.NewReplacer("2026-01", "2027-01", "2026-12", "2027-12").Replace(text)
			}
			all := problems(t, text)
			var got policy.Problem
			for _, p := range all {
				if p.Path == c.path && strings.Contains(p.What, c.what) {
					got = p
				}
			}
			require.NotEmpty(t, got.What, "among %v", all)
			assert.Contains(t, got.Way, c.way)
			assert.Equal(t, "web.yaml", got.File)
			lines := strings.Split(text, "\n")
			require.True(t, got.Line >= 1 && got.Line <= len(lines))
			assert.Contains(t, lines[got.Line-1]+"\n", c.near)
			marked := []rune(got.Source + " ")[got.Column-1:]
			assert.True(t, strings.HasPrefix(strings.ReplaceAll(string(marked), " ", ""), strings.ReplaceAll(strings.ReplaceAll(c.marked, "\t", ""), " ", "")), "marks %q", string(marked))
			assert.NotContains(t, got.String(), "\x07")
		})
	}
}

func TestWhatIsDoubtfulIsAWarningAndThePolicyIsUsable(t *testing.T) {
	cases := []struct{ name, old, new, path, what string }{
		{"a window that no site uses", "rings:", "  - {name: spare, rule: always}\nrings:", "windows[1].name", "no site uses"},
		{"a window that never opens while a cycle runs", "windows: [nights]\nwindows:", "windows: [nights, rare]\nclose_after: 14d\nwindows:\n  - {name: rare, rule: monthly 1st mon 22:00 for 4h}", "windows[0].rule", "never opens while a cycle runs"},
		{"a month without a window", "sites:", "freezes: [{name: f, from: 2026-03-01, until: 2026-04-05, reason: x}]\nsites:", "sites[0].windows", "2026-03-10"},
		{"a site that the policy does not name", "count: 5", "select: site == 'berlin'", "rings[0].select", `site is never "berlin"`},
		{"a last ring with a limit", "name: broad", "name: broad\n    percent: 50", "rings[1].percent", "the last ring is limited"},
		{"a ring that nobody watches", "count: 5", "count: 5\n    soak: 0s", "rings[0].soak", "nobody watches"},
		{"a gate that never halts", "count: 5", "count: 5\n    gate: {same: 0, bad_percent: 0}", "rings[0].gate", "never halts"},
		{"a limit that no ring of this size reaches", "count: 5", "count: 5\n    gate: {same: 6}", "rings[0].gate.same", "never holds"},
		{"a policy without a cycle", "review_by: 2026-12-31", "review_by: 2026-01-05", "review_by", "no monthly cycle starts"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			require.Contains(t, base, c.old)
			all := problems(t, strings.Replace(base, c.old, c.new, 1))
			require.Len(t, all, 1)
			assert.Equal(t, policy.Warning, all[0].Severity)
			assert.Equal(t, c.path, all[0].Path)
			assert.Contains(t, all[0].What, c.what)
			assert.NotEmpty(t, all[0].Way)
		})
	}
}

// The whole of what a person reads, for a file with much wrong in it.
func TestEverythingWrongIsToldAtOnce(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		_, err = policy.Parse(filepath.Base(file), text)
		require.Error(t, err)
		golden(t, strings.TrimSuffix(file, ".yaml")+".txt", err.Error()+"\n")
	}
}

// Serves G3.
func TestAnAdoptedPolicyStaysReadableWhenARuleIsMadeStricter(t *testing.T) {
	stricter := strings.Replace(base, "rings:", "patches: {alone: ['[!l]*']}\nrings:", 1)
	_, err := policy.Parse("web.yaml", []byte(stricter))
	require.ErrorContains(t, err, "would match what it means to leave out")
	p, err := policy.Adopted("web.yaml", []byte(stricter))
	require.NoError(t, err)
	require.Equal(t, patching.DigestOf([]byte(stricter)), p.Digest())
	require.Condition(t, func() bool {
		for _, w := range p.Warnings() {
			if w.Path == "patches.alone[0]" && w.Severity == policy.Warning {
				return true
			}
		}
		return false
	}, "%v", p.Warnings())

	_, err = policy.Adopted("web.yaml", []byte(strings.Replace(base, "owner: ops", "owner: 'ops", 1)))
	require.Error(t, err, "what cannot be read has no meaning")
}
