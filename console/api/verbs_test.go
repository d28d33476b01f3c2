package api_test

import (
	"bytes"
	"errors"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

func problem(t *testing.T, err error, status int, code wire.Code) *wire.Problem {
	t.Helper()
	var p *wire.Problem
	require.ErrorAs(t, err, &p)
	require.Equal(t, status, p.Status, p.Detail)
	require.Equal(t, code, p.Code, p.Detail)
	return p
}

// Serves U1, G6.
func TestAnActIsOnRecordUnderItsSenderBeforeTheCycleHearsOfIt(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	h.engine.answer = contract.Answer{Accepted: true, Words: "Approved by ben.", Votes: 1, Quorum: 1}
	got, err := h.as("ben", "*", patching.RoleApprover).Do(t.Context(), cycleID, "approve", wire.Act{Plan: plan.Hash(), Reason: "looked at it"}, "")
	require.NoError(t, err)
	assert.Equal(t, "Approved by ben.", got.Words)
	assert.Equal(t, 1, got.Votes)

	require.Len(t, h.engine.onRecord, 1) // the engine looked it up when the act came
	r := h.engine.onRecord[0]
	assert.Equal(t, got.Request, r.ID)
	assert.Equal(t, patching.AccountName("ben"), r.Account)
	assert.Equal(t, "approve", r.Verb)
	assert.Equal(t, cycleID, r.Cycle)
	assert.Equal(t, plan.Hash(), r.Plan)
	assert.Equal(t, contract.Act{Request: r.ID, Plan: plan.Hash(), Reason: "looked at it"}, h.engine.acts[0])
}

func TestAnActThatTheCycleRefusesIsAnsweredInItsWords(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	ana := h.as("ana", "*", patching.RoleApprover)

	h.engine.answer = contract.Answer{Words: "approve by ana does not count: the author of a cycle cannot approve it."}
	_, err := ana.Do(t.Context(), cycleID, "approve", wire.Act{Plan: plan.Hash()}, "")
	p := problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	assert.Contains(t, p.Detail, "the author of a cycle cannot approve it")

	h.engine.answer = contract.Answer{NotNow: true, Words: "approve by ana does not count: ana has approved it already; a person counts once."}
	_, err = ana.Do(t.Context(), cycleID, "approve", wire.Act{Plan: plan.Hash()}, "")
	p = problem(t, err, http.StatusConflict, wire.CodeConflict)
	assert.Contains(t, p.Detail, "a person counts once")

	h.engine.err = &starter.NotNow{Words: "the plan that counts is another: look at it again."}
	_, err = ana.Do(t.Context(), cycleID, "approve", wire.Act{Plan: plan.Hash()}, "")
	p = problem(t, err, http.StatusConflict, wire.CodeConflict)
	assert.Contains(t, p.Detail, "look at it again")

	_, err = ana.Do(t.Context(), "cycle/demo/2026-11.7", "approve", wire.Act{Plan: plan.Hash()}, "")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Who asks may be the one who can free space.
func TestAnActThatAFullDiskStopsIsAnsweredWithTheCause(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.engine.err = errors.New("UpdateWorkflowExecution operation failed. Error: database or disk is full (13)")
	_, err := h.as("ben", "*", patching.RoleOperator).Do(t.Context(), cycleID, "pause", wire.Act{Reason: "r"}, "key-9")
	p := problem(t, err, http.StatusInsufficientStorage, wire.CodeServerFault)
	assert.Contains(t, p.Detail, "The disk that holds the server's state is full")
	assert.Equal(t, "key-9", p.Key, "it may have been taken: repeating it counts once")
	_, err = h.as("ana", "*", patching.RoleAuthor).SetSchedule(t.Context(), "demo", wire.SetSchedule{})
	p = problem(t, err, http.StatusInsufficientStorage, wire.CodeServerFault)
	assert.Contains(t, p.WayOut, "Free space")
	h.engine.err = errors.New("could not extend file: No space left on device (SQLSTATE 53100)")
	_, err = h.as("ana", "*", patching.RoleAuthor).SetSchedule(t.Context(), "demo", wire.SetSchedule{})
	p = problem(t, err, http.StatusInsufficientStorage, wire.CodeServerFault)
	assert.Contains(t, p.Detail, "The disk of the database's server is full")
}

func TestAnActWithoutWhatItsVerbNeedsIsNotSent(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	ben := h.as("ben", "*", patching.RoleApprover, patching.RoleOperator)
	for verb, act := range map[string]wire.Act{
		"approve": {}, "reject": {Plan: patching.DigestOf(nil)}, "pause": {}, "amend": {Reason: "why not"},
	} {
		_, err := ben.Do(t.Context(), cycleID, verb, act, "")
		problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
	}
	assert.Empty(t, h.engine.acts)
}

// Serves Q1: an answer that was lost on the way is no second act.
func TestAnActThatIsRepeatedWithItsKeyIsOneAct(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	ben := h.as("ben", "*", patching.RoleOperator)
	pause := wire.Act{Reason: "the helpdesk drowns"}

	h.engine.err = errors.New("connection reset by peer")
	_, err := ben.Do(t.Context(), cycleID, "pause", pause, "key-1")
	p := problem(t, err, http.StatusServiceUnavailable, wire.CodeEngineAway)
	assert.Equal(t, "key-1", p.Key, "the answer says under which key to repeat it")
	assert.Contains(t, p.WayOut, "counts once")

	h.engine.err = nil
	_, err = ben.Do(t.Context(), cycleID, "pause", pause, "key-1")
	require.NoError(t, err)
	require.Len(t, h.engine.acts, 2)
	assert.Equal(t, h.engine.acts[0].Request, h.engine.acts[1].Request, "the engine tells by the id that it is the same")

	_, err = ben.Do(t.Context(), cycleID, "pause", wire.Act{Reason: "another reason"}, "key-1")
	problem(t, err, http.StatusConflict, wire.CodeKeyReused)
	_, err = ben.Do(t.Context(), cycleID, "stop", pause, "key-1")
	problem(t, err, http.StatusConflict, wire.CodeKeyReused)

	_, err = h.as("eve", "*", patching.RoleOperator).Do(t.Context(), cycleID, "pause", pause, "key-1")
	require.NoError(t, err)
	assert.NotEqual(t, h.engine.acts[0].Request, h.engine.acts[2].Request, "another person's act was found under the same key")
}

func TestTheClientRepeatsAnActWithItsKeyUntilTheEngineIsBack(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.engine.err = errors.New("connection refused")
	c, err := client.New(client.Options{Server: h.url, Token: h.token("ben", "*", patching.RoleOperator)})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := c.Do(t.Context(), cycleID, "pause", wire.Act{Reason: "r"}, client.NewKey())
		done <- err
	}()
	require.Eventually(t, func() bool { h.engine.mu.Lock(); defer h.engine.mu.Unlock(); return len(h.engine.acts) > 0 }, eventually, tick)
	h.engine.mu.Lock()
	h.engine.err = nil
	h.engine.mu.Unlock()
	require.NoError(t, <-done)
	assert.Equal(t, h.engine.acts[0].Request, h.engine.acts[len(h.engine.acts)-1].Request)
}

// Serves U4.
func TestStartingMakesTheSenderTheAuthorAndIsRepeatable(t *testing.T) {
	h := newHouse(t)
	h.policy()
	op := h.as("olga", "policy:demo", patching.RoleOperator)
	got, err := op.StartCycle(t.Context(), "demo", wire.StartCycle{Shadow: true}, "start-1")
	require.NoError(t, err)
	assert.Equal(t, cycleID, got.Cycle)
	require.Len(t, h.engine.started, 1)
	assert.Equal(t, starter.Request{Policy: "demo", Kind: patching.Monthly, Author: "olga", Shadow: true}, h.engine.started[0])

	// The workflow has put the cycle on record when the same request comes again.
	_, err = h.store.OpenCycle(t.Context(), patching.Cycle{ID: cycleID, Kind: patching.Monthly, Policy: "demo", Author: "olga", Opened: noon})
	require.NoError(t, err)
	again, err := op.StartCycle(t.Context(), "demo", wire.StartCycle{Shadow: true}, "start-1")
	require.NoError(t, err)
	assert.Equal(t, cycleID, again.Cycle)
	assert.Len(t, h.engine.started, 1, "the repetition started a second cycle")

	// Or it has not yet: then the engine says that the id is taken.
	h.engine.err = starter.ErrExists
	_, err = op.StartEmergency(t.Context(), "demo", wire.StartEmergency{Slug: "openssl", Reason: "it burns"}, "")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	h.engine.err = errors.New("deadline exceeded")
	_, err = op.StartEmergency(t.Context(), "demo", wire.StartEmergency{Slug: "openssl", Reason: "it burns"}, "start-2")
	problem(t, err, http.StatusServiceUnavailable, wire.CodeEngineAway)
	h.engine.err = starter.ErrExists
	got, err = op.StartEmergency(t.Context(), "demo", wire.StartEmergency{Slug: "openssl", Reason: "it burns"}, "start-2")
	require.NoError(t, err)
	assert.Equal(t, patching.CycleID("emergency/demo/openssl"), got.Cycle)

	_, err = h.as("other", "*", patching.RoleOperator).StartCycle(t.Context(), "nothing", wire.StartCycle{}, "")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves G3.
func TestNoCycleStartsUnderAPolicyThatIsNotValidYet(t *testing.T) {
	h := newHouse(t)
	text := bytes.Replace(h.policy(), []byte("valid_from: 2026-01-01"), []byte("valid_from: 2099-01-01"), 1)
	text = regexp.MustCompile(`review_by: .*`).ReplaceAll(text, []byte("review_by: 2099-12-31"))
	require.NoError(t, h.store.ApplyPolicy(t.Context(), store.PolicyVersion{Name: "demo", Source: text, Applied: noon, By: "ana"}))
	op := h.as("olga", "*", patching.RoleOperator)
	_, err := op.StartCycle(t.Context(), "demo", wire.StartCycle{}, "")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	assert.ErrorContains(t, err, "valid from 1 January 2099 on")
	_, err = op.StartEmergency(t.Context(), "demo", wire.StartEmergency{Slug: "openssl", Reason: "it burns"}, "")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	assert.Empty(t, h.engine.started)
	_, err = op.StartCycle(t.Context(), "demo", wire.StartCycle{Shadow: true}, "")
	require.NoError(t, err, "trying it installs nothing")
}

// Serves Q1, U3.
func TestSchedulesFollowThePolicysCalendar(t *testing.T) {
	h := newHouse(t)
	h.policy()
	ana := h.as("ana", "*", patching.RoleAuthor)
	_, err := ana.Schedule(t.Context(), "demo")
	problem(t, err, http.StatusConflict, wire.CodeConflict)

	set, err := ana.SetSchedule(t.Context(), "demo", wire.SetSchedule{})
	require.NoError(t, err)
	calendar, err := ana.Calendar(t.Context(), "demo", 3)
	require.NoError(t, err)
	require.Len(t, calendar.Next, 3)
	assert.True(t, calendar.Next[0].Equal(set.Next[0]), "%s, %s", calendar.Next[0], set.Next[0])
	assert.Equal(t, "2026-12-10", calendar.Next[0].Format("2006-01-02"), "the second Tuesday and two days is no second Thursday")
	assert.Equal(t, "the second Tuesday of the month and 2 days, at 09:00 in Europe/Amsterdam", calendar.Words)

	paused, err := ana.PauseSchedule(t.Context(), "demo", true, "year-end")
	require.NoError(t, err)
	assert.True(t, paused.Paused)
	assert.Equal(t, "ana: year-end", paused.Note)
	all, err := ana.Schedules(t.Context())
	require.NoError(t, err)
	require.Len(t, all.Items, 1)
	resumed, err := ana.PauseSchedule(t.Context(), "demo", false, "back")
	require.NoError(t, err)
	assert.False(t, resumed.Paused)
}
