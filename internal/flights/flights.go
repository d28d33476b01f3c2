// Package flights does what many ask for at the same time once.
package flights

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/singleflight"
)

// ErrClosed is for those who ask after [Group.Close].
var ErrClosed = errors.New("nothing new is begun any more")

// Group is what is being done, by keys. Make it with [New].
type Group struct {
	life    context.Context //nolint:containedctx // the owner's: what is done goes on when its asker leaves
	flights singleflight.Group
	flying  sync.WaitGroup

	mu     sync.Mutex
	closed bool
}

// New returns a group whose work ends with life.
func New(life context.Context) *Group { return &Group{life: life} }

// Do does what key names once for all who ask at the same time, and goes on when the
// asker leaves: a machine that lost patience finds the file when it asks again.
func (g *Group) Do(ctx context.Context, key string, do func(context.Context) error) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return ErrClosed
	}
	g.flying.Add(1)
	g.mu.Unlock()
	done := g.flights.DoChan(key, func() (any, error) { return nil, do(g.life) })
	result := make(chan error, 1)
	go func() {
		defer g.flying.Done()
		result <- (<-done).Err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close begins nothing new and waits for what is under way: end its life first, or it
// comes to its own end.
func (g *Group) Close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.flying.Wait()
}
