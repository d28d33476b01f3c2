package uplink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// way answers with what a test says and counts.
type way struct {
	uplink.Link
	err     error
	offline bool
	asked   int
}

func (w *way) Send(context.Context, uplink.Batch) ([]uplink.Ack, error) {
	w.asked++
	return []uplink.Ack{{Device: "d"}}, w.err
}

func (w *way) Poll(context.Context, uplink.PollRequest) (uplink.PollResponse, error) {
	w.asked++
	return uplink.PollResponse{Offline: w.offline}, w.err
}

func (w *way) Content(context.Context, patching.Digest) ([]byte, error) {
	w.asked++
	return []byte("text"), w.err
}

type clockAt struct{ time.Time }

func (c *clockAt) now() time.Time { return c.Time }

func threeWays() (*clockAt, *uplink.Ways, *uplink.Routes, [3]*way) {
	at := &clockAt{time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)}
	all := [3]*way{{}, {}, {}}
	ways := uplink.NewWays(3, time.Minute, 10*time.Minute, at.now)
	return at, ways, uplink.NewRoutes(ways, all[0], all[1], all[2]), all
}

var errLine = errors.New("no route to host")

// Serves Q5: a dead relay's machines go on through the next.
func TestWhatFailsOnOneWayGoesOnTheNextAndComesBackToThePreferred(t *testing.T) {
	at, ways, r, w := threeWays()
	w[0].err = errLine
	for range 5 {
		acks, err := r.Send(t.Context(), uplink.Batch{})
		require.NoError(t, err)
		require.Len(t, acks, 1)
	}
	require.Equal(t, 1, w[0].asked, "the dead one is left alone")
	require.Equal(t, 5, w[1].asked)
	require.Zero(t, w[2].asked)
	require.Equal(t, 1, ways.Current())

	at.Time = at.Add(time.Minute)
	_, err := r.Send(t.Context(), uplink.Batch{})
	require.NoError(t, err)
	require.Equal(t, 2, w[0].asked, "tried again after its rest")
	at.Time = at.Add(30 * time.Second)
	_, err = r.Send(t.Context(), uplink.Batch{})
	require.NoError(t, err)
	require.Equal(t, 2, w[0].asked, "a second failure rests longer")

	w[0].err = nil
	at.Time = at.Add(2 * time.Minute)
	_, err = r.Send(t.Context(), uplink.Batch{})
	require.NoError(t, err)
	require.Equal(t, 0, ways.Current())
}

func TestARefusalIsAnAnswerAndIsNotTakenElsewhere(t *testing.T) {
	_, _, r, w := threeWays()
	w[0].err = &uplink.Error{Status: 403, Words: "no"}
	_, err := r.Send(t.Context(), uplink.Batch{})
	require.ErrorContains(t, err, "no")
	require.Zero(t, w[1].asked)
	w[0].err = &uplink.Error{Status: 503, Words: "busy"}
	_, err = r.Send(t.Context(), uplink.Batch{})
	require.NoError(t, err)
	require.Equal(t, 1, w[1].asked)
}

func TestARelayWithoutALineIsPassedByIfAnotherWayHasOne(t *testing.T) {
	_, _, r, w := threeWays()
	w[0].offline = true
	resp, err := r.Poll(t.Context(), uplink.PollRequest{})
	require.NoError(t, err)
	require.False(t, resp.Offline)
	require.Equal(t, 1, w[1].asked)

	w[1].offline, w[2].err = true, errLine
	resp, err = r.Poll(t.Context(), uplink.PollRequest{})
	require.NoError(t, err, "nobody has one: there is nothing to complain of")
	require.True(t, resp.Offline)
	require.Equal(t, 1, w[2].asked)
}

func TestWhenAllWaysFailAllAreTriedEachTimeAndTheLastErrorIsTold(t *testing.T) {
	_, _, r, w := threeWays()
	for i := range w {
		w[i].err = errLine
	}
	for range 3 {
		_, err := r.Content(t.Context(), "d")
		require.ErrorIs(t, err, errLine)
	}
	for i := range w {
		require.Equal(t, 3, w[i].asked)
	}
	w[2].err = nil
	_, err := r.Content(t.Context(), "d")
	require.NoError(t, err)
}

func TestARequestThatIsGivenUpBlamesNoWay(t *testing.T) {
	_, _, r, w := threeWays()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w[0].err = context.Canceled
	_, err := r.Send(ctx, uplink.Batch{})
	require.ErrorIs(t, err, context.Canceled)
	w[0].err = nil
	_, err = r.Send(t.Context(), uplink.Batch{})
	require.NoError(t, err)
	require.Equal(t, 2, w[0].asked)
}
