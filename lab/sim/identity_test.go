package sim

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
)

// berlin is where the machines of these tests are.
const berlin = patching.SiteName("berlin")

// resident is a simulated machine with the agent's own home: key, identity, journal. It
// works when it is told to, so that a test decides who speaks first.
type resident struct {
	*house
	home    agent.Home
	machine *machine
}

// resident makes a machine in an empty folder, or takes up what a folder holds.
func (h *house) resident(dir, hostname string) *resident {
	h.t.Helper()
	c, err := newCatalog(1)
	require.NoError(h.t, err)
	m, err := openMachine(filepath.Join(dir, "machines", "0"), truth.Machine{
		Role: "web", Variant: truth.Behind, Trouble: truth.Trouble{Drag: 1},
		Facts: patching.Asset{Hostname: hostname, Serial: "SN-4711", Manager: manager, OS: patching.OS{Family: "debian", Release: "12"}},
	}, c, newPen(4, nil), 1e5)
	require.NoError(h.t, err)
	return &resident{h, agent.Home(filepath.Join(dir, "home")), m}
}

// enrol does what patchcycle-agent enrol does.
func (r *resident) enrol() (patching.DeviceID, error) {
	r.t.Helper()
	entry, err := r.home.Enter()
	require.NoError(r.t, err)
	facts, err := r.machine.Inventory(r.t.Context())
	require.NoError(r.t, err)
	id, _, err := agent.Enrol(r.t.Context(), r.link(), token(berlin), entry.Key, facts, r.machine.rules(), "")
	if err != nil {
		return "", err
	}
	return id.Device, r.home.Settle(entry, id, "simulated")
}

// once does what patchcycle-agent once does: it polls and works until nothing is new.
func (r *resident) once() error {
	r.t.Helper()
	id, _, err := r.home.Identity()
	require.NoError(r.t, err)
	ledger, err := r.home.Ledger()
	require.NoError(r.t, err)
	defer func() { require.NoError(r.t, ledger.Close()) }()
	a, err := agent.New(agent.Config{
		Identity: id, Machine: r.machine, Link: r.link(), Clock: r.machine, Journal: ledger.Journal(string(id.Device)),
		Shelf: r.home.Shelf(), Host: r.machine.rules(), Log: zaptest.NewLogger(r.t),
		Limits: agent.Limits{Settle: 10 * time.Millisecond, Look: time.Millisecond, Retry: 10 * time.Millisecond, RetryMax: 100 * time.Millisecond},
	})
	require.NoError(r.t, err)
	ctx, cancel := context.WithTimeout(r.t.Context(), 30*time.Second)
	defer cancel()
	return a.Once(ctx)
}

// restart lets the machine boot anew: it says then what it is.
func (r *resident) restart() {
	r.t.Helper()
	require.NoError(r.t, r.machine.startUp())
}

// copied is the machine as somebody who copies its disk has it, started.
func (r *resident) copied() *resident {
	r.t.Helper()
	from, to := filepath.Dir(string(r.home)), r.t.TempDir()
	require.NoError(r.t, os.CopyFS(to, os.DirFS(from)))
	err := filepath.WalkDir(to, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chmod(path, 0o600) // as the copied files were
	})
	require.NoError(r.t, err)
	twin := r.house.resident(to, r.machine.truth.Facts.Hostname)
	twin.restart()
	return twin
}

// did counts what the machine's package manager did.
func (r *resident) did() (events int) {
	r.t.Helper()
	all, err := Events(filepath.Dir(string(r.home)))
	require.NoError(r.t, err)
	for _, n := range all {
		events += n
	}
	return events
}

// machines are all that the server knows, by the hostname that they say.
func (h *house) machines() map[string][]patching.Asset {
	h.t.Helper()
	all, err := h.store.Assets(h.t.Context(), store.AssetFilter{})
	require.NoError(h.t, err)
	out := map[string][]patching.Asset{}
	for _, a := range all {
		out[a.Hostname] = append(out[a.Hostname], a)
	}
	return out
}

func (h *house) state(d patching.DeviceID) patching.DeviceState {
	h.t.Helper()
	is, err := h.store.Device(h.t.Context(), d)
	require.NoError(h.t, err)
	return is.State
}

// holding is a machine that has an order in hand and no start permit for it.
func (h *house) holding(hostname string) (*resident, patching.DeviceID, patching.WaveID) {
	h.t.Helper()
	r := h.resident(h.t.TempDir(), hostname)
	device, err := r.enrol()
	require.NoError(h.t, err)
	require.NoError(h.t, r.once())
	wave, n := h.stage(h.inventoried(1))
	require.Equal(h.t, 1, n)
	require.NoError(h.t, r.once())
	orders, err := h.store.PendingOrders(h.t.Context(), []patching.DeviceID{device}, time.Now())
	require.NoError(h.t, err)
	require.Len(h.t, orders, 1)
	require.Equal(h.t, patching.StageFetched, orders[0].Stage)
	return r, device, wave
}

