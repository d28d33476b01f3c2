package patching

import (
	"bytes"
	"fmt"
)

// Action is what a patch does to a package.
type Action string

// The actions of a patch.
const (
	Install   Action = "install"
	Upgrade   Action = "upgrade"
	Downgrade Action = "downgrade"
	Remove    Action = "remove"
)

// Patch is an operation on one package.
type Patch struct {
	Action      Action
	Name        string
	Arch        string
	From        string // empty for Install
	To          string // empty for Remove
	Origin      string
	Codename    string
	Security    bool
	Size        int64 // bytes to download; 0 is unknown
	SHA256      string
	NeedsReboot bool
	Reversible  Reversibility
}

// Reversibility says how a patch can be undone. It is a fact of the patch, its
// From version and what the relay still holds, known before approval.
type Reversibility string

// The ways back, from best to none.
const (
	ByDowngrade Reversibility = "downgrade"
	ByUninstall Reversibility = "uninstall"
	// UnlessRunning is that of a kernel which comes beside the one that runs: it
	// is removed again, but stays on a machine that has come to run it.
	UnlessRunning Reversibility = "uninstall-unless-running"
	BySnapshot    Reversibility = "snapshot"
	Irreversible  Reversibility = "none"
)

// Verdict is what was decided about a patch.
type Verdict string

// The verdicts on a patch.
const (
	VerdictDeploy        Verdict = "deploy"
	VerdictHold          Verdict = "hold"
	VerdictReject        Verdict = "reject"
	VerdictNotApplicable Verdict = "not applicable"
)

// Bundle is the resolved transaction of one package set and one candidate set,
// in steps: risky patches alone, each with its own restart and check (G15).
type Bundle struct {
	Manager string
	// Sources addresses the [Sources] that the packages come from; empty: the
	// machine's own. Beside says that not all of them are there, so that the
	// machine's own are asked too.
	Sources Digest
	Beside  bool
	Steps   []Step
}

// Step is installed in one transaction, checked, and only then followed by the next.
type Step struct {
	Patches []Patch
	// Restart says that the machine reboots after this step, before its check.
	Restart bool
}

// Patches returns the patches of all steps, in order.
func (b Bundle) Patches() []Patch {
	var all []Patch
	for _, s := range b.Steps {
		all = append(all, s.Patches...)
	}
	return all
}

// Bytes returns what has to be downloaded.
func (b Bundle) Bytes() int64 {
	var n int64
	for _, p := range b.Patches() {
		n += p.Size
	}
	return n
}

// Empty reports whether there is nothing to do.
func (b Bundle) Empty() bool { return len(b.Patches()) == 0 }

// Canonical returns the text whose digest addresses the bundle.
func (b Bundle) Canonical() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "bundle v1\t%s\n", b.Manager)
	if b.Sources != "" {
		fmt.Fprintf(&out, "sources\t%s\t%t\n", b.Sources, b.Beside)
	}
	for _, s := range b.Steps {
		fmt.Fprintf(&out, "step\t%t\n", s.Restart)
		for _, p := range s.Patches {
			fmt.Fprintf(&out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%t\t%d\t%s\t%t\t%s\n", p.Action, p.Name, p.Arch,
				p.From, p.To, p.Origin, p.Codename, p.Security, p.Size, p.SHA256, p.NeedsReboot, p.Reversible)
		}
	}
	return out.Bytes()
}

// Digest addresses the bundle.
func (b Bundle) Digest() Digest { return DigestOf(b.Canonical()) }

// Revert returns the bundle that undoes b: the whole transaction, in reverse
// order of steps, each upgrade as a downgrade and each install as a removal.
// What [Bundle.MayStay] names is removed only where it does not run.
// ok is false when a patch of b cannot be undone that way; nothing is then
// promised (G9: a named procedure says what to do instead).
func (b Bundle) Revert() (back Bundle, ok bool) {
	// What can be undone is what the sources have: nothing else is asked.
	back.Manager, back.Sources = b.Manager, b.Sources
	// Which kernel runs is not changed by going back behind a new one: either it
	// never ran, or it stays, and every restart takes it again.
	beside := len(b.MayStay()) > 0
	for i := len(b.Steps) - 1; i >= 0; i-- {
		step := Step{Restart: b.Steps[i].Restart}
		for _, p := range b.Steps[i].Patches {
			undo := Patch{Name: p.Name, Arch: p.Arch, From: p.To, To: p.From, Reversible: Irreversible}
			undo.NeedsReboot = p.NeedsReboot && !(beside && IsKernel(p.Name))
			switch {
			case p.Action == Upgrade && p.Reversible == ByDowngrade:
				undo.Action = Downgrade
			case p.Action == Install && (p.Reversible == ByUninstall || p.Reversible == UnlessRunning):
				undo.Action = Remove
			default:
				return Bundle{}, false
			}
			step.Patches = append(step.Patches, undo)
		}
		back.Steps = append(back.Steps, step)
	}
	return back, true
}

// MayStay returns the patches of b that going back leaves in place on a machine
// that has come to run them: that still differs then from before (G9).
func (b Bundle) MayStay() []Patch {
	var stay []Patch
	for _, p := range b.Patches() {
		if p.Action == Install && p.Reversible == UnlessRunning {
			stay = append(stay, p)
		}
	}
	return stay
}
