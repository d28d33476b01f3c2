package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// broadWave enrols n machines, plans them, and returns what the first wave of
// the last ring begins with.
func (h *house) broadWave(n int) (contract.CycleState, contract.WaveInput) {
	h.t.Helper()
	h.enrol(n)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	w := h.waveList(s.ID, "broad")[0]
	return s, contract.WaveInput{Cycle: s.ID, Policy: s.Policy, Kind: s.Kind, Ring: "broad", Wave: w, Batch: 2, Silence: 30 * time.Minute}
}

func (h *house) wave(in contract.WaveInput) []patching.Deployment {
	h.t.Helper()
	rows, err := h.Deployments(h.ctx, store.DeploymentFilter{Cycle: in.Cycle, Wave: in.Wave.ID})
	require.NoError(h.t, err)
	return rows
}

// An activity may run twice: its first answer can be lost.
func TestAWaveThatIsStagedTwiceHasOneOrderForEachMachine(t *testing.T) {
	h := newHouse(t)
	_, in := h.broadWave(20)
	first, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	require.Equal(t, contract.StageWaveOut{Staged: in.Wave.Assets}, first)
	before := h.wave(in)
	again, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, before, h.wave(in))
	require.Len(t, h.desk.issued, in.Wave.Assets)
	require.Empty(t, h.desk.permitted, "staging starts nothing")
	for _, d := range before {
		o := h.desk.drafts(trust.Apply)[d.Asset]
		require.Equal(t, d.Order, o.ID)
		require.Equal(t, d.Fence, o.Fence)
		require.Equal(t, d.Bundle, o.Bundle)
		require.Equal(t, d.WindowRule, o.WindowRule)
		require.Equal(t, d.End, o.NotAfter, "an order is good until its window ends")
	}
}

// A crash between issuing an order and noting it leaves an order that is found again.
func TestAnOrderThatWasIssuedButNotNotedIsTheSameOrderAfterwards(t *testing.T) {
	h := newHouse(t)
	_, in := h.broadWave(20)
	h.desk.broken = errors.New("the server was killed here")
	_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.ErrorContains(t, err, "issue orders: the server was killed here")
	h.desk.broken = nil
	ctx, kill := context.WithCancel(h.ctx)
	killed := &killedAfterIssue{desk: h.desk, kill: kill}
	h.waves.Dispatcher = killed
	_, err = h.waves.Stage(ctx, contract.StageWaveIn{Wave: in})
	require.Error(t, err)
	h.waves.Dispatcher = h.desk
	_, err = h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	issued, _, err := h.OrderCounts(h.ctx, store.Slice{Cycle: in.Cycle}, string(trust.Apply))
	require.NoError(t, err)
	require.Equal(t, in.Wave.Assets, issued)
}

type killedAfterIssue struct {
	*desk
	kill func()
}

func (k *killedAfterIssue) Issue(ctx context.Context, drafts []trust.Draft) error {
	defer k.kill()
	return k.desk.Issue(ctx, drafts)
}

func TestABatchThatIsReleasedTwiceIsTheSameMachines(t *testing.T) {
	h := newHouse(t)
	_, in := h.broadWave(20)
	_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	release := contract.ReleaseIn{Cycle: in.Cycle, Wave: in.Wave.ID, Batch: 1, Size: 2}
	first, err := h.waves.Release(h.ctx, release)
	require.NoError(t, err)
	require.Equal(t, 2, first.Released)
	one := h.desk.permitted
	again, err := h.waves.Release(h.ctx, release)
	require.NoError(t, err)
	require.Equal(t, first, again)
	require.Equal(t, append(one, one...), h.desk.permitted, "the same permits, renewed")

	// Taken up again by another engine: how many batches went out is on record.
	staged, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	require.Equal(t, contract.StageWaveOut{Staged: in.Wave.Assets, Released: 2, Batches: 1}, staged)

	release.Batch = 2
	_, err = h.waves.Release(h.ctx, release)
	require.NoError(t, err)
	batches := map[int]int{}
	for _, d := range h.wave(in) {
		batches[d.Batch]++
	}
	require.Equal(t, map[int]int{0: in.Wave.Assets - 4, 1: 2, 2: 2}, batches)
}

func TestABatchAfterTheLastMachineReleasesNone(t *testing.T) {
	h := newHouse(t)
	s, in := h.broadWave(20)
	h.release(s, "broad")
	out, err := h.waves.Release(h.ctx, contract.ReleaseIn{Cycle: in.Cycle, Wave: in.Wave.ID, Batch: 2, Size: 2})
	require.NoError(t, err)
	require.Zero(t, out.Released)
}

