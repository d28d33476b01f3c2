package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
)

// now is a Tuesday, 18:00 in Amsterdam: its window opens in four hours, while
// the one in Tokyo (02:00 there) is open.
var now = time.Date(2026, 11, 24, 17, 0, 0, 0, time.UTC)

const cycle patching.CycleID = "cycle/servers/2026-11.1"

func servers() *policy.Policy {
	return &policy.Policy{
		Name: "servers", Silence: time.Hour, Fresh: 36 * time.Hour,
		Sites: []policy.Site{
			{Name: "amsterdam", Zone: "Europe/Amsterdam", Windows: []string{"night"}},
			{Name: "tokyo", Zone: "Asia/Tokyo", Windows: []string{"night"}},
			{Name: "hall", Zone: "UTC", Windows: []string{"open"}},
			{Name: "attic", Zone: "UTC"},
		},
		Windows: []policy.Window{{Name: "night", Rule: "daily 22:00 for 6h"}, {Name: "open", Rule: "always"}},
		Rings: []policy.Ring{
			{Name: "test", Select: `!("precious" in tags)`, Count: 4, Batch: 2, Soak: 2 * time.Hour},
			{Name: "early", Percent: 20, Batch: 10, Soak: 24 * time.Hour},
			{Name: "rest", Batch: 200},
		},
	}
}

var (
	kindA   = plan.BundleKey{Packages: patching.DigestOf([]byte("packages a")), Candidates: patching.DigestOf([]byte("candidates a"))}
	kindB   = plan.BundleKey{Packages: patching.DigestOf([]byte("packages b")), Candidates: patching.DigestOf([]byte("candidates b"))}
	kept    = plan.BundleKey{Packages: patching.DigestOf([]byte("current")), Candidates: patching.DigestOf([]byte("kept"))}
	nothing = plan.BundleKey{Packages: patching.DigestOf([]byte("current")), Candidates: patching.DigestOf([]byte("none"))}
	bundles = map[plan.BundleKey]plan.BundleRef{
		kindA:   {Bundle: patching.DigestOf([]byte("bundle a")), Rollback: patching.DigestOf([]byte("back a"))},
		kindB:   {Bundle: patching.DigestOf([]byte("bundle b"))},
		kept:    {Empty: true, KeptBack: []string{"docker-ce", "nginx"}},
		nothing: {Empty: true},
	}
)

// a returns a machine that can be patched, changed as the case asks.
func a(id string, site patching.SiteName, change ...func(*patching.Asset)) patching.Asset {
	asset := patching.Asset{
		ID: patching.AssetID(id), Device: patching.DeviceID("d-" + id), Hostname: id, Site: site, Manager: "apt",
		OS: patching.OS{Family: "debian", Release: "12"}, Services: []string{"nginx"},
		Packages: kindA.Packages, Candidates: kindA.Candidates,
		Allowed: []string{"collect", "apply"}, Inventoried: now.Add(-time.Hour), Seen: now,
	}
	for _, c := range change {
		c(&asset)
	}
	return asset
}

func kind(k plan.BundleKey) func(*patching.Asset) {
	return func(a *patching.Asset) { a.Packages, a.Candidates = k.Packages, k.Candidates }
}

func some(n int, site patching.SiteName, change ...func(*patching.Asset)) []patching.Asset {
	var all []patching.Asset
	for i := range n {
		all = append(all, a(fmt.Sprintf("%s-%03d", site, i), site, change...))
	}
	return all
}

func input(assets ...patching.Asset) plan.Input {
	return plan.Input{
		Cycle: cycle, Kind: patching.Monthly, Author: "ana", Now: now, CloseBy: now.Add(14 * 24 * time.Hour),
		Policy: servers(), PolicyVersion: patching.DigestOf([]byte("policy")), Assets: assets, Bundles: bundles,
	}
}

func build(t *testing.T, in plan.Input) plan.Output {
	t.Helper()
	out, err := plan.Build(in)
	require.NoError(t, err)
	return out
}

