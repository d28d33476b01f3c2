package urgency

import "slices"

// Lane is how a finding is dealt with. The words are SSVC's.
type Lane string

// The lanes, from least to most urgent.
const (
	Defer      Lane = "defer"        // with the next upgrade
	Scheduled  Lane = "scheduled"    // with the regular cycle
	OutOfCycle Lane = "out-of-cycle" // sooner than the regular cycle
	Immediate  Lane = "immediate"    // now
)

var lanes = []Lane{Defer, Scheduled, OutOfCycle, Immediate}

// Lanes lists them, from least to most urgent.
func Lanes() []Lane { return slices.Clone(lanes) }

// Before reports whether a lane is less urgent than another.
func (l Lane) Before(other Lane) bool { return l.rank() < other.rank() }

// Word is the lane as people read it.
func (l Lane) Word() string {
	switch l {
	case Defer:
		return "next upgrade"
	case Scheduled:
		return "monthly"
	case OutOfCycle:
		return "emergency"
	case Immediate:
		return "emergency at once"
	}
	return string(l)
}

// rank is how urgent a lane is; -1: there is no such lane.
func (l Lane) rank() int { return slices.Index(lanes, l) }
