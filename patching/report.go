package patching

import "time"

// Report is one authenticated message of a device, taken from the uplink. Its
// counter makes taking it twice harmless.
type Report struct {
	Device  DeviceID
	Counter uint64
	Boot    string
	// Digest addresses the signed bytes: the same counter with another digest
	// is a fork, the sign of a cloned machine.
	Digest Digest
	// Relay is the route by which it came; empty is direct.
	Relay string
	// At is the server's clock when it arrived.
	At time.Time
	// Facts is set by an inventory: what the machine says of itself. Site,
	// owner and the like stay as the server has them.
	Facts *Asset
	// Receipts are what happened to orders.
	Receipts []Receipt
}

// Intake is what became of a report.
type Intake string

// What can become of a report.
const (
	Taken     Intake = "taken"
	Duplicate Intake = "duplicate" // taken before: acknowledge again
	Replayed  Intake = "replayed"  // an older counter: refused
	Forked    Intake = "forked"    // the device is quarantined
	Stranger  Intake = "stranger"  // no accepted device of that id
)
