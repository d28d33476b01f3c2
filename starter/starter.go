// Package starter is the one typed way to start, schedule, ask and steer a cycle.
package starter

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Record is what starting needs of the store.
type Record interface {
	NextCycleNumber(ctx context.Context, p patching.PolicyName, year, month int) (int, error)
	Cycle(ctx context.Context, id patching.CycleID) (patching.Cycle, error)
	Cycles(ctx context.Context, want store.CycleFilter) ([]patching.Cycle, error)
	Epoch(ctx context.Context) (int64, error)
	// Setting and SetSetting keep schedules, so that a rebuilt engine has them.
	Setting(ctx context.Context, key string) (value string, ok bool, err error)
	SetSetting(ctx context.Context, key, value string) error
}

// Starter speaks to Temporal for everyone else.
type Starter struct {
	client client.Client
	record Record
	now    func() time.Time
}

// New returns a starter over the product's own client.
func New(c client.Client, record Record, now func() time.Time) *Starter {
	return &Starter{client: c, record: record, now: now}
}

// Request asks for a cycle.
type Request struct {
	Policy patching.PolicyName
	Kind   patching.Kind
	// Slug names an emergency ("openssl-cve-2026-1234").
	Slug   string
	Author patching.AccountName
	Reason string // why an emergency was called
	Shadow bool
}

// ErrExists says that the cycle runs, or ran, already.
var ErrExists = errors.New("the cycle exists already")

var slugShape = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)

// Start starts a cycle now. A monthly one gets the month's next number.
func (s *Starter) Start(ctx context.Context, r Request) (patching.CycleID, error) {
	if r.Author == "" {
		return "", errors.New("a cycle needs an author: the one person who cannot approve it")
	}
	if r.Kind == patching.Emergency {
		if !slugShape.MatchString(r.Slug) {
			return "", fmt.Errorf("name the emergency in lower-case letters, digits and dashes, not %q", r.Slug)
		}
		id := patching.NewEmergencyID(r.Policy, r.Slug)
		return id, s.startAndSee(ctx, id, r)
	}
	now := s.now().UTC()
	n, err := s.record.NextCycleNumber(ctx, r.Policy, now.Year(), int(now.Month()))
	if err != nil {
		return "", fmt.Errorf("number of the cycle: %w", err)
	}
	id := patching.NewCycleID(r.Policy, now.Year(), int(now.Month()), n)
	return id, s.startAndSee(ctx, id, r)
}

// startAndSee also waits until the workflow has put the cycle on record: whoever
// started it looks there next. The start is durable without it.
func (s *Starter) startAndSee(ctx context.Context, id patching.CycleID, r Request) error {
	err := s.start(ctx, id, r)
	if err == nil {
		s.awaitRecord(ctx, id)
	}
	return err
}

// StartDue starts the month's first cycle by its id. One that runs, or ran, is
// left alone, so a schedule that fires twice is harmless.
func (s *Starter) StartDue(ctx context.Context, in contract.TriggerInput) (contract.StartDueOut, error) {
	loc, err := time.LoadLocation(in.Zone)
	if err != nil {
		return contract.StartDueOut{}, fmt.Errorf("zone of the schedule: %w", err)
	}
	now := s.now().In(loc)
	id := patching.NewCycleID(in.Policy, now.Year(), int(now.Month()), 1)
	err = s.start(ctx, id, Request{Policy: in.Policy, Kind: patching.Monthly, Author: in.Author, Shadow: in.Shadow})
	switch {
	case errors.Is(err, ErrExists):
		return contract.StartDueOut{Cycle: id, Words: fmt.Sprintf("%s exists already; nothing was started.", id)}, nil
	case err != nil:
		return contract.StartDueOut{}, err
	default:
		return contract.StartDueOut{Cycle: id, Started: true, Words: fmt.Sprintf("Started %s.", id)}, nil
	}
}

func (s *Starter) start(ctx context.Context, id patching.CycleID, r Request) error {
	if _, err := s.record.Cycle(ctx, id); err == nil {
		return fmt.Errorf("%s: %w", id, ErrExists)
	}
	return s.Run(ctx, contract.CycleState{ID: id, Kind: r.Kind, Policy: r.Policy, Author: r.Author, Reason: r.Reason, Shadow: r.Shadow})
}

func (s *Starter) awaitRecord(ctx context.Context, id patching.CycleID) {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if _, err := s.record.Cycle(ctx, id); err == nil {
			tick.Stop()
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return
		}
	}
}

// recordWithin bounds that wait: an engine on a disk that stalls takes seconds.
const recordWithin = 20 * time.Second

// Run starts the workflow of a state: of a cycle that begins, or of one that is
// taken up from the store after its engine was lost.
func (s *Starter) Run(ctx context.Context, state contract.CycleState) error {
	title := fmt.Sprintf("%s cycle of policy %s", state.Kind, state.Policy)
	if state.Shadow {
		title += " (shadow mode)"
	}
	_, err := s.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: string(state.ID), TaskQueue: contract.QueueCycles, StaticSummary: title,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes: temporal.NewSearchAttributes(contract.AttrCycle.ValueSet(string(state.ID)),
			contract.AttrPolicy.ValueSet(string(state.Policy)), contract.AttrKind.ValueSet(string(state.Kind))),
	}, contract.CycleWorkflow, state)
	var exists *serviceerror.WorkflowExecutionAlreadyStarted
	if errors.As(err, &exists) {
		return fmt.Errorf("%s: %w", state.ID, ErrExists)
	}
	if err != nil {
		return fmt.Errorf("start %s: %w", state.ID, err)
	}
	return nil
}
