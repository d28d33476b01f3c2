package api_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

func cmdb() wire.AssetList {
	return wire.AssetList{Source: "cmdb.csv", Rows: []wire.ListedAsset{
		{Line: 2, Hostname: "host-a-1", Owner: "shop", Criticality: patching.High},
		{Line: 3, Hostname: "nas", Owner: "office", Addresses: []string{"10.0.0.40"}, Site: "amsterdam"},
		{Line: 4, Hostname: "HOST-A-2"},
		{Line: 5, Hostname: "nas.example.com"},
	}}
}

// Serves G1, G6, Q7.
func TestAListIsTakenInOnceItsChangesWereAgreedToAndTheSecondTimeChangesNothing(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	c := h.as("ana", "*", patching.RoleOperator)
	ctx := t.Context()

	seen, err := c.ImportAssets(ctx, cmdb())
	require.NoError(t, err)
	assert.Equal(t, []int{1, 1, 1, 0, 1, 1, 2}, []int{seen.Same, seen.Differs, seen.OnlyThey, seen.Ambiguous, seen.Duplicates, seen.OnlyWe, seen.Changes})
	assert.False(t, seen.Applied)
	require.Len(t, seen.Rows, 3, "what is the same and has an agent is left out")
	assert.Equal(t, "owner", seen.Rows[0].Differences[0].Field)
	assert.True(t, seen.Rows[1].Unmanaged)
	assert.Equal(t, 3, seen.Rows[2].Earlier)
	a, err := c.Asset(ctx, "a-1")
	require.NoError(t, err)
	assert.Equal(t, "it", a.Owner, "nobody agreed yet")

	list := cmdb()
	list.Agreed = seen.Digest
	done, err := c.ImportAssets(ctx, list)
	require.NoError(t, err)
	assert.True(t, done.Applied)
	a, err = c.Asset(ctx, "a-1")
	require.NoError(t, err)
	assert.Equal(t, "shop", a.Owner)
	assert.Equal(t, []wire.Imported{{Source: "cmdb.csv", At: noon, By: "ana"}}, a.Imported)
	nas, err := c.Asset(ctx, seen.Rows[1].Asset)
	require.NoError(t, err)
	assert.False(t, nas.Enrolled)
	assert.Equal(t, patching.SiteName("amsterdam"), nas.Site)
	audit, err := h.store.Audit(ctx, 0, 0)
	require.NoError(t, err)
	last := audit[len(audit)-1]
	assert.Equal(t, []string{"ana", "import assets", "cmdb.csv"}, []string{last.Actor, last.Verb, last.Subject})
	assert.Contains(t, last.Body, "2 machines, 1 of them new")

	again, err := c.ImportAssets(ctx, cmdb())
	require.NoError(t, err)
	assert.Zero(t, again.Changes)
	list.Agreed = again.Digest
	again, err = c.ImportAssets(ctx, list)
	require.NoError(t, err)
	assert.False(t, again.Applied, "there is nothing to make")
}

func TestWhatWasNotAgreedToIsNotTakenIn(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	c := h.as("ana", "*", patching.RoleOperator)
	seen, err := c.ImportAssets(t.Context(), cmdb())
	require.NoError(t, err)
	list := cmdb()
	list.Agreed = seen.Digest
	list.Rows[0].Owner = "somebody else"
	_, err = c.ImportAssets(t.Context(), list)
	require.ErrorContains(t, err, "something else by now")
	a, err := c.Asset(t.Context(), "a-1")
	require.NoError(t, err)
	assert.Equal(t, "it", a.Owner)
}

func TestARowThatNobodyCanUseIsRefusedWithItsLine(t *testing.T) {
	c := newHouse(t).as("ana", "*", patching.RoleOperator)
	for says, row := range map[string]wire.ListedAsset{
		"line 7: nothing tells which machine it is": {Line: 7, Owner: "x"},
		`line 7: "Amster dam" cannot name a site`:   {Line: 7, Hostname: "a", Site: "Amster dam"},
		`line 7: "10.0.0.999" is no IP address`:     {Line: 7, Addresses: []string{"10.0.0.999"}},
	} {
		_, err := c.ImportAssets(t.Context(), wire.AssetList{Source: "x", Rows: []wire.ListedAsset{row}})
		require.ErrorContains(t, err, says)
	}
}

func TestWhatIsOnlyOursIsCountedInFullAndNamedInPart(t *testing.T) {
	h := newHouse(t)
	many := make([]patching.Asset, 1200)
	for i := range many {
		many[i] = patching.Asset{ID: patching.AssetID(fmt.Sprintf("m-%04d", i)), Hostname: fmt.Sprintf("m-%04d", i), Site: "amsterdam"}
	}
	require.NoError(t, h.store.PutAssets(t.Context(), many))
	found, err := h.as("ana", "*", patching.RoleOperator).ImportAssets(t.Context(), wire.AssetList{Source: "x", Rows: []wire.ListedAsset{{Line: 2, Hostname: "m-0000"}}})
	require.NoError(t, err)
	assert.Equal(t, 1199, found.OnlyWe)
	assert.Len(t, found.OnlyWeList, 1000)
	assert.True(t, found.Rows[0].Unmanaged, "known, and without an agent")
}
