// Package observer is a real machine to an agent that may only look: inventory,
// state and simulations are the machine's own, and whatever would change it is
// refused in the code, not merely by its rules.
package observer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/host"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/patching"
)

// Machine is the machine that the process runs on.
type Machine struct {
	root    fs.FS
	boot    string
	manager packages.Manager
	// carries: the server runs here too.
	carries bool
	// texts are the sets of the last inventory.
	texts map[patching.Digest][]byte
}

var _ agent.Machine = (*Machine)(nil)

// New opens the machine. It fails on a system that does not tell one boot from
// the next.
func New() (*Machine, error) {
	root := os.DirFS("/")
	boot, err := host.Boot(root)
	if err != nil {
		return nil, err
	}
	about, err := host.Read(root)
	if err != nil {
		return nil, err
	}
	return &Machine{root: root, boot: boot, manager: packages.For(about.OS)}, nil
}

// Boot implements [agent.Machine].
func (m *Machine) Boot() string { return m.boot }

// Inventory implements [agent.Machine]. On a system without a package manager
// that we speak to, manager and sets are empty.
func (m *Machine) Inventory(ctx context.Context) (patching.Asset, error) {
	var (
		asset      patching.Asset
		installed  []packages.Installed
		candidates patching.CandidateSet
		state      packages.State
	)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { asset, err = m.facts(); return })
	group.Go(func() (err error) { installed, err = m.manager.Installed(ctx); return })
	group.Go(func() (err error) { candidates, err = m.manager.Candidates(ctx); return })
	group.Go(func() (err error) { state, err = m.manager.State(ctx); return })
	if err := group.Wait(); err != nil {
		return patching.Asset{}, failure(err)
	}
	asset.RebootPending = state.RebootPending
	asset.OtherManagers = append(asset.OtherManagers, state.Updaters...)
	slices.Sort(asset.OtherManagers)
	m.texts = map[patching.Digest][]byte{}
	if asset.Manager != "" {
		asset.Packages = m.keep(packages.Set(asset.Manager, installed).Canonical())
		asset.Candidates = m.keep(candidates.Canonical())
	}
	return asset, nil
}

// facts is what is known without asking the package manager.
func (m *Machine) facts() (patching.Asset, error) {
	asset, err := host.Read(m.root)
	asset.Manager, asset.CarriesPatchcycle = m.manager.Name(), m.carries
	return asset, err
}

func (m *Machine) keep(text []byte) patching.Digest {
	d := patching.DigestOf(text)
	m.texts[d] = text
	return d
}

// Content implements [agent.Machine].
func (m *Machine) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	text, ok := m.texts[d]
	if !ok {
		return nil, fmt.Errorf("%s is no set of the last inventory", d.Short())
	}
	return text, nil
}

// Look implements [agent.Machine].
func (m *Machine) Look(ctx context.Context, patches []patching.Patch) ([]agent.Standing, error) {
	all, err := m.manager.Installed(ctx)
	if err != nil {
		return nil, failure(err)
	}
	standings := make([]agent.Standing, 0, len(patches))
	for _, p := range patches {
		standings = append(standings, standing(all, p))
	}
	return standings, nil
}

// standing finds a patch's package. An upgrade may change its architecture
// between "all" and the machine's own; where both are given they must be equal.
func standing(all []packages.Installed, p patching.Patch) agent.Standing {
	var s agent.Standing
	for _, has := range all {
		switch {
		case has.Name != p.Name:
		case has.Arch == p.Arch:
			return agent.Standing{Version: has.Version, Broken: has.Broken}
		case has.Arch == "all" || p.Arch == "all":
			s = agent.Standing{Version: has.Version, Broken: has.Broken}
		}
	}
	return s
}

// Health implements [agent.Machine].
func (m *Machine) Health(ctx context.Context) (agent.Health, error) {
	state, err := m.manager.State(ctx)
	if err != nil {
		return agent.Health{}, failure(err)
	}
	failing, err := host.Failing(ctx, m.root)
	if err != nil {
		return agent.Health{}, fmt.Errorf("ask which services fail: %w", err)
	}
	return agent.Health{Failing: failing, RebootPending: state.RebootPending}, nil
}

// Simulate implements [agent.Machine].
func (m *Machine) Simulate(ctx context.Context, patches []patching.Patch) ([]patching.Change, error) {
	changes, err := m.manager.Simulate(ctx, patches)
	return changes, failure(err)
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
func (*Machine) Clean(context.Context) (int64, error) { return 0, refuse() }

func refuse() error {
	return &agent.Failure{Reason: patching.ReasonHostRules, Detail: "This agent only looks: it changes nothing on its machine."}
}

// failure hands the cause on in the agent's words.
func failure(err error) error {
	var known *packages.Error
	if errors.As(err, &known) {
		return &agent.Failure{Reason: known.Reason, Detail: known.Detail, Signature: known.Signature}
	}
	return err
}
