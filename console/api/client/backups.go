package client

import (
	"context"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

// Backups lists what is known of machines' backups.
func (c *Client) Backups(ctx context.Context) (wire.Backups, error) {
	return ask[wire.Backups](ctx, c, request{method: http.MethodGet, path: at("backups")})
}

// CheckBackups asks a place with backups, and verifies what it holds. It waits for a
// while; the answer says whether that goes on.
func (c *Client) CheckBackups(ctx context.Context, place string) (wire.BackupPlace, error) {
	return ask[wire.BackupPlace](ctx, c, request{method: http.MethodPost, path: at("backups", place, "check")})
}
