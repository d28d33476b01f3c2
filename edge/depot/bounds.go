package depot

import "github.com/patchcycle/patchcycle/internal/unpack"

// Bounds of what is read: several times what the largest archives publish
// (Ubuntu's universe: 20 MB packed, 75 MB plain, a quarter of it in ratio).
const (
	maxRelease = 8 << 20
	maxPacked  = 128 << 20
	maxIndex   = 1 << 30 // of an index that is passed on without being read
	maxPackage = 8 << 30
)

var unpackedBounds = unpack.Bounds{Size: 512 << 20, Ratio: 64}
