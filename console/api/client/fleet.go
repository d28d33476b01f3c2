package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// AssetQuery chooses machines. The zero query takes the first page of all.
type AssetQuery struct {
	Site  patching.SiteName
	Text  string
	After patching.AssetID
	Limit int
}

// Assets lists machines, by id.
func (c *Client) Assets(ctx context.Context, q AssetQuery) (wire.AssetPage, error) {
	return ask[wire.AssetPage](ctx, c, request{method: http.MethodGet, path: at("assets"), query: where(
		"site", string(q.Site), "text", q.Text, "after", string(q.After), "limit", fmt.Sprint(q.Limit))})
}

// Asset shows all that is known of a machine.
func (c *Client) Asset(ctx context.Context, id patching.AssetID) (wire.AssetDetail, error) {
	return ask[wire.AssetDetail](ctx, c, request{method: http.MethodGet, path: at("assets", string(id))})
}

// Findings shows which advisories are about a machine.
func (c *Client) Findings(ctx context.Context, id patching.AssetID) (wire.Findings, error) {
	return ask[wire.Findings](ctx, c, request{method: http.MethodGet, path: at("assets", string(id), "findings")})
}

// SetAssetFacts says of a machine what it does not say itself.
func (c *Client) SetAssetFacts(ctx context.Context, id patching.AssetID, f wire.AssetFacts) (wire.AssetDetail, error) {
	return ask[wire.AssetDetail](ctx, c, request{method: http.MethodPatch, path: at("assets", string(id)), body: f})
}

// ImportAssets holds a list of machines against what is known. With Agreed it is taken in.
func (c *Client) ImportAssets(ctx context.Context, l wire.AssetList) (wire.AssetComparison, error) {
	return ask[wire.AssetComparison](ctx, c, request{method: http.MethodPost, path: at("assets", "import"), body: l})
}

// MakeEnrolToken makes a token that lets machines enrol.
func (c *Client) MakeEnrolToken(ctx context.Context, n wire.NewEnrolToken) (wire.EnrolToken, error) {
	return ask[wire.EnrolToken](ctx, c, request{method: http.MethodPost, path: at("enrol-tokens"), body: n})
}

// EnrolTokens lists the tokens that let machines enrol.
func (c *Client) EnrolTokens(ctx context.Context) (wire.EnrolTokens, error) {
	return ask[wire.EnrolTokens](ctx, c, request{method: http.MethodGet, path: at("enrol-tokens")})
}

// Devices lists the enrolled keys in one of the states, or all.
func (c *Client) Devices(ctx context.Context, states ...patching.DeviceState) (wire.Devices, error) {
	var words []string
	for _, s := range states {
		words = append(words, string(s))
	}
	return ask[wire.Devices](ctx, c, request{method: http.MethodGet, path: at("devices"), query: where("state", strings.Join(words, ","))})
}

// AcceptDevice accepts an enrolled key.
func (c *Client) AcceptDevice(ctx context.Context, id patching.DeviceID) (wire.Device, error) {
	return ask[wire.Device](ctx, c, request{method: http.MethodPost, path: at("devices", string(id), "accept")})
}

// ReplaceDevice accepts a device in the place of an old one, which is revoked.
func (c *Client) ReplaceDevice(ctx context.Context, id, old patching.DeviceID, reason string) (wire.Device, error) {
	return ask[wire.Device](ctx, c, request{
		method: http.MethodPost, path: at("devices", string(id), "replace"), body: wire.DeviceReplaces{Device: old, Reason: reason},
	})
}

// RevokeDevice takes a key out of use, for good.
func (c *Client) RevokeDevice(ctx context.Context, id patching.DeviceID, reason string) (wire.Device, error) {
	return ask[wire.Device](ctx, c, request{method: http.MethodPost, path: at("devices", string(id), "revoke"), body: wire.Because{Reason: reason}})
}
