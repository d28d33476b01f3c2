package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// tx is a write transaction. It counts the rows that it writes.
type tx struct {
	querier
	conn *sql.Conn
	rows int64
}

// exec runs one statement of the shared SQL and returns the rows it touched.
func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.statements.(*sql.Tx).ExecContext(ctx, t.dialect.Rebind(query), args...)
	if err != nil {
		return 0, err
	}
	n, err := res.RowsAffected()
	t.rows += n
	return n, err
}

// insert appends rows of which none is there yet.
func (t *tx) insert(ctx context.Context, into table, rows [][]any) error {
	if len(rows) == 0 {
		return nil
	}
	if err := t.dialect.Insert(ctx, t.conn, into.name, into.columns, rows); err != nil {
		return err
	}
	t.rows += int64(len(rows))
	return nil
}

// merge inserts rows and resolves conflicts as told: "(id) DO NOTHING". A key
// may not come twice in the rows, for PostgreSQL refuses to update it twice.
func (t *tx) merge(ctx context.Context, into table, conflict string, rows [][]any) (int64, error) {
	names := names(into.columns)
	// Without the WHERE, SQLite takes ON CONFLICT for a join's condition.
	query := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM {rows} AS v WHERE TRUE ON CONFLICT %s", into.name, names, names, conflict)
	return t.bulk(ctx, query, into.columns, rows)
}

// bulk runs the query with {rows} replaced by a table expression of the rows, a
// chunk at a time. Parameters of the query itself come after {rows}.
func (t *tx) bulk(ctx context.Context, query string, columns []Column, rows [][]any, after ...any) (int64, error) {
	var total int64
	err := inChunks(t.dialect, columns, rows, query, after, func(query string, args []any) error {
		n, err := t.exec(ctx, query, args...)
		total += n
		return err
	})
	return total, err
}

// eachOf asks the query for {rows}, a chunk at a time.
func (q querier) eachOf(ctx context.Context, scan func(scanner) error, query string, columns []Column, rows [][]any, after ...any) error {
	return inChunks(q.dialect, columns, rows, query, after, func(query string, args []any) error {
		return q.each(ctx, scan, query, args...)
	})
}

func inChunks(d Dialect, columns []Column, rows [][]any, query string, after []any, do func(string, []any) error) error {
	size := d.RowsAtOnce(len(columns))
	for len(rows) > 0 {
		n := min(size, len(rows))
		expression, args := d.Rows(columns, rows[:n])
		if err := do(strings.Replace(query, "{rows}", expression, 1), append(args, after...)); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func names(columns []Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}

// assignments sets every column to the same column of v.
func assignments(columns []Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name + " = v." + c.Name
	}
	return strings.Join(list, ", ")
}

// filter collects the conditions of a question.
type filter struct {
	dialect    Dialect
	conditions []string
	args       []any
}

func (s *Store) filter() *filter { return &filter{dialect: s.dialect} }

func (f *filter) and(condition string, args ...any) {
	f.conditions = append(f.conditions, condition)
	f.args = append(f.args, args...)
}

// equal asks for a value, unless it is empty.
func (f *filter) equal(column, value string) {
	if value != "" {
		f.and(column+" = ?", value)
	}
}

// within asks for one of the values, unless there are none.
func (f *filter) within(column string, values []string) {
	if len(values) > 0 {
		condition, arg := f.dialect.Within(values)
		f.and(column+condition, arg)
	}
}

// where returns the conditions with their WHERE, or nothing.
func (f *filter) where() string {
	if len(f.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(f.conditions, " AND ")
}

// limit adds a LIMIT, unless n is 0.
func (f *filter) limit(n int) string {
	if n <= 0 {
		return ""
	}
	f.args = append(f.args, n)
	return " LIMIT ?"
}

func withoutName(columns []Column, name string) []Column {
	return slices.DeleteFunc(slices.Clone(columns), func(c Column) bool { return c.Name == name })
}
