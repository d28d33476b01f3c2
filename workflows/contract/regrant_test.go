package contract

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
)

func lapses(rings ...patching.RingName) (out []Lapse) {
	for _, r := range rings {
		out = append(out, Lapse{Ring: r, Why: "nobody has signed for ring " + string(r)})
	}
	return out
}

// Serves U1, Q15.
func TestARingIsAskedForAgainIfNothingHoldsForItAndTheCycleGoesOn(t *testing.T) {
	for what, c := range map[string]struct {
		state   CycleState
		lapsed  []Lapse
		asks    bool
		cleared []patching.RingName
	}{
		"all holds":    {CycleState{}, nil, false, []patching.RingName{"early", "broad"}},
		"another's":    {CycleState{}, lapses("broad"), false, []patching.RingName{"early", "broad"}},
		"its own":      {CycleState{}, lapses("early"), true, []patching.RingName{"broad"}},
		"of all":       {CycleState{}, lapses("early", "broad"), true, nil},
		"it is ending": {CycleState{Ending: &Ending{}}, lapses("early"), false, []patching.RingName{"early", "broad"}},
	} {
		s := c.state
		s.Cleared = []patching.RingName{"early", "broad"}
		require.Equal(t, c.asks, s.AskAgain("early", c.lapsed), what)
		require.ElementsMatch(t, c.cleared, s.Cleared, what)
		require.Equal(t, c.asks, s.Regrant != nil, what)
		if c.asks {
			require.Equal(t, "nobody has signed for ring early", s.Regrant.Why, what)
		}
	}
}

// Serves U1, G9.
func TestTheWayBackOfWhatIsDoneIsSignedForWithTheNextRing(t *testing.T) {
	done := []RingState{{Name: "test", Ended: true}, {Name: "early", Ended: true, RolledBack: true}, {Name: "broad"}}
	for what, c := range map[string]struct {
		votes   []patching.Approval
		before  *Regrant
		lapsed  []Lapse
		regrant *Regrant
	}{
		"all is covered":                     {nil, nil, nil, nil},
		"the way back of a ring is not":      {nil, nil, lapses("test", "early", "broad"), &Regrant{Why: "nobody has signed for ring test", Back: []patching.RingName{"test"}}},
		"it is asked for another reason":     {nil, &Regrant{Why: "an epoch"}, lapses("test"), &Regrant{Why: "an epoch", Back: []patching.RingName{"test"}}},
		"it is asked, and is covered by now": {nil, &Regrant{Why: "an epoch", Back: []patching.RingName{"test"}}, nil, &Regrant{Why: "an epoch"}},
		"somebody has voted without it":      {[]patching.Approval{{}}, nil, lapses("test"), nil},
	} {
		s := CycleState{Rings: done, Votes: c.votes, Regrant: c.before}
		s.CoverBack(c.lapsed)
		require.Equal(t, c.regrant, s.Regrant, what)
	}
}
