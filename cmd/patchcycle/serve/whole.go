package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
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

// enter makes sure of the folders of a server that has run before. It refuses where
// none ever has: a name that was mistyped must not become an installation.
func (c Config) enter() error {
	if missing(c.trustRoot()) && (c.DatabaseURL != "" || missing(c.Record())) {
		return fmt.Errorf("no server has run in %s: name its folder with --data-dir", c.Dir)
	}
	return c.makeDirs()
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
	open, err := s.Store.Cycles(ctx, store.CycleFilter{Unfinished: true})
	if err != nil {
		return err
	}
	if len(open) > 0 {
		return fmt.Errorf("the engine's database in %s is gone while cycles run, %s for one: run \"patchcycle engine rebuild\", which takes them up from the record", filepath.Join(c.Dir, "engine"), open[0].ID)
	}
	return nil
}

// agree refuses an engine that is there and is not the one that the record goes
// with: a fresh one, one from an older backup, or another cluster. A cycle whose
// workflow has ended is no reason to keep the others waiting: it is reported.
func (s *Server) agree(ctx context.Context) error {
	if s.Config.rebuilding {
		return nil
	}
	astray, err := s.Starter.Astray(ctx)
	if err != nil {
		return err
	}
	for _, a := range astray {
		if a.Engine {
			return fmt.Errorf("%s: %s", a.Words, s.Config.wayBack())
		}
		s.Config.Log.Error(a.Words, zap.String("way out", s.Config.wayBack()))
	}
	switch n, err := s.reschedule(ctx); {
	case err != nil: // people mend a policy through the server
		s.Config.Log.Error("schedules could not be compared with the record", zap.Error(err))
	case n > 0:
		s.Config.Log.Warn("schedules that the engine did not know were made again from the record", zap.Int("schedules", n))
	}
	return nil
}

// wayBack says how record and engine come to agree again.
func (c Config) wayBack() string {
	const (
		rebuild = "run \"patchcycle engine rebuild\", which takes the cycles up from the record"
		abandon = "\"patchcycle engine abandon\" closes one cycle as it stands"
	)
	if c.TemporalAddress != "" {
		return fmt.Sprintf("is %s the cluster that ran it? If that is lost, %s; or leave --temporal-address out and %s in an engine of its own", c.TemporalAddress, abandon, rebuild)
	}
	return "restore the engine's newest backup, or stop the server and " + rebuild + "; " + abandon
}

func (s *Server) checkCycles(ctx context.Context) wire.Check {
	const name = "cycles"
	astray, err := s.Starter.Astray(ctx)
	switch {
	case err != nil:
		return wire.Check{Name: name, Words: "Record and engine could not be compared: " + err.Error(), WayOut: "See the check of the engine."}
	case len(astray) > 0:
		var words []string
		for _, a := range astray {
			words = append(words, a.Words)
		}
		return wire.Check{Name: name, Words: strings.Join(words, "; ") + ".", WayOut: sentence(s.Config.wayBack())}
	default:
		return wire.Check{Name: name, OK: true, Words: "Every cycle that is unfinished on record goes on in the engine."}
	}
}

func sentence(words string) string { return strings.ToUpper(words[:1]) + words[1:] + "." }

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
