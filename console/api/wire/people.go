package wire

import (
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Task is what needs a person.
type Task struct {
	ID       patching.TaskID      `json:"id"`
	Cycle    patching.CycleID     `json:"cycle"`
	Asset    patching.AssetID     `json:"asset"`
	Hostname string               `json:"hostname,omitempty"`
	Cause    patching.Reason      `json:"cause"`
	Words    string               `json:"words" doc:"The cause for people."`
	Tried    string               `json:"tried,omitempty"`
	Steps    string               `json:"steps" doc:"The procedure, one step a line."`
	Owner    string               `json:"owner,omitempty"`
	Due      time.Time            `json:"due,omitzero"`
	Opened   time.Time            `json:"opened"`
	TakenBy  patching.AccountName `json:"taken_by,omitempty"`
	State    patching.TaskState   `json:"state" enum:"open,taken,checking,done"`
	Closed   time.Time            `json:"closed,omitzero"`
	Note     string               `json:"note,omitempty"`
	// NotBy makes it a review, which these people cannot close.
	NotBy []patching.AccountName `json:"not_by,omitempty" doc:"Whose act it reviews: somebody else closes it, with words. None: it is no review."`
}

// Tasks is a list of them: those due first before the others.
type Tasks struct {
	Items []Task `json:"items"`
}

// TaskDone says that a task's work was done; a rescan has to agree, except in a review.
type TaskDone struct {
	Note string `json:"note,omitempty" maxLength:"2000" doc:"What was done; in a review, what was found."`
}

// TaskAnswer is how a task stands now, and what happens next.
type TaskAnswer struct {
	Task  Task   `json:"task"`
	Words string `json:"words"`
}

// Account is a person, or a service, as it stands or stood.
type Account struct {
	Name    patching.AccountName `json:"name"`
	Roles   []patching.Role      `json:"roles"`
	Scopes  []string             `json:"scopes" doc:"* is everything; policy:<name> and site:<name> limit the roles."`
	SSHKeys []string             `json:"ssh_keys,omitempty" doc:"Kept for signatures, as in authorized_keys."`
	Created time.Time            `json:"created"`
	Revoked time.Time            `json:"revoked,omitzero" doc:"None: in force."`
}

// Accounts is a list of them by name, revoked ones too.
type Accounts struct {
	Items []Account `json:"items"`
}

// NewAccount asks for an account.
type NewAccount struct {
	Name    patching.AccountName `json:"name" pattern:"^[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?$"`
	Roles   []patching.Role      `json:"roles" minItems:"1" enum:"admin,author,approver,operator,site-admin,security-lead,auditor"`
	Scopes  []string             `json:"scopes,omitempty" maxItems:"100" doc:"None: everything."`
	SSHKeys []string             `json:"ssh_keys,omitempty" maxItems:"10"`
}

// AddedAccount has the token of a new account: it is shown once and not kept.
type AddedAccount struct {
	Account Account `json:"account"`
	Token   string  `json:"token"`
}

// AuditEntry is one line of the chain of decisions.
type AuditEntry struct {
	Seq     int64           `json:"seq"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Verb    string          `json:"verb"`
	Subject string          `json:"subject"`
	Body    string          `json:"body,omitempty"`
	Prev    patching.Digest `json:"prev,omitempty"`
	Hash    patching.Digest `json:"hash"`
}

// AuditPage is a part of the chain, the oldest first.
type AuditPage struct {
	Items []AuditEntry `json:"items"`
	Next  int64        `json:"next,omitempty" doc:"Where the list goes on: give it as after."`
}

// AuditCheck says whether the chain holds.
type AuditCheck struct {
	OK      bool   `json:"ok"`
	Entries int64  `json:"entries" doc:"How many hold, from the first on."`
	Words   string `json:"words"`
}

// Server is what runs.
type Server struct {
	Version  string    `json:"version"`
	Time     time.Time `json:"time"`
	Mode     string    `json:"mode" doc:"How approvals count: dispatcher means by account, not by signature."`
	Machines int       `json:"machines"`
	You      Account   `json:"you"`
}

// Health says that the server answers.
type Health struct {
	Status string `json:"status" enum:"ok"`
}

// LoginLink lets somebody into Temporal's web pages.
type LoginLink struct {
	URL string `json:"url" doc:"Works once."`
}

// Check is one thing that the doctor looked at.
type Check struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Words  string `json:"words"`
	WayOut string `json:"way_out,omitempty"`
}

// Doctor is what it found.
type Doctor struct {
	OK     bool    `json:"ok"`
	Checks []Check `json:"checks"`
}
