package sim

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves Q1, Q2.
func TestAFleetEnrolsReportsAndInstallsEveryUpdateOnce(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	f := h.run(Options{
		Dir: dir, Speed: 2000, Direct: []patching.SiteName{"berlin"},
		Profile: truth.Profile{Machines: 50, Seed: 1, Sites: truth.DefaultSites(3), Flaky: 2},
	})
	assets := h.inventoried(50)
	<-f.Ready()
	busy := h.deploy(assets)
	require.Greater(t, busy, 35)
	h.eventually(2*time.Minute, "results", func() bool { return h.outcomes()[""] == 0 })
	require.Equal(t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())

	n, details, err := Repeats(dir)
	require.NoError(t, err)
	require.Zero(t, n, "%v", details)
	events, err := Events(dir)
	require.NoError(t, err)
	require.Equal(t, events[Unpacked], events[Configured])
	h.eventually(time.Minute, "fresh inventories that show nothing to do", func() bool {
		now, err := h.store.Assets(t.Context(), store.AssetFilter{})
		require.NoError(t, err)
		for _, a := range now {
			text, err := h.store.Content(t.Context(), a.Candidates)
			if err != nil || a.RebootPending {
				return false
			}
			set, err := patching.ParseCandidateSet(text)
			require.NoError(t, err)
			if len(set.Candidates) > 0 {
				return false
			}
		}
		return true
	})
}

func TestAFleetThatIsKilledAgainAndAgainFinishesWhatItBegan(t *testing.T) {
	for _, kills := range [][]int64{{1}, {400, 60, 700}, {1500, 5}} {
		t.Run(fmt.Sprintf("at events %d", kills), func(t *testing.T) {
			h := newHouse(t)
			o := Options{Dir: t.TempDir(), Speed: 500, Profile: truth.Profile{Machines: 40, Seed: 2, Sites: truth.DefaultSites(2)}}
			f, reached := h.runUntil(o, kills[0])
			busy := h.deploy(h.inventoried(40))
			for _, next := range append(kills[1:], -1) {
				select {
				case <-reached:
				case <-time.After(time.Minute):
					t.Fatal("nothing was installed")
				}
				f.kill()
				require.Less(t, h.outcomes()[patching.Patched], busy, "killed too late to prove anything")
				f, reached = h.runUntil(o, next)
			}
			h.eventually(2*time.Minute, "results", func() bool { return h.outcomes()[""] == 0 })
			require.Equal(t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())
			n, details, err := Repeats(o.Dir)
			require.NoError(t, err)
			require.Zero(t, n, "%v", details)
		})
	}
}

// runUntil runs a fleet; the channel is closed at the n-th event of its witnesses.
func (h *house) runUntil(o Options, n int64) (*running, <-chan struct{}) {
	reached := make(chan struct{})
	o.OnEvent = func(at int64) {
		if at == n {
			close(reached)
		}
	}
	return h.run(o), reached
}

func TestAFleetSurvivesItsServer(t *testing.T) {
	h := newHouse(t)
	dir := t.TempDir()
	h.run(Options{
		Dir: dir, Speed: 300, Direct: []patching.SiteName{"virginia"},
		Profile: truth.Profile{Machines: 30, Seed: 3, Sites: truth.DefaultSites(2)},
	})
	busy := h.deploy(h.inventoried(30))
	for range 3 {
		time.Sleep(time.Second)
		h.stop()
		time.Sleep(300 * time.Millisecond)
		h.open(h.addr)
	}
	h.eventually(2*time.Minute, "results", func() bool { return h.outcomes()[""] == 0 })
	require.Equal(t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())
	n, details, err := Repeats(dir)
	require.NoError(t, err)
	require.Zero(t, n, "%v", details)
}

