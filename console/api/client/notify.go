package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

// Notify shows who is told what, and up to limit messages that were told lately: to
// one recipient, or to all if it is empty.
func (c *Client) Notify(ctx context.Context, recipient string, limit int) (wire.Notify, error) {
	return ask[wire.Notify](ctx, c, request{method: http.MethodGet, path: at("notify"), query: where("recipient", recipient, "limit", fmt.Sprint(limit))})
}

// TestNotify sends a test message to a recipient and says what became of it.
func (c *Client) TestNotify(ctx context.Context, recipient string) (wire.NotifyTest, error) {
	return ask[wire.NotifyTest](ctx, c, request{method: http.MethodPost, path: at("notify", recipient, "test")})
}
