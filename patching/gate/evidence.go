package gate

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

const termsHeading = "gate terms v1"

// Evidence returns the two texts that a decision's Params and Tally digests
// address: the terms (limits and times) and the tally. Keep both with the
// decision; [Replay] needs nothing else.
func Evidence(q Question) (terms, tally []byte) {
	return q.terms(), settled(q.Tally).Canonical()
}

func (q Question) terms() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, termsHeading)
	for _, l := range [][2]string{
		{"answered", decimal(q.Params.Answered)},
		{"same", strconv.Itoa(q.Params.Same)},
		{"bad count", strconv.Itoa(q.Params.BadCount)},
		{"bad percent", decimal(q.Params.BadPercent)},
		{"min answered", strconv.Itoa(q.Params.MinAnswered)},
		{"host hours", decimal(q.Params.HostHours)},
		{"unreachable", decimal(q.Params.Unreachable)},
		{"soak until", stamp(q.SoakUntil)},
		{"give up", stamp(q.GiveUp)},
		{"hours by", stamp(q.HoursBy)},
	} {
		fmt.Fprintf(&b, "%s\t%s\n", l[0], l[1])
	}
	return b.Bytes()
}

// Replay runs a recorded decision again on the texts that [Evidence] gave, and
// returns an error that says in what the record differs. It is for auditors:
// an error means that the record was changed, or that the gate was not asked.
func Replay(d patching.Decision, terms, tally []byte) error {
	if d.Gate != Rules {
		return fmt.Errorf("replay gate: the decision was made by rules %q, this program has %q", d.Gate, Rules)
	}
	if patching.DigestOf(terms) != d.Params || patching.DigestOf(tally) != d.Tally {
		return errors.New("replay gate: the kept terms or the kept tally are not those that the decision names")
	}
	q, err := ParseTerms(terms)
	if err != nil {
		return fmt.Errorf("replay gate: %w", err)
	}
	if q.Tally, err = ParseTally(tally); err != nil {
		return fmt.Errorf("replay gate: %w", err)
	}
	again := Decide(q, d.At)
	if again.Verb != d.Verb || again.Why != d.Why || !again.Until.Equal(d.Until) {
		return fmt.Errorf("replay gate: recorded %s (%s), but the same numbers give %s (%s)", d.Verb, d.Why, again.Verb, again.Why)
	}
	return nil
}

// ParseTerms reads the terms of a decision: a question without its tally.
func ParseTerms(text []byte) (Question, error) {
	var q Question
	f := fields{lines: strings.Split(string(text), "\n")}
	f.heading(termsHeading)
	q.Params = Params{
		Answered: f.decimal("answered"), Same: f.count("same"), BadCount: f.count("bad count"),
		BadPercent: f.decimal("bad percent"), MinAnswered: f.count("min answered"),
		HostHours: f.decimal("host hours"), Unreachable: f.decimal("unreachable"),
	}
	q.SoakUntil, q.GiveUp, q.HoursBy = f.stamp("soak until"), f.stamp("give up"), f.stamp("hours by")
	if f.err != nil {
		return Question{}, fmt.Errorf("gate terms: %w", f.err)
	}
	if !bytes.Equal(q.terms(), text) {
		return Question{}, errors.New("gate terms: not in canonical form")
	}
	return q, nil
}

// ParseTally reads what [patching.Tally.Canonical] wrote. LastAnswer is not in
// the text: no gate looks at it.
func ParseTally(text []byte) (patching.Tally, error) {
	t := patching.Tally{Outcomes: map[patching.Outcome]int{}}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) < 2 || lines[0] != "tally v1" {
		return t, errors.New("tally: no heading or no totals")
	}
	if _, err := fmt.Sscanf(lines[1], "%d\t%d\t%d\t%d\t%d\t%f", &t.Planned, &t.Released, &t.Answered, &t.PathDown, &t.Reported, &t.HostHours); err != nil {
		return t, fmt.Errorf("tally, line 2: %w", err)
	}
	for n, line := range lines[2:] {
		if err := tallyLine(&t, strings.Split(line, "\t")); err != nil {
			return t, fmt.Errorf("tally, line %d: %w", n+3, err)
		}
	}
	if !bytes.Equal(t.Canonical(), text) {
		return t, errors.New("tally: not in canonical form")
	}
	return t, nil
}

func tallyLine(t *patching.Tally, f []string) error {
	name := 1
	if patching.Outcome(f[0]).Valid() {
		name = 0
	}
	var counts []int
	for _, s := range f[min(name+1, len(f)):] {
		n, err := strconv.Atoi(s)
		if err != nil {
			return fmt.Errorf("count: %w", err)
		}
		counts = append(counts, n)
	}
	switch {
	case name == 0 && len(counts) == 1:
		t.Outcomes[patching.Outcome(f[0])] = counts[0]
	case f[0] == "signature" && len(counts) == 1:
		t.Signatures = append(t.Signatures, patching.SignatureCount{Signature: f[1], Count: counts[0]})
	case f[0] == "stratum" && len(counts) == 2:
		t.Strata = append(t.Strata, patching.StratumCount{Stratum: f[1], Answered: counts[0], Bad: counts[1]})
	default:
		return fmt.Errorf("%q is neither an outcome, nor a signature, nor a stratum", f[0])
	}
	return nil
}

// fields reads "name<tab>value" lines in a fixed order and keeps the first error.
type fields struct {
	lines []string
	err   error
}

func (f *fields) heading(want string) {
	if f.lines[0] != want {
		f.err = fmt.Errorf("begins with %.40q, want %q", f.lines[0], want)
	}
	f.lines = f.lines[1:]
}

func (f *fields) next(name string) string {
	if f.err != nil {
		return ""
	}
	if len(f.lines) == 0 {
		f.err = fmt.Errorf("%s is missing", name)
		return ""
	}
	value, ok := strings.CutPrefix(f.lines[0], name+"\t")
	if !ok {
		f.err = fmt.Errorf("%.40q, want %s", f.lines[0], name)
	}
	f.lines = f.lines[1:]
	return value
}

func (f *fields) fail(name string, err error) {
	if f.err == nil && err != nil {
		f.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (f *fields) count(name string) int {
	n, err := strconv.Atoi(f.next(name))
	f.fail(name, err)
	return n
}

func (f *fields) decimal(name string) float64 {
	d, err := strconv.ParseFloat(f.next(name), 64)
	f.fail(name, err)
	if math.IsNaN(d) || math.IsInf(d, 0) {
		f.fail(name, errors.New("not a number"))
	}
	return d
}

func (f *fields) stamp(name string) time.Time {
	s := f.next(name)
	if s == "-" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	f.fail(name, err)
	return t
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return instant(t).Format(time.RFC3339Nano)
}
