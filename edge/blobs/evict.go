package blobs

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/apt"
)

// Total is what whole files take, in bytes.
func (s *Store) Total() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Added is how many bytes came since the last eviction.
func (s *Store) Added() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.added
}

// Pin keeps files from being evicted until the returned function is called.
func (s *Store) Pin(hashes ...string) (unpin func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range hashes {
		s.pins[h]++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, h := range hashes {
			if s.pins[h]--; s.pins[h] <= 0 {
				delete(s.pins, h)
			}
		}
	}
}

// loose is a file that nobody needs, or a beginning of one.
type loose struct {
	path, hash string
	size       int64
	used       time.Time
}

// Evict removes what is neither needed nor pinned, least recently used first,
// until at most limit bytes of such files are left. Whatever becomes needed while
// needed looks is pinned when it begins, or used after that.
func (s *Store) Evict(needed func() map[string]bool, limit int64) error {
	s.mu.Lock()
	began, pinned := time.Now(), maps.Clone(s.pins)
	s.added = 0
	s.mu.Unlock()
	keep := needed()
	var all []loose
	var sum int64
	err := s.each(func(path string, info fs.FileInfo) error {
		hash := strings.TrimSuffix(info.Name(), partial)
		s.mu.Lock()
		defer s.mu.Unlock()
		used, ok := s.used[hash]
		if !ok {
			used = info.ModTime()
		}
		if apt.IsSHA256(hash) && !keep[hash] && pinned[hash] == 0 && s.pins[hash] == 0 && used.Before(began) {
			all, sum = append(all, loose{path, hash, info.Size(), used}), sum+info.Size()
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
		if s.removeLoose(l) {
			sum -= l.size
		}
	}
	return nil
}

// removeLoose removes a file unless somebody has come to need it since it was
// last used then.
func (s *Store) removeLoose(l loose) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now, ok := s.used[l.hash]; s.pins[l.hash] > 0 || ok && now.After(l.used) {
		return false
	}
	s.drop(l.path, l.hash, l.size)
	return true
}

// remove removes a file that is not what its name says.
func (s *Store) remove(hash string) {
	path, err := name(hash)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(path, hash, s.size(path))
}

// drop removes a file; the caller has the lock.
func (s *Store) drop(path, hash string, size int64) {
	if s.root.Remove(path) == nil && !strings.HasSuffix(path, partial) {
		s.total -= size
	}
	s.checked.Delete(hash)
	delete(s.used, hash)
}

// Hashes lists the whole files that are here, in order.
func (s *Store) Hashes() ([]string, error) {
	var all []string
	err := s.each(func(_ string, info fs.FileInfo) error {
		if apt.IsSHA256(info.Name()) {
			all = append(all, info.Name())
		}
		return nil
	})
	slices.Sort(all)
	return all, err
}

// Begun is how much of a file is here that is not here as a whole.
func (s *Store) Begun(hash string) int64 {
	path, err := name(hash)
	if err != nil {
		return 0
	}
	return s.size(path + partial)
}

// Size is how large a file is; 0: it is not here.
func (s *Store) Size(hash string) int64 {
	path, err := name(hash)
	if err != nil {
		return 0
	}
	return s.size(path)
}
