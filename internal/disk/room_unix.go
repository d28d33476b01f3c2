//go:build linux || darwin

package disk

import (
	"fmt"
	"syscall"
)

// RoomAt returns the room on the disk that holds a folder.
func RoomAt(dir string) (Room, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Room{}, fmt.Errorf("room on the disk of %s: %w", dir, err)
	}
	block := int64(s.Bsize)
	return Room{
		Free: int64(s.Bavail) * block, Total: int64(s.Blocks) * block, //nolint:gosec // no disk has so many bytes
		FreeFiles: int64(s.Ffree), Files: int64(s.Files), //nolint:gosec // nor so many files
	}, nil
}
