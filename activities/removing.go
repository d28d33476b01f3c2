package activities

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/store"
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
	look := newSorter(g, newReader(s))
	var tasks []patching.Task
	for _, w := range all.WorkArounds {
		in := slices.DeleteFunc(w.InPlace(g.AsOf), func(id patching.AssetID) bool { return !ours[id] })
		fixes, err := look.fixes(ctx, s, w, in, fresh)
		if err != nil {
			return fmt.Errorf("work-around %s: %w", w.ID, err)
		}
		left := w.Errands(fixes, g.AsOf)
		for _, id := range in {
			if left[id] == patching.ErrandRemove {
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

// fixes are how the patch stands that a work-around makes up for, on machines of which that
// is known.
func (s *sorter) fixes(ctx context.Context, from assetLister, w patching.WorkAround, on []patching.AssetID, fresh time.Duration) (map[patching.AssetID]patching.Fix, error) {
	out := map[patching.AssetID]patching.Fix{}
	err := inChunks(on, func(some []patching.AssetID) error {
		assets, err := from.Assets(ctx, store.AssetFilter{IDs: some})
		for i := range assets {
			a := &assets[i]
			if out[a.ID], err = s.fix(ctx, w, a, fresh); err != nil {
				return fmt.Errorf("machine %s: %w", a.ID, err)
			}
		}
		return err
	})
	return out, err
}

// fix is how the patch stands by an inventory that came after the work-around was put in
// place, and is recent enough to go by; empty: there is none.
func (s *sorter) fix(ctx context.Context, w patching.WorkAround, a *patching.Asset, fresh time.Duration) (patching.Fix, error) {
	if !a.Inventoried.After(w.Placed(a.ID)) || fresh > 0 && s.grounds.AsOf.Sub(a.Inventoried) > fresh {
		return "", nil
	}
	m, k, err := s.look(ctx, kindOf(a))
	if err != nil || len(m.Packages.Packages) == 0 {
		return "", err
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
