package activities

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// CycleStore is what a cycle's record needs of the store.
type CycleStore interface {
	FleetStore
	Policy(ctx context.Context, p patching.PolicyName) (store.PolicyVersion, error)
	OpenCycle(ctx context.Context, c patching.Cycle) (bool, error)
	SaveCycle(ctx context.Context, c patching.Cycle) error
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	EndDeployments(ctx context.Context, e store.EndSpec) (int, error)
	WithdrawOrders(ctx context.Context, s store.Slice, verb string) (int, error)
	Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error)
	CycleCounts(ctx context.Context, c patching.CycleID) (planned int, outcomes map[patching.Outcome]int, repairs int, freed int64, err error)
	PutTasks(ctx context.Context, tasks []patching.Task) error
	ReleaseLocks(ctx context.Context, c patching.CycleID) error
	AppendAudit(ctx context.Context, e patching.AuditEntry) (patching.AuditEntry, error)
	Epoch(ctx context.Context) (int64, error)
	DiagnoseStore
}

// Cycles keeps the record of cycles: it outlives Temporal's retention, and an
// engine that was lost is rebuilt from it.
type Cycles struct {
	Store CycleStore
	Now   Clock
	Log   Log
	// Mode is how approvals count; nil: on the server's word.
	Mode func() trust.Mode
}

func (c *Cycles) mode() trust.Mode {
	if c.Mode == nil {
		return trust.ModeDispatcher
	}
	return c.Mode()
}

// Open puts the cycle on record under the policy version that is in force, and
// hands the rules that the workflow decides by over to it.
func (c *Cycles) Open(ctx context.Context, in contract.OpenCycleIn) (contract.OpenCycleOut, error) {
	s := in.State
	version, err := c.Store.Policy(ctx, s.Policy)
	if err != nil {
		return contract.OpenCycleOut{}, fmt.Errorf("policy %s: %w", s.Policy, err)
	}
	epoch, err := c.Store.Epoch(ctx)
	if err != nil {
		return contract.OpenCycleOut{}, err
	}
	record := patching.Cycle{
		ID: s.ID, Kind: s.Kind, Policy: s.Policy, PolicyVersion: version.Digest, Shadow: s.Shadow, Author: s.Author,
		Reason: s.Reason, Opened: c.Now().UTC(), Phase: patching.PhaseMonitor, Epoch: epoch, Mode: string(c.mode()),
	}
	opened, err := c.Store.OpenCycle(ctx, record)
	if err != nil {
		return contract.OpenCycleOut{}, fmt.Errorf("open %s: %w", s.ID, err)
	}
	if !opened { // an earlier attempt did: its record counts, also if a newer policy was applied since
		if record, err = c.Store.Cycle(ctx, s.ID); err != nil {
			return contract.OpenCycleOut{}, err
		}
	}
	p, err := readPolicy(ctx, c.Store, record.PolicyVersion)
	if err != nil {
		return contract.OpenCycleOut{}, err
	}
	rules := rulesOf(p, s.Kind)
	return contract.OpenCycleOut{
		PolicyVersion: record.PolicyVersion, Rules: rules, Opened: record.Opened,
		CloseBy: record.Opened.Add(rules.CloseAfter), Epoch: epoch,
	}, nil
}

// rulesOf takes from a policy what a cycle of that kind decides by.
func rulesOf(p *policy.Policy, kind patching.Kind) contract.CycleRules {
	r := contract.CycleRules{Approval: p.Approval, OnHalt: p.OnHalt, Mend: p.OnFailure == policy.Mend, Silence: p.Silence, CloseAfter: p.CloseAfter}
	if kind != patching.Emergency {
		return r
	}
	if p.Emergency.CloseAfter > 0 {
		r.CloseAfter = p.Emergency.CloseAfter
	}
	if p.Emergency.Quorum > 0 {
		r.Approval.Quorum = p.Emergency.Quorum
	}
	if p.Emergency.Expire > 0 {
		r.Approval.Expire = p.Emergency.Expire
	}
	return r
}

// Save keeps the state and the words that explain it.
func (c *Cycles) Save(ctx context.Context, in contract.SaveStateIn) (contract.None, error) {
	s := in.State
	record, err := c.Store.Cycle(ctx, s.ID)
	if err != nil {
		return contract.None{}, fmt.Errorf("cycle %s: %w", s.ID, err)
	}
	if record.State, err = json.Marshal(s); err != nil {
		return contract.None{}, fmt.Errorf("state of %s: %w", s.ID, err)
	}
	moved := record.Phase != s.Phase
	record.Phase, record.Words = s.Phase, in.Words
	if s.Plan.Hash != "" {
		record.Plan = s.Plan.Hash
	}
	if err := c.Store.SaveCycle(ctx, record); err != nil {
		return contract.None{}, fmt.Errorf("save %s: %w", s.ID, err)
	}
	if !moved {
		return contract.None{}, nil
	}
	return contract.None{}, c.audit(ctx, s.ID, "phase", string(s.Phase)+": "+in.Words)
}

