// Package feeds keeps the feeds of advisories up to date: it knows when to ask, whom,
// what to keep, and puts on record what came of it. Integrations fetch and read, the
// store remembers; neither knows the other.
package feeds

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/integrations/advisories/shelf"
	"github.com/patchcycle/patchcycle/integrations/advisories/sources"
	"github.com/patchcycle/patchcycle/patching"
)

// Record is what a keeper needs of the store.
type Record interface {
	AddFeedSync(ctx context.Context, f patching.FeedSync) error
	LatestFeedSyncs(ctx context.Context) (map[patching.FeedName][]patching.FeedSync, error)
}

// Options of a keeper. Dir, File and Record are required.
type Options struct {
	// Dir holds the editions.
	Dir string
	// File says where feeds come from. Without it nothing is asked; but where it was
	// Named by somebody, that it is not there is a mistake.
	File  string
	Named bool
	// Record keeps what came of each sync.
	Record Record
	// Fetch is how hosts are asked; its proxy is that of File.
	Fetch  fetch.Options
	Limits advisories.Limits // [advisories.DefaultLimits]
	// Seed tells this server from others, so that not all ask at the same moment.
	Seed string
	// Least is how long after an answer a feed is not asked for again, whoever wants it
	// [1 min; negative: it may be asked for at once].
	Least time.Duration
	Now   func() time.Time // [time.Now]
	Log   *zap.Logger
}

// Keeper is safe for concurrent use.
type Keeper struct {
	Options
	shelf *shelf.Shelf
	life  context.Context //nolint:containedctx // of what goes on when who asked for it has gone
	end   context.CancelFunc
	work  sync.WaitGroup
	// slots bounds how many feeds are brought at once, reading how many are read: a large
	// one takes a gigabyte meanwhile.
	slots, reading chan struct{}
	learned        learned

	mu      sync.Mutex
	config  sources.Config
	trouble string // why File is not in force
	client  *fetch.Client
	jobs    map[patching.FeedName]*job
	// syncs are the newest of each feed, and the newest that counts.
	syncs map[patching.FeedName][]patching.FeedSync
}

const atOnce = 4

// Open opens the editions and reads the file. A mistake in the file is no error: what was
// in force before stays, and [Keeper.Trouble] tells.
func Open(ctx context.Context, o Options) (*Keeper, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Least == 0 {
		o.Least = time.Minute
	}
	if o.Limits == (advisories.Limits{}) {
		o.Limits = advisories.DefaultLimits()
	}
	var err error
	if o.File, err = filepath.Abs(o.File); err != nil {
		return nil, fmt.Errorf("feeds: %w", err)
	}
	k := &Keeper{Options: o, jobs: map[patching.FeedName]*job{}, slots: make(chan struct{}, atOnce), reading: make(chan struct{}, 1)}
	if k.shelf, err = shelf.Open(o.Dir, o.Limits); err != nil {
		return nil, err
	}
	if k.syncs, err = o.Record.LatestFeedSyncs(ctx); err != nil {
		return nil, err
	}
	k.client = fetch.New(o.Fetch)
	k.restore()
	k.Reload()
	k.life, k.end = context.WithCancel(context.WithoutCancel(ctx))
	return k, nil
}

// Close stops what is going on and waits.
func (k *Keeper) Close() {
	k.mu.Lock()
	k.end() // nothing begins after it
	k.mu.Unlock()
	k.work.Wait()
}

// Tend brings those feeds up to date that are due. It does not wait for them.
func (k *Keeper) Tend(context.Context) error {
	k.Reload()
	for _, s := range k.sources() {
		k.mu.Lock()
		var last patching.FeedSync
		if all := k.syncs[s.Name]; len(all) > 0 {
			last = all[0]
		}
		k.mu.Unlock()
		now := k.Now()
		setBack := last.At.After(now.Add(time.Minute)) // the clock: what was asked then says nothing of when to ask
		if due := s.Due(last, k.Seed); !due.IsZero() && (!now.Before(due) || setBack) {
			k.start(s, "")
		}
	}
	return nil
}

func (k *Keeper) sources() []sources.Source {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.config.Feeds
}

// source is where a feed comes from; from nowhere, if the list does not say.
func (k *Keeper) source(name patching.FeedName) sources.Source {
	for _, s := range k.sources() {
		if s.Name == name {
			return s
		}
	}
	return sources.Source{FeedSource: patching.FeedSource{Name: name}}
}

// Sync brings feeds up to date and waits for them; without names all that are asked for.
// What came of each is in the answer, refusals and failures too; the error is about the
// call itself.
func (k *Keeper) Sync(ctx context.Context, names ...patching.FeedName) ([]patching.FeedSync, error) {
	jobs, err := k.begin("", names)
	if err != nil {
		return nil, err
	}
	out := make([]patching.FeedSync, 0, len(jobs))
	for _, j := range jobs {
		select {
		case <-j.done:
		case <-ctx.Done():
			return out, context.Cause(ctx)
		}
		if j.err != nil {
			return out, j.err
		}
		out = append(out, j.sync)
	}
	return out, nil
}

// Start is [Keeper.Sync] for somebody who does not wait. It returns which feeds are being
// brought up to date now, and of which the last answer is so recent that it stands.
func (k *Keeper) Start(by patching.AccountName, names ...patching.FeedName) (started, recent []patching.FeedName, err error) {
	jobs, err := k.begin(by, names)
	for _, j := range jobs {
		if j.recent {
			recent = append(recent, j.feed)
		} else {
			started = append(started, j.feed)
		}
	}
	return started, recent, err
}

// begin starts what is not going on already.
func (k *Keeper) begin(by patching.AccountName, names []patching.FeedName) ([]*job, error) {
	k.Reload()
	var wanted []sources.Source
	for _, s := range k.sources() {
		if len(names) == 0 && s.URL != "" {
			wanted = append(wanted, s)
		}
	}
	for _, name := range names {
		s := k.source(name)
		if s.URL == "" {
			return nil, fmt.Errorf("%w: %s", patching.ErrFeedUnasked, name)
		}
		wanted = append(wanted, s)
	}
	var jobs []*job
	for _, s := range wanted {
		jobs = append(jobs, k.start(s, by))
	}
	return jobs, nil
}

// States says how each feed stands, by name.
func (k *Keeper) States() []patching.FeedState { return k.states(k.editions()) }

// editions are those that count now.
func (k *Keeper) editions() map[patching.FeedName]patching.FeedEdition {
	all := map[patching.FeedName]patching.FeedEdition{}
	for _, name := range k.shelf.Names() {
		all[name] = k.shelf.Kept(name).Edition
	}
	return all
}

// states is how feeds stand with those editions.
func (k *Keeper) states(of map[patching.FeedName]patching.FeedEdition) []patching.FeedState {
	all := map[patching.FeedName]patching.FeedSource{}
	for name := range of {
		all[name] = patching.FeedSource{Name: name}
	}
	for _, s := range k.sources() {
		all[s.Name] = s.FeedSource
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	states := make([]patching.FeedState, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		states = append(states, all[name].State(of[name], k.syncs[name]))
	}
	return states
}

// Running says how far the syncs are that are going on.
func (k *Keeper) Running() map[patching.FeedName]patching.FeedProgress {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := map[patching.FeedName]patching.FeedProgress{}
	for name, j := range k.jobs {
		out[name] = j.progress
	}
	return out
}
