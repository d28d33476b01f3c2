package policy

import (
	"time"
)

//go:generate go test -run "Schema|Docs" . -update

// The types of this file are the shape of the YAML: keys, types, limits that
// hold whatever else is written. [Parse] reads into them, and the published
// JSON Schema is generated from them, comments included, so that what an editor
// proposes is what is accepted. What a key is worth when it is absent stands in
// defaults.go.

type (
	// name is 1 to 64 lower-case letters, digits, dots, dashes and underscores,
	// with a letter or digit at both ends.
	name string
	// selector is a CEL expression over a machine; see docs/policy.md.
	selector string
	// duration is whole days, hours, minutes and seconds: "3d", "4h", "30m", "1h30m".
	duration string
	// clock is a time of day in quotes: "22:00".
	clock string
	// date is "2026-12-31", the beginning of that day in the calendar's zone.
	date string
	// moment is a date, or a date and a time of day: "2026-12-24 18:00", in the calendar's zone.
	moment string
)

// document is a policy: who is patched, with what, in which rings and windows,
// past which gates, who approves, and what happens when it goes wrong.
type document struct {
	// The policy's name. It becomes part of the names of its cycles.
	Policy name `yaml:"policy" jsonschema:"required"`
	// What people call it; its name if absent.
	Title string `yaml:"title" jsonschema:"maxLength=200"`
	// Who answers for the policy.
	Owner string `yaml:"owner" jsonschema:"required,minLength=1"`
	// The person or body that adopted it.
	Approver string `yaml:"approver" jsonschema:"required,minLength=1"`
	// From which day on cycles may run under it.
	ValidFrom date `yaml:"valid_from" jsonschema:"required"`
	// Until when it has to be looked at again, that day included.
	ReviewBy date `yaml:"review_by" jsonschema:"required"`
	// Which machines it is about; absent: every machine.
	Select selector `yaml:"select"`
	// When the monthly cycle starts.
	Calendar calendarDoc `yaml:"calendar" jsonschema:"required"`
	// How long after its start a cycle closes, done or not; what is left is carried over by name.
	CloseAfter duration `yaml:"close_after"`
	// Places, each with its zone and the windows that hold there.
	Sites []siteDoc `yaml:"sites" jsonschema:"required,minItems=1,maxItems=5000"`
	// Maintenance windows, in the local time of each site.
	Windows []windowDoc `yaml:"windows" jsonschema:"required,minItems=1,maxItems=100"`
	// Times in which nothing starts.
	Freezes []freezeDoc `yaml:"freezes" jsonschema:"maxItems=100"`
	// What of that which is offered is installed.
	Patches patchesDoc `yaml:"patches"`
	// By which rules it is judged how soon something has to be patched.
	Urgency urgencyDoc `yaml:"urgency"`
	// Slices of the machines, one after the other. The first is named test.
	Rings []ringDoc `yaml:"rings" jsonschema:"required,minItems=1,maxItems=50"`
	// Who has to agree, and how long that is waited for.
	Approval approvalDoc `yaml:"approval"`
	// Machines that are left out, each group with reason, owner and end.
	Exclude []exclusionDoc `yaml:"exclude" jsonschema:"maxItems=500"`
	// What is rolled back when a gate halts the cycle: the affected machines, the whole ring, or nothing.
	OnHalt OnHalt `yaml:"on_halt" jsonschema:"enum=affected,enum=ring,enum=nothing"`
	// What happens to a machine whose failure may be mended within its window (packages left half installed, a lock, a download): one repair and one more try, or nothing.
	OnFailure OnFailure `yaml:"on_failure" jsonschema:"enum=mend,enum=leave"`
	// How long a machine may keep silent, while the path to it listened, before it counts as unreachable.
	Silence duration `yaml:"silence"`
	// How old an inventory may be when a plan is made.
	Fresh duration `yaml:"fresh"`
	// Of which machines a verified backup has to be known before anything is upgraded; docs/backups.md.
	Backup backupDoc `yaml:"backup"`
	// What an emergency cycle may shorten. Its test ring is never skipped.
	Emergency emergencyDoc `yaml:"emergency"`
}

