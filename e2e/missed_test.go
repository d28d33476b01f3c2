package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/window"
)

// missing is a cycle of a fleet at three places: machines of the first may be patched at
// any time; of the second from now on, until the window of the third opens, for a minute.
type missing struct {
	*site
	id          patching.CycleID
	soon, later patching.SiteName // the second and the third
	opens       time.Time         // the window of the third
	index       map[string]int    // of machines, by their hostname
}

// ahead is how long it takes at least until the third window opens, and before what is left
// of that the line has to be cut. A relay counts as listening for 20 s after its last word.
const (
	ahead = 50 * time.Second
	left  = 10 * time.Second
	mute  = 25 * time.Second // the silence that the policy allows
)

func newMissing(t *testing.T, h *house, name string) *missing {
	t.Helper()
	m := &missing{soon: patching.SiteName(name + "-soon"), later: patching.SiteName(name + "-later"), index: map[string]int{}}
	profile := truth.Profile{Machines: 15}
	for _, site := range []patching.SiteName{patching.SiteName(name), m.soon, m.later} {
		profile.Sites = append(profile.Sites, truth.Site{Name: site, Zone: "Europe/Amsterdam"})
	}
	m.site = h.newSite(t, name, profile, func(all []truth.Machine, r *rules) {
		var first []truth.Machine
		for _, one := range all {
			m.index[one.Facts.Hostname] = one.Index
			if string(one.Site.Name) == name && one.Variant != truth.Current {
				first = append(first, one)
			}
		}
		// One of them is left for the last ring, so that it has an answer.
		r.Test, r.TestCount, r.EarlyCount, r.Batch = hosts(first[1:]), len(first)-1, 0, 2
		r.Silence = mute
		r.CloseAfter = "25h" // whenever the calendar would start it, a daily window opens
		now := time.Now().Truncate(time.Minute)
		m.opens = time.Now().Add(ahead + time.Minute).Truncate(time.Minute)
		r.Places = []place{{string(m.soon), daily(t, now, m.opens.Sub(now))}, {string(m.later), daily(t, m.opens, time.Minute)}}
	})
	m.id = m.begin(t)
	return m
}

// daily is the rule of a window that opens then, in Amsterdam. A minute is the shortest
// that a rule can say.
func daily(t *testing.T, opens time.Time, length time.Duration) string {
	t.Helper()
	zone, err := window.Zone("Europe/Amsterdam")
	require.NoError(t, err)
	return "daily " + opens.In(zone).Format("15:04") + " for " + window.FormatDuration(length)
}

// broad returns the machines of the last ring at a place.
func (m *missing) broad(t *testing.T, place patching.SiteName) map[string]wire.Deployment {
	t.Helper()
	some := map[string]wire.Deployment{}
	for host, d := range m.machines(t, m.id) {
		if d.Ring == "broad" && d.Site == place {
			some[host] = d
		}
	}
	return some
}

// witnessed returns what a machine's own package manager has on record.
func (m *missing) witnessed(t *testing.T, host string) []sim.Event {
	t.Helper()
	all, err := sim.Witnessed(m.dir)
	require.NoError(t, err)
	return all[m.index[host]]
}

