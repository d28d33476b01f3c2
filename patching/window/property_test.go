package window_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching/window"
)

var days = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

func drawRule(t *rapid.T) window.Rule {
	clock := fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"))
	length := rapid.OneOf(rapid.IntRange(1, 1440), rapid.Just(1440), rapid.IntRange(60, 480)).Draw(t, "minutes")
	var text string
	switch rapid.SampledFrom([]string{"always", "daily", "weekly", "monthly"}).Draw(t, "kind") {
	case "always":
		text = "always"
	case "daily":
		text = fmt.Sprintf("daily %s for %dm", clock, length)
	case "weekly":
		on := rapid.SliceOfNDistinct(rapid.SampledFrom(days), 1, 7, rapid.ID).Draw(t, "days")
		if len(on) == 1 {
			length *= 7
		}
		text = fmt.Sprintf("weekly %s %s for %dm", strings.Join(on, ","), clock, length)
	case "monthly":
		text = fmt.Sprintf("monthly %s %s+%d %s for %dm", rapid.SampledFrom([]string{"1st", "2nd", "3rd", "4th"}).Draw(t, "nth"),
			rapid.SampledFrom(days).Draw(t, "day"), rapid.IntRange(1, 14).Draw(t, "plus"), clock, length*rapid.IntRange(1, 28).Draw(t, "times"))
	}
	return rule(t, text)
}

// drawInstant prefers the hours around a change of the clocks.
func drawInstant(t *rapid.T, loc *time.Location, name string) time.Time {
	year := rapid.IntRange(1990, 2060).Draw(t, name+" year")
	second := rapid.Int64Range(0, 366*24*3600).Draw(t, name+" second")
	at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second).In(loc)
	if !rapid.Bool().Draw(t, name+" near a change") {
		return at
	}
	for range 200 {
		next := at.AddDate(0, 0, 1)
		_, a := at.Zone()
		if _, b := next.Zone(); a != b {
			break
		}
		at = next
	}
	return at
}

// Serves G3, scenario 40 of the reliability study.
func TestOccurrencesInEveryZone(t *testing.T) {
	zones := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		r := drawRule(t)
		from := drawInstant(t, loc, "from")
		until := from.Add(time.Duration(rapid.IntRange(1, 70*24*60).Draw(t, "minutes ahead")) * time.Minute)

		again, where, err := window.ParseSigned(r.Signed(loc))
		require.NoError(t, err)
		require.Equal(t, r, again)
		require.Equal(t, loc.String(), where.String())

		all := r.Occurrences(from, until, loc)
		for i, o := range all {
			require.True(t, o.Start.Before(o.End), "empty")
			require.True(t, o.End.After(from) && o.Start.Before(until), "outside")
			if i > 0 {
				require.False(t, o.Start.Before(all[i-1].End), "overlap")
			}
			next := r.Next(o.Start, loc)
			require.True(t, next.Start.After(o.Start) && !next.Start.Before(o.End), "the next one overlaps")
			if i+1 < len(all) {
				require.Equal(t, all[i+1], next)
			}
			if !r.Always() && !o.End.Equal(next.Start) {
				require.Equal(t, r.Length(), o.End.Sub(o.Start), "length")
			}
			require.True(t, r.Open(o.Start, o.End, loc))
			for _, at := range []time.Time{o.Start, o.End.Add(-time.Nanosecond)} {
				start, end, ok := r.Occurrence(at, loc)
				require.True(t, ok)
				require.Equal(t, o, window.Occurrence{Start: start, End: end})
			}
		}
		at := from.Add(time.Duration(rapid.Int64Range(0, int64(until.Sub(from))-1).Draw(t, "at")))
		_, _, open := r.Occurrence(at, loc)
		require.Equal(t, slices.ContainsFunc(all, func(o window.Occurrence) bool { return o.Covers(at) }), open)
	})
}

