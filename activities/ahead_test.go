package activities_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
)

// Serves G4: who is told what, by role and site.
func TestWhatMachinesMissIsCountedBySiteAndOwner(t *testing.T) {
	h := newHouse(t)
	h.enrol(12) // every third a database, odd ones in Berlin
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1", "postgresql-15": "DSA-2"})
	a, err := h.urgent().Ahead(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, "it-operations", a.Owner)
	want, _, _, err := h.urgent().Coming(h.ctx, "servers")
	require.NoError(t, err)
	require.Equal(t, want, a.Remediation)
	type at struct {
		site patching.SiteName
		id   patching.AdvisoryID
	}
	has, gets, owners := map[at]int{}, map[at]int{}, map[string]int{}
	for _, l := range a.Alike {
		owners[l.Owner] += l.Machines
		for _, id := range l.Has {
			has[at{l.Site, id}] += l.Machines
			require.Equal(t, id, a.Advisories[id].ID)
		}
		for _, id := range l.Gets {
			gets[at{l.Site, id}] += l.Machines
		}
	}
	require.Equal(t, map[at]int{{"berlin", "DSA-1"}: 6, {"tokyo", "DSA-1"}: 6, {"berlin", "DSA-2"}: 2, {"tokyo", "DSA-2"}: 2}, has)
	require.Equal(t, has, gets, "all of it is offered")
	require.Equal(t, map[string]int{"team 0": 6, "team 1": 6}, owners)
	_, err = h.urgent().Ahead(h.ctx, "nobody")
	require.Error(t, err)
}

// Serves G11: a work-around is no end of it.
func TestAWorkAroundHasOutlivedItsPatchOnMachinesThatAreSeenToHaveIt(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	h.tell(map[string]patching.AdvisoryID{"openssl": "DSA-1"})
	h.person("sam", patching.RoleSecurityLead, "*")
	add := func(id patching.DecisionID, about patching.Subject, steps ...patching.WorkAroundStep) {
		t.Helper()
		w := patching.WorkAround{ID: id, Subject: about, What: "switch it off", Owner: "shop"}
		w.Steps = []patching.WorkAroundStep{{WorkAround: id, State: patching.WorkAroundProposed, At: h.now, By: "sam", Role: patching.RoleSecurityLead, Note: "why"}}
		require.NoError(t, h.PutWorkAround(h.ctx, w))
		for _, s := range steps {
			s.WorkAround, s.At, s.By, s.Role, s.Note = id, h.now.Add(time.Second), "sam", patching.RoleSecurityLead, "seen"
			_, err := h.AddWorkAroundStep(h.ctx, s)
			require.NoError(t, err)
		}
	}
	in := patching.WorkAroundStep{State: patching.WorkAroundInPlace, Assets: []patching.AssetID{asset(1), asset(2)}}
	add("w-1", patching.Subject{Advisory: "DSA-1"}, in)
	add("w-2", patching.Subject{CVE: "CVE-2026-1000"}, in)
	add("w-3", patching.Subject{CVE: "CVE-2026-9999"}, in) // no feed knows it
	add("w-4", patching.Subject{Advisory: "DSA-1"})        // proposed
	outlived := func() map[patching.DecisionID]int {
		t.Helper()
		h.now = h.now.Add(time.Minute)
		all, err := h.DecisionsAt(h.ctx, h.now)
		require.NoError(t, err)
		out, err := h.urgent().Outlived(h.ctx, all.WorkArounds)
		require.NoError(t, err)
		return out
	}
	require.Empty(t, outlived(), "the patch is missing")

	has, offered := sets(t, "web")
	has.Packages = slices.Clone(has.Packages)
	for _, c := range offered.Candidates {
		for i := range has.Packages {
			if p := &has.Packages[i]; c.Name == "openssl" && p.Name == c.Name {
				p.Version = c.To
			}
		}
	}
	h.inventory(2, has, patching.CandidateSet{Manager: "apt"})
	require.Equal(t, map[patching.DecisionID]int{"w-1": 1, "w-2": 1}, outlived())
	h.now = h.now.AddDate(0, 0, 5)
	require.Empty(t, outlived(), "an old inventory shows nothing")
	none, err := h.urgent().Outlived(h.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
	all, err := h.DecisionsAt(h.ctx, h.now)
	require.NoError(t, err)
	require.Empty(t, notice.OfDecisions(all, none, h.now).Notices)
}
