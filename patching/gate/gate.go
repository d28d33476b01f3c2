// Package gate decides, from what is known of a ring or wave, whether a cycle
// proceeds, waits or halts. It is a function of values: the same tally,
// parameters and time give the same decision, today and in an audit.
package gate

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Rules names the rule set and its version, as decisions record it.
const Rules = "counts v1"

// Params are the limits of one ring's gate.
type Params struct {
	// Answered is the share of released machines, in percent, whose result has
	// to be in before the gate lets go on. The rest counts as unknown, never as
	// good. When waiting for them ends, Unreachable says how many may be missing:
	// a machine that is switched off must not hold up a site for ever.
	Answered float64
	// Same halts when this many machines failed in the same way; zero is never.
	Same int
	// BadCount halts at this many bad outcomes whatever the cause; zero is never.
	BadCount int
	// BadPercent halts when bad outcomes exceed this share of the answered,
	// from MinAnswered answers on; zero is never.
	BadPercent  float64
	MinAnswered int
	// HostHours is the healthy time, summed over machines, that a soak has to gather.
	HostHours float64
	// Unreachable halts when more than this share, in percent, of the released
	// did not answer while the path to them was up, two at least. Zero is never:
	// one answer is then enough once waiting has ended.
	Unreachable float64
}

// Question is what a gate is asked.
type Question struct {
	// Params are the ring's limits.
	Params Params
	// Tally is what is known.
	Tally patching.Tally
	// SoakUntil is when the soak ends; zero while batches are being released:
	// then the gate only says whether the next batch may go.
	SoakUntil time.Time
	// GiveUp is when waiting for answers ends (the window's end and the grace).
	GiveUp time.Time
	// HoursBy is when waiting for host-hours ends, if they are not gathered with
	// the soak. Zero leaves that to the cycle's closing date.
	HoursBy time.Time
}
