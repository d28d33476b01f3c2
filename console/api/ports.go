package api

import (
	"context"
	"io"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Store is what the API keeps and asks; *store.Store is one. A single thing
// that is not there is [store.ErrNotFound].
type Store interface {
	fleetStore
	cycleStore
	peopleStore
	decisionStore
}

type fleetStore interface {
	Contents(ctx context.Context, ds []patching.Digest) (map[patching.Digest][]byte, error)
	PutAsset(ctx context.Context, a patching.Asset) error
	PutImported(context.Context, []patching.Asset, store.Import) error
	Imports(context.Context, patching.AssetID, int) ([]store.Import, error)
	Asset(ctx context.Context, id patching.AssetID) (patching.Asset, error)
	Changes(ctx context.Context, a patching.AssetID, limit int) ([]store.Changed, error)
	Assets(ctx context.Context, want store.AssetFilter) ([]patching.Asset, error)
	CountAssets(ctx context.Context) (int, error)
	PutEnrolToken(ctx context.Context, e store.EnrolToken) error
	EnrolTokens(ctx context.Context) ([]store.EnrolToken, error)
	Device(ctx context.Context, id patching.DeviceID) (patching.Device, error)
	Devices(ctx context.Context, states ...patching.DeviceState) ([]patching.Device, error)
	SetDeviceState(ctx context.Context, id patching.DeviceID, to patching.DeviceState) error
	ReplaceDevice(ctx context.Context, old, fresh patching.DeviceID) error
	FeedSyncs(ctx context.Context, name patching.FeedName, limit int) ([]patching.FeedSync, error)
	Parts(ctx context.Context) (map[string]time.Time, error)
	Backups(ctx context.Context, want store.BackupFilter) ([]patching.Backup, error)
}

type cycleStore interface {
	ApplyPolicy(ctx context.Context, p store.PolicyVersion) error
	Policy(ctx context.Context, name patching.PolicyName) (store.PolicyVersion, error)
	PolicyVersions(ctx context.Context, name patching.PolicyName) ([]store.PolicyVersion, error)
	Policies(ctx context.Context) ([]store.PolicyVersion, error)
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Cycles(ctx context.Context, want store.CycleFilter) ([]patching.Cycle, error)
	CycleCounts(ctx context.Context, c patching.CycleID) (planned int, outcomes map[patching.Outcome]int, repairs int, freed int64, err error)
	Tally(ctx context.Context, of store.Slice) (patching.Tally, error)
	Plan(ctx context.Context, c patching.CycleID) (patching.Plan, error)
	Plans(ctx context.Context, c patching.CycleID) ([]patching.Plan, error)
	Outlooks(ctx context.Context, c patching.CycleID) (map[patching.Digest]plan.Outlook, error)
	Waves(ctx context.Context, c patching.CycleID, r patching.RingName, offset, limit int) ([]patching.WaveSummary, error)
	Deployments(ctx context.Context, want store.DeploymentFilter) ([]patching.Deployment, error)
	Deployment(ctx context.Context, c patching.CycleID, a patching.AssetID) (patching.Deployment, error)
	Receipts(ctx context.Context, d patching.DeviceID, c patching.CycleID) ([]patching.Receipt, error)
	Approvals(ctx context.Context, c patching.CycleID) ([]patching.Approval, error)
	Decisions(ctx context.Context, c patching.CycleID) ([]store.DecisionRow, error)
	Diagnoses(ctx context.Context, c patching.CycleID) ([]store.DiagnosisRow, error)
}

type peopleStore interface {
	PutAccount(ctx context.Context, a patching.Account) error
	Account(ctx context.Context, name patching.AccountName) (patching.Account, error)
	AccountByToken(ctx context.Context, token patching.Digest) (patching.Account, error)
	Accounts(ctx context.Context, asOf time.Time) ([]patching.Account, error)
	PutRequest(ctx context.Context, r store.Request) error
	Request(ctx context.Context, id string) (store.Request, error)
	Tasks(ctx context.Context, want store.TaskFilter) ([]patching.Task, error)
	Task(ctx context.Context, id patching.TaskID) (patching.Task, error)
	SaveTask(ctx context.Context, k patching.Task) error
	SayHold(ctx context.Context, h patching.Hold) error
	Hold(ctx context.Context) (patching.Hold, error)
	Holds(ctx context.Context, limit int) ([]patching.Hold, error)
	SignPaper(ctx context.Context, p patching.Paper) error
	Papers(ctx context.Context, kind patching.PaperKind, subject string) ([]patching.Paper, error)
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
	Audit(ctx context.Context, after int64, limit int) ([]patching.AuditEntry, error)
	VerifyAudit(ctx context.Context) (entries int64, err error)
	Digests(ctx context.Context, want store.DigestFilter) ([]store.Outgoing, error)
}

type decisionStore interface {
	DecisionsAt(ctx context.Context, now time.Time) (patching.Decisions, error)
	PutReview(ctx context.Context, r patching.Review) error
	Review(ctx context.Context, id patching.DecisionID) (patching.Review, error)
	Reviews(ctx context.Context, since time.Time) ([]patching.Review, error)
	PutException(ctx context.Context, e patching.Exception) error
	Exception(ctx context.Context, id patching.DecisionID) (patching.Exception, error)
	Exceptions(ctx context.Context, since time.Time) ([]patching.Exception, error)
	EndDecision(ctx context.Context, e patching.Ending) error
	PutWorkAround(ctx context.Context, w patching.WorkAround) error
	AddWorkAroundStep(ctx context.Context, step patching.WorkAroundStep) (patching.WorkAround, error)
	WorkAround(ctx context.Context, id patching.DecisionID) (patching.WorkAround, error)
	WorkArounds(ctx context.Context, since time.Time) ([]patching.WorkAround, error)
	PutHandAdvisories(ctx context.Context, source []byte, entered []patching.Advisory, by patching.AccountName, at time.Time) ([]store.HandAdvisory, error)
	WithdrawHandAdvisory(ctx context.Context, id patching.AdvisoryID, by patching.AccountName, at time.Time, reason string) (store.HandAdvisory, error)
	HandAdvisories(ctx context.Context) ([]store.HandAdvisory, error)
	HandAdvisoryVersions(ctx context.Context, id patching.AdvisoryID) ([]store.HandAdvisory, error)
}

// Starter starts, schedules and steers cycles; *starter.Starter is one. What a
// cycle does not take now is a [*starter.NotNow], what exists already is
// [starter.ErrExists]; anything else means that the engine does not answer.
type Starter interface {
	Start(ctx context.Context, r starter.Request) (patching.CycleID, error)
	Do(ctx context.Context, id patching.CycleID, verb contract.Verb, act contract.Act) (contract.Answer, error)
	SetSchedule(ctx context.Context, m window.Monthly, in contract.TriggerInput) error
	Schedules(ctx context.Context) ([]starter.Schedule, error)
	Schedule(ctx context.Context, p patching.PolicyName) (starter.Schedule, error)
	PauseSchedule(ctx context.Context, p patching.PolicyName, pause bool, note string) error
}

// Trust is the trust root in force and the server's keys.
type Trust interface {
	Root() trust.Root
	// Envelope is the root's as machines pin it; behind says why nothing is ordered
	// under it.
	Envelope() (envelope []byte, behind string)
	// Adopt puts a newer root in force. Its error says why it was not.
	Adopt(envelope []byte) error
	// NextKey makes a key that a root may name, of the kind "dispatcher" or "lease".
	NextKey(kind string) (trust.PublicKey, error)
}

// Rescanner asks a machine for a fresh inventory, which decides whether a task
// is done.
type Rescanner interface {
	Rescan(ctx context.Context, a patching.AssetID) error
}

// Urgent says how urgent things are while no cycle asks.
type Urgent interface {
	// Findings are what a machine misses, and the feeds that say so.
	Findings(ctx context.Context, a patching.Asset) (assess.Sheet, []plan.FeedLine, error)
	// Coming is what a policy's machines miss, when its next monthly cycle starts, and
	// which one is open.
	Coming(ctx context.Context, p patching.PolicyName) (r plan.Remediation, next time.Time, running patching.CycleID, err error)
	// Doubt says that no feed knows what somebody decides about; empty: one does.
	Doubt(ctx context.Context, about patching.Subject) string
}

// Backups are what the server knows of machines' backups. A place that it does not
// know is [store.ErrNotFound].
type Backups interface {
	// Places lists those that are asked, and why the list is not in force.
	Places() (all []wire.BackupPlace, trouble string)
	// Check asks a place and verifies it. It waits for a while.
	Check(ctx context.Context, place string) (wire.BackupPlace, error)
	// Lacking are the machines without the backup that their policy wants.
	Lacking(ctx context.Context) ([]wire.Lacking, error)
}

// Feeds are those of advisories that the server keeps. A feed that cannot be asked for is
// a [patching.ErrFeedUnasked], one that is at work a [patching.ErrFeedBusy].
type Feeds interface {
	States() []patching.FeedState
	Running() map[patching.FeedName]patching.FeedProgress
	// Trouble says why the list of feeds is not in force as it stands.
	Trouble() string
	Start(by patching.AccountName, names ...patching.FeedName) (started, recent []patching.FeedName, err error)
	// Import takes a tar archive. What came of it is in the answer.
	Import(ctx context.Context, asked patching.FeedSync, files io.Reader) (patching.FeedSync, error)
}
