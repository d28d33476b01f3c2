package starter

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Astray is a cycle that has not finished on record and does not go on in the
// engine: nothing will ever happen in it, and nothing says so.
type Astray struct {
	Cycle patching.CycleID
	// Engine says that it is the engine that is wrong: it never had the cycle, or
	// had not come so far when the backup was made that it was restored from.
	// Without it the cycle's workflow has failed, or somebody ended it.
	Engine bool
	Words  string
}

// Astray compares the record with the engine.
//
// A workflow exists before its cycle is on record, and closes its cycle there
// before it ends; so what the record has as unfinished runs, unless it ended
// while we looked, which a second look at the record tells.
func (s *Starter) Astray(ctx context.Context) ([]Astray, error) {
	cycles, err := s.record.Cycles(ctx, store.CycleFilter{Unfinished: true})
	if err != nil {
		return nil, err
	}
	epoch, err := s.record.Epoch(ctx)
	if err != nil {
		return nil, err
	}
	var found []Astray
	for _, c := range cycles {
		one, astray, err := s.astray(ctx, c, epoch)
		if err != nil {
			return nil, err
		}
		if astray {
			found = append(found, one)
		}
	}
	return found, nil
}

func (s *Starter) astray(ctx context.Context, c patching.Cycle, epoch int64) (Astray, bool, error) {
	saved, err := savedAt(c, epoch)
	if err != nil {
		return Astray{}, false, err
	}
	in, err := s.inEngine(ctx, c.ID)
	if err != nil {
		return Astray{}, false, err
	}
	one, astray := compare(c.ID, saved, in)
	if !astray {
		return Astray{}, false, nil
	}
	c, err = s.record.Cycle(ctx, c.ID)
	return one, err == nil && !c.Phase.Terminal(), err
}

// EndAstray makes sure that an unfinished cycle does not go on in the engine, so
// that its record can be closed. A cycle that is not astray is left alone: that
// is an error, like one of which the record knows nothing.
func (s *Starter) EndAstray(ctx context.Context, id patching.CycleID, why string) error {
	c, err := s.record.Cycle(ctx, id)
	if err != nil {
		return err
	}
	epoch, err := s.record.Epoch(ctx)
	if err != nil {
		return err
	}
	switch _, astray, err := s.astray(ctx, c, epoch); {
	case err != nil:
		return err
	case !astray:
		return &NotNow{fmt.Sprintf("%s goes on in the engine", id)}
	}
	err = s.client.TerminateWorkflow(ctx, string(id), "", why)
	var gone *serviceerror.NotFound
	if err != nil && !errors.As(err, &gone) { // not known, or it has ended
		return fmt.Errorf("end %s in the engine: %w", id, err)
	}
	return nil
}

// savedAt is how far the engine of this epoch had come when the cycle was saved
// last; zero: that was in an earlier one, whose engine is gone.
func savedAt(c patching.Cycle, epoch int64) (contract.Mark, error) {
	var state contract.CycleState
	if len(c.State) == 0 {
		return contract.Mark{}, nil
	}
	if err := json.Unmarshal(c.State, &state); err != nil {
		return contract.Mark{}, fmt.Errorf("state of %s: %w", c.ID, err)
	}
	if state.Epoch != epoch {
		return contract.Mark{}, nil
	}
	return state.Saved, nil
}

// inEngine is how a cycle stands in the engine.
type inEngine struct {
	known  bool
	status enumspb.WorkflowExecutionStatus
	at     contract.Mark
}

func (s *Starter) inEngine(ctx context.Context, id patching.CycleID) (inEngine, error) {
	d, err := s.client.DescribeWorkflowExecution(ctx, string(id), "")
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return inEngine{}, nil
	}
	if err != nil {
		return inEngine{}, fmt.Errorf("ask the engine for %s: %w", id, err)
	}
	info := d.GetWorkflowExecutionInfo()
	return inEngine{known: true, status: info.GetStatus(), at: contract.Mark{
		Run: info.GetExecution().GetRunId(), Started: info.GetStartTime().AsTime(), Events: int(info.GetHistoryLength()),
	}}, nil
}

// compare says what is wrong with a cycle that is unfinished on record.
func compare(id patching.CycleID, saved contract.Mark, in inEngine) (Astray, bool) {
	out := Astray{Cycle: id, Engine: true}
	switch {
	case !in.known:
		out.Words = fmt.Sprintf("%s runs by the record, and the engine does not know it", id)
	case behind(in.at, saved):
		out.Words = fmt.Sprintf("%s has come further by the record than in the engine, which was restored from an older backup", id)
	case in.status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING:
		out.Engine = false
		out.Words = fmt.Sprintf("%s runs by the record, and its workflow has ended in the engine (%s)", id, in.status)
	default:
		return Astray{}, false
	}
	return out, true
}

// behind reports whether the engine has not come as far as it had when the
// cycle was saved. Within a run its history only grows, and a later run of the
// same cycle starts later.
func behind(now, saved contract.Mark) bool {
	if now.Run == saved.Run {
		return now.Events < saved.Events
	}
	return now.Started.Before(saved.Started)
}
