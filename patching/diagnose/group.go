package diagnose

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/patchcycle/patchcycle/patching"
)

// Kind is what a group of machines has in common.
type Kind string

// The kinds. Where two groups are the same machines, the one of the earlier kind
// is named: a relay whose site has no other.
const (
	KindRelay   Kind = "relay"
	KindSite    Kind = "site"
	KindAgent   Kind = "agent version"
	KindPackage Kind = "package" // machines that were to get it
	KindNamed   Kind = "failing package"
	KindRule    Kind = "window rule"
	KindRing    Kind = "ring"
	KindRelease Kind = "release"
)

// Kinds lists them, in that order.
func Kinds() []Kind {
	return []Kind{KindRelay, KindSite, KindAgent, KindPackage, KindNamed, KindRule, KindRing, KindRelease}
}

// LaidTo returns whose fault it is taken for when failures gather in a group of
// that kind.
func (k Kind) LaidTo() patching.Cause {
	switch k {
	case KindRelay, KindSite:
		return patching.CauseRelay
	case KindAgent:
		return patching.CauseAgent
	case KindRule, KindRing:
		return patching.CausePolicy
	default:
		return patching.CausePackage
	}
}

// Group is one group of machines.
type Group struct {
	Kind Kind
	Name string
}

func (g Group) compare(h Group) int {
	return cmp.Or(
		cmp.Compare(slices.Index(Kinds(), g.Kind), slices.Index(Kinds(), h.Kind)), strings.Compare(g.Name, h.Name))
}

// sample is what is compared: the cells that were tried, less the machines that
// earlier causes explain.
type sample struct {
	cells         []Cell
	packages      [][]string // of the bundle, by cell
	gone          []bool
	tried, failed int
}

func newSample(cells []Cell, packages func(patching.Digest) []string) *sample {
	s := &sample{}
	for _, c := range cells {
		if !c.Tried() || c.Machines <= 0 {
			continue
		}
		s.cells, s.packages = append(s.cells, c), append(s.packages, packages(c.Bundle))
		s.tried += c.Machines
		if c.Failed() {
			s.failed += c.Machines
		}
	}
	s.gone = make([]bool, len(s.cells))
	return s
}

// groups are those of a cell; what is not known is no group.
func (s *sample) groups(i int, each func(Group)) {
	c := &s.cells[i]
	for _, g := range []Group{
		{KindRelay, c.Relay},
		{KindSite, string(c.Site)},
		{KindAgent, c.Agent},
		{KindRule, c.Rule},
		{KindRing, string(c.Ring)},
		{KindRelease, c.OS},
	} {
		if g.Name != "" {
			each(g)
		}
	}
	for _, p := range s.packages[i] {
		each(Group{KindPackage, p})
	}
}

// blamed returns the package that the cell's failure names, if the failure is
// laid to what was installed: a full disk stops whichever package comes first.
func (c *Cell) blamed() string {
	if !c.Failed() || c.Reason.Cause() != patching.CausePackage {
		return ""
	}
	return patching.BlamedPackage(c.Signature)
}

// hypothesis is one comparison: that failures in a group are chance.
type hypothesis struct {
	Group
	same          []Group
	size, failed  int
	all, allFails int
	by            float64
	// logP is the logarithm of the chance, leastLogP that of the least chance that
	// the sizes allow.
	logP, leastLogP float64
	key             membership
}

// membership tells groups of the same machines from others: how many cells, and
// the sum of their numbers, well mixed. It says nothing of who failed.
type membership struct {
	cells int
	mixed uint64
}

func (h hypothesis) before(g hypothesis) bool {
	if d := h.logP - g.logP; math.Abs(d) > 1e-9*math.Abs(g.logP) {
		return d < 0
	}
	return h.compare(g.Group) < 0
}

// stands reports whether the difference is one that matters.
func (h hypothesis) stands(times float64) bool {
	if h.Kind == KindNamed {
		return float64(h.failed) >= times*h.by
	}
	outside, fails := h.all-h.size, h.allFails-h.failed
	return float64(h.failed)*float64(outside) >= times*float64(fails)*float64(h.size)
}

