package serve

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/internal/disk"
)

// A full disk shows as some statement that failed, in the middle of whatever was
// going on. What was acknowledged is on it; all that is needed is space, and
// somebody who knows where.

// roomy refuses to start where the databases could not be opened, or would break
// the engine half way through its start: that takes a minute to say so.
func (c Config) roomy() error {
	room, err := disk.RoomAt(c.Dir)
	switch {
	case err != nil:
		c.Log.Warn("nobody looks after the disk", zap.Error(err))
	case room.Full():
		return &disk.FullError{Holds: c.Dir, Err: errors.New(room.Words() + "; a start needs " + disk.Least())}
	case room.Low():
		c.Log.Warn("the disk is nearly full: free space", zap.String("holds", c.Dir), zap.String("room", room.Words()))
	}
	return nil
}

// explain names the cause and the way out where err says that a disk is full.
func (c Config) explain(err error) error {
	database := "the database"
	if conf, wrong := pgx.ParseConfig(c.DatabaseURL); c.DatabaseURL != "" && wrong == nil {
		database += " on " + conf.Host
	}
	return disk.Explain(err, c.Dir, database)
}

// lookAtDisk is how often a disk that fills up is noticed.
const lookAtDisk = time.Minute

// lookAtRoom says for as long as it lasts that somebody should make room.
func (s *Server) lookAtRoom(context.Context) error { return s.Config.roomy() }

func (s *Server) checkDisk(context.Context) wire.Check {
	words, wayOut, ok := disk.Look(s.Config.Dir)
	return wire.Check{Name: "disk", OK: ok, Words: words, WayOut: wayOut}
}
