package starter

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// catchUp is how late a cycle may still start by itself after an outage. The
// default of a year would start an old one months later.
const catchUp = 24 * time.Hour

// Schedule is a policy's place in the calendar.
type Schedule struct {
	Policy patching.PolicyName
	Paused bool
	Note   string
	// Since is when it was made: what was due before is nobody's miss.
	Since time.Time
	// Next are the coming starts, Last the newest that happened.
	Next []time.Time
	Last []time.Time
}

// SetSchedule makes the policy's schedule, or changes it; a paused one stays paused.
func (s *Starter) SetSchedule(ctx context.Context, m window.Monthly, in contract.TriggerInput) error {
	if err := m.Validate(); err != nil {
		return fmt.Errorf("calendar of policy %s: %w", in.Policy, err)
	}
	in.Zone = m.Zone
	kept, _, err := s.Kept(ctx, in.Policy)
	if err != nil {
		return err
	}
	kept.TriggerInput = in
	if kept.Since.IsZero() {
		kept.Since = s.now().UTC()
	}
	if err := s.keep(ctx, kept); err != nil {
		return err
	}
	id := contract.ScheduleID(string(in.Policy))
	spec, action := specOf(m), actionOf(in)
	// All runs are allowed to overlap: a cycle that still soaks must not make the
	// next month's vanish. What both want is settled by the machines' locks.
	overlap := enumspb.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL
	_, err = s.client.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: id, Spec: spec, Action: action, Overlap: overlap, CatchupWindow: catchUp, Paused: kept.Paused,
		Note: cmp.Or(kept.Note, "patchcycle: monthly cycle of policy "+string(in.Policy)),
	})
	if !errors.Is(err, temporal.ErrScheduleAlreadyRunning) {
		return err
	}
	return s.client.ScheduleClient().GetHandle(ctx, id).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(old client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			set := old.Description.Schedule
			set.Spec, set.Action = &spec, action
			if set.Policy == nil {
				set.Policy = &client.SchedulePolicies{}
			}
			set.Policy.Overlap, set.Policy.CatchupWindow = overlap, catchUp
			return &client.ScheduleUpdate{Schedule: &set}, nil
		},
	})
}

// Kept is a schedule as it stands on record, from which an engine that has lost
// it gets it back.
type Kept struct {
	contract.TriggerInput
	Paused bool
	Note   string // why it is paused
	// Since is when it was made: what was due before is nobody's miss.
	Since time.Time
}

// keep puts the schedule on record.
func (s *Starter) keep(ctx context.Context, k Kept) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	return s.record.SetSetting(ctx, contract.ScheduleID(string(k.Policy)), string(text))
}

// Kept returns what the policy's schedule was last set to; ok is false if it
// never had one.
func (s *Starter) Kept(ctx context.Context, p patching.PolicyName) (k Kept, ok bool, err error) {
	text, ok, err := s.record.Setting(ctx, contract.ScheduleID(string(p)))
	if err != nil || !ok {
		return k, ok, err
	}
	return k, true, json.Unmarshal([]byte(text), &k)
}

func specOf(m window.Monthly) client.ScheduleSpec {
	c := m.Spec()
	return client.ScheduleSpec{TimeZoneName: c.Zone, Calendars: []client.ScheduleCalendarSpec{{
		DayOfMonth: []client.ScheduleRange{{Start: c.FromDay, End: c.ToDay}},
		DayOfWeek:  []client.ScheduleRange{{Start: int(c.Weekday)}},
		Hour:       []client.ScheduleRange{{Start: c.Hour}}, Minute: []client.ScheduleRange{{Start: c.Minute}},
		Comment: fmt.Sprintf("the %d. %s of the month and %d days", m.Nth, m.Weekday, m.Plus),
	}}}
}

func actionOf(in contract.TriggerInput) *client.ScheduleWorkflowAction {
	return &client.ScheduleWorkflowAction{
		ID: contract.TriggerID(string(in.Policy)), Workflow: contract.TriggerWorkflow, Args: []any{in},
		TaskQueue: contract.QueueCycles, StaticSummary: "start the month's cycle of " + string(in.Policy),
		TypedSearchAttributes: temporal.NewSearchAttributes(contract.AttrPolicy.ValueSet(string(in.Policy))),
	}
}

// Schedules lists the policies' schedules.
func (s *Starter) Schedules(ctx context.Context) ([]Schedule, error) {
	it, err := s.client.ScheduleClient().List(ctx, client.ScheduleListOptions{PageSize: 100})
	if err != nil {
		return nil, fmt.Errorf("schedules: %w", err)
	}
	var all []Schedule
	for it.HasNext() {
		e, err := it.Next()
		if err != nil {
			return nil, fmt.Errorf("schedules: %w", err)
		}
		var name string
		if _, err := fmt.Sscanf(e.ID, "schedule/%s", &name); err != nil {
			continue // somebody else's, on a cluster that is shared
		}
		one, err := s.Schedule(ctx, patching.PolicyName(name))
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Schedule describes one policy's schedule.
func (s *Starter) Schedule(ctx context.Context, p patching.PolicyName) (Schedule, error) {
	d, err := s.client.ScheduleClient().GetHandle(ctx, contract.ScheduleID(string(p))).Describe(ctx)
	if err != nil {
		return Schedule{}, explainSchedule(p, err)
	}
	one := Schedule{Policy: p, Next: d.Info.NextActionTimes, Since: d.Info.CreatedAt}
	if st := d.Schedule.State; st != nil {
		one.Paused, one.Note = st.Paused, st.Note
	}
	for _, r := range d.Info.RecentActions {
		one.Last = append(one.Last, r.ActualTime)
	}
	return one, nil
}

// PauseSchedule pauses the policy's schedule, or lets it go on.
func (s *Starter) PauseSchedule(ctx context.Context, p patching.PolicyName, pause bool, note string) error {
	kept, ok, err := s.Kept(ctx, p)
	if err != nil {
		return err
	}
	if ok {
		if kept.Paused, kept.Note = pause, ""; pause {
			kept.Note = note
		}
		if err := s.keep(ctx, kept); err != nil {
			return err
		}
	}
	h := s.client.ScheduleClient().GetHandle(ctx, contract.ScheduleID(string(p)))
	if pause {
		return explainSchedule(p, h.Pause(ctx, client.SchedulePauseOptions{Note: note}))
	}
	return explainSchedule(p, h.Unpause(ctx, client.ScheduleUnpauseOptions{Note: note}))
}

// TriggerSchedule lets the schedule fire now, as if its time had come.
func (s *Starter) TriggerSchedule(ctx context.Context, p patching.PolicyName) error {
	h := s.client.ScheduleClient().GetHandle(ctx, contract.ScheduleID(string(p)))
	return explainSchedule(p, h.Trigger(ctx, client.ScheduleTriggerOptions{}))
}

func explainSchedule(p patching.PolicyName, err error) error {
	var gone *serviceerror.NotFound
	if errors.As(err, &gone) {
		return &NotNow{Words: fmt.Sprintf("policy %s has no schedule: make one with \"patchcycle schedule set %s\".", p, p)}
	}
	return err
}