// calendarDoc says when the monthly cycle starts: a weekday of the month and
// some days after it ("the second Tuesday and two days").
type calendarDoc struct {
	// Which one of the weekday in the month.
	Nth int `yaml:"nth" jsonschema:"minimum=1,maximum=4"`
	// The weekday.
	Weekday string `yaml:"weekday" jsonschema:"enum=mon,enum=tue,enum=wed,enum=thu,enum=fri,enum=sat,enum=sun"`
	// How many days after it.
	Plus int `yaml:"plus" jsonschema:"minimum=0,maximum=14"`
	// The time of day, in quotes.
	At clock `yaml:"at"`
	// The IANA zone in which the policy's dates and times are meant.
	Zone string `yaml:"zone" jsonschema:"required,minLength=1"`
}

// siteDoc is a place. The site named roaming holds the machines that belong to none.
type siteDoc struct {
	// The site's name, as machines report it.
	Name name `yaml:"name" jsonschema:"required"`
	// The IANA zone of its clocks.
	Zone string `yaml:"zone" jsonschema:"required,minLength=1"`
	// The names of the windows that hold there.
	Windows []string `yaml:"windows" jsonschema:"required,minItems=1"`
}

// windowDoc is a maintenance window, in the local time of each site.
type windowDoc struct {
	// The window's name, for sites to refer to.
	Name name `yaml:"name" jsonschema:"required"`
	// When it is open: always, daily 22:00 for 4h, weekly sat,sun 22:00 for 6h or monthly 2nd tue+2 20:00 for 8h.
	Rule string `yaml:"rule" jsonschema:"required,minLength=1"`
}

// freezeDoc is a time in which nothing starts.
type freezeDoc struct {
	// The freeze's name.
	Name string `yaml:"name" jsonschema:"required,minLength=1"`
	// When it begins.
	From moment `yaml:"from" jsonschema:"required"`
	// When it ends.
	Until moment `yaml:"until" jsonschema:"required"`
	// Why.
	Reason string `yaml:"reason" jsonschema:"required,minLength=1"`
	// Roles or accounts by whom an emergency may pass it.
	MayPass []string `yaml:"may_pass"`
}

// patchesDoc says what of that which is offered is installed.
type patchesDoc struct {
	// All patches, or security fixes only.
	Take string `yaml:"take" jsonschema:"enum=all,enum=security"`
	// Packages that are not touched.
	Hold []holdDoc `yaml:"hold" jsonschema:"maxItems=500"`
	// Packages (shell patterns) that get a step, a restart and a check of their own.
	Alone []string `yaml:"alone" jsonschema:"maxItems=500"`
	// Whether machines restart when a patch needs it, always, or never.
	Reboot string `yaml:"reboot" jsonschema:"enum=when-needed,enum=always,enum=never"`
}

// urgencyDoc says by which rules it is judged how soon something has to be patched.
type urgencyDoc struct {
	// The decision tables that apply, by their ids; docs/urgency.md lists them. The earliest due date binds. Absent: ssvc-deployer.
	Regimes []string `yaml:"regimes" jsonschema:"maxItems=20"`
	// What counts where a fact is not known, such as a machine's exposure: the worst that it may be, the best, or the worst until a person, who is asked, has found out.
	Unknown string `yaml:"unknown" jsonschema:"enum=worst,enum=best,enum=ask"`
}

// holdDoc keeps packages as they are.
type holdDoc struct {
	// The package, or a shell pattern for several.
	Package string `yaml:"package" jsonschema:"required,minLength=1"`
	// Why.
	Reason string `yaml:"reason" jsonschema:"required,minLength=1"`
	// Who answers for it.
	Owner string `yaml:"owner" jsonschema:"required,minLength=1"`
	// The day on which it ends.
	Until date `yaml:"until" jsonschema:"required"`
}

// ringDoc is a slice of the machines that goes before the next. A machine
// belongs to the first ring that selects it and has room.
type ringDoc struct {
	// The ring's name. The first one is test.
	Name name `yaml:"name" jsonschema:"required"`
	// Which machines it takes; absent: all that earlier rings left.
	Select selector `yaml:"select"`
	// How many machines at most, spread over sites and kinds of machine.
	Count int `yaml:"count" jsonschema:"minimum=1"`
	// How many at most, as a share of the policy's machines in percent. With count, the smaller limit holds.
	Percent float64 `yaml:"percent" jsonschema:"exclusiveMinimum=0,maximum=100"`
	// How many machines are released at once.
	Batch int `yaml:"batch" jsonschema:"minimum=1,maximum=1000"`
	// How many waves of the ring run at once.
	Parallel int `yaml:"parallel" jsonschema:"minimum=1,maximum=100"`
	// How long the ring is watched before the next may start.
	Soak duration `yaml:"soak"`
	// When the ring may go on, and when it has to halt.
	Gate gateDoc `yaml:"gate"`
	// Whether an approval is asked for before this ring. The ring after the test ring always asks, the test ring only where others stand in for its machines.
	Approve bool `yaml:"approve"`
}

