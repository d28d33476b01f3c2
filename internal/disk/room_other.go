//go:build !linux && !darwin

package disk

import (
	"errors"
	"fmt"
)

// RoomAt cannot tell here: servers run on Unix.
func RoomAt(dir string) (Room, error) {
	return Room{}, fmt.Errorf("room on the disk of %s: %w", dir, errors.ErrUnsupported)
}
