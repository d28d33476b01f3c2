package root_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// memory is a store in memory, with counters of what it was asked. The tests
// of lab/sim run the same server on the real one.
type memory struct {
	mu          sync.Mutex
	tokens      map[patching.Digest]int
	pending     bool // enrolled devices wait
	devices     map[patching.DeviceID]patching.Device
	messages    map[patching.DeviceID]map[uint64]patching.Digest
	facts       map[patching.DeviceID]*patching.Asset
	receipts    []patching.Receipt
	contents    map[patching.Digest][]byte
	seq         uint64
	orders      map[patching.OrderID]root.Order
	deployments map[patching.AssetID]patching.DeploymentState
	parts       map[string]int
	hold        patching.Hold

	commits int   // calls of TakeReports
	clocks  int   // calls of NoteClocks
	lookups []int // devices of each call of PendingOrders
	failing error // of TakeReports and NoteClocks
}

func newMemory() *memory {
	return &memory{
		tokens: map[patching.Digest]int{uplink.TokenHash("welcome"): 1 << 20}, devices: map[patching.DeviceID]patching.Device{},
		messages: map[patching.DeviceID]map[uint64]patching.Digest{}, facts: map[patching.DeviceID]*patching.Asset{},
		contents: map[patching.Digest][]byte{}, orders: map[patching.OrderID]root.Order{},
		deployments: map[patching.AssetID]patching.DeploymentState{}, parts: map[string]int{},
	}
}

func (m *memory) Enrol(_ context.Context, token patching.Digest, now time.Time, d patching.Device, _ patching.Asset) (patching.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, have := range m.devices {
		if string(have.Key) == string(d.Key) {
			return have, nil
		}
	}
	if m.tokens[token] == 0 {
		return d, &uplink.Error{Status: http.StatusForbidden, Words: "the enrolment token is not known here"}
	}
	m.tokens[token]--
	d.State, d.Enrolled = patching.DeviceAccepted, now
	if m.pending {
		d.State = patching.DevicePending
	}
	m.devices[d.ID] = d
	return d, nil
}

func (m *memory) SetDeviceState(_ context.Context, id patching.DeviceID, to patching.DeviceState) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing != nil {
		return m.failing
	}
	d := m.devices[id]
	d.State = to
	m.devices[id] = d
	return nil
}

func (m *memory) NoteClocks(_ context.Context, off map[patching.DeviceID]time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing != nil {
		return m.failing
	}
	m.clocks++
	for id, by := range off {
		d := m.devices[id]
		d.ClockOff = by
		m.devices[id] = d
	}
	return nil
}

func (m *memory) Devices(context.Context, ...patching.DeviceState) ([]patching.Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []patching.Device
	for _, d := range m.devices {
		all = append(all, d)
	}
	return all, nil
}

func (m *memory) TakeReports(_ context.Context, reports []patching.Report) ([]patching.Intake, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing != nil {
		return nil, m.failing
	}
	m.commits++
	became := make([]patching.Intake, len(reports))
	for i, r := range reports {
		became[i] = m.take(r)
	}
	return became, nil
}

func (m *memory) take(r patching.Report) patching.Intake {
	d, ok := m.devices[r.Device]
	if !ok || d.State != patching.DeviceAccepted {
		return patching.Stranger
	}
	if r.Counter <= d.Counter {
		switch m.messages[r.Device][r.Counter] {
		case "":
			return patching.Replayed
		case r.Digest:
			return patching.Duplicate
		}
		d.State = patching.DeviceQuarantined
		m.devices[r.Device] = d
		return patching.Forked
	}
	if m.messages[r.Device] == nil {
		m.messages[r.Device] = map[uint64]patching.Digest{}
	}
	m.messages[r.Device][r.Counter] = r.Digest
	d.Counter = r.Counter
	m.devices[r.Device] = d
	if r.Facts != nil {
		m.facts[r.Device] = r.Facts
	}
	m.receipts = append(m.receipts, r.Receipts...)
	return patching.Taken
}

func (m *memory) PutContents(_ context.Context, _ string, texts [][]byte) ([]patching.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ds []patching.Digest
	for _, t := range texts {
		ds = append(ds, patching.DigestOf(t))
		m.contents[patching.DigestOf(t)] = t
	}
	return ds, nil
}

func (m *memory) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if t, ok := m.contents[d]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("content: %w", root.ErrNotFound)
}

func (m *memory) MissingContent(_ context.Context, ds []patching.Digest) ([]patching.Digest, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ds), func(d patching.Digest) bool { return m.contents[d] != nil }), nil
}

func (m *memory) ReserveSeq(_ context.Context, n int) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	first := m.seq + 1
	m.seq += uint64(n)
	return first, nil
}

func (m *memory) PutOrders(_ context.Context, orders []root.Order) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range orders {
		if _, ok := m.orders[o.ID]; !ok {
			m.orders[o.ID] = o
		}
	}
	return nil
}

func (m *memory) PutLeases(_ context.Context, leases []root.Lease) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range leases {
		o := m.orders[l.Order]
		o.Lease, o.LeaseUntil = l.Lease, l.Until
		m.orders[l.Order] = o
	}
	return nil
}

func (m *memory) PendingOrders(_ context.Context, devices []patching.DeviceID, now time.Time) ([]root.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lookups = append(m.lookups, len(devices))
	wanted := map[patching.DeviceID]bool{}
	for _, id := range devices {
		wanted[id] = true
	}
	var out []root.Order
	for _, o := range m.orders {
		if wanted[o.Device] && !o.Final && !o.Withdrawn && o.Expires.After(now) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b root.Order) int { return int(a.Seq) - int(b.Seq) })
	return out, nil
}

func (m *memory) Orders(_ context.Context, ids []patching.OrderID) ([]root.Order, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []root.Order
	for _, id := range ids {
		if o, ok := m.orders[id]; ok {
			out = append(out, o)
		}
	}
	return out, nil
}

func (m *memory) Deployment(_ context.Context, _ patching.CycleID, a patching.AssetID) (patching.Deployment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	state, ok := m.deployments[a]
	if !ok {
		return patching.Deployment{}, root.ErrNotFound
	}
	return patching.Deployment{State: state}, nil
}

func (m *memory) Listened(_ context.Context, part string, _ time.Time, _ time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[part]++
	return nil
}

// change edits an order as others would in the real store.
func (m *memory) change(id patching.OrderID, do func(*root.Order)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.orders[id]
	do(&o)
	m.orders[id] = o
}

func (m *memory) asked() []int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lookups)
}

func (m *memory) Hold(context.Context) (patching.Hold, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hold, nil
}
