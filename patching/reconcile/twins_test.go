package reconcile

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves G1: one machine that is known twice is seen as that.
func TestMachinesThatMayBeOneAreNamedBy(t *testing.T) {
	for name, c := range map[string]struct {
		a, b patching.Asset
		same bool
	}{
		"their serial":                     {patching.Asset{Serial: "SN-1"}, patching.Asset{Serial: "sn-1 "}, true},
		"no serial that nobody set":        {patching.Asset{Serial: "Default String"}, patching.Asset{Serial: "Default String"}, false},
		"a network card, however written":  {patching.Asset{MACs: []string{"00:16:3E:00:00:01"}}, patching.Asset{MACs: []string{"aa-bb-cc-dd-ee-ff", "00-16-3e-00-00-01"}}, true},
		"their cloud instance":             {patching.Asset{Cloud: "i-1"}, patching.Asset{Cloud: "i-1"}, true},
		"their name":                       {patching.Asset{Hostname: "web-1"}, patching.Asset{Hostname: "WEB-1."}, true},
		"no name of its own":               {patching.Asset{Hostname: "localhost"}, patching.Asset{Hostname: "localhost"}, false},
		"no address, which the next gets":  {patching.Asset{Addresses: []string{"10.0.0.1"}}, patching.Asset{Addresses: []string{"10.0.0.1"}}, false},
		"nothing, where nothing is shared": {patching.Asset{Serial: "SN-1", Hostname: "a"}, patching.Asset{Serial: "SN-2", Hostname: "b"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.a.ID, c.b.ID = "a-1", "a-2"
			want := map[patching.AssetID][]patching.AssetID{}
			if c.same {
				want["a-1"], want["a-2"] = []patching.AssetID{"a-2"}, []patching.AssetID{"a-1"}
			}
			require.Equal(t, want, Twins([]patching.Asset{c.a, c.b}))
		})
	}
	var many []patching.Asset
	for i := range 40 {
		many = append(many, patching.Asset{ID: patching.AssetID(fmt.Sprint("a-", i)), MACs: []string{"02:42:ac:11:00:02"}})
	}
	require.Empty(t, Twins(many), "the card that every container has")
}
