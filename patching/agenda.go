package patching

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// AgendaItem is a decision that is looked at again, as at a cycle's end.
type AgendaItem struct {
	// ID is the decision's, Kind what it is: "review", "exception" or "work-around".
	ID   DecisionID
	Kind string
	Subject
	// Owner is who has to say something; of a review, who decided.
	Owner string
	Why   AgendaWhy
	// At is when what Why says was, or will be, the case.
	At time.Time
}

// AgendaWhy is why a decision is looked at.
type AgendaWhy string

// Why decisions are looked at.
const (
	AgendaExpired  AgendaWhy = "expired"    // since the last look: is it still needed?
	AgendaReview   AgendaWhy = "review due" // of an exception
	AgendaEnds     AgendaWhy = "ends soon"  // before the next look
	AgendaProposed AgendaWhy = "not in place"
	AgendaInPlace  AgendaWhy = "in place" // a work-around is no end of it
	AgendaLeaving  AgendaWhy = "to be removed"
)

// Agenda lists what has to be looked at now: what expired since the last look, what is due
// for review, or ends, before the next one, and every work-around that is not gone. What
// was first stands in front.
func (d Decisions) Agenda(last, now, next time.Time) []AgendaItem {
	var all []AgendaItem
	add := func(t Term, kind string, about Subject, owner string, reviewBy time.Time) {
		item := AgendaItem{ID: t.ID, Kind: kind, Subject: about, Owner: owner, At: t.Until}
		switch state := t.State(now); {
		case state == TermExpired && t.Until.After(last):
			item.Why = AgendaExpired
		case state != TermHolds:
			return
		case !t.Until.After(next):
			item.Why = AgendaEnds
		case !reviewBy.IsZero() && !reviewBy.After(next):
			item.Why, item.At = AgendaReview, reviewBy
		default:
			return
		}
		all = append(all, item)
	}
	for _, r := range d.Reviews {
		add(r.Term, "review", r.Subject, string(r.By), time.Time{})
	}
	for _, e := range d.Exceptions {
		add(e.Term, "exception", e.Subject, e.Owner, e.ReviewBy)
	}
	for _, w := range d.WorkArounds {
		why := map[WorkAroundState]AgendaWhy{WorkAroundProposed: AgendaProposed, WorkAroundInPlace: AgendaInPlace, WorkAroundLeaving: AgendaLeaving}[w.State()]
		if why != "" && len(w.Steps) > 0 {
			all = append(all, AgendaItem{ID: w.ID, Kind: "work-around", Subject: w.Subject, Owner: w.Owner, Why: why, At: w.Steps[len(w.Steps)-1].At})
		}
	}
	slices.SortFunc(all, func(a, b AgendaItem) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(string(a.ID), string(b.ID)))
	})
	return all
}
