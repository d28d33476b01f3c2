package measure

import "github.com/patchcycle/patchcycle/patching"

// Ended is what is known of a cycle when it closes.
type Ended struct {
	Outcomes map[patching.Outcome]int
	// Shadow: nothing was to be installed.
	Shadow bool
	// Decided is how a person or a gate ended the cycle early; empty: nobody did.
	Decided patching.ClosedAs
}

// ClosedAs says how a cycle closes. Machines that the policy leaves out are no
// exceptions; those that were deferred are, for the cycle did not reach them. A
// cycle that no machine took part in has not succeeded in anything.
func ClosedAs(e Ended) patching.ClosedAs {
	if e.Decided != "" {
		return e.Decided
	}
	took := 0
	for o, n := range e.Outcomes {
		if o != patching.Excluded && o != patching.NotApplicable {
			took += n
		}
	}
	if took == 0 {
		return patching.ClosedCancelled
	}
	for o, n := range e.Outcomes {
		shadowed := e.Shadow && o == patching.Deferred
		if n > 0 && exception(o) && !shadowed {
			return patching.ClosedWithExceptions
		}
	}
	return patching.ClosedSuccessful
}

func exception(o patching.Outcome) bool {
	switch o {
	case patching.Patched, patching.AlreadyUpToDate, patching.NotApplicable, patching.Excluded:
		return false
	case patching.Deferred, patching.Failed, patching.RolledBack, patching.NeedsHands, patching.Unreachable:
		return true
	default:
		return true // an outcome without a name is an exception indeed
	}
}
