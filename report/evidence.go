package report

import (
	"github.com/patchcycle/patchcycle/patching/gate"
)

// evidence names what the report rests on, and looks at it once more: every
// decision is run again on the inputs that are kept with it.
func (f *facts) evidence() Evidence {
	e := Evidence{
		PolicyVersion: f.cycle.PolicyVersion, PolicyApplied: f.applied.Applied, PolicyBy: f.applied.By, Plan: f.cycle.Plan,
		Entries: f.entries, Head: f.head, Broken: f.broken,
	}
	for i := range f.decisions {
		row := &f.decisions[i]
		fact := f.gateFact(row)
		// In shadow mode gates let everything pass, whatever the numbers.
		if err := gate.Replay(row.Decision, row.ParamsText, row.TallyText); err == nil {
			e.Again++
		} else if !f.cycle.Shadow {
			fact.Differs = err.Error()
		}
		e.Decisions = append(e.Decisions, fact)
	}
	return e
}
