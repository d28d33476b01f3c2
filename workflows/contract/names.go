// Package contract holds what workflows, activities, starters and people's
// clients have to agree on: names, ids, queues, messages and payloads.
//
// Everything here ends up in histories that live for weeks. A rename is a
// migration; a test pins the names.
package contract

import (
	"go.temporal.io/sdk/temporal"
)

// Task queues. Work that waits for machines must not keep quick work from its slots.
const (
	QueueCycles = "cycles"
	QueueWaits  = "waits"
)

// Workflow types.
const (
	CycleWorkflow   = "Cycle"
	RingWorkflow    = "Ring"
	WaveWorkflow    = "Wave"
	TriggerWorkflow = "Trigger"
)

// Messages that the product sends to its own workflows; people use [Verbs].
const (
	// SignalControl carries a [Control] from a cycle to its rings and waves.
	SignalControl = "control"
	// QueryState returns the workflow's state struct.
	QueryState = "state"
)

// Search attributes, so that operators find cycles (U2). They are never
// encrypted: no host names, no package names.
var (
	AttrCycle    = temporal.NewSearchAttributeKeyKeyword("PcCycle")
	AttrPolicy   = temporal.NewSearchAttributeKeyKeyword("PcPolicy")
	AttrKind     = temporal.NewSearchAttributeKeyKeyword("PcKind")
	AttrPhase    = temporal.NewSearchAttributeKeyKeyword("PcPhase")
	AttrRing     = temporal.NewSearchAttributeKeyKeyword("PcRing")
	AttrSite     = temporal.NewSearchAttributeKeyKeyword("PcSite")
	AttrGate     = temporal.NewSearchAttributeKeyKeyword("PcGate")
	AttrDeadline = temporal.NewSearchAttributeKeyTime("PcDeadline")
	AttrFailed   = temporal.NewSearchAttributeKeyInt64("PcFailed")
	AttrPending  = temporal.NewSearchAttributeKeyInt64("PcPending")
	AttrClosedAs = temporal.NewSearchAttributeKeyKeyword("PcClosedAs")
)

// What AttrGate can say.
const (
	GateOpen     = "open"
	GateApproval = "waiting-approval"
	GatePaused   = "paused"
	GateHalted   = "halted"
)

// TriggerID is the id of the workflow that a policy's schedule starts.
func TriggerID(policy string) string { return "trigger/" + policy }

// ScheduleID is the id of a policy's schedule.
func ScheduleID(policy string) string { return "schedule/" + policy }
