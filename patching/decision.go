package patching

import "time"

// GateVerb is what a gate says.
type GateVerb string

// What a gate can say.
const (
	Proceed GateVerb = "proceed"
	Wait    GateVerb = "wait"
	Halt    GateVerb = "halt"
)

// Decision is what a gate said, with all that is needed to run it again and to
// explain it.
type Decision struct {
	Verb GateVerb
	// Until is when a Wait ends at the latest: look again then, or when the
	// tally changes.
	Until time.Time
	// Why is a sentence for people.
	Why string
	// Gate names the rule set and its version ("counts v1"), Params addresses
	// its parameters, Tally what it saw, At the time it was given.
	Gate   string
	Params Digest
	Tally  Digest
	At     time.Time
}