// collects gives the device an order that needs no permit, and reports whether the machine
// carried it out.
func (h *house) collects(r *resident, device patching.DeviceID, asset patching.AssetID) bool {
	h.t.Helper()
	id := patching.OrderID("collect-" + string(device))
	require.NoError(h.t, h.server.Dispatcher().Issue(h.t.Context(), []trust.Draft{{
		ID: id, Asset: asset, Device: device, Verb: trust.Collect, NotAfter: time.Now().Add(time.Hour),
	}}))
	if err := r.once(); err != nil {
		return false
	}
	rows, err := h.store.Orders(h.t.Context(), []patching.OrderID{id})
	require.NoError(h.t, err)
	return rows[0].Final
}

// Serves Q15, G6: key and journal copied with the disk, while an order waits for its permit.
func TestACopiedMachineIsNoticedBothAreStoppedAndEachEnrolsAnew(t *testing.T) {
	h := newHouse(t)
	first, device, wave := h.holding("web-1")
	twin := first.copied()
	require.NoError(t, twin.once(), "the first of the two to speak is believed")
	require.Equal(t, patching.DeviceAccepted, h.state(device))
	first.restart()
	_ = first.once() // its message meets one of the same number
	require.Equal(t, patching.DeviceQuarantined, h.state(device))

	h.release(wave)
	for name, r := range map[string]*resident{"the machine": first, "its copy": twin} {
		require.ErrorContains(t, r.once(), "quarantined", name)
		require.Zero(t, r.did(), "%s started what both held", name)
	}

	_, err := first.enrol()
	require.ErrorContains(t, err, "remove it from the machine and enrol with a new one")
	devices := map[patching.DeviceID]bool{device: true}
	for _, r := range []*resident{first, twin} {
		require.NoError(t, os.Remove(filepath.Join(string(r.home), "device.key")))
		fresh, err := r.enrol()
		require.NoError(t, err)
		require.False(t, devices[fresh], "ids are never reused")
		devices[fresh] = true
		require.NoError(t, r.once())
		is, err := h.store.Device(t.Context(), fresh)
		require.NoError(t, err)
		require.Equal(t, patching.DeviceAccepted, is.State)
		require.True(t, h.collects(r, fresh, is.Asset), "it is heard, and obeys")
		require.Zero(t, r.did(), "what the old device was told is not done by the new one")
	}
	require.Equal(t, patching.DeviceQuarantined, h.state(device), "until a person revokes it")
}

// Serves G1, Q15: the same hardware and name with a new key, as after a reinstallation.
func TestAReimagedMachineIsANewDeviceAndDoesNothingThatTheOldOneWasTold(t *testing.T) {
	h := newHouse(t)
	first, old, wave := h.holding("web-1")
	again := h.resident(t.TempDir(), "web-1")
	fresh, err := again.enrol()
	require.NoError(t, err)
	require.NotEqual(t, old, fresh)
	require.NoError(t, again.once())
	h.release(wave)
	require.NoError(t, again.once())
	require.Zero(t, again.did(), "the order is the old device's, under its key")
	require.Equal(t, map[patching.Outcome]int{"": 1}, h.outcomes())

	same := h.machines()["web-1"]
	require.Len(t, same, 2)
	require.Equal(t, same[0].Serial, same[1].Serial, "by which people see that it is one machine")
	was, err := h.store.Device(t.Context(), old)
	require.NoError(t, err)
	require.NoError(t, h.store.ReplaceDevice(t.Context(), old, fresh))
	h.server.DevicesChanged()
	require.Len(t, h.machines()["web-1"], 1)
	require.True(t, h.collects(again, fresh, was.Asset), "it is the machine that it was")
	require.Zero(t, again.did())
	require.ErrorContains(t, first.once(), "revoked", "a disk that somebody puts back")
}

// Serves G1: a name is no identity.
func TestARenamedMachineStaysTheSameDeviceAndItsPlanHolds(t *testing.T) {
	h := newHouse(t)
	r, device, wave := h.holding("web-1")
	before := h.machines()["web-1"][0]
	r.machine.truth.Facts.Hostname = "shop-1"
	r.restart()
	require.NoError(t, r.once())
	now := h.machines()
	require.Empty(t, now["web-1"])
	require.Len(t, now["shop-1"], 1)
	require.Equal(t, before.ID, now["shop-1"][0].ID)
	require.Equal(t, device, now["shop-1"][0].Device)
	h.release(wave)
	require.NoError(t, r.once())
	require.Equal(t, map[patching.Outcome]int{patching.Patched: 1}, h.outcomes())
}
