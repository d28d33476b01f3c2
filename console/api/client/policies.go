package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

const yaml = "application/yaml"

// Policies lists the policies in force.
func (c *Client) Policies(ctx context.Context) (wire.Policies, error) {
	return ask[wire.Policies](ctx, c, request{method: http.MethodGet, path: at("policies")})
}

// Policy shows the policy in force, or a past version of it.
func (c *Client) Policy(ctx context.Context, p patching.PolicyName, version string) (wire.Policy, error) {
	path := at("policies", string(p))
	if version != "" {
		path = at("policies", string(p), "versions", version)
	}
	return ask[wire.Policy](ctx, c, request{method: http.MethodGet, path: path})
}

// LintPolicy says what is wrong with a policy, tried on the machines that the
// server knows.
func (c *Client) LintPolicy(ctx context.Context, file string, text []byte) (wire.Lint, error) {
	return ask[wire.Lint](ctx, c, request{
		method: http.MethodPost, path: at("policies", "lint"), query: where("file", file), text: text, contentType: yaml,
	})
}

// ApplyPolicy puts a policy in force. ahead: its machines come later.
func (c *Client) ApplyPolicy(ctx context.Context, p patching.PolicyName, file string, text []byte, ahead bool) (wire.Applied, error) {
	return ask[wire.Applied](ctx, c, request{
		method: http.MethodPut, path: at("policies", string(p)), query: where("file", file, "ahead", fmt.Sprint(ahead)), text: text, contentType: yaml,
	})
}

// Calendar says when the policy's monthly cycle starts.
func (c *Client) Calendar(ctx context.Context, p patching.PolicyName, count int) (wire.Calendar, error) {
	return ask[wire.Calendar](ctx, c, request{method: http.MethodGet, path: at("policies", string(p), "calendar"), query: where("count", fmt.Sprint(count))})
}

// Urgency shows what a policy's machines miss, and what cannot wait for its next cycle.
func (c *Client) Urgency(ctx context.Context, p patching.PolicyName) (wire.Urgency, error) {
	return ask[wire.Urgency](ctx, c, request{method: http.MethodGet, path: at("policies", string(p), "urgency")})
}

// Schedules lists the schedules.
func (c *Client) Schedules(ctx context.Context) (wire.Schedules, error) {
	return ask[wire.Schedules](ctx, c, request{method: http.MethodGet, path: at("schedules")})
}

// Schedule shows a policy's schedule.
func (c *Client) Schedule(ctx context.Context, p patching.PolicyName) (wire.Schedule, error) {
	return ask[wire.Schedule](ctx, c, request{method: http.MethodGet, path: at("schedules", string(p))})
}

// SetSchedule starts the policy's cycle every month, by its calendar.
func (c *Client) SetSchedule(ctx context.Context, p patching.PolicyName, s wire.SetSchedule) (wire.Schedule, error) {
	return ask[wire.Schedule](ctx, c, request{method: http.MethodPut, path: at("schedules", string(p)), body: s})
}

// PauseSchedule starts no cycle by the calendar for now, or starts them again.
func (c *Client) PauseSchedule(ctx context.Context, p patching.PolicyName, pause bool, reason string) (wire.Schedule, error) {
	verb := "resume"
	if pause {
		verb = "pause"
	}
	return ask[wire.Schedule](ctx, c, request{method: http.MethodPost, path: at("schedules", string(p), verb), body: wire.Because{Reason: reason}})
}
