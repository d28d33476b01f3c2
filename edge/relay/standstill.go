package relay

import (
	"context"
	"time"

	"github.com/patchcycle/patchcycle/edge/holdfile"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
)

// holdEvery is how often the relay looks whether somebody holds its site.
const holdEvery = time.Second

// watchHold looks after the file by which a person holds the site's machines, until ctx
// ends: it works without a line, and against whoever is at its other end.
func (r *Relay) watchHold(ctx context.Context) {
	for {
		own := holdfile.Read(r.opts.Dir)
		r.mu.Lock()
		changed := !own.Same(r.own)
		if changed {
			r.own, r.heldNew = own, true
		}
		r.mu.Unlock()
		if changed { // the server's word is spread by who hears it, after the news that came with it
			r.spread()
		}
		if pause.For(ctx, holdEvery) != nil {
			return
		}
	}
}

// holdNow is what machines are told of a hold: the site's own, or the server's.
func (r *Relay) holdNow() *uplink.Hold {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holdInForce()
}

// holdInForce: the caller holds mu.
func (r *Relay) holdInForce() *uplink.Hold {
	if r.own.In(r.opts.Now()) {
		return r.own
	}
	return r.held
}
