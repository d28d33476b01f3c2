package notice

import (
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// How long before its end, or before somebody has to look at it again, a decision is told,
// and for how long after its end.
const (
	endsSoon = 14 * 24 * time.Hour
	endedFor = 7 * 24 * time.Hour
)

// OfDecisions returns the decisions of people that end, or that somebody has to look at.
// outlived says from how many machines a work-around has to go, as their patch is in.
func OfDecisions(d patching.Decisions, outlived map[patching.DecisionID]int, now time.Time) Found {
	found := Found{Whole: []Kind{ExceptionEnds, WorkAroundStays}}
	for _, i := range d.Agenda(now.Add(-endedFor), now, now.Add(endsSoon)) {
		n := Notice{
			ID: ID(fmt.Sprintf("%s/%s/%s/%d", ExceptionEnds, i.ID, i.Why, i.At.UnixMicro())), Kind: ExceptionEnds, Severity: Important,
			Owner: i.Owner, Subject: string(i.ID), At: i.At,
		}
		about := i.Kind + " for " + i.Words()
		switch i.Why {
		case patching.AgendaExpired:
			n.Words = fmt.Sprintf("%s: ended on %s; what the regimes say counts again", about, phrase.Moment(i.At))
		case patching.AgendaEnds:
			n.Words = fmt.Sprintf("%s: ends on %s", about, phrase.Moment(i.At))
		case patching.AgendaReview:
			n.Words = fmt.Sprintf("%s: to be looked at by %s", about, phrase.Moment(i.At))
		case patching.AgendaLeaving, patching.AgendaInPlace, patching.AgendaProposed:
			continue
		}
		found.Notices = append(found.Notices, n)
	}
	for _, w := range d.WorkArounds {
		if n, ok := stays(w, outlived[w.ID], now); ok {
			found.Notices = append(found.Notices, n)
		}
	}
	return found
}

// stays tells of a work-around that a person said has to go, or whose patch is in.
func stays(w patching.WorkAround, outlived int, now time.Time) (n Notice, ok bool) {
	n = Notice{
		ID: ID(fmt.Sprintf("%s/%s", WorkAroundStays, w.ID)), Kind: WorkAroundStays, Severity: Routine, Owner: w.Owner,
		Subject: string(w.ID), At: w.Proposed().At,
	}
	machines := len(w.InPlace(now))
	switch state := w.State(); {
	case state == patching.WorkAroundLeaving && machines > 0:
		n.Words = fmt.Sprintf("for %s: to be removed, and still in place on %s", w.Words(), phrase.Count(machines, "machine"))
	case state == patching.WorkAroundInPlace && outlived > 0:
		n.Words = fmt.Sprintf("for %s: the patch is in on %d of its %s", w.Words(), outlived, phrase.Count(machines, "machine"))
	default:
		return Notice{}, false
	}
	return n, true
}
