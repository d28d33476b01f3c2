package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// TaskQuery chooses tasks. The zero query takes the first hundred.
type TaskQuery struct {
	Cycle patching.CycleID
	Asset patching.AssetID
	Owner string
	Open  bool
	Limit int
}

// Tasks lists what needs a person.
func (c *Client) Tasks(ctx context.Context, q TaskQuery) (wire.Tasks, error) {
	return ask[wire.Tasks](ctx, c, request{method: http.MethodGet, path: at("tasks"), query: where(
		"cycle", string(q.Cycle), "asset", string(q.Asset), "owner", q.Owner, "open", fmt.Sprint(q.Open), "limit", fmt.Sprint(q.Limit))})
}

// Task shows what needs a person, and the procedure.
func (c *Client) Task(ctx context.Context, id patching.TaskID) (wire.Task, error) {
	return ask[wire.Task](ctx, c, request{method: http.MethodGet, path: at("tasks", string(id))})
}

// TakeTask says that the account looks after it.
func (c *Client) TakeTask(ctx context.Context, id patching.TaskID) (wire.TaskAnswer, error) {
	return ask[wire.TaskAnswer](ctx, c, request{method: http.MethodPost, path: at("tasks", string(id), "take")})
}

// DoneTask says that the work was done; a rescan decides.
func (c *Client) DoneTask(ctx context.Context, id patching.TaskID, note string) (wire.TaskAnswer, error) {
	return ask[wire.TaskAnswer](ctx, c, request{method: http.MethodPost, path: at("tasks", string(id), "done"), body: wire.TaskDone{Note: note}})
}

// Accounts lists who holds which role, or held it at a time.
func (c *Client) Accounts(ctx context.Context, asOf time.Time) (wire.Accounts, error) {
	q := where()
	if !asOf.IsZero() {
		q.Set("as_of", asOf.UTC().Format(time.RFC3339Nano))
	}
	return ask[wire.Accounts](ctx, c, request{method: http.MethodGet, path: at("accounts"), query: q})
}

// AddAccount adds an account and returns its token, which is not kept.
func (c *Client) AddAccount(ctx context.Context, n wire.NewAccount) (wire.AddedAccount, error) {
	return ask[wire.AddedAccount](ctx, c, request{method: http.MethodPost, path: at("accounts"), body: n})
}

// RevokeAccount takes an account and its token out of use.
func (c *Client) RevokeAccount(ctx context.Context, name patching.AccountName, reason string) (wire.Account, error) {
	return ask[wire.Account](ctx, c, request{method: http.MethodPost, path: at("accounts", string(name), "revoke"), body: wire.Because{Reason: reason}})
}

// Audit reads the chain of decisions after an entry.
func (c *Client) Audit(ctx context.Context, after int64, limit int) (wire.AuditPage, error) {
	return ask[wire.AuditPage](ctx, c, request{method: http.MethodGet, path: at("audit"), query: where("after", fmt.Sprint(after), "limit", fmt.Sprint(limit))})
}

// VerifyAudit computes the chain of decisions anew.
func (c *Client) VerifyAudit(ctx context.Context) (wire.AuditCheck, error) {
	return ask[wire.AuditCheck](ctx, c, request{method: http.MethodGet, path: at("audit", "verify")})
}

// Server says what runs, and who asks.
func (c *Client) Server(ctx context.Context) (wire.Server, error) {
	return ask[wire.Server](ctx, c, request{method: http.MethodGet, path: at("server")})
}

// EnterUI returns a link into Temporal's web pages that works once.
func (c *Client) EnterUI(ctx context.Context) (wire.LoginLink, error) {
	return ask[wire.LoginLink](ctx, c, request{method: http.MethodPost, path: at("ui-login")})
}

// Doctor looks for what is wrong with the installation.
func (c *Client) Doctor(ctx context.Context) (wire.Doctor, error) {
	return ask[wire.Doctor](ctx, c, request{method: http.MethodGet, path: at("doctor")})
}

// Health asks whether the server answers.
func (c *Client) Health(ctx context.Context) (wire.Health, error) {
	return ask[wire.Health](ctx, c, request{method: http.MethodGet, path: "/health"})
}
