// Package packages speaks to a machine's package manager: one file a manager,
// and a line for it in the list below. What is missing on a machine is what its
// own manager offers: that respects pins, holds, phases and entitlements, which
// no feed can.
//
// Everything here reads. It asks no network: lists are as fresh as the machine
// keeps them.
package packages

import (
	"context"

	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// Manager is what a machine's package manager can be asked. Errors are an
// [*Error] where the cause is known.
type Manager interface {
	// Name is the manager's in [patching.Asset]; empty for [None].
	Name() string
	// Installed returns all that is on the machine, half-installed packages
	// included, sorted like a [patching.PackageSet].
	Installed(context.Context) ([]Installed, error)
	// Candidates returns what the manager would install now if it were asked
	// for all upgrades and allowed to remove nothing, sorted.
	Candidates(context.Context) (patching.CandidateSet, error)
	// State says what else the manager knows of the machine.
	State(context.Context) (State, error)
	// Simulate returns all that the manager would change if it were asked for
	// the patches; it changes nothing.
	Simulate(context.Context, []patching.Patch) ([]patching.Change, error)
}

// Installed is a package on the machine.
type Installed struct {
	patching.Package
	// Broken: unpacked but not configured, or half removed.
	Broken bool
}

// Set returns the packages as the set by which machines are compared.
func Set(manager string, all []Installed) patching.PackageSet {
	s := patching.PackageSet{Manager: manager, Packages: make([]patching.Package, 0, len(all))}
	for _, p := range all {
		s.Packages = append(s.Packages, p.Package)
	}
	s.Sort()
	return s
}

// State is how a machine stands with its package manager.
type State struct {
	// Broken names packages that were left half done, sorted.
	Broken []string
	// Interrupted: the manager was killed in the middle and refuses new work
	// until that is completed.
	Interrupted bool
	// RebootPending, with what wants the restart, sorted, where that is known.
	RebootPending bool
	RebootFor     []string
	// Updaters are programs that install updates by themselves through this
	// manager, sorted (G18).
	Updaters []string
}

// Error is a refusal of the manager whose cause the vocabulary knows.
type Error struct {
	Reason patching.Reason
	// Detail is what the manager said, Signature groups what looks alike.
	Detail    string
	Signature string
	Cause     error
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Unwrap returns how the manager's program ended.
func (e *Error) Unwrap() error { return e.Cause }

// managers lists all that we speak to. A test finds one that is missing here.
var managers = []struct {
	family  string // of the operating system
	program string // without it there is nothing to speak to
	open    func() Manager
}{
	{family: "debian", program: "apt-get", open: func() Manager { return NewAPT() }},
}

// For returns the package manager of this machine, which runs os: [None] where
// there is none that we speak to.
func For(os patching.OS) Manager {
	return choose(os, func(program string) bool {
		_, err := command.Find(program)
		return err == nil
	})
}

func choose(os patching.OS, has func(program string) bool) Manager {
	for _, m := range managers {
		if m.family == os.Family && has(m.program) {
			return m.open()
		}
	}
	return None{}
}
