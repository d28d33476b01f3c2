package urgency

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Decided is how a finding stands on an asset once people have had their say.
type Decided struct {
	// Judged is what binds without anybody's decision, and stays beside it. Its Regime is
	// empty where no regime says anything.
	Judged Deadline
	// Lane and Due are those that hold; empty and zero are none. Due is after Judged.Due
	// only where By says who took that upon themselves.
	Lane Lane
	Due  time.Time
	// Hold: nothing is installed for it, as long as By holds.
	Hold bool
	// By is whose decision holds; nil: nobody's, and all is as judged.
	By *Ruling
	// Now is who decided to patch at once; nil: nobody. It is another one than By where an
	// exception holds all the same.
	Now *Ruling
	// Idle are the decisions about it that count for nothing, and why not.
	Idle []Idle
}

// Standing is how a finding stands before the regimes and before people.
type Standing string

// The standings.
const (
	StandingOpen     Standing = "open"
	StandingOverdue  Standing = "overdue"
	StandingAccepted Standing = "accepted"
	// StandingAcceptedOverdue: the regimes' date is over, and a person has taken that upon
	// themselves. It is no less overdue for that.
	StandingAcceptedOverdue Standing = "accepted, overdue"
)

// Standing is how it stands now.
func (d Decided) Standing(now time.Time) Standing {
	overdue := !d.Judged.Due.IsZero() && now.After(d.Judged.Due)
	slowed := d.By != nil && d.Now == nil
	switch {
	case overdue && slowed:
		return StandingAcceptedOverdue
	case slowed && d.By.Answer != patching.AnswerMonthly: // which is in time until it is not
		return StandingAccepted
	case overdue, d.Now != nil && !d.Due.IsZero() && now.After(d.Due):
		return StandingOverdue
	}
	return StandingOpen
}

// Misses reports whether the coming cycle certainly misses it, if nextDone is the earliest
// that it can have reached its last machine (see the function [Misses]): a reason to
// propose an emergency. What nothing is installed for is none.
func (d Decided) Misses(nextDone time.Time) bool {
	if d.Hold {
		return false
	}
	holds := d.Judged
	holds.Lane, holds.Due = d.Lane, d.Due
	if d.By == nil && d.Judged.Regime == "" {
		return false
	}
	return len(Misses([]Deadline{holds}, nextDone)) > 0
}

// News reports whether what started the regimes' clock came after the decision to wait,
// such as an entry in KEV, or a patch: whoever decided did not know of it. The decision
// holds all the same; somebody has to look at it again.
func (d Decided) News() bool {
	return d.By != nil && d.Now == nil && d.Judged.Clock.At.After(d.By.At)
}

// Verdict is what becomes of the patch: it is held where nothing is installed for it, by
// whom, until when, and why. Else it is deployed, and the rest is empty.
func (d Decided) Verdict() (v patching.Verdict, owner string, until time.Time, why string) {
	if !d.Hold {
		return patching.VerdictDeploy, "", time.Time{}, ""
	}
	return patching.VerdictHold, cmp.Or(d.By.Owner, string(d.By.By)), d.By.Until, d.By.Words()
}

// Words say for people what holds, by whose decision, and beside it what the regimes say.
func (d Decided) Words(now time.Time) string {
	var parts []string
	if d.By != nil {
		parts = append(parts, d.By.Words())
	}
	if j := d.Judged; j.Regime != "" {
		words := "Under " + j.Regime + ": " + j.Lane.Word()
		switch {
		case j.Due.IsZero():
			words += ", " + j.Condition
		case now.After(j.Due):
			words += ", overdue since " + day(j.Due)
		default:
			words += ", due " + day(j.Due)
		}
		parts = append(parts, words+".")
	}
	switch d.Standing(now) {
	case StandingAcceptedOverdue:
		parts = append(parts, "The risk is accepted beyond its due date.")
	case StandingAccepted, StandingOpen, StandingOverdue:
	}
	if d.News() {
		parts = append(parts, fmt.Sprintf("Its clock (%s) began on %s, after that was decided: look at it again.", d.Judged.Clock.What.Words(), day(d.Judged.Clock.At)))
	}
	for _, i := range d.Idle {
		parts = append(parts, i.Words()+" It counts for nothing: "+i.Why)
	}
	return strings.Join(parts, " ")
}