func itemOf(t *testing.T, out plan.Output, id patching.AssetID) patching.PlanItem {
	t.Helper()
	i := slices.IndexFunc(out.Items, func(i patching.PlanItem) bool { return i.Asset == id })
	require.GreaterOrEqual(t, i, 0, "%s has no item", id)
	return out.Items[i]
}

// Serves G3, G20, L5: who is left out learns by which cause, and what it would
// have got.
func TestWhoIsLeftOutIsToldTheFirstCauseThatBinds(t *testing.T) {
	for _, c := range []struct {
		name    string
		machine patching.Asset
		change  func(*plan.Input)
		reason  patching.Reason
		why     string
		outcome patching.Outcome
		would   bool
	}{
		{
			name:    "the policy excludes it, for a reason, by somebody, until a day",
			machine: a("x", "hall", func(a *patching.Asset) { a.Tags = []string{"erp"}; a.Device = "" }),
			change: func(in *plan.Input) {
				in.Policy.Exclude = []policy.Exclusion{{Select: `"erp" in tags`, Reason: "year's end", Owner: "ana", Until: time.Date(2027, 1, 8, 0, 0, 0, 0, time.UTC)}}
			},
			reason: patching.ReasonExcludedBy, why: "year's end, says ana, until 2027-01-08", outcome: patching.Excluded, would: true,
		},
		{
			name:    "a person took it out",
			machine: a("x", "hall"),
			change: func(in *plan.Input) {
				in.Out = map[patching.AssetID]plan.Leave{"x": {Reason: patching.ReasonRemoved, Why: "by omar: the audit is on it"}}
			},
			reason: patching.ReasonRemoved, why: "by omar: the audit is on it", outcome: patching.Deferred, would: true,
		},
		{
			name:    "nobody enrolled it",
			machine: a("x", "hall", func(a *patching.Asset) { a.Device = "" }),
			reason:  patching.ReasonNotEnrolled, outcome: patching.Excluded, would: true,
		},
		{
			name:    "it has no package manager that we know",
			machine: a("x", "hall", func(a *patching.Asset) { a.Manager = "" }),
			reason:  patching.ReasonManagerUnknown, outcome: patching.NotApplicable, would: true,
		},
		{
			name:    "it never sent an inventory",
			machine: a("x", "hall", func(a *patching.Asset) { a.Inventoried = time.Time{} }),
			reason:  patching.ReasonInventoryStale, why: "it has never sent one", outcome: patching.Deferred, would: true,
		},
		{
			name:    "its inventory is too old",
			machine: a("x", "hall", func(a *patching.Asset) { a.Inventoried = now.Add(-36*time.Hour - time.Second) }),
			reason:  patching.ReasonInventoryStale, why: "the last one is of 23 Nov 2026 04:59 UTC", outcome: patching.Deferred, would: true,
		},
		{
			name:    "its newest inventory was not assessed",
			machine: a("x", "hall", kind(plan.BundleKey{Packages: "sha256:new"})),
			reason:  patching.ReasonInventoryStale, why: "its newest inventory came after the assessment", outcome: patching.Deferred,
		},
		{
			name:    "its own rules do not let anything be installed",
			machine: a("x", "hall", func(a *patching.Asset) { a.Allowed = []string{"collect", "simulate"} }),
			reason:  patching.ReasonHostRules, why: "they allow only: collect, simulate", outcome: patching.Excluded, would: true,
		},
		{
			name:    "nothing is missing",
			machine: a("x", "hall", kind(nothing)),
			reason:  patching.ReasonNothingMissing, outcome: patching.AlreadyUpToDate,
		},
		{
			name:    "its package manager keeps back what it misses",
			machine: a("x", "hall", kind(kept)),
			reason:  patching.ReasonKeptBack, why: "docker-ce, nginx", outcome: patching.Deferred,
		},
		{
			name:    "nothing is offered for what is there, though half",
			machine: a("x", "hall", kind(nothing), func(a *patching.Asset) { a.Broken = []string{"nginx", "dbus"} }),
			reason:  patching.ReasonHalfInstalled, why: "nginx, dbus", outcome: patching.NeedsHands,
		},
		{
			name:    "another cycle works on it",
			machine: a("x", "hall"),
			change:  func(in *plan.Input) { in.Busy = map[patching.AssetID]patching.CycleID{"x": "emergency/servers/xz"} },
			reason:  patching.ReasonBusyElsewhere, why: "emergency/servers/xz", outcome: patching.Deferred, would: true,
		},
		{
			name:    "the policy does not name its site",
			machine: a("x", "moon"),
			reason:  patching.ReasonNoWindow, why: "the policy does not name the site moon", outcome: patching.Deferred, would: true,
		},
		{
			name:    "it roams, and the policy says nothing of such machines",
			machine: a("x", ""),
			reason:  patching.ReasonNoWindow, why: "the policy does not name the site roaming", outcome: patching.Deferred, would: true,
		},
		{
			name:    "its site has no window",
			machine: a("x", "attic"),
			reason:  patching.ReasonNoWindow, why: "the policy gives the site attic none", outcome: patching.Deferred, would: true,
		},
		{
			name:    "its window does not open before the cycle closes",
			machine: a("x", "amsterdam"),
			change:  func(in *plan.Input) { in.CloseBy = now.Add(3 * time.Hour) },
			reason:  patching.ReasonNoWindow, why: "night before 24 Nov 2026 20:00 UTC", outcome: patching.Deferred, would: true,
		},
		{
			name:    "a freeze covers every window that is left",
			machine: a("x", "hall"),
			change: func(in *plan.Input) {
				in.Policy.Freezes = []policy.Freeze{{Name: "sale", Reason: "black friday", From: now.Add(-time.Hour), Until: in.CloseBy}}
			},
			reason: patching.ReasonFreeze, why: "sale (black friday) until 8 Dec 2026 17:00 UTC", outcome: patching.Deferred, would: true,
		},
		{
			name:    "no ring takes it",
			machine: a("x", "hall", func(a *patching.Asset) { a.Owner = "nobody" }),
			change: func(in *plan.Input) {
				for i := range in.Policy.Rings {
					in.Policy.Rings[i].Select = `owner != "nobody"`
				}
			},
			reason: patching.ReasonNoRing, outcome: patching.Excluded, would: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := input(c.machine)
			if c.change != nil {
				c.change(&in)
			}
			out := build(t, in)
			item := itemOf(t, out, "x")
			assert.Equal(t, c.reason, item.Exclude)
			assert.Equal(t, c.why, item.Why)
			assert.Empty(t, item.Ring)
			assert.Empty(t, item.Bundle)
			assert.Equal(t, c.would, item.Would != "", "what it would have got")
			assert.Equal(t, map[patching.Reason]int{c.reason: 1}, out.Plan.Excluded)
			outcome, ok := item.Exclude.LeavesAs()
			assert.True(t, ok)
			assert.Equal(t, c.outcome, outcome)
		})
	}
}

