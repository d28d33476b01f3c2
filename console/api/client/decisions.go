package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// Reviews lists what was decided about urgency; all: what has ended, too.
func (c *Client) Reviews(ctx context.Context, all bool) (wire.Reviews, error) {
	return ask[wire.Reviews](ctx, c, request{method: http.MethodGet, path: at("urgency-reviews"), query: where("all", fmt.Sprint(all))})
}

// Waiting lists what waits for somebody to say how urgent it is.
func (c *Client) Waiting(ctx context.Context) (wire.Waiting, error) {
	return ask[wire.Waiting](ctx, c, request{method: http.MethodGet, path: at("urgency-reviews", "waiting")})
}

// AddReview decides how urgent something is.
func (c *Client) AddReview(ctx context.Context, r wire.NewReview, key string) (wire.ReviewAnswer, error) {
	return ask[wire.ReviewAnswer](ctx, c, request{method: http.MethodPost, path: at("urgency-reviews"), body: r, key: key})
}

// EndReview ends a review before its date.
func (c *Client) EndReview(ctx context.Context, id patching.DecisionID, reason string) (wire.ReviewAnswer, error) {
	return ask[wire.ReviewAnswer](ctx, c, request{method: http.MethodPost, path: at("urgency-reviews", string(id), "end"), body: wire.Because{Reason: reason}})
}

// Exceptions lists what is not patched; all: what has ended, too.
func (c *Client) Exceptions(ctx context.Context, all bool) (wire.Exceptions, error) {
	return ask[wire.Exceptions](ctx, c, request{method: http.MethodGet, path: at("exceptions"), query: where("all", fmt.Sprint(all))})
}

// AddException lets something go unpatched until a date.
func (c *Client) AddException(ctx context.Context, e wire.NewException, key string) (wire.ExceptionAnswer, error) {
	return ask[wire.ExceptionAnswer](ctx, c, request{method: http.MethodPost, path: at("exceptions"), body: e, key: key})
}

// ExpireException ends an exception before its date.
func (c *Client) ExpireException(ctx context.Context, id patching.DecisionID, reason string) (wire.ExceptionAnswer, error) {
	return ask[wire.ExceptionAnswer](ctx, c, request{method: http.MethodPost, path: at("exceptions", string(id), "expire"), body: wire.Because{Reason: reason}})
}

// WorkArounds lists work-arounds; all: those that were removed, too.
func (c *Client) WorkArounds(ctx context.Context, all bool) (wire.WorkArounds, error) {
	return ask[wire.WorkArounds](ctx, c, request{method: http.MethodGet, path: at("workarounds"), query: where("all", fmt.Sprint(all))})
}

// WorkAround shows the whole life of a work-around.
func (c *Client) WorkAround(ctx context.Context, id patching.DecisionID) (wire.WorkAround, error) {
	return ask[wire.WorkAround](ctx, c, request{method: http.MethodGet, path: at("workarounds", string(id))})
}

// AddWorkAround proposes a work-around.
func (c *Client) AddWorkAround(ctx context.Context, w wire.NewWorkAround, key string) (wire.WorkAroundAnswer, error) {
	return ask[wire.WorkAroundAnswer](ctx, c, request{method: http.MethodPost, path: at("workarounds"), body: w, key: key})
}

// StepWorkAround says what became of a work-around.
func (c *Client) StepWorkAround(ctx context.Context, id patching.DecisionID, s wire.NewWorkAroundStep) (wire.WorkAroundAnswer, error) {
	return ask[wire.WorkAroundAnswer](ctx, c, request{method: http.MethodPost, path: at("workarounds", string(id), "steps"), body: s})
}

// Advisories lists the advisories that were entered by hand; all: those that were
// withdrawn, too.
func (c *Client) Advisories(ctx context.Context, all bool) (wire.Advisories, error) {
	return ask[wire.Advisories](ctx, c, request{method: http.MethodGet, path: at("advisories"), query: where("all", fmt.Sprint(all))})
}

// Advisory shows an advisory that was entered by hand, and its past.
func (c *Client) Advisory(ctx context.Context, id patching.AdvisoryID) (wire.AdvisoryDetail, error) {
	return ask[wire.AdvisoryDetail](ctx, c, request{method: http.MethodGet, path: at("advisories", string(id))})
}

// AddAdvisories enters the advisories of a document.
func (c *Client) AddAdvisories(ctx context.Context, file string, text []byte) (wire.EnteredAdvisories, error) {
	return ask[wire.EnteredAdvisories](ctx, c, request{
		method: http.MethodPost, path: at("advisories"), query: where("file", file), text: text, contentType: yaml,
	})
}

// WithdrawAdvisory takes back an advisory that was entered by hand.
func (c *Client) WithdrawAdvisory(ctx context.Context, id patching.AdvisoryID, reason string) (wire.Advisory, error) {
	return ask[wire.Advisory](ctx, c, request{method: http.MethodPost, path: at("advisories", string(id), "withdraw"), body: wire.Because{Reason: reason}})
}
