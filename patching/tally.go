package patching

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MaxSignatures bounds the failure signatures that a tally names; the rest is
// counted as "other". A tally travels through workflow histories.
const MaxSignatures = 10

// Tally counts what is known of a slice of a cycle (a ring, a wave). It is all
// that a gate sees.
type Tally struct {
	Planned  int // machines in the slice
	Released int // given the start permit ("offered")
	Answered int // have an outcome from the machine
	// Outcomes counts every deployment of the slice that has ended.
	Outcomes map[Outcome]int
	// Signatures names the failures that look alike, most frequent first.
	Signatures []SignatureCount
	// HostHours is the healthy time since machines came back, summed, in hours.
	HostHours float64
	// Strata counts answered and bad ones by kind of machine.
	Strata []StratumCount
	// PathDown counts released machines without an answer whose relay, or the
	// server itself, was not listening: their silence says nothing.
	PathDown int
	// Reported counts problems that people raised against the cycle's patches.
	Reported int
	// LastAnswer is when the newest answer came; zero: none yet.
	LastAnswer time.Time
}

// SignatureCount is a failure signature and how often it was seen.
type SignatureCount struct {
	Signature string
	Count     int
}

// StratumCount is how one kind of machine fared.
type StratumCount struct {
	Stratum  string
	Answered int
	Bad      int
}

// Bad returns how many outcomes speak against the patch.
func (t Tally) Bad() int {
	n := 0
	for o, c := range t.Outcomes {
		if o.Bad() {
			n += c
		}
	}
	return n
}

// Ended returns how many deployments of the slice have an outcome.
func (t Tally) Ended() int {
	n := 0
	for _, c := range t.Outcomes {
		n += c
	}
	return n
}

// Waiting returns how many released machines have not answered.
func (t Tally) Waiting() int { return max(0, t.Released-t.Answered) }

// Canonical returns the text whose digest names the tally in a decision.
// HostHours is rounded to a tenth: it grows with every look.
func (t Tally) Canonical() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "tally v1\n%d\t%d\t%d\t%d\t%d\t%.1f\n", t.Planned, t.Released, t.Answered, t.PathDown, t.Reported, t.HostHours)
	for _, o := range Outcomes() {
		if n := t.Outcomes[o]; n > 0 {
			fmt.Fprintf(&b, "%s\t%d\n", o, n)
		}
	}
	for _, s := range t.Signatures {
		fmt.Fprintf(&b, "signature\t%s\t%d\n", s.Signature, s.Count)
	}
	for _, s := range t.Strata {
		fmt.Fprintf(&b, "stratum\t%s\t%d\t%d\n", s.Stratum, s.Answered, s.Bad)
	}
	return b.Bytes()
}

// Digest addresses the tally.
func (t Tally) Digest() Digest { return DigestOf(t.Canonical()) }

// Normalize sorts the lists and folds signatures beyond [MaxSignatures] into one.
func (t *Tally) Normalize() {
	slices.SortFunc(t.Signatures, func(a, b SignatureCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Signature, b.Signature)
	})
	if len(t.Signatures) > MaxSignatures {
		other := SignatureCount{Signature: "other"}
		for _, s := range t.Signatures[MaxSignatures-1:] {
			other.Count += s.Count
		}
		t.Signatures = append(t.Signatures[:MaxSignatures-1], other)
	}
	slices.SortFunc(t.Strata, func(a, b StratumCount) int { return strings.Compare(a.Stratum, b.Stratum) })
}
