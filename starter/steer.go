package starter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// NotNow is why a cycle does not take a verb now: it closed, it stands in
// another phase, or the plan is another.
type NotNow struct{ Words string }

func (e *NotNow) Error() string { return e.Words }

// steerFor bounds how long an answer is waited for. The act itself is durable
// once the server took it.
const steerFor = 20 * time.Second

// Do sends a person's act to a cycle and returns the answer. The request that
// the act names has to be on record before. Its id makes a repetition harmless.
func (s *Starter) Do(ctx context.Context, id patching.CycleID, verb contract.Verb, act contract.Act) (contract.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, steerFor)
	defer cancel()
	handle, err := s.client.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: string(id), UpdateName: string(verb), UpdateID: act.Request,
		Args: []any{act}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	var answer contract.Answer
	if err == nil {
		err = handle.Get(ctx, &answer)
	}
	return answer, s.explain(id, err)
}

// State asks a cycle's workflow where it stands.
func (s *Starter) State(ctx context.Context, id patching.CycleID) (contract.CycleState, error) {
	var state contract.CycleState
	value, err := s.client.QueryWorkflow(ctx, string(id), "", contract.QueryState)
	if err == nil {
		err = value.Get(&state)
	}
	return state, s.explain(id, err)
}

// Wait returns when the cycle's workflow has ended.
func (s *Starter) Wait(ctx context.Context, id patching.CycleID) (contract.CycleResult, error) {
	var out contract.CycleResult
	err := s.client.GetWorkflow(ctx, string(id), "").Get(ctx, &out)
	return out, s.explain(id, err)
}

func (s *Starter) explain(id patching.CycleID, err error) error {
	var app *temporal.ApplicationError
	var gone *serviceerror.NotFound
	switch {
	case err == nil:
		return nil
	case errors.As(err, &app) && app.Type() == "NotNow":
		return &NotNow{Words: app.Message()}
	case errors.As(err, &gone):
		return &NotNow{Words: fmt.Sprintf("no cycle %s is running: it has closed, or was never started.", id)}
	default:
		return fmt.Errorf("cycle %s: %w", id, err)
	}
}
