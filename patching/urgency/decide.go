package urgency

import (
	"cmp"
	"fmt"
	"slices"
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

// Ruling is a person's decision as it is shown beside what it is about.
type Ruling struct {
	ID patching.DecisionID
	// Answer is a review's; empty: it is an exception.
	Answer patching.Answer
	By     patching.AccountName
	Role   patching.Role
	// Owner and Measure are an exception's.
	Owner, Measure string
	Reason         string
	At, Until      time.Time
	// ReviewBy is when somebody has to look at it again; zero: at its end.
	ReviewBy time.Time
}

// Idle is a decision that counts for nothing.
type Idle struct {
	Ruling
	Why string // a sentence
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

// Decide says what holds of an advisory on a machine: by the regimes' deadlines, and by
// the decisions whose selectors take the machine (see [Book.On]).
//
//   - What leaves a flaw open counts where it covers the whole of the matter, patch-now
//     where it touches any of it (see [patching.Subject.Covers]).
//   - Of reviews of the very same subject the newest counts. Of several others the most
//     urgent does, whenever it was made: to slow down, the urgent one is ended.
//   - An exception holds whatever reviews say, for an installation cannot be taken back
//     as an exception can. Lane and date stay urgent then, so that it is seen.
//   - A review that says to work around counts where a work-around is in place.
//   - Patch-now is due from the moment at which that was first decided, or earlier: to
//     say it again gives no more time. The others never take
//     the regimes' date away: it stays in Judged, and beyond it the risk is accepted.
func Decide(m patching.Matter, deadlines []Deadline, on patching.Decisions, now time.Time) Decided {
	var d Decided
	d.Judged, _ = Binding(deadlines)
	d.Lane, d.Due = d.Judged.Lane, d.Judged.Due

	reviews := d.reviews(m, on, now)
	if len(reviews) > 0 {
		d.follow(reviews[0])
		d.sinceFirst(m, on.Reviews, now)
		for _, r := range reviews[1:] {
			d.idle(ofReview(r), "A more urgent decision counts: "+string(reviews[0].ID)+".")
		}
	}
	if e, found := d.exception(m, on.Exceptions, now); found {
		d.except(e)
	}
	return d
}

// reviews are those that count for the matter, the most urgent first.
func (d *Decided) reviews(m patching.Matter, on patching.Decisions, now time.Time) []patching.Review {
	var all []patching.Review
	for _, r := range on.Reviews {
		if r.State(now) != patching.TermAhead && r.Touches(m) {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b patching.Review) int {
		return cmp.Or(b.At.Compare(a.At), strings.Compare(string(b.ID), string(a.ID)))
	})
	var counts []patching.Review
	answered := map[patching.Subject]patching.DecisionID{}
	for _, r := range all {
		by, again := answered[r.Subject]
		if !again {
			answered[r.Subject] = r.ID // though it has ended since: what it replaced does not come back
		}
		switch state := r.State(now); {
		case again && state == patching.TermHolds:
			d.idle(ofReview(r), "It was decided anew: "+string(by)+".")
		case again, state == patching.TermEnded, state == patching.TermRenewed:
		case state == patching.TermExpired:
			d.idle(ofReview(r), "It expired on "+day(r.Until)+".")
		case r.Answer != patching.AnswerNow && !r.Covers(m):
			d.idle(ofReview(r), "It names a part of what "+string(m.Advisory)+" is about: decide about the advisory.")
		case r.Answer == patching.AnswerWorkAround && !worksAround(m, on.WorkArounds, now):
			d.idle(ofReview(r), "No work-around is in place on this machine.")
		default:
			counts = append(counts, r)
		}
	}
	slices.SortStableFunc(counts, func(a, b patching.Review) int {
		switch {
		case b.Answer.Before(a.Answer):
			return -1
		case a.Answer.Before(b.Answer):
			return 1
		}
		return 0
	})
	return counts
}

func worksAround(m patching.Matter, all []patching.WorkAround, now time.Time) bool {
	return slices.ContainsFunc(all, func(w patching.WorkAround) bool { return w.Covers(m) && w.Stands(m.Asset, now) })
}

func (d *Decided) follow(r patching.Review) {
	ruling := ofReview(r)
	d.By = &ruling
	switch r.Answer {
	case patching.AnswerNow:
		d.Now, d.Lane = &ruling, Immediate
	case patching.AnswerMonthly:
		d.Lane = Scheduled
	case patching.AnswerWorkAround:
		d.Lane = Scheduled
		d.extend(r.Until)
	case patching.AnswerAccept:
		d.Lane, d.Hold = Defer, true
		d.extend(r.Until)
	}
}

// sinceFirst makes what is to be patched now due. Without a patch nothing can be done at
// once, and the clock has not begun.
func (d *Decided) sinceFirst(m patching.Matter, all []patching.Review, now time.Time) {
	if d.Now == nil || d.Judged.Waiting() {
		return
	}
	for _, r := range all {
		if r.Answer == patching.AnswerNow && r.InForce(now) && r.Touches(m) && (d.Due.IsZero() || r.At.Before(d.Due)) {
			d.Due = r.At
		}
	}
}

// extend moves the date that holds to the end of a decision that goes beyond it. Where
// there is none, none comes of it.
func (d *Decided) extend(until time.Time) {
	if !d.Due.IsZero() && until.After(d.Due) {
		d.Due = until
	}
}

// exception is the one that holds longest of those that cover the matter.
func (d *Decided) exception(m patching.Matter, all []patching.Exception, now time.Time) (longest patching.Exception, found bool) {
	for _, e := range all {
		if !e.Touches(m) {
			continue
		}
		switch state := e.State(now); {
		case state == patching.TermExpired:
			d.idle(ofException(e), "It expired on "+day(e.Until)+".")
		case state != patching.TermHolds:
		case !e.Covers(m):
			d.idle(ofException(e), "It names a part of what "+string(m.Advisory)+" is about: make one for the advisory.")
		case !found || e.Until.After(longest.Until) || e.Until.Equal(longest.Until) && e.ID < longest.ID:
			longest, found = e, true
		}
	}
	return longest, found
}

func (d *Decided) except(e patching.Exception) {
	ruling := ofException(e)
	switch {
	case d.Now != nil:
		d.idle(*d.Now, "The exception "+string(e.ID)+" holds all the same: end it, and the patch is installed.")
	case d.By != nil:
		d.idle(*d.By, "The exception "+string(e.ID)+" counts.")
		d.Due = d.Judged.Due
		fallthrough
	default:
		d.Lane = Defer
		d.extend(e.Until)
	}
	d.By, d.Hold = &ruling, true
}

func (d *Decided) idle(r Ruling, why string) { d.Idle = append(d.Idle, Idle{r, why}) }

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

// Words say for people what holds, by whose decision, and beside it what the regimes say.
func (d Decided) Words(now time.Time) string {
	var parts []string
	if d.By != nil {
		parts = append(parts, d.By.words())
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
	for _, i := range d.Idle {
		parts = append(parts, i.words()+" It counts for nothing: "+i.Why)
	}
	return strings.Join(parts, " ")
}

func (r Ruling) words() string {
	if r.Answer == "" {
		words := fmt.Sprintf("Exception until %s, owner %s, by %s (%s): %s", day(r.Until), r.Owner, r.By, r.Role, ended(r.Reason))
		if r.Measure != "" {
			words += " Instead: " + ended(r.Measure)
		}
		return words
	}
	return fmt.Sprintf("Decided by %s (%s) until %s: %s: %s", r.By, r.Role, day(r.Until), r.Answer.Words(), ended(r.Reason))
}

// ended ends a person's words as a sentence.
func ended(s string) string {
	if strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

func ofReview(r patching.Review) Ruling {
	return Ruling{ID: r.ID, Answer: r.Answer, By: r.By, Role: r.Role, Reason: r.Reason, At: r.At, Until: r.Until}
}

func ofException(e patching.Exception) Ruling {
	return Ruling{
		ID: e.ID, By: e.By, Role: e.Role, Owner: e.Owner, Measure: e.Measure, Reason: e.Reason,
		At: e.At, Until: e.Until, ReviewBy: e.ReviewBy,
	}
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
