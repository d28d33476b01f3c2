package gate_test

import (
	"bytes"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
)

// aQuestion draws a question whose numbers agree with each other, as a store
// counts them; every limit may be off.
func aQuestion(t *rapid.T) gate.Question {
	released := rapid.IntRange(0, 60).Draw(t, "released")
	answered := rapid.IntRange(0, released).Draw(t, "answered")
	bad := rapid.IntRange(0, answered).Draw(t, "bad")
	unheard := released - answered
	sameWay := rapid.IntRange(0, bad).Draw(t, "in the same way")
	q := gate.Question{
		Params: gate.Params{
			Answered:    rapid.SampledFrom([]float64{0, 50, 90, 100}).Draw(t, "answered %"),
			Same:        rapid.IntRange(0, 4).Draw(t, "same"),
			BadCount:    rapid.IntRange(0, 6).Draw(t, "bad count"),
			BadPercent:  rapid.SampledFrom([]float64{0, 5, 12.5, 40}).Draw(t, "bad %"),
			MinAnswered: rapid.IntRange(0, 20).Draw(t, "min answered"),
			HostHours:   rapid.SampledFrom([]float64{0, 10, 200}).Draw(t, "host hours"),
			Unreachable: rapid.SampledFrom([]float64{0, 10, 50}).Draw(t, "unreachable %"),
		},
		Tally: patching.Tally{
			Planned: released + rapid.IntRange(0, 60).Draw(t, "unreleased"), Released: released, Answered: answered,
			Outcomes: map[patching.Outcome]int{
				patching.Patched: answered - bad, patching.Failed: bad,
				patching.Unreachable: rapid.IntRange(0, unheard).Draw(t, "given up"),
			},
			Signatures: []patching.SignatureCount{{Signature: "openssl: postinst", Count: sameWay}},
			HostHours:  rapid.Float64Range(0, 400).Draw(t, "gathered"),
			PathDown:   rapid.IntRange(0, unheard).Draw(t, "path down"),
			Reported:   rapid.IntRange(0, 3).Draw(t, "reported"),
		},
		GiveUp: aMoment(t, "give up"),
	}
	if rapid.Bool().Draw(t, "ring gate") {
		q.SoakUntil, q.HoursBy = aMoment(t, "soak"), aMoment(t, "hours by")
	}
	return q
}

func aMoment(t *rapid.T, name string) time.Time {
	d := rapid.SampledFrom([]time.Duration{-time.Hour, -time.Nanosecond, 0, time.Microsecond, time.Hour}).Draw(t, name)
	return noon.Add(d)
}

// changed returns q with another tally; the draw itself stays as it is.
func changed(q gate.Question, change func(*patching.Tally)) gate.Question {
	q.Tally.Outcomes = maps.Clone(q.Tally.Outcomes)
	change(&q.Tally)
	return q
}

// Serves G5: a gate answers every question, and the same one the same way.
func TestAGateAnswersEveryQuestion(t *testing.T) {
	verbs := map[patching.GateVerb]int{}
	rapid.Check(t, func(t *rapid.T) {
		q := aQuestion(t)
		d := gate.Decide(q, noon)
		verbs[d.Verb]++
		require.NotEmpty(t, d.Why)
		require.Equal(t, d, gate.Decide(q, noon))
		switch d.Verb {
		case patching.Wait:
			require.True(t, d.Until.After(noon), "a wait must end later than it began")
		case patching.Proceed, patching.Halt:
			require.True(t, d.Until.IsZero())
		default:
			t.Fatalf("verb %q", d.Verb)
		}
	})
	assert.Len(t, verbs, 3, "the draws reach every verb")
}

