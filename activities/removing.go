package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/plan"
)

// removals makes tasks of the work-arounds on the machines of a cycle that has closed, where
// a fresh inventory shows the patch that they make up for.
func (r *Remedying) removals(ctx context.Context, s StandingStore, c patching.Cycle, fresh time.Duration, g plan.Grounds, items []patching.PlanItem) error {
	if c.Closed.IsZero() || c.Shadow {
		return nil
	}
	all, err := s.DecisionsAt(ctx, g.AsOf)
	if err != nil {
		return fmt.Errorf("decisions: %w", err)
	}
	ours := make(map[patching.AssetID]bool, len(items))
	for _, i := range items {
		ours[i.Asset] = true
	}
	look := sorter{grounds: g, read: newReader(s), looks: map[kind]*assess.Kind{}}
	var tasks []patching.Task
	for _, w := range all.WorkArounds {
		fixes := map[patching.AssetID]patching.Fix{}
		for _, id := range w.InPlace(g.AsOf) {
			if !ours[id] {
				continue
			}
			if fixes[id], err = look.fix(ctx, s, w, id, fresh); err != nil {
				return fmt.Errorf("work-around %s: %w", w.ID, err)
			}
		}
		left := w.Errands(fixes, g.AsOf)
		for _, id := range w.InPlace(g.AsOf) {
			if ours[id] && left[id] == patching.ErrandRemove {
				tasks = append(tasks, w.Removal(id, c.ID, c.Closed, c.Closed.Add(taskDue)))
			}
		}
	}
	if len(tasks) == 0 {
		return nil
	}
	if err := s.PutTasks(ctx, tasks); err != nil {
		return fmt.Errorf("open tasks: %w", err)
	}
	return nil
}

// fix is how the patch stands by an inventory that came after the work-around was put in
// place, and is recent enough to go by.
func (s *sorter) fix(ctx context.Context, from FleetStore, w patching.WorkAround, id patching.AssetID, fresh time.Duration) (patching.Fix, error) {
	a, err := from.Asset(ctx, id)
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", id, err)
	}
	if !a.Inventoried.After(w.Placed(id)) || fresh > 0 && s.grounds.AsOf.Sub(a.Inventoried) > fresh {
		return "", nil
	}
	m, k, err := s.look(ctx, kindOf(&a))
	if err != nil {
		return "", fmt.Errorf("machine %s: %w", id, err)
	}
	return s.grounds.Assessor.Fix(m, k.Matches(), w.Subject), nil
}

// judgeRemoval judges the task to remove a work-around: it is done once somebody said that
// the work-around is gone, which no inventory shows.
func (t *Tasks) judgeRemoval(ctx context.Context, task patching.Task) error {
	now := t.Now().UTC()
	all, err := t.Store.DecisionsAt(ctx, now)
	if err != nil {
		return err
	}
	for _, w := range all.WorkArounds {
		if !w.Stands(task.Asset, now) || w.Removal(task.Asset, "", now, now).ID != task.ID {
			continue
		}
		if task.State != patching.TaskChecking {
			return nil
		}
		task.State = patching.TaskOpen
		task.Note = fmt.Sprintf("%s is in place by its record: patchcycle workaround done %s --machine %s --note \"how it was checked\"", w.ID, w.ID, task.Asset)
		return t.judged(ctx, task)
	}
	task.State, task.Closed, task.Note = patching.TaskDone, now, "The work-around is removed by its record."
	return t.judged(ctx, task)
}
