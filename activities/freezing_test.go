package activities_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// shelf is a [activities.Snapshots] that has all but some packages' installed
// versions.
type shelf struct {
	lacks  []string
	asked  []patching.Package
	cycles []patching.CycleID
	err    error
}

func (s *shelf) Freeze(_ context.Context, c patching.CycleID, wanted []patching.Package) (activities.Frozen, error) {
	s.asked, s.cycles = wanted, append(s.cycles, c)
	return activities.Frozen{ID: patching.DigestOf([]byte("a snapshot")), Sources: frozenAt, Had: len(wanted) - 1, Missing: 1, Bytes: 4096, Has: func(name, arch, version string) bool {
		return slices.Contains(wanted, patching.Package{Name: name, Arch: arch, Version: version}) && !slices.Contains(s.lacks, name)
	}}, s.err
}

var frozenAt = patching.Sources{Snapshot: strings.Repeat("0a", 16), Indexes: []patching.SourceIndex{{
	Repository: "debian", Generation: "1f", Suite: "bookworm", Components: []string{"main"}, Architectures: []string{"amd64"},
}}}

// Serves G9: what can be undone is known when the plan is made.
func TestWhatCanBeUndoneIsWhatTheSnapshotHas(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	has, offered := sets(t, "web")
	frozen := &shelf{lacks: []string{offered.Candidates[0].Name}}
	h.planning.Snapshots = frozen
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Equal(t, 6, out.Assets)
	require.Equal(t, []patching.CycleID{s.ID}, frozen.cycles)
	for _, p := range has.Packages {
		require.Contains(t, frozen.asked, patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version}, "all that is installed")
	}
	for _, c := range offered.Candidates {
		require.Contains(t, frozen.asked, patching.Package{Name: c.Name, Arch: c.Arch, Version: c.To}, "all that would be installed")
	}
	seen := map[patching.Reversibility]int{}
	for n := 1; n <= 6; n++ {
		b := h.bundle(s.ID, n)
		text, err := h.Content(h.ctx, b.Sources)
		require.NoError(t, err)
		require.Equal(t, frozenAt.Canonical(), text, "and it is installed from there")
		require.True(t, b.Beside, "but for what the snapshot lacks")
		for _, patch := range h.patches(s.ID, n) {
			seen[patch.Reversible]++
			require.Equal(t, patch.Name == frozen.lacks[0], patch.Reversible == patching.Irreversible, patch.Name)
		}
	}
	require.Positive(t, seen[patching.ByDowngrade])
	require.Positive(t, seen[patching.Irreversible])
	require.True(t, slices.ContainsFunc(h.audit(), func(e patching.AuditEntry) bool {
		return e.Verb == "freeze" && e.Subject == string(s.ID)
	}))
}

func TestNoPlanIsMadeWhileItsSnapshotCannotBe(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	full := errors.New("the disk is full")
	h.planning.Snapshots = &shelf{err: full}
	s := h.begin(monthly, patching.Monthly)
	_, err := h.planning.Make(h.ctx, contract.MakePlanIn{State: s, Revision: 1})
	require.ErrorIs(t, err, full)
	_, err = h.Store.Plan(h.ctx, s.ID)
	require.ErrorIs(t, err, store.ErrNotFound)
}
