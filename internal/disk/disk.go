// Package disk says how much room there is on a disk, and whether something
// failed because there was none.
package disk

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/patchcycle/patchcycle/patching/phrase"
)

// Room is what is left on a disk.
type Room struct {
	Free, Total int64 // bytes
	// FreeFiles and Files are how many more files there can be, and in all; no
	// Files: the file system does not count them.
	FreeFiles, Files int64
}

// What a server needs. A cycle of ten thousand machines writes some hundred
// megabytes, so Low leaves days to act; below Least the databases cannot even
// be opened, or break while the engine starts.
const (
	lowBytes, lowFiles     = 1 << 30, 10_000
	leastBytes, leastFiles = 16 << 20, 100
)

// What stays free of things that are large and can be had again, such as feeds: a server
// goes on for hours in that.
const spareBytes, spareFiles = 256 << 20, 1000

// Least tells what a server needs at the least.
func Least() string {
	return fmt.Sprintf("%s and %d files", phrase.Size(leastBytes), leastFiles)
}

// Low reports whether somebody should make room soon.
func (r Room) Low() bool { return r.under(lowBytes, lowFiles) }

// Full reports whether a server cannot work in it.
func (r Room) Full() bool { return r.under(leastBytes, leastFiles) }

// Takes reports whether so many more bytes may be written of what can be had again.
func (r Room) Takes(bytes int64) bool {
	r.Free -= bytes
	return !r.under(spareBytes, spareFiles)
}

// Spare tells what stays free of such things.
func Spare() string {
	return fmt.Sprintf("%s and %d files", phrase.Size(spareBytes), spareFiles)
}

func (r Room) under(bytes, files int64) bool {
	return r.Free < bytes || r.Files > 0 && r.FreeFiles < files
}

// Words tells how much room there is.
func (r Room) Words() string {
	words := fmt.Sprintf("%s of %s are free", phrase.Size(r.Free), phrase.Size(r.Total))
	if r.Files > 0 {
		words += fmt.Sprintf(", for %d more files", r.FreeFiles)
	}
	return words
}

// Look tells people how much room there is on the disk of a folder, and the way
// out if somebody should do something about it.
func Look(dir string) (words, wayOut string, ok bool) {
	room, err := RoomAt(dir)
	if ok = errors.Is(err, errors.ErrUnsupported) || err == nil && !room.Low(); !ok {
		wayOut = "Free space there: when it is full nothing more is taken or started, and nothing is lost."
	}
	if err != nil {
		return err.Error(), wayOut, ok
	}
	return fmt.Sprintf("%s on the disk that holds %s.", room.Words(), dir), wayOut, ok
}

// A FullError says that a disk is full, and what to do.
type FullError struct {
	// Holds is what the disk holds ("/var/lib/patchcycle").
	Holds string
	// Err is what failed; nil: nothing yet.
	Err error
}

func (e *FullError) Error() string {
	words := fmt.Sprintf("the disk that holds %s is full: free space there and start again; nothing was lost", e.Holds)
	if e.Err != nil {
		words += fmt.Sprintf(" (%v)", e.Err)
	}
	return words
}

func (e *FullError) Unwrap() error { return e.Err }

// Explain names the cause and the way out if err says that a disk is full: that
// of PostgreSQL's server, or else the one here. Any other error it leaves alone.
func Explain(err error, here, database string) error {
	var explained *FullError
	switch full, remote := Full(err); {
	case !full, errors.As(err, &explained):
		return err
	case remote:
		return &FullError{Holds: database, Err: err}
	default:
		return &FullError{Holds: here, Err: err}
	}
}

// FullHere reports whether the system itself says that a write found no room on a disk
// of this machine, or none that its user may have. The words of others do not count.
func FullHere(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// Full reports whether err says that a disk is full, and whether that is the one
// of a PostgreSQL server. It is the one place that knows how that is said.
func Full(err error) (full, remote bool) {
	if err == nil {
		return false, false
	}
	var explained *FullError
	var postgres interface{ SQLState() string }
	var sqlite interface{ Code() int }
	switch {
	case errors.As(err, &explained), FullHere(err):
		return true, false
	case errors.As(err, &postgres):
		return postgres.SQLState() == postgresFull, true
	case errors.As(err, &sqlite) && isSQLiteFull(sqlite.Code()):
		return true, false
	}
	return said(err.Error())
}

const (
	postgresFull = "53100" // disk_full
	// SQLITE_FULL, and SQLITE_IOERR_SHMSIZE: the file that its connections share
	// cannot grow.
	sqliteFull, sqliteShared = 13, 4874
)

func isSQLiteFull(code int) bool { return code&0xff == sqliteFull || code == sqliteShared }

// said finds it in the words of an error that came over a line: the engine's do.
func said(words string) (full, remote bool) {
	if strings.Contains(words, "SQLSTATE "+postgresFull) {
		return true, true
	}
	for _, w := range []string{
		"database or disk is full", fmt.Sprintf("disk I/O error (%d)", sqliteShared),
		syscall.ENOSPC.Error(), syscall.EDQUOT.Error(),
	} {
		if strings.Contains(words, w) {
			return true, false
		}
	}
	return false, false
}
