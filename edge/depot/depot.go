package depot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/singleflight"
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
	fill(&o.Refresh, 5*time.Minute)
	fill(&o.Cache, 20<<30)
	fill(&o.Generations, 8)
	fill(&o.Fetches, 4)
	fill(&o.Stall, 30*time.Second)
	fill(&o.Patience, time.Hour)
	fill(&o.Requests, 128)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	return o
}

func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Depot keeps repositories and their snapshots. Make it with [Open].
type Depot struct {
	opts     Options
	log      *zap.Logger
	blobs    *blobs
	upstream *upstream
	requests chan struct{}

	// life ends what is being fetched; those who wait for it may leave earlier.
	life    context.Context
	end     context.CancelFunc
	flights singleflight.Group
	flying  sync.WaitGroup

	catalogues catalogues
	collecting sync.Mutex

	mu          sync.Mutex
	closed      bool
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
	b, err := openBlobs(filepath.Join(o.Dir, "blobs"))
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
	return d, nil
}

// Close gives up what is being fetched and waits until that has ended.
func (d *Depot) Close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.end()
	d.flying.Wait()
	d.upstream.client.CloseIdleConnections()
}

func (d *Depot) repository(name string) (*Repository, bool) {
	at := slices.IndexFunc(d.opts.Repositories, func(r Repository) bool { return r.Name == name })
	if at < 0 {
		return nil, false
	}
	return &d.opts.Repositories[at], true
}

// once does what key names once for all who ask at the same time. It goes on
// when the asker leaves: a machine that lost patience finds the file when it
// asks again.
func (d *Depot) once(ctx context.Context, key string, do func(context.Context) error) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return http.ErrServerClosed
	}
	d.flying.Add(1)
	d.mu.Unlock()
	done := d.flights.DoChan(key, func() (any, error) {
		ctx, cancel := context.WithTimeout(d.life, d.opts.Patience)
		defer cancel()
		return nil, do(ctx)
	})
	result := make(chan error, 1)
	go func() {
		defer d.flying.Done()
		result <- (<-done).Err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fetch keeps a file of an archive under its hash, from the first of the paths
// that has it.
func (d *Depot) fetch(ctx context.Context, r *Repository, want File, limit int64, paths ...string) error {
	if want.Size > limit {
		return fmt.Errorf("%s has %d bytes, more than the %d that are taken", paths[0], want.Size, limit)
	}
	if d.blobs.has(want) {
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
			if !errors.Is(err, errGone) && !errors.Is(err, errWrongBytes) {
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
	return d.blobs.put(want, body)
}
