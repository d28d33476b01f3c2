package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/workflows"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G14, U1, U2: before anything is installed, and again before people are
// asked to approve what the test ring left.
func TestAPlanIsRehearsedBeforeTheTestRingBeginsAndBeforePeopleAreAsked(t *testing.T) {
	w := newWorld(t)
	w.kinds = 3
	w.slowRehearsals(time.Minute)
	w.at(30*time.Second, func() {
		require.Equal(t, []int{1}, w.rehearsed)
		require.Zero(t, w.released("test"))
		require.Equal(t, "Asking 3 machines, one of each kind, what the plan would change there, until 20 Nov 20:05 UTC at the latest. Nobody has to act.",
			workflows.Words(w.saved[len(w.saved)-1]))
	})
	w.whenPhase(patching.PhaseTest, func() {
		now := w.saved[len(w.saved)-1]
		require.Equal(t, "the rehearsal of plan 1", now.Plan.Rehearsal)
		require.Nil(t, now.Rehearsing)
	})
	w.whenPhase(patching.PhaseApproval, func() {
		require.Equal(t, []int{1, 2}, w.rehearsed)
		require.Equal(t, "the rehearsal of plan 2", w.saved[len(w.saved)-1].Plan.Rehearsal)
		w.approve("ben")
	})
	require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
	require.Equal(t, []int{1, 2}, w.rehearsed)
}

func TestARehearsalIsNotAwaitedForLongerThanItsLimit(t *testing.T) {
	for name, c := range map[string]struct{ silence, held time.Duration }{
		"five minutes": {30 * time.Minute, 5 * time.Minute},
		"less where the policy waits for that long": {2 * time.Minute, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.rules.Silence, w.kinds = c.silence, 3
			w.slowRehearsals(10 * time.Hour)
			for _, m := range w.machines {
				m.after = time.Minute
			}
			var began time.Time
			w.onList = func() { began = w.env.Now() }
			w.whenPhase(patching.PhaseApproval, func() { w.approve("ben") })
			require.Equal(t, patching.ClosedSuccessful, w.run(t, contract.CycleState{}).ClosedAs)
			require.Equal(t, c.held, began.Sub(night))
		})
	}
}

// Serves Q1: nobody has to wait for machines in order to end a cycle.
func TestAStopIsHeardDuringARehearsal(t *testing.T) {
	for revision, ring := range map[int]string{1: "before the test ring", 2: "after it"} {
		t.Run(ring, func(t *testing.T) {
			w := newWorld(t)
			w.kinds = 3
			w.slowRehearsals(10 * time.Hour)
			var at time.Time
			var stopped *answer
			w.whenRehearsing(revision, func() {
				at = w.env.Now()
				stopped = w.act(contract.VerbStop, "olga", contract.Act{Reason: "not tonight"})
			})
			out := w.run(t, contract.CycleState{})
			require.True(t, stopped.Accepted)
			require.Equal(t, patching.ClosedCancelled, out.ClosedAs)
			require.Less(t, w.closedAt.Sub(at), time.Minute)
			require.Nil(t, w.saved[len(w.saved)-1].Rehearsing)
		})
	}
}

// whenRehearsing does something once the answers to that revision of the plan are
// awaited.
func (w *world) whenRehearsing(revision int, do func()) {
	tries := 0
	var look func()
	look = func() {
		w.mu.Lock()
		s := w.saved[len(w.saved)-1]
		w.mu.Unlock()
		if tries++; s.Rehearsing != nil && s.Plan.Revision == revision {
			do()
		} else if tries < 1000 {
			w.at(10*time.Second, look)
		}
	}
	w.at(10*time.Second, look)
}

// Serves U3: it changes nothing, and shows what the cycle would meet.
func TestAShadowCycleIsRehearsedToo(t *testing.T) {
	w := newWorld(t)
	w.run(t, contract.CycleState{Shadow: true})
	require.Equal(t, []int{1, 2}, w.rehearsed)
}

func TestAPlanThatIsSentBackBeforeItsTestRingIsRehearsedAgain(t *testing.T) {
	w := standing(t)
	w.whenPhase(patching.PhaseApproval, func() {
		w.act(contract.VerbSendBack, "cleo", contract.Act{Plan: w.hash(), Reason: "libevil?"})
		w.at(time.Hour, func() {
			require.Equal(t, []int{1, 2}, w.rehearsed)
			require.Zero(t, w.released("test"))
			w.act(contract.VerbStop, "olga", contract.Act{Reason: "enough"})
		})
	})
	w.run(t, contract.CycleState{})
}

func TestAPlanThatPatchesNobodyIsNotRehearsed(t *testing.T) {
	w := newWorld(t)
	w.rings = nil
	w.run(t, contract.CycleState{})
	require.Empty(t, w.rehearsed)
}
