package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
)

// Cells counts the machines of a slice that are alike in all that a failure could
// be laid to. It is one question, and its answer has a few thousand rows for a
// fleet of 1,000,000; signatures and reasons of machines that went well are the same.
func (s *Store) Cells(ctx context.Context, of Slice) ([]diagnose.Cell, error) {
	f := s.filter()
	f.slice("p.", of)
	f.and("p.outcome <> ''")
	const release = "TRIM(COALESCE(a.os_family, '') || ' ' || COALESCE(a.os_release, ''))"
	const by = "COALESCE(d.relay, ''), p.site, COALESCE(a.agent, ''), " + release + ", p.window_rule, p.ring, p.bundle, " +
		"p.released > 0, p.answered > 0, p.outcome, p.reason, p.signature"
	out, err := all(ctx, s.reader(), func(row scanner) (c diagnose.Cell, err error) {
		return c, row.Scan(&c.Relay, &c.Site, &c.Agent, &c.OS, &c.Rule, &c.Ring, &c.Bundle,
			&c.Released, &c.Answered, &c.Outcome, &c.Reason, &c.Signature, &c.Machines)
	}, "SELECT "+by+", COUNT(*) FROM deployments p LEFT JOIN devices d ON d.id = p.device LEFT JOIN assets a ON a.id = p.asset"+
		f.where()+" GROUP BY "+by+" ORDER BY "+by, f.args...)
	if err != nil {
		return nil, fmt.Errorf("count what machines of %s%s have in common: %w", of.Cycle, of.Wave, err)
	}
	return out, nil
}

// DiagnosisRow is what the failures of a ring, or of a cycle, had in common.
type DiagnosisRow struct {
	Cycle patching.CycleID
	Ring  patching.RingName // empty: all rings
	At    time.Time
	diagnose.Diagnosis
}

// PutDiagnosis keeps a diagnosis; of a ring the last one counts.
func (s *Store) PutDiagnosis(ctx context.Context, d DiagnosisRow) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO diagnoses (cycle, ring, at, document) VALUES (?, ?, ?, ?)
			ON CONFLICT (cycle, ring) DO UPDATE SET at = excluded.at, document = excluded.document`,
			string(d.Cycle), string(d.Ring), micros(d.At), encode(d.Diagnosis))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep why machines of %s failed: %w", d.Cycle, err)
	}
	return nil
}

// Diagnoses returns those of a cycle, oldest first.
func (s *Store) Diagnoses(ctx context.Context, c patching.CycleID) ([]DiagnosisRow, error) {
	out, err := all(ctx, s.reader(), func(row scanner) (d DiagnosisRow, err error) {
		return d, row.Scan(&d.Cycle, &d.Ring, instant{&d.At}, document{&d.Diagnosis})
	}, "SELECT cycle, ring, at, document FROM diagnoses WHERE cycle = ? ORDER BY at, ring", string(c))
	if err != nil {
		return nil, fmt.Errorf("why machines of %s failed: %w", c, err)
	}
	return out, nil
}

// TryAgain releases deployments that ended once more, each with its new order:
// what was tried again before, or has ended well, stays as it is. The first answer
// stays on record as a receipt.
func (s *Store) TryAgain(ctx context.Context, orders []StagedOrder, now time.Time) error {
	columns := append(text("cycle", "asset", "order_id"), ints("released")...)
	rows := make([][]any, len(orders))
	for i, o := range orders {
		rows[i] = []any{string(o.Cycle), string(o.Asset), string(o.Order), micros(now)}
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.bulk(ctx, `UPDATE deployments SET state = 'released', order_id = v.order_id, released = v.released, again = again + 1,
			outcome = '', reason = '', detail = '', signature = '', answered = 0, ended = 0, verified = 0 FROM {rows} AS v
			WHERE deployments.cycle = v.cycle AND deployments.asset = v.asset AND deployments.state = 'done' AND deployments.again = 0
			AND deployments.outcome IN ('failed', 'needs-hands', 'deferred')`, columns, rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("try %d machines again: %w", len(orders), err)
	}
	return nil
}
