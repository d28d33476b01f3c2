package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// SpaceAt looks at the file system that a folder lies on.
func SpaceAt(folder string) (Space, error) {
	var in syscall.Statfs_t
	if err := syscall.Statfs(folder, &in); err != nil {
		return Space{}, fmt.Errorf("look at the space in %s: %w", folder, err)
	}
	var file syscall.Stat_t
	if err := syscall.Stat(folder, &file); err != nil {
		return Space{}, fmt.Errorf("look at %s: %w", folder, err)
	}
	return Space{
		Device: file.Dev, Bytes: int64(in.Bavail) * in.Bsize, //nolint:unconvert // its type differs by architecture
		Inodes: int64(in.Ffree), CountsInodes: in.Files > 0,
	}, nil
}

// LockedBy returns who holds a file's lock, by the number of the process; 0 is
// one that we cannot see, as outside of a container. It takes no lock itself,
// which could get in somebody's way.
func LockedBy(path string) (process int, locked bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look at a lock: %w", err)
	}
	defer f.Close()
	lock := syscall.Flock_t{Type: syscall.F_WRLCK}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return 0, false, fmt.Errorf("look at the lock %s: %w", path, err)
	}
	return int(lock.Pid), lock.Type != syscall.F_UNLCK, nil
}
