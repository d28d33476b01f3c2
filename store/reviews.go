package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

var (
	subjectColumns = text("advisory", "cve", "package", "selector")
	termColumns    = append(append(text("id", "account", "role"), ints("at", "until")...), Column{"reason", Text})

	reviewsTable    = table{"reviews", append(append(termColumns[:6:6], subjectColumns...), Column{"answer", Text})}
	exceptionsTable = table{"exceptions", append(append(append(termColumns[:6:6], subjectColumns...), text("owner", "measure")...), Column{"review_by", Int}, Column{"renews", Text})}
)

// pastTerms is how long after its end a decision still matters: as long as any may hold,
// so that what it replaced is over as well, and two days of people's dates.
const pastTerms = 368 * 24 * time.Hour

// DecisionsAt returns all decisions of people that matter at a time: those that hold,
// and those that ended in the year before, which count for nothing, and show as such.
// Each tells by itself how it stands (see [patching.Term.State]).
func (s *Store) DecisionsAt(ctx context.Context, now time.Time) (all patching.Decisions, err error) {
	since := now.Add(-pastTerms)
	if all.Reviews, err = s.Reviews(ctx, since); err != nil {
		return all, err
	}
	if all.Exceptions, err = s.Exceptions(ctx, since); err != nil {
		return all, err
	}
	all.WorkArounds, err = s.WorkArounds(ctx, since)
	return all, err
}

// PutReview keeps a review. One of that id that says the same changes nothing; one that
// says something else is [ErrFinal].
func (s *Store) PutReview(ctx context.Context, r patching.Review) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		return t.putOnce(ctx, reviewsTable, reviewRow(r), func() (any, error) {
			is, err := t.review(ctx, r.ID)
			return reviewRow(is), err
		})
	})
	if err != nil {
		return fmt.Errorf("keep review %s: %w", r.ID, err)
	}
	return nil
}

// PutException keeps an exception and ends the one that it renews. One of that id that
// says the same changes nothing; one that says something else is [ErrFinal], and so is
// the renewal of one that was ended already.
func (s *Store) PutException(ctx context.Context, e patching.Exception) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		err := t.putOnce(ctx, exceptionsTable, exceptionRow(e), func() (any, error) {
			is, err := t.exception(ctx, e.ID)
			return exceptionRow(is), err
		})
		if err != nil || e.Renews == "" {
			return err
		}
		if _, err := t.exception(ctx, e.Renews); err != nil {
			return fmt.Errorf("exception %s, to be renewed: %w", e.Renews, err)
		}
		return t.endDecision(ctx, patching.Ending{Decision: e.Renews, At: e.At, By: e.By, Role: e.Role, Reason: e.Reason, RenewedBy: e.ID})
	})
	if err != nil {
		return fmt.Errorf("keep exception %s: %w", e.ID, err)
	}
	return nil
}

// putOnce inserts a row, and compares it with the one that is there already.
func (t *tx) putOnce(ctx context.Context, into table, row []any, is func() (any, error)) error {
	n, err := t.merge(ctx, into, "(id) DO NOTHING", [][]any{row})
	if err != nil || n > 0 {
		return err
	}
	there, err := is()
	if err != nil || encode(there) == encode(row) {
		return err
	}
	return fmt.Errorf("one of that id is there, says something else, and %w", ErrFinal)
}

// EndDecision ends a review or an exception before its date. To end it again is
// [ErrFinal], unless all is the same.
func (s *Store) EndDecision(ctx context.Context, e patching.Ending) error {
	err := s.inTx(ctx, SerialPeople, func(t *tx) error {
		var known int
		err := t.row(ctx, []any{&known}, "SELECT (SELECT COUNT(*) FROM reviews WHERE id = ?) + (SELECT COUNT(*) FROM exceptions WHERE id = ?)", string(e.Decision), string(e.Decision))
		if err != nil {
			return err
		}
		if known == 0 {
			return ErrNotFound
		}
		return t.endDecision(ctx, e)
	})
	if err != nil {
		return fmt.Errorf("end decision %s: %w", e.Decision, err)
	}
	return nil
}

func (t *tx) endDecision(ctx context.Context, e patching.Ending) error {
	is, err := one(ctx, t.querier, func(row scanner) (is patching.Ending, err error) {
		return is, row.Scan(&is.Decision, instant{&is.At}, &is.By, &is.Role, &is.Reason, &is.RenewedBy)
	}, "SELECT decision, at, account, role, reason, renewed_by FROM decision_ends WHERE decision = ?", string(e.Decision))
	switch {
	case errors.Is(err, ErrNotFound):
		_, err = t.exec(ctx, "INSERT INTO decision_ends (decision, at, account, role, reason, renewed_by) VALUES (?, ?, ?, ?, ?, ?)", endingRow(e)...)
		return err
	case err != nil:
		return err
	case encode(endingRow(e)) == encode(endingRow(is)):
		return nil
	}
	return fmt.Errorf("%s was ended on %s by %s: that %w", e.Decision, is.At.Format(time.DateOnly), is.By, ErrFinal)
}

func endingRow(e patching.Ending) []any {
	return []any{string(e.Decision), micros(e.At), string(e.By), string(e.Role), e.Reason, string(e.RenewedBy)}
}

// withEnd selects a table's columns and those of its rows' ends.
func withEnd(of table) string {
	return "SELECT " + names(prefixed("d", of.columns)) + `, COALESCE(e.at, 0), COALESCE(e.account, ''), COALESCE(e.role, ''),
		COALESCE(e.reason, ''), COALESCE(e.renewed_by, '') FROM ` + of.name + " d LEFT JOIN decision_ends e ON e.decision = d.id"
}

func prefixed(with string, columns []Column) []Column {
	out := make([]Column, len(columns))
	for i, c := range columns {
		out[i] = Column{with + "." + c.Name, c.Type}
	}
	return out
}

// Reviews returns the reviews that hold until a time or longer, those that end first in
// front. A zero time takes all.
func (s *Store) Reviews(ctx context.Context, since time.Time) ([]patching.Review, error) {
	out, err := all(ctx, s.reader(), scanReview, withEnd(reviewsTable)+" WHERE d.until >= ? ORDER BY d.until, d.id", micros(since))
	if err != nil {
		return nil, fmt.Errorf("list reviews: %w", err)
	}
	return out, nil
}

// Review returns a review by its id.
func (s *Store) Review(ctx context.Context, id patching.DecisionID) (patching.Review, error) {
	return s.reader().review(ctx, id)
}

func (q querier) review(ctx context.Context, id patching.DecisionID) (patching.Review, error) {
	r, err := one(ctx, q, scanReview, withEnd(reviewsTable)+" WHERE d.id = ?", string(id))
	if err != nil {
		return r, fmt.Errorf("review %s: %w", id, err)
	}
	return r, nil
}

// Exceptions returns the exceptions that hold until a time or longer, those that end
// first in front. A zero time takes all.
func (s *Store) Exceptions(ctx context.Context, since time.Time) ([]patching.Exception, error) {
	out, err := all(ctx, s.reader(), scanException, withEnd(exceptionsTable)+" WHERE d.until >= ? ORDER BY d.until, d.id", micros(since))
	if err != nil {
		return nil, fmt.Errorf("list exceptions: %w", err)
	}
	return out, nil
}

// Exception returns an exception by its id.
func (s *Store) Exception(ctx context.Context, id patching.DecisionID) (patching.Exception, error) {
	return s.reader().exception(ctx, id)
}

func (q querier) exception(ctx context.Context, id patching.DecisionID) (patching.Exception, error) {
	e, err := one(ctx, q, scanException, withEnd(exceptionsTable)+" WHERE d.id = ?", string(id))
	if err != nil {
		return e, fmt.Errorf("exception %s: %w", id, err)
	}
	return e, nil
}

func termRow(t patching.Term, s patching.Subject) []any {
	return append([]any{string(t.ID), string(t.By), string(t.Role), micros(t.At), micros(t.Until), t.Reason}, subjectRow(s)...)
}

func subjectRow(s patching.Subject) []any {
	return []any{string(s.Advisory), string(s.CVE), s.Package, s.Selector}
}

func reviewRow(r patching.Review) []any { return append(termRow(r.Term, r.Subject), string(r.Answer)) }

func exceptionRow(e patching.Exception) []any {
	return append(termRow(e.Term, e.Subject), e.Owner, e.Measure, micros(e.ReviewBy), string(e.Renews))
}

func termFields(t *patching.Term, s *patching.Subject) []any {
	return append([]any{&t.ID, &t.By, &t.Role, instant{&t.At}, instant{&t.Until}, &t.Reason}, subjectFields(s)...)
}

func subjectFields(s *patching.Subject) []any {
	return []any{&s.Advisory, &s.CVE, &s.Package, &s.Selector}
}

func endFields(e *patching.Ending) []any {
	return []any{instant{&e.At}, &e.By, &e.Role, &e.Reason, &e.RenewedBy}
}

// ended names what ended; nothing where nothing has.
func ended(e patching.Ending, id patching.DecisionID) patching.DecisionID {
	if e.At.IsZero() {
		return ""
	}
	return id
}

func scanReview(row scanner) (patching.Review, error) {
	var r patching.Review
	err := row.Scan(append(append(termFields(&r.Term, &r.Subject), &r.Answer), endFields(&r.Ended)...)...)
	r.Ended.Decision = ended(r.Ended, r.ID)
	return r, err
}

func scanException(row scanner) (patching.Exception, error) {
	var e patching.Exception
	err := row.Scan(append(append(termFields(&e.Term, &e.Subject), &e.Owner, &e.Measure, instant{&e.ReviewBy}, &e.Renews), endFields(&e.Ended)...)...)
	e.Ended.Decision = ended(e.Ended, e.ID)
	return e, err
}
