//go:build unix

package durable

import (
	"errors"
	"os"
)

// SyncDir makes the names in a folder durable, after one was made or changed.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
