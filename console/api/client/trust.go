package client

import (
	"context"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// TrustRoot shows the trust root in force.
func (c *Client) TrustRoot(ctx context.Context) (wire.TrustRoot, error) {
	return ask[wire.TrustRoot](ctx, c, request{method: http.MethodGet, path: at("trust")})
}

// PutTrustRoot puts a newer trust root in force.
func (c *Client) PutTrustRoot(ctx context.Context, envelope []byte) (wire.TrustRoot, error) {
	return ask[wire.TrustRoot](ctx, c, request{method: http.MethodPost, path: at("trust"), body: wire.NewTrustRoot{Envelope: string(envelope)}})
}

// NextKey makes a key that can take the place of one of the server's.
func (c *Client) NextKey(ctx context.Context, kind string) (wire.NextKey, error) {
	return ask[wire.NextKey](ctx, c, request{method: http.MethodPost, path: at("trust", "keys"), body: wire.NextKey{Kind: kind}})
}

// Papers lists what people have signed.
func (c *Client) Papers(ctx context.Context, kind patching.PaperKind, subject string) (wire.Papers, error) {
	return ask[wire.Papers](ctx, c, request{method: http.MethodGet, path: at("trust", "papers"), query: where("kind", string(kind), "subject", subject)})
}

// SignPaper hands in a signature.
func (c *Client) SignPaper(ctx context.Context, p wire.NewPaper) (wire.Papers, error) {
	return ask[wire.Papers](ctx, c, request{method: http.MethodPost, path: at("trust", "papers"), body: p})
}

// DraftPreApproval shows what has to be signed to pre-approve a test ring.
func (c *Client) DraftPreApproval(ctx context.Context, p wire.NewPreApproval) (wire.PreApproval, error) {
	return ask[wire.PreApproval](ctx, c, request{method: http.MethodPost, path: at("trust", "pre-approvals"), body: p})
}

// Grants shows what has to be signed to approve a cycle's plan.
func (c *Client) Grants(ctx context.Context, id patching.CycleID, breakGlass string) (wire.Grants, error) {
	return ask[wire.Grants](ctx, c, request{method: http.MethodGet, path: cycle(id, "grants"), query: where("break_glass", breakGlass)})
}

// PlanFile returns all of a plan, a line of JSON each.
func (c *Client) PlanFile(ctx context.Context, id patching.CycleID) ([]byte, error) {
	return c.askText(ctx, request{method: http.MethodGet, path: cycle(id, "plan", "file")})
}

// Hold says whether machines are held, and who held them before.
func (c *Client) Hold(ctx context.Context) (wire.Holds, error) {
	return ask[wire.Holds](ctx, c, request{method: http.MethodGet, path: at("hold")})
}

// HoldMachines has nothing start on any machine.
func (c *Client) HoldMachines(ctx context.Context, h wire.NewHold) (wire.Holds, error) {
	return ask[wire.Holds](ctx, c, request{method: http.MethodPost, path: at("hold"), body: h})
}

// LiftHold lets machines go on.
func (c *Client) LiftHold(ctx context.Context, reason string) (wire.Holds, error) {
	return ask[wire.Holds](ctx, c, request{method: http.MethodPost, path: at("hold", "lift"), body: wire.Because{Reason: reason}})
}