// One wait serves a batch: it ends when a gate could say something else.
func TestAWaitEndsWhenItMattersAndNotBefore(t *testing.T) {
	for name, c := range map[string]struct {
		answers map[int]patching.Outcome // by place in the wave
		other   bool                     // a failure elsewhere in the ring
		known   func(contract.Tallies) contract.Tallies
		late    bool
		ends    bool
	}{
		"nobody has answered":                    {ends: false},
		"nobody has, and the time is up":         {late: true, ends: true},
		"one of four has":                        {answers: map[int]patching.Outcome{0: patching.Patched}},
		"enough have":                            {answers: map[int]patching.Outcome{0: patching.Patched, 1: patching.Patched, 2: patching.Patched}, ends: true},
		"one has failed":                         {answers: map[int]patching.Outcome{0: patching.Failed}, ends: true},
		"one has failed at another site":         {other: true, ends: true},
		"one had failed, as is known":            {answers: map[int]patching.Outcome{0: patching.Failed}, known: same},
		"enough have, as is known":               {answers: map[int]patching.Outcome{0: patching.Patched, 1: patching.Patched, 2: patching.Patched}, known: same},
		"enough of this batch; and of the last":  {answers: map[int]patching.Outcome{0: patching.Patched, 1: patching.Patched, 2: patching.Patched}, known: smaller, ends: true},
		"all have, whatever was known":           {answers: map[int]patching.Outcome{0: patching.Patched, 1: patching.Patched, 2: patching.Patched, 3: patching.Patched}, known: same, ends: true},
		"one has failed where one had succeeded": {answers: map[int]patching.Outcome{0: patching.Patched, 1: patching.Failed}, known: good, ends: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			s, in := h.broadWave(20)
			other := in
			other.Wave = h.waveList(s.ID, "broad")[1]
			for _, w := range []contract.WaveInput{in, other} {
				_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: w})
				require.NoError(t, err)
				_, err = h.waves.Release(h.ctx, contract.ReleaseIn{Cycle: s.ID, Wave: w.Wave.ID, Batch: 1, Size: 4})
				require.NoError(t, err)
			}
			rows := h.wave(in)
			for place, o := range c.answers {
				h.ended(s.ID, number(t, rows[place].Asset), o, reasonOf(o), "")
			}
			if c.other {
				h.ended(s.ID, number(t, h.wave(other)[0].Asset), patching.Failed, patching.ReasonInstallFailed, "")
			}
			await := contract.AwaitTallyIn{SliceIn: contract.SliceIn{Cycle: s.ID, Ring: "broad", Wave: in.Wave.ID}, Answered: 75, Until: h.now.Add(time.Hour)}
			if c.late {
				await.Until = h.now
			}
			if c.known != nil {
				slice, err := h.waves.Read(h.ctx, await.SliceIn)
				require.NoError(t, err)
				ring, err := h.waves.Read(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "broad"})
				require.NoError(t, err)
				await.Known = c.known(contract.Tallies{Slice: slice, Ring: ring})
			}
			patience := 300 * time.Millisecond // some looks
			if c.ends {
				patience = time.Minute
			}
			ctx, cancel := context.WithTimeout(h.ctx, patience)
			defer cancel()
			_, err := h.waves.Await(ctx, await)
			if c.ends {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		})
	}
}

func same(t contract.Tallies) contract.Tallies { return t }

// smaller is what was known when the batch before had been answered.
func smaller(t contract.Tallies) contract.Tallies {
	t.Slice.Released, t.Slice.Answered = 2, 2
	return t
}

func good(t contract.Tallies) contract.Tallies {
	return contract.Tallies{
		Slice: patching.Tally{Released: t.Slice.Released, Answered: 1, Outcomes: map[patching.Outcome]int{patching.Patched: 1}},
		Ring:  patching.Tally{Released: t.Ring.Released, Answered: 1, Outcomes: map[patching.Outcome]int{patching.Patched: 1}},
	}
}

