package activities_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// deployed brings a house in which a ring has its start permits, and returns
// the wave of Berlin, whose machines are heard through its relay.
func deployed(t *testing.T) (h *house, s contract.CycleState, berlin contract.SliceIn, machines []int) {
	t.Helper()
	h = newHouse(t)
	h.enrol(30)
	s = h.begin(monthly, patching.Monthly)
	h.plan(&s)
	for _, in := range h.release(s, "broad") {
		if in.Wave.Site == "berlin" {
			berlin = contract.SliceIn{Cycle: s.ID, Ring: "broad", Wave: in.Wave.ID, Silence: s.Rules.Silence}
		}
	}
	for _, n := range h.ring(s.ID, "broad") {
		if h.deployment(s.ID, n).Wave == berlin.Wave {
			machines = append(machines, n)
			h.report(n, func(r *patching.Report) { r.Relay = "berlin" })
		}
	}
	require.Greater(t, len(machines), 3)
	return h, s, berlin, machines
}

// now counts a slice as a wait does whose time is up.
func (h *house) counted(in contract.SliceIn) contract.Tallies {
	h.t.Helper()
	out, err := h.waves.Await(h.ctx, contract.AwaitTallyIn{SliceIn: in, Until: h.now})
	require.NoError(h.t, err)
	return out
}

// Serves Q5: behind a dead path nothing is known of a patch.
func TestAWaveSaysToHowManyMachinesThePathIsDown(t *testing.T) {
	h, _, berlin, machines := deployed(t)
	began := h.now
	h.now = began.Add(10 * time.Minute)
	h.listened("server", began, h.now)
	h.listened("relay/berlin", began, h.now)
	require.Zero(t, h.counted(berlin).Slice.PathDown)

	h.now = began.Add(12 * time.Minute) // the relay has been deaf for two minutes
	h.listened("server", began, h.now)
	got := h.counted(berlin)
	require.Equal(t, len(machines), got.Slice.PathDown)
	require.Zero(t, got.Ring.PathDown, "machines that are still waited for excuse nobody else's silence")

	h.now = began.Add(15 * time.Minute) // and now the server has been
	h.listened("relay/berlin", h.now, h.now)
	require.Equal(t, len(machines), h.counted(berlin).Slice.PathDown)
}

// Serves Q5: what was given up because its path was down halts no ring.
func TestMachinesGivenUpBehindADeadPathAreNamedInEveryCount(t *testing.T) {
	h, s, berlin, machines := deployed(t)
	for n, why := range map[int]patching.Reason{machines[0]: patching.ReasonPathDown, machines[1]: patching.ReasonPathDown, machines[2]: patching.ReasonSilent} {
		_, err := h.waves.End(h.ctx, contract.EndSliceIn{
			SliceIn: berlin, Assets: []patching.AssetID{asset(n)},
			States: []patching.DeploymentState{patching.DeploymentReleased}, Outcome: patching.Unreachable, Reason: why,
		})
		require.NoError(t, err)
	}
	got := h.counted(berlin)
	require.Equal(t, 2, got.Slice.PathDown)
	require.Equal(t, 2, got.Ring.PathDown)
	read, err := h.waves.Read(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "broad"})
	require.NoError(t, err)
	require.Equal(t, 2, read.PathDown)
	require.Equal(t, 3, read.Outcomes[patching.Unreachable])
}

// Serves Q5, Q8: a machine that began and was cut off is nobody's failure, and what it
// says later counts. One whose path is up, and that never ends, needs somebody to look.
func TestAMachineThatWasCutOffAtWorkIsLaidToThePath(t *testing.T) {
	h, s, berlin, machines := deployed(t)
	began := h.now
	for _, n := range machines[:2] {
		h.report(n, func(r *patching.Report) {
			r.Relay = "berlin"
			r.Receipts = []patching.Receipt{{Order: h.deployment(s.ID, n).Order, Stage: patching.StageStarted, At: began}}
		})
	}
	h.listened("relay/berlin", began, began.Add(time.Minute))
	h.now = began.Add(2 * berlin.Silence)
	h.listened("server", began, h.now)
	h.report(machines[1], nil) // past its relay
	n, err := h.waves.End(h.ctx, contract.EndSliceIn{
		SliceIn: berlin, ByPath: true, Withdraw: true, Outcome: patching.NeedsHands, Reason: patching.ReasonUnknown, Detail: "It began.",
		States: []patching.DeploymentState{patching.DeploymentStarted},
	})
	require.NoError(t, err)
	require.Equal(t, 2, n)
	cut, hung := h.deployment(s.ID, machines[0]), h.deployment(s.ID, machines[1])
	require.Equal(t, patching.Unreachable, cut.Outcome)
	require.Equal(t, patching.ReasonPathDown, cut.Reason)
	require.Empty(t, cut.Detail)
	require.Equal(t, patching.NeedsHands, hung.Outcome)
	require.Equal(t, 1, h.counted(berlin).Slice.Bad())

	h.ended(s.ID, machines[0], patching.Patched, patching.ReasonVerified, "")
	require.Equal(t, patching.Patched, h.deployment(s.ID, machines[0]).Outcome)
}

