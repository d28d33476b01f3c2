// Package window decides when: maintenance windows in local time, the
// freezes that close them, and the day on which a month's cycle starts.
//
// A window is a rule ("weekly sat,sun 22:00 for 6h") that is read on the wall
// clock of a place. Three decisions make it safe to plan with (scenario 40 of
// the reliability study):
//
//   - A start that the clock jumps over moves forward to the first instant that
//     exists; one that the clock shows twice is the first of the two.
//   - A length is real time: a window of 6 hours lasts 6 hours on the night on
//     which the clock is turned, and ends at another wall time.
//   - Days are counted as days of the month, never as multiples of 24 hours.
//
// Go's time.Date promises only that a time inside a gap is "correct in one of
// the two zones": 02:30 became 01:30 in New York and 03:30 in Berlin. Nothing
// here asks it about a local time; see [wall].
package window