func TestAnExclusionThatHasRunOutExcludesNobody(t *testing.T) {
	in := input(a("x", "hall"))
	in.Policy.Exclude = []policy.Exclusion{{Reason: "last year", Until: now}}
	assert.Equal(t, patching.RingName("test"), itemOf(t, build(t, in), "x").Ring)
}

func TestWhatThePolicyDoesNotSelectIsCountedAndNoItem(t *testing.T) {
	in := input(a("x", "hall"), a("y", "tokyo"))
	in.Policy.Select = `site == "hall"`
	out := build(t, in)
	assert.Equal(t, 1, out.NotSelected)
	assert.Len(t, out.Items, 1)
}

// Serves U4: who may pass a freeze is written, and only an emergency passes one.
func TestOnlyAnEmergencyOfWhoeverIsNamedPassesAFreeze(t *testing.T) {
	ring := func(kind patching.Kind, author patching.AccountName, roles ...patching.Role) patching.RingName {
		in := input(a("x", "hall"))
		in.Kind, in.Author, in.Roles = kind, author, roles
		in.Policy.Freezes = []policy.Freeze{{Name: "sale", From: now.Add(-time.Hour), Until: in.CloseBy, MayPass: []string{"security-lead", "cleo"}}}
		return itemOf(t, build(t, in), "x").Ring
	}
	assert.Equal(t, patching.RingName("test"), ring(patching.Emergency, "cleo"))
	assert.Equal(t, patching.RingName("test"), ring(patching.Emergency, "ana", patching.RoleSecurityLead))
	assert.Empty(t, ring(patching.Emergency, "ana", patching.RoleOperator))
	assert.Empty(t, ring(patching.Monthly, "cleo", patching.RoleSecurityLead))
}

