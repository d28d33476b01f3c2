// Package postgres keeps the store in PostgreSQL, from version 13 on.
package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"

	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/internal/migrate"
)

// Writers wait for each other anyway; they have connections of their own, so
// that those who wait never keep a reader from asking.
const (
	writers = 4
	readers = 8
)

// Open connects to the database that a URL names (postgres://…) and brings its
// schema up to date. Tables are made in the first schema of the search path.
func Open(ctx context.Context, url string) (*store.Store, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "patchcycle"
	}
	write := open(config, writers)
	if err := migrated(ctx, config, write); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s on %s: %w", config.Database, config.Host, err), write.Close())
	}
	return store.New(&dialect{config: config}, write, open(config, readers)), nil
}

func open(config *pgx.ConnConfig, connections int) *sql.DB {
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// migrated migrates while no other program does: the lock ends with its session.
func migrated(ctx context.Context, config *pgx.ConnConfig, db *sql.DB) error {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1::int, $2::int)", ours, migrationKey); err != nil {
		return fmt.Errorf("wait for another program's migration: %w", err)
	}
	return migrate.Up(ctx, db, goose.DialectPostgres, "postgres")
}

var _ store.Dialect = (*dialect)(nil)

// copied is from how many rows on COPY is faster than one statement with
// arrays, which needs a round trip less.
const copied = 2000

// Insert uses COPY for many rows.
func (d *dialect) Insert(ctx context.Context, conn *sql.Conn, table string, columns []store.Column, rows [][]any) error {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	err := conn.Raw(func(driver any) error {
		pg := driver.(*stdlib.Conn).Conn()
		if len(rows) >= copied {
			_, err := pg.CopyFrom(ctx, pgx.Identifier{table}, names, pgx.CopyFromRows(rows))
			return err
		}
		expression, args := d.Rows(columns, rows)
		list := joined(names)
		_, err := pg.Exec(ctx, d.Rebind("INSERT INTO "+table+" ("+list+") SELECT "+list+" FROM "+expression+" AS v"), args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("insert into %s: %w", table, err)
	}
	return nil
}