// Serves G8, Q4, Q8.
// Such a machine polls, fetches, and waits for a day that it takes for the one
// after tomorrow: the server has to know why.
func TestAMachineThatLivesInAnotherDayFetchesOnlyAndTheServerKnowsWhy(t *testing.T) {
	h := newHouse(t)
	f := h.run(Options{Dir: t.TempDir(), Speed: 2000, Profile: truth.Profile{Machines: 10, Seed: 4, Sites: truth.DefaultSites(2), ClockOff: 3}})
	h.deploy(h.inventoried(10))
	off := map[string]bool{}
	for _, m := range f.Truth() {
		if m.Trouble.Clock != 0 {
			off[m.Facts.Hostname] = true
		}
	}
	require.Len(t, off, 3)
	names := map[patching.AssetID]string{}
	assets, err := h.store.Assets(t.Context(), store.AssetFilter{})
	require.NoError(t, err)
	for _, a := range assets {
		names[a.ID] = a.Hostname
	}
	h.eventually(time.Minute, "results of all whose clock is right, and packages on the others", func() bool {
		open, err := h.store.Deployments(t.Context(), store.DeploymentFilter{Cycle: cycle, Outcomes: []patching.Outcome{""}})
		require.NoError(t, err)
		require.NotEmpty(t, open)
		var ids []patching.OrderID
		for _, d := range open {
			if !off[names[d.Asset]] {
				return false
			}
			ids = append(ids, d.Order)
		}
		orders, err := h.store.Orders(t.Context(), ids)
		require.NoError(t, err)
		return !slices.ContainsFunc(orders, func(o store.OrderRow) bool { return o.Stage != patching.StageFetched })
	})
	assets, err = h.store.Assets(t.Context(), store.AssetFilter{})
	require.NoError(t, err)
	for _, a := range assets {
		if !off[a.Hostname] {
			require.Zero(t, a.ClockOff, a.Hostname)
			continue
		}
		require.InDelta(t, -72*time.Hour, a.ClockOff, float64(time.Minute), a.Hostname)
	}
}

func TestWhatIsWrongInTheFleetShowsInWhatItReports(t *testing.T) {
	h := newHouse(t)
	p := truth.Profile{
		Machines: 60, Seed: 4, Sites: truth.DefaultSites(2), Dead: 2, DiskFull: 2, ObserveOnly: 2,
		Bad: []truth.Bad{
			{Package: "openssl", How: truth.PostinstFails, Rate: 0.1},
			{Package: "rsyslog", How: truth.PostinstFailsOnce, Rate: 0.2},
			{Package: "perl-base", How: truth.ServiceDies, Rate: 0.1},
			{Package: "libexpat1", How: truth.NoBoot, Rate: 0.05},
		},
	}
	f := h.run(Options{Dir: t.TempDir(), Speed: 2000, Profile: p})
	h.deploy(h.inventoried(60))
	byHost := map[patching.AssetID]truth.Machine{}
	machines := map[string]truth.Machine{}
	for _, m := range f.Truth() {
		machines[m.Facts.Hostname] = m
	}
	assets, err := h.store.Assets(t.Context(), store.AssetFilter{})
	require.NoError(t, err)
	for _, a := range assets {
		byHost[a.ID] = machines[a.Hostname]
	}
	silent := func(m truth.Machine) bool {
		b, noBoot := m.Breaks["libexpat1"]
		return m.Trouble.Dead || noBoot && b.How == truth.NoBoot
	}
	var open []patching.Deployment
	h.eventually(time.Minute, "results of all but the silent", func() bool {
		open, err = h.store.Deployments(t.Context(), store.DeploymentFilter{Cycle: cycle, Outcomes: []patching.Outcome{""}})
		require.NoError(t, err)
		for _, d := range open {
			if !silent(byHost[d.Asset]) {
				return false
			}
		}
		return true
	})
	require.NotEmpty(t, open)
	all, err := h.store.Deployments(t.Context(), store.DeploymentFilter{Cycle: cycle})
	require.NoError(t, err)
	seen := map[string]int{}
	for _, d := range all {
		m := byHost[d.Asset]
		switch {
		case d.Outcome == "":
			seen["silent"]++
		case m.Trouble.ObserveOnly:
			require.Equal(t, patching.ReasonRefused, d.Reason)
			seen["refused"]++
		case m.Trouble.DiskFull:
			require.Equal(t, patching.ReasonPreflight, d.Reason)
			seen["disk"]++
		case d.Signature == "openssl: postinst":
			require.Contains(t, m.Breaks, "openssl")
			seen["postinst"]++
		case d.Reason == patching.ReasonServiceBroken:
			require.Contains(t, m.Breaks, "perl-base")
			seen["service"]++
		case d.Repairs > 0:
			require.Equal(t, patching.Patched, d.Outcome)
			require.Contains(t, m.Breaks, "rsyslog")
			seen["repaired"]++
		default:
			require.Equal(t, patching.Patched, d.Outcome, "%s: %s", d.Reason, d.Detail)
			seen["patched"]++
		}
	}
	for _, what := range []string{"silent", "refused", "disk", "postinst", "service", "repaired", "patched"} {
		require.Positive(t, seen[what], "%s: the profile of this seed shows none; %v", what, seen)
	}
}