func TestAnEmergencyThatNeedNotWaitForAWindowStartsAtOnce(t *testing.T) {
	in := input(a("x", "amsterdam"), a("y", "attic"))
	in.Kind = patching.Emergency
	in.Policy.Emergency.AnyWindow = true
	for _, item := range build(t, in).Items {
		assert.False(t, item.Start.After(now), "%s starts at %s", item.Asset, item.Start)
		assert.True(t, item.End.Equal(in.CloseBy))
		assert.True(t, strings.HasPrefix(item.WindowRule, "always in "), item.WindowRule)
	}
}

// Serves G3, G7: each machine in the window of its place; later rings wait.
func TestEachRingTakesTheFirstWindowInWhichItCanHaveBegun(t *testing.T) {
	in := input(slices.Concat(some(10, "amsterdam"), some(10, "tokyo"))...)
	out := build(t, in)
	starts := map[patching.RingName]map[patching.SiteName]time.Time{}
	for _, i := range out.Items {
		if starts[i.Ring] == nil {
			starts[i.Ring] = map[patching.SiteName]time.Time{}
		}
		starts[i.Ring][i.Site] = i.Start
		assert.Equal(t, "daily 22:00 for 6h in "+map[patching.SiteName]string{"amsterdam": "Europe/Amsterdam", "tokyo": "Asia/Tokyo"}[i.Site], i.WindowRule)
		assert.Equal(t, 6*time.Hour, i.End.Sub(i.Start))
	}
	// The test ring: Tokyo's window is open since 13:00 UTC, Amsterdam's opens at
	// 21:00 UTC. Its last answer is in by 22:00, and two hours of soak follow.
	assert.Equal(t, map[patching.SiteName]time.Time{"tokyo": at("24T13:00"), "amsterdam": at("24T21:00")}, starts["test"])
	// Early: Amsterdam's window is still open at 00:00 UTC.
	assert.Equal(t, map[patching.SiteName]time.Time{"tokyo": at("25T13:00"), "amsterdam": at("24T21:00")}, starts["early"])
	// Rest: a day after Tokyo's answers at 14:00 UTC.
	assert.Equal(t, map[patching.SiteName]time.Time{"tokyo": at("26T13:00"), "amsterdam": at("26T21:00")}, starts["rest"])

	wave := itemOf(t, out, "tokyo-000").Wave
	assert.Regexp(t, `^cycle/servers/2026-11\.1/ring/[a-z]+/wave/tokyo/night/202611\d\dT1300Z$`, string(wave))
}

