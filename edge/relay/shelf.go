package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/flights"
	"github.com/patchcycle/patchcycle/internal/pause"
	"github.com/patchcycle/patchcycle/internal/stall"
	"github.com/patchcycle/patchcycle/patching"
)

// Files is where packages come from: an [uplink.Client].
type Files interface {
	// Get asks once for a path, from an offset on. A refusal is an [*uplink.Error].
	Get(ctx context.Context, method, path string, from int64) (*http.Response, error)
}

// shelf is what a site keeps of what came from the server: texts by their digest
// (bundles), snapshots' manifests, packages.
//
// A snapshot's name is the beginning of its manifest's digest, and the manifest
// names each file's hash and size. So whoever knows the name from an order, which
// is signed, can check every byte, and so does the shelf before it gives one out.
type shelf struct {
	up    Files
	log   *zap.Logger
	limit int64
	stall time.Duration
	wan   *rate.Limiter // nil: no bound

	texts, manifests, packages *blobs.Store

	flights *flights.Group // what is being fetched

	mu    sync.Mutex
	known map[string]*depot.Snapshot // by name
	held  int64                      // bytes that are about to come

	kept     keptList
	received atomic.Int64 // bytes of packages that came from the server
	served   atomic.Int64 // bytes of packages that machines got
}

// What is kept beside packages, in bytes. A bundle has some kilobytes, a manifest
// a megabyte.
const (
	textsMost     = 256 << 20
	manifestsMost = 1 << 30
)

// wanBurst is how much may come at once under a bound.
const wanBurst = 64 << 10

func openShelf(life context.Context, o Options, log *zap.Logger) (*shelf, error) {
	s := &shelf{up: o.Files, log: log, limit: o.Cache, stall: o.Stall, flights: flights.New(life), known: map[string]*depot.Snapshot{}}
	if o.Rate > 0 {
		s.wan = rate.NewLimiter(rate.Limit(o.Rate), int(max(min(o.Rate, wanBurst), 1<<10)))
	}
	s.kept.file = filepath.Join(o.Dir, "kept.json")
	var err error
	for name, to := range map[string]**blobs.Store{"texts": &s.texts, "manifests": &s.manifests, "packages": &s.packages} {
		if *to, err = blobs.Open(filepath.Join(o.Dir, name)); err != nil {
			return nil, err
		}
	}
	s.kept.load()
	return s, s.loadManifests()
}

func (s *shelf) close() error {
	s.flights.Close()
	return errors.Join(s.texts.Close(), s.manifests.Close(), s.packages.Close())
}

// content returns a text by its digest.
func (s *shelf) content(ctx context.Context, d patching.Digest, up uplink.Link) ([]byte, error) {
	if !d.Valid() {
		return nil, &uplink.Error{Status: http.StatusBadRequest, Words: fmt.Sprintf("%.80q is not a digest", d)}
	}
	file := blobs.File{SHA256: strings.TrimPrefix(string(d), "sha256:"), Size: blobs.AnySize}
	if text, err := s.texts.Read(file); err == nil {
		return text, nil
	}
	err := s.once(ctx, string(d), func(ctx context.Context) error {
		text, err := up.Content(ctx, d)
		if err != nil {
			return err
		}
		if err := s.texts.Put(file, strings.NewReader(string(text))); err != nil {
			return err
		}
		if s.texts.Total() > textsMost {
			return s.texts.Evict(func() map[string]bool { return nil }, textsMost/2)
		}
		return nil
	})
	if full := (*blobs.FullError)(nil); errors.As(err, &full) { // then it is only passed on
		return up.Content(ctx, d)
	}
	if err != nil {
		return nil, err
	}
	return s.texts.Read(file)
}

// snapshot returns a snapshot by its name in paths.
func (s *shelf) snapshot(ctx context.Context, name string) (*depot.Snapshot, error) {
	if one := s.manifest(name); one != nil {
		return one, nil
	}
	err := s.once(ctx, "snapshot "+name, func(ctx context.Context) error {
		resp, err := s.get(ctx, http.MethodGet, patching.SnapshotPath+name, 0, depot.MaxManifest)
		if err != nil {
			return err
		}
		defer resp.Close()
		text, err := io.ReadAll(io.LimitReader(resp, depot.MaxManifest+1))
		if err != nil {
			return err
		}
		if len(text) > depot.MaxManifest {
			return fmt.Errorf("the manifest of snapshot %s has more than %d bytes", name, depot.MaxManifest)
		}
		one, err := depot.ReadSnapshot(text)
		if err == nil && one.Path() != name {
			err = fmt.Errorf("what came has the digest %s", one.ID.Short())
		}
		if err != nil {
			return fmt.Errorf("manifest of snapshot %s: %w", name, err)
		}
		return s.keepManifest(one, text)
	})
	if err != nil {
		return nil, err
	}
	if one := s.manifest(name); one != nil {
		return one, nil
	}
	return nil, fmt.Errorf("snapshot %s is gone again", name)
}

