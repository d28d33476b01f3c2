package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// Restage takes back, in one transaction, what a lost engine had set in motion
// in a cycle and no machine has begun: its open orders are withdrawn, and the
// deployments that were staged or released are planned again. It returns how
// many. Machines that have begun keep their orders, and what they report counts.
func (s *Store) Restage(ctx context.Context, c patching.CycleID) (restaged int, err error) {
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		if _, err := t.exec(ctx, "UPDATE orders SET withdrawn = TRUE WHERE cycle = ? AND NOT withdrawn AND "+notStarted, string(c)); err != nil {
			return err
		}
		n, err := t.exec(ctx, "UPDATE deployments SET state = 'planned', batch = 0, order_id = '', released = 0"+
			" WHERE cycle = ? AND state IN ('staged', 'released')", string(c))
		restaged = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("plan %s again: %w", c, err)
	}
	return restaged, nil
}
