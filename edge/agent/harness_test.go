package agent

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// killed is the panic by which a test ends an agent at any instruction.
type killed struct{}

// fuse counts the events of an agent's life and kills it at chosen ones.
type fuse struct {
	events int
	kill   map[int]bool
	named  []string
}

func (f *fuse) event(what string) {
	f.events++
	f.named = append(f.named, what)
	if f.kill[f.events] {
		panic(killed{})
	}
}

// testDisk is a journal over two layers: what the kernel has, and what the disk has.
type testDisk struct {
	fuse            *fuse
	cached, durable []byte
	fail            error // of durable saves
	failLazy        bool  // and of the others
	syncs, saves    int
}

func (d *testDisk) Load() ([]byte, error) { return d.cached, nil }

func (d *testDisk) Save(state []byte, durable bool) error {
	if d.fail != nil && (durable || d.failLazy) {
		return d.fail
	}
	d.fuse.event("before a save")
	d.cached = slices.Clone(state)
	d.saves++
	if durable {
		d.durable = d.cached
		d.syncs++
	}
	d.fuse.event("after a save")
	return nil
}

// clock is set by the test.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// bench holds all the parts of a test.
type bench struct {
	t      testing.TB
	fuse   *fuse
	clock  *clock
	disk   *testDisk
	box    *box
	office *office
	shelf  *Shared
	rules  Rules
	host   Host // instead of rules
	agent  *Agent
	key    trust.Key
	pinned []byte
	lives  int
	// power: whoever is killed loses what was not durable, and restarts.
	power bool
}

// tonight is 22:00 UTC, when the window of every order here opens.
var tonight = time.Date(2026, 11, 21, 22, 0, 0, 0, time.UTC)

const rule = "daily 22:00 for 4h in UTC"

func newBench(t testing.TB) *bench {
	t.Helper()
	f := &fuse{}
	key := func(b byte) trust.Key { return trust.KeyFromSeed([32]byte{b}) }
	b := &bench{
		t: t, fuse: f, clock: &clock{tonight}, disk: &testDisk{fuse: f}, box: newBox(f), shelf: &Shared{}, key: key(4),
	}
	keys := trust.Keys{Root: key(1), Dispatcher: key(2), Lease: key(3)}
	b.office = &office{
		t: t, fuse: f, clock: b.clock, keys: keys, root: trust.NewRoot("acme", keys), pub: ed25519.PublicKey(key(4).Public()),
		leases: map[patching.OrderID]trust.Lease{}, taken: map[uint64]patching.Digest{}, contents: map[patching.Digest][]byte{},
	}
	b.pinned = b.office.root.Seal(keys.Root)
	b.boot()
	return b
}

// Rules lets a test change the rules while the agent runs.
func (b *bench) Rules() (Rules, error) {
	if b.host != nil {
		return b.host.Rules()
	}
	return b.rules, nil
}

// boot starts the agent's process.
func (b *bench) boot() {
	b.lives++
	a, err := New(Config{
		Identity: Identity{Device: "d-1", Key: b.key.Private(), Root: b.pinned},
		Machine:  b.box, Link: b.office, Clock: b.clock, Journal: b.disk, Shelf: b.shelf, Host: b,
	})
	require.NoError(b.t, err)
	b.agent = a
}

// turn polls once and works once; it reports whether the agent survived.
func (b *bench) turn() (wake time.Time, alive bool) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			if b.power {
				b.disk.cached = b.disk.durable
				b.box.restart()
			}
			b.boot()
		}
	}()
	_, err := b.agent.PollOnce(b.t.Context(), 0)
	if err != nil && !errors.Is(err, errLine) {
		b.t.Logf("poll: %v", err)
	}
	wake, err = b.agent.Work(b.t.Context())
	require.NoError(b.t, err)
	return wake, true
}

// run lets the agent live until done says so, passing the time that it waits.
// It is restarted whenever it dies.
func (b *bench) run(done func() bool) {
	b.t.Helper()
	for n := range 2000 {
		wake, alive := b.turn()
		if done() {
			return
		}
		if !alive {
			continue
		}
		switch {
		case wake.After(b.clock.now):
			b.clock.now = wake
		case !wake.IsZero():
		default:
			b.clock.now = b.clock.now.Add(time.Minute)
		}
		require.Less(b.t, n, 1999, "it never ends; told so far: %v", b.office.receipts)
	}
}

// untilFinal runs until the order has its last receipt, and returns it.
func (b *bench) untilFinal(id patching.OrderID) patching.Receipt {
	b.t.Helper()
	b.run(func() bool {
		return len(b.office.final(id)) > 0 && b.agent.state.find(id) == nil && len(b.agent.state.Letters) == 0
	})
	all := b.office.final(id)
	require.Len(b.t, all, 1, "one terminal receipt")
	return all[0]
}

// until runs until the time.
func (b *bench) until(at time.Time) {
	b.t.Helper()
	b.run(func() bool { return !b.clock.now.Before(at) })
}

// upgrade is a patch of one of the box's packages to the next version.
func upgrade(name string, from, to string) patching.Patch {
	return patching.Patch{Action: patching.Upgrade, Name: name, Arch: "amd64", From: from, To: to, Reversible: patching.ByDowngrade}
}

// kernel is a step of its own with a restart.
func kernel() patching.Step {
	p := upgrade("linux", "5", "6")
	p.NeedsReboot = true
	return patching.Step{Patches: []patching.Patch{p}, Restart: true}
}

// twoSteps upgrades openssl and nginx, then the kernel.
func twoSteps() patching.Bundle {
	return patching.Bundle{Manager: "apt", Steps: []patching.Step{
		{Patches: []patching.Patch{upgrade("openssl", "1", "2"), upgrade("nginx", "7", "8")}},
		kernel(),
	}}
}

// small upgrades openssl.
func small() patching.Bundle {
	return patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{upgrade("openssl", "1", "2")}}}}
}

// apply issues the order to apply a bundle tonight.
func (b *bench) apply(bundle patching.Bundle) {
	b.t.Helper()
	b.office.issue(b.draft(trust.Apply, bundle))
}

func (b *bench) draft(v trust.Verb, bundle patching.Bundle) trust.Draft {
	b.t.Helper()
	back, _ := bundle.Revert()
	return trust.Draft{
		ID: "o-1", Cycle: "cycle/servers/2026-11.1", Ring: "ring2", Verb: v, Fence: 7, WindowRule: rule,
		Start: tonight, End: tonight.Add(4 * time.Hour), NotAfter: tonight.Add(5 * time.Hour),
		Bundle: b.office.put(bundle), Rollback: b.office.put(back),
	}
}
