//go:build unix

package agent

import (
	"errors"
	"os"
	"syscall"

	"github.com/patchcycle/patchcycle/internal/durable"
)

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) {
	return durable.Lock(path, "another agent")
}

// fileLocked reports whether another process holds the lock. Whoever wants it in this
// very moment is refused, and tries again.
func fileLocked(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// syncDir makes a file's name durable, after it was made or renamed.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// trustedOwner reports whether a file belongs to root or to whoever we run as.
func trustedOwner(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && (stat.Uid == 0 || int(stat.Uid) == os.Geteuid())
}
