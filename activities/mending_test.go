package activities_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// early opens a cycle of 20 machines and releases its ring early.
func (h *house) early() (contract.CycleState, []contract.WaveInput) {
	h.t.Helper()
	h.enrol(20)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	return s, h.release(s, "early")
}

func (h *house) mend(waves []contract.WaveInput) (out contract.MendOut) {
	h.t.Helper()
	for _, w := range waves {
		one, err := h.waves.Mend(h.ctx, contract.SliceIn{Cycle: w.Cycle, Ring: w.Ring, Wave: w.Wave.ID})
		require.NoError(h.t, err)
		out.Again, out.Repair = out.Again+one.Again, out.Repair+one.Repair
	}
	return out
}

func (h *house) tryAgain(waves []contract.WaveInput) (released int) {
	h.t.Helper()
	for _, w := range waves {
		out, err := h.waves.TryAgain(h.ctx, contract.SliceIn{Cycle: w.Cycle, Ring: w.Ring, Wave: w.Wave.ID})
		require.NoError(h.t, err)
		released += out.Released
	}
	return released
}

// Serves Q4.
func TestAMachineLeftHalfInstalledGetsOneRepairAndOneMoreTry(t *testing.T) {
	h := newHouse(t)
	h.allowed = append(h.allowed, "repair")
	s, waves := h.early()
	ring := h.ring(s.ID, "early")
	half, locked, full := ring[0], ring[1], ring[2]
	h.ended(s.ID, half, patching.NeedsHands, patching.ReasonInstallFailed, "nginx: postinst")
	h.ended(s.ID, locked, patching.Deferred, patching.ReasonLocked, "")
	h.ended(s.ID, full, patching.Failed, patching.ReasonDisk, "disk full")
	h.ended(s.ID, ring[3], patching.Patched, patching.ReasonVerified, "")

	for range 2 { // an activity may run twice
		require.Equal(t, contract.MendOut{Again: 2, Repair: 1}, h.mend(waves))
	}
	repairs := h.desk.drafts(trust.Repair)
	require.Len(t, repairs, 1, "a lock is waited for, a full disk is a person's")
	d := h.deployment(s.ID, half)
	r := repairs[asset(half)]
	require.Equal(t, trust.RepairArgs{Do: trust.RepairConfigure}, r.Args)
	require.Equal(t, []any{d.Start, d.End, d.WindowRule, d.Fence}, []any{r.Start, r.End, r.WindowRule, r.Fence}, "within its window")
	require.Contains(t, h.desk.permitted, r.ID)
	answered, err := h.campaigns.Await(h.ctx, contract.AwaitOrdersIn{Cycle: s.ID, Verb: "repair", Wave: d.Wave, Until: h.now})
	require.NoError(t, err)
	require.Equal(t, 1, answered.Asked)

	h.now = h.now.Add(5 * time.Minute)
	for range 2 {
		require.Equal(t, 2, h.tryAgain(waves))
	}
	again := h.deployment(s.ID, half)
	require.Equal(t, []any{patching.DeploymentReleased, 1, patching.Outcome("")}, []any{again.State, again.Again, again.Outcome})
	require.NotEqual(t, d.Order, again.Order)
	require.Equal(t, again.Order, h.desk.drafts(trust.Apply)[asset(half)].ID)
	require.Contains(t, h.desk.permitted, again.Order)
	require.Equal(t, patching.Failed, h.deployment(s.ID, full).Outcome)
	said := h.audit()[len(h.audit())-1]
	require.Equal(t, "try again", said.Verb)
	require.Contains(t, said.Body, "once more, within the window: ")

	h.ended(s.ID, half, patching.NeedsHands, patching.ReasonInstallFailed, "nginx: postinst")
	h.ended(s.ID, locked, patching.AlreadyUpToDate, patching.ReasonNothingMissing, "")
	require.Zero(t, h.mend(waves), "nobody is tried a third time")
	require.Zero(t, h.tryAgain(waves))
	require.Equal(t, patching.Patched, h.deployment(s.ID, locked).Outcome)
}