// Numbers that cannot be, such as more answers than machines, must not panic.
func TestAGateAnswersNonsense(t *testing.T) {
	n := rapid.IntRange(-3, 5)
	f := rapid.Float64()
	rapid.Check(t, func(t *rapid.T) {
		q := gate.Question{
			Params: gate.Params{
				Answered: f.Draw(t, "a"), Same: n.Draw(t, "b"), BadCount: n.Draw(t, "c"), BadPercent: f.Draw(t, "d"),
				MinAnswered: n.Draw(t, "e"), HostHours: f.Draw(t, "f"), Unreachable: f.Draw(t, "g"),
			},
			Tally: patching.Tally{
				Planned: n.Draw(t, "h"), Released: n.Draw(t, "i"), Answered: n.Draw(t, "j"), PathDown: n.Draw(t, "k"),
				Reported: n.Draw(t, "l"), HostHours: f.Draw(t, "m"), Outcomes: map[patching.Outcome]int{patching.Failed: n.Draw(t, "n")},
			},
			SoakUntil: aMoment(t, "soak"), GiveUp: aMoment(t, "give up"), HoursBy: aMoment(t, "hours by"),
		}
		d := gate.Decide(q, noon)
		require.Contains(t, []patching.GateVerb{patching.Proceed, patching.Wait, patching.Halt}, d.Verb)
		require.NotEmpty(t, d.Why)
		if q.Tally.Released > 0 && q.Tally.Answered <= 0 {
			require.NotEqual(t, patching.Proceed, d.Verb, "nobody answered")
		}
	})
}

// Serves G5, invariant I6 of the reliability study.
func TestMoreFailuresNeverTurnAHaltIntoAnythingElse(t *testing.T) {
	halts := 0
	rapid.Check(t, func(t *rapid.T) {
		q := aQuestion(t)
		if gate.Decide(q, noon).Verb != patching.Halt {
			return
		}
		halts++
		turned := rapid.IntRange(0, q.Tally.Outcomes[patching.Patched]).Draw(t, "turned bad")
		worse := changed(q, func(tally *patching.Tally) {
			tally.Outcomes[patching.Patched] -= turned
			tally.Outcomes[patching.Failed] += turned
			tally.Reported += rapid.IntRange(0, 2).Draw(t, "more reports")
		})
		require.Equal(t, patching.Halt, gate.Decide(worse, noon).Verb)
		if gate.Ground(q, noon).AgainstPatch() {
			more := rapid.IntRange(0, 20).Draw(t, "more bad answers")
			worse = changed(worse, func(tally *patching.Tally) {
				tally.Planned, tally.Released, tally.Answered = tally.Planned+more, tally.Released+more, tally.Answered+more
				tally.Outcomes[patching.Failed] += more
			})
			require.Equal(t, patching.Halt, gate.Decide(worse, noon).Verb)
		}
	})
	assert.NotZero(t, halts)
}

// Serves Q2: silence is never success. A machine that was patched and
// said so is replaced by one that says nothing.
func TestAMachineThatSaysNothingNeverHelpsAPatchThrough(t *testing.T) {
	passes := 0
	rapid.Check(t, func(t *rapid.T) {
		q := aQuestion(t)
		q.Tally.Outcomes[patching.Unreachable] = 0
		hushed := rapid.IntRange(0, q.Tally.Outcomes[patching.Patched]).Draw(t, "hushed")
		behind := rapid.IntRange(0, hushed).Draw(t, "of them behind a dead path")
		quiet := changed(q, func(tally *patching.Tally) {
			tally.Answered -= hushed
			tally.PathDown += behind
			tally.Outcomes[patching.Patched] -= hushed
		})
		if gate.Decide(quiet, noon).Verb == patching.Proceed {
			passes++
			require.Equal(t, patching.Proceed, gate.Decide(q, noon).Verb)
		}
	})
	assert.NotZero(t, passes)
}

