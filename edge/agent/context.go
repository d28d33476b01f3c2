package agent

import (
	"context"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

type orderKey struct{}

// WithOrder returns a context that carries the order under which a [Machine]
// is acted on: what the machine writes down of its changes names it (G16).
func WithOrder(ctx context.Context, o trust.Order) context.Context {
	return context.WithValue(ctx, orderKey{}, o)
}

// OrderOf returns the order under which a machine is acted on; the zero order
// outside of any.
func OrderOf(ctx context.Context) trust.Order {
	o, _ := ctx.Value(orderKey{}).(trust.Order)
	return o
}

// Sources is the snapshot that an order's packages come from.
type Sources struct {
	patching.Sources
	// Beside: the machine's own sources are asked too.
	Beside bool
}

type sourcesKey struct{}

// WithSources returns a context that carries where the packages come from.
func WithSources(ctx context.Context, s Sources) context.Context {
	return context.WithValue(ctx, sourcesKey{}, s)
}

// SourcesOf returns where the packages come from; not ok: from the machine's own
// sources.
func SourcesOf(ctx context.Context) (Sources, bool) {
	s, ok := ctx.Value(sourcesKey{}).(Sources)
	return s, ok
}
