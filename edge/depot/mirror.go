package depot

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/flights"
	"github.com/patchcycle/patchcycle/patching"
)

// MirrorPath is below which a depot serves repositories as they are now.
const MirrorPath = "/apt/"

// Handler serves /apt/REPOSITORY/… and [patching.Sources.Path]/….
// Nothing in a path is ever a path on the disk: it is looked up in signed
// indexes, and what they do not name is not there.
func (d *Depot) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+MirrorPath+"{repository}/{path...}", d.limited(d.mirror))
	mux.HandleFunc("GET "+patching.SnapshotPath+"{$}", d.limited(d.list))
	mux.HandleFunc("GET "+patching.SnapshotPath+"{id}", d.limited(d.manifest))
	mux.HandleFunc("GET "+patching.SnapshotPath+"{id}/{repository}/{generation}/{path...}", d.limited(d.frozen))
	return mux
}

// limited answers "try again" when too many requests are under way.
func (d *Depot) limited(serve http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case d.requests <- struct{}{}:
			defer func() { <-d.requests }()
			serve(w, r)
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "the server is busy; try again", http.StatusServiceUnavailable)
		}
	}
}

// mirror serves what the archive has now, fetching what is not here yet.
func (d *Depot) mirror(w http.ResponseWriter, r *http.Request) {
	repo, ok := d.repository(r.PathValue("repository"))
	if !ok {
		http.Error(w, "no such repository is configured on this server", http.StatusNotFound)
		return
	}
	name := r.PathValue("path")
	for _, suite := range repo.Suites {
		if below, ok := strings.CutPrefix(name, "dists/"+suite+"/"); ok && d.index(w, r, repo, suite, below) {
			return
		}
	}
	e, err := d.packageAt(repo, name)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	if e == nil {
		http.Error(w, "no index of this repository names such a file", http.StatusNotFound)
		return
	}
	d.pass(w, r, repo, e.file(), maxPackage, e.path)
}

// index serves a file below dists/SUITE; false: the suite has none of that name.
func (d *Depot) index(w http.ResponseWriter, r *http.Request, repo *Repository, suite, name string) bool {
	key := suiteKey{repo.Name, suite}
	if name == "InRelease" {
		// Refused or not there: the last good one goes out, and apt itself judges
		// how old it is.
		err := d.refresh(r.Context(), repo, suite)
		if g := d.head(key); g != nil {
			// Its own date, for two may come within the second that HTTP counts in.
			d.serveAs(w, r, g.Release, g.Date)
			return true
		}
		d.refuse(w, r, err)
		return true
	}
	generations := d.of(key)
	if dir, hash := path.Split(name); apt.IsSHA256(hash) && strings.HasSuffix(dir, "/by-hash/SHA256/") {
		// A machine may still go by the index before the newest.
		for _, g := range generations {
			if release, err := d.release(g); err == nil {
				if full, ok := release.ByHash(strings.TrimSuffix(dir, "/by-hash/SHA256/"), hash); ok {
					file, _ := release.File(full)
					d.pass(w, r, repo, file, maxIndex, release.Paths(suite, full)...)
					return true
				}
			}
		}
		return false
	}
	if len(generations) == 0 {
		return false
	}
	release, err := d.release(generations[0])
	if err != nil {
		d.refuse(w, r, err)
		return true
	}
	file, ok := release.File(name)
	if ok {
		d.pass(w, r, repo, file, maxIndex, release.Paths(suite, name)...)
	}
	return ok
}

// release reads a generation's InRelease. Its signature was checked when it was
// accepted, its bytes are when it is opened.
func (d *Depot) release(g *Generation) (*apt.Release, error) {
	g.parse.Lock()
	defer g.parse.Unlock()
	if g.parsed != nil {
		return g.parsed, nil
	}
	text, err := d.blobs.Read(g.Release)
	if err != nil {
		return nil, err
	}
	g.parsed, err = apt.ReadVerified(text)
	return g.parsed, err
}

// packageAt finds a package file by its name: in the newest indexes, and in
// those before, for a machine that has not asked for the newest yet.
func (d *Depot) packageAt(repo *Repository, name string) (*entry, error) {
	for depth := range depthSearched {
		for _, suite := range repo.Suites {
			all := d.of(suiteKey{repo.Name, suite})
			if depth >= len(all) {
				continue
			}
			for _, i := range all[depth].Indexes {
				c, err := d.catalogues.get(d.blobs, i, File{})
				if err != nil {
					return nil, err
				}
				if e, ok := c.at(name); ok {
					return e, nil
				}
			}
		}
	}
	return nil, nil
}

// pass serves a file, fetching it first if need be. It goes out once it was
// checked as a whole.
func (d *Depot) pass(w http.ResponseWriter, r *http.Request, repo *Repository, file File, limit int64, paths ...string) {
	unpin := d.blobs.Pin(file.SHA256)
	defer unpin()
	if err := d.fetch(r.Context(), repo, file, limit, paths...); err != nil {
		d.refuse(w, r, err)
		return
	}
	d.serve(w, r, file)
	d.collectSometimes()
}

// frozen serves what a snapshot has.
func (d *Depot) frozen(w http.ResponseWriter, r *http.Request) {
	s, ok := d.byPath(r.PathValue("id"))
	if !ok {
		http.Error(w, "no such snapshot is kept on this server", http.StatusNotFound)
		return
	}
	file, ok := s.At(r.PathValue("repository"), r.PathValue("generation"), r.PathValue("path"))
	if !ok {
		http.Error(w, "the snapshot has no such file", http.StatusNotFound)
		return
	}
	d.serve(w, r, file)
}

// serve sends a file that is here.
func (d *Depot) serve(w http.ResponseWriter, r *http.Request, file File) {
	d.serveAs(w, r, file, time.Time{})
}

// serveAs sends a file with its time; zero: when it came.
func (d *Depot) serveAs(w http.ResponseWriter, r *http.Request, file File, at time.Time) {
	f, err := d.blobs.Open(file)
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		d.refuse(w, r, err)
		return
	}
	if at.IsZero() {
		at = info.ModTime()
	}
	blobs.Serve(w, r, f, file, at)
}

// refuse answers why a file cannot be had. Apt prints the status alone, so the
// particulars go into the log as well.
func (d *Depot) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	status, words := http.StatusBadGateway, "the archive's file could not be had, or is not the one that was signed; the server's log says more"
	var full *blobs.FullError
	switch {
	case errors.Is(err, errGone):
		status, words = http.StatusNotFound, "the archive no longer has this file"
	case errors.As(err, &full):
		status, words = http.StatusInsufficientStorage, "the server's disk is full"
	case errors.Is(err, blobs.ErrDamaged), errors.Is(err, fs.ErrNotExist), errors.Is(err, os.ErrPermission):
		status, words = http.StatusInternalServerError, "the server's copy of this file is lost or was changed"
	case errors.Is(err, flights.ErrClosed), errors.Is(err, context.Canceled):
		status, words = http.StatusServiceUnavailable, "the server stops; try again"
	}
	d.log.Warn("a file was refused", zap.String("path", r.URL.Path), zap.Int("status", status), zap.Error(err))
	http.Error(w, words, status)
}