func at(s string) time.Time {
	t, err := time.Parse("2006-01-02T15:04", "2026-11-"+s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestAWindowWithTooLittleLeftIsNotBegun(t *testing.T) {
	in := input(a("x", "tokyo"))
	in.Now = at("24T18:31") // 22:00 to 04:00 in Tokyo ends at 19:00 UTC
	assert.Equal(t, at("25T13:00"), itemOf(t, build(t, in), "x").Start)
	in.Now = at("24T18:30")
	assert.Equal(t, at("24T13:00"), itemOf(t, build(t, in), "x").Start)
}

func TestAMachineInAnotherZoneThanItsSiteHasItsOwnClock(t *testing.T) {
	in := input(a("x", "amsterdam", func(a *patching.Asset) { a.Zone = "America/New_York" }), a("y", "amsterdam", func(a *patching.Asset) { a.Zone = "Not/A/Place" }))
	out := build(t, in)
	assert.Equal(t, at("25T03:00"), itemOf(t, out, "x").Start)
	assert.Equal(t, at("24T21:00"), itemOf(t, out, "y").Start, "what is no zone is the site's")
}

// Serves G5: the test ring mirrors what follows.
func TestALimitedRingTakesEveryKindAndSiteBeforeItTakesOneTwice(t *testing.T) {
	db := func(a *patching.Asset) { a.Tags = []string{"role:db"} }
	rare := func(a *patching.Asset) { a.OS.Release = "11"; a.ID = "rare" }
	in := input(slices.Concat(some(60, "amsterdam"), some(30, "tokyo", db), some(1, "hall", rare))...)
	in.Policy.Rings[0].Count = 3
	taken := map[string]int{}
	for _, i := range build(t, in).Items {
		if i.Ring == "test" {
			taken[string(i.Site)+" "+i.Stratum]++
		}
	}
	assert.Equal(t, map[string]int{"amsterdam debian 12 nginx": 1, "tokyo debian 12 db": 1, "hall debian 11 nginx": 1}, taken)
}

func TestBeyondThatALimitedRingTakesEachKindByItsShare(t *testing.T) {
	in := input(slices.Concat(some(60, "amsterdam"), some(30, "tokyo"), some(10, "hall"))...)
	in.Policy.Rings[0].Count = 20
	taken := map[patching.SiteName]int{}
	for _, i := range build(t, in).Items {
		if i.Ring == "test" {
			taken[i.Site]++
		}
	}
	assert.Equal(t, map[patching.SiteName]int{"amsterdam": 12, "tokyo": 6, "hall": 2}, taken)
}

func TestALimitedRingTakesMachinesWithDifferentPatches(t *testing.T) {
	assets := some(40, "hall")
	for i := range assets {
		if i%20 == 0 {
			kind(kindB)(&assets[i])
		}
	}
	in := input(assets...)
	in.Policy.Rings[0].Count = 2
	seen := map[patching.Digest]bool{}
	for _, i := range build(t, in).Items {
		if i.Ring == "test" {
			seen[i.Bundle] = true
		}
	}
	assert.Len(t, seen, 2)
}

// Serves Q1: what an earlier cycle did not reach goes first.
func TestMachinesThatWereCarriedOverGoFirst(t *testing.T) {
	in := input(some(50, "hall")...)
	in.Policy.Rings = []policy.Ring{{Name: "test"}}
	in.CarryOver = []patching.AssetID{"hall-017", "hall-042"}
	items := build(t, in).Items
	assert.ElementsMatch(t, in.CarryOver, []patching.AssetID{items[0].Asset, items[1].Asset})
	for n, i := range items {
		assert.Equal(t, n+1, i.Position)
	}
}

func TestTheTurnsOfMachinesDifferFromCycleToCycle(t *testing.T) {
	in := input(some(50, "hall")...)
	in.Policy.Rings = []policy.Ring{{Name: "test"}}
	first := build(t, in).Items
	assert.Equal(t, first, build(t, in).Items)
	in.Cycle = "cycle/servers/2026-12.1"
	turns := func(items []patching.PlanItem) (ids []patching.AssetID) {
		for _, i := range items {
			ids = append(ids, i.Asset)
		}
		return ids
	}
	assert.NotEqual(t, turns(first), turns(build(t, in).Items))
}

// Ids are drawn anew at each enrolment: the same fleet gets the same plan.
func TestAFleetThatIsEnrolledAgainGetsTheSamePlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anInput(t)
		places := func(in plan.Input) map[string]patching.PlanItem {
			out, err := plan.Build(in)
			require.NoError(t, err)
			places := map[string]patching.PlanItem{}
			for _, i := range out.Items {
				n := slices.IndexFunc(in.Assets, func(a patching.Asset) bool { return a.ID == i.Asset })
				i.Asset, i.Device = "", ""
				places[in.Assets[n].Hostname] = i
			}
			return places
		}
		first := places(in)
		ids := map[patching.AssetID]patching.AssetID{}
		again := in
		again.Assets = slices.Clone(in.Assets)
		for n, i := range rapid.Permutation(identity(len(in.Assets))).Draw(t, "enrolled in this order") {
			id := patching.AssetID(fmt.Sprintf("drawn-%03d", i))
			ids[in.Assets[n].ID], again.Assets[n].ID = id, id
		}
		again.Busy, again.CarryOver = map[patching.AssetID]patching.CycleID{}, nil
		for id, c := range in.Busy {
			again.Busy[ids[id]] = c
		}
		for _, id := range in.CarryOver {
			again.CarryOver = append(again.CarryOver, ids[id])
		}
		require.Equal(t, first, places(again))
	})
}

