// Package snapshots lets cycles have their packages frozen in a depot, remembers
// which cycle needs which snapshot, and reads what the packages say that they fix. Neither the depot nor the cycle's
// activities know the other.
package snapshots

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/edge/depot"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Record is what a keeper needs of the store.
type Record interface {
	Setting(ctx context.Context, key string) (value string, ok bool, err error)
	SetSetting(ctx context.Context, key, value string) error
	Cycles(ctx context.Context, f store.CycleFilter) ([]patching.Cycle, error)
}

// Life is how long a snapshot is kept after its cycle has closed: a report of
// harm may come weeks later, and the cycle after it takes the old versions over.
const Life = 45 * 24 * time.Hour

// Keeper implements [activities.Snapshots].
type Keeper struct {
	Depot  *depot.Depot
	Record Record
	Now    func() time.Time
	// Cache is a folder for what was read of packages. It is made if it is not there, and
	// can be removed at any time.
	Cache string

	// mu: nothing is dropped between a freeze and its record, or while it is read.
	mu sync.RWMutex
	// told is what snapshots told as a whole: neither they nor their packages change.
	told sync.Map // of Told, by depot.SnapshotID
}

var _ activities.Snapshots = (*Keeper)(nil)

// Freeze implements [activities.Snapshots].
func (k *Keeper) Freeze(ctx context.Context, c patching.CycleID, wanted []patching.Package) (activities.Frozen, error) {
	var r depot.Request
	for _, p := range wanted {
		r.Wanted = append(r.Wanted, depot.Wanted{Name: p.Name, Arch: p.Arch, Version: p.Version})
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	s, err := k.Depot.Freeze(ctx, r)
	if err != nil {
		return activities.Frozen{}, err
	}
	ids, err := k.of(ctx, c)
	if err != nil {
		return activities.Frozen{}, err
	}
	if !slices.Contains(ids, s.ID) {
		ids = append(ids, s.ID)
	}
	if err := k.note(ctx, c, ids); err != nil {
		return activities.Frozen{}, err
	}
	return activities.Frozen{ID: s.ID, Had: len(s.Packages), Missing: len(s.Missing), Bytes: s.Bytes(), Has: s.Has, Sources: s.Sources()}, nil
}

// Tidy drops the snapshots of cycles that closed long ago, unless another cycle
// needs them. While something is being frozen it leaves all as it is.
func (k *Keeper) Tidy(ctx context.Context) error {
	if !k.mu.TryLock() {
		return nil
	}
	defer k.mu.Unlock()
	cycles, err := k.Record.Cycles(ctx, store.CycleFilter{})
	if err != nil {
		return fmt.Errorf("snapshots that nobody needs: %w", err)
	}
	needed := map[depot.SnapshotID]bool{}
	old := map[patching.CycleID][]depot.SnapshotID{}
	for _, c := range cycles {
		ids, err := k.of(ctx, c.ID)
		if err != nil {
			return err
		}
		if !c.Closed.IsZero() && k.Now().Sub(c.Closed) > Life {
			old[c.ID] = ids
			continue
		}
		for _, id := range ids {
			needed[id] = true
		}
	}
	for c, ids := range old {
		if len(ids) == 0 {
			continue
		}
		for _, id := range ids {
			if needed[id] {
				continue
			}
			if err := k.Depot.Drop(id); err != nil {
				return err
			}
			k.told.Delete(id)
		}
		if err := k.note(ctx, c, nil); err != nil {
			return err
		}
	}
	return k.forget()
}

func key(c patching.CycleID) string { return "snapshots of " + string(c) }

// of returns the snapshots of a cycle: more than one where its first plan was
// made more than once.
func (k *Keeper) of(ctx context.Context, c patching.CycleID) ([]depot.SnapshotID, error) {
	text, _, err := k.Record.Setting(ctx, key(c))
	var ids []depot.SnapshotID
	for _, id := range strings.Fields(text) {
		ids = append(ids, depot.SnapshotID(id))
	}
	return ids, err
}

func (k *Keeper) note(ctx context.Context, c patching.CycleID, ids []depot.SnapshotID) error {
	var words []string
	for _, id := range ids {
		words = append(words, string(id))
	}
	return k.Record.SetSetting(ctx, key(c), strings.Join(words, " "))
}
