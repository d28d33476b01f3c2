package notice

import (
	"maps"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// Kind is what a notice is about.
type Kind string

// The kinds. A new one needs a row in the table below.
const (
	CycleHalted        Kind = "cycle-halted"
	CycleMissed        Kind = "cycle-missed"
	EmergencyProposed  Kind = "emergency-proposed"
	ApprovalEscalation Kind = "approval-escalation"
	ApprovalReminder   Kind = "approval-reminder"
	CycleWaits         Kind = "cycle-waits"
	ReviewWaits        Kind = "review-waits"
	CycleClosed        Kind = "cycle-closed"
	KnownIssue         Kind = "known-issue"
	NewAdvisory        Kind = "new-advisory"
	NewPatches         Kind = "new-patches"
	FeedRefused        Kind = "feed-refused"
	FeedFailed         Kind = "feed-failed"
	FeedStale          Kind = "feed-stale"
	AgentSilent        Kind = "agent-silent"
	BackupFailed       Kind = "backup-failed"
	BackupMissing      Kind = "backup-missing"
	SupportEnds        Kind = "support-ends"
	ExceptionEnds      Kind = "exception-ends"
	WorkAroundStays    Kind = "work-around-stays"
	// Test is a message that somebody asked for, to see whether it arrives.
	Test Kind = "test"
)

// row is what holds for all notices of a kind.
type row struct {
	// order is that of the groups in a digest, among those of the same severity.
	order int
	// heading is the group's; one and many count its notices in a subject.
	heading, one, many string
	// tell are the roles that it concerns. Owners hear of what is theirs besides.
	tell []patching.Role
	// standing: it holds until it is over; else it is an event.
	standing bool
}

const (
	admin    = patching.RoleAdmin
	author   = patching.RoleAuthor
	approver = patching.RoleApprover
	operator = patching.RoleOperator
	site     = patching.RoleSiteAdmin
	security = patching.RoleSecurityLead
	auditor  = patching.RoleAuditor
)

func roles(r ...patching.Role) []patching.Role { return r }

var kinds = map[Kind]row{
	CycleHalted:        {0, "A gate halted", "halt", "halts", roles(operator, approver, author, security), false},
	CycleMissed:        {1, "Cycles that should have started and did not", "missed cycle", "missed cycles", roles(operator, admin, author), true},
	EmergencyProposed:  {2, "What cannot wait for the next cycle: an emergency is proposed", "proposed emergency", "proposed emergencies", roles(security), true},
	ApprovalEscalation: {3, "Plans that nobody approved, although people were reminded", "escalation", "escalations", roles(approver, security, admin), false},
	ApprovalReminder:   {4, "Plans that still wait for approval", "reminder", "reminders", roles(approver), false},
	CycleWaits:         {5, "Plans that wait for approval", "plan to approve", "plans to approve", roles(approver), true},
	ReviewWaits:        {6, "Approvals by break-glass that somebody has to review", "review", "reviews", roles(approver, security, admin), true},
	KnownIssue:         {7, "New known issues of patches", "known issue", "known issues", roles(operator, security, site, author), false},
	NewAdvisory:        {8, "New advisories", "notice of new advisories", "notices of new advisories", roles(security, author), false},
	NewPatches:         {9, "New patches", "notice of new patches", "notices of new patches", roles(operator, security, site, author), false},
	FeedRefused:        {10, "Feeds that were refused; what was known before stays in force", "refused feed", "refused feeds", roles(admin, security), true},
	FeedFailed:         {11, "Feeds that do not come", "feed that does not come", "feeds that do not come", roles(admin, security), true},
	FeedStale:          {12, "Feeds that are out of date", "stale feed", "stale feeds", roles(admin, security), true},
	AgentSilent:        {13, "Machines whose agent no longer reports", "silent machine", "silent machines", roles(operator, site), true},
	BackupFailed:       {14, "Places with backups that cannot be relied upon", "place with backups", "places with backups", roles(admin, operator), true},
	BackupMissing:      {15, "Machines without the verified backup that their policy wants", "machine without backup", "machines without backup", roles(operator, site), true},
	SupportEnds:        {16, "Systems and applications past or near the end of support", "end of support", "ends of support", roles(operator, site, security), true},
	ExceptionEnds:      {17, "Exceptions and reviews that end, or are due to be looked at", "decision to look at", "decisions to look at", roles(security), true},
	WorkAroundStays:    {18, "Work-arounds that have outlived their patch", "work-around to remove", "work-arounds to remove", roles(operator, security), true},
	CycleClosed:        {19, "Cycles that closed", "closed cycle", "closed cycles", roles(operator, approver, author, auditor), false},
	Test:               {20, "Test", "test", "tests", nil, false},
}

// Kinds lists all of them by name.
func Kinds() []Kind { return slices.Sorted(maps.Keys(kinds)) }

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { _, ok := kinds[k]; return ok }

// Heading is what people read above the notices of the kind.
func (k Kind) Heading() string {
	if r, ok := kinds[k]; ok {
		return r.heading
	}
	return string(k)
}

// Tells returns the roles that notices of the kind concern.
func (k Kind) Tells() []patching.Role { return kinds[k].tell }

// Standing reports whether a notice of the kind holds until somebody finds that it
// is over. The others are events.
func (k Kind) Standing() bool { return kinds[k].standing }

// Standing lists the kinds that stand.
func Standing() []Kind {
	return slices.DeleteFunc(Kinds(), func(k Kind) bool { return !k.Standing() })
}
