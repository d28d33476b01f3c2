package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching/window"
)

// matches says whether Temporal's calendar fires on that day: day of the month
// and weekday have to match, both.
func matches(s window.CalendarSpec, day time.Time) bool {
	return day.Day() >= s.FromDay && day.Day() <= s.ToDay && day.Weekday() == s.Weekday
}

// Serves U3.
func TestArithmeticAndCalendarAgreeForFortyYears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		nth := rapid.IntRange(1, 4).Draw(t, "nth")
		m := window.Monthly{
			Nth: nth, Weekday: time.Weekday(rapid.IntRange(0, 6).Draw(t, "weekday")),
			Plus: rapid.IntRange(0, min(14, 28-7*nth)).Draw(t, "plus"),
			Hour: rapid.IntRange(0, 23).Draw(t, "hour"), Minute: rapid.IntRange(0, 59).Draw(t, "minute"), Zone: "UTC",
		}
		require.NoError(t, m.Validate())
		spec := m.Spec()
		var fired []time.Time
		end := time.Date(2060, 1, 1, 0, 0, 0, 0, time.UTC)
		for day := time.Date(2020, 1, 1, m.Hour, m.Minute, 0, 0, time.UTC); day.Before(end); day = day.AddDate(0, 0, 1) {
			if matches(spec, day) {
				fired = append(fired, day)
			}
		}
		require.Len(t, fired, 480)
		for i, want := range fired {
			got, err := m.Start(2020+i/12, time.Month(1+i%12))
			require.NoError(t, err)
			require.True(t, want.Equal(got), "calendar %s, arithmetic %s", want, got)
		}
	})
}

func TestTheDayAfterTheSecondTuesdayIsNotTheSecondWednesday(t *testing.T) {
	m := window.Monthly{Nth: 2, Weekday: time.Tuesday, Plus: 1, Hour: 20, Zone: "Europe/Amsterdam"}
	assert.Equal(t, window.CalendarSpec{FromDay: 9, ToDay: 15, Weekday: time.Wednesday, Hour: 20, Zone: "Europe/Amsterdam"}, m.Spec())
	for month, day := range map[time.Month]int{time.April: 15, time.July: 15, time.November: 11} {
		start, err := m.Start(2026, month)
		require.NoError(t, err)
		assert.Equal(t, day, start.Day())
		assert.Equal(t, 20, start.Hour(), "local time, summer and winter")
	}
}

func TestAMonthlyRuleAndTheCalendarStartTogether(t *testing.T) {
	loc := zone(t, "America/New_York")
	m := window.Monthly{Nth: 2, Weekday: time.Tuesday, Plus: 2, Hour: 20, Zone: loc.String()}
	r := rule(t, "monthly 2nd tue+2 20:00 for 8h")
	at := instant(t, "2026-01-01 00:00:00 +0000")
	for range 480 {
		start, err := m.Next(at)
		require.NoError(t, err)
		require.True(t, start.Equal(r.Next(at, loc).Start))
		at = start
	}
}

func TestACalendarThatSomeMonthLacksIsRefused(t *testing.T) {
	good := window.Monthly{Nth: 2, Weekday: time.Tuesday, Plus: 14, Hour: 20, Zone: "UTC"}
	require.NoError(t, good.Validate())
	for name, change := range map[string]func(*window.Monthly){
		"fifth week":        func(m *window.Monthly) { m.Nth = 5 },
		"no week":           func(m *window.Monthly) { m.Nth = 0 },
		"over a month end":  func(m *window.Monthly) { m.Nth = 3 },
		"days before":       func(m *window.Monthly) { m.Plus = -1 },
		"too many days":     func(m *window.Monthly) { m.Nth, m.Plus = 1, 15 },
		"no such hour":      func(m *window.Monthly) { m.Hour = 24 },
		"no such minute":    func(m *window.Monthly) { m.Minute = 60 },
		"no zone":           func(m *window.Monthly) { m.Zone = "" },
		"the machine's own": func(m *window.Monthly) { m.Zone = "Local" },
	} {
		m := good
		change(&m)
		assert.Error(t, m.Validate(), name)
		_, err := m.Start(2026, time.January)
		assert.Error(t, err, name)
		_, err = m.Next(instant(t, "2026-01-01 00:00:00 +0000"))
		assert.Error(t, err, name)
	}
}

func TestAMonthWhoseClocksJumpOverTheStartIsTold(t *testing.T) {
	m := window.Monthly{Nth: 2, Weekday: time.Sunday, Hour: 2, Minute: 30, Zone: "America/New_York"}
	march, err := m.Exists(2026, time.March)
	require.NoError(t, err)
	assert.False(t, march)
	start, err := m.Start(2026, time.March)
	require.NoError(t, err)
	assert.Equal(t, "2026-03-08T03:00:00-04:00", start.Format(time.RFC3339))
	april, err := m.Exists(2026, time.April)
	require.NoError(t, err)
	assert.True(t, april)
}
