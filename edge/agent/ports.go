package agent

import (
	"context"
	"time"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Machine is what an agent acts on: the host and its package manager. Every
// method may block for as long as the work takes, and is called by one
// goroutine at a time. A method that fails for a cause that the vocabulary
// knows returns a [*Failure]; any other error counts as the reason "unknown"
// or the one of the step that failed.
type Machine interface {
	// Boot returns the id of the running boot; it changes with every restart.
	Boot() string
	// Inventory returns what the machine says of itself, the digests of its
	// package and candidate sets included, gathered now. Allowed is filled in
	// by the agent.
	Inventory(context.Context) (patching.Asset, error)
	// Content returns the canonical text behind a digest of the last
	// Inventory: a package set's or a candidate set's.
	Content(context.Context, patching.Digest) ([]byte, error)
	// Look says how the package of each patch stands now, in the same order.
	Look(context.Context, []patching.Patch) ([]Standing, error)
	// Health says what is wrong with the machine now.
	Health(context.Context) (Health, error)
	// Preflight checks whether the bundle can be installed: space, inodes,
	// foreign locks (waiting a bounded time for them), and packages that are
	// broken. Those of the bundle are no obstacle, for carrying it out cures
	// them; any other makes each transaction fail, and the error names them. It
	// changes nothing.
	Preflight(context.Context, patching.Bundle) error
	// Fetch downloads what the bundle needs. It changes nothing that is
	// installed, and costs little when all is there.
	Fetch(context.Context, patching.Bundle) error
	// Signers returns by whose keys the indexes are signed that the order's packages
	// come from: OpenPGP fingerprints in capitals by the index's name, after [Fetch].
	// Empty: the packages come from the machine's own sources.
	Signers(context.Context) (map[string][]string, error)
	// Simulate returns all that the package manager would change if it were
	// asked for the patches.
	Simulate(context.Context, []patching.Patch) ([]patching.Change, error)
	// Apply carries the patches out in one transaction, over packages that are
	// half installed in another version too. After an error the agent looks at
	// what came of it: a transaction also fails when only a package that was
	// broken before fails again.
	Apply(context.Context, []patching.Patch) error
	// Repair completes what was interrupted or left half installed
	// (dpkg --configure -a); it installs nothing new.
	Repair(context.Context) error
	// Reboot asks for a restart. It may return before the process ends, or
	// after the machine is back (then Boot has changed).
	Reboot(context.Context) error
	// Clean empties caches and removes superseded kernels, but none of the held
	// packages; it returns the bytes that this gave back.
	Clean(ctx context.Context, held []string) (freed int64, err error)
}

// Standing is how one package stands on the machine.
type Standing struct {
	Version string // installed; empty: it is not
	// Broken: unpacked but not configured, or half removed.
	Broken bool
	// Running: the machine runs from this package now, as from its kernel. The
	// package manager refuses to remove it.
	Running bool
}

// Health is the state by which a machine is compared before and after.
type Health struct {
	// Failing names what should run and does not, sorted ("nginx.service").
	Failing []string
	// Restarts counts how often a service that died was started again, since it was
	// last started on purpose: by name, without those that never were. Nil: the
	// machine does not count.
	Restarts map[string]int
	// RebootPending: the machine says that it needs a restart.
	RebootPending bool
}

// Failure is why a machine could not do what it was asked.
type Failure struct {
	Reason patching.Reason
	// Detail is for people, Signature groups failures that look alike
	// ("openssl: postinst"); both may be empty.
	Detail    string
	Signature string
	// Mendable says that nothing was changed and that a repair may help.
	Mendable bool
}

// Error returns the detail, or the reason's words without one.
func (f *Failure) Error() string {
	if f.Detail != "" {
		return f.Detail
	}
	return f.Reason.Words()
}

// Clock tells the time of the machine.
type Clock interface{ Now() time.Time }

// Journal keeps the agent's state over crashes and power losses.
type Journal interface {
	// Load returns what was saved last; nil if nothing was.
	Load() ([]byte, error)
	// Save replaces it. With durable it returns only when the state would
	// survive a loss of power; without, the state may be lost, but never
	// replaced by a damaged one, and never while a later one stays.
	Save(state []byte, durable bool) error
}

// Shelf keeps bundles by their address, so that an order that has started can
// go on without a line. Agents of one process may share it.
type Shelf interface {
	Get(patching.Digest) ([]byte, bool)
	Put(patching.Digest, []byte) error
}

// Host is where the machine's own rules come from. They are read again
// whenever they matter.
type Host interface{ Rules() (Rules, error) }

// Rules are the machine's own limits; nothing remote can widen them.
type Rules struct {
	// Allowed are the verbs that may be ordered; nil allows all that this
	// agent knows.
	Allowed []trust.Verb
	// Held names packages that must not be touched.
	Held []string
	// Mode is whose word the machine obeys at the least; empty: as its trust root
	// said when it was enrolled. Only here it can be raised.
	Mode trust.Mode
	// Hold stops the agent from starting anything; nil: no hold.
	Hold *Hold
	// Note tells people why less is allowed than they may expect; may be empty.
	Note string
}

// Looking are the verbs that change nothing on a machine.
func Looking() []trust.Verb { return []trust.Verb{trust.Collect, trust.Simulate} }

// Hold is somebody's word that nothing starts on this machine, as its owner or the line
// says it.
type Hold = uplink.Hold

// Rules returns the rules themselves: a value is a source of rules.
func (r Rules) Rules() (Rules, error) { return r, nil }
