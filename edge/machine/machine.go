// Package machine is the real machine that an agent acts on: it reads the host
// and its package manager, and changes them. Whatever changes installed packages
// runs in a transient unit of systemd's, so that it outlives the agent; without
// systemd nothing is installed.
package machine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/host"
	"github.com/patchcycle/patchcycle/integrations/packages"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
)

// Options say how the machine is acted on.
type Options struct {
	// Dir keeps what transactions said, and which of them are under way. It must
	// outlive the agent. Empty: the machine is only looked at.
	Dir string
	// Releases is the agent's folder, in which it is written whether a release of its own
	// was put back; empty: none ever is.
	Releases string
	// Server is the address of the server that has the snapshots which orders take
	// their packages from; CA is a file with the authority that its certificate is
	// trusted by, empty: the machine's. Lists keeps what the package manager knows
	// of them: the user that downloads are left to has to get there.
	Server, CA, Lists string
	// Route says which address has the snapshots now, a relay's or the server's, and how
	// many bytes a second may be fetched from there; 0: no bound. Nil: Server.
	Route func() (server string, rate int64)
	// Courier is the address on our own loopback where a courier hands out the
	// server's snapshots: this process has no other network, and gives none to what it
	// installs. The machine's own sources are then asked by units in the machine's
	// network, which only download. Empty: this process has the machine's network.
	Courier string
	// Fresh is how old the package manager's own lists may be before an inventory
	// fetches them; zero: they are as fresh as somebody else keeps them.
	Fresh time.Duration
	// LockWait is how long other programs' work with packages is waited for;
	// zero: ten minutes.
	LockWait time.Duration
	// Notice is how long before a restart people are told, in whole minutes;
	// negative: not at all, zero: one minute.
	Notice time.Duration
	// NewConffiles takes the packages' settings files instead of those that were
	// changed on the machine.
	NewConffiles bool
	// CarriesPatchcycle: the server runs on this machine too, or its database. That a unit
	// of the server's or of a relay's is enabled is seen without it.
	CarriesPatchcycle bool
	Log               *zap.Logger // nil: none
}

// Machine is the machine that the process runs on.
type Machine struct {
	o       Options
	root    fs.FS
	boot    string
	manager packages.Actor
	units   *units // nil: the machine is only looked at
	run     packages.Runner
	now     func() time.Time
	// spaceAt and lockedBy are [host.SpaceAt] and [host.LockedBy].
	spaceAt  func(string) (host.Space, error)
	lockedBy func(string) (int, bool, error)
	// texts are the sets of the last inventory.
	texts map[patching.Digest][]byte
}

var _ agent.Machine = (*Machine)(nil)

