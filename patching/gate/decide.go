package gate

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Decide answers q at now. The sentence in Why is for people. A Wait always
// has an Until after now: look again then, or when the tally changes.
//
// A Halt stands until a person resumes: whoever asks again after one may get a
// milder answer (a silent machine came back), and must not act on it.
func Decide(q Question, now time.Time) patching.Decision {
	terms, tally := Evidence(q)
	f := judge(q, now)
	return patching.Decision{
		Verb: f.verb, Until: f.until, Why: f.why,
		Gate: Rules, Params: patching.DigestOf(terms), Tally: patching.DigestOf(tally), At: instant(now),
	}
}

// Rule names what a decision rested on.
type Rule string

// The rules in the order in which they are applied; the first that speaks decides.
const (
	RuleSame            Rule = "same failure"
	RuleBadCount        Rule = "failures"
	RuleNothingReleased Rule = "nothing released"
	RuleBadPercent      Rule = "share of failures"
	RuleUnreachable     Rule = "silent machines"
	RuleAnswered        Rule = "answers"
	RuleSoak            Rule = "soak"
	RuleHostHours       Rule = "host-hours"
	RulePassed          Rule = "passed"
)

// AgainstPatch reports whether a halt by this rule speaks against what was
// installed. The other halts say that too little is known: behind a dead path
// or a missed window nothing may be rolled back.
func (r Rule) AgainstPatch() bool {
	return r == RuleSame || r == RuleBadCount || r == RuleBadPercent
}

// Ground returns the rule that [Decide] rests on for the same question and time.
func Ground(q Question, now time.Time) Rule { return judge(q, now).rule }

// finding is a decision before it is put on record.
type finding struct {
	rule  Rule
	verb  patching.GateVerb
	until time.Time
	why   string
}

func judge(q Question, now time.Time) finding {
	c := newCase(q, now)
	for _, rule := range []func(*seen) (finding, bool){
		sameFailure, tooManyBad, nothingReleased, tooLargeShareBad, tooManySilent,
		tooFewAnswers, soaking, tooFewHours, tooFewToTell,
	} {
		if f, speaks := rule(&c); speaks {
			return f
		}
	}
	return finding{rule: RulePassed, verb: patching.Proceed, why: c.passedWords()}
}

// seen is a question with the numbers that the rules share.
type seen struct {
	Question
	now time.Time
	// bad counts outcomes against the patch, and the problems that people
	// reported: a report weighs as much as a failed machine.
	bad int
	// final says that no more answers are to be expected.
	final bool
	// silent counts machines that kept silent although the path to them was up.
	silent int
}

func newCase(q Question, now time.Time) seen {
	q.Tally = settled(q.Tally)
	t := q.Tally
	c := seen{Question: q, now: instant(now), bad: t.Bad() + max(0, t.Reported)}
	c.Tally.PathDown = max(0, min(t.PathDown, t.Waiting()))
	c.SoakUntil, c.GiveUp, c.HoursBy = instant(q.SoakUntil), instant(q.GiveUp), instant(q.HoursBy)
	given := t.Outcomes[patching.Unreachable]
	c.final = !c.now.Before(c.GiveUp) || t.Waiting() <= given
	c.silent = t.Waiting() - c.Tally.PathDown
	if !c.final {
		// Who may still answer is not silent yet; those count whom the cycle
		// itself has given up.
		c.silent = given - c.Tally.PathDown
	}
	c.silent = max(0, c.silent)
	return c
}

// settled brings a tally into the form that its canonical text has, so that an
// auditor who has only the text sees what the gate saw.
func settled(t patching.Tally) patching.Tally {
	t.Signatures, t.Strata = slices.Clone(t.Signatures), slices.Clone(t.Strata)
	t.Normalize()
	if !(t.HostHours > 0) || math.IsInf(t.HostHours, 1) {
		t.HostHours = 0
	}
	if h, err := strconv.ParseFloat(strconv.FormatFloat(t.HostHours, 'f', 1, 64), 64); err == nil {
		t.HostHours = h
	}
	return t
}

// instant cuts times to the precision that the store keeps.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// percent returns how many percent part is of whole, 100 at most: reported
// problems may outnumber the machines.
func percent(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return min(100, 100*float64(part)/float64(whole))
}

// worst returns the most frequent failure signature. What was folded together
// as "other" did not fail in the same way.
func worst(t patching.Tally) patching.SignatureCount {
	var named []patching.SignatureCount
	for _, s := range t.Signatures {
		if s.Signature != patching.OtherSignatures {
			named = append(named, s)
		}
	}
	if len(named) == 0 {
		return patching.SignatureCount{}
	}
	return slices.MaxFunc(named, func(a, b patching.SignatureCount) int { return cmp.Compare(a.Count, b.Count) })
}
