package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// Options say what a fleet is and how it reaches the server.
type Options struct {
	// Dir keeps the machines: keys, journals, witnesses. A fleet that is there
	// already is continued; its Profile is then the one that it was made with.
	Dir     string
	Profile truth.Profile
	// Link is the way to the server, shared by all machines and relays.
	Link uplink.Link
	// Tokens let the machines of a site enrol.
	Tokens map[patching.SiteName]string
	// Direct names sites whose machines each hold a poll of their own. The
	// others stand behind a simulated relay that batches.
	Direct []patching.SiteName
	// Speed divides every duration of the machines (download, installation,
	// restart, how long services may take to come up); 1 is real.
	Speed float64
	// Spool is how many bytes of receipts each relay keeps while it has no line; 0:
	// none. No simulated machine goes away for good, and what was not acknowledged
	// is the machine's to send again.
	Spool int64
	// Patient machines try what failed again as real agents do, after 15 s first and
	// up to 10 min; the others after seconds, so that nobody waits for them.
	Patient bool
	// SyncAtOnce bounds the witnesses that are synced at once [64]; negative
	// leaves durability to the operating system.
	SyncAtOnce int
	// OnEvent is told of each witness event after it is durable: the n-th of
	// this process. A crash test kills there.
	OnEvent func(n int64)
	Log     *zap.Logger
}

// MaxDirect bounds the machines that poll by themselves: each holds a connection.
const MaxDirect = 1000

// Fleet is a simulated fleet. Make it with [Open].
type Fleet struct {
	opts    Options
	truth   []truth.Machine
	catalog *catalog
	ledger  *agent.Ledger
	shelf   *shelf
	members []*member
	works   sync.WaitGroup // machines at work
	ready   chan struct{}
	log     *zap.Logger
}

const fleetName = "fleet.json"

// Open takes a fleet up where it was, or makes it. Nothing runs before
// [Fleet.Run].
func Open(o Options) (*Fleet, error) {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Speed == 0 {
		o.Speed = 1
	}
	if o.SyncAtOnce == 0 {
		o.SyncAtOnce = 64
	}
	if err := keepProfile(&o); err != nil {
		return nil, err
	}
	machines, err := truth.Draw(o.Profile)
	if err != nil {
		return nil, err
	}
	f := &Fleet{opts: o, truth: machines, ready: make(chan struct{}), log: o.Log, shelf: &shelf{folder: agent.Folder(filepath.Join(o.Dir, "bundles"))}}
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.catalog, err = newCatalog(o.Profile.Seed); err != nil {
		return nil, err
	}
	if f.ledger, err = agent.OpenLedger(filepath.Join(o.Dir, "journal")); err != nil {
		return nil, err
	}
	if err := f.openMachines(); err != nil {
		return nil, errors.Join(err, f.ledger.Close())
	}
	return f, nil
}

// keepProfile writes a new fleet's profile down, or reads the one that is kept.
func keepProfile(o *Options) error {
	path := filepath.Join(o.Dir, fleetName)
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err := json.Unmarshal(text, &o.Profile); err != nil {
			return fmt.Errorf("profile of the fleet in %s: %w", o.Dir, err)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("profile of the fleet: %w", err)
	}
	if err := o.Profile.Validate(); err != nil {
		return fmt.Errorf("fleet profile: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("folder of the fleet: %w", err)
	}
	if text, err = json.MarshalIndent(o.Profile, "", "  "); err != nil {
		return err
	}
	return replaceFile(path, text)
}

// Exists reports whether a fleet was made in a folder.
func Exists(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, fleetName))
	return err == nil
}

func (f *Fleet) check() error {
	direct := 0
	for _, m := range f.truth {
		if slices.Contains(f.opts.Direct, m.Site.Name) {
			direct++
		}
	}
	if direct > MaxDirect {
		return fmt.Errorf("%d machines would hold a poll of their own, at most %d can: put sites behind relays", direct, MaxDirect)
	}
	for _, b := range f.opts.Profile.Bad {
		if err := knownPackage(b); err != nil {
			return err
		}
	}
	return nil
}

// knownPackage refuses a bad patch that no machine would ever be offered.
func knownPackage(b truth.Bad) error {
	c, err := newCatalog(0)
	if err != nil {
		return err
	}
	o, ok := c.offers[b.Package]
	if !ok {
		return fmt.Errorf("bad patch: the archive has no update of %q", b.Package)
	}
	if b.Version != "" && b.Version != o.Version {
		return fmt.Errorf("bad patch: the archive's update of %s is %s, not %s", b.Package, o.Version, b.Version)
	}
	return nil
}

