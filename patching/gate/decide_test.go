package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
)

var (
	noon   = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	later  = noon.Add(2 * time.Hour)
	before = noon.Add(-time.Hour)
	limits = gate.Params{Answered: 90, Same: 2, BadCount: 5, BadPercent: 10, MinAnswered: 10, HostHours: 100, Unreachable: 20}
)

func tally(released, patched, failed int) patching.Tally {
	return patching.Tally{
		Planned: 40, Released: released, Answered: patched + failed,
		Outcomes: map[patching.Outcome]int{patching.Patched: patched, patching.Failed: failed},
	}
}

func with(t patching.Tally, change func(*patching.Tally)) patching.Tally {
	change(&t)
	return t
}

// Serves G5, G7, Q5: a gate is a decision with a sentence and numbers.
func TestAGateDecidesAndSaysWhyInNumbers(t *testing.T) {
	for _, c := range []struct {
		name  string
		q     gate.Question
		verb  patching.GateVerb
		rule  gate.Rule
		until time.Time
		why   string
	}{
		{
			name: "the first batch may go before anything is known",
			q:    gate.Question{Params: limits, Tally: tally(0, 0, 0), GiveUp: later},
			verb: patching.Proceed, rule: gate.RuleNothingReleased, why: "None started yet of 40 machines; the first batch may go.",
		},
		{
			name: "two machines that fail in the same way halt at once, long before the time is up",
			q: gate.Question{Params: limits, GiveUp: later, Tally: with(tally(20, 6, 2), func(t *patching.Tally) {
				t.Signatures = []patching.SignatureCount{{Signature: "nginx: postinst", Count: 2}}
			})},
			verb: patching.Halt, rule: gate.RuleSame, why: "2 of 8 machines failed in the same way (nginx: postinst); the limit is 2.",
		},
		{
			name: "failures that were folded together are not the same failure",
			q: gate.Question{Params: limits, GiveUp: later, Tally: with(tally(20, 18, 1), func(t *patching.Tally) {
				t.Signatures = []patching.SignatureCount{{Signature: patching.OtherSignatures, Count: 9}}
			})},
			verb: patching.Proceed, rule: gate.RulePassed, why: "19 of 20 machines answered, 1 failed, 1 unknown.",
		},
		{
			name: "a problem that a person reports weighs as much as a failed machine",
			q: gate.Question{Params: gate.Params{BadCount: 3}, GiveUp: later, Tally: with(tally(20, 18, 2), func(t *patching.Tally) {
				t.Reported = 1
			})},
			verb: patching.Halt, rule: gate.RuleBadCount, why: "2 of 20 machines failed, and people reported 1 problem; the limit is 3.",
		},
		{
			name: "a share of failures above the limit halts",
			q:    gate.Question{Params: gate.Params{BadPercent: 10, MinAnswered: 10}, GiveUp: later, Tally: tally(20, 17, 3)},
			verb: patching.Halt, rule: gate.RuleBadPercent, why: "3 of 20 machines failed (15 % of the answers); the limit is 10 %.",
		},
		{
			name: "a share exactly at the limit does not halt",
			q:    gate.Question{Params: gate.Params{BadPercent: 10, MinAnswered: 10}, GiveUp: later, Tally: tally(20, 18, 2)},
			verb: patching.Proceed, rule: gate.RulePassed, why: "20 of 20 machines answered, 2 failed.",
		},
		{
			name: "too few answers are no share yet, and are waited for",
			q:    gate.Question{Params: gate.Params{BadPercent: 10, MinAnswered: 10}, GiveUp: later, Tally: tally(20, 3, 1)},
			verb: patching.Wait, rule: gate.RuleBadPercent, until: later,
			why: "Waiting for 6 more results: 4 of 20 machines answered. It ends at 24 Nov 2026 14:00 UTC at the latest. Nobody needs to act.",
		},
		{
			name: "when no more answers come the share is judged by those there are",
			q:    gate.Question{Params: gate.Params{BadPercent: 10, MinAnswered: 10}, GiveUp: before, Tally: tally(20, 3, 1)},
			verb: patching.Halt, rule: gate.RuleBadPercent, why: "1 of 4 machines failed (25 % of the answers); the limit is 10 %.",
		},
		{
			name: "a ring smaller than the least number of answers is never judged by share",
			q:    gate.Question{Params: gate.Params{BadPercent: 10, MinAnswered: 10}, GiveUp: before, Tally: tally(4, 3, 1)},
			verb: patching.Proceed, rule: gate.RulePassed, why: "4 of 4 machines answered, 1 failed.",
		},
		{
			name: "results are waited for until the share of answers is reached",
			q:    gate.Question{Params: limits, GiveUp: later, Tally: tally(20, 12, 0)},
			verb: patching.Wait, rule: gate.RuleAnswered, until: later,
			why: "Waiting for 6 more results: 12 of 20 machines answered. It ends at 24 Nov 2026 14:00 UTC at the latest. Nobody needs to act.",
		},
		{
			name: "the share of answers lets the next batch go without the last machine",
			q:    gate.Question{Params: limits, GiveUp: later, Tally: tally(20, 18, 0)},
			verb: patching.Proceed, rule: gate.RulePassed, why: "18 of 20 machines answered, none failed, 2 unknown.",
		},
		{
			name: "one machine that is switched off does not hold up a small wave for ever",
			q:    gate.Question{Params: gate.Params{Answered: 90, Unreachable: 10}, GiveUp: before, Tally: tally(2, 1, 0)},
			verb: patching.Proceed, rule: gate.RulePassed, why: "1 of 2 machines answered, none failed, 1 unknown.",
		},
		{
			name: "too many silent machines halt, because silence after a patch may be its doing",
			q:    gate.Question{Params: limits, GiveUp: before, Tally: tally(20, 14, 0)},
			verb: patching.Halt, rule: gate.RuleUnreachable,
			why: "6 of 20 machines did not answer although the path to them was up (30 %); the limit is 20 %.",
		},
		{
			name: "two silent machines are a pattern, in a small ring as well",
			q:    gate.Question{Params: limits, GiveUp: before, Tally: tally(8, 6, 0)},
			verb: patching.Halt, rule: gate.RuleUnreachable,
			why: "2 of 8 machines did not answer although the path to them was up (25 %); the limit is 20 %.",
		},
		{
			name: "machines behind a dead path are no evidence once waiting has ended",
			q: gate.Question{Params: limits, GiveUp: before, Tally: with(tally(20, 14, 0), func(t *patching.Tally) {
				t.PathDown = 6
			})},
			verb: patching.Proceed, rule: gate.RulePassed, why: "14 of 20 machines answered, none failed, 6 unknown (the path to 6 was down).",
		},
		{
			name: "while answers may still come machines behind a dead path are waited for",
			q: gate.Question{Params: limits, GiveUp: later, Tally: with(tally(20, 14, 0), func(t *patching.Tally) {
				t.PathDown = 6
			})},
			verb: patching.Wait, rule: gate.RuleAnswered, until: later,
			why: "Waiting for 4 more results: 14 of 20 machines answered (the path to 6 was down). It ends at 24 Nov 2026 14:00 UTC at the latest. Nobody needs to act.",
		},
		{
			name: "machines that the cycle gave up are not waited for",
			q: gate.Question{Params: gate.Params{Answered: 100, Unreachable: 20}, GiveUp: later, Tally: with(tally(20, 18, 0), func(t *patching.Tally) {
				t.Outcomes[patching.Unreachable] = 2
			})},
			verb: patching.Proceed, rule: gate.RulePassed, why: "18 of 20 machines answered, none failed, 2 unknown.",
		},
		{
			name: "no answer at all is never enough, whatever the limits",
			q:    gate.Question{GiveUp: before, Tally: tally(8, 0, 0)},
			verb: patching.Halt, rule: gate.RuleAnswered, why: "None answered of 8 machines that started: nothing is known about the patch.",
		},
		{
			name: "a ring is watched until its soak ends",
			q:    gate.Question{Params: limits, GiveUp: before, SoakUntil: later, Tally: tally(8, 8, 0)},
			verb: patching.Wait, rule: gate.RuleSoak, until: later,
			why: "0 of 8 machines failed. Watching until 24 Nov 2026 14:00 UTC. Nobody needs to act.",
		},
		{
			name: "a small ring is watched longer until it has gathered its host-hours",
			q: gate.Question{Params: limits, GiveUp: before, SoakUntil: before, Tally: with(tally(8, 8, 0), func(t *patching.Tally) {
				t.HostHours = 92
			})},
			verb: patching.Wait, rule: gate.RuleHostHours, until: noon.Add(time.Hour),
			why: "Watched for 92 of 100 host-hours with 8 machines; looking again at 24 Nov 2026 13:00 UTC. Nobody needs to act.",
		},
		{
			name: "host-hours that were not gathered in time halt",
			q: gate.Question{Params: limits, GiveUp: before, SoakUntil: before, HoursBy: noon, Tally: with(tally(8, 8, 0), func(t *patching.Tally) {
				t.HostHours = 92
			})},
			verb: patching.Halt, rule: gate.RuleHostHours, why: "Only 92 of 100 host-hours were gathered, and the time to wait for them is over.",
		},
		{
			name: "a ring passes after soak and host-hours",
			q: gate.Question{Params: limits, GiveUp: before, SoakUntil: before, Tally: with(tally(8, 8, 0), func(t *patching.Tally) {
				t.HostHours = 192.04
			})},
			verb: patching.Proceed, rule: gate.RulePassed, why: "8 of 8 machines answered, none failed, 192 host-hours watched.",
		},
		{
			name: "a ring of which no machine ever started showed nothing",
			q:    gate.Question{Params: limits, GiveUp: before, SoakUntil: before, Tally: tally(0, 0, 0)},
			verb: patching.Halt, rule: gate.RuleNothingReleased, why: "None started of 40 machines, so nothing is known about the patch.",
		},
		{
			name: "a ring without machines is passed over",
			q:    gate.Question{Params: limits, GiveUp: before, SoakUntil: before},
			verb: patching.Proceed, rule: gate.RuleNothingReleased, why: "There are no machines here to judge.",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := gate.Decide(c.q, noon)
			assert.Equal(t, c.why, d.Why)
			assert.Equal(t, c.verb, d.Verb)
			assert.Equal(t, c.rule, gate.Ground(c.q, noon))
			assert.Equal(t, c.until, d.Until)
			assert.Equal(t, "counts v1", d.Gate)
			assert.Equal(t, noon, d.At)
		})
	}
}

