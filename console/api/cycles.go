package api

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

type cyclesInput struct {
	Policy patching.PolicyName `query:"policy"`
	Open   bool                `query:"open" doc:"Those only that have not closed."`
	Limit  int                 `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

type cycleInput struct{ CyclePath }

type watchInput struct {
	CyclePath
	After string `query:"after" doc:"The mark that you know."`
	Wait  int    `query:"wait" minimum:"0" maximum:"50" default:"25" doc:"For how many seconds at most."`
}

func (s *server) addCycles(api huma.API) {
	handle(s, api, about("cycles", "list-cycles", http.MethodGet, "/cycles", "List the cycles in your scope, the newest first"), s.listCycles)
	handle(s, api, about("cycles", "get-cycle", http.MethodGet, cyclePath, "Show where a cycle stands"),
		func(ctx context.Context, in *cycleInput) (wire.CycleDetail, error) { return s.cycle(ctx, in.ID()) })
	op := about("cycles", "watch-cycle", http.MethodGet, cyclePath+"/watch", "Wait until a cycle stands elsewhere")
	op.Description = "Answers as get-cycle does, as soon as the mark differs from the one that you know, and at the end of the wait in any case. " +
		"It looks once a second at most, more rarely in a large fleet. When too many are waiting it answers at once: let a second pass between requests."
	handle(s, api, op, s.watchCycle)
}

func (s *server) listCycles(ctx context.Context, in *cyclesInput) (wire.Cycles, error) {
	out := wire.Cycles{Items: []wire.Cycle{}}
	who := account(ctx)
	want := store.CycleFilter{Policy: in.Policy, Open: in.Open}
	if slices.Contains(who.Scopes, "*") {
		want.Limit = in.Limit
	}
	all, err := s.Store.Cycles(ctx, want)
	if err != nil {
		return out, err
	}
	for _, c := range all {
		if (who.Covers(c.Policy) || who.HasSites()) && len(out.Items) < in.Limit {
			out.Items = append(out.Items, cycleShape(c))
		}
	}
	return out, nil
}

// watchers bounds how many wait at once: each asks the store every second.
const watchers = 64

// look is how often a watcher's cycle is looked at, and lookShare how many times
// longer than a look the pause before the next is: counting a large fleet takes
// its time, and while machines answer there is news at every look.
const (
	look      = time.Second
	lookShare = 20
)

func (s *server) watchCycle(ctx context.Context, in *watchInput) (wire.CycleDetail, error) {
	if in.After == "" {
		return s.cycle(ctx, in.ID())
	}
	until := time.NewTimer(time.Duration(in.Wait) * time.Second)
	defer until.Stop()
	if s.watching.Add(1) > watchers {
		until.Reset(0)
	}
	defer s.watching.Add(-1)
	next := time.NewTimer(look)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-until.C:
			return s.cycle(ctx, in.ID())
		case <-ctx.Done():
			return wire.CycleDetail{}, ctx.Err()
		}
		began := time.Now()
		st, err := s.standing(ctx, in.ID())
		if err != nil {
			return wire.CycleDetail{}, err
		}
		if st.mark() != in.After {
			return s.show(ctx, st)
		}
		next.Reset(max(look, lookShare*time.Since(began)))
	}
}

// standing is what a cycle's page is made of and its mark changes with.
type standing struct {
	cycle    patching.Cycle
	machines int
	outcomes map[patching.Outcome]int
	repairs  int
	freed    int64
}

func (s *server) standing(ctx context.Context, id patching.CycleID) (standing, error) {
	var st standing
	var err error
	if st.cycle, err = s.Store.Cycle(ctx, id); err != nil {
		return st, absent(aCycle, id, err)
	}
	st.machines, st.outcomes, st.repairs, st.freed, err = s.Store.CycleCounts(ctx, id)
	return st, err
}

func (st standing) mark() string {
	c := st.cycle
	text := fmt.Sprintf("%s\n%s\n%s\n%s\n%s\n%s\n%d\n", c.Phase, c.Words, c.Plan, c.ClosedAs, c.Report, patching.DigestOf(c.State), st.machines)
	for _, o := range slices.Sorted(maps.Keys(st.outcomes)) {
		text += fmt.Sprintf("%s %d\n", o, st.outcomes[o])
	}
	return patching.DigestOf([]byte(text)).Short()
}

func (s *server) cycle(ctx context.Context, id patching.CycleID) (wire.CycleDetail, error) {
	st, err := s.standing(ctx, id)
	if err != nil {
		return wire.CycleDetail{}, err
	}
	return s.show(ctx, st)
}

func (s *server) show(ctx context.Context, st standing) (wire.CycleDetail, error) {
	id := st.cycle.ID
	out := wire.CycleDetail{
		Cycle: cycleShape(st.cycle), Machines: st.machines, InProgress: st.machines, Outcomes: st.outcomes,
		Repairs: st.repairs, FreedBytes: st.freed, Verbs: s.verbsNow(account(ctx), st.cycle), Mark: st.mark(),
	}
	for _, n := range st.outcomes {
		out.InProgress -= n
	}
	var err error
	if out.Diagnoses, err = s.diagnoses(ctx, id); err != nil {
		return out, err
	}
	var state contract.CycleState
	if len(st.cycle.State) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(st.cycle.State, &state); err != nil {
		return out, fmt.Errorf("state of %s: %w", id, err)
	}
	out.CloseBy, out.Quorum = state.CloseBy, state.Quorum()
	if out.Votes, err = s.votes(ctx, st.cycle, state); err != nil {
		return out, err
	}
	if state.Held != nil {
		out.HeldBy, out.HeldReason = state.Held.By, state.Held.Reason
	}
	out.Rings, err = s.rings(ctx, id, state)
	return out, err
}

// diagnoses are those that have something to say.
func (s *server) diagnoses(ctx context.Context, id patching.CycleID) ([]wire.Diagnosis, error) {
	rows, err := s.Store.Diagnoses(ctx, id)
	if err != nil {
		return nil, err
	}
	var out []wire.Diagnosis
	for _, d := range rows {
		if d.Failed == 0 {
			continue
		}
		one := wire.Diagnosis{Ring: d.Ring, At: d.At, Tried: d.Tried, Failed: d.Failed, ErrorRate: d.Rate, Words: d.Words()}
		for _, c := range d.Causes {
			cause := wire.FailureCause{
				Kind: string(c.Kind), Name: c.Name, LaidTo: c.LaidTo, Failed: c.InsideFailed, Machines: c.Inside,
				OthersFailed: c.OutsideFailed, Others: c.Outside, Chance: c.P, Words: c.Words(), Procedure: c.Procedure(),
			}
			for _, step := range c.Remedies() {
				cause.Steps = append(cause.Steps, string(step))
			}
			one.Causes = append(one.Causes, cause)
		}
		out = append(out, one)
	}
	return out, nil
}

// votes counts the approvals of the plan. The workflow forgets them once they
// have opened a ring, the record does not; while an approval is awaited only the
// workflow knows which of them are for the ring in question.
func (s *server) votes(ctx context.Context, c patching.Cycle, state contract.CycleState) (int, error) {
	if c.Phase == patching.PhaseApproval {
		return len(state.Votes), nil
	}
	rows, err := s.Store.Approvals(ctx, c.ID)
	if err != nil {
		return 0, err
	}
	who := map[patching.AccountName]bool{}
	for _, a := range rows {
		if a.Refused == "" && a.Verdict == patching.Approve && a.Plan == c.Plan {
			who[a.Account] = true
		}
	}
	return len(who), nil
}

func (s *server) rings(ctx context.Context, id patching.CycleID, state contract.CycleState) ([]wire.RingProgress, error) {
	var out []wire.RingProgress
	for _, r := range state.Plan.Rings {
		tally, err := s.Store.Tally(ctx, store.Slice{Cycle: id, Ring: r.Name, Now: s.Now()})
		if err != nil {
			return nil, err
		}
		p := wire.RingProgress{Name: r.Name, Machines: tally.Planned, Ended: tally.Ended(), State: "not begun"}
		for _, begun := range state.Rings {
			if begun.Name != r.Name {
				continue
			}
			p.Words = begun.Decision.Why
			switch {
			case begun.RolledBack:
				p.State = "rolled back"
			case begun.Decision.Verb == patching.Halt:
				p.State = "halted"
			case begun.Ended:
				p.State = "done"
			default:
				p.State = "at work"
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// verbsNow lists what the account may do to the cycle in its phase. The cycle
// itself has the last word.
func (s *server) verbsNow(who patching.Account, c patching.Cycle) []string {
	out := []string{}
	for _, v := range contract.Verbs() {
		ownPlan := v.Verb == contract.VerbApprove && c.Author == who.Name
		if v.Allowed(c.Phase) && c.Closed.IsZero() && !ownPlan && s.rules[string(v.Verb)+"-cycle"].refuse(who, c.Policy) == "" {
			out = append(out, string(v.Verb))
		}
	}
	return out
}

func cycleShape(c patching.Cycle) wire.Cycle {
	return wire.Cycle{
		ID: c.ID, Kind: c.Kind, Policy: c.Policy, PolicyVersion: c.PolicyVersion, Shadow: c.Shadow, Author: c.Author, Reason: c.Reason,
		Opened: c.Opened, Closed: c.Closed, Phase: c.Phase, Words: c.Words, Plan: c.Plan, ClosedAs: c.ClosedAs, Mode: c.Mode, Report: c.Report,
	}
}
