package window

import "time"

// Occurrence is one time at which a window is open: from Start until just
// before End.
type Occurrence struct{ Start, End time.Time }

// ID names the occurrence in workflow ids: its start in UTC, to the minute, on
// which windows open.
func (o Occurrence) ID() string { return o.Start.UTC().Format("20060102T1504Z") }

// Covers reports whether t lies inside.
func (o Occurrence) Covers(t time.Time) bool { return !t.Before(o.Start) && t.Before(o.End) }

// Left is how much of the occurrence remains at t; all of it before it began.
func (o Occurrence) Left(t time.Time) time.Duration {
	if t.Before(o.Start) {
		t = o.Start
	}
	return max(0, o.End.Sub(t))
}

// allDay is longer than any calendar day anywhere. Kwajalein once had the same
// date twice, 48 hours in all.
const allDay = 72 * time.Hour

// Occurrences returns, in order, every occurrence of which a part lies between
// from and until, whole: the first may begin before from and the last end after
// until. They never overlap. Where turned clocks bring the next start nearer
// than the length, an occurrence ends as the next begins; otherwise it lasts
// the rule's length to the second.
//
// A window that is always open has an occurrence for each calendar day of the
// place, and each ends as the next begins.
func (r Rule) Occurrences(from, until time.Time, loc *time.Location) []Occurrence {
	if r.every == "" || !from.Before(until) {
		return nil
	}
	length := r.length
	if r.every == always {
		length = allDay
	}
	// Two days more than the length: a skipped day moves a start by one, and
	// dates at the two ends of the world differ by another.
	day := dayOf(from.In(loc)).plus(-int(length/(24*time.Hour)) - 2)
	var all []Occurrence
	for ; ; day = day.plus(1) {
		if !r.falls(day) {
			continue
		}
		start := day.at(r.hour, r.minute, loc)
		if n := len(all); n > 0 {
			last := &all[n-1]
			if last.Start.Equal(start) {
				continue // the day before was skipped and began here too
			}
			if start.Before(last.End) {
				last.End = start
			}
			if !last.End.After(from) {
				all = all[:n-1]
			}
		}
		if !start.Before(until) {
			return all
		}
		all = append(all, Occurrence{start, start.Add(length).In(loc)})
	}
}

// falls reports whether a window of the rule starts on the day.
func (r Rule) falls(day civil) bool {
	switch r.every {
	case weekly:
		return r.days.has(day.Weekday())
	case monthly:
		base := day.plus(-r.plus)
		return r.days.has(base.Weekday()) && (base.Day()-1)/7+1 == r.nth
	default:
		return true
	}
}

// Occurrence returns the occurrence that covers at; ok is false when the
// window is closed then.
func (r Rule) Occurrence(at time.Time, loc *time.Location) (start, end time.Time, ok bool) {
	for _, o := range r.Occurrences(at, at.Add(1), loc) {
		if o.Covers(at) {
			return o.Start, o.End, true
		}
	}
	return time.Time{}, time.Time{}, false
}

// Next returns the first occurrence that starts after the given instant. It is
// the zero Occurrence only for the zero Rule.
func (r Rule) Next(after time.Time, loc *time.Location) Occurrence {
	// No month is without its n-th weekday, and no two of those are further apart.
	const apart = 36 * 24 * time.Hour
	for _, o := range r.Occurrences(after, after.Add(apart), loc) {
		if o.Start.After(after) {
			return o
		}
	}
	return Occurrence{}
}

// Open reports whether the window is open from start until end without a
// break. It is the question that a machine asks of an order: the instants that
// it carries have to lie inside what was signed, though a freeze or the closing
// date of the cycle may have shortened them.
func (r Rule) Open(start, end time.Time, loc *time.Location) bool {
	if !start.Before(end) {
		return false
	}
	if r.every == always {
		return true
	}
	// More openings in a row than a cycle could ever use are not believed.
	for range 400 {
		_, closes, ok := r.Occurrence(start, loc)
		if !ok {
			return false
		}
		if !closes.Before(end) {
			return true
		}
		start = closes
	}
	return false
}
