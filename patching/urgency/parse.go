package urgency

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What a table may be at most: far beyond any regime, and small enough to be checked
// whole.
const (
	maxText         = 1 << 20
	maxCombinations = 1 << 12
	maxOutcomes     = 64
	maxProblems     = 20
)

// ErrTable is what is wrong with a table: a line for each problem, with its line,
// row and value.
var ErrTable = errors.New("the decision table cannot be used")

var idShape = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

// Parse reads a table and checks it whole: known points with all of their values,
// every combination answered exactly once, outcomes from least to most urgent. The
// form is CSV, described in docs/urgency.md. The error names all problems, up to
// twenty, and is an [ErrTable].
func Parse(text []byte) (Table, error) {
	p := &parser{}
	if len(text) > maxText {
		p.problem(0, "it has more than %d bytes", maxText)
	} else {
		p.read(text)
		p.complete()
	}
	if len(p.problems) > 0 {
		return Table{}, fmt.Errorf("%w:\n%s", ErrTable, strings.Join(p.problems, "\n"))
	}
	return p.t, nil
}

type parser struct {
	t        Table
	problems []string
	lines    map[string]int // of the first record of a kind
	rows     []int          // the lines of rows
}

func (p *parser) problem(line int, format string, args ...any) {
	if len(p.problems) >= maxProblems {
		return
	}
	text := fmt.Sprintf(format, args...)
	if line > 0 {
		text = fmt.Sprintf("line %d: %s", line, text)
	}
	p.problems = append(p.problems, text)
}

func (p *parser) read(text []byte) {
	p.lines = map[string]int{}
	r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(text, []byte("\ufeff"))))
	r.FieldsPerRecord = -1
	r.Comment = '#'
	for {
		record, err := r.Read()
		var bad *csv.ParseError
		if errors.As(err, &bad) {
			p.problem(bad.StartLine, "%v", bad.Err)
			return // what follows an open quote makes no sense
		}
		if err != nil {
			return // the end
		}
		line, _ := r.FieldPos(0)
		for i := range record {
			record[i] = strings.TrimSpace(record[i])
		}
		// Spreadsheets fill every line up to the longest.
		for len(record) > 1 && record[len(record)-1] == "" {
			record = record[:len(record)-1]
		}
		p.record(line, record)
	}
}

func (p *parser) record(line int, record []string) {
	kind, rest := record[0], record[1:]
	first := p.lines[kind]
	if first == 0 {
		p.lines[kind] = line
	}
	field := func(i int) string {
		if i < len(rest) {
			return rest[i]
		}
		return ""
	}
	bound := map[string]int{"table": 2, "title": 1, "source": 2, "confirm": 1, "note": 1, "outcome": 6}
	most, some := bound[kind]
	switch {
	case kind == "point" || kind == "row":
	case !some:
		if kind != "" || len(rest) > 0 {
			p.problem(line, "%q is no kind of line: table, title, source, confirm, note, point, outcome or row", kind)
		}
		return
	case len(rest) > most:
		p.problem(line, "%s has more than %d values, the next is %q (texts with a comma stand in quotes)", kind, most, rest[most])
		return
	case first > 0 && kind != "note" && kind != "outcome":
		p.problem(line, "a second %s, the first is in line %d", kind, first)
		return
	}
	switch kind {
	case "table":
		p.t.ID, p.t.Version = field(0), field(1)
	case "title":
		p.t.Title = field(0)
	case "source":
		p.t.Source, p.t.Address = field(0), field(1)
	case "confirm":
		p.t.Confirm = field(0)
	case "note":
		p.t.Notes = append(p.t.Notes, field(0))
	case "point":
		p.point(line, field(0), rest)
	case "outcome":
		p.outcome(line, Outcome{Word: field(0), Lane: Lane(field(1)), Condition: field(3), Evidence: field(5)}, field(2), field(4))
	case "row":
		if len(p.t.Rows) >= maxCombinations {
			p.problem(line, "more than %d rows", maxCombinations)
			return
		}
		if len(rest) == 0 {
			rest = []string{""}
		}
		p.t.Rows = append(p.t.Rows, Row{ID: rest[0], Values: slices.Clone(rest[1:])})
		p.rows = append(p.rows, line)
	}
}

func (p *parser) point(line int, name string, rest []string) {
	known := points()
	i := slices.IndexFunc(known, func(k point) bool { return k.name == name })
	switch {
	case i < 0:
		var names []string
		for _, k := range known {
			names = append(names, k.name)
		}
		p.problem(line, "%q is no point: %s", name, strings.Join(names, ", "))
		return
	case slices.ContainsFunc(p.t.asks, func(k point) bool { return k.name == name }):
		p.problem(line, "point %s a second time", name)
		return
	case !slices.Equal(rest[1:], known[i].values):
		p.problem(line, "point %s has the values %q, in this order, and not %q", name, known[i].values, rest[1:])
		return
	}
	p.t.asks = append(p.t.asks, known[i])
	p.t.Points = append(p.t.Points, Point{Name: name, Values: slices.Clone(known[i].values)})
}

var withinShape = regexp.MustCompile(`^([1-9][0-9]{0,3}) (hour|day|month)s?$`)

