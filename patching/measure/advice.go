package measure

import (
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// Advice says in sentences what the numbers suggest. It is silent where they
// are too few to suggest anything; attribution with a stated error rate is the
// business of package diagnose.
func (m Measures) Advice() []string {
	var advice []string
	failures := m.Outcomes[patching.Failed] + m.Outcomes[patching.NeedsHands] + m.Outcomes[patching.Unreachable] + m.Outcomes[patching.RolledBack]
	if c, most := first(m.BySite, failures); most && len(m.BySite) > 1 {
		advice = append(advice, fmt.Sprintf("%d of %d failures are at the site %s: look at its relay and its line first.", c.Failed, failures, c.Name))
	}
	if c, most := first(m.ByPackage, failures); most {
		advice = append(advice, fmt.Sprintf("%d of %d failures are with the package %s: hold it before the next cycle, and report it.", c.Failed, failures, c.Name))
	}
	if n := m.Reasons[patching.ReasonInventoryStale] + m.Reasons[patching.ReasonNotEnrolled]; m.Machines > 0 && 10*n > m.Machines {
		advice = append(advice, fmt.Sprintf("%d of %d machines could not be planned for, because nothing recent is known of them: look after their agents.", n, m.Machines))
	}
	if n := m.Reasons[patching.ReasonNoWindow] + m.Reasons[patching.ReasonWindowOver]; m.Machines > 0 && 10*n > m.Machines {
		advice = append(advice, fmt.Sprintf("For %d of %d machines the windows were too few or too short.", n, m.Machines))
	}
	return advice
}

// first returns the most frequent group if it has three failures at least, and
// more than half of all.
func first(c []Count, failures int) (Count, bool) {
	if len(c) == 0 || c[0].Failed < 3 || 2*c[0].Failed <= failures {
		return Count{}, false
	}
	return c[0], true
}
