package client

import (
	"context"
	"io"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// Feeds lists the feeds of advisories.
func (c *Client) Feeds(ctx context.Context) (wire.Feeds, error) {
	return ask[wire.Feeds](ctx, c, request{method: http.MethodGet, path: at("feeds")})
}

// Feed shows a feed and what came of it lately.
func (c *Client) Feed(ctx context.Context, name patching.FeedName) (wire.FeedDetail, error) {
	return ask[wire.FeedDetail](ctx, c, request{method: http.MethodGet, path: at("feeds", string(name))})
}

// SyncFeeds brings feeds up to date, without names all that have an address. It does not
// wait.
func (c *Client) SyncFeeds(ctx context.Context, names ...patching.FeedName) (wire.StartedFeeds, error) {
	return ask[wire.StartedFeeds](ctx, c, request{method: http.MethodPost, path: at("feeds", "sync"), body: wire.SyncFeeds{Feeds: names}})
}

// ImportFeed sends a tar archive of the files of a feed. from says what they are; accept
// why they may be worse than the edition before, and is empty where they may not.
func (c *Client) ImportFeed(ctx context.Context, name patching.FeedName, from, accept string, files io.Reader) (wire.FeedSync, error) {
	return ask[wire.FeedSync](ctx, c, request{
		method: http.MethodPost, path: at("feeds", string(name), "import"), query: where("from", from, "accept_smaller", accept),
		stream: files, contentType: "application/x-tar",
	})
}