// Serves Q4: the machine's own rules and its window are kept.
func TestWhatItsRulesOrItsWindowForbidIsNotMended(t *testing.T) {
	for name, arrange := range map[string]func(*house, *contract.CycleState){
		"its rules allow no repair": func(*house, *contract.CycleState) {},
		"its window is almost over": func(h *house, s *contract.CycleState) {
			h.allowed = append(h.allowed, "repair")
			h.now = h.deployment(s.ID, h.ring(s.ID, "early")[0]).End.Add(-2 * time.Minute)
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			s, waves := h.early()
			h.ended(s.ID, h.ring(s.ID, "early")[0], patching.NeedsHands, patching.ReasonInstallFailed, "nginx: postinst")
			arrange(h, &s)
			require.Zero(t, h.mend(waves))
			require.Zero(t, h.tryAgain(waves))
		})
	}
}

// Serves Q5, Q8, G21: what a cycle's failures have in common is kept, and stands in
// the tasks of the machines that share it.
func TestACyclesFailuresAreDiagnosedAndTheirTasksSayWhatTheyShare(t *testing.T) {
	h := newHouse(t)
	h.applyPolicy(strings.Replace(servers, "count: 4, soak", "count: 40, soak", 1))
	h.enrol(60)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "early")
	var tokyo int
	for _, n := range h.ring(s.ID, "early") {
		if n%2 == 0 {
			tokyo++
			h.ended(s.ID, n, patching.Failed, patching.ReasonUntrusted, "untrusted")
			continue
		}
		h.ended(s.ID, n, patching.Patched, patching.ReasonVerified, "")
	}
	out, err := h.waves.Diagnose(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "early"})
	require.NoError(t, err)
	require.Equal(t, 1, out.Causes)
	require.Contains(t, out.Words, "machines at the site tokyo")
	require.Zero(t, out.Without.Bad(), "all of it is the path's")
	require.Equal(t, 40-tokyo, out.Without.Answered)

	_, err = h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
	require.NoError(t, err)
	kept, err := h.Diagnoses(h.ctx, s.ID)
	require.NoError(t, err)
	require.Len(t, kept, 2)
	require.ElementsMatch(t, []patching.RingName{"early", ""}, []patching.RingName{kept[0].Ring, kept[1].Ring})
	for _, d := range kept {
		require.Equal(t, diagnose.KindSite, d.Causes[0].Kind)
		require.Equal(t, tokyo, d.Causes[0].InsideFailed)
		require.Equal(t, patching.CauseRelay, d.Causes[0].LaidTo)
	}
	tasks, err := h.Tasks(h.ctx, store.TaskFilter{Cycle: s.ID})
	require.NoError(t, err)
	require.Len(t, tasks, tokyo)
	require.Contains(t, tasks[0].Tried, "machines at the site tokyo")
	require.True(t, strings.HasPrefix(tasks[0].Steps, "Look after the site tokyo"), tasks[0].Steps)
}

// forgetful is a store that lost its contents.
type forgetful struct{ activities.WaveStore }

func (forgetful) Content(context.Context, patching.Digest) ([]byte, error) {
	return nil, store.ErrNotFound
}

// A ring whose bundle nobody has any more comes to its end all the same.
func TestALostBundleKeepsNobodyFromKnowingWhatFailed(t *testing.T) {
	h := newHouse(t)
	s, _ := h.early()
	for _, d := range h.ring(s.ID, "early") {
		h.ended(s.ID, d, patching.Failed, patching.ReasonInstallFailed, "nginx: postinst")
	}
	h.waves.Store = forgetful{h.waves.Store}
	out, err := h.waves.Diagnose(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "early"})
	require.NoError(t, err)
	require.Contains(t, out.Words, "failed.")
}