// New opens the machine. It fails on a system that does not tell one boot from
// the next.
func New(o Options) (*Machine, error) {
	root := os.DirFS("/")
	boot, err := host.Boot(root)
	if err != nil {
		return nil, err
	}
	about, err := host.Read(root)
	if err != nil {
		return nil, err
	}
	if o.LockWait == 0 {
		o.LockWait = 10 * time.Minute
	}
	if o.Notice == 0 {
		o.Notice = time.Minute
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	m := &Machine{
		o: o, root: root, boot: boot, run: command.Run, now: time.Now,
		spaceAt: host.SpaceAt, lockedBy: host.LockedBy,
	}
	act := packages.Runner(func(context.Context, time.Duration, string, ...string) ([]byte, error) {
		return nil, &agent.Failure{Reason: patching.ReasonHostRules, Detail: "This machine is only looked at."}
	})
	if o.Dir != "" {
		if m.units, err = newUnits(o.Dir, boot, root, o.Log); err != nil {
			return nil, err
		}
		m.units.alone = o.Courier != ""
		act = m.units.Run
	}
	m.manager = packages.For(about.OS, packages.Options{
		Act: act, Load: m.load, Snapshot: m.snapshot, LockWait: o.LockWait, NewConffiles: o.NewConffiles,
	})
	return m, nil
}

// snapshot says where the packages of the order come from that the context is for.
func (m *Machine) snapshot(ctx context.Context) (packages.Snapshot, bool) {
	s, ok := agent.SourcesOf(ctx)
	if !ok || m.o.Lists == "" { // without a place for them, what is only looked at goes by its own lists
		return packages.Snapshot{}, false
	}
	from := packages.Snapshot{
		Sources: s.Sources, Beside: s.Beside, Base: m.o.Server, CA: m.o.CA,
		Dir: filepath.Join(m.o.Lists, s.Snapshot),
	}
	if m.o.Route != nil {
		from.Base, from.Rate = m.o.Route()
	}
	if m.o.Courier != "" && !s.Beside {
		from.Base, from.CA, from.Rate = m.o.Courier, "", 0 // who bounds it too
	}
	return from, true
}

// outside reports whether the packages of the order that the context is for come from
// where this process cannot reach: a courier knows the server's snapshots alone.
func (m *Machine) outside(ctx context.Context) bool {
	s, ok := m.snapshot(ctx)
	return m.o.Courier != "" && (!ok || s.Beside)
}

// load runs what only downloads.
func (m *Machine) load(ctx context.Context, limit time.Duration, program string, args ...string) ([]byte, error) {
	if m.units != nil && m.outside(ctx) {
		return m.units.download(ctx, limit, program, args...)
	}
	return m.run(ctx, limit, program, args...)
}

// Hindrance says in a sentence why the machine that we run on can only be looked
// at by this process; empty: it can be acted on.
func Hindrance() string {
	root := os.DirFS("/")
	about, err := host.Read(root)
	if err != nil {
		return fmt.Sprintf("It could not be looked at: %v.", err)
	}
	manager := packages.For(about.OS, packages.Options{}).Name()
	return hindrance(os.Geteuid() == 0, host.Systemd(root), manager)
}

func hindrance(isRoot, systemd bool, manager string) string {
	switch {
	case manager == "":
		return "It has no package manager that this agent knows."
	case !systemd:
		return "systemd does not run it, and a transaction needs a unit of its own to survive the agent: patch the image or the host instead."
	case !isRoot:
		return "Only root may change it, and the agent runs as another user."
	}
	return ""
}

// Boot implements [agent.Machine].
func (m *Machine) Boot() string { return m.boot }

// settle waits for a transaction of ours that an earlier process of the agent
// started: until it has ended, what packages look like means nothing.
func (m *Machine) settle(ctx context.Context) error {
	if m.units == nil {
		return nil
	}
	return m.units.settle(ctx)
}

// Inventory implements [agent.Machine]. On a system without a package manager
// that we speak to, manager and sets are empty.
func (m *Machine) Inventory(ctx context.Context) (patching.Asset, error) {
	if err := m.settle(ctx); err != nil {
		return patching.Asset{}, err
	}
	m.refresh(ctx)
	var (
		asset      patching.Asset
		installed  []packages.Installed
		candidates patching.CandidateSet
		state      packages.State
	)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) { asset, err = m.Facts(); return })
	group.Go(func() (err error) { installed, err = m.manager.Installed(ctx); return })
	group.Go(func() (err error) { candidates, err = m.manager.Candidates(ctx); return })
	group.Go(func() (err error) { state, err = m.manager.State(ctx); return })
	if err := group.Wait(); err != nil {
		return patching.Asset{}, failure(err)
	}
	asset.RebootPending, asset.Broken = state.RebootPending, state.Broken[:min(len(state.Broken), brokenTold)]
	asset.OtherManagers = append(asset.OtherManagers, state.Updaters...)
	slices.Sort(asset.OtherManagers)
	m.texts = map[patching.Digest][]byte{}
	if asset.Manager != "" {
		asset.Packages = m.keep(packages.Set(asset.Manager, installed).Canonical())
		asset.Candidates = m.keep(candidates.Canonical())
	}
	return asset, nil
}

// How long fetching the lists may hold an inventory up, and how long it is not tried
// again after it failed: what is offered by the old lists is better than nothing.
const (
	refreshTakes = 3 * time.Minute
	refreshAgain = 15 * time.Minute
)

// refresh fetches the package manager's own lists where they are older than they
// may be: nothing is offered that they do not name. That it failed is logged only.
func (m *Machine) refresh(ctx context.Context) {
	if m.units == nil || m.o.Fresh <= 0 {
		return
	}
	tried, fetched := filepath.Join(m.o.Dir, "lists.tried"), filepath.Join(m.o.Dir, "lists.fetched")
	if m.age(fetched) < m.o.Fresh || m.age(tried) < refreshAgain {
		return
	}
	stamp := func(file string) { // without it the lists are fetched once more, and no harm is done
		if err := os.WriteFile(file, nil, 0o600); err == nil {
			_ = os.Chtimes(file, m.now(), m.now())
		}
	}
	stamp(tried)
	ctx, cancel := context.WithTimeout(ctx, refreshTakes)
	defer cancel()
	if err := m.manager.Update(ctx); err != nil {
		m.o.Log.Warn("could not fetch the package manager's lists: what it offers may be out of date", zap.Error(err))
		return
	}
	stamp(fetched)
}

