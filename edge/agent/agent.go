// Package agent is the machine's end: a state machine that verifies orders,
// waits for window and start permit, carries them out step by step and says
// what happened.
//
// The real agent and the simulated fleet run the same. It may lose power at
// any instruction: what it is about to do is in the [Journal] before it does
// it, and after a restart it goes on by what the packages look like, never by
// doing a step again.
//
// An idle agent has no goroutine of its own: whoever owns it calls
// Agent.Listen and Agent.Take around its polls, and Agent.Work when there is
// something to do or the time that it named has come. Agent.Run does that for
// one resident agent.
//
//	New(Config) (*Agent, error)
//	(*Agent) Listen() (uplink.PollDevice, error)             // what to poll with
//	(*Agent) Take(uplink.PollResponse) (news bool)           // own orders and leases of it; quick, safe while Work runs
//	(*Agent) Work(context.Context) (wake time.Time, _ error) // all that can be done now; zero wake: wait for news
//	(*Agent) Run(context.Context) error
package agent

import (
	"crypto/ed25519"
	"time"

	"go.uber.org/zap"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Identity is who an agent is: what enrolment gave it.
type Identity struct {
	Device patching.DeviceID
	Key    ed25519.PrivateKey
	// Root is the envelope of the trust root that was pinned.
	Root []byte
}

// Config holds an agent's parts. All but Log and Limits are required.
type Config struct {
	Identity Identity
	Machine  Machine
	Link     uplink.Link
	Clock    Clock
	Journal  Journal
	Shelf    Shelf
	Host     Host
	Log      *zap.Logger
	Limits   Limits
}

// Limits are how long an agent waits and how often it tries. Zero fields take
// the default in brackets.
type Limits struct {
	// Send is for how long an order that is under way waits for the server to
	// take a receipt before it goes on [5 s].
	Send time.Duration
	// Retry is the first wait after something failed that may be tried again
	// (a download, a line); it doubles up to RetryMax [15 s, 10 min].
	Retry, RetryMax time.Duration
	// Ask is how long after the last try a start permit that should be there
	// is asked for again [10 min].
	Ask time.Duration
	// Settle is for how long services may take to come up after a step, and
	// Look how often they are looked at [2 min, 5 s].
	Settle, Look time.Duration
	// Return is how long a restart may take to begin [15 min].
	Return time.Duration
	// Boots is how many restarts an order may see without a passed check in
	// between [3].
	Boots int
}

