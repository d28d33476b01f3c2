//go:build !unix

package durable

import "os"

// Lock opens the file without sharing where the system has that; Windows refuses a
// second exclusive handle by itself.
func Lock(path, _ string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
