package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/phrase"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// DecidedOn is a decision of a person about an advisory, and on how many machines it holds.
type DecidedOn struct {
	urgency.Ruling
	Machines int
	// Overdue counts those of them on which the regimes' date is over: accepted, overdue.
	Overdue int
	// News: what started the regimes' clock came after the decision to wait.
	News bool
}

// Words say the decision with who made it, until when and why, and where it holds.
func (d DecidedOn) Words() string {
	words := d.Ruling.Words() + " On " + phrase.Count(d.Machines, "machine")
	if d.Overdue > 0 {
		words += fmt.Sprintf(", accepted beyond the regimes' due date on %d", d.Overdue)
	}
	words += "."
	if d.News {
		words += " Its clock began after that was decided: look at it again."
	}
	return words
}

// MostDecided is how many decisions are listed with an advisory, MostReviewed how many that
// have to be looked at again.
const (
	MostDecided  = 10
	MostReviewed = 50
)

// Unbacked is a decision to work around something for which no work-around is on record.
type Unbacked struct {
	ID       patching.DecisionID
	By       patching.AccountName
	Advisory patching.AdvisoryID
	Machines int
}

// decide says what holds of an advisory on machines that are alike: what people decided,
// and beside it what the regimes say.
func (g Grounds) decide(l *Likes, matches []assess.Match, deadlines []urgency.Deadline) urgency.Decided {
	return urgency.Decide(l.matter(matches), deadlines, l.On, g.AsOf)
}

// matter is what matches with one advisory are about. Where nobody decided anything, nobody
// asks for it: fleets have millions of them.
func (l *Likes) matter(matches []assess.Match) patching.Matter {
	if len(l.On.Reviews)+len(l.On.Exceptions) == 0 {
		return patching.Matter{}
	}
	return assess.MatterOf(l.Sample, matches)
}

// rule notes on a row what people decided about it.
func (g Grounds) rule(row *Remedy, l *Likes, d urgency.Decided) {
	overdue := d.Standing(g.AsOf) == urgency.StandingAcceptedOverdue
	note := func(r urgency.Ruling) {
		at := slices.IndexFunc(row.Decided, func(is DecidedOn) bool { return is.ID == r.ID })
		if at < 0 {
			at, row.Decided = len(row.Decided), append(row.Decided, DecidedOn{Ruling: r})
		}
		is := &row.Decided[at]
		is.Machines += l.Machines
		if overdue && r.ID == d.By.ID {
			is.Overdue += l.Machines
		}
		is.News = is.News || d.News()
	}
	if d.By != nil {
		note(*d.By)
	}
	if d.Now != nil && d.Now.ID != d.By.ID {
		note(*d.Now)
	}
	if d.By == nil && d.Judged.Regime == "" {
		return
	}
	holds := d.Judged
	holds.Lane, holds.Due = d.Lane, d.Due
	if row.Holds == nil || urgency.Compare(holds, *row.Holds) < 0 {
		row.Holds = &holds
	}
}

// misses reports whether a plan that reaches machines then is certainly too late for it.
// An emergency is as soon as can be: it misses the regimes' dates alone.
func (g Grounds) misses(d urgency.Decided, deadlines []urgency.Deadline, begins time.Time) bool {
	if d.By != nil && d.Now == nil || d.Now != nil && g.Kind != patching.Emergency {
		return d.Misses(begins) && (g.Kind != patching.Emergency || !d.Due.IsZero())
	}
	return slices.ContainsFunc(urgency.Misses(deadlines, begins), func(d urgency.Deadline) bool {
		return g.Kind != patching.Emergency || !d.Due.IsZero()
	})
}

// unbacked names the decision to work around an advisory for which nobody proposed
// anything that covers it, as far as it is not gone again.
func unbacked(l *Likes, matches []assess.Match, now time.Time) (r patching.Review, found bool) {
	m := l.matter(matches)
	for _, r := range l.On.Reviews {
		anew := func(o patching.Review) bool { return o.Subject == r.Subject && o.At.After(r.At) && !o.At.After(now) }
		if r.Answer == patching.AnswerWorkAround && r.InForce(now) && r.Covers(m) && !slices.ContainsFunc(l.On.Reviews, anew) {
			return r, !slices.ContainsFunc(l.On.WorkArounds, func(w patching.WorkAround) bool { return !w.State().Terminal() && w.Covers(m) })
		}
	}
	return r, false
}