func identity(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// Two machines may have one name, or none: the plan still has an order.
func TestMachinesOfOneNameAreToldApartByTheirIds(t *testing.T) {
	assets := some(20, "hall", func(a *patching.Asset) { a.Hostname = "localhost" })
	for i := range assets[:10] {
		assets[i].Hostname = ""
	}
	in := input(assets...)
	first := build(t, in)
	slices.Reverse(in.Assets)
	assert.Equal(t, first, build(t, in))
}

// Serves Q13: server, database and relays go alone and last.
func TestMachinesThatCarryPatchcycleGoLastEachAlone(t *testing.T) {
	// A kind of their own: a ring that mirrors the fleet would want them.
	own := func(a *patching.Asset) { a.CarriesPatchcycle, a.OS.Release = true, "11" }
	in := input(append(some(20, "amsterdam"), a("relay", "amsterdam", own), a("server", "amsterdam", own))...)
	out := build(t, in)
	var last time.Time
	waves := map[patching.WaveID]int{}
	for _, i := range out.Items {
		waves[i.Wave]++
		if !strings.Contains(string(i.Wave), "patchcycle-") && i.Start.After(last) {
			last = i.Start
		}
	}
	relay, server := itemOf(t, out, "relay"), itemOf(t, out, "server")
	assert.Equal(t, patching.RingName("rest"), relay.Ring)
	assert.True(t, relay.Start.After(last), "after all others")
	assert.True(t, server.Start.After(relay.Start), "and after each other")
	assert.Equal(t, 1, waves[relay.Wave])
	assert.Equal(t, 1, waves[server.Wave])
	assert.Contains(t, string(server.Wave), "/night.patchcycle-2/")
}

func TestMachinesThatCarryPatchcycleAreTestedOnThemselvesWhenThereIsNothingElse(t *testing.T) {
	in := input(a("server", "hall", func(a *patching.Asset) { a.CarriesPatchcycle = true }))
	item := itemOf(t, build(t, in), "server")
	assert.Equal(t, patching.RingName("test"), item.Ring)
	assert.Contains(t, string(item.Wave), "patchcycle-1")
}

// The second of the two finds no window that opens after the first one's, and
// shares an earlier one; that must not make it the first when the plan is looked
// at again.
func TestMachinesThatCarryPatchcycleKeepTheirTurnsWhereWindowsAreFew(t *testing.T) {
	own := func(a *patching.Asset) { a.CarriesPatchcycle = true }
	in := input(a("relay", "tokyo", own), a("server", "tokyo", own))
	in.CloseBy = now.Add(21 * time.Hour)
	out := build(t, in)
	relay, server := itemOf(t, out, "relay"), itemOf(t, out, "server")
	require.Contains(t, string(relay.Wave), "/night.patchcycle-1/20261125T1300Z")
	require.Contains(t, string(server.Wave), "/night.patchcycle-2/20261124T1300Z")
	again, err := plan.Reschedule(in, out.Items)
	require.NoError(t, err)
	assert.ElementsMatch(t, out.Items, again)
}

// Serves G5: testing is never skipped.
func TestAPlanThatCouldTestOnNothingIsRefused(t *testing.T) {
	in := input(some(5, "hall", func(a *patching.Asset) { a.Tags = []string{"precious"} })...)
	_, err := plan.Build(in)
	assert.ErrorContains(t, err, "ring test would be empty while 5 machines are to be patched")
}

func TestAPolicyThatCannotBeCarriedOutIsRefused(t *testing.T) {
	for name, change := range map[string]func(*plan.Input){
		"there is no policy":        func(in *plan.Input) { in.Policy = nil },
		"the policy's select":       func(in *plan.Input) { in.Policy.Select = "site =" },
		"ring early":                func(in *plan.Input) { in.Policy.Rings[1].Select = "1" },
		`exclusion "old"`:           func(in *plan.Input) { in.Policy.Exclude = []policy.Exclusion{{Reason: "old", Select: "nonsense"}} },
		"window night":              func(in *plan.Input) { in.Policy.Windows[0].Rule = "nightly" },
		"site tokyo":                func(in *plan.Input) { in.Policy.Sites[1].Zone = "Mars" },
		`there is no window "noon"`: func(in *plan.Input) { in.Policy.Sites[0].Windows = []string{"noon"} },
		"asset x is listed twice":   func(in *plan.Input) { in.Assets = append(in.Assets, in.Assets[0]) },
	} {
		in := input(a("x", "hall"))
		change(&in)
		_, err := plan.Build(in)
		require.ErrorContains(t, err, name)
		assert.ErrorContains(t, err, "make plan of "+string(cycle))
	}
}

func TestAPlanCarriesWhatItWasMadeUnder(t *testing.T) {
	in := input(slices.Concat(some(12, "hall"), some(2, "attic"))...)
	in.Revision, in.Shadow = 2, true
	p := build(t, in).Plan
	assert.Equal(t, 2, p.Revision)
	assert.True(t, p.Shadow)
	assert.Equal(t, []patching.PlanRing{{Name: "test", Assets: 4}, {Name: "early", Assets: 3}, {Name: "rest", Assets: 5}}, p.Rings)
	assert.Equal(t, map[patching.Reason]int{patching.ReasonNoWindow: 2}, p.Excluded)
	assert.Equal(t, in.PolicyVersion, p.PolicyVersion)
	assert.Equal(t, now, p.Made)
}

// A fleet as unlike as that of a large organisation: 500 sites in four zones,
// thirteen roles, selectors at every turn.
func BenchmarkBuild(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			in := largeInput(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := plan.Build(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func largeInput(n int) plan.Input {
	in := input()
	in.Policy.Select = `manager == "apt"`
	in.Policy.Exclude = []policy.Exclusion{{Select: `"pet" in tags && criticality == "critical"`, Reason: "no one knows it"}}
	in.Policy.Rings[1].Select = `criticality != "critical" && !services.exists(s, s.startsWith("service-1"))`
	zones := []string{"Europe/Amsterdam", "Asia/Tokyo", "America/Sao_Paulo", "America/Los_Angeles"}
	for i := range 500 {
		in.Policy.Sites = append(in.Policy.Sites, policy.Site{Name: patching.SiteName(fmt.Sprintf("site-%d", i)), Zone: zones[i%len(zones)], Windows: []string{"night"}})
	}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		site := in.Policy.Sites[r.IntN(len(in.Policy.Sites))].Name
		in.Assets = append(in.Assets, a(fmt.Sprintf("m-%06d", i), site, func(a *patching.Asset) {
			a.Services = []string{fmt.Sprintf("service-%d", r.IntN(13)), "ssh"}
			a.Tags = []string{"production", "web"}
			if r.IntN(2) == 0 {
				kind(kindB)(a)
			}
		}))
	}
	return in
}
