package window

import (
	"slices"
	"time"
)

// Freeze is a time in which nothing may run.
type Freeze struct{ From, Until time.Time }

// Plan returns, in order, when work may run in a window between from and
// until, freezes left out. What begins before until has to end before it, too.
//
//   - Occurrences that touch are joined: from Saturday 22:00 for a day and Sunday
//     22:00 for a day is one time of two days. So a window that is always open
//     gives one long time. It starts with the day of from, before from, and so it
//     is open at once; and it is not cut at midnight, where a plan that is made
//     at 23:59 would otherwise have a minute.
//   - The one that is open at from keeps its true start, so that it has the same
//     name whenever it is asked for. [Occurrence.Left] says what remains of it.
//   - Freezes and until shorten an occurrence. What lies on both sides of a freeze
//     gives two; what lies inside one is dropped. Whether the remainder is long
//     enough for the work is the planner's judgement: nothing may start that
//     cannot end inside (G3).
func Plan(rule Rule, loc *time.Location, from, until time.Time, freezes []Freeze) []Occurrence {
	free := join(rule.Occurrences(from, until, loc))
	for _, f := range freezes {
		free = subtract(free, f)
	}
	free = subtract(free, Freeze{From: until, Until: until.Add(longest)})
	return slices.DeleteFunc(free, func(o Occurrence) bool { return !o.End.After(from) })
}

func join(all []Occurrence) []Occurrence {
	var joined []Occurrence
	for _, o := range all {
		if n := len(joined); n > 0 && joined[n-1].End.Equal(o.Start) {
			joined[n-1].End = o.End
			continue
		}
		joined = append(joined, o)
	}
	return joined
}

func subtract(all []Occurrence, f Freeze) []Occurrence {
	if !f.From.Before(f.Until) {
		return all
	}
	var left []Occurrence
	for _, o := range all {
		if !f.From.Before(o.End) || !o.Start.Before(f.Until) {
			left = append(left, o)
			continue
		}
		if o.Start.Before(f.From) {
			left = append(left, Occurrence{o.Start, f.From.In(o.Start.Location())})
		}
		if f.Until.Before(o.End) {
			left = append(left, Occurrence{f.Until.In(o.End.Location()), o.End})
		}
	}
	return left
}
