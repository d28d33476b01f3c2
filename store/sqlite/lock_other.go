//go:build !unix

package sqlite

import (
	"context"
	"errors"
)

type fileLock struct{ lost chan struct{} }

// lockFile refuses: servers run on Unix. Clients on other systems never ask.
func lockFile(context.Context, string, bool) (*fileLock, error) {
	return nil, errors.New("a store on SQLite needs the file locks of Unix; use PostgreSQL, or run the server on Linux")
}

func (*fileLock) release() error { return nil }
