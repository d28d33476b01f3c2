package store

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

var workAroundsTable = table{"workarounds", append(append(text("id"), subjectColumns...), text("what", "owner")...)}

// PutWorkAround keeps a work-around with its proposal, the first of its steps. One of that
// id that says the same changes nothing; one that says something else is [ErrFinal].
func (s *Store) PutWorkAround(ctx context.Context, w patching.WorkAround) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		before := t.rows
		err := t.putOnce(ctx, workAroundsTable, workAroundRow(w), func() (any, error) {
			is, err := t.workAround(ctx, w.ID)
			return workAroundRow(is), err
		})
		if err != nil || t.rows == before {
			return err
		}
		return t.step(ctx, 1, w.Proposed(), false)
	})
	if err != nil {
		return fmt.Errorf("keep work-around %s: %w", w.ID, err)
	}
	return nil
}

// AddWorkAroundStep adds a step to a work-around's life and returns how it stands then. A
// step that does not follow on those that are there is a [*patching.Misfit].
func (s *Store) AddWorkAroundStep(ctx context.Context, step patching.WorkAroundStep) (w patching.WorkAround, err error) {
	step.At = fromMicros(micros(step.At))
	err = s.inTx(ctx, SerialPeople, func(t *tx) error {
		if w, err = t.workAround(ctx, step.WorkAround); err != nil {
			return err
		}
		if err := w.Fits(step); err != nil {
			return err
		}
		w.Steps = append(w.Steps, step)
		return t.step(ctx, len(w.Steps), step, w.State().Terminal())
	})
	if err != nil {
		return w, fmt.Errorf("work-around %s: %w", step.WorkAround, err)
	}
	return w, nil
}

func (t *tx) step(ctx context.Context, seq int, s patching.WorkAroundStep, ends bool) error {
	_, err := t.exec(ctx, `INSERT INTO workaround_steps (workaround, seq, state, at, account, role, assets, note, ends)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(s.WorkAround), seq, string(s.State), micros(s.At), string(s.By), string(s.Role), jsonText(s.Assets), s.Note, ends)
	return err
}

// WorkArounds returns the work-arounds that are on a machine, or may come to be, and those
// that were removed after a time; by their ids. A zero time takes all.
func (s *Store) WorkArounds(ctx context.Context, since time.Time) ([]patching.WorkAround, error) {
	out, err := s.reader().workArounds(ctx, "NOT EXISTS (SELECT 1 FROM workaround_steps e WHERE e.workaround = w.id AND e.ends AND e.at <= ?)", micros(since))
	if err != nil {
		return nil, fmt.Errorf("list work-arounds: %w", err)
	}
	return out, nil
}

// WorkAround returns a work-around by its id.
func (s *Store) WorkAround(ctx context.Context, id patching.DecisionID) (patching.WorkAround, error) {
	w, err := s.reader().workAround(ctx, id)
	if err != nil {
		return w, fmt.Errorf("work-around %s: %w", id, err)
	}
	return w, nil
}

func (q querier) workAround(ctx context.Context, id patching.DecisionID) (patching.WorkAround, error) {
	found, err := q.workArounds(ctx, "w.id = ?", string(id))
	if err != nil {
		return patching.WorkAround{}, err
	}
	if len(found) == 0 {
		return patching.WorkAround{}, ErrNotFound
	}
	return found[0], nil
}

// workArounds puts each together from its steps.
func (q querier) workArounds(ctx context.Context, which string, arg any) (out []patching.WorkAround, err error) {
	query := "SELECT " + names(prefixed("w", workAroundsTable.columns)) + `, s.state, s.at, s.account, s.role, s.assets, s.note
		FROM workarounds w JOIN workaround_steps s ON s.workaround = w.id WHERE ` + which + " ORDER BY w.id, s.seq"
	err = q.each(ctx, func(row scanner) error {
		var w patching.WorkAround
		var s patching.WorkAroundStep
		fields := append(append([]any{&w.ID}, subjectFields(&w.Subject)...), &w.What, &w.Owner)
		err := row.Scan(append(fields, &s.State, instant{&s.At}, &s.By, &s.Role, document{&s.Assets}, &s.Note)...)
		if n := len(out); n == 0 || out[n-1].ID != w.ID {
			out = append(out, w)
		}
		s.WorkAround = w.ID
		last := &out[len(out)-1]
		last.Steps = append(last.Steps, s)
		return err
	}, query, arg)
	return out, err
}

func workAroundRow(w patching.WorkAround) []any {
	return append(append([]any{string(w.ID)}, subjectRow(w.Subject)...), w.What, w.Owner)
}
