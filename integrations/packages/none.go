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
	return nil, &Error{Reason: patching.ReasonManagerUnknown, Detail: patching.ReasonManagerUnknown.Words()}
}
