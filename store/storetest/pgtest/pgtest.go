// Package pgtest gives tests a private PostgreSQL.
//
// One server is started for a test process, by the first test that asks, with
// a data folder of its own, on a free loopback port, as an ordinary user (the
// server refuses to run as root). Every call of [Start] makes a database of its
// own in it. The server and its folder go when the test process ends, however
// it ends: a small shell holds the server and waits for its standard input to
// close, which the operating system sees to.
package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// An Option changes how the server is run.
type Option func(*settings)

// Durable turns fsync on, for tests that measure or that prove what a crash
// leaves. It has a server of its own; without it commits are not flushed.
func Durable() Option { return func(s *settings) { s.durable = true } }

// settings tell servers apart: equal settings share a server.
type settings struct {
	durable bool
}

// Start returns the URL (postgres://…) of a new, empty database, owned by the
// superuser that the URL names. The database is dropped when t ends.
//
// Where PostgreSQL is not installed the test is skipped with a line that names
// the cure; under CI=true that is a failure.
func Start(t testing.TB, options ...Option) string {
	t.Helper()
	var s settings
	for _, o := range options {
		o(&s)
	}
	srv, err := running(s)
	if missing := (*missingError)(nil); errors.As(err, &missing) {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d_%d", os.Getpid(), databases.Add(1))
	if err := srv.exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("pgtest: create a database: %v", err)
	}
	t.Cleanup(func() {
		if err := srv.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop database %s: %v", name, err)
		}
	})
	return srv.url(name)
}

// Launch starts a server of its own for a program that is no test, such as a
// measurement, and returns the URL of its database "postgres". It goes when the
// program ends. The error names the cure where PostgreSQL is not installed.
func Launch(options ...Option) (string, error) {
	var s settings
	for _, o := range options {
		o(&s)
	}
	srv, err := launch(s)
	if err != nil {
		return "", err
	}
	mu.Lock()
	defer mu.Unlock()
	launched = append(launched, srv)
	return srv.url("postgres"), nil
}

// launched holds the leashes: collecting one as garbage would stop its server.
var launched []*server

var (
	databases atomic.Int64

	mu      sync.Mutex
	servers = map[settings]*started{}
)

// started remembers a failure too: it would only repeat itself, slowly.
type started struct {
	srv *server
	err error
}

func running(s settings) (*server, error) {
	mu.Lock()
	defer mu.Unlock()
	if got, ok := servers[s]; ok {
		return got.srv, got.err
	}
	srv, err := launch(s)
	servers[s] = &started{srv, err}
	return srv, err
}

// url names a database of the server.
func (s *server) url(database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, s.password),
		Host:     s.address,
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

func (s *server) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	return err
}
