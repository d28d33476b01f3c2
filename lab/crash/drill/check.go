package drill

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/postgres"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

// check reads the record and the witnesses, which know nothing of each other.
func (s *stage) check(ctx context.Context) (err error) {
	st, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	cycles, err := st.Cycles(ctx, store.CycleFilter{Policy: trial.PolicyName})
	if err != nil {
		return err
	}
	if len(cycles) != 1 {
		s.problem("%d cycles are on record, not one", len(cycles))
		return nil
	}
	c := cycles[0]
	s.result.Cycle, s.result.ClosedAs = c.ID, c.ClosedAs
	if seen := s.approver.cycle; seen != "" && seen != c.ID {
		s.problem("before the kill it was %s, afterwards %s", seen, c.ID)
	}
	if !c.Phase.Terminal() || c.Closed.IsZero() {
		s.problem("the cycle stands in %s", c.Phase)
	}
	if err := s.checkOutcomes(ctx, st, c.ID); err != nil {
		return err
	}
	if err := s.checkApprovals(ctx, st, c); err != nil {
		return err
	}
	if n, err := st.VerifyAudit(ctx); err != nil || n == 0 {
		s.problem("the chain of decisions: %d entries hold; %v", n, err)
	}
	return nil
}

func (s *stage) open(ctx context.Context) (*store.Store, error) {
	if s.DatabaseURL != "" {
		return postgres.Open(ctx, s.DatabaseURL)
	}
	return sqlite.Open(ctx, filepath.Join(s.dir, "patchcycle.db"))
}

// checkOutcomes counts: as many outcomes as machines, one each, none invented,
// and nothing done twice or left half done.
func (s *stage) checkOutcomes(ctx context.Context, st *store.Store, id patching.CycleID) error {
	want := s.Machines
	if s.result.Victim == Everything {
		want++ // this machine
	}
	all, err := st.Deployments(ctx, store.DeploymentFilter{Cycle: id})
	if err != nil {
		return err
	}
	if len(all) != want {
		s.problem("%d machines are on record, %d went in", len(all), want)
	}
	s.result.Outcomes = map[patching.Outcome]int{}
	seen := map[patching.AssetID]bool{}
	whole := map[string]bool{} // by hostname: what is installed there is as it should be
	for _, d := range all {
		if seen[d.Asset] || !d.State.Terminal() || d.Outcome == "" {
			s.problem("%s is %s with outcome %q, or on record twice", d.Asset, d.State, d.Outcome)
		}
		seen[d.Asset] = true
		s.result.Outcomes[d.Outcome]++
		if d.Outcome == patching.Deferred && d.Reason != patching.ReasonWithdrawn {
			s.putOff++
		}
		if d.Outcome == patching.Patched || d.Outcome == patching.RolledBack {
			a, err := st.Asset(ctx, d.Asset)
			if err != nil {
				return err
			}
			whole[a.Hostname] = true
		}
	}
	if err := s.checkHalts(ctx, st, id); err != nil {
		return err
	}
	profile := trial.Profile(s.Machines, s.fleetSeed())
	if n := s.result.Outcomes[patching.Unreachable]; n > profile.Dead {
		s.problem("%d machines are called unreachable, %d are dead", n, profile.Dead)
	}
	return s.checkWitnesses(profile, whole)
}

// checkHalts: the fleet has a bad patch and dead machines, and by which machines
// come first a gate may halt. Nothing else puts machines off but the withdrawal of
// all that they miss.
func (s *stage) checkHalts(ctx context.Context, st *store.Store, id patching.CycleID) error {
	decisions, err := st.Decisions(ctx, id)
	if err != nil {
		return err
	}
	for _, d := range decisions {
		if d.Decision.Verb == patching.Halt {
			s.result.Halts = append(s.result.Halts, d.Subject+": "+d.Decision.Why)
		}
	}
	if s.putOff > 0 && len(s.result.Halts) == 0 {
		s.problem("%d machines were put off, and no gate has halted", s.putOff)
	}
	return nil
}

func (s *stage) checkWitnesses(profile truth.Profile, whole map[string]bool) error {
	dir := trial.FleetDir(s.dir)
	events, err := sim.Events(dir)
	if err != nil {
		return err
	}
	for _, n := range events {
		s.result.Events += n
	}
	_, repeats, err := sim.Repeats(dir)
	if err != nil {
		return err
	}
	for _, r := range repeats {
		s.problem("installed again: %s", r)
	}
	machines, err := truth.Draw(profile)
	if err != nil {
		return err
	}
	half, err := sim.HalfDone(dir)
	if err != nil {
		return err
	}
	for _, m := range machines {
		if left := half[m.Index]; whole[m.Facts.Hostname] && len(left) > 0 {
			s.problem("%s counts as patched or rolled back with half-installed packages: %v", m.Facts.Hostname, left)
		}
	}
	return nil
}

// checkApprovals: the plan was approved once, and what was acknowledged counts.
func (s *stage) checkApprovals(ctx context.Context, st *store.Store, c patching.Cycle) error {
	votes, err := st.Approvals(ctx, c.ID)
	if err != nil {
		return err
	}
	count := 0
	for _, v := range votes {
		if v.Refused == "" && v.Verdict == patching.Approve && v.Plan == c.Plan {
			count++
		}
	}
	if count != 1 {
		s.problem("the plan %s has %d approvals that count, not one: %+v", c.Plan.Short(), count, votes)
	}
	if acked := s.approver.acked; acked != "" && acked != c.Plan {
		s.problem("the approval of %s was acknowledged, but %s is what was deployed", acked.Short(), c.Plan.Short())
	}
	return nil
}
