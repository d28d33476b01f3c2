package urgency_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

var today = day("2026-09-10")

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func end(text string) time.Time { return day(text).Add(24*time.Hour - time.Second) }

func known[T any](v T) urgency.Fact[T] { return urgency.Fact[T]{Value: v, Known: true} }

// grave are facts of a flaw that is everything that BOD 26-04 asks for.
func grave() urgency.Facts {
	return urgency.Facts{
		Asset: "web-1", Advisory: "DSA-1",
		Flaw: urgency.Flaw{
			KEV: known(true), KEVAdded: known(day("2026-09-03")),
			Exploitation: known("active"), Automatable: known("yes"), TechnicalImpact: known("total"),
			CVSS:   known(urgency.Score{Base: 9.8, Version: "3.1"}),
			CVSSv3: known(urgency.Score{Base: 9.8, Version: "3.1"}),
		},
		Exposure: known(patching.Internet), Criticality: known(patching.MissionCritical),
		Severity:  known("critical"),
		Published: known(day("2026-09-04")), Patch: known(day("2026-09-04")),
		FirstSeen: day("2026-09-06"),
	}
}

// mild are facts of a flaw that nobody has to hurry for.
func mild() urgency.Facts {
	f := grave()
	f.Flaw = urgency.Flaw{
		KEV: known(false), Exploitation: known("none"), Automatable: known("no"), TechnicalImpact: known("partial"),
		CVSS:   known(urgency.Score{Base: 3.1, Version: "3.1"}),
		CVSSv3: known(urgency.Score{Base: 3.1, Version: "3.1"}),
	}
	f.Exposure, f.Criticality, f.Severity = known(patching.Isolated), known(patching.Low), known("low")
	return f
}

func judge(t require.TestingT, f urgency.Facts, treat urgency.Unknown, id string) urgency.Deadline {
	all := urgency.Judge(f, []urgency.Table{shipped(t, id)}, treat, today)
	require.Len(t, all, 1)
	return all[0]
}

// Serves G2, G20.
func TestEachRegimeGivesTheDateOfItsRule(t *testing.T) {
	internal := func(f urgency.Facts) urgency.Facts { f.Exposure = known(patching.Internal); return f }
	silent := func(f urgency.Facts) urgency.Facts { f.Severity = urgency.Fact[string]{}; return f }
	for name, c := range map[string]struct {
		regime string
		facts  urgency.Facts
		lane   urgency.Lane
		due    time.Time
		clock  urgency.Event
	}{
		"BOD: three days from the entry in KEV":              {"cisa-bod-26-04", grave(), urgency.Immediate, end("2026-09-06"), urgency.KEVAdded},
		"BOD: the mildest waits for an upgrade":              {"cisa-bod-26-04", mild(), urgency.Defer, time.Time{}, ""},
		"SSVC: the gravest is immediate, and has no date":    {"ssvc-deployer", grave(), urgency.Immediate, time.Time{}, ""},
		"SSVC: the mildest is deferred":                      {"ssvc-deployer", mild(), urgency.Defer, time.Time{}, ""},
		"Essential Eight: 48 hours where the internet is":    {"essential-eight", grave(), urgency.Immediate, day("2026-09-06"), urgency.PatchAvailable},
		"Essential Eight: a month inside, however grave":     {"essential-eight", internal(grave()), urgency.Scheduled, end("2026-10-04"), urgency.PatchAvailable},
		"Essential Eight, level three: 48 hours inside too":  {"essential-eight-ml3", internal(grave()), urgency.Immediate, day("2026-09-06"), urgency.PatchAvailable},
		"Essential Eight, level three: a month for the mild": {"essential-eight-ml3", internal(mild()), urgency.Scheduled, end("2026-10-04"), urgency.PatchAvailable},
		"PCI DSS: a month for the critical":                  {"pci-dss", grave(), urgency.Scheduled, end("2026-10-04"), urgency.PatchAvailable},
		"PCI DSS: the rest is one's own affair":              {"pci-dss", mild(), urgency.Scheduled, time.Time{}, ""},
		"Cyber Essentials: 14 days for what is high":         {"cyber-essentials", grave(), urgency.Scheduled, end("2026-09-18"), urgency.PatchAvailable},
		"Cyber Essentials: the low is not bound":             {"cyber-essentials", mild(), urgency.Scheduled, time.Time{}, ""},
		"Cyber Essentials: 14 days for a vendor's silence":   {"cyber-essentials", silent(mild()), urgency.Scheduled, end("2026-09-18"), urgency.PatchAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := judge(t, c.facts, urgency.AsWorst, c.regime)
			assert.Equal(t, c.lane, d.Lane)
			assert.Equal(t, c.due, d.Due)
			assert.Equal(t, c.clock, d.Clock.What)
			assert.Equal(t, c.due.IsZero(), d.Condition != "")
			assert.Empty(t, d.Unknown)
			assert.Empty(t, d.Possible)
		})
	}
}

