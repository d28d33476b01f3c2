// Package sqlite keeps the store in one SQLite file, for fleets of up to some
// ten thousand machines.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/internal/migrate"
)

// Open opens, and makes where it is missing, the database file, readable by its
// owner alone, and brings its schema up to date.
//
// The file is in WAL mode with synchronous=FULL: what a call wrote when it
// returned survives a loss of power. There is one writing connection, because
// SQLite has one writer anyway and waiting in Go is fair, and a pool of reading
// ones that see what was committed when their question began.
func Open(ctx context.Context, path string) (*store.Store, error) {
	if err := makeFile(path); err != nil {
		return nil, err
	}
	write, err := open(path, "_txlock=immediate")
	if err != nil {
		return nil, err
	}
	write.SetMaxOpenConns(1)
	if err := migrated(ctx, path, write); err != nil {
		if damaged(err) {
			err = fmt.Errorf("the file is damaged; restore it from a backup, or move it away with all that belongs to it: %w", err)
		}
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), write.Close())
	}
	read, err := open(path, "_pragma=query_only(1)")
	if err != nil {
		return nil, errors.Join(err, write.Close())
	}
	read.SetMaxOpenConns(max(4, runtime.NumCPU()))
	read.SetMaxIdleConns(max(4, runtime.NumCPU()))
	return store.New(&dialect{path: path}, write, read), nil
}

// damaged reports whether SQLite finds something else in the file than a database:
// its SQLITE_CORRUPT and SQLITE_NOTADB.
func damaged(err error) bool {
	const corrupt, noDatabase = 11, 26
	var e interface{ Code() int }
	return errors.As(err, &e) && (e.Code()&0xff == corrupt || e.Code()&0xff == noDatabase)
}

// makeFile makes the file before SQLite does: its journal gets the same mode. A
// file that is there is not even opened: closing it would drop the locks that
// this process may hold on it through SQLite.
func makeFile(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the database: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the database file: %w", err)
	}
	return f.Close()
}

// migrated migrates while no other program does.
func migrated(ctx context.Context, path string, db *sql.DB) error {
	l, err := lockFile(ctx, path+".migration", true)
	if err != nil {
		return fmt.Errorf("wait for another program's migration: %w", err)
	}
	return errors.Join(migrate.Up(ctx, db, goose.DialectSQLite3, "sqlite"), l.release())
}

func open(path, more string) (*sql.DB, error) {
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	dsn := url.URL{Scheme: "file", Path: full, RawQuery: "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)" +
		"&_pragma=synchronous(FULL)&_pragma=cache_size(-32768)&_pragma=temp_store(MEMORY)&" + more}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return db, nil
}
