package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching/window"
)

func TestFreezesShortenSplitAndDropWindows(t *testing.T) {
	ams := zone(t, "Europe/Amsterdam")
	nightly := rule(t, "daily 22:00 for 6h")
	from, until := instant(t, "2026-12-01 12:00:00 +0100"), instant(t, "2026-12-04 12:00:00 +0100")
	freeze := func(from, until string) window.Freeze {
		return window.Freeze{From: instant(t, from), Until: instant(t, until)}
	}
	cases := []struct {
		name    string
		freezes []window.Freeze
		want    []string
	}{
		{"no freeze", nil, []string{"01 22:00-04:00", "02 22:00-04:00", "03 22:00-04:00"}},
		{
			"one that begins inside shortens",
			[]window.Freeze{freeze("2026-12-02 00:00:00 +0100", "2026-12-02 12:00:00 +0100")},
			[]string{"01 22:00-00:00", "02 22:00-04:00", "03 22:00-04:00"},
		},
		{
			"one that ends inside shortens",
			[]window.Freeze{freeze("2026-12-01 12:00:00 +0100", "2026-12-02 01:00:00 +0100")},
			[]string{"02 01:00-04:00", "02 22:00-04:00", "03 22:00-04:00"},
		},
		{
			"one in the middle splits",
			[]window.Freeze{freeze("2026-12-01 23:00:00 +0100", "2026-12-02 01:00:00 +0100")},
			[]string{"01 22:00-23:00", "02 01:00-04:00", "02 22:00-04:00", "03 22:00-04:00"},
		},
		{
			"one over all of it drops",
			[]window.Freeze{freeze("2026-12-01 22:00:00 +0100", "2026-12-02 04:00:00 +0100")},
			[]string{"02 22:00-04:00", "03 22:00-04:00"},
		},
		{
			"two that overlap",
			[]window.Freeze{freeze("2026-12-01 00:00:00 +0100", "2026-12-03 00:00:00 +0100"), freeze("2026-12-02 00:00:00 +0100", "2026-12-03 23:00:00 +0100")},
			[]string{"03 23:00-04:00"},
		},
		{
			"one that touches changes nothing",
			[]window.Freeze{freeze("2026-12-02 04:00:00 +0100", "2026-12-02 22:00:00 +0100")},
			[]string{"01 22:00-04:00", "02 22:00-04:00", "03 22:00-04:00"},
		},
		{
			"one that ends before it begins changes nothing",
			[]window.Freeze{freeze("2026-12-03 00:00:00 +0100", "2026-12-01 00:00:00 +0100")},
			[]string{"01 22:00-04:00", "02 22:00-04:00", "03 22:00-04:00"},
		},
		{"one over everything leaves nothing", []window.Freeze{freeze("2026-01-01 00:00:00 +0100", "2027-01-01 00:00:00 +0100")}, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, o := range window.Plan(nightly, ams, from, until, c.freezes) {
				got = append(got, o.Start.Format("02 15:04-")+o.End.Format("15:04"))
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestWhatBeginsBeforeTheClosingDateEndsBeforeIt(t *testing.T) {
	ams := zone(t, "Europe/Amsterdam")
	from := instant(t, "2026-12-01 23:00:00 +0100")
	got := window.Plan(rule(t, "daily 22:00 for 6h"), ams, from, from.Add(24*time.Hour), nil)
	require.Len(t, got, 2)
	assert.Equal(t, "20261201T2100Z", got[0].ID(), "the open one keeps its name")
	assert.Equal(t, 5*time.Hour, got[0].Left(from))
	assert.True(t, got[1].End.Equal(from.Add(24*time.Hour)))
}

// A demo's windows are always open, at any minute of the day and in any zone.
func TestAnAlwaysOpenWindowIsOpenAtOnceAndNotCutAtMidnight(t *testing.T) {
	for _, name := range []string{"Europe/Amsterdam", "America/New_York", "Asia/Tokyo", "Asia/Kathmandu"} {
		loc := zone(t, name)
		midnight := time.Date(2026, 11, 21, 0, 0, 0, 0, loc)
		for _, now := range []time.Time{midnight.Add(-time.Second), midnight, midnight.Add(time.Minute), midnight.Add(11 * time.Hour)} {
			got := window.Plan(rule(t, "always"), loc, now, now.Add(2*time.Hour), nil)
			require.Len(t, got, 1, "%s", now)
			assert.False(t, got[0].Start.After(now))
			assert.Equal(t, 2*time.Hour, got[0].Left(now))
			assert.Equal(t, now.Format(time.DateOnly), got[0].Start.Format(time.DateOnly))
		}
	}
}
