package root

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// hub knows who waits for news of which device, and what the newest news of
// each device are, so that a poll for thousands of devices of which one has
// news costs one question for that one.
//
// What it knows are hints: it is told by the dispatcher of this process, and
// each device is looked up in the store again from time to time.
type hub struct {
	seed   maphash.Seed
	shards [64]shard
}

type shard struct {
	mu      sync.Mutex
	devices map[patching.DeviceID]*watch
}

// watch is what the hub knows of one device.
type watch struct {
	seq        uint64    // of the newest order
	leaseUntil time.Time // of the latest lease
	// version grows with each piece of news: what was read from the store
	// before does not overwrite it.
	version uint64
	checked time.Time // when the store was last asked; zero: never
	waiter  *waiter
}

// waiter is a poll that waits, for one device or for thousands.
type waiter struct {
	wake chan struct{}
	mu   sync.Mutex
	news []patching.DeviceID
}

// position is how far a device has come.
type position struct {
	device     patching.DeviceID
	seq        uint64
	leaseUntil time.Time
}

// lookup is a device to be read from the store, with the version of what the
// hub knew when that was decided.
type lookup struct {
	device  patching.DeviceID
	version uint64
}

func newHub() *hub {
	h := &hub{seed: maphash.MakeSeed()}
	for i := range h.shards {
		h.shards[i].devices = map[patching.DeviceID]*watch{}
	}
	return h
}

func newWaiter() *waiter { return &waiter{wake: make(chan struct{}, 1)} }

// enter lets w wait for devices and returns those that may have news already:
// the hub knows of some, or has not looked since stale. A later poll for a
// device takes over from an earlier one.
func (h *hub) enter(w *waiter, at []position, stale time.Time) []lookup {
	var look []lookup
	for _, p := range at {
		h.with(p.device, func(d *watch) {
			d.waiter = w
			if d.seq > p.seq || d.leaseUntil.After(p.leaseUntil) || d.checked.Before(stale) {
				look = append(look, lookup{p.device, d.version})
			}
		})
	}
	return look
}

// leave ends the waiting.
func (h *hub) leave(w *waiter, at []position) {
	for _, p := range at {
		h.with(p.device, func(d *watch) {
			if d.waiter == w {
				d.waiter = nil
			}
		})
	}
}

// tell notes news of a device and wakes who waits for them.
func (h *hub) tell(p position) {
	h.with(p.device, func(d *watch) {
		d.seq = max(d.seq, p.seq)
		if p.leaseUntil.After(d.leaseUntil) {
			d.leaseUntil = p.leaseUntil
		}
		d.version++
		if d.waiter != nil {
			d.waiter.add(p.device)
		}
	})
}

// again returns lookups of devices about which a waiter was woken.
func (h *hub) again(devices []patching.DeviceID) []lookup {
	look := make([]lookup, 0, len(devices))
	for _, id := range devices {
		h.with(id, func(d *watch) { look = append(look, lookup{id, d.version}) })
	}
	return look
}

// learn notes what the store had, by device, at the time of now. Devices
// without pending orders are not in found.
func (h *hub) learn(looked []lookup, found map[patching.DeviceID]position, now time.Time) {
	for _, l := range looked {
		p := found[l.device]
		h.with(l.device, func(d *watch) {
			d.checked = now
			if d.version == l.version {
				d.seq, d.leaseUntil = p.seq, p.leaseUntil
			}
		})
	}
}

func (h *hub) with(id patching.DeviceID, do func(*watch)) {
	s := &h.shards[maphash.String(h.seed, string(id))%uint64(len(h.shards))]
	s.mu.Lock()
	defer s.mu.Unlock()
	d, ok := s.devices[id]
	if !ok {
		d = &watch{}
		s.devices[id] = d
	}
	do(d)
}

func (w *waiter) add(id patching.DeviceID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.news = append(w.news, id)
	select {
	case w.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (w *waiter) take() []patching.DeviceID {
	w.mu.Lock()
	defer w.mu.Unlock()
	news := w.news
	w.news = nil
	return news
}
