//go:build !unix

package agent

import (
	"os"

	"github.com/patchcycle/patchcycle/internal/durable"
)

// lockFile takes a lock that ends with the process.
func lockFile(path string) (*os.File, error) { return durable.Lock(path, "another agent") }

// fileLocked cannot tell there: asking would open the file for good.
func fileLocked(string) bool { return false }

// syncDir does nothing: folders cannot be flushed there.
func syncDir(string) error { return nil }

// trustedOwner cannot tell there: who may write a file is not in its mode.
func trustedOwner(os.FileInfo) bool { return true }
