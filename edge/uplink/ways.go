package uplink

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Ways chooses among the ways to the server that a machine knows: the first one that
// works, in the order of preference. One that failed is left alone for a while, longer
// each time; when that is over it is tried first again, so that a machine comes back to
// the way that it prefers. All methods are safe for concurrent use.
type Ways struct {
	rest, most time.Duration
	now        func() time.Time

	mu   sync.Mutex
	ways []way
}

type way struct {
	failures int
	until    time.Time // it is left alone
}

// NewWays returns n ways. One that failed rests for about rest [30 s], doubled with each
// failure up to most [10 min]; now is the clock [time.Now].
func NewWays(n int, rest, most time.Duration, now func() time.Time) *Ways {
	if rest == 0 {
		rest = 30 * time.Second
	}
	if most == 0 {
		most = 10 * time.Minute
	}
	if now == nil {
		now = time.Now
	}
	return &Ways{rest: rest, most: most, now: now, ways: make([]way, n)}
}

// Order returns the ways as they should be tried now: those that do not rest by
// preference, and then those that do, the one first that has rested longest.
func (w *Ways) Order() []int {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	order := make([]int, len(w.ways))
	for i := range order {
		order[i] = i
	}
	rests := func(i int) time.Duration { return max(0, w.ways[i].until.Sub(now)) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rests(a), rests(b)) })
	return order
}

// Worked notes that a way was answered on.
func (w *Ways) Worked(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ways[i] = way{}
}

// Failed notes that a way was not. Spread, because a relay's machines fail together
// and should not come back as one.
func (w *Ways) Failed(i int) {
	now := w.now()
	w.mu.Lock()
	defer w.mu.Unlock()
	one := &w.ways[i]
	if one.until.After(now) { // several requests failed at once: that is one failure
		return
	}
	rest := w.most
	if shift := min(one.failures, 20); w.rest<<shift < w.most {
		rest = w.rest << shift
	}
	one.failures++
	one.until = now.Add(rest/2 + rand.N(rest/2+1))
}

// Current is the preferred one of the ways that did not fail when they were last tried;
// the preferred one of all if none is left.
func (w *Ways) Current() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(0, slices.IndexFunc(w.ways, func(one way) bool { return one.failures == 0 }))
}
