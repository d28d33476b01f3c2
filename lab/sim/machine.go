package sim

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// machine is a simulated host with its package manager: the agent's port.
type machine struct {
	truth truth.Machine
	dir   string
	dpkg  *dpkg
	// boot is read by the agent while the machine is at work.
	boot atomic.Pointer[bootRecord]
	// pace divides every duration.
	pace float64
	// off ends all that the machine does; set by its owner.
	off func()
}

// bootRecord is what changes with a restart; a file keeps it.
type bootRecord struct {
	ID     string `json:"id"`
	Kernel string `json:"kernel"` // running
	// Down: the machine is off and does not come back.
	Down bool `json:"down,omitempty"`
}

// order names the order under which the package manager acts.
type order struct {
	id    patching.OrderID
	cycle patching.CycleID
}

func orderOf(ctx context.Context) order {
	o := agent.OrderOf(ctx)
	return order{id: o.ID, cycle: o.Cycle}
}

// Durations of a machine at pace 1.
const (
	bandwidth   = 8e6 // bytes a second
	rebootTakes = 40 * time.Second
	simulation  = 1500 * time.Millisecond
	cleanTakes  = 2 * time.Second
)

const (
	bootName  = "boot.json"
	cacheName = "cache"
)

// openMachine takes a machine up where it was, or makes it.
func openMachine(dir string, m truth.Machine, c *catalog, p *pen, pace float64) (*machine, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of machine %d: %w", m.Index, err)
	}
	img, err := c.image(m.Role, m.Variant)
	if err != nil {
		return nil, err
	}
	log, events, err := openWitness(dir, p)
	if err != nil {
		return nil, err
	}
	mc := &machine{truth: m, dir: dir, pace: pace / m.Trouble.Drag, off: func() {}}
	mc.dpkg = &dpkg{
		catalog: c, image: img, changed: map[string]pkg{}, witness: log,
		breaks: m.Breaks, running: mc.runsFrom, now: mc.Now, wait: mc.wait,
	}
	mc.dpkg.replay(events)
	if err := mc.readBoot(); err != nil {
		return nil, fmt.Errorf("machine %d: %w", m.Index, err)
	}
	return mc, nil
}

// Now is the machine's own clock.
func (m *machine) Now() time.Time { return time.Now().Add(m.truth.Trouble.Clock) }

// wait lets a duration of the machine pass, in the scaled time.
func (m *machine) wait(ctx context.Context, d time.Duration) error {
	return pause.For(ctx, time.Duration(float64(d)/m.pace))
}

// Boot returns the id of the running boot.
func (m *machine) Boot() string { return m.boot.Load().ID }

// Inventory reads facts and package sets as they stand.
func (m *machine) Inventory(context.Context) (patching.Asset, error) {
	a := m.truth.Facts
	a.OS.Kernel = m.boot.Load().Kernel
	a.OS.Revision = "12.15"
	a.RebootPending = m.rebootPending()
	for _, p := range m.dpkg.broken() {
		a.Broken = append(a.Broken, p.Name)
	}
	packages := patching.PackageSet{Manager: manager, Packages: slices.Collect(m.dpkg.all())}
	packages.Sort()
	a.Packages = m.dpkg.catalog.keep(packages.Canonical())
	candidates := m.candidates()
	a.Candidates = m.dpkg.catalog.keep(candidates.Canonical())
	return a, nil
}

func (m *machine) candidates() patching.CandidateSet {
	set := patching.CandidateSet{Manager: manager}
	along := map[string]bool{}
	for p := range m.dpkg.all() {
		o, ok := m.dpkg.catalog.update(p.Name, p.Version)
		if !ok {
			continue
		}
		set.Candidates = append(set.Candidates, candidateOf(o, p.Version))
		for _, b := range m.dpkg.catalog.brings(o.Stanza, m.dpkg.has) {
			if !along[b.Name] {
				along[b.Name] = true
				set.Candidates = append(set.Candidates, candidateOf(b, ""))
			}
		}
	}
	set.Sort()
	return set
}

