package relay

import (
	"context"
	"encoding/json"
	"path"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// stage fetches what orders will need when they pass, which is before their window: the
// machines then find it here. An order is only looked at for that, and not believed: a
// forged one makes a relay fetch what the server has anyway.
type stage struct {
	relay *Relay
	queue chan patching.Digest

	mu   sync.Mutex
	seen map[patching.Digest]bool
}

// How staging goes.
const (
	stageQueue = 1000 // bundles that wait; further ones are fetched when machines ask
	stageSeen  = 100_000
	stageTries = 30
	// stageAtOnce leaves room on the line for what machines ask for now.
	stageAtOnce = 2
)

func newStage(r *Relay) *stage {
	return &stage{relay: r, queue: make(chan patching.Digest, stageQueue), seen: map[patching.Digest]bool{}}
}

// look notes the bundles of orders that pass.
func (s *stage) look(orders []uplink.SignedOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range orders {
		d, ok := bundleOf(o.Envelope)
		if !ok || s.seen[d] {
			continue
		}
		if len(s.seen) >= stageSeen {
			clear(s.seen)
		}
		select {
		case s.queue <- d:
			s.seen[d] = true
		default: // the queue is full
		}
	}
}

// bundleOf reads from an order what it will download.
func bundleOf(envelope []byte) (patching.Digest, bool) {
	var e struct {
		Payload []byte `json:"payload"`
	}
	var o struct {
		Verb   trust.Verb      `json:"verb"`
		Bundle patching.Digest `json:"bundle"`
	}
	if len(envelope) > trust.MaxEnvelope || json.Unmarshal(envelope, &e) != nil || json.Unmarshal(e.Payload, &o) != nil {
		return "", false
	}
	return o.Bundle, o.Bundle.Valid() && slices.Contains([]trust.Verb{trust.Apply, trust.Prefetch}, o.Verb)
}

// run fetches until ctx ends. What fails is tried again: the line may be down.
func (s *stage) run(ctx context.Context) {
	for {
		select {
		case d := <-s.queue:
			for tries := 1; ctx.Err() == nil; tries++ {
				err := s.fetch(ctx, d)
				if err == nil {
					break
				}
				s.relay.log.Warn("a bundle could not be staged", zap.String("bundle", d.Short()), zap.Error(err))
				if uplink.Refusal(err) != nil || tries == stageTries || pause.For(ctx, s.relay.retry()+time.Duration(tries)*time.Second) != nil {
					break
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// fetch makes sure that all that a bundle needs is here.
func (s *stage) fetch(ctx context.Context, d patching.Digest) error {
	shelf := s.relay.shelf
	text, err := shelf.content(ctx, d, s.relay.opts.Up)
	if err != nil {
		return err
	}
	b, err := patching.ParseBundle(text)
	if err != nil {
		return nil //nolint:nilerr // it is no bundle of ours: the machines will say so
	}
	if b.Sources == "" { // of the machines' own sources: theirs to fetch
		return nil
	}
	if text, err = shelf.content(ctx, b.Sources, s.relay.opts.Up); err != nil {
		return err
	}
	sources, err := patching.ParseSources(text)
	if err != nil {
		return nil //nolint:nilerr // the machines will say so
	}
	one, err := shelf.snapshot(ctx, sources.Snapshot)
	if err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(stageAtOnce)
	var bytes int64
	for _, f := range filesOf(one, b) {
		bytes += f.file.Size
		group.Go(func() error { return shelf.fetch(ctx, f.file, f.path) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	s.relay.log.Info("staged", zap.String("bundle", d.Short()), zap.Int("packages", len(b.Patches())), zap.Int64("bytes", bytes))
	return nil
}

// located is a file with where the server has it.
type located struct {
	file depot.File
	path string
}

// filesOf lists what a machine fetches for a bundle: the snapshot's indexes, and the
// packages.
func filesOf(one *depot.Snapshot, b patching.Bundle) (all []located) {
	base := map[string]string{}
	for _, g := range one.Generations {
		at := path.Join(patching.SnapshotPath, one.Path(), g.Repository, g.Generation)
		base[g.Generation] = at
		suite := at + "/dists/" + g.Suite + "/"
		all = append(all, located{g.Release, suite + "InRelease"})
		for _, i := range g.Indexes {
			all = append(all, located{i.File, suite + i.Path})
		}
	}
	for _, p := range b.Patches() {
		had, ok := one.Find(p.Name, p.Arch, p.To)
		if ok && len(had.Places) > 0 {
			all = append(all, located{had.File, base[had.Places[0].Generation] + "/" + had.Places[0].Path})
		}
	}
	return all
}
