package measure

import (
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// Advice says in sentences what the numbers suggest about planning. It is silent
// where they are too few to suggest anything; what failures have in common is
// the business of package diagnose.
func (m Measures) Advice() []string {
	var advice []string
	if n := m.Reasons[patching.ReasonInventoryStale] + m.Reasons[patching.ReasonNotEnrolled]; m.Machines > 0 && 10*n > m.Machines {
		advice = append(advice, fmt.Sprintf("%d of %d machines could not be planned for, because nothing recent is known of them: look after their agents.", n, m.Machines))
	}
	if n := m.Reasons[patching.ReasonNoWindow] + m.Reasons[patching.ReasonWindowOver]; m.Machines > 0 && 10*n > m.Machines {
		advice = append(advice, fmt.Sprintf("For %d of %d machines the windows were too few or too short.", n, m.Machines))
	}
	return advice
}
