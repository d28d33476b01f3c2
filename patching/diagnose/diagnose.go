// Package diagnose decides why a cycle's machines failed: what the failures have
// in common, as far as that is more than chance, and what is done about it
// (docs/causes.md).
//
// It compares the machines of one relay, site, agent version, package, rule or
// release with all others of the cycle, by Fisher's exact test, and says of
// failures what package they name more often than chance would. Both come with
// one stated error rate for all comparisons together.
package diagnose

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Cell counts machines of a cycle that are alike in all that a failure could be
// laid to. A fleet of 1,000,000 has a few thousand cells, and at most as many as
// machines.
type Cell struct {
	// Relay is the route by which the machines were last heard; empty: direct.
	Relay string
	Site  patching.SiteName
	Agent string // version of the agent; empty: not known
	OS    string // name and release; empty: not known
	Rule  string // of the window
	Ring  patching.RingName
	// Bundle is what they were to install.
	Bundle patching.Digest
	// Released and Answered say whether the machines got their start permit, and
	// whether they gave the outcome themselves.
	Released, Answered bool
	Outcome            patching.Outcome
	Reason             patching.Reason
	Signature          string // of failed machines only
	Machines           int
}

// Failed reports whether the machines count as failed: their outcome speaks
// against the patch, they kept silent, or they themselves say that something was
// in their way. What the plan or a person left out has not failed.
func (c Cell) Failed() bool {
	switch {
	case c.undone():
		return false
	case c.Outcome.Bad():
		return true
	case c.Outcome == patching.Unreachable:
		return c.Released
	case c.Outcome == patching.Deferred:
		_, ours := c.Reason.LeavesAs()
		return c.Answered && !ours
	default:
		return false
	}
}

// Tried reports whether the machines show anything: they were started, and it is
// known how that ended. Those that were rolled back show nothing any more: some
// had failed, others shared their ring.
func (c Cell) Tried() bool {
	ended := c.Outcome == patching.Patched || c.Outcome == patching.AlreadyUpToDate
	return c.Failed() || ended && (c.Released || c.Answered)
}

// undone reports whether the outcome is that of a roll-back.
func (c Cell) undone() bool {
	return c.Outcome == patching.RolledBack || c.Reason == patching.ReasonRollBackFailed || c.Reason == patching.ReasonIrreversible
}

// Params are the limits of a diagnosis.
type Params struct {
	// Rate is the error rate of the family: where failures are random, anything at
	// all is named in that share of diagnoses at most.
	Rate float64
	// Least is how many machines of a group have to have failed for it to be named.
	Least int
	// Times is how much more often machines of the group have to fail than others.
	// In a large fleet a difference that nobody would act upon is no chance either.
	Times float64
}

// Defaults are the limits that cycles are diagnosed by: one wrong name in a
// hundred cycles, from three failures on, for what fails twice as often.
func Defaults() Params { return Params{Rate: 0.01, Least: 3, Times: 2} }

// most bounds the causes of a diagnosis: who has five has another problem.
const most = 5

// Diagnosis is what is known of a cycle's failures, or those of one of its rings.
type Diagnosis struct {
	// Tried counts the machines that showed something, Failed those of them that
	// failed; Missed is why others were not tried, the most frequent first.
	Tried, Failed int
	Missed        []Count
	// Rate, Least and Tested say how it was found: the error rate, the fewest
	// failures, and how many comparisons share the rate.
	Rate   float64
	Least  int
	Tested int
	// Causes are what failures have in common beyond chance, the surest first.
	Causes []Cause
	// Single are the failures that share nothing of that, by what their machines
	// said: each is its machine's own.
	Single []Count
}

// Count is how many machines ended for a reason, and whom that is laid to.
type Count struct {
	Reason   patching.Reason
	LaidTo   patching.Cause
	Machines int
}

// Cause is something that failures have in common.
type Cause struct {
	Kind Kind
	// Name of the relay, the site, the version, …
	Name string
	// Same names what the same machines have in common too: by them alone it could
	// be that as well.
	Same []Group
	// LaidTo is whose fault it is taken for.
	LaidTo patching.Cause
	// Inside counts the machines of the group, Outside all others, among those that
	// earlier causes left. Of a package that failures name, Inside are the failures
	// that name one at all, and By is how many would name this one by chance.
	Inside, InsideFailed   int
	Outside, OutsideFailed int
	By                     float64
	// P is how likely that much or more is by chance, before the correction;
	// Limit is what it had to stay below so that all comparisons together keep
	// the rate.
	P, Limit float64
	Rate     float64
}

// Of diagnoses cells. The names of the packages of a bundle are asked of
// packages; a bundle that it does not know has none.
//
// Holm's step-down: the surest group is named if it passes, and the next one is
// looked for among the machines that are left, so that what merely shares
// machines with it (the site of a dead relay) is not named beside it.
func Of(cells []Cell, packages func(patching.Digest) []string, p Params) Diagnosis {
	s := newSample(cells, packages)
	d := Diagnosis{Tried: s.tried, Failed: s.failed, Rate: p.Rate, Least: p.Least, Missed: missed(cells)}
	for len(d.Causes) < most {
		hypotheses := s.hypotheses(p)
		if len(d.Causes) == 0 {
			d.Tested = len(hypotheses)
		}
		best, limit, found := surest(hypotheses, p)
		if !found {
			break
		}
		d.Causes = append(d.Causes, s.cause(best, limit, p))
		s.leave(best)
	}
	d.Single = s.single()
	return d
}

// surest returns the least likely group, if chance does not explain it.
func surest(all []hypothesis, p Params) (best hypothesis, limit float64, found bool) {
	limit = threshold(all, p.Rate)
	for _, h := range all {
		if h.failed < p.Least || h.logP > math.Log(limit) || !h.stands(p.Times) {
			continue
		}
		if !found || h.before(best) {
			best, found = h, true
		}
	}
	return best, limit, found
}

// threshold divides the rate by the number of comparisons that can come out at
// all: a group of three machines of which all fail may still be chance, and
// costs the others nothing (Tarone 1990, A modified Bonferroni method for
// discrete data). It depends on sizes, not on who failed, and so keeps the rate.
func threshold(all []hypothesis, rate float64) float64 {
	least := make([]float64, len(all))
	for i, h := range all {
		least[i] = h.leastLogP
	}
	slices.Sort(least)
	for k := 1; ; k++ {
		can, _ := slices.BinarySearchFunc(least, math.Log(rate/float64(k)), func(p, limit float64) int {
			if p <= limit {
				return -1
			}
			return 1
		})
		if can <= k {
			return rate / float64(k)
		}
	}
}

func missed(cells []Cell) []Count {
	count := map[patching.Reason]int{}
	for _, c := range cells {
		if !c.Tried() && c.Outcome != "" && !c.undone() {
			count[c.Reason] += c.Machines
		}
	}
	return counts(count)
}

func counts(of map[patching.Reason]int) []Count {
	var out []Count
	for r, n := range of {
		out = append(out, Count{Reason: r, LaidTo: r.Cause(), Machines: n})
	}
	slices.SortFunc(out, func(a, b Count) int {
		return cmp.Or(cmp.Compare(b.Machines, a.Machines), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	return out
}
