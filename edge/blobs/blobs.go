package blobs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/patchcycle/patchcycle/internal/apt"
	"github.com/patchcycle/patchcycle/internal/disk"
)

// File is bytes by their hash and size, as a signed index names them.
type File = apt.File

// AnySize is the size of a file of which only the hash is known.
const AnySize = -1

// Store keeps bytes in files that are named by their SHA-256, below one folder
// that it does not leave. Its methods are safe for concurrent use.
type Store struct {
	dir  string
	root *os.Root
	// checked remembers which files were read through and found right, by what
	// would change with them: a large package goes to a thousand machines.
	checked sync.Map // hash → fs.FileInfo
	filling singleflight.Group

	mu    sync.Mutex
	pins  map[string]int       // hashes that somebody is about to need
	used  map[string]time.Time // when a file was last opened
	added int64                // bytes since the last eviction
	total int64                // bytes of whole files
}

var (
	// ErrDamaged is returned where a file is not what its name says.
	ErrDamaged = errors.New("the file was changed on disk")
	// ErrWrongBytes is returned where what came is not what was named.
	ErrWrongBytes = errors.New("not the file that was signed")
)

// FullError says which disk is full, and what gives room.
type FullError struct{ Dir string }

// Error names the folder.
func (e *FullError) Error() string {
	return fmt.Sprintf("the disk that holds %s is full: make room, or drop snapshots that nobody needs", e.Dir)
}

// Unwrap returns the system's error.
func (*FullError) Unwrap() error { return syscall.ENOSPC }

// partial ends the name of a file of which a beginning is here.
const partial = ".part"

