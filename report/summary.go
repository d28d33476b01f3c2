package report

import (
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// summary says in one paragraph what happened, and whether anyone must act.
func (f *facts) summary(d *Document) Summary {
	s := Summary{Title: f.title(), Sentences: []string{f.lead()}}
	say := func(format string, args ...any) {
		if format != "" {
			s.Sentences = append(s.Sentences, sentence(fmt.Sprintf(format, args...)))
		}
	}
	if f.cycle.Reason != "" {
		say("It was called because: %s", f.cycle.Reason)
	}
	say("%s", f.counted(d))
	if f.closed() {
		say("%s", d.Advisories.said())
	}
	if d.Unconfirmed > 0 && f.closed() {
		say("%s said that they are patched, but no fresh inventory confirmed it: they are not counted as covered.", plural(d.Unconfirmed, "machine"))
	}
	if f.cycle.Shadow {
		say("Shadow mode: everything was planned and judged, and nothing was installed on any machine.")
	}
	for _, w := range d.Withdrawn {
		say("The patch of %s was withdrawn after the test ring, where it failed on %s of %s", w.Package, number(w.Failed), plural(w.Tested, "machine"))
	}
	for _, r := range d.Rings {
		if r.Gate != nil && r.Gate.Verb == patching.Halt {
			say("The gate halted ring %s: %s", r.Name, strings.TrimSuffix(r.Gate.Words, "."))
		}
	}
	if n := countOf(d.Outcomes, patching.RolledBack); n > 0 {
		say("%s returned to the earlier versions", plural(n, "machine")+wereOr(n))
	}
	for _, s := range d.Stayed {
		say("Still different from before on %s of them: %s %s is installed, because they run it", number(s.Machines), s.Package, s.Version)
	}
	if _, why, early := strings.Cut(f.cycle.Words, " It ended early: "); early && f.closed() && !strings.HasPrefix(why, "ring ") {
		why, _, _ = strings.Cut(why, " Tasks for people:")
		say("It ended early: %s", why)
	}
	s.MustAct, s.Act = f.act(d)
	return s
}

func (f *facts) title() string {
	name := string(f.cycle.Policy)
	if f.policy != nil && f.policy.Title != "" {
		name = f.policy.Title
	}
	return name
}

// lead is the first sentence: what ran, when, and how it stands.
func (f *facts) lead() string {
	c := f.cycle
	what := "The monthly cycle"
	if c.Kind == patching.Emergency {
		what = "The emergency cycle"
	}
	if c.Shadow {
		what += " (shadow mode)"
	}
	switch {
	case !f.closed():
		return fmt.Sprintf("%s of policy %s has been open since %s and is in phase “%s”. %s", what, c.Policy, moment(c.Opened), c.Phase, c.Words)
	case c.Closed.IsZero():
		return fmt.Sprintf("%s of policy %s opened on %s and closed: %s.", what, c.Policy, moment(c.Opened), c.ClosedAs)
	default:
		return fmt.Sprintf("%s of policy %s opened on %s and closed %s later: %s.", what, c.Policy, moment(c.Opened),
			lasting(c.Closed.Sub(c.Opened)), c.ClosedAs)
	}
}

// counted says where the machines ended; the numbers add up to all of them.
func (f *facts) counted(d *Document) string {
	if d.Total == 0 {
		return "No machine is in the cycle yet"
	}
	var parts []string
	for _, o := range d.Outcomes {
		words := o.Words
		if o.Outcome == patching.Unreachable {
			words = "could not be reached"
		}
		if o.Outcome == patching.NeedsHands {
			words = map[bool]string{true: "needs manual work", false: "need manual work"}[o.Count == 1]
		}
		parts = append(parts, number(o.Count)+" "+words)
	}
	return fmt.Sprintf("Of %s: %s", plural(d.Total, "machine"), list(parts))
}

// act says whether anyone must act: somebody who has a task, or where the cycle
// itself waits for one.
func (f *facts) act(d *Document) (must bool, words string) {
	open, first := 0, Task{}
	for _, t := range d.Tasks {
		if t.State.Terminal() {
			continue
		}
		open++
		if first.ID == "" || !t.Due.IsZero() && (first.Due.IsZero() || t.Due.Before(first.Due)) {
			first = t
		}
	}
	waits := !f.closed() && strings.Contains(f.cycle.Words, " has to ") && !strings.Contains(f.cycle.Words, "Nobody has to ")
	switch {
	case open > 0:
		words = fmt.Sprintf("Somebody must act: %s open", plural(open, "task")+isOr(open))
		if !first.Due.IsZero() {
			words += ", the first due by " + moment(first.Due)
		}
		return true, words + "."
	case waits:
		return true, "Somebody must act: see above what the cycle waits for."
	case !f.closed():
		return false, "Nobody must act now."
	default:
		return false, "Nobody must act: no task is open."
	}
}

func isOr(n int) string {
	if n == 1 {
		return " is"
	}
	return " are"
}

func wereOr(n int) string {
	if n == 1 {
		return " was"
	}
	return " were"
}

func countOf(all []OutcomeCount, o patching.Outcome) int {
	for _, c := range all {
		if c.Outcome == o {
			return c.Count
		}
	}
	return 0
}