func (f *Fleet) openMachines() error {
	f.members = make([]*member, len(f.truth))
	p := newPen(max(0, f.opts.SyncAtOnce), f.opts.OnEvent)
	var group errgroup.Group
	group.SetLimit(32)
	for i, m := range f.truth {
		group.Go(func() error {
			dir := filepath.Join(f.opts.Dir, "machines", strconv.Itoa(i))
			mc, err := openMachine(dir, m, f.catalog, p, f.opts.Speed)
			f.members[i] = &member{machine: mc, home: agent.Home(dir), fleet: f}
			return err
		})
	}
	return group.Wait()
}

// Close gives the fleet's folder free. Run has to have ended.
func (f *Fleet) Close() error { return f.ledger.Close() }

// Truth returns what is really so, by machine.
func (f *Fleet) Truth() []truth.Machine { return f.truth }

// Ready is closed when every machine is enrolled and at work.
func (f *Fleet) Ready() <-chan struct{} { return f.ready }

// Run enrols the machines that are not, and runs all of them until ctx ends.
// The error is never the context's; a refused token is one.
func (f *Fleet) Run(ctx context.Context) error {
	sites := map[patching.SiteName][]*member{}
	for _, m := range f.members {
		sites[m.machine.truth.Site.Name] = append(sites[m.machine.truth.Site.Name], m)
	}
	enrolled := make(chan struct{}, len(f.opts.Profile.Sites))
	group, ctx := errgroup.WithContext(ctx)
	for _, site := range f.opts.Profile.Sites {
		begin := f.behindRelay
		if slices.Contains(f.opts.Direct, site.Name) {
			begin = f.direct
		}
		group.Go(func() error {
			return begin(ctx, group, site.Name, sites[site.Name], func() { enrolled <- struct{}{} })
		})
	}
	group.Go(func() error {
		for range f.opts.Profile.Sites {
			select {
			case <-enrolled:
			case <-ctx.Done():
				return nil
			}
		}
		close(f.ready)
		return nil
	})
	err := group.Wait()
	for _, m := range f.members {
		m.stop()
	}
	f.works.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// starting spreads the first work of a site's machines, so that the start of a
// fleet is not a burst that no real fleet makes: per second.
const starting = 500

// direct runs machines that each hold a poll of their own: real resident agents.
func (f *Fleet) direct(ctx context.Context, group *errgroup.Group, site patching.SiteName, members []*member, enrolled func()) error {
	if err := f.enrol(ctx, site, members, f.opts.Link); err != nil {
		return err
	}
	enrolled()
	for i, m := range members {
		group.Go(func() error {
			if m.machine.down() || pause.For(ctx, time.Duration(i)*time.Second/starting) != nil {
				return nil
			}
			m.begin(ctx)
			defer m.machine.off()
			if err := m.agent.Run(m.ctx); m.ctx.Err() == nil {
				return fmt.Errorf("agent of %s: %w", m.machine.truth.Facts.Hostname, err)
			}
			return nil
		})
	}
	return nil
}

// enrolling bounds how many machines enrol at once, of all sites: a server takes some
// 200 a second, and sends further ones away for seconds.
const enrolling = 1000

// enrol makes the agents of a site, and enrols those machines that are not.
func (f *Fleet) enrol(ctx context.Context, site patching.SiteName, members []*member, link uplink.Link) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, min(16, enrolling/len(f.opts.Profile.Sites))))
	for _, m := range members {
		group.Go(func() error { return m.join(ctx, f.opts.Tokens[site], link) })
	}
	return group.Wait()
}

// shelf keeps bundles in memory and, so that a started order can go on after a
// kill, on disk: once for the whole fleet.
type shelf struct {
	memory agent.Shared
	folder agent.Folder
	mu     sync.Mutex
}

// Get implements [agent.Shelf].
func (s *shelf) Get(d patching.Digest) ([]byte, bool) {
	if text, ok := s.memory.Get(d); ok {
		return text, true
	}
	text, ok := s.folder.Get(d)
	if ok {
		_ = s.memory.Put(d, text) // it always can
	}
	return text, ok
}

// Put implements [agent.Shelf].
func (s *shelf) Put(d patching.Digest, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.memory.Get(d); ok {
		return nil
	}
	if err := s.folder.Put(d, text); err != nil {
		return err
	}
	return s.memory.Put(d, text)
}
