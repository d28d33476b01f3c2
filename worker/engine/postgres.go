package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.temporal.io/server/common/config"
	postgresplugin "go.temporal.io/server/common/persistence/sql/sqlplugin/postgresql"
	postgresschema "go.temporal.io/server/schema/postgresql/v12"
	schematool "go.temporal.io/server/tools/common/schema"
	sqltool "go.temporal.io/server/tools/sql"
	"golang.org/x/mod/semver"
)

const (
	// postgresShards can never change for a database. 512 carry a fleet of some
	// 250,000 machines.
	postgresShards = 512
	// postgresConns is for each of the two databases: PostgreSQL has 100 unless
	// told otherwise, and the store wants some.
	postgresConns = 20
)

// Conditions of PostgreSQL that a person can do something about.
const (
	noSuchDatabase   = "3D000"
	alreadyExists    = "42P04"
	notAllowed       = "42501"
	uniqueViolation  = "23505" // two creations at the same moment
	adminDatabase    = "postgres"
	schemaVersionSQL = "SELECT curr_version FROM schema_version WHERE version_partition = 0 AND db_name = current_database()"
)

func (p Postgres) check() error {
	const field = "Postgres.URL"
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return wrong(field, "it is not of the form postgres://user:password@host:port/database")
	}
	c, err := pgx.ParseConfig(p.URL)
	switch {
	case err != nil:
		return wrong(field, "%v", err)
	case strings.Contains(c.Password, " "):
		return wrong(field, "the password holds a space, which Temporal would change into a plus: choose another password")
	case p.Database == p.Visibility:
		return wrong("Postgres.Visibility", "%q is the name of the other database, too", p.Visibility)
	}
	return nil
}

// prepare creates the databases where they are absent and migrates both.
func (p Postgres) prepare(ctx context.Context, log *serverLog) (*persistence, error) {
	conf, err := pgx.ParseConfig(p.URL)
	if err != nil {
		return nil, fmt.Errorf("option Postgres.URL: %w", err)
	}
	main, visibility := p.server(conf, p.Database), p.server(conf, p.Visibility)
	for _, d := range []pgDatabase{
		{conf, main, "postgresql/v12/temporal", postgresschema.Version, "cluster_metadata_info"},
		{conf, visibility, "postgresql/v12/visibility", postgresschema.VisibilityVersion, "executions_visibility"},
	} {
		if err := d.ready(ctx, log); err != nil {
			return nil, err
		}
	}
	return &persistence{config: stores(postgresShards, main, visibility), close: func() {}}, nil
}

// server describes a database to Temporal, which builds an address of its own
// from it.
func (p Postgres) server(c *pgx.ConnConfig, database string) *config.SQL {
	s := &config.SQL{
		PluginName:        postgresplugin.PluginNamePGX,
		ConnectProtocol:   "tcp",
		User:              url.User(c.User).String(), // it escapes the password and not the name
		Password:          c.Password,
		DatabaseName:      database,
		MaxConns:          postgresConns,
		MaxIdleConns:      postgresConns,
		MaxConnLifetime:   time.Hour,
		ConnectAttributes: map[string]string{"sslmode": "prefer"}, // the default elsewhere; Temporal's is none
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return s // checked before
	}
	for key, values := range u.Query() {
		if !slices.Contains([]string{"user", "password", "dbname", "database", "host", "port"}, key) && !strings.HasPrefix(key, "pool_") {
			s.ConnectAttributes[key] = values[len(values)-1]
		}
	}
	switch {
	case strings.HasPrefix(c.Host, "/"): // a unix socket
		s.ConnectAttributes["host"], s.ConnectAttributes["port"] = c.Host, strconv.Itoa(int(c.Port))
	case u.Host != "" && !u.Query().Has("host"):
		s.ConnectAddr = u.Host // may name several
	default:
		s.ConnectAddr = net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port)))
	}
	return s
}

// pgDatabase is one of the two databases with the schema that it must have.
type pgDatabase struct {
	conf    *pgx.ConnConfig
	server  *config.SQL
	schema  string
	version string
	// written is a table that a server which has run has written to.
	written string
}

func (d pgDatabase) name() string { return d.server.DatabaseName }

