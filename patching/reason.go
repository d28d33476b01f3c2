package patching

import (
	"maps"
	"slices"
	"strings"
)

// Reason is a code from one closed vocabulary: why a deployment ended as it
// did, or why an asset or a patch is held. Console, CLI and reports print its
// [Reason.Words].
type Reason string

// Cause is who or what a reason is laid to (Q8). "Failed" has to say whether
// the patch failed or we did.
type Cause string

// The causes.
const (
	CausePackage Cause = "package"
	CauseDevice  Cause = "device"
	CauseAgent   Cause = "agent"
	CauseRelay   Cause = "relay"
	CausePolicy  Cause = "policy"
	CauseProcess Cause = "process"
	CauseServer  Cause = "server"
	CauseNone    Cause = ""
)

// The reasons. A new one needs a line in the table below; a test finds a
// constant without one.
const (
	ReasonVerified       Reason = "verified"
	ReasonNothingMissing Reason = "nothing-missing"
	ReasonKeptBack       Reason = "kept-back"
	ReasonWithdrawn      Reason = "withdrawn"
	ReasonManagerUnknown Reason = "manager-unknown"
	ReasonHalfInstalled  Reason = "half-installed"
	ReasonHostRules      Reason = "host-rules"
	ReasonNotEnrolled    Reason = "not-enrolled"
	ReasonInventoryStale Reason = "inventory-stale"
	ReasonExcludedBy     Reason = "excluded-by-policy"
	ReasonExcepted       Reason = "excepted"
	ReasonNoRing         Reason = "no-ring"
	ReasonNoWindow       Reason = "no-window"
	ReasonFreeze         Reason = "freeze"
	ReasonNoBackup       Reason = "no-verified-backup"
	ReasonBusyElsewhere  Reason = "busy-in-other-cycle"
	ReasonTakenOver      Reason = "taken-over"
	ReasonRemoved        Reason = "removed-by-person"
	ReasonShadow         Reason = "shadow-mode"
	ReasonCarriedOver    Reason = "carried-over"
	ReasonClosedEarly    Reason = "closed-at-date"
	ReasonCancelled      Reason = "cancelled"
	ReasonNotApproved    Reason = "not-approved"
	ReasonRingHalted     Reason = "ring-halted"
	ReasonWindowOver     Reason = "window-over"
	ReasonSilent         Reason = "silent"
	ReasonPathDown       Reason = "path-down"
	ReasonInstallFailed  Reason = "install-failed"
	ReasonPreflight      Reason = "preflight"
	ReasonLocked         Reason = "locked"
	ReasonDisk           Reason = "disk"
	ReasonConffile       Reason = "settings-changed"
	ReasonDownload       Reason = "download"
	ReasonUntrusted      Reason = "untrusted-source"
	ReasonPlanStale      Reason = "plan-stale"
	ReasonServiceBroken  Reason = "service-broken"
	ReasonNoBoot         Reason = "did-not-come-back"
	ReasonNotTaken       Reason = "not-taken-effect"
	ReasonRefused        Reason = "order-refused"
	ReasonRolledBack     Reason = "rolled-back"
	ReasonIrreversible   Reason = "irreversible"
	ReasonRollBackFailed Reason = "roll-back-failed"
	ReasonClockOff       Reason = "clock-off"
	ReasonWorkAround     Reason = "work-around-stays"
	ReasonBreakGlass     Reason = "break-glass"
	ReasonUnknown        Reason = "unknown"
)

type reasonText struct {
	cause Cause
	words string
}

