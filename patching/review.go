package patching

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Answer is what a review of urgency ends in.
type Answer string

// The answers, from least to most urgent.
const (
	// AnswerAccept: the risk is accepted until a date, and nothing is installed for it.
	AnswerAccept Answer = "accept"
	// AnswerWorkAround: a work-around makes up for the patch, which comes with a regular
	// cycle. It counts only on machines where one is in place.
	AnswerWorkAround Answer = "work-around"
	// AnswerMonthly: with the regular cycle, whatever the regimes' lane is. Their due
	// date stays.
	AnswerMonthly Answer = "monthly"
	// AnswerNow: at once.
	AnswerNow Answer = "now"
)

var answers = []Answer{AnswerAccept, AnswerWorkAround, AnswerMonthly, AnswerNow}

// Answers lists them, from least to most urgent.
func Answers() []Answer { return slices.Clone(answers) }

// Valid reports whether a is one of the answers.
func (a Answer) Valid() bool { return slices.Contains(answers, a) }

// Before reports whether an answer is less urgent than another.
func (a Answer) Before(b Answer) bool { return slices.Index(answers, a) < slices.Index(answers, b) }

// AcceptsRisk reports whether the answer leaves a flaw open for longer than the regimes
// may allow: that takes somebody who may accept a risk, see [Account.MayAcceptRisk].
func (a Answer) AcceptsRisk() bool { return a.Before(AnswerNow) }

// Words are the answer as people read it.
func (a Answer) Words() string {
	switch a {
	case AnswerAccept:
		return "accept the risk"
	case AnswerWorkAround:
		return "work around"
	case AnswerMonthly:
		return "monthly"
	case AnswerNow:
		return "patch now"
	}
	return string(a)
}

// Term is what every decision of a person has: who decided, why, and until when.
type Term struct {
	ID DecisionID
	// By decided, in Role, which the account held At that time.
	By   AccountName
	Role Role
	At   time.Time
	// Until is the last instant at which it holds.
	Until  time.Time
	Reason string
	// Ended is how it ended before that; zero: it did not.
	Ended Ending
}

// Ending is the end of a decision before its date: a fact of its own beside it.
type Ending struct {
	Decision DecisionID
	At       time.Time
	By       AccountName
	Role     Role
	Reason   string
	// RenewedBy is the decision that took its place; empty: it was ended by hand.
	RenewedBy DecisionID
}

// TermState is how a decision stands.
type TermState string

// The states of a decision.
const (
	TermAhead   TermState = "not yet" // looked at as of a time before it was made
	TermHolds   TermState = "in force"
	TermExpired TermState = "expired"
	TermEnded   TermState = "ended"
	TermRenewed TermState = "renewed" // another one took its place
)

// State is how the decision stands at a time, in the past too.
func (t Term) State(now time.Time) TermState {
	switch {
	case now.Before(t.At):
		return TermAhead
	case !t.Ended.At.IsZero() && !now.Before(t.Ended.At) && !t.Ended.At.After(t.Until):
		if t.Ended.RenewedBy != "" {
			return TermRenewed
		}
		return TermEnded
	case now.After(t.Until):
		return TermExpired
	}
	return TermHolds
}

// InForce reports whether the decision counts at a time.
func (t Term) InForce(now time.Time) bool { return t.State(now) == TermHolds }

// Review is a person's answer to how urgent something is.
type Review struct {
	Term
	Subject
	Answer Answer
}

// Exception is that something is not patched until a date, because somebody who answers
// for it cannot have it patched.
type Exception struct {
	Term
	Subject
	// Owner is the person or the role that answers for it.
	Owner string
	// Measure makes up for the missing patch, in words; empty: nothing does.
	Measure string
	// ReviewBy is when somebody has to look at it again; not after Until.
	ReviewBy time.Time
	// Renews is the exception whose place this one took; empty: none.
	Renews DecisionID
}

// Decisions are those of people, together.
type Decisions struct {
	Reviews     []Review
	Exceptions  []Exception
	WorkArounds []WorkAround
}

// Misfit is what keeps a decision from being taken: the field, and a sentence with the
// way out.
type Misfit struct{ Field, Words string }

func (m *Misfit) Error() string { return m.Field + ": " + m.Words }

