package activities_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

type starts int

func (s *starts) StartDue(context.Context, contract.TriggerInput) (contract.StartDueOut, error) {
	*s++
	return contract.StartDueOut{Started: true}, nil
}

// Serves G3, U3.
func TestTheCalendarStartsNothingUnderAPolicyThatIsNotValidYet(t *testing.T) {
	h := newHouse(t)
	var started starts
	c := &activities.Calendar{Store: h.Store, Starter: &started, Now: func() time.Time { return h.now }}
	h.applyPolicy(strings.Replace(servers, "valid_from: 2026-01-01", "valid_from: 2026-12-01", 1))
	out, err := c.StartDue(h.ctx, contract.TriggerInput{Policy: "servers"})
	require.NoError(t, err, "the schedule itself is well")
	require.Equal(t, "Policy servers is valid from 1 December 2026 on: no cycle starts before.", out.Words)
	require.False(t, out.Started)
	require.Zero(t, started)

	h.now = time.Date(2026, 12, 1, 9, 0, 0, 0, time.UTC)
	out, err = c.StartDue(h.ctx, contract.TriggerInput{Policy: "servers"})
	require.NoError(t, err)
	require.True(t, out.Started)
	require.EqualValues(t, 1, started)
}
