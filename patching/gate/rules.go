package gate

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// nothingReleased lets the first batch go, and stops a ring of which no machine
// was ever started: it showed nothing about the patch.
func nothingReleased(c *seen) (finding, bool) {
	switch {
	case c.Tally.Released > 0:
		return finding{}, false
	case c.SoakUntil.IsZero(), c.Tally.Planned <= 0:
		return finding{rule: RuleNothingReleased, verb: patching.Proceed, why: c.nothingReleasedWords()}, true
	case c.now.Before(c.GiveUp):
		return finding{rule: RuleNothingReleased, verb: patching.Wait, until: c.GiveUp, why: c.nothingReleasedWords()}, true
	default:
		return finding{rule: RuleNothingReleased, verb: patching.Halt, why: c.nothingReleasedWords()}, true
	}
}

func sameFailure(c *seen) (finding, bool) {
	s := worst(c.Tally)
	if c.Params.Same <= 0 || s.Count < c.Params.Same {
		return finding{}, false
	}
	return finding{rule: RuleSame, verb: patching.Halt, why: c.sameWords(s)}, true
}

func tooManyBad(c *seen) (finding, bool) {
	if c.Params.BadCount <= 0 || c.bad < c.Params.BadCount {
		return finding{}, false
	}
	return finding{rule: RuleBadCount, verb: patching.Halt, why: c.badCountWords()}, true
}

// tooLargeShareBad waits for MinAnswered answers, because one failure among two
// answers is no share. Once no more answers come it judges by what there is, or
// machines would only have to keep silent for a bad patch to pass.
func tooLargeShareBad(c *seen) (finding, bool) {
	enough := c.Tally.Answered >= c.Params.MinAnswered || c.final && c.Tally.Released >= c.Params.MinAnswered
	if !c.overShare() || !enough {
		return finding{}, false
	}
	return finding{rule: RuleBadPercent, verb: patching.Halt, why: c.badShareWords()}, true
}

func (c *seen) overShare() bool {
	return c.Params.BadPercent > 0 && c.Tally.Answered > 0 && percent(c.bad, c.Tally.Answered) > c.Params.BadPercent
}

// tooManySilent needs two machines: one that is switched off is a large share of
// a small ring, and no pattern.
func tooManySilent(c *seen) (finding, bool) {
	if c.Params.Unreachable <= 0 || c.silent < 2 || percent(c.silent, c.Tally.Released) <= c.Params.Unreachable {
		return finding{}, false
	}
	return finding{rule: RuleUnreachable, verb: patching.Halt, why: c.silentWords()}, true
}

// tooFewAnswers waits for the share of answers that the ring asks for. Machines
// behind a dead path are waited for like others: a patch that takes a site's
// network down must not look like one that nobody was asked about. When waiting
// ends they count neither way, but no answer at all is never enough.
func tooFewAnswers(c *seen) (finding, bool) {
	switch {
	case !c.final && (c.Tally.Answered <= 0 || percent(c.Tally.Answered, c.Tally.Released) < c.Params.Answered):
		return finding{rule: RuleAnswered, verb: patching.Wait, until: c.GiveUp, why: c.waitingWords(c.missingAnswers())}, true
	case c.Tally.Answered <= 0:
		return finding{rule: RuleAnswered, verb: patching.Halt, why: c.noAnswerWords()}, true
	default:
		return finding{}, false
	}
}

func soaking(c *seen) (finding, bool) {
	if !c.now.Before(c.SoakUntil) {
		return finding{}, false
	}
	return finding{rule: RuleSoak, verb: patching.Wait, until: c.SoakUntil, why: c.soakWords()}, true
}

// tooFewHours applies after the soak: a small ring needs longer to gather the
// same healthy time.
func tooFewHours(c *seen) (finding, bool) {
	missing := c.Params.HostHours - c.Tally.HostHours
	if c.SoakUntil.IsZero() || !(missing > 0) {
		return finding{}, false
	}
	healthy := c.Tally.Answered - c.Tally.Bad()
	late := !c.HoursBy.IsZero() && !c.now.Before(c.HoursBy)
	if healthy <= 0 || late {
		return finding{rule: RuleHostHours, verb: patching.Halt, why: c.tooFewHoursWords(healthy)}, true
	}
	until := c.now.Add(hours(missing / float64(healthy)))
	if !c.HoursBy.IsZero() && c.HoursBy.Before(until) {
		until = c.HoursBy
	}
	return finding{rule: RuleHostHours, verb: patching.Wait, until: until, why: c.hoursWords(healthy, until)}, true
}

// tooFewToTell waits where the share of failures is over its limit, but there
// are still fewer answers than it may be judged from. It comes last, so that it
// can only hold up a pass, never a halt.
func tooFewToTell(c *seen) (finding, bool) {
	missing := c.Params.MinAnswered - c.Tally.Answered
	if !c.overShare() || c.final || missing <= 0 || c.Tally.Released < c.Params.MinAnswered {
		return finding{}, false
	}
	return finding{rule: RuleBadPercent, verb: patching.Wait, until: c.GiveUp, why: c.waitingWords(missing)}, true
}

// hours turns h into a duration of a minute at least, so that a wait makes
// progress, and of a month at most.
func hours(h float64) time.Duration {
	const month = 30 * 24
	return max(time.Minute, time.Duration(min(h, month)*float64(time.Hour)).Truncate(time.Second))
}
