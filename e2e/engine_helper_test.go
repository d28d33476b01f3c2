package e2e_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// startEngine starts an engine that is stopped when t ends. An empty Dir is a
// folder of the test's, a nil Logger is the test's from warnings up.
func startEngine(t testing.TB, o engine.Options) *engine.Engine {
	t.Helper()
	if o.Dir == "" && o.External == nil {
		o.Dir = t.TempDir()
	}
	if o.Logger == nil {
		o.Logger = zaptest.NewLogger(t, zaptest.Level(zap.WarnLevel))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	e, err := engine.Start(ctx, o)
	require.NoError(t, err)
	t.Cleanup(e.Stop)
	return e
}

// people is a fake of the accounts' store.
type people struct {
	mu      sync.Mutex
	byToken map[[32]byte]engine.Account
}

func (p *people) add(token string, a engine.Account) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byToken == nil {
		p.byToken = map[[32]byte]engine.Account{}
	}
	p.byToken[gate.Hash(token)] = a
}

func (p *people) revoke(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.byToken, gate.Hash(token))
}

func (p *people) ByToken(_ context.Context, hash [32]byte) (engine.Account, bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a, ok := p.byToken[hash]
	return a, ok, nil
}
