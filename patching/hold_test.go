package patching_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

// Serves Q6, Q15: who may not start has no reason to speak.
func TestForHowLongNothingCouldStartFollowsFromAllThatWasSaidOfHolds(t *testing.T) {
	noon := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
	hold := func(minute, until int) patching.Hold {
		h := patching.Hold{Version: 1, At: at(minute)}
		if until > 0 {
			h.Until = at(until)
		}
		return h
	}
	lift := func(minute int) patching.Hold { return patching.Hold{Version: 1, At: at(minute), Lifted: true} }
	for name, c := range map[string]struct {
		said []patching.Hold // the newest last, as it was said
		want int             // minutes, of the hour from noon
	}{
		"nobody said anything":                    {nil, 0},
		"one was lifted":                          {[]patching.Hold{hold(10, 0), lift(25)}, 15},
		"one is in force":                         {[]patching.Hold{hold(40, 0)}, 20},
		"one was over by itself":                  {[]patching.Hold{hold(10, 20)}, 10},
		"one was lifted before it was over":       {[]patching.Hold{hold(10, 50), lift(20)}, 10},
		"one ends later":                          {[]patching.Hold{hold(50, 90)}, 10},
		"one began before":                        {[]patching.Hold{hold(-30, 0), lift(5)}, 5},
		"one was over before":                     {[]patching.Hold{hold(-30, 0), lift(-5)}, 0},
		"one began after":                         {[]patching.Hold{hold(70, 0)}, 0},
		"one took the place of another":           {[]patching.Hold{hold(10, 30), hold(20, 40)}, 30},
		"one was lifted and there was another":    {[]patching.Hold{hold(0, 0), lift(10), hold(50, 0), lift(55)}, 15},
		"one was over and then lifted once more":  {[]patching.Hold{hold(0, 10), lift(30)}, 10},
		"one was over before the next took place": {[]patching.Hold{hold(0, 10), hold(30, 35)}, 15},
	} {
		var newest []patching.Hold
		for _, h := range c.said {
			newest = append([]patching.Hold{h}, newest...)
		}
		require.Equal(t, time.Duration(c.want)*time.Minute, patching.HeldBetween(newest, noon, at(60)), name)
	}
}
