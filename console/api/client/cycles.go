package client

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// cycle returns the path of a cycle: its id is three parts.
func cycle(id patching.CycleID, more ...string) string {
	return at(append(append([]string{"cycles"}, strings.SplitN(string(id), "/", 3)...), more...)...)
}

// CycleQuery chooses cycles. The zero query takes the newest hundred.
type CycleQuery struct {
	Policy patching.PolicyName
	Open   bool
	Limit  int
}

// Cycles lists cycles, the newest first.
func (c *Client) Cycles(ctx context.Context, q CycleQuery) (wire.Cycles, error) {
	return ask[wire.Cycles](ctx, c, request{method: http.MethodGet, path: at("cycles"), query: where(
		"policy", string(q.Policy), "open", fmt.Sprint(q.Open), "limit", fmt.Sprint(q.Limit))})
}

// Cycle shows where a cycle stands.
func (c *Client) Cycle(ctx context.Context, id patching.CycleID) (wire.CycleDetail, error) {
	return ask[wire.CycleDetail](ctx, c, request{method: http.MethodGet, path: cycle(id)})
}

// WatchCycle waits until a cycle stands elsewhere than at the mark, or the wait
// is over. Let a second pass between calls.
func (c *Client) WatchCycle(ctx context.Context, id patching.CycleID, mark string, wait time.Duration) (wire.CycleDetail, error) {
	q := where("after", mark)
	q.Set("wait", fmt.Sprint(int(wait.Seconds())))
	return ask[wire.CycleDetail](ctx, c, request{method: http.MethodGet, path: cycle(id, "watch"), query: q})
}

// StartCycle starts the policy's monthly cycle. The key names the act, see [NewKey].
func (c *Client) StartCycle(ctx context.Context, p patching.PolicyName, s wire.StartCycle, key string) (wire.Started, error) {
	return ask[wire.Started](ctx, c, request{method: http.MethodPost, path: at("policies", string(p), "cycles"), body: s, key: key})
}

// StartEmergency calls an emergency cycle.
func (c *Client) StartEmergency(ctx context.Context, p patching.PolicyName, s wire.StartEmergency, key string) (wire.Started, error) {
	return ask[wire.Started](ctx, c, request{method: http.MethodPost, path: at("policies", string(p), "emergencies"), body: s, key: key})
}

// Do does a verb of the table of verbs to a cycle.
func (c *Client) Do(ctx context.Context, id patching.CycleID, verb string, a wire.Act, key string) (wire.Answer, error) {
	return ask[wire.Answer](ctx, c, request{method: http.MethodPost, path: cycle(id, verb), body: a, key: key})
}

// Plan shows a revision of a cycle's plan; 0 is the newest.
func (c *Client) Plan(ctx context.Context, id patching.CycleID, revision int) (wire.Plan, error) {
	return ask[wire.Plan](ctx, c, request{method: http.MethodGet, path: cycle(id, "plan"), query: where("revision", fmt.Sprint(revision))})
}

// DeploymentQuery chooses a cycle's machines. The zero query takes the first page of all.
type DeploymentQuery struct {
	Ring     patching.RingName
	Wave     patching.WaveID
	State    patching.DeploymentState
	Outcomes []patching.Outcome
	After    patching.AssetID
	Limit    int
}

// Deployments lists how a cycle's machines fare.
func (c *Client) Deployments(ctx context.Context, id patching.CycleID, q DeploymentQuery) (wire.DeploymentPage, error) {
	var outcomes []string
	for _, o := range q.Outcomes {
		outcomes = append(outcomes, string(o))
	}
	return ask[wire.DeploymentPage](ctx, c, request{method: http.MethodGet, path: cycle(id, "machines"), query: where(
		"ring", string(q.Ring), "wave", string(q.Wave), "state", string(q.State), "outcome", strings.Join(outcomes, ","),
		"after", string(q.After), "limit", fmt.Sprint(q.Limit))})
}

// Machine follows one machine through a cycle.
func (c *Client) Machine(ctx context.Context, id patching.CycleID, a patching.AssetID) (wire.MachineRecord, error) {
	return ask[wire.MachineRecord](ctx, c, request{method: http.MethodGet, path: cycle(id, "machines", string(a))})
}

// Decisions lists what the gates of a cycle said.
func (c *Client) Decisions(ctx context.Context, id patching.CycleID) (wire.Decisions, error) {
	return ask[wire.Decisions](ctx, c, request{method: http.MethodGet, path: cycle(id, "decisions")})
}

// Approvals lists the votes on a cycle's plans.
func (c *Client) Approvals(ctx context.Context, id patching.CycleID) (wire.Approvals, error) {
	return ask[wire.Approvals](ctx, c, request{method: http.MethodGet, path: cycle(id, "approvals")})
}

// Report returns the report of a cycle, a page of HTML.
func (c *Client) Report(ctx context.Context, id patching.CycleID) ([]byte, error) {
	return c.askText(ctx, request{method: http.MethodGet, path: cycle(id, "report")})
}
