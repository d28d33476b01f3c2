package patching

import (
	"slices"
	"time"
)

// Task is what needs a person. It is done when a rescan says so, not when
// somebody clicks (G21). A review of what people did has no machine to scan: it is
// done when somebody who had no part in it says what they found.
type Task struct {
	ID      TaskID
	Cycle   CycleID
	Asset   AssetID
	Cause   Reason
	Tried   string
	Steps   string // the procedure
	Owner   string
	Due     time.Time
	Opened  time.Time
	TakenBy AccountName
	State   TaskState
	// Asked is when somebody said that it was done: a scan after it decides.
	Asked time.Time
	// Closed is when the rescan, or a named person with a reason, ended it.
	Closed time.Time
	Note   string
	// NotBy are those whose act is reviewed, who cannot be the ones to close it.
	// Nobody: it is no review.
	NotBy []AccountName
}

// IsReview reports whether a person's words close the task, and no scan does.
func (t Task) IsReview() bool { return len(t.NotBy) > 0 }

// Bars reports whether the account had a part in what the task reviews.
func (t Task) Bars(who AccountName) bool { return slices.Contains(t.NotBy, who) }

// LookedAfterBy returns the roles that may take the task and say that it is done.
// Whoever could have approved reviews an approval; an admin does so where there is
// only one approver.
func (t Task) LookedAfterBy() []Role {
	if t.IsReview() {
		return []Role{RoleAdmin, RoleApprover, RoleSecurityLead}
	}
	return []Role{RoleAdmin, RoleOperator, RoleSiteAdmin}
}

// TaskState is where a task stands.
type TaskState string

// The states of a task.
const (
	TaskOpen     TaskState = "open"
	TaskTaken    TaskState = "taken"
	TaskChecking TaskState = "checking" // said to be done; a rescan has to agree
	TaskDone     TaskState = "done"
)

// Terminal reports whether the task is closed.
func (s TaskState) Terminal() bool { return s == TaskDone }