// Content returns the text of a set.
func (m *machine) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	text, ok := m.dpkg.catalog.text(d)
	if !ok {
		return nil, fmt.Errorf("no set with the address %s was ever read here", d.Short())
	}
	return text, nil
}

// Look says how packages stand.
func (m *machine) Look(_ context.Context, patches []patching.Patch) ([]agent.Standing, error) {
	out := make([]agent.Standing, len(patches))
	for i, p := range patches {
		if have, ok := m.dpkg.get(p.Name); ok {
			out[i] = agent.Standing{Version: m.dpkg.shown(have).Version, Broken: have.broken(), Running: m.runsFrom(p.Name)}
		}
	}
	return out, nil
}

// Health names services that should run and do not.
func (m *machine) Health(context.Context) (agent.Health, error) {
	h := agent.Health{RebootPending: m.rebootPending()}
	if m.dpkg.suffers(truth.ServiceDies) {
		h.Failing = append(h.Failing, m.truth.Facts.Services[0]+".service")
	}
	return h, nil
}

// Preflight finds what keeps a bundle from being installed.
func (m *machine) Preflight(ctx context.Context, b patching.Bundle) error {
	if err := m.wait(ctx, simulation); err != nil {
		return err
	}
	if m.truth.Trouble.DiskFull {
		return &agent.Failure{
			Reason: patching.ReasonPreflight, Signature: "disk full",
			Detail: "E: You don't have enough free space in /var/cache/apt/archives/.",
		}
	}
	return m.dpkg.foreign(b)
}

// runsFrom reports whether the machine runs from a package, as from its kernel.
func (m *machine) runsFrom(name string) bool {
	release, ok := kernelRelease(name)
	return ok && release == m.boot.Load().Kernel
}

// Fetch downloads what is not in the cache. A machine that is to die does so
// here: it has accepted the order and is never heard of again.
func (m *machine) Fetch(ctx context.Context, b patching.Bundle) error {
	if m.truth.Trouble.Dead {
		return m.die(ctx)
	}
	cached, err := m.readCache()
	if err != nil {
		return err
	}
	var missing int64
	for _, p := range b.Patches() {
		if _, ok := cached[p.SHA256]; !ok && p.SHA256 != "" {
			cached[p.SHA256] = p.Size
			missing += p.Size
		}
	}
	if missing == 0 {
		return nil
	}
	if err := m.wait(ctx, time.Duration(float64(missing)/bandwidth*float64(time.Second))); err != nil {
		return err
	}
	return m.writeCache(cached)
}

// ArchiveKey is the fingerprint of the key that signs the fleet's archive.
const ArchiveKey = "5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E5E"

// Signers are the archive's.
func (m *machine) Signers(context.Context) (map[string][]string, error) {
	return map[string][]string{"archive": {ArchiveKey}}, nil
}

// Simulate is apt-get -s.
func (m *machine) Simulate(ctx context.Context, patches []patching.Patch) ([]patching.Change, error) {
	if err := m.wait(ctx, simulation); err != nil {
		return nil, err
	}
	return m.dpkg.resolve(patches)
}

// Apply is apt-get install.
func (m *machine) Apply(ctx context.Context, patches []patching.Patch) error {
	changes, err := m.dpkg.resolve(patches)
	if err != nil {
		return err
	}
	return m.dpkg.install(ctx, orderOf(ctx), changes)
}

// Repair is dpkg --configure -a, and a reinstallation of what was cut off
// while it was unpacked.
func (m *machine) Repair(ctx context.Context) error { return m.dpkg.repair(ctx, orderOf(ctx)) }

// Reboot restarts the machine and returns when it is back, unless a bad patch
// keeps it down.
func (m *machine) Reboot(ctx context.Context) error {
	if m.dpkg.suffers(truth.NoBoot) {
		return m.die(ctx)
	}
	if err := m.wait(ctx, rebootTakes); err != nil {
		return err
	}
	return m.startUp()
}

