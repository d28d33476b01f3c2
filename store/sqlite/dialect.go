package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/patchcycle/patchcycle/store"
)

// rowsAtOnce and valuesAtOnce bound a bulk statement. The driver writes fastest
// at about 100 rows a statement (measured: 430,000 rows/s of 4 columns); SQLite
// allows 32,766 parameters.
const (
	rowsAtOnce   = 100
	valuesAtOnce = 3200
)

type dialect struct {
	path string
	mu   sync.Mutex
	lock *fileLock
}

func (*dialect) Rebind(query string) string { return query }

// Within passes the values as one JSON text: the statement stays the same for
// any number of them.
func (*dialect) Within(values []string) (string, any) {
	if values == nil {
		values = []string{}
	}
	text, err := json.Marshal(values)
	if err != nil { // a list of strings always marshals
		text = []byte("[]")
	}
	return " IN (SELECT value FROM json_each(?))", string(text)
}

func (*dialect) Rows(columns []store.Column, rows [][]any) (string, []any) {
	var b strings.Builder
	b.WriteString("(SELECT ")
	for i, c := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "column%d AS %s", i+1, c.Name)
	}
	b.WriteString(" FROM (VALUES ")
	args := writeValues(&b, len(columns), rows)
	b.WriteString("))")
	return b.String(), args
}

func (*dialect) RowsAtOnce(columns int) int { return max(1, min(rowsAtOnce, valuesAtOnce/columns)) }

func (d *dialect) Insert(ctx context.Context, conn *sql.Conn, table string, columns []store.Column, rows [][]any) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	size := d.RowsAtOnce(len(columns))
	for len(rows) > 0 {
		n := min(size, len(rows))
		var b strings.Builder
		fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, strings.Join(names, ", "))
		args := writeValues(&b, len(columns), rows[:n])
		if _, err := conn.ExecContext(ctx, b.String(), args...); err != nil {
			return fmt.Errorf("insert into %s: %w", table, err)
		}
		rows = rows[n:]
	}
	return nil
}

// Serialize has nothing to do: there is one writing connection, and its
// transactions begin by taking SQLite's lock.
func (*dialect) Serialize(context.Context, *sql.Tx, store.Serial) error { return nil }

func writeValues(b *strings.Builder, columns int, rows [][]any) []any {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	args := make([]any, 0, columns*len(rows))
	for i, r := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(row)
		args = append(args, r...)
	}
	return args
}

// LockServer locks a file beside the database. The operating system gives the
// lock back when the process ends, however it ends, so it is never lost before.
func (d *dialect) LockServer(ctx context.Context, wait bool) (<-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		l, err := lockFile(ctx, d.path+".lock", wait)
		if err != nil {
			return nil, err
		}
		d.lock = l
	}
	return d.lock.lost, nil
}

func (d *dialect) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lock == nil {
		return nil
	}
	l := d.lock
	d.lock = nil
	return l.release()
}
