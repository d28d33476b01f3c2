package e2e_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
)

// A schedule that fires twice in a month, by whatever mishap. Serves Q1.
func provesSchedule(t *testing.T, h *house) {
	s := h.newSite(t, "calendar", truth.Profile{Machines: 4}, nil)
	set, err := h.as(t, ana).SetSchedule(t.Context(), s.policy(), wire.SetSchedule{})
	require.NoError(t, err)
	require.False(t, set.Paused)
	require.NotEmpty(t, set.Next)
	calendar, err := h.admin.Calendar(t.Context(), s.policy(), 3)
	require.NoError(t, err)
	require.Equal(t, calendar.Next[0].UTC(), set.Next[0].UTC(), "Temporal and we mean the same day")

	require.NoError(t, h.Starter.TriggerSchedule(t.Context(), s.policy()))
	cycles := func() []wire.Cycle {
		all, err := h.admin.Cycles(t.Context(), client.CycleQuery{Policy: s.policy()})
		require.NoError(t, err)
		return all.Items
	}
	until(t, 30*time.Second, "the schedule's cycle", func() bool { return len(cycles()) == 1 })
	require.NoError(t, h.Starter.TriggerSchedule(t.Context(), s.policy()))
	until(t, 30*time.Second, "the second firing", func() bool {
		one, err := h.admin.Schedule(t.Context(), s.policy())
		require.NoError(t, err)
		return len(one.Last) == 2
	})
	id := cycles()[0].ID
	require.True(t, strings.HasPrefix(string(id), "cycle/calendar/") && strings.HasSuffix(string(id), ".1"), "%s", id)
	require.Equal(t, ana, cycles()[0].Author, "who set the schedule is the author")
	h.await(t, id, patching.PhaseClosed)
	require.NoError(t, h.Starter.TriggerSchedule(t.Context(), s.policy()), "after it has closed")
	until(t, 30*time.Second, "the third firing", func() bool {
		one, err := h.admin.Schedule(t.Context(), s.policy())
		require.NoError(t, err)
		return len(one.Last) == 3
	})
	require.Never(t, func() bool { return len(cycles()) != 1 }, 2*time.Second, 200*time.Millisecond, "one month, one cycle")

	paused, err := h.as(t, ana).PauseSchedule(t.Context(), s.policy(), true, "the data centre moves")
	require.NoError(t, err)
	require.True(t, paused.Paused)
	require.Contains(t, paused.Note, "the data centre moves")
	_, err = h.as(t, aud).PauseSchedule(t.Context(), s.policy(), false, "x")
	requireCode(t, err, wire.CodeNotAllowed)
}

// The server looks again five weeks later: the calendar's day has passed and
// nothing has started. Serves Q1.
func TestACycleThatShouldHaveStartedIsFound(t *testing.T) {
	core, logs := observer.New(zap.ErrorLevel)
	h := newHouse(t, func(c *serve.Config) { c.UI, c.Log = "", zap.New(core) })
	s := &site{house: h, name: "missed", rules: rules{Name: "missed", CloseAfter: "2h", TestCount: 4, EarlyCount: 3, Batch: 20, Silence: silence}}
	s.apply(t)
	_, err := h.as(t, ana).SetSchedule(t.Context(), s.policy(), wire.SetSchedule{})
	require.NoError(t, err)
	check, _ := h.check(t, "calendar")
	require.True(t, check.OK, check.Words)

	h.Stop()
	h.config.Now = func() time.Time { return time.Now().AddDate(0, 0, 35) }
	h.start(t)
	check, whole := h.check(t, "calendar")
	require.False(t, check.OK)
	require.False(t, whole)
	require.Contains(t, check.Words, "should have started on")
	require.Contains(t, check.Words, "patchcycle cycle start missed")
	tasks := func() []wire.Task {
		all, err := h.admin.Tasks(t.Context(), client.TaskQuery{Open: true})
		require.NoError(t, err)
		return all.Items
	}
	until(t, 20*time.Second, "the task", func() bool { return len(tasks()) == 1 })
	require.True(t, strings.HasPrefix(string(tasks()[0].Cycle), "cycle/missed/"), "%s", tasks()[0].Cycle)
	require.Contains(t, tasks()[0].Tried, "should have started on")
	require.NotZero(t, logs.FilterMessage("missed cycle").Len())
	require.Never(t, func() bool { return len(tasks()) != 1 }, time.Second, 200*time.Millisecond, "it is said once")

	_, err = h.as(t, ana).PauseSchedule(t.Context(), s.policy(), true, "the data centre moves")
	require.NoError(t, err)
	check, _ = h.check(t, "calendar")
	require.True(t, check.OK, "a schedule that is paused misses nothing: %s", check.Words)
}
