// Package record keeps, beside the engine's SQLite file, which version of the
// embedded server made it: Temporal neither writes that into the file nor
// upgrades such a file, so a newer or older server would find tables missing
// in the middle of a cycle.
package record

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/internal/durable"
)

// A Record says what made a SQLite file.
type Record struct {
	ServerVersion string    `json:"server_version"` // of the embedded Temporal server: "1.32.1"
	Schema        Schema    `json:"schema"`
	Shards        int32     `json:"shards"` // of history; can never change
	CreatedAt     time.Time `json:"created_at"`
}

// A Schema identifies the tables of a SQLite file.
type Schema struct {
	Temporal   string `json:"temporal"`   // "0.11"
	Visibility string `json:"visibility"` // "0.1"
	// SHA256 of both schema files: Temporal has changed the visibility schema
	// without changing its number.
	SHA256 string `json:"sha256"`
}

func (s Schema) String() string { return s.Temporal + "/" + s.Visibility }

// Read returns the record in file. The error wraps fs.ErrNotExist if there is
// none.
func Read(file string) (Record, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Record{}, fmt.Errorf("read the engine's record: %w", err)
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return Record{}, fmt.Errorf("read the engine's record %s: %w", file, err)
	}
	return r, nil
}

// Write replaces file by r, whole or not at all.
func (r Record) Write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write the engine's record: %w", err)
	}
	err = durable.Replace(file, 0o600, func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
	if err != nil {
		return fmt.Errorf("write the engine's record: %w", err)
	}
	return nil
}

// An OutdatedError refuses a SQLite file that the embedded server cannot run
// and cannot upgrade.
type OutdatedError struct {
	Database string  // the SQLite file
	Have     *Record // nil: there is no record beside it
	Want     Record
}

func (e *OutdatedError) Error() string {
	made := "has no record of the server that made it"
	if e.Have != nil {
		made = fmt.Sprintf("was made by Temporal %s (schema %s, %d shards)", e.Have.ServerVersion, e.Have.Schema, e.Have.Shards)
	}
	return fmt.Sprintf("the engine's database %s %s, and this patchcycle embeds Temporal %s (schema %s, %d shards), which cannot upgrade it: "+
		"finish the running cycles with the previous patchcycle, or run \"patchcycle engine rebuild\", which sets the file aside and takes the running cycles up from the store",
		e.Database, made, e.Want.ServerVersion, e.Want.Schema, e.Want.Shards)
}

// Check compares the record of a SQLite file with what this program embeds.
// A patch release with the same tables is welcome, and update asks to record
// it; anything else is an [OutdatedError], older versions too.
func Check(database string, have *Record, want Record) (update bool, err error) {
	switch {
	case have == nil,
		have.Schema != want.Schema,
		have.Shards != want.Shards,
		minor(have.ServerVersion) != minor(want.ServerVersion):
		return false, &OutdatedError{Database: database, Have: have, Want: want}
	}
	return have.ServerVersion != want.ServerVersion, nil
}

// minor of 1.32.1 is 1.32.
func minor(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}
