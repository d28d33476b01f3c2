// Package migrate brings a database to the schema of this program.
package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"github.com/patchcycle/patchcycle/schema"
	"github.com/patchcycle/patchcycle/store"
)

// Up runs the migrations of a folder of [schema.Migrations] that are missing. A
// schema newer than ours is left alone and refused with [store.ErrNewerSchema].
func Up(ctx context.Context, db *sql.DB, dialect goose.Dialect, folder string, options ...goose.ProviderOption) error {
	files, err := fs.Sub(schema.Migrations, "migrations/"+folder)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	options = append(options, goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(dialect, db, files, options...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	is, ours, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	if is > ours {
		return fmt.Errorf("schema %d, this program knows %d: %w", is, ours, store.ErrNewerSchema)
	}
	if is == ours {
		return nil
	}
	if _, err := p.Up(ctx); err != nil {
		var partial *goose.PartialError
		if errors.As(err, &partial) {
			return fmt.Errorf("migrate the schema to %d (the data is as it was after the step before): %w", partial.Failed.Source.Version, err)
		}
		return fmt.Errorf("migrate the schema from %d to %d: %w", is, ours, err)
	}
	return nil
}
