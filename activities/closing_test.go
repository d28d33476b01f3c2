package activities_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G3: a cycle runs under the version that it was opened with.
func TestACycleIsOpenedOnceUnderThePolicyThatWasInForceThen(t *testing.T) {
	h := newHouse(t)
	in := contract.OpenCycleIn{State: contract.CycleState{ID: monthly, Kind: patching.Monthly, Policy: "servers", Author: "ana"}}
	first, err := h.cycles.Open(h.ctx, in)
	require.NoError(t, err)
	require.Equal(t, noon, first.Opened)
	require.Equal(t, noon.AddDate(0, 0, 21), first.CloseBy)
	require.Equal(t, policy.RollBackRing, first.Rules.OnHalt)
	require.Equal(t, 30*time.Minute, first.Rules.Silence)
	require.Equal(t, 2, first.Rules.Approval.Quorum)

	h.now = h.now.Add(time.Hour)
	h.applyPolicy(strings.Replace(servers, "quorum: 2", "quorum: 1", 1))
	again, err := h.cycles.Open(h.ctx, in) // the first answer was lost
	require.NoError(t, err)
	require.Equal(t, first, again)
	record, err := h.Store.Cycle(h.ctx, monthly)
	require.NoError(t, err)
	require.Equal(t, first.PolicyVersion, record.PolicyVersion)
}

// Serves U4: shorter, by fewer people, and still by a quorum.
func TestAnEmergencyHasRulesOfItsOwn(t *testing.T) {
	h := newHouse(t)
	s := h.begin("emergency/servers/openssl", patching.Emergency)
	require.Equal(t, 1, s.Rules.Approval.Quorum)
	require.Equal(t, 6*time.Hour, s.Rules.Approval.Expire)
	require.Equal(t, noon.AddDate(0, 0, 2), s.CloseBy)
	require.Equal(t, 30*time.Minute, s.Rules.Silence, "what it does not say is the policy's")
}

func TestACycleOfAPolicyThatIsNotThereIsRefusedInWords(t *testing.T) {
	h := newHouse(t)
	_, err := h.cycles.Open(h.ctx, contract.OpenCycleIn{State: contract.CycleState{ID: "cycle/none/2026-11.1", Policy: "none"}})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorContains(t, err, "policy none")
}

// design.md 3: a lost engine is rebuilt from the state that is on record.
func TestTheStateIsKeptWithItsWordsAndThePhaseIsOnTheChainOnce(t *testing.T) {
	h := newHouse(t)
	s := h.begin(monthly, patching.Monthly)
	s.Phase, s.Notes = patching.PhaseTest, []string{"an answer"}
	for range 2 {
		_, err := h.cycles.Save(h.ctx, contract.SaveStateIn{State: s, Words: "Patching the test ring."})
		require.NoError(t, err)
	}
	record, err := h.Store.Cycle(h.ctx, monthly)
	require.NoError(t, err)
	require.Equal(t, patching.PhaseTest, record.Phase)
	require.Equal(t, "Patching the test ring.", record.Words)
	require.Contains(t, string(record.State), "an answer")
	phases := 0
	for _, e := range h.audit() {
		if e.Verb == "phase" {
			phases++
		}
	}
	require.Equal(t, 1, phases)

	s.ID = "cycle/servers/2020-01.1"
	_, err = h.cycles.Save(h.ctx, contract.SaveStateIn{State: s})
	require.ErrorIs(t, err, store.ErrNotFound)
}

