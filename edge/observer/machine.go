// Package observer is a real machine to an agent that may only look: inventory,
// state and simulations are the machine's own, and whatever would change it is
// refused in the code, not merely by its rules.
package observer

import (
	"context"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/machine"
	"github.com/patchcycle/patchcycle/patching"
)

// Machine is the machine that the process runs on.
type Machine struct{ *machine.Machine }

var _ agent.Machine = (*Machine)(nil)

// New opens the machine. It fails on a system that does not tell one boot from
// the next.
func New() (*Machine, error) { return open(false) }

func open(carriesPatchcycle bool) (*Machine, error) {
	m, err := machine.New(machine.Options{CarriesPatchcycle: carriesPatchcycle})
	if err != nil {
		return nil, err
	}
	return &Machine{m}, nil
}

// Preflight refuses: nothing follows that it could clear the way for.
func (*Machine) Preflight(context.Context, patching.Bundle) error { return refuse() }

// Fetch refuses.
func (*Machine) Fetch(context.Context, patching.Bundle) error { return refuse() }

// Apply refuses.
func (*Machine) Apply(context.Context, []patching.Patch) error { return refuse() }

// Repair refuses.
func (*Machine) Repair(context.Context) error { return refuse() }

// Reboot refuses.
func (*Machine) Reboot(context.Context) error { return refuse() }

// Clean refuses.
func (*Machine) Clean(context.Context, []string) (int64, error) { return 0, refuse() }

func refuse() error {
	return &agent.Failure{Reason: patching.ReasonHostRules, Detail: "This agent only looks: it changes nothing on its machine."}
}
