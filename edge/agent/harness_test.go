package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
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

// disk is a journal over two layers: what the kernel has, and what the disk has.
type disk struct {
	fuse            *fuse
	cached, durable []byte
	fail            error
	syncs, saves    int
}

func (d *disk) Load() ([]byte, error) { return d.cached, nil }

func (d *disk) Save(state []byte, durable bool) error {
	if d.fail != nil && durable {
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

// box is a machine of which every action can be scripted and is written down.
type box struct {
	fuse      *fuse
	boot      int
	installed map[string]string
	broken    map[string]bool
	failing   []string
	pending   bool // wants a restart
	packages  string
	wrote     []string // what the package manager did, the witness
	fetched   int
	deaf      bool // does not restart
	inventory int

	onFetch     func() error
	onPreflight func() error
	onSimulate  func([]patching.Change) []patching.Change
	onApply     func(patching.Patch) error // before a package is configured
	onRepair    func() error
	onBoot      func()
	onLook      func() error
	onInventory func() error
	// afterApply and afterBoot say what fails then.
	sick func(b *box) []string
}

func newBox(f *fuse) *box {
	return &box{
		fuse: f, boot: 1, packages: "packages v1\tapt\n", broken: map[string]bool{},
		installed: map[string]string{"openssl": "1", "linux": "5", "nginx": "7"},
	}
}

func (b *box) Boot() string { return fmt.Sprintf("boot-%d", b.boot) }

func (b *box) Inventory(context.Context) (patching.Asset, error) {
	b.inventory++
	if b.onInventory != nil {
		if err := b.onInventory(); err != nil {
			return patching.Asset{}, err
		}
	}
	return patching.Asset{
		Hostname: "db1", Manager: "apt", RebootPending: b.pending,
		Packages: patching.DigestOf([]byte(b.packages)), Candidates: patching.DigestOf([]byte("candidates v1\tapt\n")),
	}, nil
}

func (b *box) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	for _, text := range []string{b.packages, "candidates v1\tapt\n"} {
		if patching.DigestOf([]byte(text)) == d {
			return []byte(text), nil
		}
	}
	return nil, errors.New("no such list")
}

func (b *box) Look(_ context.Context, patches []patching.Patch) ([]Standing, error) {
	if b.onLook != nil {
		if err := b.onLook(); err != nil {
			return nil, err
		}
	}
	var out []Standing
	for _, p := range patches {
		out = append(out, Standing{b.installed[p.Name], b.broken[p.Name]})
	}
	return out, nil
}

func (b *box) Health(context.Context) (Health, error) {
	failing := b.failing
	if b.sick != nil {
		failing = append(slices.Clone(failing), b.sick(b)...)
	}
	return Health{Failing: failing, RebootPending: b.pending}, nil
}

func (b *box) Preflight(context.Context, patching.Bundle) error { return call(b.onPreflight) }

func (b *box) Fetch(context.Context, patching.Bundle) error {
	b.fetched++
	return call(b.onFetch)
}

func (b *box) Simulate(_ context.Context, patches []patching.Patch) ([]patching.Change, error) {
	var out []patching.Change
	for _, p := range patches {
		out = append(out, patching.Change{Name: p.Name, Arch: p.Arch, From: b.installed[p.Name], To: p.To})
	}
	if b.onSimulate != nil {
		out = b.onSimulate(out)
	}
	return out, nil
}

func (b *box) Apply(ctx context.Context, patches []patching.Patch) error {
	b.wrote = append(b.wrote, "apply for "+string(OrderOf(ctx).ID))
	b.fuse.event("before the transaction")
	for _, p := range patches {
		b.installed[p.Name], b.broken[p.Name] = p.To, true
		b.wrote = append(b.wrote, "unpacked "+p.Name+" "+p.To)
		b.fuse.event("between unpacking and configuring")
		if b.onApply != nil {
			if err := b.onApply(p); err != nil {
				return err
			}
		}
		b.configure(p.Name)
		b.pending = b.pending || p.NeedsReboot
		b.fuse.event("between two packages")
	}
	return nil
}

func (b *box) configure(name string) {
	b.broken[name] = false
	b.wrote = append(b.wrote, "configured "+name+" "+b.installed[name])
}

func (b *box) Repair(context.Context) error {
	b.wrote = append(b.wrote, "repair")
	if err := call(b.onRepair); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(b.broken)) {
		if b.broken[name] {
			b.fuse.event("in the repair")
			b.configure(name)
		}
	}
	return nil
}

