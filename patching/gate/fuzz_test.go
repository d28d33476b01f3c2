package gate_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
)

// A tally that is accepted is written again byte for byte, and terms and tally are enough
// to decide.
func FuzzEvidence(f *testing.F) {
	f.Add([]byte("x"), patching.Tally{Planned: 2, Outcomes: map[patching.Outcome]int{patching.Patched: 1}}.Canonical())
	f.Fuzz(func(t *testing.T, terms, tally []byte) {
		q, err := gate.ParseTerms(terms)
		if err != nil {
			q = gate.Question{}
		}
		if q.Tally, err = gate.ParseTally(tally); err != nil {
			return
		}
		require.Equal(t, tally, q.Tally.Canonical())
		_ = gate.Decide(q, time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC))
	})
}
