package report

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// holdOf says who keeps a machine from its patches and until when; nil where
// nobody does. Deferred and excluded are never shown without it.
func (f *facts) holdOf(d *patching.Deployment) *Hold {
	if d.Outcome != patching.Deferred && d.Outcome != patching.Excluded && d.Outcome != patching.NotApplicable {
		return nil
	}
	if o, leaves := d.Reason.LeavesAs(); !leaves || o == patching.AlreadyUpToDate {
		return &Hold{By: "patchcycle", Until: "the cause is gone"}
	}
	h := Hold{By: f.decider(d), Until: untils[d.Reason]}
	switch d.Reason {
	case patching.ReasonExcludedBy:
		if e := f.exclusion(d.Why); e != nil {
			h = Hold{By: orElse(e.Owner, h.By), Until: h.Until}
			if !e.Until.IsZero() {
				h.Until = e.Until.Format("2 Jan 2006")
			}
		}
	case patching.ReasonFreeze:
		if z := f.freeze(d.Why); z != nil {
			h.Until = moment(z.Until)
		}
	case patching.ReasonExcepted:
		if m := rulings.FindStringSubmatch(d.Why); m != nil {
			h = Hold{By: m[1], Until: m[2]}
			if end, err := time.Parse(time.DateOnly, m[2]); err == nil {
				h.Until = end.Format("2 Jan 2006")
			}
		}
	default:
	}
	return &h
}

// rulings find whose decision a plan names first, and until when it holds.
var rulings = regexp.MustCompile(`(?:an exception of|, says) (.+?) until (\d{4}-\d{2}-\d{2})`)

// untils end the sentence "until …" for every reason by which a machine can be
// deferred, left out or found not to be ours; a test finds a missing one.
var untils = map[patching.Reason]string{
	patching.ReasonKeptBack:       "the hold is taken off there, or what it needs can be had",
	patching.ReasonWithdrawn:      "a version that works is offered; the next cycle takes it first",
	patching.ReasonManagerUnknown: "patchcycle speaks to its package manager",
	patching.ReasonHostRules:      "the machine's own rules allow it",
	patching.ReasonNotEnrolled:    "an agent is enrolled",
	patching.ReasonInventoryStale: "it sends a fresh inventory",
	patching.ReasonNoBackup:       "a verified backup of it is known",
	patching.ReasonExcludedBy:     "the policy changes",
	patching.ReasonExcepted:       "what was decided ends",
	patching.ReasonNoRing:         "the policy has a ring for it",
	patching.ReasonNoWindow:       "the next cycle",
	patching.ReasonFreeze:         "the freeze ends",
	patching.ReasonBusyElsewhere:  "the other cycle gives it back",
	patching.ReasonTakenOver:      "the emergency ends",
	patching.ReasonRemoved:        "the next cycle",
	patching.ReasonShadow:         "a cycle without shadow mode",
	patching.ReasonCarriedOver:    "the next cycle, which takes it first",
	patching.ReasonClosedEarly:    "the next cycle",
	patching.ReasonCancelled:      "the next cycle",
	patching.ReasonNotApproved:    "a plan is approved",
	patching.ReasonRingHalted:     "the next cycle",
	patching.ReasonWindowOver:     "the next cycle",
}

// decider names who, or what, decided.
func (f *facts) decider(d *patching.Deployment) string {
	switch d.Reason {
	case patching.ReasonRemoved, patching.ReasonCancelled, patching.ReasonNotApproved, patching.ReasonCarriedOver:
		return orElse(personIn(d.Detail), "patchcycle, by the policy "+string(f.cycle.Policy))
	case patching.ReasonHostRules, patching.ReasonKeptBack:
		return orElse(f.assets[d.Asset].Owner, "the machine's owner")
	case patching.ReasonNotEnrolled, patching.ReasonInventoryStale:
		return "patchcycle; owner: " + orElse(f.assets[d.Asset].Owner, "nobody named")
	case patching.ReasonBusyElsewhere, patching.ReasonTakenOver:
		return orElse(strings.TrimPrefix(orElse(d.Detail, d.Why), "taken over by "), "another cycle")
	case patching.ReasonRingHalted:
		return "the gate of ring " + f.haltedBefore(d.Ring)
	case patching.ReasonWithdrawn:
		return "patchcycle, by what failed before the machine's ring"
	case patching.ReasonManagerUnknown:
		return "patchcycle"
	case patching.ReasonExcepted:
		return "who decided it, by name"
	default:
		return "the policy " + string(f.cycle.Policy)
	}
}

// haltedBefore names the ring whose gate halted the cycle before a ring's turn.
func (f *facts) haltedBefore(ring patching.RingName) string {
	for i := len(f.decisions) - 1; i >= 0; i-- {
		rest, ok := strings.CutPrefix(f.decisions[i].Subject, string(f.cycle.ID)+"/ring/")
		if name, _, _ := strings.Cut(rest, "/"); ok && f.decisions[i].Decision.Verb == patching.Halt {
			return name
		}
	}
	return string(ring)
}

// personIn finds who is named in what the cycle noted ("Taken out by ana: …",
// "stopped by ana: …", "ana rejected the plan: …"); empty: nobody is.
func personIn(detail string) string {
	head, _, _ := strings.Cut(detail, ":")
	for _, lead := range []string{"Taken out by ", "stopped by ", "rolled back by ", "closed by "} {
		if who, ok := strings.CutPrefix(head, lead); ok {
			return who
		}
	}
	if who, ok := strings.CutSuffix(head, " rejected the plan"); ok {
		return who
	}
	return ""
}

// exclusion returns the policy's exclusion that a plan put into words; the
// words begin with its reason.
func (f *facts) exclusion(why string) *policy.Exclusion {
	if f.policy == nil {
		return nil
	}
	var found *policy.Exclusion
	for i := range f.policy.Exclude {
		e := &f.policy.Exclude[i]
		if e.Reason != "" && strings.HasPrefix(why, e.Reason) && (found == nil || len(e.Reason) > len(found.Reason)) {
			found = e
		}
	}
	return found
}

// freeze returns the last freeze that a plan put into words.
func (f *facts) freeze(why string) *policy.Freeze {
	if f.policy == nil {
		return nil
	}
	var last *policy.Freeze
	for i := range f.policy.Freezes {
		z := &f.policy.Freezes[i]
		if strings.Contains(why, fmt.Sprintf("%s (%s)", z.Name, z.Reason)) && (last == nil || z.Until.After(last.Until)) {
			last = z
		}
	}
	return last
}