// design.md 2.6: silence is never success, and it is evidence only while the
// whole path to the machine was listening. Serves Q5, Q6.
func TestSilenceCountsOnlyWhileServerAndRelayListened(t *testing.T) {
	from, after := time.Minute, 41*time.Minute // since the start permit
	for name, c := range map[string]struct {
		server, relay [2]time.Duration // when they listened
		heard         time.Duration    // when the machine was last heard; 0: not since
		held          [2]time.Duration // when somebody held all machines
		silent        bool
	}{
		"both listened all the time":              {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, after}, silent: true},
		"the server was down for a while":         {server: [2]time.Duration{20 * time.Minute, after}, relay: [2]time.Duration{0, after}},
		"the relay was down for a while":          {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, 25 * time.Minute}},
		"the machine was heard not long ago":      {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, after}, heard: 20 * time.Minute},
		"all machines were held for a while":      {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, after}, held: [2]time.Duration{10 * time.Minute, 25 * time.Minute}},
		"all machines were held for a moment":     {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, after}, held: [2]time.Duration{10 * time.Minute, 12 * time.Minute}, silent: true},
		"the machine was heard, then fell silent": {server: [2]time.Duration{0, after}, relay: [2]time.Duration{0, after}, heard: 8 * time.Minute, silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			s, in := h.broadWave(20)
			rows := h.wave(in)
			n := number(t, rows[0].Asset)
			h.report(n, func(r *patching.Report) { r.Relay = "berlin-1" })
			h.now = h.now.Add(from)
			began := h.now
			h.release(s, "broad")
			if c.heard > 0 {
				h.now = began.Add(c.heard)
				h.report(n, func(r *patching.Report) { r.Relay = "berlin-1" })
			}
			if c.held[1] > 0 {
				require.NoError(t, h.Store.SayHold(h.ctx, patching.Hold{Version: 1, By: "olga", Reason: "payroll", At: began.Add(c.held[0])}))
				require.NoError(t, h.Store.SayHold(h.ctx, patching.Hold{Version: 2, By: "olga", Lifted: true, Reason: "through", At: began.Add(c.held[1])}))
			}
			h.listened("server", began.Add(c.server[0]), began.Add(c.server[1]))
			h.listened("relay/berlin-1", began.Add(c.relay[0]), began.Add(c.relay[1]))
			h.now = began.Add(after)
			ended, err := h.waves.End(h.ctx, contract.EndSliceIn{
				SliceIn: contract.SliceIn{Cycle: s.ID, Ring: "broad", Wave: in.Wave.ID, Silence: 30 * time.Minute},
				Silent:  true, Outcome: patching.Unreachable, Reason: patching.ReasonSilent,
				States: []patching.DeploymentState{patching.DeploymentReleased, patching.DeploymentStarted},
			})
			require.NoError(t, err)
			d := h.deployment(s.ID, n)
			require.Equal(t, c.silent, d.Outcome == patching.Unreachable, "%s", d.Outcome)
			if c.silent {
				require.Positive(t, ended)
				require.Equal(t, patching.ReasonSilent, d.Reason)
			}
		})
	}
}

// A gate must not be told that machines kept silent where nobody listened.
func TestATallySaysOfHowManyMachinesThePathWasDown(t *testing.T) {
	h := newHouse(t)
	s, in := h.broadWave(20)
	h.release(s, "broad")
	slice := contract.SliceIn{Cycle: s.ID, Ring: "broad", Wave: in.Wave.ID}
	lost := h.wave(in)[:2]
	_, err := h.waves.End(h.ctx, contract.EndSliceIn{
		SliceIn: slice, Assets: []patching.AssetID{lost[0].Asset, lost[1].Asset},
		Outcome: patching.Unreachable, Reason: patching.ReasonPathDown,
	})
	require.NoError(t, err)
	tally, err := h.waves.Read(h.ctx, slice)
	require.NoError(t, err)
	require.Equal(t, 2, tally.PathDown)
}

// What has no start permit is taken back; what has one may have used it.
func TestEndingWhatDidNotStartTakesItsOrdersBackAndNoOthers(t *testing.T) {
	h := newHouse(t)
	s, in := h.broadWave(20)
	_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
	require.NoError(t, err)
	_, err = h.waves.Release(h.ctx, contract.ReleaseIn{Cycle: s.ID, Wave: in.Wave.ID, Batch: 1, Size: 2})
	require.NoError(t, err)
	n, err := h.waves.End(h.ctx, contract.EndSliceIn{
		SliceIn: contract.SliceIn{Cycle: s.ID, Ring: "broad", Wave: in.Wave.ID}, Withdraw: true,
		Outcome: patching.Deferred, Reason: patching.ReasonWindowOver,
		States: []patching.DeploymentState{patching.DeploymentPlanned, patching.DeploymentStaged},
	})
	require.NoError(t, err)
	require.Equal(t, in.Wave.Assets-2, n)
	for _, d := range h.wave(in) {
		pending, err := h.PendingOrders(h.ctx, []patching.DeviceID{d.Device}, h.now)
		require.NoError(t, err)
		if d.Batch == 1 {
			require.Len(t, pending, 1, "it was told to start and may not have heard it yet")
			require.NotEmpty(t, pending[0].Lease)
		} else {
			require.Empty(t, pending)
		}
	}
}

// A decision is on record with its inputs; the chain has what was decided.
func TestAGatesDecisionIsKeptOnceWithWhatItSaw(t *testing.T) {
	h := newHouse(t)
	s, in := h.broadWave(20)
	note := gateNote(s.ID, string(in.Wave.ID), patching.Proceed, h.now)
	for range 2 {
		_, err := h.waves.NoteGate(h.ctx, note)
		require.NoError(t, err)
	}
	_, err := h.waves.NoteGate(h.ctx, gateNote(s.ID, string(in.Wave.ID), patching.Wait, h.now.Add(time.Minute)))
	require.NoError(t, err)
	kept, err := h.Decisions(h.ctx, s.ID)
	require.NoError(t, err)
	require.Len(t, kept, 2)
	var verbs []string
	for _, e := range h.audit() {
		if e.Subject == string(in.Wave.ID) {
			verbs = append(verbs, e.Verb)
		}
	}
	require.NotContains(t, verbs, "wait", "a wait decides nothing")
	require.Contains(t, verbs, "proceed")
}