func (p *parser) outcome(line int, o Outcome, within, clocks string) {
	if o.Word == "" || slices.ContainsFunc(p.t.Outcomes, func(k Outcome) bool { return k.Word == o.Word }) {
		p.problem(line, "outcome %q: it needs a word of its own", o.Word)
	}
	if o.Lane.rank() < 0 {
		p.problem(line, "outcome %q: %q is no lane: defer, scheduled, out-of-cycle or immediate", o.Word, o.Lane)
	}
	for _, c := range strings.Fields(clocks) {
		if !slices.Contains(events, Event(c)) || slices.Contains(o.Clocks, Event(c)) {
			p.problem(line, "outcome %q: the clocks are some of %q, each once, and not %q", o.Word, events, c)
		}
		o.Clocks = append(o.Clocks, Event(c))
	}
	if len(p.t.Outcomes) >= maxOutcomes {
		p.problem(line, "more than %d outcomes", maxOutcomes)
		return
	}
	m := withinShape.FindStringSubmatch(within)
	switch {
	case m != nil:
		n, _ := strconv.Atoi(m[1]) // four digits at most
		switch m[2] {
		case "hour":
			o.Within.Hours = n
		case "day":
			o.Within.Days = n
		case "month":
			o.Within.Months = n
		}
	case within != "":
		p.problem(line, "outcome %q: %q is no time such as 48 hours, 14 days or 1 month", o.Word, within)
		return
	}
	switch dated := m != nil; {
	case dated == (o.Condition != ""):
		p.problem(line, "outcome %q: it needs either a time or a condition", o.Word)
	case dated && (len(o.Clocks) == 0 || o.Clocks[len(o.Clocks)-1] != FirstSeen):
		// The one event that is always known.
		p.problem(line, "outcome %q: the last of the clocks that its time can count from must be %s", o.Word, FirstSeen)
	case !dated && len(o.Clocks) > 0:
		p.problem(line, "outcome %q: it has clocks and no time", o.Word)
	}
	p.ordered(line, o)
	p.t.Outcomes = append(p.t.Outcomes, o)
}

// ordered checks that an outcome is at least as urgent as the one before, so that
// "the worst that is possible" means something.
func (p *parser) ordered(line int, o Outcome) {
	if len(p.t.Outcomes) == 0 {
		return
	}
	before := p.t.Outcomes[len(p.t.Outcomes)-1]
	hours := func(w Within) int { return w.Hours + 24*w.Days + 730*w.Months }
	switch {
	case o.Lane.rank() < before.Lane.rank():
		p.problem(line, "outcome %q: outcomes go from least to most urgent, and %s is less so than %s", o.Word, o.Lane, before.Lane)
	case before.Within != Within{} && (o.Within == Within{} || hours(o.Within) > hours(before.Within)):
		p.problem(line, "outcome %q: outcomes go from least to most urgent, and %q gives less time", o.Word, before.Word)
	}
}

// complete checks what only the whole table shows.
func (p *parser) complete() {
	if !idShape.MatchString(p.t.ID) {
		p.problem(p.lines["table"], "table %q: an id has small letters, digits, dots and hyphens, 64 at most", p.t.ID)
	}
	for _, need := range []struct{ kind, value string }{
		{"version", p.t.Version}, {"title", p.t.Title}, {"source", p.t.Source}, {"confirm", p.t.Confirm},
	} {
		if need.value == "" {
			p.problem(p.lines[need.kind], "the table has no %s", need.kind)
		}
	}
	if len(p.t.asks) == 0 || len(p.t.Outcomes) == 0 {
		p.problem(0, "the table needs a point and an outcome at least")
		return
	}
	n := combinations(p.t.asks)
	if n > maxCombinations {
		p.problem(p.lines["point"], "the points have %d combinations, more than %d", n, maxCombinations)
		return
	}
	p.t.outcome, p.t.row = make([]int, n), slices.Repeat([]int{-1}, n)
	for i := range p.t.Rows {
		p.answer(i)
	}
	p.gaps()
}

// answer takes a row in.
func (p *parser) answer(i int) {
	r, line := &p.t.Rows[i], p.rows[i]
	if len(r.Values) != len(p.t.asks)+1 {
		p.problem(line, "row %q has %d values, and the table %d points and an outcome", r.ID, len(r.Values), len(p.t.asks))
		return
	}
	r.Outcome, r.Values = r.Values[len(p.t.asks)], r.Values[:len(p.t.asks)]
	if r.ID == "" || slices.ContainsFunc(p.t.Rows[:i], func(k Row) bool { return k.ID == r.ID }) {
		p.problem(line, "row %q: it needs an id of its own", r.ID)
	}
	values := make([]int, len(p.t.asks))
	for k, point := range p.t.asks {
		if values[k] = point.rank(r.Values[k]); values[k] < 0 {
			p.problem(line, "row %q: %q is no value of %s: %q", r.ID, r.Values[k], point.name, point.values)
			return
		}
	}
	outcome := slices.IndexFunc(p.t.Outcomes, func(o Outcome) bool { return o.Word == r.Outcome })
	if outcome < 0 {
		p.problem(line, "row %q: %q is no outcome of this table", r.ID, r.Outcome)
		return
	}
	at := index(p.t.asks, values)
	if other := p.t.row[at]; other >= 0 {
		p.problem(line, "row %q has the same values as row %q", r.ID, p.t.Rows[other].ID)
		return
	}
	p.t.outcome[at], p.t.row[at] = outcome, i
}

// gaps names the combinations that no row answers. They are only looked for in a
// table that is right otherwise: a mistaken value would be told twice.
func (p *parser) gaps() {
	if len(p.problems) > 0 {
		return
	}
	values := make([]int, len(p.t.asks))
	all := make([]span, len(p.t.asks))
	for i, point := range p.t.asks {
		all[i].to = len(point.values) - 1
	}
	for more := true; more; more = next(values, all) {
		if p.t.row[index(p.t.asks, values)] >= 0 {
			continue
		}
		var words []string
		for i, point := range p.t.asks {
			words = append(words, point.name+" "+point.values[values[i]])
		}
		p.problem(0, "no row for %s", strings.Join(words, ", "))
	}
}
