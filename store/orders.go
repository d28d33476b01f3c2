package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// OrderRow is an order as it is kept for a device to fetch. Its envelope is
// signed elsewhere and opaque here.
type OrderRow struct {
	ID       patching.OrderID
	Device   patching.DeviceID
	Asset    patching.AssetID
	Cycle    patching.CycleID
	Ring     patching.RingName
	Wave     patching.WaveID
	Verb     string
	Seq      uint64
	Envelope []byte
	Issued   time.Time
	Expires  time.Time // zero: never
	// Stage is how far the machine has come; empty: it has not said anything.
	Stage patching.Stage
	// Final says that the machine is done with it.
	Final      bool
	Lease      []byte
	LeaseUntil time.Time
	Withdrawn  bool
}

// LeaseRow is a start permit for an order.
type LeaseRow struct {
	Order patching.OrderID
	Lease []byte
	Until time.Time
}

var ordersTable = table{"orders", append(append(append(append(
	text("id", "device", "asset", "cycle", "ring", "wave", "verb"), Column{"seq", Int}, Column{"envelope", Blob}),
	ints("issued", "expires")...), Column{"stage", Text}, Column{"final", Bool}, Column{"lease", Blob}),
	Column{"lease_until", Int}, Column{"withdrawn", Bool})}

// stageRank orders the stages: an order moves forward only.
var stageRank = map[patching.Stage]int{
	patching.StageAccepted: 1, patching.StageFetched: 2, patching.StageStarted: 3, patching.StageInstalled: 4,
	patching.StageRebooting: 5, patching.StageFinished: 6, patching.StageRefused: 6,
}

// notStarted is the condition of an order that its machine has not begun.
const notStarted = "NOT final AND stage IN ('', 'accepted', 'fetched')"

// PutOrders keeps orders. One of an id that is there already stays as it is:
// ids come from cycle, asset, verb and attempt, so an order issued twice is one.
func (s *Store) PutOrders(ctx context.Context, orders []OrderRow) error {
	rows := make([][]any, 0, len(orders))
	seen := make(map[patching.OrderID]bool, len(orders))
	for _, o := range orders {
		if seen[o.ID] {
			continue
		}
		seen[o.ID] = true
		seq, err := signed(o.Seq)
		if err != nil {
			return fmt.Errorf("order %s: %w", o.ID, err)
		}
		rows = append(rows, []any{
			string(o.ID), string(o.Device), string(o.Asset), string(o.Cycle), string(o.Ring), string(o.Wave), o.Verb, seq, blob(o.Envelope),
			micros(o.Issued), micros(o.Expires), string(o.Stage), o.Final, blob(o.Lease), micros(o.LeaseUntil), o.Withdrawn,
		})
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.merge(ctx, ordersTable, "(id) DO NOTHING", rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d orders: %w", len(orders), err)
	}
	return nil
}

// PutLeases gives start permits to orders, in place of earlier ones. Orders
// that are final or withdrawn get none. An order that is not there is
// [ErrNotFound].
func (s *Store) PutLeases(ctx context.Context, leases []LeaseRow) error {
	columns := []Column{{"id", Text}, {"lease", Blob}, {"until", Int}}
	rows := make([][]any, len(leases))
	ids := make([]string, len(leases))
	for i, l := range leases {
		rows[i] = []any{string(l.Order), blob(l.Lease), micros(l.Until)}
		ids[i] = string(l.Order)
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		there := make(map[string]bool, len(leases))
		within, arg := t.dialect.Within(ids)
		err := t.each(ctx, func(row scanner) error {
			var id string
			err := row.Scan(&id)
			there[id] = true
			return err
		}, "SELECT id FROM orders WHERE id"+within, arg)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if !there[id] {
				return fmt.Errorf("order %s: %w", id, ErrNotFound)
			}
		}
		_, err = t.bulk(ctx, `UPDATE orders SET lease = v.lease, lease_until = v.until FROM {rows} AS v
			WHERE orders.id = v.id AND NOT final AND NOT withdrawn`, columns, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d start permits: %w", len(leases), err)
	}
	return nil
}

// PendingOrders returns what devices still have to do: orders that are neither
// final nor withdrawn nor expired, by sequence number. Only accepted devices
// have any.
func (s *Store) PendingOrders(ctx context.Context, devices []patching.DeviceID, now time.Time) ([]OrderRow, error) {
	within, arg := s.dialect.Within(list(devices))
	out, err := all(ctx, s.reader(), scanOrder, "SELECT "+names(ordersTable.columns)+" FROM orders WHERE device"+within+`
		AND NOT final AND NOT withdrawn AND (expires = 0 OR expires > ?)
		AND EXISTS (SELECT 1 FROM devices d WHERE d.id = orders.device AND d.state = 'accepted') ORDER BY seq`, arg, micros(now))
	if err != nil {
		return nil, fmt.Errorf("pending orders of %d devices: %w", len(devices), err)
	}
	return out, nil
}

// WithdrawOrders takes back the orders of a slice and verb (empty: all verbs)
// that their machines have not begun, and returns how many it took back.
func (s *Store) WithdrawOrders(ctx context.Context, of Slice, verb string) (withdrawn int, err error) {
	if of.Cycle == "" {
		return 0, errors.New("withdraw orders: no cycle is named")
	}
	f := s.filter()
	f.orders(of, verb)
	f.and("NOT withdrawn AND " + notStarted)
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		n, err := t.exec(ctx, "UPDATE orders SET withdrawn = TRUE"+f.where(), f.args...)
		withdrawn = int(n)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("withdraw orders of %s: %w", of.Cycle, err)
	}
	return withdrawn, nil
}

