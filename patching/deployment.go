package patching

import (
	"strings"
	"time"
)

// Deployment follows one asset through one cycle. It begins as the plan's item
// and ends with an outcome.
type Deployment struct {
	Cycle CycleID
	PlanItem
	// Fence grows with every cycle that takes the asset's lock; an order that
	// carries a lower one is refused by the machine.
	Fence int64
	State DeploymentState
	Batch int // release batch within the wave, from 1; 0: not released
	Order OrderID
	// Released is when the start permit was first given, Answered when the
	// final receipt came.
	Released time.Time
	Answered time.Time
	Outcome  Outcome
	Reason   Reason
	// Detail completes the reason's sentence with what the machine said.
	Detail string
	// Signature groups failures that look alike ("openssl: postinst").
	Signature string
	Repairs   int
	// Again counts the tries after the first one.
	Again int
	// Freed is what cleaning up gave back, in bytes.
	Freed int64
	// Verified is when a fresh inventory confirmed the outcome.
	Verified time.Time
}

// BlamedPackage returns the package that a failure's signature names ("openssl:
// postinst"); empty: it names none.
func BlamedPackage(signature string) string {
	name, _, found := strings.Cut(signature, ":")
	if !found || strings.ContainsAny(name, " \t") {
		return ""
	}
	return name
}

// DeploymentState is how far a deployment has come.
type DeploymentState string

// The states of a deployment, in order; they move forward only.
const (
	DeploymentPlanned  DeploymentState = "planned"
	DeploymentStaged   DeploymentState = "staged"   // the order is issued, packages may be fetched
	DeploymentReleased DeploymentState = "released" // the start permit is given
	DeploymentStarted  DeploymentState = "started"  // the machine said that it began
	DeploymentDone     DeploymentState = "done"     // it has an outcome
)

// Terminal reports whether the deployment has ended.
func (s DeploymentState) Terminal() bool { return s == DeploymentDone }

// Rank orders the states, so that a late message cannot move one back.
func (s DeploymentState) Rank() int {
	for i, k := range []DeploymentState{DeploymentPlanned, DeploymentStaged, DeploymentReleased, DeploymentStarted, DeploymentDone} {
		if s == k {
			return i
		}
	}
	return -1
}

// Receipt is what a machine says happened, signed by its device and counted.
type Receipt struct {
	Order   OrderID
	Device  DeviceID
	Counter uint64
	Boot    string
	// At is the machine's own clock; the server keeps its own beside it.
	At    time.Time
	Stage Stage
	// The rest is set when Stage is terminal.
	Outcome   Outcome
	Reason    Reason
	Detail    string
	Signature string
	Repairs   int
	Freed     int64
	Changes   []Change
}

// Change is one package before and after.
type Change struct {
	Name, Arch, From, To string
}

// Stage is how far a machine has come with an order.
type Stage string

// The stages of an order on a machine.
const (
	StageAccepted  Stage = "accepted"
	StageFetched   Stage = "fetched"
	StageStarted   Stage = "started"
	StageInstalled Stage = "installed"
	StageRebooting Stage = "rebooting"
	StageFinished  Stage = "finished"
	StageRefused   Stage = "refused"
)

// Terminal reports whether the machine is done with the order.
func (s Stage) Terminal() bool { return s == StageFinished || s == StageRefused }
