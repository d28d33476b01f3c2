// Package wire holds the shapes that the REST API and its Go client exchange.
// They are apart from the vocabulary: what is published here may not change
// with it. Times are RFC 3339; a time that has not come is left out.
package wire

import (
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Root is the path under which all resources stand. The URL of a cycle is
// Root + "/cycles/" + its id.
const Root = "/api/v1"

// KeyHeader names an act, so that repeating it counts once.
const KeyHeader = "Idempotency-Key"

// Code tells programs what went wrong; the words beside it are for people.
type Code string

// The codes of a [Problem].
const (
	CodeInvalid     Code = "invalid"       // the request is not one
	CodeUnknown     Code = "unknown-token" // no token, or one that opens nothing
	CodeNotAllowed  Code = "not-allowed"   // role or scope do not reach
	CodeNotFound    Code = "not-found"
	CodeConflict    Code = "conflict"   // it does not fit what stands now
	CodeKeyReused   Code = "key-reused" // the idempotency key names another act
	CodeBadPolicy   Code = "bad-policy" // see Problem.Policy
	CodeEngineAway  Code = "engine-away"
	CodeServerFault Code = "server-fault"
)

// Problem is the body of every error (RFC 9457).
type Problem struct {
	Title  string `json:"title" doc:"The status in words."`
	Status int    `json:"status" doc:"The HTTP status."`
	Detail string `json:"detail" doc:"What is wrong, for people."`
	Code   Code   `json:"code" enum:"invalid,unknown-token,not-allowed,not-found,conflict,key-reused,bad-policy,engine-away,server-fault" doc:"What is wrong, for programs."`
	WayOut string `json:"way_out,omitempty" doc:"What to do about it."`
	// Key is set where an act was put on record under the sender's key before it failed.
	Key    string          `json:"key,omitempty" doc:"The idempotency key under which the act is on record: repeated with it, it counts once."`
	Errors []Fault         `json:"errors,omitempty" doc:"What is wrong in which part of the request."`
	Policy []PolicyProblem `json:"policy,omitempty" doc:"What is wrong with a policy, and where."`
}

// Fault is one part of a request that cannot be used.
type Fault struct {
	Message  string `json:"message"`
	Location string `json:"location,omitempty" doc:"Such as body.shadow or query.limit."`
}

// Error makes a problem an error of Go.
func (p *Problem) Error() string {
	words := p.Detail
	for _, f := range p.Errors {
		words += "\n  " + strings.TrimSpace(f.Location+": "+f.Message)
	}
	return words
}

// GetStatus is what the HTTP layer answers with.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType marks the body as a problem.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// PolicyOf returns the policy that a cycle's id names; empty if it is no
// cycle's id. See [patching.NewCycleID].
func PolicyOf(id patching.CycleID) patching.PolicyName {
	kind, rest, _ := strings.Cut(string(id), "/")
	name, run, ok := strings.Cut(rest, "/")
	if !ok || kind != "cycle" && kind != "emergency" || run == "" {
		return ""
	}
	return patching.PolicyName(name)
}