// Orders returns orders by their ids, in the order of their sequence numbers;
// what is not there is left out.
func (s *Store) Orders(ctx context.Context, ids []patching.OrderID) ([]OrderRow, error) {
	within, arg := s.dialect.Within(list(ids))
	out, err := all(ctx, s.reader(), scanOrder, "SELECT "+names(ordersTable.columns)+" FROM orders WHERE id"+within+" ORDER BY seq", arg)
	if err != nil {
		return nil, fmt.Errorf("read %d orders: %w", len(ids), err)
	}
	return out, nil
}

// OrderCounts counts the orders of a slice and verb that stand, and those of
// them that are final.
func (s *Store) OrderCounts(ctx context.Context, of Slice, verb string) (issued, final int, err error) {
	f := s.filter()
	f.orders(of, verb)
	f.and("(final OR NOT withdrawn)")
	err = s.reader().row(ctx, []any{&issued, &final}, "SELECT COUNT(*), COUNT(CASE WHEN final THEN 1 END) FROM orders"+f.where(), f.args...)
	if err != nil {
		return 0, 0, fmt.Errorf("count orders of %s: %w", of.Cycle, err)
	}
	return issued, final, nil
}

// orders narrows to the orders of a slice. A batch is known to deployments only.
func (f *filter) orders(of Slice, verb string) {
	f.equal("cycle", string(of.Cycle))
	f.equal("ring", string(of.Ring))
	f.equal("wave", string(of.Wave))
	f.equal("verb", verb)
	if of.Batch > 0 {
		f.and("(cycle, asset) IN (SELECT p.cycle, p.asset FROM deployments p WHERE p.wave = ? AND p.batch = ?)", string(of.Wave), of.Batch)
	}
}

func scanOrder(row scanner) (OrderRow, error) {
	var o OrderRow
	err := row.Scan(&o.ID, &o.Device, &o.Asset, &o.Cycle, &o.Ring, &o.Wave, &o.Verb, &o.Seq, &o.Envelope,
		instant{&o.Issued}, instant{&o.Expires}, &o.Stage, &o.Final, &o.Lease, instant{&o.LeaseUntil}, &o.Withdrawn)
	if len(o.Lease) == 0 {
		o.Lease = nil
	}
	return o, err
}