func misfit(field, format string, args ...any) *Misfit {
	return &Misfit{field, fmt.Sprintf(format, args...)}
}

// Check says why the review cannot be taken, as a [*Misfit]; nil: it can. Whether the
// selector can be read is not looked at.
func (r Review) Check() error {
	if !r.Answer.Valid() {
		return misfit("answer", "%q is no answer: want now, monthly, work-around or accept", r.Answer)
	}
	if r.Advisory == "" && r.CVE == "" && r.Package == "" {
		return misfit("advisory", "say what it is about: an advisory, a CVE or a package")
	}
	if err := r.Subject.check(); err != nil {
		return err
	}
	return r.Term.check()
}

// Check says why the exception cannot be taken, as a [*Misfit]; nil: it can. Whether the
// selector can be read is not looked at.
func (e Exception) Check() error {
	if e.Subject == (Subject{}) {
		return misfit("selector", "say what it is about: an advisory, a CVE, a package, or machines; an exception for everything would be no patching")
	}
	if err := e.Subject.check(); err != nil {
		return err
	}
	if err := checkOwner(e.Owner); err != nil {
		return err
	}
	// Who has a reason not to be patched is not the one who says that it is good enough.
	if e.OwnedBy(string(e.By)) {
		return misfit("owner", "%s cannot make an exception for themselves: name another owner, or ask another security lead", e.By)
	}
	if e.Measure != "" {
		if err := checkSentence("measure", e.Measure, MaxReason, "write what makes up for the patch"); err != nil {
			return err
		}
	}
	if err := e.Term.check(); err != nil {
		return err
	}
	if e.ReviewBy.Before(e.At) || e.ReviewBy.After(e.Until) {
		return misfit("review_by", "%s is not between now and its end, %s: take a day between them", day(e.ReviewBy), day(e.Until))
	}
	return nil
}

// OwnedBy reports whether a name, a person's or a role's, is the owner's, however it is
// spelt: people read "Sam " as sam.
func (e Exception) OwnedBy(name string) bool {
	return strings.EqualFold(strings.TrimSpace(e.Owner), strings.TrimSpace(name))
}

// Quarter is when an exception is due for review where nobody says it: as often as most
// rules want their exceptions looked at, and never after its end.
func (e Exception) Quarter() time.Time {
	if by := e.At.AddDate(0, 3, 0); by.Before(e.Until) {
		return by
	}
	return e.Until
}

// MaxReason is how many letters a reason may have.
const MaxReason = 1000

func (t Term) check() error {
	if err := checkReason(t.Reason); err != nil {
		return err
	}
	// A year, and the rest of the day that people mean by its date.
	latest := t.At.AddDate(1, 0, 1)
	switch {
	case t.Until.IsZero():
		return misfit("until", "say until when it holds, at most a year from now")
	case !t.Until.After(t.At):
		return misfit("until", "%s is over: take a day to come", day(t.Until))
	case t.Until.After(latest):
		return misfit("until", "%s is more than a year away: nothing is decided for longer, so that it is looked at again", day(t.Until))
	}
	return nil
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Check says why the decision cannot be ended like that, as a [*Misfit]; nil: it can.
func (e Ending) Check() error { return checkReason(e.Reason) }

func checkOwner(name string) error {
	return checkSentence("owner", name, 100, "say who answers for it, a person or a role such as shop-team")
}

func checkReason(text string) error {
	return checkSentence("reason", text, MaxReason, "say why: it goes on record")
}

// checkSentence refuses a text that says nothing in one line of at most so many letters,
// or has letters that nobody sees: two names that look alike have to be the same.
func checkSentence(field, text string, most int, ask string) error {
	switch {
	case strings.TrimSpace(text) == "", !utf8.ValidString(text):
		return misfit(field, "%s", ask)
	case utf8.RuneCountInString(text) > most:
		return misfit(field, "%s, in at most %d letters", ask, most)
	}
	for n, r := range []rune(text) {
		if Unseen(r) {
			return misfit(field, "letter %d is %U, which is not to be seen: write one line without it", n+1, r)
		}
	}
	return nil
}

// Unseen reports whether a letter commands what shows it, or is not shown: control
// characters, line separators, and what turns the direction of a text or has no width.
func Unseen(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) }
