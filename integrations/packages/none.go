package packages

import (
	"context"

	"github.com/patchcycle/patchcycle/patching"
)

// None stands for a machine without a package manager that we speak to. Its
// name is empty, so that the planner leaves the machine out and says why; what
// the operating system tells of itself is shown all the same.
type None struct{}

// Name is empty.
func (None) Name() string { return "" }

// Installed is not known.
func (None) Installed(context.Context) ([]Installed, error) { return nil, nil }

// Candidates are not known.
func (None) Candidates(context.Context) (patching.CandidateSet, error) {
	return patching.CandidateSet{}, nil
}

// State is not known.
func (None) State(context.Context) (State, error) { return State{}, nil }

// Simulate refuses.
func (None) Simulate(context.Context, []patching.Patch) ([]patching.Change, error) {
	return nil, unknownManager()
}

// Update refuses.
func (None) Update(context.Context) error { return unknownManager() }

// Fetch refuses.
func (None) Fetch(context.Context, []patching.Patch) error { return unknownManager() }

// Signers are not known.
func (None) Signers(context.Context) (map[string][]string, error) { return nil, nil }

// Install refuses.
func (None) Install(context.Context, []patching.Patch) error { return unknownManager() }

// Repair refuses.
func (None) Repair(context.Context) error { return unknownManager() }

// Clean refuses.
func (None) Clean(context.Context, []string) (int64, error) { return 0, unknownManager() }

// Room is not known.
func (None) Room(context.Context, []patching.Patch) (Room, error) {
	return Room{}, unknownManager()
}

func unknownManager() error {
	return &Error{Reason: patching.ReasonManagerUnknown, Detail: patching.ReasonManagerUnknown.Words()}
}
