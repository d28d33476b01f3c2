package agent

import (
	"context"

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
