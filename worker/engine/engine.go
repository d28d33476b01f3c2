// Package engine runs Temporal for patchcycle: a whole server with its UI
// inside this process, on a SQLite file or on PostgreSQL, or a connection to a
// cluster that exists.
//
// It is closed by default. Every call needs a token; people read, and send the
// signals that are commands, under their own name; only the product itself
// starts, changes and ends workflows. What decides that is the package gate
// below this one, which does not link the server.
package engine

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"go.temporal.io/sdk/client"

	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// An Engine is a running server, or a connection to one.
type Engine struct {
	addr      string
	namespace string
	client    client.Client
	door      *gate.Door // nil without UI
	failed    chan error

	once    sync.Once
	closers []func() // run in reverse
}

// Start brings an engine up and returns when it serves: the namespace exists
// with its search attributes, and a call without credentials was seen to be
// refused. A first start on PostgreSQL creates the schema, which may take half
// a minute on a busy machine; give ctx no shorter deadline. Errors say what to
// do; nothing runs on after one.
func Start(ctx context.Context, o Options) (*Engine, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{namespace: o.Namespace, failed: make(chan error, 1)}
	start := e.embed
	if o.External != nil {
		start = e.connect
	}
	if err := start(ctx, o); err != nil {
		e.Stop()
		return nil, fmt.Errorf("engine: %w", err)
	}
	return e, nil
}

// Addr is the host and port that Temporal clients on this machine dial.
func (e *Engine) Addr() string { return e.addr }

// Namespace is the one that the product's workflows run in.
func (e *Engine) Namespace() string { return e.namespace }

// Client is the product's own, with the right to run workflows and workers.
// Stop closes it: stop workers first.
func (e *Engine) Client() client.Client { return e.client }

// Failed delivers at most one error: why the embedded server broke down after
// it had started. Stop the engine and end the process then; workflows lose
// nothing.
func (e *Engine) Failed() <-chan error { return e.failed }

// UIHandler serves Temporal's UI, with /login and /logout, at the root of a
// listener of the caller's. It is nil without UI.
func (e *Engine) UIHandler() http.Handler {
	if e.door == nil {
		return nil
	}
	return e.door
}

// ErrNoUI is returned by LoginLink where Options.UI is off.
var ErrNoUI = errors.New("engine: the workflow UI is off")

// LoginLink returns the path, on the listener of UIHandler, that signs the
// holder of token into the UI: once, within ten minutes. Errors that wrap
// gate.ErrRefused are the holder's to mend.
func (e *Engine) LoginLink(ctx context.Context, token string) (path string, err error) {
	if e.door == nil {
		return "", ErrNoUI
	}
	return e.door.Link(ctx, token)
}

// Stop ends sessions, the client and the server, in this order, and waits. More
// calls wait for the first.
func (e *Engine) Stop() {
	e.once.Do(func() {
		for i := len(e.closers) - 1; i >= 0; i-- {
			e.closers[i]()
		}
	})
}

func (e *Engine) onStop(f func()) { e.closers = append(e.closers, f) }
