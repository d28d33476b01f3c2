package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

type setScheduleInput struct {
	PolicyPath
	Body wire.SetSchedule
}

type pauseScheduleInput struct {
	PolicyPath
	Body wire.Because
}

func (s *server) addSchedules(api huma.API) {
	const path = "/schedules/{policy}"
	handle(s, api, about("schedules", "list-schedules", http.MethodGet, "/schedules", "List the schedules"), s.listSchedules)
	handle(s, api, about("schedules", "get-schedule", http.MethodGet, path, "Show a policy's schedule"),
		func(ctx context.Context, in *policyInput) (wire.Schedule, error) {
			return s.schedule(ctx, in.PolicyPath)
		})
	op := about("schedules", "set-schedule", http.MethodPut, path, "Start the policy's cycle every month, by its calendar")
	op.Description = "Set it again after the calendar was changed. You become the author of the cycles that it starts: somebody else has to approve them. One that is paused stays paused."
	handle(s, api, op, s.setSchedule)
	handle(s, api, about("schedules", "pause-schedule", http.MethodPost, path+"/pause", "Start no cycle by the calendar for now"),
		func(ctx context.Context, in *pauseScheduleInput) (wire.Schedule, error) {
			return s.pauseSchedule(ctx, in, true)
		})
	handle(s, api, about("schedules", "resume-schedule", http.MethodPost, path+"/resume", "Start cycles by the calendar again"),
		func(ctx context.Context, in *pauseScheduleInput) (wire.Schedule, error) {
			return s.pauseSchedule(ctx, in, false)
		})
}

func (s *server) listSchedules(ctx context.Context, _ *struct{}) (wire.Schedules, error) {
	out := wire.Schedules{Items: []wire.Schedule{}}
	all, err := s.Starter.Schedules(ctx)
	if err != nil {
		return out, engine(err)
	}
	who := account(ctx)
	for _, one := range all {
		if who.Covers(one.Policy) || who.HasSites() {
			out.Items = append(out.Items, scheduleShape(one))
		}
	}
	return out, nil
}

func (s *server) schedule(ctx context.Context, in PolicyPath) (wire.Schedule, error) {
	one, err := s.Starter.Schedule(ctx, in.Policy)
	return scheduleShape(one), engine(err)
}

func (s *server) setSchedule(ctx context.Context, in *setScheduleInput) (wire.Schedule, error) {
	p, err := s.inForce(ctx, in.Policy)
	if err != nil {
		return wire.Schedule{}, err
	}
	m, err := p.Calendar.Monthly()
	if err != nil {
		return wire.Schedule{}, err
	}
	words := fmt.Sprintf("%s; shadow %t", calendarWords(p.Calendar), in.Body.Shadow)
	err = s.change(ctx, "set schedule", string(p.Name), words, func() error {
		return engine(s.Starter.SetSchedule(ctx, m, contract.TriggerInput{
			Policy: p.Name, Author: account(ctx).Name, Shadow: in.Body.Shadow, Zone: m.Zone,
		}))
	})
	if err != nil {
		return wire.Schedule{}, err
	}
	return s.schedule(ctx, in.PolicyPath)
}

func (s *server) pauseSchedule(ctx context.Context, in *pauseScheduleInput, pause bool) (wire.Schedule, error) {
	verb := "resume schedule"
	if pause {
		verb = "pause schedule"
	}
	note := fmt.Sprintf("%s: %s", account(ctx).Name, in.Body.Reason)
	err := s.change(ctx, verb, string(in.Policy), in.Body.Reason, func() error {
		return engine(s.Starter.PauseSchedule(ctx, in.Policy, pause, note))
	})
	if err != nil {
		return wire.Schedule{}, err
	}
	return s.schedule(ctx, in.PolicyPath)
}

func scheduleShape(one starter.Schedule) wire.Schedule {
	return wire.Schedule{Policy: one.Policy, Paused: one.Paused, Note: one.Note, Next: one.Next, Last: one.Last}
}