// age is how long ago a file was stamped. A time in the future, as of a clock that was
// set back, counts as none.
func (m *Machine) age(file string) time.Duration {
	info, err := os.Stat(file)
	if err != nil || info.ModTime().After(m.now()) {
		return math.MaxInt64
	}
	return m.now().Sub(info.ModTime())
}

// brokenTold bounds how many half-installed packages an inventory names.
const brokenTold = 20

// Facts is what is known without asking the package manager: the inventory
// without its sets.
func (m *Machine) Facts() (patching.Asset, error) {
	asset, err := host.Read(m.root)
	asset.Manager, asset.CarriesPatchcycle = m.manager.Name(), m.o.CarriesPatchcycle || host.CarriesPatchcycle(m.root)
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
	if err := m.settle(ctx); err != nil {
		return nil, err
	}
	all, err := m.manager.Installed(ctx)
	if err != nil {
		return nil, failure(err)
	}
	kernel := host.Kernel(m.root)
	standings := make([]agent.Standing, 0, len(patches))
	for _, p := range patches {
		standings = append(standings, standing(all, p, kernel))
	}
	return standings, nil
}

// standing finds a patch's package on a machine that runs that kernel.
func standing(all []packages.Installed, p patching.Patch, kernel string) agent.Standing {
	has, ok := packages.Find(all, p.Name, p.Arch)
	if !ok {
		return agent.Standing{}
	}
	return agent.Standing{Version: has.Version, Broken: has.Broken, Running: patching.RunsFrom(p.Name, kernel)}
}

const agentUnit = "patchcycle-agent.service"

// agentUnits are the agent's own: how they are says nothing of a patch.
var agentUnits = []string{agentUnit, "patchcycle-courier.service", "patchcycle-courier.socket"}

// Health implements [agent.Machine]. A package that is half installed counts
// among what fails: one that nobody asked for may break on the way, and no
// service tells.
func (m *Machine) Health(ctx context.Context) (agent.Health, error) {
	if err := m.settle(ctx); err != nil {
		return agent.Health{}, err
	}
	state, err := m.manager.State(ctx)
	if err != nil {
		return agent.Health{}, failure(err)
	}
	failing, err := host.Failing(ctx, m.root)
	if err != nil {
		return agent.Health{}, fmt.Errorf("ask which services fail: %w", err)
	}
	restarts, err := host.Restarts(ctx, m.root)
	if err != nil {
		return agent.Health{}, fmt.Errorf("ask which services were started again: %w", err)
	}
	for _, unit := range agentUnits {
		delete(restarts, unit)
	}
	failing = slices.DeleteFunc(failing, func(unit string) bool { return ours(unit) || slices.Contains(agentUnits, unit) })
	for _, name := range state.Broken {
		failing = append(failing, name+" (half installed)")
	}
	slices.Sort(failing)
	return agent.Health{Failing: failing, Restarts: restarts, RebootPending: state.RebootPending}, nil
}

// lists makes sure that the lists of the order's snapshot are there. The machine's
// own are as fresh as the machine keeps them.
func (m *Machine) lists(ctx context.Context) error {
	if _, ok := m.snapshot(ctx); !ok {
		return nil
	}
	return failure(m.manager.Update(ctx))
}

// Simulate implements [agent.Machine].
func (m *Machine) Simulate(ctx context.Context, patches []patching.Patch) ([]patching.Change, error) {
	if err := m.settle(ctx); err != nil {
		return nil, err
	}
	if err := m.lists(ctx); err != nil {
		return nil, err
	}
	changes, err := m.manager.Simulate(ctx, patches)
	return changes, failure(err)
}

// failure hands the cause on in the agent's words. What could not be written down
// before the package manager was asked is no word of its.
func failure(err error) error {
	var known *packages.Error
	if errors.As(err, &known) {
		return &agent.Failure{Reason: known.Reason, Detail: known.Detail, Signature: known.Signature}
	}
	return agent.OrDiskFull(err)
}