// Reboot ends the agent's process, as a real one does.
func (b *box) Reboot(context.Context) error {
	b.fuse.event("before the restart")
	b.wrote = append(b.wrote, "reboot")
	if b.deaf {
		return nil
	}
	b.restart()
	panic(killed{})
}

// restart is a boot, asked for or by a loss of power.
func (b *box) restart() {
	b.boot++
	b.pending = false
	if b.onBoot != nil {
		b.onBoot()
	}
}

func (b *box) Clean(context.Context) (int64, error) {
	b.wrote = append(b.wrote, "clean")
	return 4096, nil
}

func call(f func() error) error {
	if f == nil {
		return nil
	}
	return f()
}

// repeats returns what was unpacked in the same version again after it had
// been configured: the one thing that must never be.
func (b *box) repeats() (out []string) {
	done := map[string]bool{}
	for _, line := range b.wrote {
		what, pkg, _ := strings.Cut(line, " ")
		switch {
		case what == "configured":
			done[pkg] = true
		case what == "unpacked" && done[pkg]:
			out = append(out, pkg)
		}
	}
	return out
}

// office is the server's end: it checks signatures and counters, keeps what
// came, and answers polls.
type office struct {
	t     testing.TB
	fuse  *fuse
	keys  trust.Keys
	root  trust.Root
	pub   ed25519.PublicKey
	clock *clock

	orders  []uplink.SignedOrder
	leases  map[patching.OrderID]trust.Lease
	seqs    []uint64
	seq     uint64
	newRoot []byte

	counter  uint64
	taken    map[uint64]patching.Digest
	receipts []patching.Receipt
	facts    []uplink.Facts
	contents map[patching.Digest][]byte
	requests int // for leases
	batches  int
	kinds    []uplink.Kind

	down     bool // the line fails before anything is taken
	loseAcks int  // that many answers are lost after all was taken
	// grantLease: an unreleased order's request is answered.
	grantLease bool
	leaseAge   time.Duration // of leases as they come
	intake     patching.Intake
}

var errLine = errors.New("the line is down")

func (o *office) Enrol(context.Context, uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	return uplink.EnrolResponse{}, errLine
}

func (o *office) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	text, ok := o.contents[d]
	if o.down || !ok {
		return nil, errLine
	}
	return text, nil
}

func (o *office) Send(_ context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	o.fuse.event("before a batch arrives")
	if o.down {
		return nil, errLine
	}
	o.batches++
	var acks []uplink.Ack
	for i := range b.Messages {
		acks = append(acks, o.take(&b.Messages[i]))
	}
	o.fuse.event("before the acknowledgements arrive")
	if o.loseAcks > 0 {
		o.loseAcks--
		return nil, errLine
	}
	return acks, nil
}