// cutAtWork approves the cycle and cuts the line as soon as the package manager of a
// machine of the second place has begun, before it goes on. It reports whether that came
// in time before the window of the third place opens.
func (m *missing) cutAtWork(t *testing.T) bool {
	t.Helper()
	var some []int
	for _, one := range m.fleet.Truth() {
		if one.Site.Name == m.soon {
			some = append(some, one.Index)
		}
	}
	last := m.opens.Add(-left)
	cut := func() {
		all, err := sim.Witnessed(m.dir)
		if err == nil && slices.ContainsFunc(some, func(i int) bool { return len(all[i]) > 0 }) && time.Now().Before(last) {
			m.line.cut.Store(true)
		}
	}
	m.onEvent.Store(&cut)
	m.approve(t, m.id)
	for !m.line.cut.Load() && time.Now().Before(last) {
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("cut: %t, %s before the window of %s opens", m.line.cut.Load(), time.Until(m.opens), m.later)
	return m.line.cut.Load()
}

// Serves Q5, Q8, G3, G8: a line that is cut before a window opens and comes back when it has
// closed. Who was at work comes to an end, says so later and did nothing twice; who was to
// begin did not, and that is laid to the path: no gate counts it, nothing goes back.
func TestAWindowThatPassesWhileTheLineIsCutIsLaidToThePath(t *testing.T) {
	t.Parallel() // it waits, most of the time
	h := newHouse(t, func(c *serve.Config) { c.UI = "" })
	var m *missing
	for n := 1; m == nil; n++ {
		// On a machine that is very busy the third window may open too early.
		require.Less(t, n, 4, "no machine came to be at work before the next window opened")
		if tried := newMissing(t, h, fmt.Sprintf("missed-%d", n)); tried.cutAtWork(t) {
			m = tried
		}
	}

	// Both windows pass, and the cycle gives up whoever it waited for.
	until(t, 8*time.Minute, "the end of both windows", func() bool {
		for _, place := range []patching.SiteName{m.soon, m.later} {
			for _, d := range m.broad(t, place) {
				if d.Outcome == "" || !time.Now().After(d.End) {
					return false
				}
			}
		}
		return true
	})
	atWork := 0
	for _, place := range []patching.SiteName{m.soon, m.later} {
		for host, d := range m.broad(t, place) {
			require.LessOrEqual(t, d.End.Sub(d.Start), 3*time.Minute, host)
			if d.Outcome == patching.Patched {
				continue // it had said so before
			}
			require.Equal(t, patching.ReasonPathDown, d.Reason, "%s ended as %s: %s", host, d.Outcome, d.Why)
			require.Equal(t, patching.CauseRelay, d.Reason.Cause())
			require.Contains(t, []patching.Outcome{patching.Unreachable, patching.Deferred}, d.Outcome, host)
			if len(m.witnessed(t, host)) > 0 {
				atWork++
			}
		}
	}
	require.Positive(t, atWork, "a machine was at work when the line was cut")
	m.line.cut.Store(false)

	c := h.await(t, m.id, patching.PhaseClosed)
	require.Equal(t, patching.ClosedWithExceptions, c.ClosedAs, c.Words)
	require.NotContains(t, c.Words, "ended early")
	h.requireConserved(t, m.id, 15)
	m.requireNoRepeat(t)
	half, err := sim.HalfDone(m.dir)
	require.NoError(t, err)
	require.Empty(t, half)
	for _, o := range []patching.Outcome{patching.Failed, patching.NeedsHands, patching.RolledBack} {
		require.Zero(t, c.Outcomes[o], "%v: %s", c.Outcomes, c.Words)
	}
	m.requireInsideOrNot(t)
	decisions, err := h.admin.Decisions(t.Context(), m.id)
	require.NoError(t, err)
	last := decisions.Items[len(decisions.Items)-1]
	require.Equal(t, patching.RingID(m.id, "broad"), last.Subject)
	require.Equal(t, patching.Proceed, last.Verb, last.Why)
	require.Contains(t, last.Why, "none failed")
	t.Log(last.Why, c.Words)
}

// requireInsideOrNot checks each machine that had a short window against its package
// manager's log: it began inside and was patched, or it was not touched.
func (m *missing) requireInsideOrNot(t *testing.T) {
	t.Helper()
	patched, unheard, deferred := 0, 0, 0
	for _, place := range []patching.SiteName{m.soon, m.later} {
		for host, d := range m.broad(t, place) {
			events := m.witnessed(t, host)
			if len(events) == 0 {
				require.Contains(t, []patching.Reason{patching.ReasonPathDown, patching.ReasonWindowOver}, d.Reason, "%s ended as %s: %s", host, d.Outcome, d.Why)
				require.False(t, d.Outcome.Bad(), "%s ended as %s", host, d.Outcome)
				if d.Outcome == patching.Unreachable {
					unheard++
				} else {
					deferred++
				}
				continue
			}
			require.Equal(t, m.soon, place, "%s was patched in a window in which nobody could reach it", host)
			require.Equal(t, patching.Patched, d.Outcome, "%s: %s", host, d.Why)
			patched++
			record, err := m.admin.Machine(t.Context(), m.id, d.Asset)
			require.NoError(t, err)
			i := slices.IndexFunc(record.Receipts, func(r wire.Receipt) bool { return r.Stage == patching.StageStarted })
			require.GreaterOrEqual(t, i, 0, host)
			began := record.Receipts[i].At
			require.True(t, !began.Before(d.Start) && began.Before(d.End), "%s began at %s, its window is from %s to %s", host, began, d.Start, d.End)
			require.False(t, events[0].At.Before(began), "%s did something before it began", host)
		}
	}
	require.Positive(t, patched)
	require.Positive(t, unheard, "machines had their start permits and could not hear of them")
	require.Positive(t, deferred, "machines had no permit yet")
	t.Logf("of those with a short window: %d patched, %d unreachable, %d deferred", patched, unheard, deferred)
}
