package postgres

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/patchcycle/patchcycle/store"
)

type dialect struct {
	config *pgx.ConnConfig
	bound  sync.Map // shared SQL → SQL with $1, $2, …
	mu     sync.Mutex
	lock   *serverLock
}

func (d *dialect) Rebind(query string) string {
	if known, ok := d.bound.Load(query); ok {
		return known.(string)
	}
	var b strings.Builder
	n := 0
	for _, part := range strings.SplitAfter(query, "?") {
		if before, ok := strings.CutSuffix(part, "?"); ok {
			n++
			b.WriteString(before + "$" + strconv.Itoa(n))
			continue
		}
		b.WriteString(part)
	}
	d.bound.Store(query, b.String())
	return b.String()
}

func (*dialect) Within(values []string) (string, any) {
	if values == nil {
		values = []string{}
	}
	return " = ANY(?)", values
}

var arrayTypes = map[store.Type]string{store.Text: "text[]", store.Int: "bigint[]", store.Blob: "bytea[]", store.Bool: "boolean[]"}

// Rows passes each column as one array: the statement stays the same for any
// number of rows, and is prepared once a connection.
func (*dialect) Rows(columns []store.Column, rows [][]any) (string, []any) {
	names, arrays, args := make([]string, len(columns)), make([]string, len(columns)), make([]any, len(columns))
	for i, c := range columns {
		names[i], arrays[i] = c.Name, "?::"+arrayTypes[c.Type]
		switch c.Type {
		case store.Text:
			args[i] = column[string](rows, i)
		case store.Int:
			args[i] = column[int64](rows, i)
		case store.Blob:
			args[i] = column[[]byte](rows, i)
		case store.Bool:
			args[i] = column[bool](rows, i)
		}
	}
	return "(SELECT * FROM unnest(" + joined(arrays) + ") AS u(" + joined(names) + "))", args
}

func column[T any](rows [][]any, i int) []T {
	out := make([]T, len(rows))
	for n, r := range rows {
		out[n], _ = r[i].(T)
	}
	return out
}

// RowsAtOnce bounds the memory of a statement, not its speed.
func (*dialect) RowsAtOnce(int) int { return 10000 }

// Keys of our advisory locks. The first half is ours alone, so that they meet
// no one else's in the same database; the second tells them apart from the
// serials, which begin at 1.
const (
	ours         = 0x70617463 // "patc"
	serverKey    = 0
	migrationKey = -1
)

// Serialize holds a lock until the transaction ends. Statements that follow see
// what earlier holders committed.
func (*dialect) Serialize(ctx context.Context, tx *sql.Tx, serial store.Serial) error {
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1::int, $2::int)", ours, int64(serial))
	return err
}

func joined(parts []string) string { return strings.Join(parts, ", ") }
