package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// What callers tell apart with errors.Is.
var (
	// ErrNotFound says that a single thing asked for is not there.
	ErrNotFound = errors.New("not found")
	// ErrFinal says that something has ended and cannot go back.
	ErrFinal = errors.New("is final")
	// ErrTokenSpent and ErrTokenExpired say why an enrolment token lets nobody in.
	ErrTokenSpent   = errors.New("the enrolment token has no uses left; make a new one with: patchcycle enrol token")
	ErrTokenExpired = errors.New("the enrolment token has expired; make a new one with: patchcycle enrol token")
	// ErrServerRuns says that another server holds the database.
	ErrServerRuns = errors.New("another patchcycle server is active on this database: stop it first")
	// ErrNewerSchema says that a newer program has migrated the database.
	ErrNewerSchema = errors.New("the database was written by a newer patchcycle; start that version, or restore the backup that was made before the upgrade")
	// ErrBrokenChain says that the audit record was changed by other hands.
	ErrBrokenChain = errors.New("the audit chain is broken")
)

// Store is the one door to a database. Make it with store/sqlite or store/postgres.
type Store struct {
	dialect Dialect
	write   *sql.DB
	read    *sql.DB
	writes  atomic.Int64
}

// New returns a store over a migrated database. The two handles may be the
// same; the engine's package decides.
func New(d Dialect, write, read *sql.DB) *Store {
	return &Store{dialect: d, write: write, read: read}
}

// AcquireServerLock makes this process the only active server of the database,
// until [Store.Close]. While another one is, it waits if told to, until ctx
// ends, and else returns [ErrServerRuns]. The channel is closed when the lock is
// lost, as when the line to PostgreSQL breaks: stop then, for another server
// may have begun.
func (s *Store) AcquireServerLock(ctx context.Context, wait bool) (lost <-chan struct{}, err error) {
	return s.dialect.LockServer(ctx, wait)
}

// Writes returns how many rows have been written since the store was opened.
func (s *Store) Writes() int64 { return s.writes.Load() }

// Close gives the server lock back and closes all connections.
func (s *Store) Close() error {
	err := s.dialect.Close()
	if s.read != s.write {
		err = errors.Join(err, s.read.Close())
	}
	return errors.Join(err, s.write.Close())
}

// inTx runs do in one write transaction and commits it. Transactions of the
// same serial wait for each other.
func (s *Store) inTx(ctx context.Context, serial Serial, do func(*tx) error) error {
	conn, err := s.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("get a connection to the database: %w", err)
	}
	defer conn.Close() //nolint:errcheck // gives the connection back to the pool
	sqlTx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	t := &tx{querier: querier{sqlTx, s.dialect}, conn: conn}
	defer sqlTx.Rollback()
	if err := s.dialect.Serialize(ctx, sqlTx, serial); err != nil {
		return fmt.Errorf("wait for other writers: %w", err)
	}
	if err := do(t); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.writes.Add(t.rows)
	return nil
}

// reader asks outside of any transaction.
func (s *Store) reader() querier { return querier{s.read, s.dialect} }

// statements is what *sql.DB and *sql.Tx share.
type statements interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// querier asks questions in the shared SQL, with ? for parameters.
type querier struct {
	statements
	dialect Dialect
}

// scanner is what *sql.Row and *sql.Rows share.
type scanner interface{ Scan(dest ...any) error }

// each calls scan for every row of the answer.
func (q querier) each(ctx context.Context, scan func(scanner) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, q.dialect.Rebind(query), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// row scans the only row of the answer; [ErrNotFound] without one.
func (q querier) row(ctx context.Context, dest []any, query string, args ...any) error {
	err := q.QueryRowContext(ctx, q.dialect.Rebind(query), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return ErrNotFound
	}
	return err
}

// all collects every row of the answer.
func all[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	var out []T
	err := q.each(ctx, func(row scanner) error {
		v, err := scan(row)
		if err == nil {
			out = append(out, v)
		}
		return err
	}, query, args...)
	return out, err
}

// one returns the first row of the answer; [ErrNotFound] without one.
func one[T any](ctx context.Context, q querier, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	v, err := scan(q.QueryRowContext(ctx, q.dialect.Rebind(query), args...))
	if errors.Is(err, sql.ErrNoRows) {
		return v, ErrNotFound
	}
	return v, err
}

// clock is when the store itself has to say when something was recorded.
func clock() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }
