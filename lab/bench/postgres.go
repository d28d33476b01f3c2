package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"github.com/patchcycle/patchcycle/lab/usage"
	"github.com/patchcycle/patchcycle/store/storetest/pgtest"
)

// database is a private PostgreSQL with durable commits. A nil one is SQLite.
type database struct {
	admin string // the URL of its database "postgres"
	pid   int    // the process that all others of it are children of
}

func launchPostgres(ctx context.Context) (*database, error) {
	at, err := pgtest.Launch(pgtest.Durable())
	if err != nil {
		return nil, err
	}
	return attach(ctx, at)
}

// attach finds the processes of a server that runs.
func attach(ctx context.Context, admin string) (*database, error) {
	db := &database{admin: admin}
	err := db.with(ctx, func(c *pgx.Conn) error {
		var backend int
		if err := c.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err != nil {
			return err
		}
		var err error
		db.pid, err = usage.Parent(backend) // while the connection holds it
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find the processes of PostgreSQL: %w", err)
	}
	return db, nil
}

func (db *database) with(ctx context.Context, do func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, db.admin)
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	defer c.Close(context.WithoutCancel(ctx))
	return do(c)
}

// databases are the product's own and the engine's two.
var databases = []string{"patchcycle", "patchcycle_temporal", "patchcycle_temporal_visibility"}

// fresh gives a URL of an empty database, and lets the engine make its own anew.
func (db *database) fresh(ctx context.Context) (string, error) {
	if db == nil {
		return "", nil
	}
	err := db.with(ctx, func(c *pgx.Conn) error {
		for _, name := range databases {
			if _, err := c.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
				return err
			}
		}
		_, err := c.Exec(ctx, "CREATE DATABASE "+databases[0])
		return err
	})
	if err != nil {
		return "", fmt.Errorf("empty the databases: %w", err)
	}
	u, err := url.Parse(db.admin)
	if err != nil {
		return "", err
	}
	u.Path = "/" + databases[0]
	return u.String(), nil
}

// seconds is the CPU time that PostgreSQL has used; 0 for SQLite, which runs in
// the server.
func (db *database) seconds() float64 {
	if db == nil {
		return 0
	}
	return usage.Tree(db.pid)
}

// sizes returns how large the product's and the engine's data are, in MB.
func (db *database) sizes(ctx context.Context) (store, engine float64, err error) {
	err = db.with(ctx, func(c *pgx.Conn) error {
		const mb = "SELECT pg_database_size($1) / 1048576.0::float8"
		if err := c.QueryRow(ctx, mb, databases[0]).Scan(&store); err != nil {
			return err
		}
		for _, name := range databases[1:] {
			var one float64
			if err := c.QueryRow(ctx, mb, name).Scan(&one); err != nil {
				return err
			}
			engine += one
		}
		return nil
	})
	return store, engine, err
}
