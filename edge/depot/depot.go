package depot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/internal/flights"
)

// Options are what a depot is opened with.
type Options struct {
	// Dir holds everything; it is made if it is not there. One process uses it.
	Dir          string
	Repositories []Repository
	// Now is the clock by which indexes are judged [time.Now].
	Now func() time.Time
	Log *zap.Logger
	// Refresh is how old an answer of an archive may be before it is asked
	// again [five minutes].
	Refresh time.Duration
	// Cache bounds the bytes that no snapshot and no index needs [20 GB].
	Cache int64
	// Generations is how many indexes of a suite are kept beside those that
	// snapshots need [8]: an old version is known by the index that named it.
	Generations int
	// Fetches bounds how many packages are fetched at a time [4].
	Fetches int
	// Stall is how long an archive may send nothing [30 s], Patience how long
	// one file may take [one hour].
	Stall, Patience time.Duration
	// Requests bounds how many requests are served at a time [128].
	Requests int
}

func (o Options) withDefaults() Options {
	o.Refresh = cmp.Or(o.Refresh, 5*time.Minute)
	o.Cache = cmp.Or(o.Cache, 20<<30)
	o.Generations = cmp.Or(o.Generations, 8)
	o.Fetches = cmp.Or(o.Fetches, 4)
	o.Stall = cmp.Or(o.Stall, 30*time.Second)
	o.Patience = cmp.Or(o.Patience, time.Hour)
	o.Requests = cmp.Or(o.Requests, 128)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

// Depot keeps repositories and their snapshots. Make it with [Open].
type Depot struct {
	opts     Options
	log      *zap.Logger
	blobs    *blobs.Store
	upstream *upstream
	requests chan struct{}

	// flights is what is being fetched. life ends it; those who wait for it may leave
	// earlier.
	flights *flights.Group
	life    context.Context
	end     context.CancelFunc

	catalogues catalogues
	collecting sync.Mutex

	mu          sync.Mutex
	generations []*Generation // newest first within a suite
	asked       map[suiteKey]answer
	pinned      map[string]int // generations that a freeze works with
	snapshots   map[SnapshotID]*Snapshot
}

type suiteKey struct{ repository, suite string }

// answer is how asking for a suite's index last ended.
type answer struct {
	at  time.Time
	err error
}

// Open opens the depot in a folder.
func Open(o Options) (*Depot, error) {
	o = o.withDefaults()
	if o.Dir == "" {
		return nil, errors.New("depot: give the folder that holds it")
	}
	for _, dir := range []string{"generations", "snapshots"} {
		if err := os.MkdirAll(filepath.Join(o.Dir, dir), 0o700); err != nil {
			return nil, fmt.Errorf("depot: %w", err)
		}
	}
	b, err := blobs.Open(filepath.Join(o.Dir, "blobs"))
	if err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	d := &Depot{
		opts: o, log: o.Log, blobs: b, upstream: newUpstream(o.Stall), requests: make(chan struct{}, o.Requests),
		asked: map[suiteKey]answer{}, pinned: map[string]int{}, snapshots: map[SnapshotID]*Snapshot{},
	}
	if err := d.load(); err != nil {
		return nil, fmt.Errorf("depot: %w", err)
	}
	d.life, d.end = context.WithCancel(context.Background())
	d.flights = flights.New(d.life)
	return d, nil
}

// Close gives up what is being fetched and waits until that has ended.
func (d *Depot) Close() {
	d.end()
	d.flights.Close()
	d.upstream.client.CloseIdleConnections()
	_ = d.blobs.Close()
}

func (d *Depot) repository(name string) (*Repository, bool) {
	at := slices.IndexFunc(d.opts.Repositories, func(r Repository) bool { return r.Name == name })
	if at < 0 {
		return nil, false
	}
	return &d.opts.Repositories[at], true
}

// once does what key names once for all who ask at the same time, within the depot's
// patience.
func (d *Depot) once(ctx context.Context, key string, do func(context.Context) error) error {
	return d.flights.Do(ctx, key, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, d.opts.Patience)
		defer cancel()
		return do(ctx)
	})
}

// fetch keeps a file of an archive under its hash, from the first of the paths
// that has it.
func (d *Depot) fetch(ctx context.Context, r *Repository, want File, limit int64, paths ...string) error {
	if want.Size > limit {
		return fmt.Errorf("%s has %d bytes, more than the %d that are taken", paths[0], want.Size, limit)
	}
	if d.blobs.Has(want) {
		return nil
	}
	return d.once(ctx, want.SHA256, func(ctx context.Context) error {
		var why error
		for _, path := range paths {
			err := d.fetchOne(ctx, r, want, path)
			if err == nil {
				d.log.Debug("fetched", zap.String("repository", r.Name), zap.String("file", path), zap.Int64("bytes", want.Size))
				return nil
			}
			why = fmt.Errorf("%s of %s: %w", path, r.Name, err)
			if !errors.Is(err, errGone) && !errors.Is(err, blobs.ErrWrongBytes) {
				break // the next path is of the same archive
			}
		}
		return why
	})
}

func (d *Depot) fetchOne(ctx context.Context, r *Repository, want File, path string) error {
	body, err := d.upstream.open(ctx, r.URL, path)
	if err != nil {
		return err
	}
	defer body.Close()
	return d.blobs.Put(want, body)
}
