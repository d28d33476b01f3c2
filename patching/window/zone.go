package window

import (
	"fmt"
	"regexp"
	"time"
	_ "time/tzdata" // machines without zone data, as containers are, still know every zone
)

// Zone returns the place of an IANA name such as "Europe/Amsterdam". The host's
// own zone data comes first, because a distribution renews it more often than
// we release; the embedded copy serves where the host has none.
//
// "Local" and the empty name, which Go would accept, are refused: a policy
// means the same place on every machine that reads it.
func Zone(name string) (*time.Location, error) {
	if name == "Local" || !zoneShape.MatchString(name) {
		return nil, fmt.Errorf("%q is not a zone: name a place, such as Europe/Amsterdam, or UTC", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone %q is not known: name a place, such as Europe/Amsterdam, or UTC", name)
	}
	return loc, nil
}

// zoneShape keeps out what only some hosts have beside the zones: "localtime",
// "posix/…", and "right/…", whose clocks count leap seconds.
var zoneShape = regexp.MustCompile(`^[A-Z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$`)

// furthest is more than any offset from UTC that a place ever had (15:56 in
// Manila until 1844), stride less than the time between two of its changes.
const (
	furthest = 30 * time.Hour
	stride   = 6 * time.Hour
)

// wall returns the first instant at which the clocks of a place show the given
// time of the given day or a later one. Day may lie outside its month, as in
// time.Date.
//
// So a time in a gap becomes the instant at which the gap ends, one that occurs
// twice the first of the two, and midnight of a day that a place skipped
// altogether (Samoa, 30 December 2011) the midnight after it.
//
// Time.ZoneBounds would save the search, but on 31 December of a leap year
// beyond a zone's table it ends the period before the instant that was asked
// about.
func wall(year int, month time.Month, day, hour, minute int, loc *time.Location) time.Time {
	shown := time.Date(year, month, day, hour, minute, 0, 0, time.UTC)
	from := shown.Add(-furthest)
	for {
		until := from.Add(stride)
		if offset(until, loc) != offset(from, loc) {
			until = change(from, until, loc)
		}
		at := shown.Add(-offset(from, loc))
		if at.Before(from) {
			at = from // the clocks jumped over it as they changed
		}
		if at.Before(until) {
			return at.In(loc)
		}
		from = until
	}
}

// Local returns the first instant at which the clocks of a place show the date
// and time that shown has in its own zone, or a later one.
func Local(shown time.Time, loc *time.Location) time.Time {
	y, m, d := shown.Date()
	return wall(y, m, d, shown.Hour(), shown.Minute(), loc)
}

func offset(t time.Time, loc *time.Location) time.Duration {
	_, seconds := t.In(loc).Zone()
	return time.Duration(seconds) * time.Second
}

// change returns the first second of the new offset between two instants.
func change(from, until time.Time, loc *time.Location) time.Time {
	was := offset(from, loc)
	for until.Sub(from) > time.Second {
		middle := from.Add(until.Sub(from) / 2).Truncate(time.Second)
		if offset(middle, loc) == was {
			from = middle
		} else {
			until = middle
		}
	}
	return until
}

// civil is a day on a wall calendar, kept as its midnight in UTC, where every
// day has 24 hours.
type civil struct{ time.Time }

func dayOf(t time.Time) civil {
	y, m, d := t.Date()
	return civil{time.Date(y, m, d, 0, 0, 0, 0, time.UTC)}
}

func (c civil) plus(days int) civil { return civil{c.AddDate(0, 0, days)} }

func (c civil) at(hour, minute int, loc *time.Location) time.Time {
	y, m, d := c.Date()
	return wall(y, m, d, hour, minute, loc)
}
