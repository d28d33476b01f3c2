package relay

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/durable"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/phrase"
)

// reserve makes room for a package that is about to come, until release is called.
// What snapshots need that the server keeps does not give way: where that leaves no
// room, the package does not come, and its machine goes elsewhere.
func (s *shelf) reserve(size int64) (release func(), err error) {
	s.mu.Lock()
	s.held += size
	held := s.held
	s.mu.Unlock()
	release = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.held -= size
	}
	if s.packages.Total()+held <= s.limit {
		return release, nil
	}
	needed, bytes := s.needed()
	if needed == nil { // nobody knows yet what is needed
		bytes = s.limit
	} else if err := s.packages.Evict(func() map[string]bool { return needed }, max(0, s.limit-held-bytes)); err != nil {
		s.log.Error("the cache could not be cleaned up", zap.Error(err))
	}
	if s.packages.Total()+held <= s.limit {
		return release, nil
	}
	release()
	return nil, &uplink.Error{
		Status: http.StatusInsufficientStorage,
		Words: fmt.Sprintf("the cache is full: what running cycles may need takes %s of the %s that this relay may keep (--cache)",
			phrase.Size(bytes), phrase.Size(s.limit)),
	}
}

// evictAll makes room on a disk that is full, whatever the bound.
func (s *shelf) evictAll() {
	needed, _ := s.needed()
	if needed == nil {
		return
	}
	if err := s.packages.Evict(func() map[string]bool { return needed }, 0); err != nil {
		s.log.Error("the cache could not be cleaned up", zap.Error(err))
	}
}

// needed returns the hashes that stay, and how many bytes of them are here; nil: the
// server has never said which snapshots it keeps.
func (s *shelf) needed() (hashes map[string]bool, bytes int64) {
	names, ok := s.kept.names()
	if !ok {
		return nil, 0
	}
	hashes = map[string]bool{}
	for _, name := range names {
		if one := s.manifest(name); one != nil {
			for _, f := range one.Files() {
				hashes[f.SHA256] = true
			}
		}
	}
	for h := range hashes {
		bytes += s.packages.Size(h)
	}
	return hashes, bytes
}

// keptList is what the server last said of the snapshots that it keeps. It is on
// disk too, so that a relay that starts without a line knows what must not go.
type keptList struct {
	file string
	mu   sync.Mutex
	list *depot.Kept
	at   time.Time
}

func (k *keptList) load() {
	text, err := os.ReadFile(k.file)
	if err != nil {
		return // it comes anew
	}
	var list depot.Kept
	if json.Unmarshal(text, &list) == nil {
		k.list = &list
	}
}

func (k *keptList) names() ([]string, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list == nil {
		return nil, false
	}
	return k.list.Snapshots, true
}

// add counts a snapshot as kept that is newer than the list, until the next one.
func (k *keptList) add(name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.list != nil && !slices.Contains(k.list.Snapshots, name) {
		k.list = &depot.Kept{Snapshots: append(slices.Clone(k.list.Snapshots), name)}
	}
}

func (k *keptList) set(list depot.Kept, now time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	same := k.list != nil && slices.Equal(k.list.Snapshots, list.Snapshots)
	k.list, k.at = &list, now
	if same {
		return nil
	}
	return durable.Replace(k.file, 0o600, func(w io.Writer) error { return json.NewEncoder(w).Encode(list) })
}

// How often the server is asked what it keeps, and how long its answer may be.
const (
	keptEvery = 5 * time.Minute
	keptMost  = 1 << 20
)

// refreshKept asks the server what it keeps, if that was long ago.
func (s *shelf) refreshKept(ctx context.Context, now time.Time, within time.Duration) error {
	s.kept.mu.Lock()
	fresh := !s.kept.at.IsZero() && now.Sub(s.kept.at) < within
	s.kept.mu.Unlock()
	if s.up == nil || fresh {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.stall)
	defer cancel()
	return s.once(ctx, "kept", func(ctx context.Context) error { // others wait for it too, when this asker leaves
		ctx, cancel := context.WithTimeout(ctx, s.stall)
		defer cancel()
		body, err := s.get(ctx, http.MethodGet, patching.SnapshotPath, 0, keptMost)
		if err != nil {
			return err
		}
		defer body.Close()
		var list depot.Kept
		if err := json.NewDecoder(io.LimitReader(body, keptMost)).Decode(&list); err != nil {
			return fmt.Errorf("the list of snapshots that the server keeps: %w", err)
		}
		if list.Snapshots == nil {
			list.Snapshots = []string{}
		}
		return s.kept.set(list, now)
	})
}
