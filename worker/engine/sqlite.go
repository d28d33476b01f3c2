package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/headers"
	temporalpersistence "go.temporal.io/server/common/persistence"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/schema"
	sqliteschema "go.temporal.io/server/schema/sqlite"

	"github.com/patchcycle/patchcycle/worker/engine/record"
)

const (
	sqliteFile = "temporal.db"
	recordFile = "engine.json"

	// sqliteShards: more would only queue for the one connection.
	sqliteShards = 1
)

// sqliteSchemas are the tables of a new file, as the server embeds them.
var sqliteSchemas = []string{"sqlite/v3/temporal/schema.sql", "sqlite/v3/visibility/schema.sql"}

// prepareSQLite makes the file, or accepts one that this server made.
func prepareSQLite(ctx context.Context, dir string) (*persistence, error) {
	want, err := ourRecord(time.Now())
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, sqliteFile)
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600) // SQLite would let others read it
	if err != nil {
		return nil, fmt.Errorf("open the engine's database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the engine's database: %w", err)
	}
	db, err := sql.Open("sqlite", "file:"+uriPath(file)+"?_pragma=journal_mode(wal)&_pragma=synchronous(full)&_pragma=busy_timeout(10000)")
	if err != nil {
		return nil, fmt.Errorf("open the engine's database %s: %w", file, err)
	}
	err = acceptOrCreate(ctx, db, file, want)
	if err := errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	conf := serverSQLite(file)
	return &persistence{
		config: stores(sqliteShards, conf, conf),
		close:  func() { flushWAL(file) },
	}, nil
}

func acceptOrCreate(ctx context.Context, db *sql.DB, file string, want record.Record) error {
	var tables int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return fmt.Errorf("read the engine's database %s: %w%s", file, err, wayOut)
	}
	recordAt := filepath.Join(filepath.Dir(file), recordFile)
	if tables == 0 {
		// The record goes first: a file with tables always has one. Tables come all
		// at once, so a start that was killed here begins anew.
		if err := want.Write(recordAt); err != nil {
			return err
		}
		return createTables(ctx, db, file)
	}
	var have *record.Record
	switch r, err := record.Read(recordAt); {
	case err == nil:
		have = &r
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w%s", err, wayOut)
	}
	update, err := record.Check(file, have, want)
	if err != nil || !update {
		return err
	}
	want.CreatedAt = have.CreatedAt
	return want.Write(recordAt)
}

// wayOut is for files that are damaged.
const wayOut = ": restore it from a backup, or run \"patchcycle engine rebuild\", which sets it aside and takes the running cycles up from the store"

func createTables(ctx context.Context, db *sql.DB, file string) error {
	statements, err := schemaStatements()
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("create the engine's database %s: %w", file, err)
	}
	defer tx.Rollback()
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the engine's database %s: %w", file, err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("create the engine's database %s: %w", file, err)
	}
	return nil
}

func schemaStatements() ([]string, error) {
	var files []io.Reader
	for _, name := range sqliteSchemas {
		text, err := fs.ReadFile(schema.Assets(), name)
		if err != nil {
			return nil, fmt.Errorf("read the embedded schema: %w", err)
		}
		files = append(files, bytes.NewReader(text))
	}
	statements, err := temporalpersistence.LoadAndSplitQueryFromReaders(files)
	if err != nil {
		return nil, fmt.Errorf("read the embedded schema: %w", err)
	}
	return statements, nil
}

// ourRecord is that of a file which this program makes.
func ourRecord(now time.Time) (record.Record, error) {
	sum := sha256.New()
	for _, name := range sqliteSchemas {
		text, err := fs.ReadFile(schema.Assets(), name)
		if err != nil {
			return record.Record{}, fmt.Errorf("read the embedded schema: %w", err)
		}
		sum.Write(text)
	}
	return record.Record{
		ServerVersion: headers.ServerVersion,
		Schema: record.Schema{
			Temporal:   sqliteschema.Version,
			Visibility: sqliteschema.VisibilityVersion,
			SHA256:     hex.EncodeToString(sum.Sum(nil)),
		},
		Shards:    sqliteShards,
		CreatedAt: now.UTC().Truncate(time.Second),
	}, nil
}

// opened counts the server's uses of SQLite in this process.
var opened atomic.Int64

// serverSQLite is for the server: one connection, because with more it fails
// with SQLITE_BUSY_SNAPSHOT under load.
//
// Its SQLite plugin keeps a connection for each address until the process ends,
// and would return it for a file that has been set aside and made anew. A wait
// for locks that differs by a millisecond makes each address a new one.
func serverSQLite(file string) *config.SQL {
	return &config.SQL{
		PluginName:   sqlite.PluginName,
		DatabaseName: uriPath(file),
		MaxConns:     1,
		MaxIdleConns: 1,
		ConnectAttributes: map[string]string{
			"mode":         "rw",
			"journal_mode": "wal",
			"synchronous":  "full",
			"busy_timeout": strconv.FormatInt(10_000+opened.Add(1), 10),
		},
	}
}

// flushWAL leaves everything in the one file, for those who copy it: the
// server's connection stays open, so SQLite does not do it by itself. A failure
// costs nothing, the next start reads the log.
func flushWAL(file string) {
	db, err := sql.Open("sqlite", "file:"+uriPath(file)+"?mode=rw&_pragma=busy_timeout(1000)")
	if err != nil {
		return
	}
	defer db.Close()
	_, _ = db.Exec("PRAGMA wal_checkpoint(TRUNCATE)")
}

// uriPath writes a path so that SQLite takes ?, # and % as letters.
func uriPath(file string) string {
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path // a drive letter
	}
	return (&url.URL{Path: path}).EscapedPath()
}

// SetAside renames the engine's SQLite file in the state folder dir, with its
// record, so that the next Start begins with an empty one; what runs must be
// taken up from the store. It returns the new name of the file, empty if there
// was none. No engine may run on dir.
func SetAside(dir string, now time.Time) (moved string, err error) {
	unlock, err := lockDir(dir)
	if err != nil {
		return "", fmt.Errorf("engine: %w", err)
	}
	defer unlock()
	flushWAL(filepath.Join(dir, sqliteFile)) // then the log of writes beside it is empty
	suffix := now.UTC().Format(".20060102T150405.000Z")
	// The record first: should this be interrupted, the next start refuses a file
	// without one.
	for _, name := range []string{recordFile, sqliteFile + "-wal", sqliteFile + "-shm", sqliteFile} {
		from := filepath.Join(dir, name)
		to := from + suffix
		if log, ok := strings.CutPrefix(name, sqliteFile); ok {
			to = filepath.Join(dir, sqliteFile+suffix+log) // SQLite finds it by its name
		}
		err := os.Rename(from, to)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("engine: set the database aside: %w", err)
		case name == sqliteFile:
			moved = to
		}
	}
	return moved, nil
}
