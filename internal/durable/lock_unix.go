//go:build unix

package durable

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock takes a file's lock, which ends with the process or when the file is closed.
// Whoever has it is named in the error: "another agent".
func Lock(path, who string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s uses it: %w", who, err), f.Close())
	}
	return f, nil
}
