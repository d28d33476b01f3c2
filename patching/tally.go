package patching

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
)

// MaxSignatures bounds the failure signatures that a tally names; the rest is
// counted as "other". A tally travels through workflow histories.
const MaxSignatures = 10

// Tally counts what is known of a slice of a cycle (a ring, a wave). It is all
// that a gate sees.
type Tally struct {
	Planned  int // machines in the slice
	Released int // given the start permit ("offered"), and not taken back unanswered
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
	for _, o := range Outcomes() { // not the map: workflows ask, and must ask in one order
		if o.Bad() {
			n += t.Outcomes[o]
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

// Open returns how many released machines may still answer: those whom the
// cycle has given up as unreachable are no longer waited for.
func (t Tally) Open() int { return max(0, t.Waiting()-t.Outcomes[Unreachable]) }

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

// OtherSignatures is what a tally calls the failures beyond those that it
// names: they did not fail in the same way.
const OtherSignatures = "other"

// Normalize sorts the lists, folds signatures beyond [MaxSignatures] into one
// and takes control characters out of what machines sent, which could otherwise
// write lines of the canonical text. A normal tally stays as it is.
func (t *Tally) Normalize() {
	other := SignatureCount{Signature: OtherSignatures}
	named := make([]SignatureCount, 0, len(t.Signatures))
	for _, s := range t.Signatures {
		if s.Signature = label(s.Signature); s.Signature == OtherSignatures {
			other.Count += s.Count
			continue
		}
		named = append(named, s)
	}
	slices.SortFunc(named, func(a, b SignatureCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(a.Signature, b.Signature))
	})
	if len(named) > MaxSignatures || other.Count > 0 {
		keep := min(len(named), MaxSignatures-1)
		for _, s := range named[keep:] {
			other.Count += s.Count
		}
		named = append(named[:keep], other)
	}
	t.Signatures = named
	for i := range t.Strata {
		t.Strata[i].Stratum = label(t.Strata[i].Stratum)
	}
	slices.SortFunc(t.Strata, func(a, b StratumCount) int { return strings.Compare(a.Stratum, b.Stratum) })
}

// label makes one line without tabs of what a machine sent.
func label(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}
