package reconcile

import (
	"maps"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// Twins says for each asset which others may be the same machine, known twice: one that
// was installed anew enrols as another. They share a serial number, a cloud instance, a
// network card or a name. An address says nothing: the next machine gets it.
//
// It is a hint for people. Copies in a virtual house share serials, too.
func Twins(assets []patching.Asset) map[patching.AssetID][]patching.AssetID {
	type mark struct {
		key   Key
		value string
	}
	with := map[mark][]patching.AssetID{}
	marks := make([][]mark, len(assets))
	for i := range assets {
		for _, k := range []Key{BySerial, ByCloud, ByMAC, ByName} {
			for _, v := range values(&assets[i], k) {
				m := mark{k, v}
				marks[i] = append(marks[i], m)
				with[m] = append(with[m], assets[i].ID)
			}
		}
	}
	out := map[patching.AssetID][]patching.AssetID{}
	for i := range assets {
		twins := map[patching.AssetID]bool{}
		for _, m := range marks[i] {
			if len(with[m]) > maxTwins { // a card that all containers have tells nobody apart
				continue
			}
			for _, id := range with[m] {
				twins[id] = true
			}
		}
		delete(twins, assets[i].ID)
		if len(twins) > 0 {
			out[assets[i].ID] = slices.Sorted(maps.Keys(twins))
		}
	}
	return out
}

// maxTwins bounds how many assets may share something that still tells machines apart.
const maxTwins = 10
