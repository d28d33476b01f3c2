package plan

import (
	"cmp"
	"container/heap"
	"slices"

	"github.com/patchcycle/patchcycle/patching"
)

// pick takes up to room machines from a pool so that they mirror it (G5):
// first one of every kind of machine and of every site while there is room,
// then each pair of site and kind by its share. The pool is in rank order; the
// same pool always gives the same machines.
func pick(pool []*machine, room int) []*machine {
	if room >= len(pool) {
		return pool
	}
	cells := cellsOf(pool)
	picked := cover(cells, room)
	shares := byShare(slices.DeleteFunc(cells, func(c *cell) bool { return c.taken == len(c.members) }))
	heap.Init(&shares)
	for len(picked) < room && len(shares) > 0 {
		c := shares[0]
		picked = append(picked, c.take())
		if c.taken == len(c.members) {
			heap.Pop(&shares)
		} else {
			heap.Fix(&shares, 0)
		}
	}
	return picked
}

// cell is all machines of one kind at one site.
type cell struct {
	site    patching.SiteName
	stratum string
	members []*machine
	taken   int
}

func (c *cell) take() *machine {
	m := c.members[c.taken]
	c.taken++
	return m
}

func (c *cell) compare(o *cell) int {
	return cmp.Or(cmp.Compare(len(o.members), len(c.members)), cmp.Compare(c.stratum, o.stratum), cmp.Compare(c.site, o.site))
}

// cellsOf returns the pool's cells, the largest first.
func cellsOf(pool []*machine) []*cell {
	type key struct {
		site    patching.SiteName
		stratum string
	}
	found := map[key]*cell{}
	var cells []*cell
	for _, m := range pool {
		k := key{m.item.Site, m.item.Stratum}
		c := found[k]
		if c == nil {
			c = &cell{site: k.site, stratum: k.stratum}
			found[k] = c
			cells = append(cells, c)
		}
		c.members = append(c.members, m)
	}
	for _, c := range cells {
		c.members = alternate(c.members)
	}
	slices.SortFunc(cells, (*cell).compare)
	return cells
}

// alternate reorders machines so that the first few have as many different
// bundles as there are; carried over machines stay in front.
func alternate(members []*machine) []*machine {
	seen := map[patching.Digest]int{}
	for _, m := range members {
		m.round = seen[m.item.Bundle]
		seen[m.item.Bundle]++
	}
	slices.SortStableFunc(members, func(x, y *machine) int {
		if x.carried != y.carried {
			return x.before(y)
		}
		return cmp.Compare(x.round, y.round)
	})
	return members
}

// cover takes one machine after the other, each of a kind and if possible of a
// site that has none yet. A new kind counts for more: machines of a kind fail
// alike, whereas a bad site shows in its first wave.
func cover(cells []*cell, room int) []*machine {
	kinds, sites := map[string]bool{}, map[patching.SiteName]bool{}
	var picked []*machine
	for len(picked) < room {
		var best *cell
		gain := 0
		for _, c := range cells {
			g := 0
			if !kinds[c.stratum] {
				g += 2
			}
			if !sites[c.site] {
				g++
			}
			if g > gain && c.taken < len(c.members) {
				best, gain = c, g
			}
		}
		if best == nil {
			break
		}
		kinds[best.stratum], sites[best.site] = true, true
		picked = append(picked, best.take())
	}
	return picked
}

// byShare is a heap of cells that have machines left, the one that its share
// entitles most to the next place on top (the divisors are those of Webster:
// 1, 3, 5, …).
type byShare []*cell

func (h byShare) Len() int      { return len(h) }
func (h byShare) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h byShare) Less(i, j int) bool {
	a, b := h[i], h[j]
	// len(a)/(2a+1) > len(b)/(2b+1), without fractions
	x, y := len(a.members)*(2*b.taken+1), len(b.members)*(2*a.taken+1)
	return x > y || x == y && a.compare(b) < 0
}

// Push implements [heap.Interface].
func (h *byShare) Push(x any) { *h = append(*h, x.(*cell)) }

// Pop implements [heap.Interface].
func (h *byShare) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}