// gateDoc holds the limits of a ring's gate.
type gateDoc struct {
	// The share of released machines, in percent, whose result has to be in before the gate lets go on.
	Answered float64 `yaml:"answered" jsonschema:"minimum=0,maximum=100"`
	// Halt when this many machines failed in the same way; 0 is never. Absent, and count is less: count.
	Same int `yaml:"same" jsonschema:"minimum=0"`
	// Halt at this many bad outcomes whatever the cause; 0 is never.
	BadCount int `yaml:"bad_count" jsonschema:"minimum=0"`
	// Halt when bad outcomes exceed this share of the answers, in percent; 0 is never.
	BadPercent float64 `yaml:"bad_percent" jsonschema:"minimum=0,maximum=100"`
	// From how many answers on bad_percent is judged. Absent, and count is less: count.
	MinAnswered int `yaml:"min_answered" jsonschema:"minimum=0"`
	// The healthy time, in hours summed over machines, that the soak has to gather.
	HostHours float64 `yaml:"host_hours" jsonschema:"minimum=0"`
	// Halt when more than this share of the released machines, in percent, is unreachable; 0 is never.
	Unreachable float64 `yaml:"unreachable" jsonschema:"minimum=0,maximum=100"`
}

// approvalDoc says who has to agree and how long patchcycle waits.
type approvalDoc struct {
	// How many distinct people; the plan's author never counts.
	Quorum int `yaml:"quorum" jsonschema:"minimum=1,maximum=20"`
	// When approvers are reminded. Absent: after 24h, or a quarter of expire if that is less.
	Remind duration `yaml:"remind"`
	// When the policy's owner is told. Absent: after 48h, or half of expire if that is less.
	Escalate duration `yaml:"escalate"`
	// When the request ends without an answer.
	Expire duration `yaml:"expire"`
	// Whether a signal counts whose sender Temporal's server stamped.
	TrustSignals bool `yaml:"trust_signals"`
}

// exclusionDoc leaves machines out.
type exclusionDoc struct {
	// Which machines.
	Select selector `yaml:"select" jsonschema:"required,minLength=1"`
	// Why.
	Reason string `yaml:"reason" jsonschema:"required,minLength=1"`
	// Who answers for it.
	Owner string `yaml:"owner" jsonschema:"required,minLength=1"`
	// The day on which it ends.
	Until date `yaml:"until" jsonschema:"required"`
}

// backupDoc says before which upgrades a verified backup has to be known. It holds in emergencies too.
type backupDoc struct {
	// Whether one has to be known. A machine without is left out, or deferred before its wave.
	Require bool `yaml:"require"`
	// How old the newest verified backup may be.
	VerifiedWithin duration `yaml:"verified_within"`
	// Of which machines; absent: of every machine of the policy.
	Select selector `yaml:"select"`
}

// emergencyDoc shortens what may be shortened.
type emergencyDoc struct {
	// The soak of each ring.
	Soak duration `yaml:"soak"`
	// How long after its start an emergency cycle closes.
	CloseAfter duration `yaml:"close_after"`
	// How many people have to agree. Absent: as many as for a monthly cycle.
	Quorum int `yaml:"quorum" jsonschema:"minimum=1,maximum=20"`
	// When the request for approval ends without an answer.
	Expire duration `yaml:"expire"`
	// Whether an emergency may start outside windows, where host rules allow it.
	AnyWindow bool `yaml:"any_window"`
}

// limits on what is read, far above any policy and far below what hurts.
const (
	maxBytes    = 1 << 20
	maxTokens   = 50_000
	maxDepth    = 16
	maxAliases  = 100
	maxNodes    = 20_000 // after aliases are followed
	maxProblems = 100
)

// horizon is how far ahead windows and cycles are tried out.
const horizon = 13 // months

// day is what a date's unit is worth in durations.
const day = 24 * time.Hour
