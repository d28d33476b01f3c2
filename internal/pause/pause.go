// Package pause waits without outlasting whoever waits.
package pause

import (
	"context"
	"time"
)

// For waits for d, or until ctx ends: then it returns why ctx ended.
func For(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return context.Cause(ctx)
}
