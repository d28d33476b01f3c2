package urgency

import (
	"fmt"
	"time"
)

// Table is a regime as a decision table. [Parse] makes one; its contents must not be
// changed.
type Table struct {
	ID, Version, Title string
	// Source is the document, Address where it can be had.
	Source, Address string
	// Confirm is the sentence that people read beside every deadline.
	Confirm string
	// Notes say where the table reads more into its source than is there.
	Notes    []string
	Points   []Point
	Outcomes []Outcome // from least to most urgent
	Rows     []Row

	asks []point
	// at is the outcome's index and row the row's, by combination: values of points
	// as digits of a number.
	outcome, row []int
}

// Point is what a table asks, with its possible answers from mild to grave.
type Point struct {
	Name   string
	Values []string
}

// Row is one combination of answers.
type Row struct {
	ID      string
	Values  []string // one for each point
	Outcome string
}

// Outcome is what a table can say.
type Outcome struct {
	Word string
	Lane Lane
	// Within is the time that it gives; zero: none, and Condition says what there is
	// instead.
	Within    Within
	Condition string
	// Clocks are what the time can count from: the first that is known does.
	Clocks []Event
	// Evidence is what has to be kept or looked into beside patching; empty: nothing.
	Evidence string
}

// Event is what can start a clock.
type Event string

// The events.
const (
	KEVAdded       Event = "kev-added"
	PatchAvailable Event = "patch-available"
	Published      Event = "published"
	FirstSeen      Event = "first-seen"
)

var events = []Event{KEVAdded, PatchAvailable, Published, FirstSeen}

// Words are the event as people read it.
func (e Event) Words() string {
	switch e {
	case KEVAdded:
		return "listed as exploited"
	case PatchAvailable:
		return "patch available"
	case Published:
		return "advisory published"
	case FirstSeen:
		return "first seen here"
	}
	return string(e)
}

// Within is a span of time as regimes give it. At most one of its numbers is not zero.
type Within struct{ Hours, Days, Months int }

// From is the last second that is in time.
//
// Hours count from the instant. Days and months are the calendar's, in UTC, and end
// with the day: what was listed on the 1st at any hour and is due in 14 days may be
// done until the 15th at 23:59:59. The due dates that CISA's catalogue gives for
// BOD 26-04 count like that. A month from the 31st ends on the last day of a shorter
// one.
func (w Within) From(t time.Time) time.Time {
	t = t.UTC()
	if w.Hours > 0 {
		return t.Add(time.Duration(w.Hours) * time.Hour)
	}
	y, m, d := t.Date()
	last := time.Date(y, m+time.Month(w.Months)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if w.Months > 0 {
		d = min(d, last)
	}
	return time.Date(y, m+time.Month(w.Months), d+w.Days, 23, 59, 59, 0, time.UTC)
}

func (w Within) String() string {
	for _, part := range []struct {
		n    int
		unit string
	}{{w.Hours, "hour"}, {w.Days, "day"}, {w.Months, "month"}} {
		switch {
		case part.n == 1:
			return "1 " + part.unit
		case part.n > 1:
			return fmt.Sprintf("%d %ss", part.n, part.unit)
		}
	}
	return ""
}

// index is the number of a combination of values.
func index(asks []point, values []int) int {
	n := 0
	for i, p := range asks {
		n = n*len(p.values) + values[i]
	}
	return n
}

// combinations is how many a table has to answer.
func combinations(asks []point) int {
	n := 1
	for _, p := range asks {
		n *= len(p.values)
	}
	return n
}

// next counts values up within their spans; false: that was the last combination.
func next(values []int, spans []span) bool {
	for i := len(values) - 1; i >= 0; i-- {
		if values[i] < spans[i].to {
			values[i]++
			return true
		}
		values[i] = spans[i].from
	}
	return false
}
