package workflows

import "go.temporal.io/sdk/workflow"

// The diary of what workflow code does.
//
// Cycles live for weeks, and a server is upgraded beneath them: a run that began
// under older code is replayed by newer code, which has to issue the same
// commands in the same order. Every change of that order is an entry here:
//
//	// 0.3.0, 12 January 2027: a ring asks the service owner before its gate.
//	func ringsAskTheOwner(ctx workflow.Context) bool { return change("rings-ask-the-owner").made(ctx) }
//
// and the code asks by that name, never by a number:
//
//	if ringsAskTheOwner(ctx) { ... }
//
// An entry is needed for another activity, timer, child, signal or search
// attribute, for one less, for another order of them, and for other types of
// what they carry. None is needed for words, for what activities do, and for
// options of activities. The recorded histories of every release are replayed by
// replay_test.go: what they do not cover (a branch that none of those cycles
// took) has to be thought of.
//
// An entry stays until no run can be left that began before it: a cycle closes
// at its date (the policy's close_after, three weeks unless it says otherwise).
//
// 0.1.0: the beginning.

// 0.2.0, 29 November 2026: a cycle brings its feeds up to date before it assesses.
func cyclesSyncFeeds(ctx workflow.Context) bool { return change("cycles-sync-feeds").made(ctx) }

// 0.2.0, 29 November 2026: a ring says what its failures have in common, and a halt
// that only a relay caused rolls nothing back. (That waves try again what may be
// mended needs no entry: their input says so, and that of older cycles does not.)
func ringsDiagnose(ctx workflow.Context) bool { return change("rings-diagnose").made(ctx) }

// 0.2.0, 29 November 2026: a cycle whose approvals are signed looks before each ring whether
// what was signed still counts, and asks again.
func cyclesAskAgain(ctx workflow.Context) bool { return change("cycles-ask-again").made(ctx) }

// 0.2.0, 30 November 2026: a wave that gives machines up asks whether the path to those at
// work was down. No entry: the activity is the same, and what older runs asked it for
// does not say so.

// change names one entry of the diary by what it changed.
type change string

// made reports whether this run does it the new way. What the first question of
// a run is answered is kept in its history: a run that was past that point when
// the code was changed goes on in the old way to its end.
func (c change) made(ctx workflow.Context) bool {
	return workflow.GetVersion(ctx, string(c), workflow.DefaultVersion, 1) == 1
}
