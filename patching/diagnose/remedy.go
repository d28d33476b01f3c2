package diagnose

import (
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Step is one limited thing that can be done about a failure.
type Step string

// The steps, in the order in which they are tried. The table is closed. The first two
// nobody orders: agents take them by themselves. A cycle carries out the others.
const (
	StepNextRoute Step = "next route" // machines take the next relay of their list
	StepWait      Step = "wait"       // for a path or a lock, within the window
	StepRepair    Step = "repair"     // one order: complete what was left half done
	StepAgain     Step = "try again"  // one more order for the same patches, in the window
	StepTask      Step = "task"       // a person, with a procedure
)

// Remedies returns what is done about a cause: by agents, by the cycle, and last by a
// person.
func (c Cause) Remedies() []Step {
	switch {
	case c.LaidTo == patching.CauseRelay && c.Kind == KindRelay:
		return []Step{StepNextRoute, StepWait, StepTask}
	case c.LaidTo == patching.CauseRelay:
		return []Step{StepWait, StepTask}
	case c.LaidTo == patching.CausePackage && c.Kind != KindRelease:
		return []Step{StepRepair, StepAgain, StepTask}
	default:
		return []Step{StepTask}
	}
}

// Procedure is what a person does about it, one step a line.
func (c Cause) Procedure() string {
	if c.LaidTo != patching.CauseRelay && c.Kind.LaidTo() == patching.CauseRelay {
		return "Find out what only the machines " + c.Kind.with(c.Name) + " have: the path to them works, and it is " + Whose(c.LaidTo) + " that failed there.\n" +
			"Leave them out of the cycle, with a reason and an end, until it is understood."
	}
	switch c.Kind {
	case KindRelay:
		return "Look after the relay " + c.Name + ": does it run, has it space, does it reach the server?\n" +
			"Move its machines to another relay if it cannot be mended today.\n" +
			"The patch is not to blame: leave the ring as it is."
	case KindSite:
		return "Look after the site " + c.Name + ": its line, its relays, its power.\n" +
			"The patch is not to blame: leave the ring as it is."
	case KindAgent:
		return "Put the agents of version " + c.Name + " back to the version before, and report it.\n" +
			"Compare the log of one of its machines with that of a healthy one."
	case KindPackage, KindNamed:
		return "Hold the package " + c.Name + " under patches.hold, or give it a step of its own under patches.alone.\n" +
			"Read on one machine what its installation said, and report it to its maintainer."
	case KindRule:
		return "Look at the window \"" + c.Name + "\": is it long enough, and what else runs then?\n" +
			"Change the policy for what has not started."
	case KindRing:
		return "Compare how the ring " + c.Name + " is patched with the others: batch, parallel, gate, and what its machines are for.\n" +
			"Change the policy for what has not started."
	default:
		return "Try the patches on one machine with " + c.Name + ".\n" +
			"Leave that release out of the cycle, with a reason and an end, until it is understood."
	}
}

// Mend returns the steps that may mend one machine's failure by themselves; none:
// only a person can. Each is taken once (Q4).
//
// What the package manager left half done is completed first: a machine cannot
// be patched before. What was in the way and may be gone is tried again alone.
func Mend(o patching.Outcome, r patching.Reason, signature string) []Step {
	switch {
	case o == patching.Failed && r == patching.ReasonHalfInstalled,
		o == patching.Failed && r == patching.ReasonInstallFailed && halfDone(signature),
		o == patching.NeedsHands && r == patching.ReasonInstallFailed:
		return []Step{StepRepair, StepAgain}
	case o == patching.Deferred && (r == patching.ReasonLocked || r == patching.ReasonDownload):
		return []Step{StepWait, StepAgain}
	default:
		return nil
	}
}

// LeastTry is how much of its window a machine needs at least to be tried again: less
// than that no package manager is given a transaction in.
const LeastTry = 5 * time.Minute

// MendNow returns the steps that may mend a machine of a cycle now; none: only a person
// can, or the time for it is over. Tried again is who was told to start, said itself how
// that ended, has been tried once, and has enough left of its window. What its own rules
// do not let be repaired stays as it is, and is not tried again above it.
func MendNow(d patching.Deployment, mayRepair bool, now time.Time) []Step {
	if d.Released.IsZero() || d.Answered.IsZero() || d.Again > 0 || now.Add(LeastTry).After(d.End) {
		return nil
	}
	steps := Mend(d.Outcome, d.Reason, d.Signature)
	if slices.Contains(steps, StepRepair) && !mayRepair {
		return nil
	}
	return steps
}

// halfDone reports whether a signature says that a transaction did not come to
// its end, as agents name it.
func halfDone(signature string) bool {
	return signature == "interrupted" || strings.HasSuffix(signature, ": half installed")
}
