package activities

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.temporal.io/sdk/activity"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Snapshots keeps packages for a cycle, with the signed indexes that name them.
type Snapshots interface {
	// Freeze keeps what can be had of the packages. The first time it may take
	// long; called again after it broke off, it goes on.
	Freeze(ctx context.Context, c patching.CycleID, wanted []patching.Package) (Frozen, error)
}

// Frozen is what a snapshot has.
type Frozen struct {
	ID patching.Digest
	// Had and Missing count packages; Bytes is what those that it has take.
	Had, Missing int
	Bytes        int64
	Has          func(name, arch, version string) bool
	// Sources is where machines find it.
	Sources patching.Sources
}

// supply is where a plan's packages come from, and what can be undone.
type supply struct {
	back assess.WayBack
	// sources addresses those of the snapshot, and has says what it has; empty:
	// there is none, and the machines' own sources serve.
	sources patching.Digest
	has     func(name, arch, version string) bool
}

// supply freezes a snapshot of what the plan is made from: machines install from
// it, and what it has can be undone. Without snapshots somebody's assumption
// serves.
func (p *Planning) supply(ctx context.Context, s contract.CycleState, read *reader, f fleet) (supply, error) {
	if p.Snapshots == nil {
		return supply{back: p.WayBack}, nil
	}
	wanted, err := f.wanted(ctx, read)
	if err != nil {
		return supply{}, err
	}
	frozen, err := p.Snapshots.Freeze(ctx, s.ID, wanted)
	if err != nil && (ctx.Err() != nil || attempt(ctx) < freezeTries) {
		return supply{}, fmt.Errorf("snapshot of the repositories: %w", err)
	}
	if err != nil { // people see in the plan that nothing has a way back, and decide
		_, err = p.Store.AppendAudit(ctx, patching.AuditEntry{
			At: p.Now().UTC(), Actor: "planning", Verb: "freeze", Subject: string(s.ID),
			Body: fmt.Sprintf("No snapshot: %v. The plan was made without a way back.", err),
		})
		return supply{}, err
	}
	kept, err := p.Store.PutContents(ctx, "sources", [][]byte{frozen.Sources.Canonical()})
	if err != nil {
		return supply{}, fmt.Errorf("keep where the snapshot is: %w", err)
	}
	_, err = p.Store.AppendAudit(ctx, patching.AuditEntry{
		At: p.Now().UTC(), Actor: "planning", Verb: "freeze", Subject: string(s.ID),
		Body: fmt.Sprintf("Snapshot %s has %d of %d package versions (%d bytes).", frozen.ID, frozen.Had, frozen.Had+frozen.Missing, frozen.Bytes),
	})
	return supply{assess.ByPackages(frozen.Has), kept[0], frozen.Has}, err
}

// freezeTries is how often a snapshot is tried before a plan is made without
// one: an archive that is broken must not hold up an emergency for ever.
const freezeTries = 5

// attempt tells which attempt of its activity this is; outside of one, the first.
func attempt(ctx context.Context) int32 {
	if !activity.IsActivity(ctx) {
		return 1
	}
	return activity.GetInfo(ctx).Attempt
}

// wanted is all that would be installed and all that is installed now, once.
func (f fleet) wanted(ctx context.Context, read *reader) ([]patching.Package, error) {
	all := map[patching.Package]bool{}
	for _, key := range slices.SortedFunc(maps.Keys(f.kinds), compareKeys) {
		set, err := read.packages(ctx, key.Packages)
		if err != nil {
			return nil, err
		}
		for _, p := range set.Packages {
			all[patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version}] = true
		}
		for _, c := range f.kinds[key].Deploy() {
			all[patching.Package{Name: c.Name, Arch: c.Arch, Version: c.To}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b patching.Package) int {
		return strings.Compare(a.Name+"\x00"+a.Arch+"\x00"+a.Version, b.Name+"\x00"+b.Arch+"\x00"+b.Version)
	}), nil
}
