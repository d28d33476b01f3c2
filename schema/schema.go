// Package schema holds the published shapes. Migrations are the tables of
// package store, one folder an engine; file names and numbers are the same in
// both, and what is published is never edited: a change is a new file.
package schema

import "embed"

// Migrations has the folders migrations/sqlite and migrations/postgres.
//
//go:embed migrations
var Migrations embed.FS