// A machine that polls and does not start is no riddle if it shows another day.
func TestASilentMachineWhoseClockIsOffIsToldApart(t *testing.T) {
	h, s, berlin, machines := deployed(t)
	off := map[patching.DeviceID]time.Duration{}
	for _, n := range machines[:3] {
		off[h.deployment(s.ID, n).Device] = -72 * time.Hour
	}
	require.NoError(t, h.NoteClocks(h.ctx, off))
	began := h.now
	h.report(machines[2], func(r *patching.Report) {
		r.Relay = "berlin"
		r.Receipts = []patching.Receipt{{Order: h.deployment(s.ID, machines[2]).Order, Stage: patching.StageStarted, At: began}}
	})
	h.now = began.Add(berlin.Silence + time.Minute)
	h.listened("server", began, h.now)
	h.listened("relay/berlin", began, h.now)
	n, err := h.waves.End(h.ctx, contract.EndSliceIn{
		SliceIn: berlin, Silent: true, Withdraw: true, Outcome: patching.Unreachable, Reason: patching.ReasonSilent,
		States: []patching.DeploymentState{patching.DeploymentReleased, patching.DeploymentStarted},
	})
	require.NoError(t, err)
	require.Equal(t, len(machines), n)
	for i, m := range machines {
		d := h.deployment(s.ID, m)
		if i < 2 {
			require.Equal(t, patching.Deferred, d.Outcome)
			require.Equal(t, patching.ReasonClockOff, d.Reason)
			require.Equal(t, "it is about 3 days behind", d.Detail)
			continue
		}
		require.Equal(t, patching.Unreachable, d.Outcome, "%d, the third has begun", i)
		require.Equal(t, patching.ReasonSilent, d.Reason)
	}
}

// The waves of a ring share one count of it while they wait. A gate that
// decided by that would let the next batch go past a failure that it knows.
func TestAWaveIsNeverToldLessOfItsRingThanOfItself(t *testing.T) {
	h, s, berlin, machines := deployed(t)
	h.waves.Look = time.Hour
	known := h.counted(berlin) // keeps a count of the ring, for an hour
	h.ended(s.ID, machines[0], patching.Failed, patching.ReasonInstallFailed, "nginx:postinst")
	got, err := h.waves.Await(h.ctx, contract.AwaitTallyIn{SliceIn: berlin, Known: known, Answered: 90, Until: h.now.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 1, got.Slice.Bad())
	require.Equal(t, 1, got.Ring.Bad())
}

// A failure elsewhere in the ring ends a wave's wait, once.
func TestAnOldCountOfTheRingEndsNoWait(t *testing.T) {
	h, s, berlin, _ := deployed(t)
	h.waves.Look = 50 * time.Millisecond
	h.counted(berlin)
	for _, n := range h.ring(s.ID, "broad") {
		if h.deployment(s.ID, n).Wave != berlin.Wave {
			h.ended(s.ID, n, patching.Failed, patching.ReasonInstallFailed, "nginx:postinst")
			break
		}
	}
	in := contract.AwaitTallyIn{SliceIn: berlin, Answered: 90, Until: h.now.Add(time.Hour)}
	var err error
	in.Known, err = h.waves.Await(h.ctx, in)
	require.NoError(t, err)
	require.Equal(t, 1, in.Known.Ring.Bad())
	h.now = in.Until.Add(-time.Second)
	ended := make(chan contract.Tallies)
	go func() {
		out, _ := h.waves.Await(h.ctx, in) // cut short by the end of the test, if at all
		ended <- out
	}()
	select {
	case out := <-ended:
		t.Fatalf("the wait ended with nothing new: %+v", out.Ring)
	case <-time.After(300 * time.Millisecond):
	}
	h.ended(s.ID, h.ring(s.ID, "broad")[0], patching.Failed, patching.ReasonInstallFailed, "nginx:postinst")
	<-ended
}
