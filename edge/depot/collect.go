package depot

import (
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/internal/durable"
)

// hold returns a suite's generations, newest first, and keeps them until unhold
// is called, with their files.
func (d *Depot) hold(key suiteKey) (all []*Generation, unhold func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var hashes []string
	for _, g := range d.generations {
		if g.key() == key {
			all, hashes = append(all, g), append(hashes, g.hashes()...)
			d.pinned[g.ID]++
		}
	}
	unpin := d.blobs.Pin(hashes...)
	return all, func() {
		unpin()
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, g := range all {
			if d.pinned[g.ID]--; d.pinned[g.ID] <= 0 {
				delete(d.pinned, g.ID)
			}
		}
	}
}

// Drop forgets a snapshot and removes what only it needed, as far as the cache
// has no room for it. One that is not there is dropped already.
func (d *Depot) Drop(id SnapshotID) error {
	d.mu.Lock()
	_, ok := d.snapshots[id]
	d.mu.Unlock()
	if !ok {
		return nil
	}
	if err := os.Remove(d.snapshotFile(id)); err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("drop snapshot %s: %w", id.Short(), err)
	}
	if err := durable.SyncDir(filepath.Dir(d.snapshotFile(id))); err != nil {
		return fmt.Errorf("drop snapshot %s: %w", id.Short(), err)
	}
	d.mu.Lock()
	delete(d.snapshots, id)
	d.mu.Unlock()
	return d.Collect()
}

// Collect removes indexes beyond those that are to be kept, and then files, the
// least recently used first, until the cache is within its bound. What a
// snapshot needs, and what a freeze is working with, stays.
func (d *Depot) Collect() error {
	d.collecting.Lock()
	defer d.collecting.Unlock()
	if err := d.forgetGenerations(); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	if err := d.blobs.Evict(d.needed, d.opts.Cache); err != nil {
		return fmt.Errorf("collect: %w", err)
	}
	return nil
}

// collectSometimes collects once a tenth of the cache has come in.
func (d *Depot) collectSometimes() {
	if d.blobs.Added() <= d.opts.Cache/10 || !d.collecting.TryLock() {
		return
	}
	d.collecting.Unlock()
	if err := d.Collect(); err != nil {
		d.log.Error("the depot could not clean up", zap.Error(err))
	}
}

func (d *Depot) forgetGenerations() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	frozen := map[string]bool{}
	for _, s := range d.snapshots {
		for _, g := range s.Generations {
			frozen[g.Generation] = true
		}
	}
	count := map[suiteKey]int{}
	var kept []*Generation
	for n, g := range d.generations {
		count[g.key()]++
		if frozen[g.ID] || d.pinned[g.ID] > 0 || count[g.key()] <= d.opts.Generations {
			kept = append(kept, g)
			continue
		}
		if err := os.Remove(d.generationFile(g)); err != nil && !os.IsNotExist(err) {
			d.generations = append(kept, d.generations[n:]...)
			return err
		}
	}
	d.generations = kept
	return nil
}

func (d *Depot) needed() map[string]bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	needed := map[string]bool{}
	for _, g := range d.generations {
		for _, hash := range g.hashes() {
			needed[hash] = true
		}
	}
	for _, s := range d.snapshots {
		for _, f := range s.Files() {
			needed[f.SHA256] = true
		}
	}
	return needed
}
