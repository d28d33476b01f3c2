package window

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The longest duration that is read. Longer ones are mistakes, and would
// overflow sums of instants.
const longest = 1000 * 24 * time.Hour

var (
	durationShape = regexp.MustCompile(`^(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?$`)
	clockShape    = regexp.MustCompile(`^([01]\d|2[0-3]):([0-5]\d)$`)
	weekdays      = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
)

// ParseDuration reads "3d", "4h", "30m", "2s" and their sums in that order,
// such as "1h30m". A day is 24 hours, whatever the clocks do. It refuses
// fractions, signs and what is longer than 1000 days.
func ParseDuration(s string) (time.Duration, error) {
	m := durationShape.FindStringSubmatch(s)
	if m == nil || s == "" {
		return 0, fmt.Errorf("%q is not a duration: write 3d, 4h, 30m, 45s or 1h30m", s)
	}
	var d time.Duration
	for i, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute, time.Second} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.Atoi(m[i+1])
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration: %w", s, err)
		}
		d += time.Duration(n) * unit
	}
	if d > longest {
		return 0, fmt.Errorf("%s is longer than %s", s, FormatDuration(longest))
	}
	return d, nil
}

// FormatDuration writes what [ParseDuration] reads: whole days as days, the
// rest in hours, minutes and seconds. Parts of a second are dropped.
func FormatDuration(d time.Duration) string {
	d = d.Truncate(time.Second)
	day := 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	var b strings.Builder
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}} {
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// ParseClock reads a time of day, "00:00" to "23:59".
func ParseClock(s string) (hour, minute int, err error) {
	m := clockShape.FindStringSubmatch(s)
	if m == nil {
		return 0, 0, fmt.Errorf("%q is not a time of day: write two digits, a colon and two digits, from 00:00 to 23:59", s)
	}
	hour, _ = strconv.Atoi(m[1])
	minute, _ = strconv.Atoi(m[2])
	return hour, minute, nil
}

// ParseWeekday reads the three letters of a day, "mon" to "sun".
func ParseWeekday(s string) (time.Weekday, error) {
	if i := slices.Index(weekdays, s); i >= 0 {
		return time.Weekday(i), nil
	}
	return 0, fmt.Errorf("%q is not a day: write mon, tue, wed, thu, fri, sat or sun", s)
}

// FormatWeekday writes what [ParseWeekday] reads.
func FormatWeekday(d time.Weekday) string { return weekdays[d] }
