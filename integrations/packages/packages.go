// Package packages speaks to a machine's package manager: one file a manager,
// and a line for it in the list below. What is missing on a machine is what its
// own manager offers: that respects pins, holds, phases and entitlements, which
// no feed can.
//
// A [Manager] only reads, and asks no network: lists are as fresh as the machine
// keeps them. An [Actor] also changes the machine.
package packages

import (
	"context"
	"time"

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

// Actor is a manager that also acts. What changes installed packages goes
// through the [Runner] that it was opened with. Each method may be called again
// after it was cut off.
type Actor interface {
	Manager
	// Update fetches the lists of what is offered. Lists of which any could not
	// be fetched are an error.
	Update(context.Context) error
	// Fetch downloads what the patches need; nothing that is installed changes.
	Fetch(context.Context, []patching.Patch) error
	// Signers returns by whose keys the indexes are signed that packages come from:
	// OpenPGP fingerprints in capitals by the index's name. Empty: that is not known,
	// for they come from the machine's own sources.
	Signers(context.Context) (map[string][]string, error)
	// Install carries the patches out, to exactly their versions and in one
	// transaction. Nil says that all of them are in place and sound, and that no
	// other package broke on the way.
	Install(context.Context, []patching.Patch) error
	// Repair completes what was left half done, with the versions that are there
	// already. Nil says that nothing is half done any more.
	Repair(context.Context) error
	// Clean empties the caches and removes superseded kernels, but none of the
	// held packages; it returns how many bytes that gave back.
	Clean(ctx context.Context, held []string) (freed int64, err error)
	// Room says how much space the patches need when they are unpacked.
	Room(context.Context, []patching.Patch) (Room, error)
}

// Room is the space that a transaction needs, in bytes.
type Room struct {
	// Grows is what the machine holds more afterwards. Peak is what it holds
	// more for a while: a package's new files lie beside the old ones until all
	// of them are there.
	Grows, Peak int64
	// Kernels are how many kernels come on top of those that are there.
	Kernels int
}

// Runner starts a program that changes the machine, as [command.Run] does, and
// returns what it printed, also beside an error. Limit is how long it is waited
// for.
type Runner func(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error)

// Options say how a manager acts. The zero value is this machine with its own
// settings.
type Options struct {
	// Act starts what changes installed packages; nil: [command.Run].
	Act Runner
	// Load starts what downloads and changes nothing that is installed; nil:
	// [command.Run].
	Load Runner
	// Snapshot returns where the packages of the work come from that the context is
	// for; not ok: from the machine's own sources. It is asked before each program;
	// nil: never from elsewhere.
	Snapshot func(context.Context) (Snapshot, bool)
	// LockWait is how long a program waits for another that holds the manager's
	// lock; zero: ten minutes.
	LockWait time.Duration
	// NewConffiles replaces settings files that were changed on the machine by
	// the package's. Otherwise the machine's stay.
	NewConffiles bool
}

// Installed is a package on the machine.
type Installed struct {
	patching.Package
	// Broken: unpacked but not configured, or half removed. Of these, files of
	// the Damaged are in disorder: they cannot be configured, only unpacked again.
	Broken, Damaged bool
	// Held by somebody on the machine: the manager must not touch it.
	Held bool
}

// Find looks a package up. Its architecture may have changed between "all" and
// the machine's own; where both are given they must be equal.
func Find(all []Installed, name, arch string) (Installed, bool) {
	var near Installed
	found := false
	for _, has := range all {
		switch {
		case has.Name != name:
		case has.Arch == arch:
			return has, true
		case has.Arch == "all" || arch == "all":
			near, found = has, true
		}
	}
	return near, found
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
	open    func(Options) Actor
}{
	{family: "debian", program: "apt-get", open: func(o Options) Actor { return NewAPT(o) }},
}

// For returns the package manager of this machine, which runs os: [None] where
// there is none that we speak to.
func For(os patching.OS, o Options) Actor {
	return choose(os, o, func(program string) bool {
		_, err := command.Find(program)
		return err == nil
	})
}

func choose(os patching.OS, o Options, has func(program string) bool) Actor {
	for _, m := range managers {
		if m.family == os.Family && has(m.program) {
			return m.open(o)
		}
	}
	return None{}
}
