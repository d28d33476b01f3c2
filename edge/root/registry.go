package root

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// How old the registry may be: for devices that it has, and before it is read
// again for one that it does not have.
const (
	registryLife = time.Minute
	registryMiss = 2 * time.Second
)

// registry knows the enrolled keys, so that a message costs no question to the
// store. State changes made elsewhere show within registryLife; the store
// refuses reports of a device that is not accepted by itself.
type registry struct {
	store Store
	now   func() time.Time
	rate  rate.Limit
	burst int

	loading singleflight.Group
	mu      sync.RWMutex
	devices map[patching.DeviceID]*device
	read    time.Time
}

// device is an enrolled key with what was seen of it since the start.
type device struct {
	id    patching.DeviceID
	asset patching.AssetID
	key   trust.PublicKey

	mu    sync.Mutex
	state patching.DeviceState
	limit *rate.Limiter
	hello greeting
	// off is how far its clock was ahead of ours when it made its newest hello, 0
	// for close enough; noted is what the store has of that.
	off, noted time.Duration
}

// greeting is the newest hello of a device.
type greeting struct {
	counter   uint64
	digest    patching.Digest
	signature string
	first     time.Time // when it was first seen
}

func newRegistry(o Options) *registry {
	return &registry{store: o.Store, now: o.Now, rate: rate.Limit(o.Rate), burst: o.Burst, devices: map[patching.DeviceID]*device{}}
}

// find returns the devices of those ids; one that nobody enrolled is missing.
func (r *registry) find(ctx context.Context, ids []patching.DeviceID) (map[patching.DeviceID]*device, error) {
	found, missing, age := r.known(ids)
	if age < registryLife && (missing == 0 || age < registryMiss) {
		return found, nil
	}
	_, err, _ := r.loading.Do("", func() (any, error) { return nil, r.load(ctx) })
	if err != nil && missing > 0 {
		return nil, err
	}
	// Devices that are known stay so while the store does not answer.
	found, _, _ = r.known(ids)
	return found, nil
}

func (r *registry) known(ids []patching.DeviceID) (found map[patching.DeviceID]*device, missing int, age time.Duration) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	found = make(map[patching.DeviceID]*device, len(ids))
	for _, id := range ids {
		if d, ok := r.devices[id]; ok {
			found[id] = d
		} else {
			missing++
		}
	}
	return found, missing, r.now().Sub(r.read)
}

func (r *registry) load(ctx context.Context) error {
	began := r.now()
	all, err := r.store.Devices(ctx)
	if err != nil {
		return fmt.Errorf("read the enrolled devices: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range all {
		r.setLocked(d)
	}
	r.read = began
	return nil
}

// set takes over what the store says of a device.
func (r *registry) set(d patching.Device) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setLocked(d)
}

func (r *registry) setLocked(d patching.Device) {
	have, ok := r.devices[d.ID]
	if !ok {
		r.devices[d.ID] = &device{id: d.ID, asset: d.Asset, key: d.Key, state: d.State, limit: rate.NewLimiter(r.rate, r.burst), off: d.ClockOff, noted: d.ClockOff}
		return
	}
	have.mu.Lock()
	defer have.mu.Unlock()
	have.state = d.State
}

// expire has the devices read again at the next question.
func (r *registry) expire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = time.Time{}
}

func (d *device) accepted() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.state == patching.DeviceAccepted
}

func (d *device) quarantine() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = patching.DeviceQuarantined
}

// greet judges a hello: empty if it is good. The same one is good for
// [uplink.HelloLife] from when it was first seen; an older one never is again.
// Only a hello that was not seen before costs a signature check.
//
// Two that the key has signed under one number are the sign of a copy, as two messages
// are: forked is true, once. It counts here, for a machine whose hello is called stale
// makes another, and so passes over the number at which its messages would have met.
func (d *device) greet(m *uplink.Message, fleet string, now time.Time) (why string, stale, forked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch d.state {
	case patching.DeviceAccepted:
	case patching.DevicePending:
		return "this machine waits for somebody to accept it", false, false
	default:
		return fmt.Sprintf("this machine is %s: enrol it again", d.state), false, false
	}
	switch {
	case m.Kind != uplink.KindHello:
		return "a poll carries hellos", false, false
	case m.Counter < d.hello.counter:
		return "older than another hello of this device", true, false
	case m.Counter == d.hello.counter && string(m.Signature) == d.hello.signature && m.Digest(fleet) == d.hello.digest:
		if now.Sub(d.hello.first) > uplink.HelloLife {
			return "seen too long ago", true, false
		}
		return "", false, false
	case m.Counter == d.hello.counter:
		if m.Digest(fleet) == d.hello.digest || m.Verify(fleet, []byte(d.key)) != nil {
			return "another hello has this number", true, false
		}
		d.state = patching.DeviceQuarantined
		return fmt.Sprintf("this machine is %s: enrol it again", d.state), false, true
	}
	if err := m.Verify(fleet, []byte(d.key)); err != nil {
		return err.Error(), false, false
	}
	hello, err := uplink.Decode[uplink.Hello](m.Body)
	if err != nil {
		return err.Error(), false, false
	}
	// A hello is seen as soon as it is made; one that was held up shows its
	// machine's clock behind.
	d.off = trust.ClockOff(hello.At, now)
	d.hello = greeting{counter: m.Counter, digest: m.Digest(fleet), signature: string(m.Signature), first: now}
	return "", false, false
}

// news is how far the clock is off, if that is news to the store.
func (d *device) news() (off time.Duration, news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off, trust.ClockNews(d.off, d.noted)
}

func (d *device) note(off time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted = off
}
