package store

import (
	"context"
	"database/sql"
)

// Dialect is what differs between the engines.
type Dialect interface {
	// Rebind turns the ? of the shared SQL into the engine's placeholders.
	Rebind(query string) string
	// Within returns what follows a column to say that it is one of the values,
	// with the single argument that this needs.
	Within(values []string) (condition string, arg any)
	// Rows returns a table expression of the rows, with named and typed columns.
	Rows(columns []Column, rows [][]any) (expression string, args []any)
	// RowsAtOnce is how many rows of that many columns a statement should take.
	RowsAtOnce(columns int) int
	// Insert appends the rows by the engine's fastest way. It runs inside the
	// transaction that is open on conn.
	Insert(ctx context.Context, conn *sql.Conn, table string, columns []Column, rows [][]any) error
	// Serialize makes transactions of the same serial wait for each other.
	Serialize(ctx context.Context, tx *sql.Tx, serial Serial) error
	// LockServer is [Store.AcquireServerLock].
	LockServer(ctx context.Context, wait bool) (lost <-chan struct{}, err error)
	// Close gives the server lock back.
	Close() error
}

// Serial names what write transactions must not do at the same time. Only one
// is taken by a transaction, so that they cannot wait for each other in a ring.
type Serial int64

// The serials. On SQLite there is one writer anyway.
const (
	// SerialFleet covers devices, assets, cycles, deployments, orders and locks.
	SerialFleet Serial = iota + 1
	SerialAudit
	SerialPeople
	SerialPresence
	SerialContent
	SerialSettings
	SerialNotices
)

// Column is a column of a bulk statement.
type Column struct {
	Name string
	Type Type
}

// Type is a column's type; values are string, int64, []byte or bool.
type Type int

// The types of columns.
const (
	Text Type = iota
	Int
	Blob
	Bool
)

// table names columns in the order in which bulk rows have them.
type table struct {
	name    string
	columns []Column
}

func text(names ...string) []Column { return columnsOf(Text, names) }
func ints(names ...string) []Column { return columnsOf(Int, names) }

func columnsOf(t Type, names []string) []Column {
	columns := make([]Column, len(names))
	for i, n := range names {
		columns[i] = Column{n, t}
	}
	return columns
}