// ready creates and migrates. Both may be killed at any point of a first start
// and run again. An upgrade of a database that was in use may not: Temporal's
// tools commit each statement, so a backup comes first.
func (d pgDatabase) ready(ctx context.Context, log *serverLog) error {
	have, err := d.schemaVersion(ctx)
	if code(err) == noSuchDatabase {
		if err := d.create(ctx); err != nil {
			return err
		}
		have, err = d.schemaVersion(ctx)
	}
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL at %s as %s, database %s: %w", d.conf.Host, d.conf.User, d.name(), err)
	}
	switch {
	case have == d.version:
		return nil
	case semver.Compare("v"+have, "v"+d.version) > 0: // an absent one compares as older
		return fmt.Errorf("database %s has Temporal's schema %s, and this patchcycle knows %s: a newer patchcycle has upgraded it, so run that one, or restore the backup from before the upgrade",
			d.name(), have, d.version)
	}
	anew, err := d.unfinished(ctx)
	if err == nil {
		err = log.survive(func() error { return d.migrate(have, anew, log) })
	}
	if err != nil {
		return fmt.Errorf("bring database %s to Temporal's schema %s: %w", d.name(), d.version, err)
	}
	return nil
}

// schemaVersion is empty for a database without schema.
func (d pgDatabase) schemaVersion(ctx context.Context) (version string, err error) {
	conn, err := d.connect(ctx, d.name())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL").Scan(&exists); err != nil || !exists {
		return "", err
	}
	err = conn.QueryRow(ctx, schemaVersionSQL).Scan(&version)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	return version, err
}

func (d pgDatabase) create(ctx context.Context) error {
	conn, err := d.connect(ctx, d.conf.Database)
	if code(err) == noSuchDatabase {
		conn, err = d.connect(ctx, adminDatabase)
	}
	if err != nil {
		return fmt.Errorf("connect to PostgreSQL at %s as %s to create database %s: %w", d.conf.Host, d.conf.User, d.name(), err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{d.name()}.Sanitize())
	switch code(err) {
	case alreadyExists, uniqueViolation:
		return nil
	case notAllowed:
		return fmt.Errorf("user %s may not create database %s: have the database's administrator run CREATE DATABASE %s OWNER %s: %w",
			d.conf.User, d.name(), pgx.Identifier{d.name()}.Sanitize(), pgx.Identifier{d.conf.User}.Sanitize(), err)
	}
	if err != nil {
		return fmt.Errorf("create database %s: %w", d.name(), err)
	}
	return nil
}

func (d pgDatabase) connect(ctx context.Context, database string) (*pgx.Conn, error) {
	c := d.conf.Copy()
	c.Database = database
	return pgx.ConnectConfig(ctx, c)
}

// unfinished reports whether the schema was being made when we were killed: it
// is not ours yet, and no server has ever written. Temporal's tools cannot take
// that up (rows inserted again, indexes dropped again); they can begin anew.
func (d pgDatabase) unfinished(ctx context.Context) (bool, error) {
	conn, err := d.connect(ctx, d.name())
	if err != nil {
		return false, err
	}
	defer conn.Close(ctx)
	var begun, made bool
	err = conn.QueryRow(ctx, "SELECT to_regclass('schema_version') IS NOT NULL, to_regclass($1) IS NOT NULL", d.written).Scan(&begun, &made)
	if err != nil || !begun || !made {
		return begun, err
	}
	var empty bool
	err = conn.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM "+pgx.Identifier{d.written}.Sanitize()+")").Scan(&empty)
	return empty, err
}

// migrate uses the tools that Temporal's own administrators use. Anew drops all
// tables first.
func (d pgDatabase) migrate(have string, anew bool, log *serverLog) error {
	one := *d.server
	one.MaxConns, one.MaxIdleConns = 1, 1
	one.ConnectAttributes = maps.Clone(one.ConnectAttributes)
	conn, err := sqltool.NewConnection(&one, log)
	if err != nil {
		return err
	}
	defer conn.Close()
	if have == "" || anew {
		if err := schematool.NewSetupSchemaTask(conn, &schematool.SetupConfig{InitialVersion: "0.0", Overwrite: anew}, log).Run(); err != nil {
			return err
		}
	}
	return schematool.NewUpdateSchemaTask(conn, &schematool.UpdateConfig{
		DBName: d.name(), SchemaName: d.schema, TargetVersion: d.version,
	}, log).Run()
}

func code(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
