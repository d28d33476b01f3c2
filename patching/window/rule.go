package window

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Rule says when a window is open, on the wall clock of a place that is named
// elsewhere. Rules are comparable; the zero Rule never opens. The grammar:
//
//	always
//	daily 22:00 for 4h
//	weekly sat,sun 22:00 for 6h
//	monthly 2nd tue+2 20:00 for 8h
//
// A month's day is its n-th weekday (1st to 4th, which every month has) plus up
// to 14 days.
type Rule struct {
	every        period
	days         daySet
	nth, plus    int
	hour, minute int
	length       time.Duration
}

type period string

const (
	always  period = "always"
	daily   period = "daily"
	weekly  period = "weekly"
	monthly period = "monthly"
)

// daySet has one bit for each weekday.
type daySet uint8

func (s daySet) has(d time.Weekday) bool { return s&(1<<d) != 0 }

// mondayFirst is the order in which a rule's days are written.
var mondayFirst = []time.Weekday{
	time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday, time.Sunday,
}

var ordinals = []string{"1st", "2nd", "3rd", "4th"}

// SyntaxError says where a rule is wrong and what to write instead.
type SyntaxError struct {
	Rule string
	// Offset and Length mark the wrong part, in bytes of Rule; a length of 0 is where
	// something is missing.
	Offset, Length int
	What           string
	Way            string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("window %q: %s: %s", e.Rule, e.What, e.Way)
}

// Parse reads a rule. Its errors are of type [*SyntaxError].
func Parse(rule string) (Rule, error) {
	p := parser{rule: rule, words: fields(rule)}
	r := p.parse()
	if p.err != nil {
		return Rule{}, p.err
	}
	return r, nil
}

// String returns the rule in its canonical spelling, which [Parse] reads.
func (r Rule) String() string {
	tail := fmt.Sprintf("%02d:%02d for %s", r.hour, r.minute, FormatDuration(r.length))
	switch r.every {
	case always:
		return "always"
	case daily:
		return "daily " + tail
	case weekly:
		var names []string
		for _, d := range mondayFirst {
			if r.days.has(d) {
				names = append(names, FormatWeekday(d))
			}
		}
		return "weekly " + strings.Join(names, ",") + " " + tail
	case monthly:
		return "monthly " + ordinals[r.nth-1] + " " + r.monthDay() + " " + tail
	}
	return ""
}

func (r Rule) monthDay() string {
	var day string
	for _, d := range mondayFirst {
		if r.days.has(d) {
			day = FormatWeekday(d)
		}
	}
	if r.plus > 0 {
		day += "+" + strconv.Itoa(r.plus)
	}
	return day
}

// Always reports whether the window never closes.
func (r Rule) Always() bool { return r.every == always }

// Length is how long the window is open each time; zero for one that never closes.
func (r Rule) Length() time.Duration { return r.length }

// Signed returns the rule together with its place, the form that plans carry
// and that approvals cover: "daily 22:00 for 4h in Europe/Berlin". The machine
// can check an instant against it without asking anybody.
func (r Rule) Signed(loc *time.Location) string { return r.String() + " in " + loc.String() }

// ParseSigned reads what [Rule.Signed] wrote. Only the canonical spelling is
// accepted, so that one rule has one signed text.
func ParseSigned(text string) (Rule, *time.Location, error) {
	rule, zone, ok := strings.Cut(text, " in ")
	if !ok {
		return Rule{}, nil, fmt.Errorf("signed window %q: names no zone", text)
	}
	r, err := Parse(rule)
	if err != nil {
		return Rule{}, nil, err
	}
	loc, err := Zone(zone)
	if err != nil {
		return Rule{}, nil, fmt.Errorf("signed window %q: %w", text, err)
	}
	if r.Signed(loc) != text {
		return Rule{}, nil, fmt.Errorf("signed window %q: not in canonical form, which is %q", text, r.Signed(loc))
	}
	return r, loc, nil
}

// word is a part of a rule and where it stands.
type word struct {
	text   string
	offset int
}

func fields(s string) []word {
	var words []word
	start := -1
	for i := 0; i <= len(s); i++ {
		blank := i == len(s) || s[i] == ' '
		switch {
		case blank && start >= 0:
			words = append(words, word{s[start:i], start})
			start = -1
		case !blank && start < 0:
			start = i
		}
	}
	return words
}

const example = `write "always", "daily 22:00 for 4h", "weekly sat,sun 22:00 for 6h" or "monthly 2nd tue+2 20:00 for 8h"`

// parser reads the words of a rule one by one and keeps the first error.
type parser struct {
	rule  string
	words []word
	err   *SyntaxError
}

