package store

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// CycleFilter chooses cycles. The zero filter takes all.
type CycleFilter struct {
	Policy patching.PolicyName
	// Open takes those only that have not closed, Unfinished also those that have
	// no report yet: their workflow still has work.
	Open, Unfinished bool
	// Limit bounds the answer; 0 does not.
	Limit int
}

const cycleColumns = `id, kind, policy, policy_version, shadow, author, reason, opened, closed, phase, words,
	plan, closed_as, epoch, mode, report, state`

// OpenCycle opens a cycle's record. A cycle of that id that is there already
// stays as it is, and opened is false.
func (s *Store) OpenCycle(ctx context.Context, c patching.Cycle) (opened bool, err error) {
	err = s.inTx(ctx, SerialFleet, func(t *tx) error {
		n, err := t.exec(ctx, "INSERT INTO cycles ("+cycleColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
			string(c.ID), string(c.Kind), string(c.Policy), string(c.PolicyVersion), c.Shadow, string(c.Author), c.Reason,
			micros(c.Opened), micros(c.Closed), string(c.Phase), c.Words, string(c.Plan), string(c.ClosedAs), c.Epoch, c.Mode, c.Report, blob(c.State))
		opened = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("open %s: %w", c.ID, err)
	}
	return opened, nil
}

// SaveCycle keeps how a cycle stands: all of it but who opened it and when.
func (s *Store) SaveCycle(ctx context.Context, c patching.Cycle) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE cycles SET kind = ?, policy = ?, policy_version = ?, shadow = ?, reason = ?, closed = ?, phase = ?,
			words = ?, plan = ?, closed_as = ?, epoch = ?, mode = ?, report = ?, state = ? WHERE id = ?`,
			string(c.Kind), string(c.Policy), string(c.PolicyVersion), c.Shadow, c.Reason, micros(c.Closed), string(c.Phase),
			c.Words, string(c.Plan), string(c.ClosedAs), c.Epoch, c.Mode, c.Report, blob(c.State), string(c.ID))
		if err == nil && n == 0 {
			return ErrNotFound
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("save %s: %w", c.ID, err)
	}
	return nil
}

// Cycle returns a cycle by its id.
func (s *Store) Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error) {
	c, err := one(ctx, s.reader(), scanCycle, "SELECT "+cycleColumns+" FROM cycles WHERE id = ?", string(id))
	if err != nil {
		return c, fmt.Errorf("%s: %w", id, err)
	}
	return c, nil
}

// Cycles returns the cycles that the filter takes, newest first.
func (s *Store) Cycles(ctx context.Context, want CycleFilter) ([]patching.Cycle, error) {
	f := s.filter()
	f.equal("policy", string(want.Policy))
	if want.Open {
		f.and("closed = 0")
	}
	if want.Unfinished {
		f.and("phase <> ?", string(patching.PhaseClosed))
	}
	query := "SELECT " + cycleColumns + " FROM cycles" + f.where() + " ORDER BY opened DESC, id DESC"
	query += f.limit(want.Limit)
	out, err := all(ctx, s.reader(), scanCycle, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("list cycles: %w", err)
	}
	return out, nil
}

// NextCycleNumber returns the number of the policy's next cycle in a month, from 1.
func (s *Store) NextCycleNumber(ctx context.Context, p patching.PolicyName, year, month int) (int, error) {
	// Ids of the month lie between "…2026-11." and "…2026-11/": "/" follows "." in
	// the order of bytes.
	prefix := strings.TrimSuffix(string(patching.NewCycleID(p, year, month, 0)), "0")
	last := 0
	err := s.reader().each(ctx, func(row scanner) error {
		var id string
		if err := row.Scan(&id); err != nil {
			return err
		}
		if n, err := strconv.Atoi(strings.TrimPrefix(id, prefix)); err == nil {
			last = max(last, n)
		}
		return nil
	}, "SELECT id FROM cycles WHERE id > ? AND id < ?", prefix, strings.TrimSuffix(prefix, ".")+"/")
	if err != nil {
		return 0, fmt.Errorf("number the next cycle of %s: %w", p, err)
	}
	return last + 1, nil
}

func scanCycle(row scanner) (patching.Cycle, error) {
	var c patching.Cycle
	err := row.Scan(&c.ID, &c.Kind, &c.Policy, &c.PolicyVersion, &c.Shadow, &c.Author, &c.Reason, instant{&c.Opened}, instant{&c.Closed},
		&c.Phase, &c.Words, &c.Plan, &c.ClosedAs, &c.Epoch, &c.Mode, &c.Report, &c.State)
	if len(c.State) == 0 {
		c.State = nil
	}
	return c, err
}
