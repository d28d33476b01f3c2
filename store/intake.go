package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// TakeReports takes messages of devices, in their order, in one transaction,
// and says what became of each: when it returns without an error, what it calls
// taken is on disk and may be acknowledged. A message counts once, whatever
// comes again; two messages under one counter quarantine their device, for they
// are the sign of a clone.
//
// An inventory replaces what the machine says of itself. A receipt is kept, and
// moves its order and its deployment forward, never back:
//
//   - accepted or fetched: a planned deployment is staged;
//   - started: it is started;
//   - the end of an apply order ends it with the machine's outcome, a refusal as
//     failed;
//   - the end of a revert order makes it rolled back, or in need of hands;
//   - the end of any order adds its repairs and what it freed.
//
// The first answer stays. If the server had stopped waiting before (it was
// released, or unreachable), the answer is a correction: it replaces the outcome
// as long as the cycle is open, and is kept beside it afterwards.
//
// What a machine sends can make only its own report fail to count, never the
// others'.
func (s *Store) TakeReports(ctx context.Context, reports []patching.Report) ([]patching.Intake, error) {
	if len(reports) == 0 {
		return nil, nil
	}
	var became []patching.Intake
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		in, err := t.gatherIntake(ctx, reports)
		if err != nil {
			return fmt.Errorf("look up what they speak of: %w", err)
		}
		became = in.judge(reports)
		return t.saveIntake(ctx, in)
	})
	if err != nil {
		return nil, fmt.Errorf("take %d reports: %w", len(reports), err)
	}
	return became, nil
}

var (
	messagesTable = table{"messages", []Column{{"device", Text}, {"counter", Int}, {"digest", Text}}}
	receiptsTable = table{"receipts", append(append(append(append(append(
		text("device"), ints("counter")...), text("order_id", "stage", "boot")...), ints("at", "received")...),
		text("outcome", "reason", "detail", "signature")...), Column{"repairs", Int}, Column{"freed", Int}, Column{"changes", Text})}
	correctionsTable = table{"corrections", append(append(append(
		text("cycle", "asset", "order_id"), ints("at")...), text("was_outcome", "was_reason", "outcome", "reason")...), Column{"applied", Bool})}

	deviceUpdate     = append(text("id", "state", "boot", "relay"), ints("counter", "seen")...)
	orderUpdate      = append(text("id", "stage"), Column{"final", Bool})
	deploymentUpdate = append(text("cycle", "asset", "state", "order_id", "outcome", "reason", "detail", "signature"),
		ints("answered", "ended", "repairs", "freed", "verified")...)
)

// gatherIntake reads, in a handful of questions, all that judging needs.
func (t *tx) gatherIntake(ctx context.Context, reports []patching.Report) (*intake, error) {
	in := &intake{
		devices: make(map[patching.DeviceID]*deviceNow), messages: make(map[messageKey]patching.Digest),
		orders: make(map[patching.OrderID]*orderNow), deployments: make(map[deploymentKey]*deploymentNow),
		facts: make(map[patching.AssetID][]any),
	}
	var devices, orders []string
	for _, r := range reports {
		devices = append(devices, string(clean(r.Device)))
		for _, c := range r.Receipts {
			if storable(c) {
				orders = append(orders, string(c.Order))
			}
		}
	}
	if err := t.gatherDevices(ctx, in, devices); err != nil {
		return nil, err
	}
	if err := t.gatherMessages(ctx, in, reports); err != nil {
		return nil, err
	}
	return in, t.gatherOrders(ctx, in, orders)
}

func (t *tx) gatherDevices(ctx context.Context, in *intake, ids []string) error {
	within, arg := t.dialect.Within(ids)
	return t.each(ctx, func(row scanner) error {
		var d deviceNow
		err := row.Scan(&d.id, &d.asset, &d.state, &d.boot, &d.relay, &d.counter, &d.seen)
		in.devices[d.id] = &d
		return err
	}, "SELECT id, asset, state, boot, relay, counter, seen FROM devices WHERE id"+within, arg)
}

// gatherMessages looks up the counters that are not new: few, unless a relay
// sends its spool again.
func (t *tx) gatherMessages(ctx context.Context, in *intake, reports []patching.Report) error {
	var rows [][]any
	for _, r := range reports {
		if d := in.devices[r.Device]; d != nil && r.Counter <= uint64(d.counter) {
			rows = append(rows, []any{string(r.Device), int64(r.Counter)})
		}
	}
	return t.eachOf(ctx, func(row scanner) error {
		var k messageKey
		var digest patching.Digest
		err := row.Scan(&k.device, &k.counter, &digest)
		in.messages[k] = digest
		return err
	}, "SELECT m.device, m.counter, m.digest FROM {rows} AS v JOIN messages m ON m.device = v.device AND m.counter = v.counter",
		messagesTable.columns[:2], rows)
}

