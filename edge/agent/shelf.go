package agent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/patching"
)

// Folder is a [Shelf] in a folder, a file a bundle: some kilobytes a month.
// What cannot be read is fetched again.
type Folder string

// Get implements [Shelf].
func (f Folder) Get(d patching.Digest) ([]byte, bool) {
	if !d.Valid() {
		return nil, false
	}
	text, err := os.ReadFile(f.path(d))
	return text, err == nil
}

// Put implements [Shelf]: the file is whole, and on disk, or not there.
func (f Folder) Put(d patching.Digest, text []byte) error {
	if !d.Valid() {
		return fmt.Errorf("shelf: %.80q is not a digest", d)
	}
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return err
	}
	return writeFile(f.path(d), text)
}

func (f Folder) path(d patching.Digest) string {
	return filepath.Join(string(f), strings.TrimPrefix(string(d), "sha256:"))
}

// writeFile replaces a file by a whole one that is on disk.
func writeFile(path string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	if err == nil {
		err = tmp.Sync()
	}
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// Shared is a [Shelf] in memory for many agents of one process. The zero value
// is ready.
type Shared struct{ texts sync.Map }

// Get implements [Shelf].
func (s *Shared) Get(d patching.Digest) ([]byte, bool) {
	text, ok := s.texts.Load(d)
	if !ok {
		return nil, false
	}
	return text.([]byte), true
}

// Put implements [Shelf].
func (s *Shared) Put(d patching.Digest, text []byte) error {
	s.texts.LoadOrStore(d, text)
	return nil
}
