package root

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"
)

// presence notes which parts of the path to the machines listen: the silence of
// a machine counts only while all of them did.
type presence struct {
	store Store
	now   func() time.Time
	every time.Duration
	log   *zap.Logger

	mu     sync.Mutex
	relays map[string]*route
}

// route is a relay as this server sees it.
type route struct {
	polls int  // under way
	heard bool // since the last note
}

// relayEvery is how many notes of the server come to one of a relay: a site's
// outage is measured in minutes, and each note is a write.
const relayEvery = 2

func newPresence(o Options) *presence {
	return &presence{store: o.Store, now: o.Now, every: o.Presence, log: o.Log, relays: map[string]*route{}}
}

// listening notes that a poll of a relay begins; call the returned function
// when it ends. Direct machines have no relay whose silence could matter.
func (p *presence) listening(relay string) (done func()) {
	if relay == "" {
		return func() {}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r, ok := p.relays[relay]
	if !ok {
		r = &route{}
		p.relays[relay] = r
	}
	r.polls++
	r.heard = true
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		r.polls--
	}
}

func (p *presence) run(ctx context.Context) {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for n := 0; ; n++ {
		p.note(ctx, "server", 3*p.every)
		if n%relayEvery == 0 {
			for _, relay := range p.heard() {
				p.note(ctx, "relay/"+relay, 3*relayEvery*p.every)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (p *presence) heard() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var names []string
	for name, r := range p.relays {
		if r.heard || r.polls > 0 {
			names = append(names, name)
		}
		if r.heard = false; r.polls == 0 {
			delete(p.relays, name)
		}
	}
	return names
}

func (p *presence) note(ctx context.Context, part string, gap time.Duration) {
	// A note that fails is a gap in what counts as silence: the safe side.
	if err := p.store.Listened(ctx, part, p.now(), gap); err != nil && ctx.Err() == nil {
		p.log.Error("note who listens", zap.String("part", part), zap.Error(err))
	}
}
