package engine

import (
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
)

// sharingViolation is ERROR_SHARING_VIOLATION.
const sharingViolation = syscall.Errno(32)

// lockDir keeps a second engine off the folder: a file opened without sharing
// is the process's alone until it ends.
func lockDir(dir string) (unlock func(), err error) {
	file := filepath.Join(dir, lockFile)
	name, err := syscall.UTF16PtrFromString(file)
	if err != nil {
		return nil, fmt.Errorf("lock the state folder: %w", err)
	}
	h, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	switch {
	case errors.Is(err, sharingViolation):
		return nil, lockedError(dir)
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	return func() { _ = syscall.CloseHandle(h) }, nil
}
