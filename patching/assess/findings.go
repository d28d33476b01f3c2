// Package assess decides what each machine misses, what of it the policy would
// install and how that is undone, and whether a fresh inventory shows that it
// was installed.
//
// What a machine misses is what its own package manager offers: only that
// knows its pins, holds, phases and modules. Machines with the same package set
// and the same candidate set get the same answer, so it is asked once for all.
package assess

import (
	"fmt"
	"path"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
)

// Assessment is what a kind of machine misses, and what was decided about it.
type Assessment struct {
	Manager  string
	Findings []Finding // in the order of the candidate set
	// KeptBack names packages with a candidate that the machine's manager would
	// not take now, for reasons of its own.
	KeptBack []string
}

// Finding is a candidate with its verdict.
type Finding struct {
	patching.Candidate
	Verdict patching.Verdict
	// Why is a sentence for people; empty for what is deployed.
	Why string
	// Owner and Until belong to a hold: who holds the package, and until when.
	// Zero is for as long as the policy says so.
	Owner string
	Until time.Time
	// By is the decision of a person that holds it; nil: the policy does, or nobody.
	By *urgency.Ruling
}

// Findings judges each candidate of a kind of machine by the policy. A
// package that an update brings along is judged like any other: where only
// security updates are taken and one needs a package that is none, the machine
// notices before it installs anything.
func Findings(installed patching.PackageSet, offered patching.CandidateSet, p policy.Patches, now time.Time) Assessment {
	a := Assessment{Manager: offered.Manager, KeptBack: offered.KeptBack}
	has := versionsOf(installed)
	for _, c := range offered.Candidates {
		f := Finding{Candidate: c}
		f.Verdict, f.Why = judge(c, has.replaced(c), offered.Manager, p)
		if h, held := holdOf(c.Name, p.Hold, now); held && f.Verdict == patching.VerdictDeploy {
			f.Verdict, f.Owner, f.Until = patching.VerdictHold, h.Owner, h.Until
			f.Why = holdWords(h)
		}
		a.Findings = append(a.Findings, f)
	}
	return a
}

func judge(c patching.Candidate, has, manager string, p policy.Patches) (patching.Verdict, string) {
	switch {
	case has != c.From:
		return patching.VerdictNotApplicable, fmt.Sprintf("The offer is for a machine with %s, this one has %s.", versionWords(c.From), versionWords(has))
	case c.From != "" && c.From == c.To:
		return patching.VerdictNotApplicable, "The version is installed."
	case c.From != "" && older(manager, c.To, c.From):
		return patching.VerdictReject, "The package manager offers an older version than the one installed; a cycle never goes back unasked."
	case p.Take == "security" && !c.Security:
		return patching.VerdictNotApplicable, "It is no security update, and the policy takes only those."
	default:
		return patching.VerdictDeploy, ""
	}
}

func versionWords(v string) string {
	if v == "" {
		return "none installed"
	}
	return v
}

// holdOf returns the first hold in force on a package.
func holdOf(name string, holds []policy.Hold, now time.Time) (policy.Hold, bool) {
	for _, h := range holds {
		if (h.Until.IsZero() || now.Before(h.Until)) && matches(h.Package, name) {
			return h, true
		}
	}
	return policy.Hold{}, false
}

// matches reads a shell pattern. One that cannot be read names just itself.
func matches(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok || err != nil && pattern == name
}

func holdWords(h policy.Hold) string {
	words := "Held: " + h.Reason
	if h.Owner != "" {
		words += ", says " + h.Owner
	}
	if !h.Until.IsZero() {
		words += ", until " + h.Until.Format(time.DateOnly)
	}
	return words + "."
}

// Deploy returns what the policy would install.
func (a Assessment) Deploy() []patching.Candidate {
	var d []patching.Candidate
	for _, f := range a.Findings {
		if f.Verdict == patching.VerdictDeploy {
			d = append(d, f.Candidate)
		}
	}
	return d
}

// UpToDate reports whether the policy would install nothing.
func (a Assessment) UpToDate() bool { return len(a.Deploy()) == 0 }