func (o *office) take(m *uplink.Message) uplink.Ack {
	require.NoError(o.t, m.Verify("acme", o.pub))
	ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
	digest := m.Digest("acme")
	switch before, known := o.taken[m.Counter]; {
	case o.intake != "":
		ack.Intake = o.intake
		return ack
	case known && before == digest:
		ack.Intake = patching.Duplicate
		return ack
	case known:
		require.Fail(o.t, "a fork", "counter %d was used for two messages", m.Counter)
	case m.Counter < o.counter:
		ack.Intake = patching.Replayed
		return ack
	}
	o.taken[m.Counter], o.counter = digest, m.Counter
	o.kinds = append(o.kinds, m.Kind)
	switch m.Kind {
	case uplink.KindReceipt:
		body, err := uplink.Decode[uplink.Receipts](m.Body)
		require.NoError(o.t, err)
		for _, r := range body.Receipts {
			o.receipts = append(o.receipts, r.Receipt(m))
		}
	case uplink.KindInventory:
		body, err := uplink.Decode[uplink.Inventory](m.Body)
		require.NoError(o.t, err)
		o.facts = append(o.facts, body.Facts)
		for _, d := range []patching.Digest{body.Facts.Packages, body.Facts.Candidates} {
			if o.contents[d] == nil {
				ack.Need = append(ack.Need, d)
			}
		}
	case uplink.KindContent:
		body, err := uplink.Decode[uplink.Content](m.Body)
		require.NoError(o.t, err)
		o.contents[patching.DigestOf([]byte(body.Text))] = []byte(body.Text)
	case uplink.KindLeaseRequest:
		o.requests++
		body, err := uplink.Decode[uplink.LeaseRequest](m.Body)
		require.NoError(o.t, err)
		if _, released := o.leases[body.Order]; released || o.grantLease {
			o.permit(body.Order)
			ack.Lease = o.signed(body.Order)
		}
	default:
		require.Fail(o.t, "unexpected message", string(m.Kind))
	}
	return ack
}

func (o *office) signed(id patching.OrderID) *uplink.SignedLease {
	return &uplink.SignedLease{Device: "d-1", Order: id, Envelope: o.leases[id].Seal(o.keys.Lease)}
}

func (o *office) Poll(_ context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	if o.down {
		return uplink.PollResponse{}, errLine
	}
	d := r.Devices[0]
	require.NoError(o.t, d.Hello.Verify("acme", o.pub))
	var resp uplink.PollResponse
	if d.Root < o.root.Version {
		resp.Root = o.newRoot
	}
	for i, so := range o.orders {
		if d.Epoch < o.root.Epoch || o.seqs[i] > d.AfterSeq {
			resp.Orders = append(resp.Orders, so)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(o.leases)) {
		if o.leases[id].NotAfter.After(d.LeaseUntil) {
			resp.Leases = append(resp.Leases, *o.signed(id))
		}
	}
	return resp, nil
}

// issue signs an order for the device.
func (o *office) issue(d trust.Draft) {
	o.seq++
	d.Device = "d-1"
	order, err := d.Order(o.root, o.seq, trust.PublicKey(o.pub), o.clock.now)
	require.NoError(o.t, err)
	o.orders = append(o.orders, uplink.SignedOrder{Device: "d-1", Envelope: order.Seal(o.keys.Dispatcher)})
	o.seqs = append(o.seqs, o.seq)
}

// permit gives the start permit.
func (o *office) permit(id patching.OrderID) {
	o.leases[id] = trust.NewLease(o.root, id, "d-1", o.clock.now.Add(-o.leaseAge))
}

// put makes a bundle available and returns its address.
func (o *office) put(b patching.Bundle) patching.Digest {
	o.contents[b.Digest()] = b.Canonical()
	return b.Digest()
}

// final returns the terminal receipts of an order, each counter once.
func (o *office) final(id patching.OrderID) (out []patching.Receipt) {
	for _, r := range o.receipts {
		if r.Order == id && r.Stage.Terminal() {
			out = append(out, r)
		}
	}
	return out
}

// stages lists the stages that were told of an order, in order.
func (o *office) stages(id patching.OrderID) (out []patching.Stage) {
	for _, r := range o.receipts {
		if r.Order == id {
			out = append(out, r.Stage)
		}
	}
	return out
}

// bench holds all the parts of a test.
type bench struct {
	t      testing.TB
	fuse   *fuse
	clock  *clock
	disk   *disk
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
		t: t, fuse: f, clock: &clock{tonight}, disk: &disk{fuse: f}, box: newBox(f), shelf: &Shared{}, key: key(4),
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
