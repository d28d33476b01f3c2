//go:build !unix

package agent

import "os"

// lockFile opens the file without sharing where the system has that; Windows
// refuses a second exclusive handle by itself.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// syncDir does nothing: folders cannot be flushed there.
func syncDir(string) error { return nil }

// trustedOwner cannot tell there: who may write a file is not in its mode.
func trustedOwner(os.FileInfo) bool { return true }
