package shelf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
)

// Draft is an edition that is being gathered. A feed has one at a time.
type Draft struct {
	// Kept is the edition that counts meanwhile.
	Kept Kept
	// Whole and Through become those of the edition.
	Whole, Through time.Time

	shelf     *Shelf
	name      patching.FeedName
	dir       string
	documents []Document
	names     map[string]bool // of the documents
	// fetched: each document is one that was asked for, and so has to be a feed's.
	fetched bool
	// damaged: the files of the edition that counts are not what they were.
	damaged bool
}

// Draft begins one; [patching.ErrFeedBusy] where there is one already. What a broken one
// has left of documents that were not whole stays, for those who can go on with them.
// Close it.
func (s *Shelf) Draft(name patching.FeedName, fetched bool) (*Draft, error) {
	if !name.Valid() {
		return nil, fmt.Errorf("%q names no feed: %s", name, patching.FeedNameShape)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drafts[name] {
		return nil, fmt.Errorf("feed %s: %w", name, patching.ErrFeedBusy)
	}
	d := &Draft{Kept: s.kept[name], shelf: s, name: name, dir: s.path(name, nextDir), fetched: fetched, damaged: s.Damaged(name), names: map[string]bool{}}
	if d.damaged { // nothing of it can be taken over
		d.Kept.Documents, d.Kept.Whole, d.Kept.Through = nil, time.Time{}, time.Time{}
	}
	if !fetched {
		if err := os.RemoveAll(d.dir); err != nil {
			return nil, err
		}
	}
	if err := s.takes(0); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, err
	}
	if err := sweep(d.dir, isPart); err != nil {
		return nil, err
	}
	s.drafts[name] = true
	return d, nil
}

// takes says why so many bytes may not be written: a server whose disk is full of feeds
// does nothing else any more.
func (s *Shelf) takes(bytes int64) error {
	room, err := s.Room(s.dir)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case !room.Takes(bytes):
		return fmt.Errorf("the disk that holds %s has no room for it: %s, and %s have to stay: free space there and ask for it again",
			s.dir, room.Words(), disk.Spare())
	}
	return nil
}

func isPart(name string) bool {
	return strings.HasSuffix(name, ".part") || strings.HasSuffix(name, ".part.json")
}

// sweep removes the files below a folder that nobody wants. The folder may be gone.
func sweep(dir string, want func(name string) bool) error {
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || want(filepath.ToSlash(name)) {
			return err
		}
		return os.Remove(path)
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// prune removes a folder and those below that have no file in them.
func prune(dir string) {
	below, _ := os.ReadDir(dir)
	for _, e := range below {
		if e.IsDir() {
			prune(filepath.Join(dir, e.Name()))
		}
	}
	_ = os.Remove(dir) // where a file is left this fails, as it should
}

// Close ends the draft. Parts of documents that were asked for stay, for the next one
// goes on with them; nobody goes on with an import. What cannot be removed now is when
// the shelf is opened.
func (d *Draft) Close() {
	_ = sweep(d.dir, func(name string) bool { return d.fetched && isPart(name) })
	prune(d.dir)
	_ = os.Remove(d.shelf.path(d.name)) // where there is an edition this fails
	d.shelf.mu.Lock()
	defer d.shelf.mu.Unlock()
	delete(d.shelf.drafts, d.name)
}

// Path is where a document has to be written; its folder is there.
func (d *Draft) Path(name string) (string, error) {
	if !fs.ValidPath(name) || name == "." || len(name) > 1000 || isPart(name) || strings.Contains(name, "\\") {
		return "", fmt.Errorf("%.100q cannot name a document", name)
	}
	path := filepath.Join(d.dir, filepath.FromSlash(name))
	return path, os.MkdirAll(filepath.Dir(path), 0o700)
}

// Add takes the document that was written to its path into the edition. Its digest and
// size are found out here.
func (d *Draft) Add(doc Document) (Document, error) {
	f, err := os.Open(filepath.Join(d.dir, filepath.FromSlash(doc.Name)))
	if err != nil {
		return doc, err
	}
	defer f.Close()
	sum := sha256.New()
	if doc.Bytes, err = io.Copy(sum, f); err != nil {
		return doc, err
	}
	doc.SHA256 = hex.EncodeToString(sum.Sum(nil))
	if err := d.take(doc); err != nil {
		return doc, err
	}
	return doc, f.Sync()
}

// take lets a document in, once: of two of the same name one would be lost.
func (d *Draft) take(doc Document) error {
	if d.names[doc.Name] {
		return fmt.Errorf("two documents would be kept as %q: give their addresses as feeds of their own", doc.Name)
	}
	d.names[doc.Name] = true
	d.documents = append(d.documents, doc)
	return nil
}

// Drop leaves a document out that was added.
func (d *Draft) Drop(name string) {
	delete(d.names, name)
	d.documents = slices.DeleteFunc(d.documents, func(doc Document) bool { return doc.Name == name })
}

// Keep takes a document over from the edition that counts.
func (d *Draft) Keep(doc Document) error {
	to, err := d.Path(doc.Name)
	if err != nil {
		return err
	}
	from := d.shelf.path(d.name, keptDir, editionID(d.Kept.Edition), filepath.FromSlash(doc.Name))
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if os.Link(from, to) != nil {
		if err := replicate(from, to); err != nil {
			return err
		}
	}
	return d.take(doc)
}

// replicate is for file systems without links.
func replicate(from, to string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return durable.Replace(to, 0o600, func(w io.Writer) error {
		_, err := io.Copy(w, f)
		return err
	})
}

// digest addresses the files as they came, with their names.
func digest(documents []Document) patching.Digest {
	lines := make([]string, 0, len(documents))
	for _, d := range documents {
		lines = append(lines, fmt.Sprintf("%s %d %s\n", d.SHA256, d.Bytes, d.Name))
	}
	slices.Sort(lines)
	return patching.DigestOf([]byte("feed edition v1\n" + strings.Join(lines, "")))
}

// syncFolders makes the names of all files durable.
func (d *Draft) syncFolders() error {
	return filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return durable.SyncDir(path)
	})
}
