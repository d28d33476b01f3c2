package store

import (
	"context"
	"fmt"

	"github.com/patchcycle/patchcycle/patching"
)

// TaskFilter chooses tasks. The zero filter takes all.
type TaskFilter struct {
	Cycle patching.CycleID
	Asset patching.AssetID
	Owner string
	// Open takes those only that are not done.
	Open bool
	// Limit bounds the answer; 0 does not.
	Limit int
}

var tasksTable = table{"tasks", append(append(append(
	text("id", "cycle", "asset", "cause", "tried", "steps", "owner"), ints("due", "opened")...),
	text("taken_by", "state")...), Column{"asked", Int}, Column{"closed", Int}, Column{"note", Text}, Column{"not_by", Text})}

// PutTasks keeps new tasks. One of an id that is there already stays as it is:
// somebody may have taken it meanwhile.
func (s *Store) PutTasks(ctx context.Context, tasks []patching.Task) error {
	rows := make([][]any, 0, len(tasks))
	seen := make(map[patching.TaskID]bool, len(tasks))
	for _, k := range tasks {
		if !seen[k.ID] {
			seen[k.ID] = true
			rows = append(rows, taskRow(k))
		}
	}
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		_, err := t.merge(ctx, tasksTable, "(id) DO NOTHING", rows)
		return err
	})
	if err != nil {
		return fmt.Errorf("keep %d tasks: %w", len(tasks), err)
	}
	return nil
}

// Tasks returns the tasks that the filter takes: those due first before the
// others, those without a date last.
func (s *Store) Tasks(ctx context.Context, want TaskFilter) ([]patching.Task, error) {
	f := s.filter()
	f.equal("cycle", string(want.Cycle))
	f.equal("asset", string(want.Asset))
	f.equal("owner", want.Owner)
	if want.Open {
		f.and("state <> 'done'")
	}
	query := "SELECT " + names(tasksTable.columns) + " FROM tasks" + f.where() + " ORDER BY due = 0, due, id"
	query += f.limit(want.Limit)
	out, err := all(ctx, s.reader(), scanTask, query, f.args...)
	if err != nil {
		return nil, fmt.Errorf("list tasks: %w", err)
	}
	return out, nil
}

// Task returns a task by its id.
func (s *Store) Task(ctx context.Context, id patching.TaskID) (patching.Task, error) {
	k, err := one(ctx, s.reader(), scanTask, "SELECT "+names(tasksTable.columns)+" FROM tasks WHERE id = ?", string(id))
	if err != nil {
		return k, fmt.Errorf("task %s: %w", id, err)
	}
	return k, nil
}

// SaveTask keeps how a task stands. A task that is done is [ErrFinal].
func (s *Store) SaveTask(ctx context.Context, k patching.Task) error {
	err := s.inTx(ctx, SerialFleet, func(t *tx) error {
		is, err := one(ctx, t.querier, scanTask, "SELECT "+names(tasksTable.columns)+" FROM tasks WHERE id = ?", string(k.ID))
		if err != nil {
			return err
		}
		if is.State.Terminal() {
			if encode(taskRow(is)) == encode(taskRow(k)) {
				return nil
			}
			return fmt.Errorf("it is done: that %w; open a new one", ErrFinal)
		}
		_, err = t.bulk(ctx, "UPDATE tasks SET "+assignments(tasksTable.columns[1:])+" FROM {rows} AS v WHERE tasks.id = v.id",
			tasksTable.columns, [][]any{taskRow(k)})
		return err
	})
	if err != nil {
		return fmt.Errorf("save task %s: %w", k.ID, err)
	}
	return nil
}

func taskRow(k patching.Task) []any {
	return []any{
		string(k.ID), string(k.Cycle), string(k.Asset), string(k.Cause), k.Tried, k.Steps, k.Owner,
		micros(k.Due), micros(k.Opened), string(k.TakenBy), string(k.State), micros(k.Asked), micros(k.Closed), k.Note, jsonText(k.NotBy),
	}
}

func scanTask(row scanner) (patching.Task, error) {
	var k patching.Task
	err := row.Scan(&k.ID, &k.Cycle, &k.Asset, &k.Cause, &k.Tried, &k.Steps, &k.Owner,
		instant{&k.Due}, instant{&k.Opened}, &k.TakenBy, &k.State, instant{&k.Asked}, instant{&k.Closed}, &k.Note, document{&k.NotBy})
	return k, err
}
