// Package policy reads a policy document and says what is wrong with it.
//
// A policy says who is patched, with what, in which rings and windows, past
// which gates, who approves, and what happens when it goes wrong (G3).
package policy

import (
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/window"
)

// Policy is one version of a policy document. [Parse] reads it from YAML,
// fills defaults in and checks it; a Policy that came from there needs no
// further checks.
//
// Dates in it are the beginning of their day in the calendar's zone. ReviewBy
// includes its day; every Until is the first instant that it no longer covers.
type Policy struct {
	Name  patching.PolicyName
	Title string
	Owner string
	// Approver is the person or body that adopted the policy itself.
	Approver  string
	ValidFrom time.Time
	ReviewBy  time.Time
	// Select is a CEL expression over an asset; see docs/policy.md for its
	// variables. Empty takes every asset.
	Select   string
	Calendar Calendar
	// CloseAfter is how long after its start a cycle closes, done or not (Q1).
	CloseAfter time.Duration
	Sites      []Site
	Windows    []Window
	Freezes    []Freeze
	Patches    Patches
	Urgency    Urgency
	Rings      []Ring
	Approval   Approval
	// Exclude leaves machines out, each with reason, owner and expiry.
	Exclude []Exclusion
	OnHalt  OnHalt
	// OnFailure is what happens to one machine whose failure may be mended.
	OnFailure OnFailure
	// Silence is how long a machine may keep silent, while the path to it
	// listened, before it counts as unreachable.
	Silence time.Duration
	// Fresh is how old an inventory may be when a plan is made.
	Fresh time.Duration
	// Backup says of which machines a verified backup has to be known.
	Backup Backup
	// Emergency overrides what an emergency cycle needs to be quicker in.
	Emergency EmergencyProfile

	text     []byte
	source   *source
	warnings []Problem
}

// Calendar says when the monthly cycle starts: the n-th weekday of the month
// plus some days ("the second Tuesday and two days"), never "the second Thursday".
type Calendar struct {
	Nth     int // 1 to 4
	Weekday time.Weekday
	Plus    int    // days after it, 0 to 14
	At      string // "HH:MM"
	Zone    string // IANA name
}

// Monthly returns the calendar as the moment of each month at which a cycle starts.
func (c Calendar) Monthly() (window.Monthly, error) {
	hour, minute, err := window.ParseClock(c.At)
	if err != nil {
		return window.Monthly{}, err
	}
	m := window.Monthly{Nth: c.Nth, Weekday: c.Weekday, Plus: c.Plus, Hour: hour, Minute: minute, Zone: c.Zone}
	return m, m.Validate()
}

// Site is a place with its zone and the windows that hold there.
type Site struct {
	Name    patching.SiteName
	Zone    string
	Windows []string // names of Windows
}

// Window is a maintenance window in the local time of each site.
type Window struct {
	Name string
	// Rule is "daily 22:00 for 4h", "weekly sat,sun 22:00 for 6h",
	// "monthly 2nd tue+2 20:00 for 8h" or "always"; see package window.
	Rule string
}

// Freeze is a time in which nothing starts. Who may pass one is named.
type Freeze struct {
	Name    string
	From    time.Time
	Until   time.Time
	Reason  string
	MayPass []string // roles or people that an emergency may be passed by
}

// Patches says what of that which is offered is installed.
type Patches struct {
	// Take is "all" or "security".
	Take string
	// Hold names packages (shell patterns) that are not touched, with a reason.
	Hold []Hold
	// Alone names packages (shell patterns) that are risky: each gets a step,
	// a restart and a check of its own (G15).
	Alone []string
	// Reboot is "when-needed", "always" or "never".
	Reboot string
}

// Urgency says by which rules it is judged how soon something has to be patched.
type Urgency struct {
	// Regimes are ids of decision tables, see the package urgency.
	Regimes []string
	// Unknown is "worst", "best" or "ask": what counts where a fact is not known.
	Unknown string
}

// Hold keeps a package as it is.
type Hold struct {
	Package string
	Reason  string
	Owner   string
	Until   time.Time
}

// Ring is a slice of assets that goes before the next. Machines belong to the
// first ring whose Select takes them and that has room.
type Ring struct {
	Name   patching.RingName
	Select string // CEL; empty takes all
	// Count and Percent limit the ring, spread over sites and kinds of machine
	// so that it mirrors what follows; zero is no limit.
	Count   int
	Percent float64
	// Batch is how many machines are released at once.
	Batch int
	// Parallel is how many waves of the ring run at once.
	Parallel int
	// Soak is how long the ring is watched before the next may start.
	Soak time.Duration
	Gate gate.Params
	// Approve asks for an approval before this ring. The test ring runs under
	// its pre-approval, unless others stand in for its machines; the ring after it
	// always asks.
	Approve bool
}