func (s *shelf) manifest(name string) *depot.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name]
}

func (s *shelf) keepManifest(one *depot.Snapshot, text []byte) error {
	file := blobs.File{SHA256: strings.TrimPrefix(string(one.ID), "sha256:"), Size: int64(len(text))}
	if err := s.manifests.Put(file, strings.NewReader(string(text))); err != nil {
		return err
	}
	s.mu.Lock()
	s.known[one.Path()] = one
	s.mu.Unlock()
	s.kept.add(one.Path())
	if s.manifests.Total() <= manifestsMost {
		return nil
	}
	return s.manifests.Evict(func() map[string]bool { return map[string]bool{file.SHA256: true} }, manifestsMost/2)
}

func (s *shelf) loadManifests() error {
	hashes, err := s.manifests.Hashes()
	if err != nil {
		return err
	}
	for _, h := range hashes {
		text, err := s.manifests.Read(blobs.File{SHA256: h, Size: blobs.AnySize})
		if err != nil {
			continue // it was damaged, and comes again
		}
		if one, err := depot.ReadSnapshot(text); err == nil {
			s.known[one.Path()] = one
		}
	}
	return nil
}

// fetch makes sure that a package is here, whole and right.
func (s *shelf) fetch(ctx context.Context, file blobs.File, path string) error {
	if s.packages.Has(file) {
		return nil
	}
	return s.once(ctx, file.SHA256, func(ctx context.Context) error {
		release, err := s.reserve(file.Size)
		if err != nil {
			return err
		}
		defer release()
		ctx, cancel := context.WithTimeout(ctx, s.patience(file.Size))
		defer cancel()
		for idle, wrong := 0, 0; ; {
			begun := int64(0)
			err := s.packages.Fill(file, func(offset int64) (io.ReadCloser, error) {
				body, err := s.get(ctx, http.MethodGet, path, offset, file.Size)
				begun = offset
				return body, err
			})
			var refused *uplink.Error
			var full *blobs.FullError
			switch {
			case errors.Is(err, blobs.ErrWrongBytes):
				wrong++ // once it may have been the beginning that was here
			case errors.As(err, &full):
				if wrong++; wrong == 1 {
					s.evictAll()
				}
			}
			if idle++; s.packages.Begun(file.SHA256) > begun {
				idle = 0
			}
			if err == nil || errors.As(err, &refused) || wrong > 1 || idle > fetchTries {
				return err
			}
			s.log.Info("a download was cut and goes on", zap.String("path", path), zap.Error(err))
			if pause.For(ctx, time.Duration(idle)*time.Second+100*time.Millisecond) != nil {
				return err
			}
		}
	})
}

// A download is given up after fetchTries without a byte, or when it is slower than
// slowest over all.
const (
	fetchTries = 5
	slowest    = 4 << 10 // bytes a second
)

func (s *shelf) patience(size int64) time.Duration {
	pace := float64(slowest)
	if s.wan != nil {
		pace = min(pace, float64(s.wan.Limit())/64) // many share it
	}
	return 5*time.Minute + time.Duration(float64(size)/pace*float64(time.Second))
}

// get reads a file from the server, from an offset on.
func (s *shelf) get(ctx context.Context, method, path string, offset, limit int64) (io.ReadCloser, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	late := time.AfterFunc(s.stall, func() { cancel(fmt.Errorf("the server did not answer for %s", s.stall)) })
	resp, err := s.up.Get(ctx, method, path, offset) //nolint:bodyclose // whoever gets it closes it
	late.Stop()
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		cancel(nil)
		return nil, err
	}
	body := stall.Watch(ctx, cancel, resp.Body, "the server", s.stall)
	if offset > 0 && resp.StatusCode != http.StatusPartialContent { // it sends everything
		if _, err := io.CopyN(io.Discard, body, offset); err != nil {
			body.Close()
			return nil, err
		}
	}
	return &counted{ReadCloser: body, shelf: s, ctx: ctx, left: limit - offset + 1}, nil
}

// counted counts what comes, at most so much of it, and as fast as it may.
type counted struct {
	io.ReadCloser
	shelf *shelf
	ctx   context.Context //nolint:containedctx // the request's
	left  int64
}

// Read implements [io.Reader].
func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), c.left)]
	if c.shelf.wan != nil {
		p = p[:min(len(p), c.shelf.wan.Burst())]
	}
	n, err := c.ReadCloser.Read(p)
	c.left -= int64(n)
	c.shelf.received.Add(int64(n))
	if c.shelf.wan != nil && n > 0 {
		if wait := c.shelf.wan.WaitN(c.ctx, n); wait != nil && err == nil {
			err = wait
		}
	}
	return n, err
}

// once does what key names once for all who ask at the same time.
func (s *shelf) once(ctx context.Context, key string, do func(context.Context) error) error {
	err := s.flights.Do(ctx, key, do)
	if errors.Is(err, flights.ErrClosed) {
		return errOffline
	}
	return err
}
