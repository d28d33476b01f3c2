package patching

import "time"

// Cycle is the record of a cycle: what auditors find after Temporal's retention.
type Cycle struct {
	ID     CycleID
	Kind   Kind
	Policy PolicyName
	// PolicyVersion is the version it runs under.
	PolicyVersion Digest
	Shadow        bool
	Author        AccountName
	Reason        string // why an emergency was called; empty for the calendar's
	Opened        time.Time
	Closed        time.Time
	Phase         Phase
	// Words is the sentence that says where the cycle stands and whether anyone must act.
	Words    string
	Plan     Digest // hash of the plan that counts; empty before there is one
	ClosedAs ClosedAs
	// Epoch grows when an engine is rebuilt.
	Epoch int64
	// Mode is the trust root's mode under which approvals counted.
	Mode string
	// Report is where the report was written; empty before.
	Report string
	// State is the workflow's carried state, saved at each phase.
	State []byte
}

// Approval is a vote of one person on one plan, as it was verified.
type Approval struct {
	Cycle   CycleID
	Plan    Digest
	Account AccountName
	Verdict ApprovalVerdict
	Reason  string
	// Via says how it came: "api" for an authenticated request, "signal" for a
	// signal whose sender Temporal's server stamped.
	Via string
	At  time.Time
	// Key is the fingerprint of the account's own key that signed it, Paper addresses
	// what was signed; empty: it counts on the server's word.
	Key   string
	Paper Digest
	// Refused says in words why it does not count; empty: it counts.
	Refused string
}

// ApprovalVerdict is what a person says of a plan.
type ApprovalVerdict string

// The verdicts on a plan.
const (
	Approve  ApprovalVerdict = "approve"
	Reject   ApprovalVerdict = "reject"
	SendBack ApprovalVerdict = "send-back"
)
