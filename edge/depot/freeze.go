package depot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
)

// Request is what to freeze.
type Request struct {
	// Repositories by name; empty: all.
	Repositories []string
	Wanted       []Wanted
}

// Freeze makes a snapshot of what the repositories say now: their signed indexes,
// and each package version that is wanted, as far as it can be had. Had is also
// what an older index names, if that index is kept and the file is here or still
// in the archive: that is how the version that is being replaced stays.
//
// Indexes are judged now, and never again. A version that cannot be had is
// listed with the reason; an index that cannot be trusted, and a disk that is
// full, are errors. Freeze can be called again after it broke off: what it
// fetched is here.
func (d *Depot) Freeze(ctx context.Context, r Request) (*Snapshot, error) {
	f := &freeze{depot: d, had: map[Wanted]File{}, why: map[Wanted]Why{}, silent: map[string]int{}}
	f.wanted = slices.Clone(r.Wanted)
	slices.SortFunc(f.wanted, compareWanted)
	f.wanted = slices.Compact(f.wanted)
	for _, w := range f.wanted {
		if err := patching.ValidatePackage(w.Name, w.Arch, w.Version); err != nil {
			return nil, fmt.Errorf("freeze: %w", err)
		}
		f.why[w] = NotNamed
	}
	defer f.unpin()
	if err := f.indexes(ctx, r.Repositories); err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	if err := f.packages(ctx); err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	s, err := f.snapshot()
	if err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	return s, nil
}

// freeze is a snapshot in the making.
type freeze struct {
	depot  *Depot
	wanted []Wanted
	// current are the newest generations, older those before them that are
	// kept, from the newest to the oldest of each suite.
	current, older []*Generation
	// carried are the older ones that name something that the snapshot has.
	carried []*Generation
	pins    []func()

	mu  sync.Mutex
	had map[Wanted]File
	why map[Wanted]Why
	// silent counts files that an archive did not deliver.
	silent map[string]int
}

func (f *freeze) unpin() {
	for _, unpin := range f.pins {
		unpin()
	}
}

// indexes brings the suites up to date and collects their generations.
func (f *freeze) indexes(ctx context.Context, names []string) error {
	d := f.depot
	for _, name := range names {
		if _, ok := d.repository(name); !ok {
			return fmt.Errorf("repository %q is not in the list of repositories", name)
		}
	}
	for n := range d.opts.Repositories {
		r := &d.opts.Repositories[n]
		if len(names) > 0 && !slices.Contains(names, r.Name) {
			continue
		}
		for _, suite := range r.Suites {
			if err := f.suite(ctx, r, suite); err != nil {
				return err
			}
		}
	}
	return nil
}

// suite takes the generations of a suite. An archive that does not answer is no
// reason to wait: the last good index will do, while it is valid.
func (f *freeze) suite(ctx context.Context, r *Repository, suite string) error {
	d, key := f.depot, suiteKey{r.Name, suite}
	refused := d.refresh(ctx, r, suite)
	all, unpin := d.hold(key)
	f.pins = append(f.pins, unpin)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var good []*Generation
	for n, g := range all {
		err := d.trust(g)
		switch {
		case err != nil && n == 0: // to go on with the one before would be to go back in time
			return errors.Join(fmt.Errorf("index of %s %s: %w", r.Name, suite, err), refused)
		case err != nil:
			d.log.Warn("an index that was accepted before is no longer used", zap.String("generation", g.ID), zap.Error(err))
		default:
			good = append(good, g)
		}
	}
	if len(good) == 0 {
		return refused
	}
	if until := good[0].ValidUntil; !until.IsZero() && !d.opts.Now().Before(until) {
		return errors.Join(fmt.Errorf("index of %s %s: the last good one was valid until %s", r.Name, suite, apt.Stamp(until)), refused)
	}
	f.current, f.older = append(f.current, good[0]), append(f.older, good[1:]...)
	return nil
}

// packages gets what is wanted from the current indexes, and what is left from
// the older ones.
func (f *freeze) packages(ctx context.Context) error {
	left := f.wanted
	for n, g := range slices.Concat(f.current, f.older) {
		if len(left) == 0 {
			return nil
		}
		got, err := f.from(ctx, g, left)
		if err != nil {
			return err
		}
		if got && n >= len(f.current) {
			f.carried = append(f.carried, g)
		}
		left = slices.DeleteFunc(slices.Clone(left), func(w Wanted) bool { _, had := f.had[w]; return had })
	}
	return nil
}

