//go:build !windows

package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lockDir keeps a second engine off the folder: two servers on one SQLite file
// would take its shard from each other for ever. The lock goes with the
// process, however that ends.
func lockDir(dir string) (unlock func(), err error) {
	file := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case errors.Is(err, syscall.EWOULDBLOCK):
		err = lockedError(dir)
	case err != nil:
		err = fmt.Errorf("lock %s: %w", file, err)
	default:
		return func() { f.Close() }, nil
	}
	return nil, errors.Join(err, f.Close())
}