// Serves G20.
func TestTheForensicStepIsAskedForWithItsRow(t *testing.T) {
	d := judge(t, grave(), urgency.AsWorst, "cisa-bod-26-04")
	assert.Equal(t, "15", d.Row)
	assert.Contains(t, d.Evidence, "Forensic")
	f := grave()
	f.TechnicalImpact = known("partial")
	assert.Empty(t, judge(t, f, urgency.AsWorst, "cisa-bod-26-04").Evidence)
}

// Serves G2: unknown is shown as unknown, and never guessed.
func TestWhatIsNotKnownCountsAsThePolicySays(t *testing.T) {
	f := mild()
	f.Exposure, f.Automatable = urgency.Fact[patching.Exposure]{}, urgency.Fact[string]{}

	d := judge(t, f, urgency.AsWorst, "cisa-bod-26-04")
	assert.Equal(t, "14 days", d.Outcome)
	assert.Equal(t, end("2026-09-18"), d.Due)
	assert.Equal(t, []string{"publicly-exposed", "automatable"}, d.Unknown)
	assert.Equal(t, []string{"fix on system upgrade", "60 days", "14 days"}, d.Possible)
	assert.False(t, d.Ask)

	best := judge(t, f, urgency.AsBest, "cisa-bod-26-04")
	assert.Equal(t, "fix on system upgrade", best.Outcome)
	assert.Equal(t, d.Unknown, best.Unknown)

	ask := judge(t, f, urgency.Ask, "cisa-bod-26-04")
	assert.True(t, ask.Ask)
	assert.Equal(t, d.Due, ask.Due, "until somebody has answered, the worst counts")

	// What makes no difference is named, and nobody is asked.
	f = grave()
	f.Automatable = urgency.Fact[string]{}
	d = judge(t, f, urgency.Ask, "cisa-bod-26-04")
	assert.Equal(t, []string{"automatable"}, d.Unknown)
	assert.Empty(t, d.Possible)
	assert.False(t, d.Ask)
}

// Serves G20.
func TestAClockThatRunsIsNotSetBackByWorseNews(t *testing.T) {
	f := grave()
	f.KEVAdded = known(day("2026-12-01")) // long after the three days of row 14 were over
	d := judge(t, f, urgency.AsWorst, "cisa-bod-26-04")
	assert.Equal(t, end("2026-09-07"), d.Due)
	assert.Equal(t, urgency.Clock{What: urgency.PatchAvailable, At: day("2026-09-04"), Row: "14"}, d.Clock)
	assert.Equal(t, "15", d.Row)
	assert.NotEmpty(t, d.Evidence, "the forensic step comes with the entry in KEV all the same")
}

// Serves G4: a flaw without a patch.
func TestWithoutAPatchNoClockRunsThatCountsFromIt(t *testing.T) {
	f := grave()
	f.Patch, f.NoPatch = urgency.Fact[time.Time]{}, true
	d := judge(t, f, urgency.AsWorst, "pci-dss")
	assert.True(t, d.Due.IsZero())
	assert.True(t, d.Waiting())
	assert.Equal(t, "1 month from when there is a patch", d.Condition)

	d = judge(t, f, urgency.AsWorst, "cisa-bod-26-04")
	assert.Equal(t, end("2026-09-06"), d.Due, "the entry in KEV counts, patch or not")
}

