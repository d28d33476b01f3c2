package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Dispatcher turns decisions into signed orders and start permits.
type Dispatcher interface {
	// Issue signs and keeps one order a draft; an order of an id that exists is
	// left as it is.
	Issue(ctx context.Context, drafts []trust.Draft) error
	// Permit gives start permits, or renews them.
	Permit(ctx context.Context, orders []patching.OrderID) error
}

// chunk bounds how many orders are signed and kept in one go.
const chunk = 1000

// orderID derives an order's id from what it is for, so that the same draft
// made again is the same order. A rebuilt engine has another epoch and with it
// other orders.
func orderID(cycle patching.CycleID, asset patching.AssetID, verb trust.Verb, purpose string, epoch int64) patching.OrderID {
	sum := sha256.Sum256(fmt.Appendf(nil, "order v1\n%s\n%s\n%s\n%s\n%d\n", cycle, asset, verb, purpose, epoch))
	return patching.OrderID("o-" + hex.EncodeToString(sum[:14]))
}

// purpose names a campaign where waves are named in orders and slices.
func purpose(parts ...string) patching.WaveID {
	return patching.WaveID("campaign/" + strings.Join(parts, "/"))
}

// inChunks calls do with at most [chunk] items at a time.
func inChunks[T any](items []T, do func([]T) error) error {
	for len(items) > 0 {
		n := min(chunk, len(items))
		if err := do(items[:n]); err != nil {
			return err
		}
		items = items[n:]
	}
	return nil
}
