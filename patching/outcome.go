package patching

// Outcome is where one asset's deployment in a cycle ended. Every asset of a
// cycle ends in exactly one; count in equals count out.
type Outcome string

// The outcomes. The empty outcome means that the deployment has not ended.
const (
	Patched         Outcome = "patched"
	AlreadyUpToDate Outcome = "already-up-to-date"
	NotApplicable   Outcome = "not-applicable"
	Deferred        Outcome = "deferred"
	Excluded        Outcome = "excluded"
	Failed          Outcome = "failed"
	RolledBack      Outcome = "rolled-back"
	NeedsHands      Outcome = "needs-hands"
	Unreachable     Outcome = "unreachable"
)

// Outcomes lists all of them in the order in which reports show them.
func Outcomes() []Outcome {
	return []Outcome{Patched, AlreadyUpToDate, NotApplicable, Deferred, Excluded, Failed, RolledBack, NeedsHands, Unreachable}
}

// Valid reports whether o is one of the outcomes.
func (o Outcome) Valid() bool {
	for _, k := range Outcomes() {
		if o == k {
			return true
		}
	}
	return false
}

// Bad reports whether the outcome speaks against the patch in a gate. A machine
// that never answered does not: silence is no evidence about a patch.
func (o Outcome) Bad() bool { return o == Failed || o == NeedsHands || o == RolledBack }

// NeedsTask reports whether a person has to look after the machine (G21).
func (o Outcome) NeedsTask() bool { return o == Failed || o == NeedsHands || o == Unreachable }

// Words returns what people read.
func (o Outcome) Words() string {
	switch o {
	case AlreadyUpToDate:
		return "already up to date"
	case NotApplicable:
		return "not applicable"
	case RolledBack:
		return "rolled back"
	case NeedsHands:
		return "manual work needed"
	case "":
		return "in progress"
	default:
		return string(o)
	}
}

// ClosedAs says how a cycle ended.
type ClosedAs string

// The ways in which a cycle closes.
const (
	ClosedSuccessful     ClosedAs = "successful"
	ClosedWithExceptions ClosedAs = "with exceptions"
	ClosedBackedOut      ClosedAs = "backed out"
	ClosedCancelled      ClosedAs = "cancelled"
)

// Phase is where a cycle stands.
type Phase string

// The phases of a cycle, in order.
const (
	PhaseMonitor  Phase = "monitor"
	PhaseAssess   Phase = "assess"
	PhasePlan     Phase = "plan"
	PhaseTest     Phase = "test"
	PhaseApproval Phase = "approval"
	PhaseDeploy   Phase = "deploy"
	PhaseVerify   Phase = "verify"
	PhaseCleanUp  Phase = "clean up"
	PhaseReport   Phase = "report"
	PhaseRollBack Phase = "roll back"
	PhaseClosed   Phase = "closed"
)

// Terminal reports whether the phase is final.
func (p Phase) Terminal() bool { return p == PhaseClosed }