func TestTheClockIsTheFirstEventThatIsKnown(t *testing.T) {
	f := grave()
	f.Patch = urgency.Fact[time.Time]{}
	assert.Equal(t, urgency.Published, judge(t, f, urgency.AsWorst, "pci-dss").Clock.What)
	f.Published = urgency.Fact[time.Time]{}
	d := judge(t, f, urgency.AsWorst, "pci-dss")
	assert.Equal(t, urgency.Clock{What: urgency.FirstSeen, At: day("2026-09-06"), Row: "1"}, d.Clock)
	f.FirstSeen = time.Time{}
	assert.Equal(t, today, judge(t, f, urgency.AsWorst, "pci-dss").Clock.At, "seen for the first time now")
}

func TestTimeIsCountedInWholeDaysAndInHours(t *testing.T) {
	late := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", -3600))
	for within, want := range map[urgency.Within]string{
		{Hours: 48}:  "2026-02-03T00:30:00Z",
		{Days: 14}:   "2026-02-15T23:59:59Z",
		{Months: 1}:  "2026-03-01T23:59:59Z",
		{Months: 12}: "2027-02-01T23:59:59Z",
	} {
		assert.Equal(t, want, within.From(late).Format(time.RFC3339), within)
	}
	assert.Equal(t, end("2026-02-28"), urgency.Within{Months: 1}.From(day("2026-01-31")))
	assert.Equal(t, end("2028-02-29"), urgency.Within{Months: 1}.From(day("2028-01-30")))
	assert.Equal(t, "1 month", urgency.Within{Months: 1}.String())
	assert.Equal(t, "48 hours", urgency.Within{Hours: 48}.String())
}

// Serves G20.
func TestTheEarliestDateBinds(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	deadlines := urgency.Judge(grave(), all, urgency.AsWorst, today)
	var order []string
	for _, d := range deadlines {
		order = append(order, d.Regime)
	}
	assert.Equal(t, []string{"essential-eight", "essential-eight-ml3", "cisa-bod-26-04", "cyber-essentials", "pci-dss", "ssvc-deployer"}, order)
	binding, ok := urgency.Binding(deadlines)
	require.True(t, ok)
	assert.Equal(t, deadlines[0], binding)

	undated, err := urgency.Select(all, "ssvc-deployer", "pci-dss", "cisa-bod-26-04")
	require.NoError(t, err)
	binding, _ = urgency.Binding(urgency.Judge(mild(), undated, urgency.AsWorst, today))
	assert.Equal(t, "pci-dss", binding.Regime, "without any date the most urgent lane")
	_, ok = urgency.Binding(nil)
	assert.False(t, ok)
}

// Serves U4.
func TestACycleThatEndsAfterADateCertainlyMissesIt(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	deadlines := urgency.Judge(grave(), all, urgency.AsWorst, today)
	missed := func(done time.Time) (ids []string) {
		for _, d := range urgency.Misses(deadlines, done) {
			ids = append(ids, d.Regime)
		}
		return ids
	}
	// SSVC's immediate has no date, and does not wait for a cycle.
	assert.Equal(t, []string{"ssvc-deployer"}, missed(day("2026-09-05")))
	assert.Equal(t, []string{"essential-eight", "essential-eight-ml3", "ssvc-deployer"}, missed(end("2026-09-06")))
	assert.Equal(t, []string{"essential-eight", "essential-eight-ml3", "cisa-bod-26-04", "ssvc-deployer"}, missed(end("2026-09-06").Add(time.Second)))
	assert.Len(t, missed(time.Time{}), len(all), "no cycle is planned")
	assert.Empty(t, urgency.Misses(urgency.Judge(mild(), all, urgency.AsWorst, today), end("2026-09-17")))
}

func TestWhatIsNoSecurityMatterHasNoDeadline(t *testing.T) {
	all, err := urgency.Shipped()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		advisory patching.Advisory
		judged   bool
	}{
		"a bugfix":                      {patching.Advisory{Kind: "bugfix"}, false},
		"a bugfix that names a flaw":    {patching.Advisory{Kind: "bugfix", CVEs: []patching.CVE{"CVE-2026-1000"}}, true},
		"nobody says what it is":        {patching.Advisory{}, true},
		"security, and no CVE":          {patching.Advisory{Kind: "security"}, true},
		"an advisory that was taken in": {patching.Advisory{Kind: "security", Withdrawn: today}, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := urgency.NewFacts(patching.Asset{}, c.advisory, urgency.Flaw{}, urgency.Seen{})
			assert.Equal(t, c.judged, len(urgency.Judge(f, all, urgency.AsWorst, today)) > 0)
		})
	}
}
