package depot

import (
	"crypto/sha256"
	"encoding/hex"
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
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/disk"
	"github.com/patchcycle/patchcycle/internal/durable"
)

// File is bytes by their hash and size, as an archive's index names them.
type File = apt.File

// blobs keeps bytes in files that are named by their SHA-256.
type blobs struct {
	dir string
	// checked remembers which files were read through and found right, by what
	// would change with them: a large package goes to a thousand machines.
	checked sync.Map // hash → fs.FileInfo

	mu    sync.Mutex
	pins  map[string]int       // hashes that somebody is about to need
	used  map[string]time.Time // when a file was last opened
	added int64                // bytes since the last eviction
}

// errDamaged: a file is not what its name says.
var errDamaged = errors.New("the file was changed on disk")

// FullError says which disk is full, and what gives room.
type FullError struct{ Dir string }

// Error names the folder.
func (e *FullError) Error() string {
	return fmt.Sprintf("the disk that holds %s is full: make room, or drop snapshots that nobody needs", e.Dir)
}

// Unwrap returns the system's error.
func (*FullError) Unwrap() error { return syscall.ENOSPC }

func openBlobs(dir string) (*blobs, error) {
	b := &blobs{dir: dir, pins: map[string]int{}, used: map[string]time.Time{}}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return b, b.each(func(path string, info fs.FileInfo) error {
		if strings.HasPrefix(info.Name(), ".") { // half written when the power went
			return os.Remove(path)
		}
		return nil
	})
}

func (b *blobs) path(hash string) string { return filepath.Join(b.dir, hash[:2], hash) }

// each calls do for every file.
func (b *blobs) each(do func(path string, info fs.FileInfo) error) error {
	return filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		return do(path, info)
	})
}

// put keeps what r delivers, if it is the file that was named.
func (b *blobs) put(want File, r io.Reader) error {
	sum := sha256.New()
	path := b.path(want.SHA256)
	if err := b.folder(filepath.Dir(path)); err != nil {
		return err
	}
	err := durable.Replace(path, 0o600, func(w io.Writer) error {
		n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(r, want.Size+1))
		switch got := hex.EncodeToString(sum.Sum(nil)); {
		case err != nil:
			return err
		case n > want.Size:
			return fmt.Errorf("%w: it has more than the %d bytes that were signed", errWrongBytes, want.Size)
		case n < want.Size:
			return fmt.Errorf("%w: it has %d bytes, and %d were signed", errWrongBytes, n, want.Size)
		case got != want.SHA256:
			return fmt.Errorf("%w: its SHA256 is %s, and %s was signed", errWrongBytes, got, want.SHA256)
		}
		return nil
	})
	if disk.FullHere(err) {
		return &FullError{Dir: b.dir}
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.added += want.Size
	b.used[want.SHA256] = time.Now()
	if info, err := os.Stat(path); err == nil {
		b.checked.Store(want.SHA256, info)
	}
	return nil
}

// folder makes one of the folders that the files are spread over.
func (b *blobs) folder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case disk.FullHere(err):
		return &FullError{Dir: b.dir}
	case err != nil:
		return err
	}
	return durable.SyncDir(b.dir)
}

// errWrongBytes: what came is not what was signed.
var errWrongBytes = errors.New("not the file that was signed")

// open opens a file after it was checked: whole, once, and again when it was
// touched. A file that is not what its name says is removed, so that it can be
// fetched again.
func (b *blobs) open(want File) (*os.File, error) {
	path := b.path(want.SHA256)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := b.check(f, want); err != nil {
		f.Close()
		if errors.Is(err, errDamaged) {
			b.remove(want.SHA256)
		}
		return nil, err
	}
	b.mu.Lock()
	b.used[want.SHA256] = time.Now()
	b.mu.Unlock()
	return f, nil
}

func (b *blobs) check(f *os.File, want File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if known, ok := b.checked.Load(want.SHA256); ok && untouched(known.(fs.FileInfo), info) {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return err
	}
	switch {
	case hex.EncodeToString(sum.Sum(nil)) != want.SHA256:
		return fmt.Errorf("%s: %w", want.SHA256, errDamaged)
	case info.Size() != want.Size: // an archive that lists it wrongly must not cost the others their file
		return fmt.Errorf("%s has %d bytes, not %d: %w", want.SHA256, info.Size(), want.Size, errWrongBytes)
	}
	b.checked.Store(want.SHA256, info)
	_, err = f.Seek(0, io.SeekStart)
	return err
}

func untouched(before, now fs.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// has reports whether a file is there and right.
func (b *blobs) has(want File) bool {
	f, err := b.open(want)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// read returns a small file whole.
func (b *blobs) read(want File) ([]byte, error) {
	f, err := b.open(want)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (b *blobs) remove(hash string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.drop(hash)
}

// drop removes a file; the caller has the lock.
func (b *blobs) drop(hash string) {
	os.Remove(b.path(hash))
	b.checked.Delete(hash)
	delete(b.used, hash)
}

// removeLoose removes a file unless somebody has come to need it since it was
// last used then.
func (b *blobs) removeLoose(hash string, used time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now, ok := b.used[hash]; b.pins[hash] > 0 || ok && now.After(used) {
		return false
	}
	b.drop(hash)
	return true
}

// pin keeps files from being evicted until the returned function is called.
func (b *blobs) pin(hashes ...string) (unpin func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range hashes {
		b.pins[h]++
	}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, h := range hashes {
			if b.pins[h]--; b.pins[h] <= 0 {
				delete(b.pins, h)
			}
		}
	}
}

// evict removes what is neither needed nor pinned, least recently used first,
// until at most limit bytes of such files are left. Whatever becomes needed while
// needed looks is pinned when it begins, or used after that.
func (b *blobs) evict(needed func() map[string]bool, limit int64) error {
	b.mu.Lock()
	began, pinned := time.Now(), maps.Clone(b.pins)
	b.added = 0
	b.mu.Unlock()
	keep := needed()
	type loose struct {
		hash string
		size int64
		used time.Time
	}
	var all []loose
	var sum int64
	err := b.each(func(_ string, info fs.FileInfo) error {
		hash := info.Name()
		b.mu.Lock()
		defer b.mu.Unlock()
		used, ok := b.used[hash]
		if !ok {
			used = info.ModTime()
		}
		if apt.IsSHA256(hash) && !keep[hash] && pinned[hash] == 0 && b.pins[hash] == 0 && used.Before(began) {
			all, sum = append(all, loose{hash, info.Size(), used}), sum+info.Size()
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b loose) int { return a.used.Compare(b.used) })
	for _, l := range all {
		if sum <= limit {
			break
		}
		if b.removeLoose(l.hash, l.used) {
			sum -= l.size
		}
	}
	return nil
}
