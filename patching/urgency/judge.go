package urgency

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Unknown is what a policy does about points that have no fact.
type Unknown string

// What is not known counts as the worst that it may be, which is what policies do
// unless they say otherwise; as the mildest; or as the worst until a person, who is
// asked, has found out.
const (
	AsWorst Unknown = "worst"
	AsBest  Unknown = "best"
	Ask     Unknown = "ask"
)

// Deadline is what one regime says of a finding on an asset.
type Deadline struct {
	Regime, Version string // the table's id and version
	Asset           patching.AssetID
	Advisory        patching.AdvisoryID
	Lane            Lane
	// Due is the last second that is in time; zero: there is no date, and Condition
	// says what there is instead.
	Due       time.Time
	Condition string
	Clock     Clock
	// Row and Outcome are the table's answer, Evidence the step that it asks for
	// beside patching; empty: none.
	Row, Outcome, Evidence string
	// Unknown names the points that had no fact, or none that settles them. Possible
	// are the outcomes that these leave, from mild to urgent, where there are several.
	Unknown, Possible []string
	// Ask: a person has to find out what is not known, as it makes a difference.
	Ask bool
}

// Clock is what a due date counts from.
type Clock struct {
	What Event // empty: the outcome has no date
	At   time.Time
	// Row is the row whose time runs. It is another one than the deadline's where the
	// flaw came into KEV when the time for it had begun already: a clock that runs is
	// not set back by worse news.
	Row string
}

// Judge asks every table of a finding. The answers are sorted: dates first, the
// earliest in front, then what has none, the most urgent lane in front. There are
// none for what is moot (see [Facts]).
//
// The same facts give the same answer. The only use of now is for a finding that was
// never seen before.
func Judge(f Facts, regimes []Table, treat Unknown, now time.Time) []Deadline {
	if f.Moot {
		return nil
	}
	if f.FirstSeen.IsZero() {
		f.FirstSeen = now
	}
	deadlines := make([]Deadline, 0, len(regimes))
	for _, t := range regimes {
		deadlines = append(deadlines, t.judge(f, treat))
	}
	slices.SortStableFunc(deadlines, Compare)
	return deadlines
}

// Binding is the deadline that counts: the earliest; if none has a date, the one with
// the most urgent lane. It reports false if there is none at all.
func Binding(deadlines []Deadline) (Deadline, bool) {
	if len(deadlines) == 0 {
		return Deadline{}, false
	}
	return slices.MinFunc(deadlines, Compare), true
}

// Misses are the deadlines that the coming cycle certainly misses, if nextDone is the
// earliest that it can have reached its last machine: a reason to propose an
// emergency. A zero nextDone is no cycle at all. Besides those whose date is before,
// these are the ones without a date whose lane does not wait for a cycle, except
// where there is no patch yet.
func Misses(deadlines []Deadline, nextDone time.Time) []Deadline {
	var missed []Deadline
	for _, d := range deadlines {
		switch {
		case !d.Due.IsZero():
			if nextDone.IsZero() || nextDone.After(d.Due) {
				missed = append(missed, d)
			}
		case d.Lane.rank() >= OutOfCycle.rank() && !d.Waiting():
			missed = append(missed, d)
		}
	}
	return missed
}

// Waiting reports whether the clock has not begun, because there is no patch yet.
func (d Deadline) Waiting() bool { return d.Clock.What != "" && d.Clock.At.IsZero() }

// Compare orders deadlines: those with a date first, the earliest in front, then what has
// none, the most urgent lane in front.
func Compare(a, b Deadline) int {
	return cmp.Or(
		later(a.Due.IsZero(), b.Due.IsZero()), a.Due.Compare(b.Due),
		cmp.Compare(b.Lane.rank(), a.Lane.rank()), strings.Compare(a.Regime, b.Regime),
	)
}

// judge is the table's answer to facts and, if KEV lists the flaw, to what they were
// before it did: the earlier date of both.
func (t Table) judge(f Facts, treat Unknown) Deadline {
	unknown, answers := t.answers(f)
	a := choose(answers, treat)
	o := t.Outcomes[a.outcome]
	d := Deadline{
		Regime: t.ID, Version: t.Version, Asset: f.Asset, Advisory: f.Advisory,
		Lane: o.Lane, Due: a.due, Condition: o.Condition, Clock: a.clock,
		Row: a.clock.Row, Outcome: o.Word, Evidence: o.Evidence, Unknown: unknown,
	}
	if f.KEV.Value {
		f.KEV.Value, f.KEVAdded = false, Fact[time.Time]{}
		_, answers := t.answers(f)
		if b := choose(answers, treat); !b.due.IsZero() && (d.Due.IsZero() || b.due.Before(d.Due)) {
			d.Due, d.Clock = b.due, b.clock
		}
	}
	if d.Waiting() {
		d.Condition = o.Within.String() + " from when there is a patch"
	}
	d.Possible = t.possible(answers)
	d.Ask = treat == Ask && len(d.Possible) > 0
	return d
}

// answer is what a table says of one combination of values.
type answer struct {
	combination, outcome int
	due                  time.Time
	clock                Clock
}

// answers returns what a table can say of facts, and the points that are not settled.
func (t Table) answers(f Facts) (unknown []string, all []answer) {
	spans := make([]span, len(t.asks))
	values := make([]int, len(t.asks))
	for i, p := range t.asks {
		spans[i] = p.ask(f)
		values[i] = spans[i].from
		if spans[i].from != spans[i].to {
			unknown = append(unknown, p.name)
		}
	}
	for more := true; more; more = next(values, spans) {
		n := index(t.asks, values)
		a := answer{combination: n, outcome: t.outcome[n]}
		a.clock, a.due = t.Outcomes[a.outcome].date(f)
		a.clock.Row = t.Rows[t.row[n]].ID
		all = append(all, a)
	}
	return unknown, all
}

// choose picks the answer that counts: the earliest date, and among those without
// one or with the same the most urgent outcome, of the gravest values; or the contrary.
func choose(answers []answer, treat Unknown) answer {
	urgent := func(a, b answer) int {
		return cmp.Or(later(a.due.IsZero(), b.due.IsZero()), a.due.Compare(b.due),
			cmp.Compare(b.outcome, a.outcome), cmp.Compare(b.combination, a.combination))
	}
	if treat == AsBest {
		return slices.MaxFunc(answers, urgent)
	}
	return slices.MinFunc(answers, urgent)
}

// possible are the words of different outcomes.
func (t Table) possible(answers []answer) []string {
	var words []string
	for i, o := range t.Outcomes {
		if slices.ContainsFunc(answers, func(a answer) bool { return a.outcome == i }) {
			words = append(words, o.Word)
		}
	}
	if len(words) < 2 {
		return nil
	}
	return words
}

// date finds the clock of an outcome and when its time is over. Where there is no
// patch, a clock that counts from it has not begun, and no later choice replaces it.
func (o Outcome) date(f Facts) (Clock, time.Time) {
	for _, e := range o.Clocks {
		if e == PatchAvailable && f.NoPatch {
			return Clock{What: e}, time.Time{}
		}
		if at := f.when(e); !at.IsZero() {
			return Clock{What: e, At: at}, o.Within.From(at)
		}
	}
	return Clock{}, time.Time{}
}

func (f Facts) when(e Event) time.Time {
	switch e {
	case KEVAdded:
		return f.KEVAdded.Value
	case PatchAvailable:
		return f.Patch.Value
	case Published:
		return f.Published.Value
	case FirstSeen:
		return f.FirstSeen
	}
	return time.Time{}
}
