package agent

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
)

// ErrDamaged is returned for a journal that lost what had reached the disk. No
// loss of power does that.
var ErrDamaged = errors.New("it is damaged")

// How many bytes of a ledger have been flushed stands in its lock file: twenty
// digits, space, checksum. It is written after the flush and not flushed itself:
// what a loss of power leaves of it names no more than there was.

const flushedFormat = "%020d %08x\n"

// noteFlushed writes the number down. Without it less is noticed, and nothing
// else is wrong: its errors are passed over.
func noteFlushed(lock *os.File, size int64) {
	_, _ = lock.WriteAt(flushedText(size), 0)
}

// forgetFlushed is durable when it returns: what comes next makes the ledger
// shorter.
func forgetFlushed(lock *os.File) error {
	if _, err := lock.WriteAt(flushedText(0), 0); err != nil {
		return err
	}
	return lock.Sync()
}

// readFlushed returns the number; 0 if it is not known.
func readFlushed(lock *os.File) int64 {
	text := make([]byte, len(flushedText(0)))
	if _, err := lock.ReadAt(text, 0); err != nil {
		return 0
	}
	var size int64
	var sum uint32
	if _, err := fmt.Sscanf(string(text), "%d %x", &size, &sum); err != nil || string(flushedText(size)) != string(text) {
		return 0
	}
	return size
}

func flushedText(size int64) []byte {
	return fmt.Appendf(nil, flushedFormat, size, crc32.Checksum(fmt.Appendf(nil, "%020d", size), checksums))
}
