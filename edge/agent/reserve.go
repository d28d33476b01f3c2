package agent

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/patchcycle/patchcycle/internal/disk"
)

// reserve is a file that is there to be given up: on a full disk it leaves room for
// the journal, so that the machine can say that its disk is full. Empty: there is
// none. It only ever helps, so its own errors are passed over.
type reserve string

// The reserve goes a piece at a time, for what it gives back is anybody's, and the
// program that filled the disk may still be at it. A piece is room for some saves,
// so all of it carries an order to its end. The last one is an inode too, without
// which a journal cannot be written anew.
const (
	reservePiece = 32 << 10
	reserveSize  = 8 * reservePiece
)

// keep makes the reserve as large as there is room for. Its bytes are random: some
// file systems keep nothing for zeroes, and little for what repeats.
func (r reserve) keep() {
	if r == "" {
		return
	}
	f, err := os.OpenFile(string(r), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.Size() >= reserveSize {
		return
	}
	bytes := make([]byte, reserveSize-info.Size())
	_, _ = rand.Read(bytes) // it never fails
	_, _ = f.Write(bytes)
	_ = f.Sync() // until then the room may only be promised
}

// giveUp gives a piece up, and reports whether there was one. Some file systems
// give room back only when that itself is on the disk.
func (r reserve) giveUp() bool {
	f, err := os.OpenFile(string(r), os.O_WRONLY, 0)
	if err != nil {
		return false
	}
	info, err := f.Stat()
	if err == nil && info.Size() > reservePiece {
		err = f.Truncate(info.Size() - reservePiece)
		_ = f.Sync()
		return errors.Join(err, f.Close()) == nil
	}
	// Closed first: what somebody has open goes on taking its room.
	if errors.Join(err, f.Close(), os.Remove(string(r))) != nil {
		return false
	}
	_ = syncDir(filepath.Dir(string(r)))
	return true
}

// roomFor calls write, and again for as long as the disk is full and there is
// something to give up. No call may rely on a flush that failed in an earlier one:
// nobody knows what is on the disk then.
func (r reserve) roomFor(write func() error) error {
	err := write()
	for disk.FullHere(err) && r.giveUp() {
		err = write()
	}
	return err
}
