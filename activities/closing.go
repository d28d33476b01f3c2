package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// closedAs is the ending that was decided on the way, or else follows from the
// outcomes.
func closedAs(s contract.CycleState, outcomes map[patching.Outcome]int) patching.ClosedAs {
	ended := measure.Ended{Outcomes: outcomes, Shadow: s.Shadow}
	if s.Ending != nil {
		ended.Decided = s.Ending.As
	}
	return measure.ClosedAs(ended)
}

func closingWords(s contract.CycleState, out contract.CloseCycleOut) string {
	var parts []string
	for _, o := range patching.Outcomes() {
		if n := out.Outcomes[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o.Words()))
		}
	}
	if len(parts) == 0 {
		parts = []string{"No machine took part"}
	}
	words := fmt.Sprintf("Closed: %s. %s.", out.ClosedAs, strings.Join(parts, ", "))
	if s.Ending != nil {
		words += " It ended early: " + strings.TrimSuffix(s.Ending.Why, ".") + "."
	}
	if out.Tasks > 0 {
		words += fmt.Sprintf(" Tasks for people: %d.", out.Tasks)
	}
	return words
}

// taskDue is how long a person has for a task of a cycle, until policies say.
const taskDue = 7 * 24 * time.Hour

// openTasks makes a task of every machine that a person has to look after
// (G21). Their ids come from cycle and machine: a repetition opens none twice.
func (c *Cycles) openTasks(ctx context.Context, id patching.CycleID, now time.Time, why diagnosed) (int, error) {
	rows, err := c.Store.Deployments(ctx, store.DeploymentFilter{
		Cycle: id, Outcomes: []patching.Outcome{patching.Failed, patching.NeedsHands, patching.Unreachable},
	})
	if err != nil {
		return 0, fmt.Errorf("machines that need a person: %w", err)
	}
	assets, err := assetsOf(ctx, c.Store, rows)
	if err != nil {
		return 0, err
	}
	tasks := make([]patching.Task, 0, len(rows))
	for _, d := range rows {
		tried, steps := triedWords(d), procedure(d)
		for _, cause := range why.of(d, assets[d.Asset]) {
			tried, steps = tried+" "+cause.Words(), cause.Procedure()+"\n"+steps
		}
		tasks = append(tasks, patching.Task{
			ID: taskID(id, d.Asset), Cycle: id, Asset: d.Asset, Cause: d.Reason, Tried: tried, Steps: steps,
			Owner: assets[d.Asset].Owner, Due: now.Add(taskDue), Opened: now, State: patching.TaskOpen,
		})
	}
	if err := c.Store.PutTasks(ctx, tasks); err != nil {
		return 0, fmt.Errorf("open tasks: %w", err)
	}
	return len(tasks), nil
}

func taskID(id patching.CycleID, a patching.AssetID) patching.TaskID {
	sum := sha256.Sum256([]byte("task v1\n" + string(id) + "\n" + string(a)))
	return patching.TaskID("t-" + hex.EncodeToString(sum[:6]))
}

func triedWords(d patching.Deployment) string {
	words := d.Reason.Words()
	if d.Detail != "" {
		words += " " + d.Detail
	}
	if d.Repairs > 0 {
		words += fmt.Sprintf(" Repairs tried: %d.", d.Repairs)
	}
	if d.Again > 0 {
		words += " It was tried once more."
	}
	return words
}

// procedure is what a person does about it, one step a line.
func procedure(d patching.Deployment) string {
	switch d.Outcome {
	case patching.Unreachable:
		return "Find out whether the machine runs and reaches its relay.\nStart it, or take it out of the inventory.\nClose the task: a rescan decides."
	case patching.NeedsHands:
		return "Log in and read the package manager's log.\nBring the packages into a consistent state; restore from backup where that fails.\nClose the task: a rescan decides."
	default:
		return "Read what the machine reported.\nRemove the cause, or exclude the machine with a reason and an expiry.\nClose the task: a rescan decides."
	}
}