var reasons = map[Reason]reasonText{
	ReasonVerified:       {CauseNone, "A fresh inventory after the deployment shows the new versions."},
	ReasonNothingMissing: {CauseNone, "The machine's package manager offers nothing that this policy would install."},
	ReasonKeptBack:       {CausePolicy, "What the machine misses is kept back by its own package manager: it is on hold there, or needs what cannot be had."},
	ReasonWithdrawn:      {CausePackage, "All that the machine misses was withdrawn from this cycle."},
	ReasonManagerUnknown: {CausePolicy, "No package manager that patchcycle speaks to runs on this machine."},
	ReasonHalfInstalled:  {CauseDevice, "Packages are half installed on the machine: somebody has to repair it first."},
	ReasonHostRules:      {CausePolicy, "The machine's own rules do not let patchcycle install anything on it."},
	ReasonNotEnrolled:    {CauseProcess, "The machine is known, but no agent is enrolled on it."},
	ReasonInventoryStale: {CauseProcess, "The machine did not send an inventory that is recent enough to plan by."},
	ReasonExcludedBy:     {CausePolicy, "The policy excludes the machine."},
	ReasonExcepted:       {CausePolicy, "People decided that what the machine misses is not installed for now."},
	ReasonNoRing:         {CausePolicy, "No ring of the policy takes the machine."},
	ReasonNoWindow:       {CausePolicy, "No maintenance window of the machine's site is left before the cycle closes."},
	ReasonFreeze:         {CausePolicy, "A change freeze covers every window that is left."},
	ReasonNoBackup:       {CauseProcess, "The policy wants a verified backup before anything is upgraded, and none that is recent enough is known of the machine."},
	ReasonBusyElsewhere:  {CauseProcess, "Another cycle is working on the machine."},
	ReasonTakenOver:      {CauseProcess, "An emergency cycle took the machine over."},
	ReasonRemoved:        {CauseProcess, "A person took the machine out of the cycle."},
	ReasonShadow:         {CauseNone, "Shadow mode: planned and judged, nothing installed."},
	ReasonCarriedOver:    {CauseProcess, "Not reached before the cycle closed; the next cycle takes it first."},
	ReasonClosedEarly:    {CauseProcess, "The cycle reached its closing date before the machine's turn."},
	ReasonCancelled:      {CauseProcess, "The cycle was stopped before the machine's turn."},
	ReasonNotApproved:    {CauseProcess, "The plan was not approved."},
	ReasonRingHalted:     {CausePackage, "The ring was halted before the machine's turn."},
	ReasonWindowOver:     {CauseProcess, "The window ended before the machine was told to start."},
	ReasonSilent:         {CauseDevice, "The machine did not answer although the path to it was up."},
	ReasonPathDown:       {CauseRelay, "The path to the machine was down; nothing is known about the patch."},
	ReasonInstallFailed:  {CausePackage, "The package manager could not install the patch."},
	ReasonPreflight:      {CauseDevice, "A check before the installation failed; nothing was changed."},
	ReasonLocked:         {CauseDevice, "Another program held the package manager's lock for too long."},
	ReasonDisk:           {CauseDevice, "The machine's disk is full, or cannot be written."},
	ReasonConffile:       {CausePolicy, "A settings file was changed on the machine, and nobody said whether it or the package's counts."},
	ReasonUntrusted:      {CauseRelay, "What was offered is not signed by a key that the machine trusts."},
	ReasonDownload:       {CauseRelay, "The packages could not be fetched."},
	ReasonPlanStale:      {CauseProcess, "What the machine would install is no longer what was approved."},
	ReasonServiceBroken:  {CausePackage, "A service that ran before the patch does not run after it."},
	ReasonNoBoot:         {CausePackage, "The machine did not come back after its reboot."},
	ReasonNotTaken:       {CausePackage, "The patch was reported as installed, but a fresh inventory does not show it."},
	ReasonRefused:        {CauseServer, "The machine refused the instruction."},
	ReasonRolledBack:     {CausePackage, "The machine was returned to the versions that it had before."},
	ReasonIrreversible:   {CausePackage, "The patch cannot be undone automatically; its procedure says what to do."},
	ReasonRollBackFailed: {CausePackage, "The machine could not be returned to its earlier versions."},
	ReasonClockOff:       {CauseDevice, "The machine's clock is too far off to judge its window."},
	ReasonWorkAround:     {CauseProcess, "The patch is in, and the work-around that made up for it is still there."},
	ReasonBreakGlass:     {CauseProcess, "The usual approvers were not waited for: somebody who did not sign has to review it."},
	ReasonUnknown:        {CauseNone, "The cause could not be told from what the machine reported."},
}

// Words returns the sentence that people read.
func (r Reason) Words() string {
	if t, ok := reasons[r]; ok {
		return t.words
	}
	return string(r)
}

// Sentence returns the reason's words with the names that complete them.
func (r Reason) Sentence(names string) string {
	if names = strings.TrimSuffix(names, "."); names == "" {
		return r.Words()
	}
	return strings.TrimSuffix(r.Words(), ".") + " (" + names + ")."
}

// Cause returns whom the reason is laid to before diagnosis knows better.
func (r Reason) Cause() Cause { return reasons[r].cause }

// LeavesAs returns the outcome in which a machine ends that a plan leaves out,
// or whose turn a cycle does not reach, for that reason. Deferred are those
// whose turn may come in the next cycle. ok is false for reasons that only a
// machine's answer, or its silence, can give.
func (r Reason) LeavesAs() (o Outcome, ok bool) {
	switch r {
	case ReasonNothingMissing:
		return AlreadyUpToDate, true
	case ReasonManagerUnknown:
		return NotApplicable, true
	case ReasonHalfInstalled:
		return NeedsHands, true
	case ReasonExcludedBy, ReasonExcepted, ReasonHostRules, ReasonNotEnrolled, ReasonNoRing:
		return Excluded, true
	case ReasonKeptBack, ReasonWithdrawn, ReasonInventoryStale, ReasonNoWindow, ReasonFreeze, ReasonNoBackup, ReasonBusyElsewhere, ReasonTakenOver, ReasonRemoved, ReasonShadow,
		ReasonCarriedOver, ReasonClosedEarly, ReasonCancelled, ReasonNotApproved, ReasonRingHalted, ReasonWindowOver:
		return Deferred, true
	default:
		return "", false
	}
}

// Valid reports whether the vocabulary has r.
func (r Reason) Valid() bool { _, ok := reasons[r]; return ok }

// AllReasons lists the vocabulary in alphabetical order.
func AllReasons() []Reason { return slices.Sorted(maps.Keys(reasons)) }
