package plan

import "github.com/patchcycle/patchcycle/patching"

// OutcomeFor returns the outcome in which a machine ends that a plan leaves
// out, or that a cycle ends before its turn, for that reason. ok is false for
// reasons that only a machine's answer, or its silence, can give.
func OutcomeFor(r patching.Reason) (o patching.Outcome, ok bool) {
	switch r {
	case patching.ReasonNothingMissing:
		return patching.AlreadyUpToDate, true
	case patching.ReasonManagerUnknown:
		return patching.NotApplicable, true
	case patching.ReasonExcludedBy, patching.ReasonHostRules, patching.ReasonNotEnrolled, patching.ReasonNoRing:
		return patching.Excluded, true
	case patching.ReasonInventoryStale, patching.ReasonNoWindow, patching.ReasonFreeze, patching.ReasonBusyElsewhere,
		patching.ReasonTakenOver, patching.ReasonRemoved, patching.ReasonShadow, patching.ReasonCarriedOver,
		patching.ReasonClosedEarly, patching.ReasonCancelled, patching.ReasonNotApproved, patching.ReasonRingHalted,
		patching.ReasonWindowOver:
		return patching.Deferred, true
	default:
		return "", false
	}
}
