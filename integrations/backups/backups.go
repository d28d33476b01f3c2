// Package backups asks backup tools: of which machines there are backups, how old
// they are, and whether they are good (G12). One file a tool; docs/backups.md says
// how to add one.
//
// The server asks, over repositories that it was given, and not the machines: who
// has been broken into could say anything of its own backups, and a backup is
// wanted when the machine cannot be asked any more.
package backups

import (
	"context"
	"errors"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Snapshot is one backup of one machine.
type Snapshot struct {
	// ID names it to the tool.
	ID   string
	Host string // the machine, as the tool names it
	At   time.Time
	// Proof is set by tools that verify by themselves.
	Proof patching.BackupProof
}

// Tool speaks to one backup tool. It runs the tool's own program by its arguments.
type Tool interface {
	// List returns the backups that are in the repository.
	List(ctx context.Context, r Repository) ([]Snapshot, error)
	// Check reads what the repository holds and compares it with its checksums. An
	// error that is not [ErrBusy] says that it does not hold what it should, or
	// that nobody can tell.
	Check(ctx context.Context, r Repository) error
	// Restore takes one file out of a backup and returns what was in it.
	Restore(ctx context.Context, r Repository, s Snapshot, path string) ([]byte, error)
}

// ErrBusy is returned where a check could not be made for now: a backup runs.
var ErrBusy = errors.New("the repository is in use, try again later")

// Tools are those that there are, by the name that a file uses. A new one is a
// line here, a file and a folder of fixtures.
func Tools() map[string]Tool {
	return map[string]Tool{
		"restic": restic{},
		"borg":   borg{},
		"hook":   hook{},
	}
}

// How long the tools' programs may take: reading all of a large repository takes
// hours.
const (
	listWithin    = 10 * time.Minute
	checkWithin   = 12 * time.Hour
	restoreWithin = 15 * time.Minute
)
