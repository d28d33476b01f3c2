package plan

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Standing says which advisories machines have, by what they said last and what feeds
// say: how much of a plan's remediation has become true.
type Standing struct {
	AsOf     time.Time
	Machines int
	// Has counts the machines that have an advisory, Overdue those of them for which a
	// due date is over. Accepted are those of the overdue for which a person took that upon
	// themselves: they are no less overdue for that.
	Has, Overdue, Accepted map[patching.AdvisoryID]int
	// Unknown are advisories that a plan named, and that no source has any more: who has
	// them is not known.
	Unknown []patching.AdvisoryID
}

// Stand counts what machines have now of all advisories, named those of plans among them.
func (g Grounds) Stand(all []Likes, named ...patching.AdvisoryID) Standing {
	s := Standing{
		AsOf: g.AsOf, Has: map[patching.AdvisoryID]int{}, Overdue: map[patching.AdvisoryID]int{}, Accepted: map[patching.AdvisoryID]int{},
	}
	for _, id := range named {
		if !g.Assessor.Knows(id) {
			s.Unknown = append(s.Unknown, id)
		}
	}
	for i := range all {
		l := &all[i]
		s.Machines += l.Machines
		for id, matches := range assess.ByAdvisory(l.Has) {
			var deadlines []urgency.Deadline
			for _, f := range matches {
				_, more := g.Assessor.Urgency(f, l.Class)
				deadlines = append(deadlines, more...)
			}
			s.Has[id] += l.Machines
			switch g.decide(l, matches, deadlines).Standing(g.AsOf) {
			case urgency.StandingOverdue:
				s.Overdue[id] += l.Machines
			case urgency.StandingAcceptedOverdue:
				s.Overdue[id] += l.Machines
				s.Accepted[id] += l.Machines
			case urgency.StandingOpen, urgency.StandingAccepted:
			}
		}
	}
	return s
}