func TestPlansAreTheWindowsLessTheFreezes(t *testing.T) {
	zones := zoneNames(t)
	rapid.Check(t, func(t *rapid.T) {
		loc := zone(t, rapid.SampledFrom(zones).Draw(t, "zone"))
		r := drawRule(t)
		from := drawInstant(t, loc, "from")
		ahead := func(name string) time.Time {
			return from.Add(time.Duration(rapid.Int64Range(1, 40*24*3600).Draw(t, name)) * time.Second)
		}
		until := ahead("until")
		var freezes []window.Freeze
		for i := range rapid.IntRange(0, 3).Draw(t, "freezes") {
			freezes = append(freezes, window.Freeze{From: ahead(fmt.Sprint("freeze ", i)), Until: ahead(fmt.Sprint("thaw ", i))})
		}
		plan := window.Plan(r, loc, from, until, freezes)
		for i, o := range plan {
			require.True(t, o.Start.Before(o.End) && o.End.After(from) && !o.End.After(until))
			require.True(t, r.Open(o.Start, o.End, loc), "not inside the rule")
			if i > 0 {
				require.False(t, o.Start.Before(plan[i-1].End), "overlap")
			}
		}
		instants := []time.Time{from, until.Add(-1), ahead("at")}
		for _, o := range plan {
			instants = append(instants, o.Start, o.End, o.End.Add(-1))
		}
		for _, f := range freezes {
			instants = append(instants, f.From, f.Until, f.From.Add(-1), f.Until.Add(-1))
		}
		for _, at := range instants {
			if at.Before(from) {
				continue
			}
			_, _, want := r.Occurrence(at, loc)
			want = want && at.Before(until)
			for _, f := range freezes {
				want = want && (at.Before(f.From) || !at.Before(f.Until))
			}
			got := slices.ContainsFunc(plan, func(o window.Occurrence) bool { return o.Covers(at) })
			require.Equal(t, want, got, "at %s", at)
		}
	})
}

// A reading of the rule that shares nothing with the code: minute by minute,
// what does the clock on the wall show?
func TestEveryChangeOfEveryClockStartsWindowsAtTheFirstInstantThatExists(t *testing.T) {
	changes := 0
	for _, name := range zoneNames(t) {
		loc := zone(t, name)
		for _, year := range []int{2025, 2026, 2028, 2040} {
			for _, at := range clockChanges(loc, year) {
				changes++
				before, after := at.Add(-time.Minute).In(loc), at.In(loc)
				for _, shown := range []time.Time{before, after, after.Add(-20 * time.Minute), before.Add(20 * time.Minute)} {
					checkStart(t, loc, naive(shown))
					checkStart(t, loc, naive(before).Add(15*time.Minute))
				}
			}
		}
	}
	require.Greater(t, changes, 1000)
}

// naive is the time that the clock shows, as if it were UTC.
func naive(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), 0, 0, time.UTC)
}

func clockChanges(loc *time.Location, year int) []time.Time {
	var found []time.Time
	at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	for ; at.Year() == year; at = at.Add(time.Hour) {
		_, a := at.In(loc).Zone()
		_, b := at.Add(time.Hour).In(loc).Zone()
		for m := at; a != b && m.Before(at.Add(time.Hour)); m = m.Add(time.Minute) {
			if _, c := m.Add(time.Minute).In(loc).Zone(); c != a {
				found = append(found, m.Add(time.Minute))
				break
			}
		}
	}
	return found
}

func checkStart(t *testing.T, loc *time.Location, shown time.Time) {
	t.Helper()
	want := shown.Add(-16 * time.Hour)
	for naive(want.In(loc)).Before(shown) {
		want = want.Add(time.Minute)
	}
	r := rule(t, fmt.Sprintf("daily %02d:%02d for 1m", shown.Hour(), shown.Minute()))
	start, _, ok := r.Occurrence(want, loc)
	require.True(t, ok, "%s %s: closed at %s", loc, shown, want)
	require.True(t, start.Equal(want), "%s %s: starts at %s, want %s", loc, shown, start, want)
}
