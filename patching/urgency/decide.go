package urgency

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
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
//     say it again gives no more time. The others never take the regimes' date away: it
//     stays in Judged, and beyond it the risk is accepted.
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
			d.idle(OfException(e), "It expired on "+day(e.Until)+".")
		case state != patching.TermHolds:
		case !e.Covers(m):
			d.idle(OfException(e), "It names a part of what "+string(m.Advisory)+" is about: make one for the advisory.")
		case !found || e.Until.After(longest.Until) || e.Until.Equal(longest.Until) && e.ID < longest.ID:
			longest, found = e, true
		}
	}
	return longest, found
}

func (d *Decided) except(e patching.Exception) {
	ruling := OfException(e)
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