// review lists what has to be looked at again of the decisions that take the plan's
// machines: what expired in the last month, and what ends or is due before the next cycle.
func (r *Remediation) review(g Grounds, all []Likes) {
	var on patching.Decisions
	known := map[patching.DecisionID]bool{}
	for i := range all {
		on.Reviews = others(known, on.Reviews, all[i].On.Reviews, func(d patching.Review) patching.DecisionID { return d.ID })
		on.Exceptions = others(known, on.Exceptions, all[i].On.Exceptions, func(d patching.Exception) patching.DecisionID { return d.ID })
		on.WorkArounds = others(known, on.WorkArounds, all[i].On.WorkArounds, func(d patching.WorkAround) patching.DecisionID { return d.ID })
	}
	next := g.Next
	if next.IsZero() {
		next = g.AsOf.AddDate(0, 1, 0)
	}
	r.Review = on.Agenda(g.AsOf.AddDate(0, -1, 0), g.AsOf, next)
	if n := len(r.Review); n > MostReviewed {
		r.Review, r.MoreReview = slices.Clip(r.Review[:MostReviewed]), n-MostReviewed
	}
}

func others[D any](known map[patching.DecisionID]bool, have, more []D, id func(D) patching.DecisionID) []D {
	for _, d := range more {
		if !known[id(d)] {
			known[id(d)] = true
			have = append(have, d)
		}
	}
	return have
}

// fewest are how many rows and words name at once, where there may be thousands.
const fewest = 3

// settle puts the decisions of a row in order, and drops what says nothing new: without
// anybody's decision what holds is what the regimes say.
func (r *Remedy) settle() {
	if len(r.Decided) == 0 {
		r.Holds = nil
		return
	}
	slices.SortFunc(r.Decided, func(a, b DecidedOn) int {
		return cmp.Or(cmp.Compare(b.Machines, a.Machines), strings.Compare(string(a.ID), string(b.ID)))
	})
	if n := len(r.Decided); n > MostDecided {
		r.Decided, r.MoreDecided = slices.Clip(r.Decided[:MostDecided]), n-MostDecided
	}
}

// fold counts what stays by people's decisions together, beyond the largest few.
func (r *Remedy) fold() {
	var by []Staying
	for why := range r.Stays {
		if !slices.Contains([]Staying{NoFix, Entitled, NotOffered, LeftOut}, why) {
			by = append(by, why)
		}
	}
	if len(by) <= MostDecided {
		return
	}
	slices.SortFunc(by, func(a, b Staying) int {
		return cmp.Or(cmp.Compare(r.Stays[b], r.Stays[a]), strings.Compare(string(a), string(b)))
	})
	for _, why := range by[MostDecided:] {
		r.Stays[OtherDecisions] += r.Stays[why]
		delete(r.Stays, why)
	}
}

// Binds is what holds where it is the most urgent: as people decided, or else as the
// regimes say; nil: nothing.
func (r *Remedy) Binds() *urgency.Deadline {
	if r.Holds != nil {
		return r.Holds
	}
	return r.Deadline
}

// whose is who says how urgent it is: the regime, or who decided to patch at once.
func (r *Remedy) whose(d *urgency.Deadline) string {
	if r.Holds != nil {
		for _, by := range r.Decided {
			if by.Answer == patching.AnswerNow && d.Lane == urgency.Immediate {
				return by.Short()
			}
		}
	}
	return d.Regime
}

// decisions are warnings about what people decided, a few of each kind.
func (r Remediation) decisions() []string {
	var expired []string
	for _, item := range r.Review {
		if item.Why == patching.AgendaExpired {
			expired = append(expired, fmt.Sprintf("The %s %s of %s about %s expired on %s, and counts no more.",
				item.Kind, item.ID, item.Owner, item.Words(), item.At.UTC().Format(time.DateOnly)))
		}
	}
	words := few(expired, "decision has expired", "decisions have expired")
	var open []string
	for _, u := range r.Unbacked {
		open = append(open, fmt.Sprintf("%s by %s says to work around %s, and no work-around is on record: it counts for nothing on %s.",
			u.ID, u.By, u.Advisory, phrase.Count(u.Machines, "machine")))
	}
	words = append(words[:len(words):len(words)], few(open, "decision has no work-around", "decisions have no work-around")...)
	return append(words, few(r.Unread, "decision cannot be read", "decisions cannot be read")...)
}

func few(words []string, one, many string) []string {
	if len(words) <= fewest {
		return words
	}
	return append(words[:fewest:fewest], phrase.Count(len(words)-fewest, "other "+one, "other "+many)+".")
}

// reviewWords say how much has to be looked at again; empty: nothing.
func (r Remediation) reviewWords() string {
	n := len(r.Review) + r.MoreReview
	if n == 0 {
		return ""
	}
	return phrase.Count(n, "decision has", "decisions have") + " to be looked at again."
}

func sortUnbacked(all map[Unbacked]int) []Unbacked {
	list := make([]Unbacked, 0, len(all))
	for _, u := range slices.SortedFunc(maps.Keys(all), func(a, b Unbacked) int {
		return cmp.Or(strings.Compare(string(a.ID), string(b.ID)), strings.Compare(string(a.Advisory), string(b.Advisory)))
	}) {
		u.Machines = all[u]
		list = append(list, u)
	}
	return list
}