// from gets what a generation names, a few at a time. It reports whether
// anything was had.
func (f *freeze) from(ctx context.Context, g *Generation, wanted []Wanted) (got bool, err error) {
	r, ok := f.depot.repository(g.Repository)
	if !ok {
		return false, nil
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(f.depot.opts.Fetches)
	for _, i := range g.Indexes {
		c, err := f.depot.catalogues.get(f.depot.blobs, i, File{})
		if err != nil {
			return false, err
		}
		for _, w := range wanted {
			e, ok := c.find(w)
			if !ok {
				continue
			}
			group.Go(func() error {
				had, err := f.get(ctx, r, w, e)
				f.mu.Lock()
				got = got || had
				f.mu.Unlock()
				return err
			})
		}
	}
	err = group.Wait()
	return got, err
}

// get gets one package file; the error is one that ends the freeze.
func (f *freeze) get(ctx context.Context, r *Repository, w Wanted, e *entry) (had bool, err error) {
	d, file := f.depot, e.file()
	unpin := d.blobs.Pin(file.SHA256)
	err = f.fetch(ctx, r, file, e.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pins = append(f.pins, unpin)
	if err == nil {
		f.had[w] = file
		return true, nil
	}
	d.log.Warn("a package could not be frozen", zap.String("package", w.Name), zap.String("version", w.Version), zap.Error(err))
	var full *blobs.FullError
	switch {
	case errors.As(err, &full), ctx.Err() != nil, d.life.Err() != nil:
		return false, err
	case errors.Is(err, errGone):
		f.why[w] = Gone
	case errors.Is(err, blobs.ErrWrongBytes):
		f.why[w] = WrongBytes
	default:
		f.why[w] = NotFetched
		f.silent[r.Name]++
	}
	return false, nil
}

// Bounds of patience with an archive: how often a file is tried that could not be
// fetched for a reason that may pass, and how many such files there may be before
// the archive is taken to be down. Each could cost a minute of waiting.
const (
	tries     = 3
	maxSilent = 8
)

var errDown = errors.New("the archive did not deliver other files; this one was not tried")

func (f *freeze) fetch(ctx context.Context, r *Repository, file File, path string) (err error) {
	d := f.depot
	for try := range tries {
		f.mu.Lock()
		down := f.silent[r.Name] >= maxSilent
		f.mu.Unlock()
		if down && !d.blobs.Has(file) {
			return cmp.Or(err, errDown)
		}
		err = d.fetch(ctx, r, file, maxPackage, path)
		var full *blobs.FullError
		if err == nil || errors.Is(err, errGone) || errors.Is(err, blobs.ErrWrongBytes) || errors.As(err, &full) || d.life.Err() != nil {
			return err
		}
		select {
		case <-time.After(time.Duration(try+1) * d.opts.Stall / 10):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// snapshot writes the manifest down.
func (f *freeze) snapshot() (*Snapshot, error) {
	d, s := f.depot, &Snapshot{}
	carried := slices.Concat(f.current, f.carried)
	slices.SortStableFunc(carried, func(a, b *Generation) int {
		return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Suite, b.Suite), newestFirst(a, b))
	})
	for _, g := range carried {
		s.Generations = append(s.Generations, Frozen{Repository: g.Repository, Generation: g.ID, Suite: g.Suite, Release: g.Release, Indexes: g.Indexes})
	}
	for _, w := range f.wanted {
		if file, ok := f.had[w]; ok {
			s.Packages = append(s.Packages, Had{Wanted: w, File: file})
		} else {
			s.Missing = append(s.Missing, Missing{Wanted: w, Why: f.why[w]})
		}
	}
	if err := d.places(s, carried); err != nil {
		return nil, err
	}
	text, err := s.manifest()
	if err != nil {
		return nil, err
	}
	s.ID = patching.DigestOf(text)
	if kept, ok := d.Snapshot(s.ID); ok {
		return kept, nil
	}
	if err := d.write(d.snapshotFile(s.ID), text); err != nil {
		return nil, err
	}
	s.index()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.snapshots[s.ID] = s
	return s, nil
}

func (d *Depot) snapshotFile(id SnapshotID) string {
	return filepath.Join(d.opts.Dir, "snapshots", strings.TrimPrefix(string(id), "sha256:")+".json")
}

// places finds all names that the packages have in the generations.
func (d *Depot) places(s *Snapshot, generations []*Generation) error {
	for _, g := range generations {
		for _, i := range g.Indexes {
			c, err := d.catalogues.get(d.blobs, i, File{})
			if err != nil {
				return err
			}
			for n := range s.Packages {
				p := &s.Packages[n]
				e, ok := c.find(p.Wanted)
				if !ok || e.file() != p.File {
					continue
				}
				if place := (Place{Generation: g.ID, Path: e.path}); !slices.Contains(p.Places, place) {
					p.Places = append(p.Places, place)
				}
			}
		}
	}
	return nil
}
