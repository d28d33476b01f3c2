package cli

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves G1, G2, G4, U9.
func TestWhatAMachineMissesIsShownWithItsAdvisories(t *testing.T) {
	h := newHouse(t)
	set := patching.PackageSet{Manager: "apt", Packages: []patching.Package{{Name: "bash", Arch: "amd64", Version: "5.2.15-2"}}}
	offered := patching.CandidateSet{Manager: "apt"}
	for kind, text := range map[string][]byte{"package set": set.Canonical(), "candidate set": offered.Canonical()} {
		_, err := h.store.PutContents(t.Context(), kind, [][]byte{text})
		require.NoError(t, err)
	}
	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{
		ID: "web-1", Hostname: "web-1.example", Site: "amsterdam", OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12"},
		Packages: set.Digest(), Candidates: offered.Digest(),
	}))
	out := h.ok("asset", "findings", "web-1.example")
	require.Regexp(t, `immediate +bash +5.2.15-2 +5.3 .*CVE-2099-0001`, out)
	found := decode[wire.Findings](h, "asset", "findings", "web-1")
	require.Equal(t, []patching.AdvisoryID{"HOUSE-1"}, found.Findings[0].Advisories)
	require.Nil(t, found.Findings[0].EPSS, "unknown is no nought")
	require.Equal(t, patching.FeedName("ours"), found.Feeds[0].Name)
	require.True(t, found.Feeds[0].Stale)

	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{ID: "dark", Hostname: "dark.example", Site: "amsterdam"}))
	require.Contains(t, h.run("asset", "findings", "dark").errs, "nothing could be")
	require.Equal(t, ExitNotFound, h.run("asset", "findings", "nobody").code)
}