// Open opens the store in a folder, which is made if it is not there. Beginnings
// of files stay: whoever fetches them goes on.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	s := &Store{dir: dir, root: root, pins: map[string]int{}, used: map[string]time.Time{}}
	err = s.each(func(path string, info fs.FileInfo) error {
		if strings.HasPrefix(info.Name(), ".") { // half written by an older program
			return root.Remove(path)
		}
		if apt.IsSHA256(info.Name()) {
			s.total += info.Size()
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return s, nil
}

// Close gives the folder free.
func (s *Store) Close() error { return s.root.Close() }

// name is where a file stands. Only hashes become names.
func name(hash string) (string, error) {
	if !apt.IsSHA256(hash) {
		return "", fmt.Errorf("%.80q is no SHA-256", hash)
	}
	return hash[:2] + "/" + hash, nil
}

// each calls do for every regular file.
func (s *Store) each(do func(path string, info fs.FileInfo) error) error {
	return fs.WalkDir(s.root.FS(), ".", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != "." {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
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

// Put keeps what r delivers, if it is the file that was named.
func (s *Store) Put(want File, r io.Reader) error {
	return s.fill(want, false, func(int64) (io.ReadCloser, error) { return io.NopCloser(r), nil })
}

// Fill keeps a file that from delivers, from an offset on: what came before the
// line broke is kept, and the next Fill goes on behind it. One file is filled
// once at a time, and who comes meanwhile gets the same answer.
func (s *Store) Fill(want File, from func(offset int64) (io.ReadCloser, error)) error {
	return s.fill(want, true, from)
}

func (s *Store) fill(want File, resume bool, from func(int64) (io.ReadCloser, error)) error {
	path, err := name(want.SHA256)
	if err != nil {
		return err
	}
	_, err, _ = s.filling.Do(want.SHA256, func() (any, error) {
		if resume && s.Has(want) { // it came while the asker was on the way
			return nil, nil
		}
		if err := s.folder(path[:2]); err != nil {
			return nil, err
		}
		return nil, s.fillOne(want, path, resume, from)
	})
	if disk.FullHere(err) {
		return &FullError{Dir: s.dir}
	}
	return err
}

func (s *Store) fillOne(want File, path string, resume bool, from func(int64) (io.ReadCloser, error)) error {
	part, err := s.root.OpenFile(path+partial, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := s.pour(part, want, resume, from)
	if err == nil {
		err = part.Sync()
	}
	err = errors.Join(err, part.Close())
	before := s.size(path)
	if err == nil {
		err = s.root.Rename(path+partial, path)
	}
	if err != nil {
		if !resume || errors.Is(err, ErrWrongBytes) || disk.FullHere(err) {
			_ = s.root.Remove(path + partial)
		}
		return err
	}
	if err := s.syncDir(path[:2]); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.added += size
	s.total += size - before
	s.used[want.SHA256] = time.Now()
	if info, err := s.root.Stat(path); err == nil {
		s.checked.Store(want.SHA256, info)
	}
	return nil
}

// size is how large a file is; 0: it is not there.
func (s *Store) size(path string) int64 {
	info, err := s.root.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// pour completes a file of which a beginning may be there.
func (s *Store) pour(part *os.File, want File, resume bool, from func(int64) (io.ReadCloser, error)) (size int64, err error) {
	sum := sha256.New()
	begun := int64(0)
	if resume {
		if begun, err = io.Copy(sum, part); err != nil {
			return 0, err
		}
	}
	if want.Size != AnySize && begun > want.Size || begun == 0 {
		begun = 0
		sum.Reset()
		if err := errors.Join(part.Truncate(0), rewind(part)); err != nil {
			return 0, err
		}
	}
	if begun == want.Size && begun > 0 { // the last byte came, and then the power went
		return begun, s.compare(sum.Sum(nil), begun, want)
	}
	r, err := from(begun)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	limit := int64(maxUnsized)
	if want.Size != AnySize {
		limit = want.Size
	}
	n, err := io.Copy(io.MultiWriter(part, sum), io.LimitReader(r, limit-begun+1))
	if err != nil {
		return 0, err
	}
	return begun + n, s.compare(sum.Sum(nil), begun+n, want)
}

// maxUnsized bounds a file whose size nobody named.
const maxUnsized = 64 << 20

func rewind(f *os.File) error {
	_, err := f.Seek(0, io.SeekStart)
	return err
}

func (s *Store) compare(sum []byte, n int64, want File) error {
	switch got := hex.EncodeToString(sum); {
	case want.Size == AnySize && n > maxUnsized:
		return fmt.Errorf("%w: it has more than %d bytes", ErrWrongBytes, int64(maxUnsized))
	case want.Size != AnySize && n > want.Size:
		return fmt.Errorf("%w: it has more than the %d bytes that were signed", ErrWrongBytes, want.Size)
	case want.Size != AnySize && n < want.Size:
		return fmt.Errorf("%w: it has %d bytes, and %d were signed", ErrWrongBytes, n, want.Size)
	case got != want.SHA256:
		return fmt.Errorf("%w: its SHA256 is %s, and %s was signed", ErrWrongBytes, got, want.SHA256)
	}
	return nil
}

// folder makes one of the folders that the files are spread over.
func (s *Store) folder(dir string) error {
	err := s.root.Mkdir(dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return s.syncDir(".")
}

// syncDir makes the names in a folder durable.
func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open opens a file after it was checked: whole, once, and again when it was
// touched. A file that is not what its name says is removed, so that it can be
// fetched again. Not there: [fs.ErrNotExist].
func (s *Store) Open(want File) (*os.File, error) {
	path, err := name(want.SHA256)
	if err != nil {
		return nil, err
	}
	f, err := s.root.Open(path)
	if err != nil {
		return nil, err
	}
	if err := s.check(f, want); err != nil {
		f.Close()
		if errors.Is(err, ErrDamaged) {
			s.remove(want.SHA256)
		}
		return nil, err
	}
	s.mu.Lock()
	s.used[want.SHA256] = time.Now()
	s.mu.Unlock()
	return f, nil
}

func (s *Store) check(f *os.File, want File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", want.SHA256, ErrDamaged)
	}
	if known, ok := s.checked.Load(want.SHA256); !ok || !untouched(known.(fs.FileInfo), info) {
		sum := sha256.New()
		if _, err := io.Copy(sum, f); err != nil {
			return err
		}
		if hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
			return fmt.Errorf("%s: %w", want.SHA256, ErrDamaged)
		}
		s.checked.Store(want.SHA256, info)
	}
	if want.Size != AnySize && info.Size() != want.Size { // an archive that lists it wrongly must not cost the others their file
		return fmt.Errorf("%s has %d bytes, not %d: %w", want.SHA256, info.Size(), want.Size, ErrWrongBytes)
	}
	return rewind(f)
}

func untouched(before, now fs.FileInfo) bool {
	return os.SameFile(before, now) && before.Size() == now.Size() && before.ModTime().Equal(now.ModTime())
}

// Has reports whether a file is there and right.
func (s *Store) Has(want File) bool {
	f, err := s.Open(want)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// Read returns a small file whole.
func (s *Store) Read(want File) ([]byte, error) {
	f, err := s.Open(want)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}
