// Package phrase puts counts, instants and lists as people read them, so that
// gates, plans, workflows and commands say the same alike.
package phrase

import (
	"fmt"
	"strings"
	"time"
)

// Count counts things: "1 machine", "3 machines". The plural ends in s unless
// it is given.
func Count(n int, one string, many ...string) string {
	switch {
	case n == 1:
		return "1 " + one
	case len(many) > 0:
		return fmt.Sprintf("%d %s", n, many[0])
	default:
		return fmt.Sprintf("%d %ss", n, one)
	}
}

// Few joins at most so many names and counts the others.
func Few[S ~string](names []S, most int) string {
	named := make([]string, min(len(names), most))
	for i := range named {
		named[i] = string(names[i])
	}
	words := strings.Join(named, ", ")
	if more := len(names) - len(named); more > 0 {
		words = fmt.Sprintf("%s and %d more", words, more)
	}
	return words
}

// Size prints bytes in decimal units.
func Size(n int64) string {
	f := float64(n)
	for _, unit := range []string{"bytes", "kB", "MB", "GB", "TB"} {
		if f < 999.5 || unit == "TB" {
			if unit == "bytes" || f >= 99.5 {
				return fmt.Sprintf("%.0f %s", f, unit)
			}
			return fmt.Sprintf("%.1f %s", f, unit)
		}
		f /= 1000
	}
	return ""
}

// About rounds a length of time to what people say of it.
func About(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= 2*day:
		return "about " + Count(int((d+day/2)/day), "day")
	case d >= 2*time.Hour:
		return "about " + Count(int((d+time.Hour/2)/time.Hour), "hour")
	default:
		return "about " + Count(int((d+time.Minute/2)/time.Minute), "minute")
	}
}

// ClockOff says how far a clock is ahead of another; behind it, if d is negative.
func ClockOff(d time.Duration) string {
	if d < 0 {
		return About(-d) + " behind"
	}
	return About(d) + " ahead"
}

// Moment prints an instant: pages are read in many zones, so in UTC.
func Moment(t time.Time) string { return t.UTC().Format("2 Jan 2006 15:04 UTC") }