// Remind puts a reminder on record, where the console and notifications find it.
func (c *Cycles) Remind(ctx context.Context, in contract.RemindIn) (contract.None, error) {
	verb := "reminder"
	if in.Escalate {
		verb = "escalation"
	}
	c.Log.Warn(in.Words, "cycle", string(in.Cycle), "kind", verb)
	return contract.None{}, c.audit(ctx, in.Cycle, verb, in.Words)
}

// Close ends what is left, by name and reason, opens the tasks, gives the locks
// back and says how the cycle closed. Every asset then has exactly one outcome.
func (c *Cycles) Close(ctx context.Context, in contract.CloseCycleIn) (contract.CloseCycleOut, error) {
	stop := beat(ctx)
	defer stop()
	s, now := in.State, c.Now().UTC()
	if _, err := c.Store.WithdrawOrders(ctx, store.Slice{Cycle: s.ID}, ""); err != nil {
		return contract.CloseCycleOut{}, fmt.Errorf("withdraw orders: %w", err)
	}
	if err := c.endRemainder(ctx, s, now); err != nil {
		return contract.CloseCycleOut{}, err
	}
	why, err := c.diagnose(ctx, s.ID, now)
	if err != nil {
		return contract.CloseCycleOut{}, err
	}
	tasks, err := c.openTasks(ctx, s.ID, now, why)
	if err != nil {
		return contract.CloseCycleOut{}, err
	}
	_, outcomes, _, _, err := c.Store.CycleCounts(ctx, s.ID)
	if err != nil {
		return contract.CloseCycleOut{}, fmt.Errorf("count %s: %w", s.ID, err)
	}
	out := contract.CloseCycleOut{ClosedAs: closedAs(s, outcomes), Outcomes: outcomes, Tasks: tasks}
	out.Words = closingWords(s, out)
	record, err := c.Store.Cycle(ctx, s.ID)
	if err != nil {
		return contract.CloseCycleOut{}, err
	}
	if record.Closed.IsZero() {
		record.Closed = now
	}
	record.ClosedAs, record.Words = out.ClosedAs, out.Words
	if err := c.Store.SaveCycle(ctx, record); err != nil {
		return contract.CloseCycleOut{}, fmt.Errorf("close %s: %w", s.ID, err)
	}
	if err := c.Store.ReleaseLocks(ctx, s.ID); err != nil {
		return contract.CloseCycleOut{}, fmt.Errorf("give locks back: %w", err)
	}
	return out, c.audit(ctx, s.ID, "closed", out.Words)
}

// endRemainder gives an outcome to every deployment that has none. What never
// started is carried over, or was cancelled; what started and never ended needs
// somebody to look.
func (c *Cycles) endRemainder(ctx context.Context, s contract.CycleState, now time.Time) error {
	reason, why := patching.ReasonCarriedOver, ""
	if s.Ending != nil {
		reason, why = s.Ending.Reason, s.Ending.Why
	}
	for _, end := range []store.EndSpec{
		{
			Outcome: patching.Deferred, Reason: reason, Detail: why,
			States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
		},
		{
			Outcome: patching.NeedsHands, Reason: patching.ReasonUnknown, Detail: "It began and did not report an end.",
			States: []patching.DeploymentState{patching.DeploymentStarted},
		},
	} {
		end.Cycle, end.At = s.ID, now
		if _, err := c.Store.EndDeployments(ctx, end); err != nil {
			return fmt.Errorf("end what is left: %w", err)
		}
	}
	released := []patching.DeploymentState{patching.DeploymentReleased}
	mute, err := c.Store.Deployments(ctx, store.DeploymentFilter{Cycle: s.ID, States: released})
	if err != nil {
		return fmt.Errorf("machines without an answer: %w", err)
	}
	assets, err := assetsOf(ctx, c.Store, mute)
	if err != nil {
		return err
	}
	_, err = endMute(ctx, c.Store, mute, assets, store.EndSpec{
		Cycle: s.ID, States: released, Outcome: patching.Unreachable, Reason: patching.ReasonSilent, At: now,
	})
	return err
}

func (c *Cycles) audit(ctx context.Context, id patching.CycleID, verb, body string) error {
	_, err := c.Store.AppendAudit(ctx, patching.AuditEntry{
		At: c.Now().UTC(), Actor: "patchcycle", Verb: verb, Subject: string(id), Body: body,
	})
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
