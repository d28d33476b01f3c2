package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/window"
)

// Serves G3, scenario 40 of the reliability study.
func TestAWindowKeepsItsLengthWhenTheClocksAreTurned(t *testing.T) {
	cases := []struct{ name, rule, zone, start, end string }{
		{
			"a start in Berlin's gap moves to its end", "daily 02:30 for 2h", "Europe/Berlin",
			"2026-03-29 03:00:00 +0200", "2026-03-29 05:00:00 +0200",
		},
		{
			"a start in New York's gap moves to its end", "daily 02:30 for 2h", "America/New_York",
			"2026-03-08 03:00:00 -0400", "2026-03-08 05:00:00 -0400",
		},
		{
			"a night over Berlin's gap ends an hour later on the clock", "daily 22:00 for 6h", "Europe/Berlin",
			"2026-03-28 22:00:00 +0100", "2026-03-29 05:00:00 +0200",
		},
		{
			"a night over Berlin's fold ends an hour earlier on the clock", "daily 22:00 for 6h", "Europe/Berlin",
			"2026-10-24 22:00:00 +0200", "2026-10-25 03:00:00 +0100",
		},
		{
			"a start in Berlin's fold is the first of the two", "daily 02:30 for 1h", "Europe/Berlin",
			"2026-10-25 02:30:00 +0200", "2026-10-25 02:30:00 +0100",
		},
		{
			"a start in New York's fold is the first of the two", "daily 01:30 for 1h", "America/New_York",
			"2026-11-01 01:30:00 -0400", "2026-11-01 01:30:00 -0500",
		},
		{
			"Kathmandu is three quarters of an hour off and never turns", "daily 22:00 for 4h", "Asia/Kathmandu",
			"2026-03-29 22:00:00 +0545", "2026-03-30 02:00:00 +0545",
		},
		{
			"Lord Howe's gap is half an hour", "daily 02:15 for 1h", "Australia/Lord_Howe",
			"2026-10-04 02:30:00 +1100", "2026-10-04 03:30:00 +1100",
		},
		{
			"Lord Howe's fold is half an hour", "daily 01:45 for 1h", "Australia/Lord_Howe",
			"2026-04-05 01:45:00 +1100", "2026-04-05 02:15:00 +1030",
		},
		{
			"Santiago has no midnight on its gap's day", "daily 00:00 for 1h", "America/Santiago",
			"2026-09-06 01:00:00 -0300", "2026-09-06 02:00:00 -0300",
		},
		{
			"the last day of a leap year beyond the zone's table", "daily 20:00 for 4h", "America/New_York",
			"2040-12-31 20:00:00 -0500", "2041-01-01 00:00:00 -0500",
		},
		{
			"29 February", "daily 22:00 for 4h", "Europe/Amsterdam",
			"2028-02-29 22:00:00 +0100", "2028-03-01 02:00:00 +0100",
		},
		{
			"two days after the second Tuesday of a month that begins on a Wednesday", "monthly 2nd tue+2 20:00 for 8h", "Europe/Amsterdam",
			"2026-07-16 20:00:00 +0200", "2026-07-17 04:00:00 +0200",
		},
		{
			"fourteen days after the fourth Sunday are in the next month", "monthly 4th sun+14 10:00 for 1h", "UTC",
			"2026-03-08 10:00:00 +0000", "2026-03-08 11:00:00 +0000",
		},
		{
			"an always open window of a short day", "always", "Europe/Berlin",
			"2026-03-29 00:00:00 +0100", "2026-03-30 00:00:00 +0200",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			loc := zone(t, c.zone)
			start, end, ok := rule(t, c.rule).Occurrence(instant(t, c.start), loc)
			require.True(t, ok)
			assert.True(t, start.Equal(instant(t, c.start)), "starts at %s", start)
			assert.True(t, end.Equal(instant(t, c.end)), "ends at %s", end)
			_, _, before := rule(t, c.rule).Occurrence(instant(t, c.start).Add(-time.Second), loc)
			assert.Equal(t, c.rule == "always", before, "open a second before it starts")
		})
	}
}

func TestASkippedDayHasNoWindowOfItsOwn(t *testing.T) {
	apia := zone(t, "Pacific/Apia")
	from, until := instant(t, "2011-12-29 12:00:00 -1000"), instant(t, "2011-12-31 20:00:00 +1400")
	got := rule(t, "daily 22:00 for 4h").Occurrences(from, until, apia)
	// The 30th did not exist. Its window moves to where the clocks went on, and
	// that of the 29th ends there.
	require.Len(t, got, 2)
	assert.Equal(t, "20111230T0800Z", got[0].ID())
	assert.Equal(t, 2*time.Hour, got[0].Left(got[0].Start))
	assert.Equal(t, "20111230T1000Z", got[1].ID())
	assert.Equal(t, 4*time.Hour, got[1].Left(got[1].Start))

	days := rule(t, "always").Occurrences(from, until, apia)
	require.Len(t, days, 2)
	assert.True(t, days[0].End.Equal(days[1].Start))
	assert.Equal(t, 31, days[1].Start.Day())
}

func TestTheZeroRuleNeverOpens(t *testing.T) {
	var none window.Rule
	from := instant(t, "2026-01-01 00:00:00 +0000")
	assert.Empty(t, none.Occurrences(from, from.AddDate(1, 0, 0), time.UTC))
	_, _, ok := none.Occurrence(from, time.UTC)
	assert.False(t, ok)
	assert.Zero(t, none.Next(from, time.UTC))
	assert.False(t, none.Open(from, from.Add(time.Hour), time.UTC))
	assert.Empty(t, none.String())
}

func TestAWindowIsOpenOnlyForWhatLiesInsideIt(t *testing.T) {
	berlin := zone(t, "Europe/Berlin")
	saturday := rule(t, "weekly sat 22:00 for 6h")
	start := instant(t, "2026-11-21 22:00:00 +0100")
	assert.True(t, saturday.Open(start, start.Add(6*time.Hour), berlin))
	assert.True(t, saturday.Open(start.Add(time.Hour), start.Add(2*time.Hour), berlin), "shortened")
	assert.False(t, saturday.Open(start.Add(-time.Second), start.Add(time.Hour), berlin), "begins before")
	assert.False(t, saturday.Open(start, start.Add(6*time.Hour+time.Second), berlin), "ends after")
	assert.False(t, saturday.Open(start, start, berlin), "empty")
	assert.False(t, saturday.Open(start, start.AddDate(0, 0, 7), berlin), "a week of it")

	weekend := rule(t, "weekly sat,sun 22:00 for 24h")
	assert.True(t, weekend.Open(start, start.Add(48*time.Hour), berlin), "two that touch")
	assert.False(t, weekend.Open(start, start.Add(49*time.Hour), berlin))
	assert.True(t, rule(t, "always").Open(start, start.AddDate(0, 0, 40), berlin))
	assert.False(t, rule(t, "daily 00:00 for 24h").Open(start, start.AddDate(900, 0, 0), berlin), "for ever")
}