// Serves G9: what only says that too little is known must not undo a patch.
func TestOnlyFailuresSpeakAgainstThePatch(t *testing.T) {
	for rule, against := range map[gate.Rule]bool{
		gate.RuleSame: true, gate.RuleBadCount: true, gate.RuleBadPercent: true,
		gate.RuleNothingReleased: false, gate.RuleUnreachable: false, gate.RuleAnswered: false,
		gate.RuleSoak: false, gate.RuleHostHours: false, gate.RulePassed: false,
	} {
		assert.Equal(t, against, rule.AgainstPatch(), "%s", rule)
	}
}

// Serves G5, finding 10 of the reliability study.
func TestTheChanceToSeeADefectFollowsTheSizeOfTheRing(t *testing.T) {
	assert.InDelta(t, 0.26, gate.DetectionChance(10, 0.03), 0.005)
	assert.InDelta(t, 0.95, gate.DetectionChance(99, 0.03), 0.002)
	assert.Equal(t, 99, gate.MachinesToSee(0.03, 0.95))
	assert.Less(t, gate.DetectionChance(98, 0.03), 0.95)
	assert.Zero(t, gate.DetectionChance(0, 0.5))
	assert.Zero(t, gate.DetectionChance(5, 0))
	assert.InDelta(t, 1, gate.DetectionChance(1, 1), 0)
	assert.Zero(t, gate.MachinesToSee(0, 0.95))
	assert.Zero(t, gate.MachinesToSee(0.03, 1))
}