// Approval says who has to agree and how long patchcycle waits.
type Approval struct {
	Quorum   int // distinct people; the author never counts
	Remind   time.Duration
	Escalate time.Duration
	Expire   time.Duration
	// TrustSignals lets a signal count whose sender Temporal's server stamped.
	TrustSignals bool
}

// Exclusion leaves machines out of the policy's cycles.
type Exclusion struct {
	Select string
	Reason string
	Owner  string
	Until  time.Time
}

// Backup says before which upgrades a verified backup has to be known (G12).
type Backup struct {
	Require bool
	// Within is how old the newest verified backup may be.
	Within time.Duration
	// Select is a CEL expression; empty takes every machine of the policy.
	Select string
}

// Lacks says why a machine may not be upgraded for want of a verified backup;
// empty: it may. Takes is Select, compiled; nil where nothing is required.
func (b Backup) Lacks(takes *Selector, a *patching.Asset, known []patching.Backup, now time.Time) (why string, err error) {
	if !b.Require || takes == nil {
		return "", nil
	}
	ours, err := takes.Match(a)
	if err != nil || !ours {
		return "", err
	}
	if ok, why := patching.Trusted(known, b.Within, now); !ok {
		return why + "; at most " + window.FormatDuration(b.Within) + " are allowed", nil
	}
	return "", nil
}

// OnHalt says what happens to what was done when a gate halts a cycle.
type OnHalt string

// What a halt does.
const (
	RollBackAffected OnHalt = "affected" // machines on which the patch went wrong
	RollBackRing     OnHalt = "ring"     // every machine of the halted ring
	RollBackNothing  OnHalt = "nothing"
)

// OnFailure says what happens to a machine whose failure may be mended: its
// packages were left half installed, the lock was held, the packages did not come.
type OnFailure string

// What a failure that may be mended leads to.
const (
	Mend  OnFailure = "mend"  // one repair where it takes one, and one more try, in its window
	Leave OnFailure = "leave" // a task
)

// TakesBack reports whether a roll-back takes a machine whose deployment ended
// so. One that was left between two states goes back whatever its cause: the
// earlier versions are the only consistent ones that are known to work.
func (h OnHalt) TakesBack(o patching.Outcome, r patching.Reason) bool {
	switch {
	case h == RollBackNothing:
		return false
	case o == patching.Patched:
		return h == RollBackRing
	case o == patching.Failed:
		return r.Cause() == patching.CausePackage
	default:
		return o == patching.NeedsHands
	}
}

// EmergencyProfile shortens what may be shortened. The test ring is never skipped.
type EmergencyProfile struct {
	Soak       time.Duration
	CloseAfter time.Duration
	Quorum     int
	Expire     time.Duration
	// AnyWindow lets an emergency start outside windows where host rules allow it.
	AnyWindow bool
}

// Ring returns the ring of that name.
func (p *Policy) Ring(name patching.RingName) (Ring, bool) {
	for _, r := range p.Rings {
		if r.Name == name {
			return r, true
		}
	}
	return Ring{}, false
}

// With returns the policy with rings of a plan that are not its own: those of machines
// that came in while the cycle ran. They come last, have the rules of the last ring, and
// people approve each.
func (p *Policy) With(rings ...patching.RingName) *Policy {
	out := *p
	for _, name := range rings {
		if _, own := out.Ring(name); own || len(p.Rings) == 0 {
			continue
		}
		ring := p.Rings[len(p.Rings)-1]
		ring.Name, ring.Approve = name, true
		out.Rings = append(slices.Clip(out.Rings), ring)
	}
	return &out
}

// Site returns the site of that name.
func (p *Policy) Site(name patching.SiteName) (Site, bool) {
	for _, s := range p.Sites {
		if s.Name == name {
			return s, true
		}
	}
	return Site{}, false
}

// Window returns the window of that name.
func (p *Policy) Window(name string) (Window, bool) {
	for _, w := range p.Windows {
		if w.Name == name {
			return w, true
		}
	}
	return Window{}, false
}

// Text returns the document as it was written.
func (p *Policy) Text() []byte { return slices.Clone(p.text) }

// Digest addresses the document: the policy's version.
func (p *Policy) Digest() patching.Digest { return patching.DigestOf(p.text) }

// Warnings returns what is doubtful about a policy that can be used.
func (p *Policy) Warnings() []Problem { return slices.Clone(p.warnings) }

// TestRing is the name that the first ring of every policy has.
const TestRing patching.RingName = "test"
