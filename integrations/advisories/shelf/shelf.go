// Package shelf keeps the last good edition of each feed on disk. Another one takes its
// place whole or not at all, at once, and only if it is no worse; a loss of power at any
// moment leaves one of both.
package shelf

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/internal/unpack"
	"github.com/patchcycle/patchcycle/patching"
)

// Of each feed there is a folder with:
//
//	kept.json   which edition counts, and what is in it
//	kept/ID     its files; any other ID was left by a crash
//	next        what is being gathered
const (
	keptNote = "kept.json"
	keptDir  = "kept"
	nextDir  = "next"
)

// maxNote is enough for the longest lists of documents that a feed may have.
const maxNote = 64 << 20

// Document is a file of an edition.
type Document struct {
	// Name is where it lies below the edition's folder, with / between the parts.
	Name string `json:"name"`
	// Address is where it came from; empty: it was imported.
	Address string `json:"address,omitempty"`
	fetch.Validators
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Kept is an edition with what is in it.
type Kept struct {
	Edition   patching.FeedEdition `json:"edition"`
	Documents []Document           `json:"documents"` // sorted by name
	// Whole is when all of it was brought, and Through until when changes since are in
	// it too; zero: it does not come in changes.
	Whole   time.Time `json:"whole,omitzero"`
	Through time.Time `json:"through,omitzero"`
}

// Document finds one by its name.
func (k Kept) Document(name string) (Document, bool) {
	i, ok := slices.BinarySearchFunc(k.Documents, name, func(d Document, name string) int { return strings.Compare(d.Name, name) })
	if !ok {
		return Document{}, false
	}
	return k.Documents[i], true
}

// Shelf is the folder of all feeds. It is safe for concurrent use.
type Shelf struct {
	// Room tells how much there is on the disk of a folder; [Open] sets [disk.RoomAt].
	Room func(dir string) (disk.Room, error)

	dir    string
	limits advisories.Limits

	// reading: no edition goes while it is read, which takes long. It is taken before mu, which
	// whoever asks how feeds stand waits for.
	reading sync.RWMutex

	mu     sync.RWMutex
	kept   map[patching.FeedName]Kept
	drafts map[patching.FeedName]bool

	// ill guards damaged, which readers set too: the feeds of which the files are not what
	// they were.
	ill     sync.Mutex
	damaged map[patching.FeedName]bool
}

// Damaged reports whether the files of an edition were found not to be what they were.
func (s *Shelf) Damaged(name patching.FeedName) bool {
	s.ill.Lock()
	defer s.ill.Unlock()
	return s.damaged[name]
}

func (s *Shelf) setDamaged(name patching.FeedName, is bool) {
	s.ill.Lock()
	defer s.ill.Unlock()
	s.damaged[name] = is
}

// Open opens the folder, and clears away what a crash has left in it. Nothing but this
// shelf may write there.
func Open(dir string, l advisories.Limits) (*Shelf, error) {
	s := &Shelf{Room: disk.RoomAt, dir: dir, limits: l, kept: map[patching.FeedName]Kept{}, drafts: map[patching.FeedName]bool{}, damaged: map[patching.FeedName]bool{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("feeds: %w", err)
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("feeds: %w", err)
	}
	for _, d := range all {
		if !d.IsDir() || !patching.ValidName(d.Name()) {
			continue
		}
		if err := s.load(patching.FeedName(d.Name())); err != nil {
			return nil, fmt.Errorf("feed %s: %w", d.Name(), err)
		}
	}
	return s, nil
}

func (s *Shelf) load(name patching.FeedName) error {
	file := s.path(name, keptNote)
	text, err := unpack.ReadFile(file, maxNote)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	default:
		var k Kept
		if err := json.Unmarshal(text, &k); err != nil {
			return fmt.Errorf("%s: %w: restore it from a backup, or remove the folder and bring the feed again", file, err)
		}
		s.kept[name] = k
	}
	if err := s.tidy(name); err != nil {
		return err
	}
	return s.clear(name)
}

// partsFor is how long a part of a document is kept for somebody to go on with: a feed
// that is asked for at all is so again within minutes.
const partsFor = 7 * 24 * time.Hour

// clear removes what a crash left of drafts and notes, and the folder of a feed of which
// nothing is there.
func (s *Shelf) clear(name patching.FeedName) error {
	next := s.path(name, nextDir)
	err := sweep(next, func(file string) bool {
		info, err := os.Stat(filepath.Join(next, filepath.FromSlash(file)))
		return err == nil && isPart(file) && time.Since(info.ModTime()) < partsFor
	})
	if err != nil {
		return err
	}
	all, err := os.ReadDir(s.path(name))
	if err != nil {
		return err
	}
	for _, e := range all {
		if strings.HasPrefix(e.Name(), "."+keptNote) {
			if err := os.Remove(s.path(name, e.Name())); err != nil {
				return err
			}
		}
	}
	prune(next)
	_ = os.Remove(s.path(name, keptDir)) // these two fail where there is an edition
	_ = os.Remove(s.path(name))
	return nil
}

// tidy removes the editions that do not count.
func (s *Shelf) tidy(name patching.FeedName) error {
	all, err := os.ReadDir(s.path(name, keptDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	id := editionID(s.kept[name].Edition)
	for _, d := range all {
		if d.Name() != id {
			if err := os.RemoveAll(s.path(name, keptDir, d.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Shelf) path(name patching.FeedName, parts ...string) string {
	return filepath.Join(append([]string{s.dir, string(name)}, parts...)...)
}

// editionID names an edition's folder; empty: there is none.
func editionID(e patching.FeedEdition) string {
	if e.Digest == "" {
		return ""
	}
	return strings.TrimPrefix(string(e.Digest), "sha256:")
}

// Names lists the feeds of which there is an edition, in order.
func (s *Shelf) Names() []patching.FeedName {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.kept))
}

// Kept is the edition that counts; its digest is empty where there is none.
func (s *Shelf) Kept(name patching.FeedName) Kept {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kept[name]
}

// Read reads the edition of a feed that counts, and says which that is. A file that is not
// what it was when it was accepted is an error.
func (s *Shelf) Read(ctx context.Context, name patching.FeedName) ([]advisories.File, patching.FeedEdition, error) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	k := s.Kept(name)
	files, err := s.read(ctx, name, k)
	if err != nil {
		if ctx.Err() == nil {
			s.found(name, k)
		}
		return nil, k.Edition, fmt.Errorf("feed %s: %w: bring it again, with sync or import", name, err)
	}
	return files, k.Edition, nil
}

// found notes that an edition is damaged, unless another one counts by now.
func (s *Shelf) found(name patching.FeedName, damaged Kept) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.kept[name].Edition.Digest == damaged.Edition.Digest {
		s.setDamaged(name, true)
	}
}

func (s *Shelf) read(ctx context.Context, name patching.FeedName, k Kept) ([]advisories.File, error) {
	files, refused, err := advisories.ReadFolder(ctx, os.DirFS(s.path(name, keptDir, editionID(k.Edition))), s.limits)
	if err != nil {
		return nil, err
	}
	if len(refused) > 0 {
		return nil, refused[0].Err
	}
	if len(files) != len(k.Documents) {
		return nil, fmt.Errorf("it has %d files where %d were kept", len(files), len(k.Documents))
	}
	for _, f := range files {
		if d, ok := k.Document(f.Name); !ok || d.SHA256 != f.SHA256 {
			return nil, fmt.Errorf("%s is not what was kept: it was changed, or the disk is going", f.Name)
		}
	}
	return chained(files, k), nil
}

// chained says of the lists in files that were checked, when they were accepted, of which
// suite they are, and whether they were signed then: the keys of that day may be gone.
func chained(files []advisories.File, k Kept) []advisories.File {
	files, _ = advisories.Link(withoutKeyrings(files), nil, nil, k.Edition.Got)
	for i := range files {
		for n := range files[i].Offers {
			files[i].Offers[n].Signed = k.Edition.Signed
		}
	}
	if !k.Through.IsZero() {
		files = advisories.Latest(files)
	}
	return files
}

// withoutKeyrings: keys that came with a feed prove nothing.
func withoutKeyrings(files []advisories.File) []advisories.File {
	files = slices.Clone(files)
	for i := range files {
		files[i].Keyrings = nil
	}
	return files
}

func writeNote(file string, v any) error {
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	return durable.Replace(file, 0o600, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}