// Clean empties the cache and removes kernels that neither run nor would run
// after a restart.
func (m *machine) Clean(ctx context.Context, _ []string) (int64, error) {
	if err := m.wait(ctx, cleanTakes); err != nil {
		return 0, err
	}
	freed, err := m.emptyCache()
	if err != nil {
		return 0, err
	}
	newest := newestKernel(m.dpkg.all())
	for _, p := range slices.Collect(m.dpkg.all()) {
		release, ok := kernelRelease(p.Name)
		if !ok || release == newest || release == m.boot.Load().Kernel {
			continue
		}
		if f, ok := m.dpkg.catalog.find(p.Name, p.Version); ok {
			freed += 4 * f.Size // unpacked, with its initial ramdisk
		}
		if err := m.dpkg.note(orderOf(ctx), p, Removed); err != nil {
			return freed, err
		}
	}
	return freed, nil
}

func (m *machine) rebootPending() bool { return newestKernel(m.dpkg.all()) != m.boot.Load().Kernel }

// die lets the machine fall silent for good.
func (m *machine) die(ctx context.Context) error {
	down := *m.boot.Load()
	down.Down = true
	if err := m.setBoot(down); err != nil {
		return err
	}
	m.off()
	<-ctx.Done()
	return ctx.Err()
}

// down reports whether the machine is off for good.
func (m *machine) down() bool { return m.boot.Load().Down }

func (m *machine) startUp() error {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return fmt.Errorf("boot id: %w", err)
	}
	return m.setBoot(bootRecord{ID: hex.EncodeToString(id), Kernel: newestKernel(m.dpkg.all())})
}

func (m *machine) setBoot(b bootRecord) error {
	text, err := json.Marshal(b)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(m.dir, bootName), text); err != nil {
		return err
	}
	m.boot.Store(&b)
	return nil
}

func (m *machine) readBoot() error {
	text, err := os.ReadFile(filepath.Join(m.dir, bootName))
	if errors.Is(err, fs.ErrNotExist) {
		return m.startUp()
	}
	if err != nil {
		return fmt.Errorf("boot record: %w", err)
	}
	var b bootRecord
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("boot record: %w", err)
	}
	m.boot.Store(&b)
	return nil
}

// readCache returns the hashes of the package files that were downloaded, and
// their size in bytes: a line each in the cache file.
func (m *machine) readCache() (map[string]int64, error) {
	cached := map[string]int64{}
	text, err := os.ReadFile(filepath.Join(m.dir, cacheName))
	if errors.Is(err, fs.ErrNotExist) {
		return cached, nil
	}
	if err != nil {
		return nil, fmt.Errorf("package cache: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		var hash string
		var size int64
		if _, err := fmt.Sscan(line, &hash, &size); err != nil {
			return nil, fmt.Errorf("package cache: %w", err)
		}
		cached[hash] = size
	}
	return cached, nil
}

func (m *machine) writeCache(cached map[string]int64) error {
	var text strings.Builder
	for _, hash := range slices.Sorted(maps.Keys(cached)) {
		fmt.Fprintln(&text, hash, cached[hash])
	}
	return replaceFile(filepath.Join(m.dir, cacheName), []byte(text.String()))
}

func (m *machine) emptyCache() (freed int64, err error) {
	cached, err := m.readCache()
	if err != nil {
		return 0, err
	}
	for _, size := range cached {
		freed += size
	}
	if err := os.Remove(filepath.Join(m.dir, cacheName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, fmt.Errorf("package cache: %w", err)
	}
	return freed, nil
}

// rules are the machine's own limits.
func (m *machine) rules() agent.Rules {
	if !m.truth.Trouble.ObserveOnly {
		return agent.Rules{}
	}
	return agent.Rules{Allowed: []trust.Verb{trust.Collect, trust.Simulate, trust.Probe, trust.Evidence, trust.Notify}}
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, text []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
