package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/store"
)

// A data directory of which a part was lost must not be completed with a new
// one: an empty record forgets the cycles, new keys are ones that no machine
// believes, and an empty engine leaves cycles standing without a word.

// recordThere refuses to make a record beside the keys of an earlier server. The
// first start makes the record before them.
func (c Config) recordThere() error {
	if c.DatabaseURL != "" || !missing(c.Record()) || missing(c.trustRoot()) {
		return nil
	}
	return fmt.Errorf("%s is gone, and with it all that was on record, while %s shows that a server has run here: restore it from a backup, or start in an empty directory", c.Record(), c.trustRoot())
}

// whole refuses to make keys for machines that are bound to lost ones, and an
// engine for cycles that ran in a lost one.
func (s *Server) whole(ctx context.Context) error {
	if missing(s.Config.trustRoot()) {
		devices, err := s.Store.Devices(ctx)
		if err != nil {
			return err
		}
		if len(devices) > 0 {
			return fmt.Errorf("%s is gone, and %d devices believe no other: restore the folder from a backup", s.Config.trustRoot(), len(devices))
		}
	}
	c := s.Config
	if c.rebuilding || c.TemporalAddress != "" || c.DatabaseURL != "" || !missing(filepath.Join(c.Dir, "engine", "temporal.db")) {
		return nil
	}
	open, err := s.Store.Cycles(ctx, store.CycleFilter{Open: true})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return fmt.Errorf("the engine's database in %s is gone while cycles run, %s for one: run \"patchcycle engine rebuild\", which takes them up from the record", filepath.Join(c.Dir, "engine"), open[0].ID)
	}
	return nil
}

// missing also holds for an empty file, which a copy that failed leaves; unless
// SQLite's log beside it has what the file has not got yet.
func missing(file string) bool {
	empty := func(file string) bool {
		info, err := os.Stat(file)
		return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
	}
	return empty(file) && empty(file+"-wal")
}

func (c Config) trustRoot() string { return filepath.Join(c.Dir, "keys", "root.json") }

// Record is the file of the record, where it is not in PostgreSQL.
func (c Config) Record() string { return filepath.Join(c.Dir, "patchcycle.db") }