// hypotheses are the comparisons that could come out at all: groups that are
// large enough, and not everyone. Groups of the same machines are one.
func (s *sample) hypotheses(p Params) []hypothesis {
	count := map[Group]*hypothesis{}
	all, fails := 0, 0
	for i := range s.cells {
		if s.gone[i] {
			continue
		}
		c := &s.cells[i]
		failed := 0
		if c.Failed() {
			failed = c.Machines
		}
		all, fails = all+c.Machines, fails+failed
		s.groups(i, func(g Group) {
			h := count[g]
			if h == nil {
				h = &hypothesis{Group: g}
				count[g] = h
			}
			h.size, h.failed = h.size+c.Machines, h.failed+failed
			h.key.cells++
			h.key.mixed += mix(uint64(i))
		})
	}
	one := map[membership]*hypothesis{}
	var out []*hypothesis
	for _, g := range slices.SortedFunc(maps.Keys(count), Group.compare) {
		h := count[g]
		if h.size == all || min(h.size, fails) < p.Least {
			continue
		}
		if first := one[h.key]; first != nil {
			first.same = append(first.same, g)
			continue
		}
		h.all, h.allFails = all, fails
		h.logP, h.leastLogP = logTail(h.failed, h.size, fails, all), logTail(min(h.size, fails), h.size, fails, all)
		one[h.key] = h
		out = append(out, h)
	}
	out = append(out, s.named(p)...)
	found := make([]hypothesis, len(out))
	for i, h := range out {
		found[i] = *h
	}
	return found
}

// named are the packages that failures name. By chance each package of a bundle
// would be named as often as any other one of it. The failures' chances differ,
// and a binomial distribution of their mean is no less careful (Hoeffding 1956).
func (s *sample) named(p Params) []*hypothesis {
	count := map[string]*hypothesis{}
	naming := 0
	for i := range s.cells {
		c := &s.cells[i]
		blamed := c.blamed()
		if s.gone[i] || blamed == "" || !slices.Contains(s.packages[i], blamed) {
			continue
		}
		naming += c.Machines
		for _, name := range s.packages[i] {
			h := count[name]
			if h == nil {
				h = &hypothesis{Group: Group{KindNamed, name}}
				count[name] = h
			}
			h.by += float64(c.Machines) / float64(len(s.packages[i]))
			if name == blamed {
				h.failed += c.Machines
			}
		}
	}
	var out []*hypothesis
	for _, name := range slices.Sorted(maps.Keys(count)) {
		h := count[name]
		if naming < p.Least {
			continue
		}
		h.size, h.all, h.allFails = naming, naming, naming
		share := h.by / float64(naming)
		h.logP, h.leastLogP = logBinomial(h.failed, naming, share), float64(naming)*math.Log(min(1, share))
		out = append(out, h)
	}
	return out
}

// leave takes the machines out that a cause explains.
func (s *sample) leave(h hypothesis) {
	for i := range s.cells {
		if h.Kind == KindNamed {
			s.gone[i] = s.gone[i] || s.cells[i].blamed() == h.Name
			continue
		}
		s.groups(i, func(g Group) { s.gone[i] = s.gone[i] || g == h.Group })
	}
}

// cause words a hypothesis that chance does not explain. Of packages that came
// to the same machines the one is named that most failures name.
func (s *sample) cause(h hypothesis, limit float64, p Params) Cause {
	if h.Kind == KindPackage {
		names := map[string]int{}
		for i := range s.cells {
			if blamed := s.cells[i].blamed(); blamed != "" && !s.gone[i] && slices.Contains(s.packages[i], h.Name) {
				names[blamed] += s.cells[i].Machines
			}
		}
		for i, other := range h.same {
			if other.Kind == KindPackage && names[other.Name] > names[h.Name] {
				h.Group, h.same[i] = other, h.Group
			}
		}
		slices.SortFunc(h.same, Group.compare)
	}
	return Cause{
		Kind: h.Kind, Name: h.Name, Same: h.same, LaidTo: s.laidTo(h),
		Inside: h.size, InsideFailed: h.failed, Outside: h.all - h.size, OutsideFailed: h.allFails - h.failed, By: h.by,
		P: math.Exp(h.logP), Limit: limit, Rate: p.Rate,
	}
}

// laidTo is whose fault the kind is taken for. What gathers behind one path, but
// is not said to be the path's by half of the machines that failed there, is
// what they say: an application of one site that a patch breaks is no dead relay.
func (s *sample) laidTo(h hypothesis) patching.Cause {
	if h.Kind.LaidTo() != patching.CauseRelay {
		return h.Kind.LaidTo()
	}
	said := map[patching.Cause]int{}
	for i := range s.cells {
		c := &s.cells[i]
		if s.gone[i] || !c.Failed() {
			continue
		}
		s.groups(i, func(g Group) {
			if g == h.Group {
				said[c.Reason.Cause()] += c.Machines
			}
		})
	}
	for _, other := range []patching.Cause{patching.CausePackage, patching.CausePolicy, patching.CauseAgent} {
		if 2*said[other] > h.failed {
			return other
		}
	}
	return patching.CauseRelay
}

// single counts the failures that are left.
func (s *sample) single() []Count {
	count := map[patching.Reason]int{}
	for i := range s.cells {
		if c := &s.cells[i]; !s.gone[i] && c.Failed() {
			count[c.Reason] += c.Machines
		}
	}
	return counts(count)
}

// mix is the finalizer of splitmix64: sums of it tell sets of numbers apart.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