// Every asset of a cycle ends in exactly one outcome; what needs a person is a
// task; the machines are free for the next cycle. Serves Q1, G10, G21.
func TestAClosedCycleHasAnOutcomeForEveryMachineATaskForSomeAndNoLocks(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	require.NoError(t, h.PutAsset(h.ctx, patching.Asset{ID: "printer", Hostname: "printer"}))
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "test")
	h.release(s, "early")
	tested, early := h.ring(s.ID, "test"), h.ring(s.ID, "early")
	h.ended(s.ID, tested[0], patching.Patched, patching.ReasonVerified, "")
	h.ended(s.ID, tested[1], patching.Failed, patching.ReasonInstallFailed, "nginx: postinst")
	h.started(s.ID, early[0])
	require.NoError(t, h.NoteClocks(h.ctx, map[patching.DeviceID]time.Duration{device(early[0]): time.Hour, device(early[1]): time.Hour}))

	s.Ending = &contract.Ending{As: patching.ClosedWithExceptions, Reason: patching.ReasonCarriedOver, Why: "the cycle reached its closing date"}
	h.now = h.now.AddDate(0, 0, 21)
	var out contract.CloseCycleOut
	for range 2 { // and again, should the answer be lost
		var err error
		out, err = h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
		require.NoError(t, err)
		require.Equal(t, map[patching.Outcome]int{
			patching.Patched: 1, patching.Failed: 1, patching.NeedsHands: 1,
			patching.Unreachable: 2, patching.Deferred: 7, patching.Excluded: 1,
		}, out.Outcomes, "count in equals count out")
		require.Equal(t, patching.ClosedWithExceptions, out.ClosedAs)
		require.Equal(t, 4, out.Tasks)
		h.now = h.now.Add(time.Minute)
	}
	require.Contains(t, out.Words, "with exceptions")
	require.Contains(t, out.Words, "It ended early: the cycle reached its closing date.")
	require.Contains(t, out.Words, "Tasks for people: 4.")

	require.Equal(t, patching.ReasonCarriedOver, h.deployment(s.ID, h.ring(s.ID, "broad")[0]).Reason)
	require.Equal(t, patching.NeedsHands, h.deployment(s.ID, early[0]).Outcome, "what began and did not end needs somebody to look")
	require.Equal(t, patching.ReasonClockOff, h.deployment(s.ID, early[1]).Reason, "it had its permit, and could not judge its window")
	tasks, err := h.Store.Tasks(h.ctx, store.TaskFilter{Cycle: s.ID})
	require.NoError(t, err)
	require.Len(t, tasks, 4, "each once")
	for _, task := range tasks {
		require.NotEmpty(t, task.Owner)
		require.NotEmpty(t, task.Tried)
		require.Contains(t, task.Steps, "a rescan decides")
		require.Equal(t, patching.TaskOpen, task.State)
	}
	record, err := h.Store.Cycle(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, noon.AddDate(0, 0, 21), record.Closed, "it closed when it closed first")
	require.Equal(t, out.Words, record.Words)

	var ids []patching.AssetID
	for n := 1; n <= 12; n++ {
		ids = append(ids, asset(n))
	}
	_, busy, err := h.LockAssets(h.ctx, "cycle/servers/2026-12.1", ids, h.now)
	require.NoError(t, err)
	require.Empty(t, busy, "locks are given back")
	pending, err := h.PendingOrders(h.ctx, []patching.DeviceID{device(early[1])}, noon)
	require.NoError(t, err)
	require.Empty(t, pending, "nobody starts after the end")
}

// A machine that failed, kept silent or was not reached is no plain success.
func TestACycleClosesAsItsOutcomesSayUnlessSomebodyDecided(t *testing.T) {
	for name, c := range map[string]struct {
		outcome patching.Outcome
		ending  *contract.Ending
		shadow  bool
		want    patching.ClosedAs
	}{
		"all patched":          {outcome: patching.Patched, want: patching.ClosedSuccessful},
		"one failed":           {outcome: patching.Failed, want: patching.ClosedWithExceptions},
		"one was never told":   {want: patching.ClosedWithExceptions},
		"a shadow tells none":  {shadow: true, want: patching.ClosedSuccessful},
		"a person rolled back": {outcome: patching.Patched, ending: &contract.Ending{As: patching.ClosedBackedOut, Reason: patching.ReasonCancelled}, want: patching.ClosedBackedOut},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			h.enrol(6)
			s := h.begin(monthly, patching.Monthly)
			s.Shadow, s.Ending = c.shadow, c.ending
			h.plan(&s)
			for _, ring := range []patching.RingName{"test", "early"} {
				h.release(s, ring)
				for i, n := range h.ring(s.ID, ring) {
					o := patching.Patched
					if i == 0 && ring == "early" {
						o = c.outcome
					}
					if o != "" {
						h.ended(s.ID, n, o, reasonOf(o), "")
					} else {
						_, err := h.waves.End(h.ctx, contract.EndSliceIn{
							SliceIn: contract.SliceIn{Cycle: s.ID}, Assets: []patching.AssetID{asset(n)},
							Outcome: patching.Deferred, Reason: patching.ReasonCarriedOver,
						})
						require.NoError(t, err)
					}
				}
			}
			out, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
			require.NoError(t, err)
			require.Equal(t, c.want, out.ClosedAs, "%v", out.Outcomes)
		})
	}
}

func TestARemindersWordsAreOnTheChain(t *testing.T) {
	h := newHouse(t)
	for _, escalate := range []bool{false, true} {
		_, err := h.cycles.Remind(h.ctx, contract.RemindIn{Cycle: monthly, Words: "still waits", Escalate: escalate})
		require.NoError(t, err)
	}
	chain := h.audit()
	require.Equal(t, "reminder", chain[0].Verb)
	require.Equal(t, "escalation", chain[1].Verb)
	require.Equal(t, "still waits", chain[1].Body)
}

// What no repetition can change is not repeated; a database that restarts looks
// like anything, so all else is.
func TestOnlyWhatCannotChangeIsNotTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		final string
	}{
		"nothing":                  {},
		"a refusal":                {errors.Join(activities.ErrRefused, errors.New("the plan may only shrink")), "Refused"},
		"what is not there":        {errors.Join(errors.New("policy p"), store.ErrNotFound), "NotFound"},
		"a database that restarts": {errors.New("dial unix: connection refused"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := activities.Classify(c.err)
			var app *temporal.ApplicationError
			require.Equal(t, c.final != "", errors.As(got, &app))
			if c.final != "" {
				require.True(t, app.NonRetryable())
				require.Equal(t, c.final, app.Type())
				require.Contains(t, app.Message(), c.err.Error())
				return
			}
			require.Equal(t, c.err, got)
		})
	}
}
