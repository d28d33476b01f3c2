package patching_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
)

func aTally(t *rapid.T) patching.Tally {
	label := rapid.SampledFrom([]string{"openssl: postinst", "nginx: postinst", patching.OtherSignatures, "two\nlines", "a\tb", "\xff", ""})
	tally := patching.Tally{Outcomes: map[patching.Outcome]int{}, HostHours: rapid.Float64Range(0, 1000).Draw(t, "hours")}
	for i := range rapid.IntRange(0, 25).Draw(t, "signatures") {
		name := label.Draw(t, "signature")
		if rapid.Bool().Draw(t, "distinct") {
			name = fmt.Sprint(name, i)
		}
		tally.Signatures = append(tally.Signatures, patching.SignatureCount{Signature: name, Count: rapid.IntRange(1, 9).Draw(t, "count")})
	}
	for range rapid.IntRange(0, 5).Draw(t, "strata") {
		tally.Strata = append(tally.Strata, patching.StratumCount{Stratum: label.Draw(t, "stratum"), Answered: 3, Bad: 1})
	}
	for _, o := range patching.Outcomes() {
		if n := rapid.IntRange(0, 4).Draw(t, string(o)); n > 0 {
			tally.Outcomes[o] = n
		}
	}
	return tally
}

// Serves G8: a tally is bounded, and has one digest.
func TestANormalTallyIsBoundedAndLosesNoFailure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tally := aTally(t)
		failures := 0
		for _, s := range tally.Signatures {
			failures += s.Count
		}
		tally.Normalize()
		require.LessOrEqual(t, len(tally.Signatures), patching.MaxSignatures)
		for _, s := range tally.Signatures {
			failures -= s.Count
		}
		require.Zero(t, failures, "what is not named is counted")

		lines := strings.Count(string(tally.Canonical()), "\n")
		require.Equal(t, 2+len(tally.Outcomes)+len(tally.Signatures)+len(tally.Strata), lines, "what machines send cannot add lines")

		digest := tally.Digest()
		tally.Normalize()
		require.Equal(t, digest, tally.Digest(), "a normal tally stays as it is")
	})
}

func TestTheMostFrequentFailuresAreNamed(t *testing.T) {
	var tally patching.Tally
	for i := range 14 {
		tally.Signatures = append(tally.Signatures, patching.SignatureCount{Signature: fmt.Sprintf("p%02d: postinst", i), Count: i + 1})
	}
	tally.Normalize()
	assert.Equal(t, patching.SignatureCount{Signature: "p13: postinst", Count: 14}, tally.Signatures[0])
	assert.Equal(t, patching.SignatureCount{Signature: patching.OtherSignatures, Count: 5 + 4 + 3 + 2 + 1}, tally.Signatures[patching.MaxSignatures-1])
	tally = patching.Tally{Signatures: slices.Clone(tally.Signatures[:patching.MaxSignatures-1])}
	tally.Signatures = append(tally.Signatures, patching.SignatureCount{Signature: "p99: postinst", Count: 1})
	tally.Normalize()
	assert.Equal(t, "p99: postinst", tally.Signatures[patching.MaxSignatures-1].Signature, "ten failures fit")
}

func TestATallyCountsWhatItHolds(t *testing.T) {
	tally := patching.Tally{Released: 9, Answered: 6, Outcomes: map[patching.Outcome]int{
		patching.Patched: 3, patching.Failed: 1, patching.NeedsHands: 1, patching.RolledBack: 1, patching.Unreachable: 2, patching.Deferred: 4,
	}}
	assert.Equal(t, 3, tally.Bad())
	assert.Equal(t, 12, tally.Ended())
	assert.Equal(t, 3, tally.Waiting())
	assert.Zero(t, patching.Tally{Answered: 1}.Waiting(), "a machine that answered before it was asked")
}

// Host-hours grow with every look: a tenth of an hour more is the same tally.
func TestTheDigestChangesWithTheCounts(t *testing.T) {
	tally := patching.Tally{Planned: 5, HostHours: 10.01}
	same := tally
	same.HostHours = 10.04
	assert.Equal(t, tally.Digest(), same.Digest())
	same.Answered = 1
	assert.NotEqual(t, tally.Digest(), same.Digest())
}