func (t *tx) gatherOrders(ctx context.Context, in *intake, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	within, arg := t.dialect.Within(ids)
	return t.each(ctx, func(row scanner) error {
		var o orderNow
		var d deploymentNow
		var asset patching.AssetID
		var closed int64
		err := row.Scan(&o.id, &o.device, &o.key.asset, &o.key.cycle, &o.verb, &o.stage, &o.final,
			&asset, &d.state, &d.order, &d.outcome, &d.reason, &d.detail, &d.signature,
			&d.released, &d.answered, &d.ended, &d.repairs, &d.freed, &d.verified, &d.again, &closed)
		in.orders[o.id] = &o
		if asset != "" && in.deployments[o.key] == nil {
			d.key, d.closed = o.key, closed != 0
			in.deployments[o.key] = &d
		}
		return err
	}, `SELECT o.id, o.device, o.asset, o.cycle, o.verb, o.stage, o.final,
		COALESCE(d.asset, ''), COALESCE(d.state, ''), COALESCE(d.order_id, ''), COALESCE(d.outcome, ''), COALESCE(d.reason, ''),
		COALESCE(d.detail, ''), COALESCE(d.signature, ''), COALESCE(d.released, 0), COALESCE(d.answered, 0), COALESCE(d.ended, 0),
		COALESCE(d.repairs, 0), COALESCE(d.freed, 0), COALESCE(d.verified, 0), COALESCE(d.again, 0), COALESCE(c.closed, 0)
		FROM orders o LEFT JOIN deployments d ON d.cycle = o.cycle AND d.asset = o.asset LEFT JOIN cycles c ON c.id = o.cycle
		WHERE o.id`+within, arg)
}

// saveIntake writes what judging changed: a statement a table.
func (t *tx) saveIntake(ctx context.Context, in *intake) error {
	if err := t.insert(ctx, messagesTable, in.messageRows); err != nil {
		return fmt.Errorf("keep the messages: %w", err)
	}
	if _, err := t.merge(ctx, receiptsTable, "(device, counter, order_id, stage) DO NOTHING", in.receiptRows); err != nil {
		return fmt.Errorf("keep the receipts: %w", err)
	}
	if err := t.insert(ctx, correctionsTable, in.correctionRows); err != nil {
		return fmt.Errorf("keep the corrections: %w", err)
	}
	facts := assetsTable.columns[:machineFacts+1] // with the device: one that was replaced does not speak for the asset
	set := assignments(withoutName(facts[1:machineFacts], "carries_patchcycle"))
	if err := t.noteChanged(ctx, facts, in.factRows()); err != nil {
		return err
	}
	for _, u := range []struct {
		query   string
		columns []Column
		rows    [][]any
	}{
		{"UPDATE devices SET " + assignments(deviceUpdate[1:]) + " FROM {rows} AS v WHERE devices.id = v.id", deviceUpdate, in.deviceRows()},
		// A machine can say that patchcycle runs on it; that it does not is the server's to say.
		{"UPDATE assets SET " + set + `, carries_patchcycle = (assets.carries_patchcycle OR v.carries_patchcycle)
			FROM {rows} AS v WHERE assets.id = v.id AND assets.device = v.device`, facts, in.factRows()},
		{"UPDATE orders SET " + assignments(orderUpdate[1:]) + " FROM {rows} AS v WHERE orders.id = v.id", orderUpdate, in.orderRows()},
		{"UPDATE deployments SET " + assignments(deploymentUpdate[2:]) + ` FROM {rows} AS v
			WHERE deployments.cycle = v.cycle AND deployments.asset = v.asset`, deploymentUpdate, in.deploymentRows()},
	} {
		if _, err := t.bulk(ctx, u.query, u.columns, u.rows); err != nil {
			return fmt.Errorf("keep what they change: %w", err)
		}
	}
	return nil
}

// changeDocument is how a receipt's change is kept.
type changeDocument struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// Receipts returns what a device said of the orders of a cycle, or of all its
// orders if no cycle is named, in the order in which it said it.
func (s *Store) Receipts(ctx context.Context, d patching.DeviceID, c patching.CycleID) ([]patching.Receipt, error) {
	f := s.filter()
	f.and("r.device = ?", string(d))
	if c != "" {
		f.and("r.order_id IN (SELECT o.id FROM orders o WHERE o.id = r.order_id AND o.cycle = ?)", string(c))
	}
	out, err := all(ctx, s.reader(), func(row scanner) (patching.Receipt, error) {
		var r patching.Receipt
		var changes []changeDocument
		err := row.Scan(&r.Device, &r.Counter, &r.Order, &r.Stage, &r.Boot, instant{&r.At},
			&r.Outcome, &r.Reason, &r.Detail, &r.Signature, &r.Repairs, &r.Freed, document{&changes})
		for _, c := range changes {
			r.Changes = append(r.Changes, patching.Change(c))
		}
		return r, err
	}, `SELECT r.device, r.counter, r.order_id, r.stage, r.boot, r.at, r.outcome, r.reason, r.detail, r.signature, r.repairs, r.freed, r.changes
		FROM receipts r`+f.where()+" ORDER BY r.counter, r.at, r.order_id, r.stage", f.args...)
	if err != nil {
		return nil, fmt.Errorf("receipts of %s: %w", d, err)
	}
	return out, nil
}

// Correction is an outcome that came after the server had given one.
type Correction struct {
	Cycle patching.CycleID
	Asset patching.AssetID
	// Order is what the machine answered; empty: the server itself thought again.
	Order      patching.OrderID
	At         time.Time
	WasOutcome patching.Outcome
	WasReason  patching.Reason
	Outcome    patching.Outcome
	Reason     patching.Reason
	// Applied says that it replaced the outcome; after the close it does not.
	Applied bool
}

// Corrections returns those of a cycle, oldest first.
func (s *Store) Corrections(ctx context.Context, c patching.CycleID) ([]Correction, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (Correction, error) {
		var k Correction
		err := row.Scan(&k.Cycle, &k.Asset, &k.Order, instant{&k.At}, &k.WasOutcome, &k.WasReason, &k.Outcome, &k.Reason, &k.Applied)
		return k, err
	}, "SELECT "+names(correctionsTable.columns)+" FROM corrections WHERE cycle = ? ORDER BY at, id", string(c))
	if err != nil {
		return nil, fmt.Errorf("list the corrections of %s: %w", c, err)
	}
	return out, nil
}
