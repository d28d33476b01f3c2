package plan

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Standing says which advisories machines have, by what they said last and what feeds
// say: how much of a plan's remediation has become true.
type Standing struct {
	AsOf     time.Time
	Machines int
	// Has counts the machines that have an advisory, Overdue those of them for which a
	// due date is over.
	Has, Overdue map[patching.AdvisoryID]int
}

// Stand counts what machines have now.
func (g Grounds) Stand(all []Likes) Standing {
	s := Standing{AsOf: g.AsOf, Has: map[patching.AdvisoryID]int{}, Overdue: map[patching.AdvisoryID]int{}}
	for i := range all {
		l := &all[i]
		s.Machines += l.Machines
		due := map[patching.AdvisoryID]bool{}
		for _, f := range l.Has {
			_, deadlines := g.Assessor.Urgency(f, l.Class)
			due[f.Advisory.ID] = due[f.Advisory.ID] || g.overdue(deadlines)
		}
		for id, over := range due {
			s.Has[id] += l.Machines
			if over {
				s.Overdue[id] += l.Machines
			}
		}
	}
	return s
}

func (g Grounds) overdue(deadlines []urgency.Deadline) bool {
	d, bound := urgency.Binding(deadlines)
	return bound && !d.Due.IsZero() && g.AsOf.After(d.Due)
}