// Serves Q5: behind a dead path nothing is known; it halts nothing by itself.
func TestMachinesBehindADeadPathTurnNoPassIntoAHalt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := aQuestion(t)
		if q.Tally.Answered == 0 || gate.Decide(q, noon).Verb == patching.Halt {
			return
		}
		dark := rapid.IntRange(0, 100).Draw(t, "behind a dead path")
		more := changed(q, func(tally *patching.Tally) {
			tally.Planned, tally.Released, tally.PathDown = tally.Planned+dark, tally.Released+dark, tally.PathDown+dark
		})
		d := gate.Decide(more, noon)
		if d.Verb == patching.Halt {
			// Only an old share of failures that is now judged by its own rule.
			require.Equal(t, gate.RuleBadPercent, gate.Ground(more, noon))
		}
	})
}

// Serves G8, U5: an auditor runs a decision again from what was kept.
func TestEveryDecisionCanBeRunAgainFromItsRecord(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := aQuestion(t)
		now := noon.Add(time.Duration(rapid.IntRange(-5000, 5000).Draw(t, "nanoseconds")))
		d := gate.Decide(q, now)
		terms, tally := gate.Evidence(q)
		require.NoError(t, gate.Replay(d, terms, tally))

		lie := d
		lie.Verb = map[patching.GateVerb]patching.GateVerb{patching.Proceed: patching.Halt, patching.Halt: patching.Proceed, patching.Wait: patching.Proceed}[d.Verb]
		require.ErrorContains(t, gate.Replay(lie, terms, tally), "the same numbers give")
	})
}

func TestARecordThatWasChangedIsNotRunAgain(t *testing.T) {
	q := gate.Question{Params: limits, GiveUp: later, Tally: with(tally(20, 6, 2), func(t *patching.Tally) {
		t.Signatures = []patching.SignatureCount{{Signature: "evil\nfailed\t0", Count: 2}}
		t.Strata = []patching.StratumCount{{Stratum: "debian 12 web", Answered: 8, Bad: 2}}
	})}
	d := gate.Decide(q, noon)
	terms, text := gate.Evidence(q)
	require.NoError(t, gate.Replay(d, terms, text), "what a machine sends cannot break the text")

	require.ErrorContains(t, gate.Replay(d, terms, bytes.Replace(text, []byte("failed\t2"), []byte("failed\t1"), 1)), "not those that the decision names")
	require.ErrorContains(t, gate.Replay(d, bytes.Replace(terms, []byte("same\t2"), []byte("same\t3"), 1), text), "not those that the decision names")
	d.Gate = "counts v0"
	assert.ErrorContains(t, gate.Replay(d, terms, text), `rules "counts v0"`)
}

func TestTextsThatNoGateWroteAreRefused(t *testing.T) {
	terms, text := gate.Evidence(gate.Question{Params: limits, Tally: tally(20, 6, 2), GiveUp: later})
	for name, bad := range map[string][]byte{
		"empty":             nil,
		"another heading":   bytes.Replace(terms, []byte("v1"), []byte("v2"), 1),
		"a line is missing": bytes.Replace(terms, []byte("same\t2\n"), nil, 1),
		"not a number":      bytes.Replace(terms, []byte("answered\t90"), []byte("answered\tNaN"), 1),
		"another spelling":  bytes.Replace(terms, []byte("same\t2"), []byte("same\t+2"), 1),
		"trailing bytes":    append(bytes.Clone(terms), "x"...),
	} {
		_, err := gate.ParseTerms(bad)
		require.Error(t, err, name)
	}
	for name, bad := range map[string][]byte{
		"empty":              nil,
		"another heading":    bytes.Replace(text, []byte("v1"), []byte("v2"), 1),
		"no totals":          []byte("tally v1\n"),
		"an unknown outcome": append(bytes.Clone(text), "vanished\t1\n"...),
		"an outcome twice":   append(bytes.Clone(text), "failed\t2\n"...),
		"a lone word":        append(bytes.Clone(text), "signature\n"...),
		"a missing end":      bytes.TrimSuffix(text, []byte("\n")),
		"a count in letters": append(bytes.Clone(text), "signature\tx\ttwo\n"...),
	} {
		_, err := gate.ParseTally(bad)
		require.Error(t, err, name)
	}
}
