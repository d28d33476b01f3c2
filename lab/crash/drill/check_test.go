package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/lab/trial"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// ended is the record of a run that ended well: a drill that took it for a
// failure, or one that takes a fault planted in it for success, proves nothing.
type ended struct {
	*stage
	*testing.T
	store *store.Store
	cycle patching.Cycle
}

func newEnded(t *testing.T) ended {
	s := &stage{Options: Options{Machines: 20}, dir: t.TempDir(), approver: newApprover("", true)}
	s.result = &Result{Run: Run{Number: 1, Victim: ServerAlone}}
	st, err := sqlite.Open(t.Context(), filepath.Join(s.dir, "patchcycle.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	e := ended{stage: s, T: t, store: st}
	e.cycle = e.open("cycle/demo/2026-11.1")
	e.plan(20)
	e.approver.cycle, e.approver.acked = e.cycle.ID, e.cycle.Plan
	e.vote(e.cycle.Plan)
	_, err = st.AppendAudit(t.Context(), patching.AuditEntry{At: noon, Actor: "ben", Verb: "approve"})
	require.NoError(t, err)
	return e
}

func (e *ended) open(id patching.CycleID) patching.Cycle {
	c := patching.Cycle{
		ID: id, Policy: trial.PolicyName, Kind: patching.Monthly, Author: "ana", Opened: noon, Closed: noon.Add(time.Hour),
		Phase: patching.PhaseClosed, ClosedAs: patching.ClosedWithExceptions,
	}
	_, err := e.store.OpenCycle(e.Context(), c)
	require.NoError(e, err)
	return c
}

// plan leaves out all machines, which then have their outcomes.
func (e *ended) plan(machines int) {
	var items []patching.PlanItem
	for i := range machines {
		items = append(items, patching.PlanItem{Asset: patching.AssetID(fmt.Sprint("a", i)), Site: "tokyo", Exclude: patching.ReasonHostRules})
	}
	p := patching.Plan{Cycle: e.cycle.ID, Revision: 1, Kind: patching.Monthly, Policy: trial.PolicyName, Author: "ana", Made: noon, CloseBy: noon}
	require.NoError(e, e.store.PutPlan(e.Context(), p, items))
	e.cycle.Plan = p.Hash()
}

func (e *ended) vote(plan patching.Digest) {
	require.NoError(e, e.store.AddApproval(e.Context(), patching.Approval{
		Cycle: e.cycle.ID, Plan: plan, Account: "ben", Verdict: patching.Approve, Via: "api", At: noon,
	}))
}

func (e *ended) witness(lines ...string) {
	dir := filepath.Join(trial.FleetDir(e.dir), "machines", "0")
	require.NoError(e, os.MkdirAll(dir, 0o700))
	var text string
	for _, phase := range lines {
		text += "2026-11-20T12:00:00.000000Z\tcycle/demo/2026-11.1\to-1\topenssl\tamd64\t3.0\t" + phase + "\n"
	}
	require.NoError(e, os.WriteFile(filepath.Join(dir, "witness.log"), []byte(text), 0o600))
}

// Serves Q2.
func TestADrillFindsWhatIsPlantedInTheRecordOfAGoodRun(t *testing.T) {
	for name, c := range map[string]struct {
		plant func(*ended)
		want  string // "": nothing
	}{
		"nothing": {func(e *ended) { e.witness("started", "unpacked", "configured") }, ""},
		"an approval that was acknowledged and is not there": {func(e *ended) {
			e.cycle.Plan = patching.DigestOf([]byte("another plan"))
			require.NoError(e, e.store.SaveCycle(e.Context(), e.cycle))
		}, "has 0 approvals that count"},
		"an approval for another plan": {func(e *ended) { e.approver.acked = patching.DigestOf([]byte("another plan")) }, "is what was deployed"},
		"a second cycle":               {func(e *ended) { e.open("cycle/demo/2026-11.2") }, "2 cycles are on record"},
		"another cycle":                {func(e *ended) { e.approver.cycle = "cycle/demo/2026-10.1" }, "before the kill it was"},
		"a cycle that has not closed": {func(e *ended) {
			e.cycle.Phase, e.cycle.Closed = patching.PhaseDeploy, time.Time{}
			require.NoError(e, e.store.SaveCycle(e.Context(), e.cycle))
		}, "stands in deploy"},
		"a machine that was forgotten": {func(e *ended) { e.Machines++ }, "20 machines are on record, 21 went in"},
		"an installation done twice": {func(e *ended) {
			e.witness("started", "unpacked", "configured", "started", "unpacked", "configured")
		}, "installed again"},
		"a decision taken out of the chain": {func(e *ended) {
			require.NoError(e, e.store.SetSetting(e.Context(), "audit/head", "2 sha256:00"))
		}, "chain of decisions"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnded(t)
			c.plant(&e)
			require.NoError(t, e.check(t.Context()))
			if c.want == "" {
				require.Empty(t, e.result.Problems)
				return
			}
			require.NotEmpty(t, e.result.Problems)
			require.Contains(t, fmt.Sprint(e.result.Problems), c.want)
		})
	}
}

func TestADrillFindsAPatchedMachineWithAHalfInstalledPackage(t *testing.T) {
	e := newEnded(t)
	profile := trial.Profile(e.Machines, e.fleetSeed())
	machines, err := truth.Draw(profile)
	require.NoError(t, err)
	patched := map[string]bool{machines[0].Facts.Hostname: true}
	e.witness("started", "unpacked", "configured")
	require.NoError(t, e.checkWitnesses(profile, patched))
	require.Empty(t, e.result.Problems)
	e.witness("started", "unpacked")
	require.NoError(t, e.checkWitnesses(profile, patched))
	require.Contains(t, fmt.Sprint(e.result.Problems), "openssl 3.0 unpacked")
}

func TestTenRunsHaveEachMomentForEachVictimAndASeedDrawsTheSameAgain(t *testing.T) {
	drawn := map[string]int{}
	for n := 1; n <= 10; n++ {
		r := Draw(7, n, 60)
		require.Equal(t, r, Draw(7, n, 60))
		drawn[fmt.Sprint(r.Victim, ", ", r.Kills[0].Kind)]++
		require.LessOrEqual(t, r.Kills[0].Event, int64(60*eventsPerMachine))
	}
	require.Len(t, drawn, 10)
	require.NotEqual(t, Draw(7, 1, 60), Draw(8, 1, 60))
}
