package relay

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/blobs"
	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/patching"
)

// handle serves packages, under the paths that the server has them.
func (s *shelf) handle(mux *http.ServeMux, most int) {
	if s.up == nil {
		return
	}
	slots := make(chan struct{}, most)
	serve := func(pattern string, do func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			select {
			case slots <- struct{}{}:
				defer func() { <-slots }()
			default:
				w.Header().Set("Retry-After", "5")
				http.Error(w, "the relay is busy; try again", http.StatusServiceUnavailable)
				return
			}
			if err := do(&sent{ResponseWriter: w, shelf: s}, r); err != nil {
				s.refuse(w, r, err)
			}
		})
	}
	serve(patching.SnapshotPath+"{$}", s.serveKept)
	serve(patching.SnapshotPath+"{id}", s.serveManifest)
	serve(patching.SnapshotPath+"{id}/{repository}/{generation}/{path...}", s.serveFrozen)
	serve(depot.MirrorPath+"{path...}", s.serveMirror)
}

// sent counts what goes out.
type sent struct {
	http.ResponseWriter
	shelf *shelf
}

// Write implements [io.Writer].
func (s *sent) Write(p []byte) (int, error) {
	n, err := s.ResponseWriter.Write(p)
	s.shelf.served.Add(int64(n))
	return n, err
}

// ReadFrom lets the system copy from file to line.
func (s *sent) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(s.ResponseWriter, r)
	s.shelf.served.Add(n)
	return n, err
}

// Unwrap lets deadlines be set.
func (s *sent) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// serveKept says which snapshots the server keeps, as last heard, to a relay behind
// this one.
func (s *shelf) serveKept(w http.ResponseWriter, r *http.Request) error {
	err := s.refreshKept(r.Context(), time.Now(), time.Minute)
	names, ok := s.kept.names()
	if !ok {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	return json.NewEncoder(w).Encode(depot.Kept{Snapshots: names})
}

func (s *shelf) serveManifest(w http.ResponseWriter, r *http.Request) error {
	one, err := s.named(r)
	if err != nil {
		return err
	}
	text, err := s.manifests.Read(blobs.File{SHA256: strings.TrimPrefix(string(one.ID), "sha256:"), Size: blobs.AnySize})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(text) // an answer that cannot be written is the asker's loss
	return nil
}

func (s *shelf) serveFrozen(w http.ResponseWriter, r *http.Request) error {
	one, err := s.named(r)
	if err != nil {
		return err
	}
	file, ok := one.At(r.PathValue("repository"), r.PathValue("generation"), r.PathValue("path"))
	if !ok {
		return notFound("the snapshot has no such file")
	}
	return s.serve(w, r, file, r.URL.Path, time.Time{})
}

// named returns the snapshot that a path names.
func (s *shelf) named(r *http.Request) (*depot.Snapshot, error) {
	id := r.PathValue("id")
	if !patching.ValidSnapshot(id) {
		return nil, notFound("no snapshot is called so")
	}
	return s.snapshot(r.Context(), id)
}

// serveMirror serves an archive as it is now. Which file that is the server says each
// time; its bytes come once, and apt judges them by the archive's signatures.
func (s *shelf) serveMirror(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Minute) // the server may have to fetch it first
	defer cancel()
	resp, err := s.up.Get(ctx, http.MethodHead, r.URL.Path, 0)
	if err != nil {
		return err
	}
	resp.Body.Close()
	file := blobs.File{SHA256: strings.Trim(resp.Header.Get("ETag"), `"`), Size: resp.ContentLength}
	if !apt.IsSHA256(file.SHA256) || file.Size < 0 {
		return errors.New("the server does not say which file it has: is it older than the relay?")
	}
	at, err := http.ParseTime(resp.Header.Get("Last-Modified"))
	if err != nil {
		at = time.Time{}
	}
	return s.serve(w, r, file, r.URL.Path, at)
}

// serve sends a file once it is here as a whole.
func (s *shelf) serve(w http.ResponseWriter, r *http.Request, file blobs.File, from string, at time.Time) error {
	unpin := s.packages.Pin(file.SHA256)
	defer unpin()
	f, err := s.packages.Open(file)
	if err != nil { // it is not here, or was damaged and is not any more
		if err := s.fetch(r.Context(), file, from); err != nil {
			return err
		}
		if f, err = s.packages.Open(file); err != nil {
			return err
		}
	}
	defer f.Close()
	if at.IsZero() {
		info, err := f.Stat()
		if err != nil {
			return err
		}
		at = info.ModTime()
	}
	blobs.Serve(w, r, f, file, at)
	return nil
}

func notFound(words string) error { return &uplink.Error{Status: http.StatusNotFound, Words: words} }

// refuse answers why a file cannot be had. Apt prints the status alone, so the
// particulars go into the log as well.
func (s *shelf) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	status, words := http.StatusBadGateway, "the server's file could not be had, or is not the one that was named; the relay's log says more"
	var refused *uplink.Error
	var full *blobs.FullError
	switch {
	case errors.As(err, &refused):
		status, words = refused.Status, refused.Words
	case errors.As(err, &full):
		status, words = http.StatusInsufficientStorage, "the relay's disk is full"
	}
	s.log.Warn("a file was refused", zap.String("path", r.URL.Path), zap.Int("status", status), zap.Error(err))
	http.Error(w, words, status)
}

// longestPath bounds what is looked up: apt's own file names stay below 255 letters.
const longestPath = 1024

// cleanPaths refuses paths that mean another place than they say. Nothing in a path
// is ever a path on the disk; who asks so looks for one where it is.
func cleanPaths(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		slash := len(p) > 1 && strings.HasSuffix(p, "/")
		if len(p) > longestPath || strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == '\\' || c == 0x7f }) ||
			!strings.HasPrefix(p, "/") || path.Clean(p) != strings.TrimSuffix(p, "/") && p != "/" || slash && strings.HasSuffix(p, "//") {
			uplink.WriteError(w, &uplink.Error{Status: http.StatusBadRequest, Words: "a path without detours is wanted"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
