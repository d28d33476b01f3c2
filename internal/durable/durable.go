// Package durable replaces files so that a loss of power leaves the old one or
// the new one, whole.
package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace puts what write writes in the place of file, with that mode. When it
// returns without an error, content and name are on disk; with one, file is what
// it was before, unless only flushing the folder failed.
func Replace(file string, mode fs.FileMode, write func(io.Writer) error) error {
	next, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	err = write(next)
	if err == nil {
		err = next.Chmod(mode)
	}
	if err == nil {
		err = next.Sync()
	}
	err = errors.Join(err, next.Close())
	if err == nil {
		err = os.Rename(next.Name(), file)
	}
	if err != nil {
		os.Remove(next.Name())
		return err
	}
	return SyncDir(filepath.Dir(file))
}
