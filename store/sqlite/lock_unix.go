//go:build unix

package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/patchcycle/patchcycle/store"
)

type fileLock struct {
	file *os.File
	lost chan struct{}
}

// lockFile takes the lock of a file that stays where it is: removing it would
// let a waiting process lock a file that nobody else sees.
func lockFile(ctx context.Context, path string, wait bool) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open a lock file: %w", err)
	}
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &fileLock{file: f, lost: make(chan struct{})}, nil
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		case !wait:
			return nil, errors.Join(store.ErrServerRuns, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("wait for %s: %w", path, ctx.Err()), f.Close())
		case <-again.C:
		}
	}
}

func (l *fileLock) release() error { return l.file.Close() }