func (p *parser) parse() Rule {
	every := p.next("a rule")
	r := Rule{every: period(every.text)}
	switch r.every {
	case always:
		p.end("an always open window has neither time nor length")
		return r
	case daily:
	case weekly:
		p.weekdays(&r)
	case monthly:
		p.monthDay(&r)
	default:
		p.fail(every, fmt.Sprintf("%q is not a kind of window", every.text), example)
	}
	p.clock(&r)
	if w := p.next(`"for"`); w.text != "for" {
		p.fail(w, `want "for" and a length after the time`, example)
	}
	p.length(&r)
	p.end("nothing may follow the length")
	return r
}

func (p *parser) next(want string) word {
	if len(p.words) == 0 {
		p.fail(word{"", len(p.rule)}, "ends before "+want, example)
		return word{"", len(p.rule)}
	}
	w := p.words[0]
	p.words = p.words[1:]
	return w
}

func (p *parser) end(why string) {
	if len(p.words) > 0 {
		p.fail(p.words[0], why, fmt.Sprintf("remove %q", p.words[0].text))
	}
}

func (p *parser) fail(w word, what, way string) {
	if p.err == nil {
		p.err = &SyntaxError{Rule: p.rule, Offset: w.offset, Length: len(w.text), What: what, Way: way}
	}
}

func (p *parser) weekdays(r *Rule) {
	list := p.next("its days")
	offset := list.offset
	for name := range strings.SplitSeq(list.text, ",") {
		w := word{name, offset}
		offset += len(name) + 1
		d, ok := p.weekday(w)
		if ok && r.days.has(d) {
			p.fail(w, fmt.Sprintf("%s is named twice", name), "name each day once")
		}
		r.days |= 1 << d
	}
}

func (p *parser) monthDay(r *Rule) {
	nth := p.next("which week of the month")
	r.nth = slices.Index(ordinals, nth.text) + 1
	if r.nth == 0 {
		p.fail(nth, fmt.Sprintf("%q is not a week that every month has", nth.text), "write 1st, 2nd, 3rd or 4th")
	}
	day := p.next("its day")
	name, plus, has := strings.Cut(day.text, "+")
	d, _ := p.weekday(word{name, day.offset})
	r.days = 1 << d
	if !has {
		return
	}
	n, err := strconv.Atoi(plus)
	if err != nil || n < 1 || n > 14 || strconv.Itoa(n) != plus {
		p.fail(word{plus, day.offset + len(name) + 1}, fmt.Sprintf("%q is not a number of days from 1 to 14", plus), "write for instance tue+2: two days after the Tuesday")
	}
	r.plus = n
}

func (p *parser) weekday(w word) (time.Weekday, bool) {
	d, err := ParseWeekday(w.text)
	if err == nil {
		return d, true
	}
	way := "write mon, tue, wed, thu, fri, sat or sun"
	if lower := strings.ToLower(w.text); len(lower) >= 3 && slices.Contains(weekdays, lower[:3]) {
		way = "write " + lower[:3]
	}
	p.fail(w, fmt.Sprintf("%q is not a day", w.text), way)
	return 0, false
}

func (p *parser) clock(r *Rule) {
	w := p.next("its time of day")
	var err error
	if r.hour, r.minute, err = ParseClock(w.text); err != nil {
		p.fail(w, fmt.Sprintf("%q is not a time of day", w.text), "write two digits, a colon and two digits, from 00:00 to 23:59")
	}
}

func (p *parser) length(r *Rule) {
	w := p.next("its length")
	var err error
	if r.length, err = ParseDuration(w.text); err != nil {
		p.fail(w, fmt.Sprintf("%q is not a length", w.text), "write for instance 4h, 90m or 1h30m")
		return
	}
	if p.err != nil {
		return
	}
	limit, what := r.spacing()
	switch {
	case r.length < time.Minute:
		p.fail(w, "the window closes as it opens", "give it a minute at least")
	case r.length%time.Minute != 0:
		p.fail(w, fmt.Sprintf("%s is not a whole number of minutes", w.text), "windows open and close on the minute")
	case r.length > limit:
		p.fail(w, fmt.Sprintf("%s is longer than the %s from one opening to the next", w.text, FormatDuration(limit)),
			fmt.Sprintf("give it %s at most%s", FormatDuration(limit), what))
	}
}

// spacing is the shortest time between two starts, on clocks that nobody turns.
func (r Rule) spacing() (least time.Duration, hint string) {
	day := 24 * time.Hour
	switch r.every {
	case weekly:
		least = 7
		last := -7
		for i := range 14 {
			if r.days.has(time.Weekday(i % 7)) {
				least = min(least, time.Duration(i-last))
				last = i
			}
		}
		return least * day, ""
	case monthly:
		return 28 * day, ""
	default:
		return day, `, or write "always"`
	}
}
