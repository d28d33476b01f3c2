package activities_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G2, Q1: what Debian's own archive offers is what a machine misses.
func TestAnAssessmentCountsWhatMachinesMissOnceForEachKind(t *testing.T) {
	h := newHouse(t)
	h.enrol(9)
	require.NoError(t, h.PutAsset(h.ctx, patching.Asset{ID: "printer", Hostname: "printer", Site: "berlin"}))
	s := h.begin(monthly, patching.Monthly)
	out, err := h.assessing.Assess(h.ctx, contract.AssessIn{Cycle: s.ID, Version: s.PolicyVersion})
	require.NoError(t, err)
	require.Equal(t, 10, out.Machines)
	require.Equal(t, 2, out.Sets, "web servers and databases")
	require.Equal(t, 9, out.Missing)
	require.Equal(t, 1, out.Stale, "the printer never sent an inventory")
	require.Positive(t, out.Security)
	require.GreaterOrEqual(t, out.Patches, out.Security)
	require.Equal(t, []string{"1 machines never said what is installed on them"}, out.Blind)
}

// Serves G3, G5, Q1.
func TestAPlanPutsEachMachineInOneRingAndNamesWhoIsLeftOut(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	require.NoError(t, h.PutAsset(h.ctx, patching.Asset{ID: "printer", Hostname: "printer", Site: "berlin"}))
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Equal(t, 12, out.Assets)
	require.Equal(t, 1, out.Excluded)
	require.Len(t, out.Rings, 3)
	for i, want := range []struct {
		ring   patching.RingName
		assets int
	}{{"test", 2}, {"early", 4}, {"broad", 6}} {
		require.Equal(t, want.ring, out.Rings[i].Name)
		require.Equal(t, want.assets, out.Rings[i].Assets)
		require.Equal(t, time.Hour, out.Rings[i].Soak)
		require.Positive(t, out.Rings[i].Waves)
	}
	require.Contains(t, out.Mirror, "2 of 12 machines: ")
	require.Contains(t, out.WayBack, "12 of 12 machines have no way back with the package manager, because of linux-image-")
	require.Contains(t, out.Forecast, "test: 2 machines in 2 waves from 10 Nov 2026 12:00 UTC; early: 4 machines")
	require.Empty(t, out.Change, "there is no plan before it")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, out.Forecast, looks[out.Hash].Forecast.Words())
	kept, err := h.Store.Plan(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, out.Hash, kept.Hash(), "the plan that is kept is the one that people see")
	for _, r := range kept.Rings {
		require.NotEmpty(t, r.Root, "each ring is sealed")
	}
	printer, err := h.Store.Deployment(h.ctx, s.ID, "printer")
	require.NoError(t, err)
	require.Equal(t, patching.Excluded, printer.Outcome)
	require.Equal(t, patching.ReasonNotEnrolled, printer.Reason)
}

// An activity may run twice: its first answer can be lost.
func TestAPlanThatIsMadeAgainForALostAnswerIsTheSame(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	s := h.begin(monthly, patching.Monthly)
	in := contract.MakePlanIn{State: s, Revision: 1}
	first, err := h.planning.Make(h.ctx, in)
	require.NoError(t, err)
	again, err := h.planning.Make(h.ctx, in)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

// Serves G5, Q4: after the test ring the plan may only shrink.
func TestTheSecondPlanIsTheFirstLessThePackageThatFailed(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	first := h.plan(&s)
	tested := h.ring(s.ID, "test")
	bad := h.patches(s.ID, tested[0])[0].Name
	h.release(s, "test")
	for _, n := range tested {
		h.ended(s.ID, n, patching.Failed, patching.ReasonInstallFailed, bad+": postinst")
	}
	was := map[int]int{}
	for _, n := range append(h.ring(s.ID, "early"), h.ring(s.ID, "broad")...) {
		was[n] = len(h.patches(s.ID, n))
	}
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	second := h.plan(&s)
	require.Equal(t, 2, second.Revision)
	require.NotEqual(t, first.Hash, second.Hash, "people approve the plan without it")
	require.Equal(t, first.Assets, second.Assets)
	require.Contains(t, second.Change, "Withdrawn: apt, apt-utils, libapt-pkg6.0. Of the machines, ", "what is built from its source goes along")
	require.NotContains(t, second.Forecast, "test:", "the test ring has been")
	h.now = h.now.Add(time.Minute)
	lostAnswer, err := h.planning.Make(h.ctx, contract.MakePlanIn{State: s, Revision: 2})
	require.NoError(t, err)
	require.Equal(t, second.Change, lostAnswer.Change, "made again for a lost answer, it still says what changed")
	looks, err := h.Outlooks(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, "apt", bad)
	require.Equal(t, []string{"apt", "apt-utils", "libapt-pkg6.0"}, looks[lostAnswer.Hash].Change.Withdrawn)
	lost := 0
	for n, before := range was {
		for _, p := range h.patches(s.ID, n) {
			require.NotEqual(t, bad, p.Name, "machine %d", n)
		}
		lost += before - len(h.patches(s.ID, n))
	}
	require.Positive(t, lost)
	for _, n := range tested {
		require.Contains(t, names(h.patches(s.ID, n)), bad, "what the test ring got stays on record")
	}
}

// Serves G8, Q1: what a machine's own package manager keeps back is missing there.
func TestAMachineThatKeepsBackAllThatItMissesIsDeferredByName(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	const onHold, current = 4, 5
	has, _ := sets(t, "web")
	h.inventory(onHold, has, patching.CandidateSet{Manager: "apt", KeptBack: []string{"docker-ce", "nginx"}})
	h.inventory(current, has, patching.CandidateSet{Manager: "apt"})
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	d := h.deployment(s.ID, onHold)
	require.Equal(t, patching.Deferred, d.Outcome)
	require.Equal(t, patching.ReasonKeptBack, d.Reason)
	require.Equal(t, "docker-ce, nginx", d.Why)
	require.Equal(t, patching.AlreadyUpToDate, h.deployment(s.ID, current).Outcome)
}

// Serves G8, Q1, Q4: a machine that misses only what was withdrawn is not up to
// date. It ends deferred, by name, and the next cycle takes it first.
func TestAMachineThatMissesOnlyWhatWasWithdrawnIsDeferredAndCarriedOver(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host002"`)
	h.enrol(12)
	const only = 4 // a web server, as they are
	has, offered := sets(t, "web")
	bad := offered.Candidates[0]
	h.inventory(only, has, patching.CandidateSet{Manager: "apt", Candidates: []patching.Candidate{bad}})
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	tested := h.ring(s.ID, "test")
	require.Contains(t, names(h.patches(s.ID, tested[0])), bad.Name)
	h.release(s, "test")
	for _, n := range tested {
		h.ended(s.ID, n, patching.Failed, patching.ReasonInstallFailed, bad.Name+": postinst")
	}
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	second := h.plan(&s)
	d := h.deployment(s.ID, only)
	require.Equal(t, patching.Deferred, d.Outcome)
	require.Equal(t, patching.ReasonWithdrawn, d.Reason)
	require.Equal(t, bad.Name+" failed in ring test", d.Detail)
	require.NotEmpty(t, d.Would, "what it misses")
	require.Equal(t, 1, second.Excluded)

	closed, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
	require.NoError(t, err)
	require.Equal(t, patching.ClosedWithExceptions, closed.ClosedAs)
	require.Equal(t, patching.ReasonWithdrawn, h.deployment(s.ID, only).Reason, "closing keeps it")
	h.now = h.now.Add(time.Hour)
	next := h.begin("cycle/servers/2026-12.1", patching.Monthly)
	h.plan(&next)
	d = h.deployment(next.ID, only)
	waves := h.waveList(next.ID, d.Ring)
	require.NotEmpty(t, waves)
	rows, err := h.Deployments(h.ctx, store.DeploymentFilter{Cycle: next.ID, Wave: d.Wave})
	require.NoError(t, err)
	for _, before := range rows[:d.Position-1] {
		require.Equal(t, patching.Deferred, h.deployment(s.ID, number(t, before.Asset)).Outcome, "%s goes before it and was reached", before.Asset)
	}
}

// What failed for a reason of the machine's own says nothing about a package.
func TestAFailureThatIsNotThePackagesShrinksNothing(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	tested := h.ring(s.ID, "test")
	bad := h.patches(s.ID, tested[0])[0].Name
	h.release(s, "test")
	h.ended(s.ID, tested[0], patching.Failed, patching.ReasonPreflight, "preflight: space")
	h.ended(s.ID, tested[1], patching.Patched, patching.ReasonVerified, "")
	s.Rings = []contract.RingState{{Name: "test", Ended: true}}
	h.plan(&s)
	for _, n := range h.ring(s.ID, "broad") {
		if (n%3 == 0) == (tested[0]%3 == 0) { // of the same kind
			require.Contains(t, names(h.patches(s.ID, n)), bad)
		}
	}
}

// Serves Q7: mended in the middle for what has not started.
func TestAMachineThatIsTakenOutLeavesUnlessItHasAStartPermit(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "test")
	started, waiting := h.ring(s.ID, "test")[0], h.ring(s.ID, "broad")[0]
	out, err := h.planning.Amend(h.ctx, contract.AmendIn{
		Cycle: s.ID, By: "olga", Why: "year-end closing",
		Assets: []patching.AssetID{asset(started), asset(waiting), "a999"},
	})
	require.NoError(t, err)
	require.Equal(t, 1, out.Removed)
	require.Contains(t, out.Words, "1 of 3 machines were taken out by olga: year-end closing")
	require.Contains(t, out.Words, "The others have started, have ended, or are not in the cycle.")
	require.Equal(t, patching.DeploymentReleased, h.deployment(s.ID, started).State)
	left := h.deployment(s.ID, waiting)
	require.Equal(t, patching.Deferred, left.Outcome)
	require.Equal(t, patching.ReasonRemoved, left.Reason)

	s.Rings = []contract.RingState{{Name: "test"}}
	h.plan(&s)
	left = h.deployment(s.ID, waiting)
	require.Equal(t, patching.ReasonRemoved, left.Reason, "and a plan made again does not bring it back")
	require.Equal(t, 11, s.Plan.Assets)
}

// Testing and approval took their time: windows have passed meanwhile.
func TestMachinesThatHaveNotBegunMoveToTheNextOccurrenceOfTheirWindow(t *testing.T) {
	h := newHouse(t)
	h.applyPolicy(strings.Replace(servers, "rule: always", "rule: daily 02:00 for 2h", 1))
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	hash := s.Plan.Hash
	begun, waiting := h.ring(s.ID, "test")[0], h.ring(s.ID, "early")[0]
	before := h.deployment(s.ID, begun)
	h.now = h.now.AddDate(0, 0, 3)
	s.Rings = []contract.RingState{{Name: "test"}}
	for range 2 { // and again, should the answer be lost
		_, err := h.planning.Reschedule(h.ctx, contract.MakePlanIn{State: s, Revision: 1})
		require.NoError(t, err)
		require.Equal(t, before, h.deployment(s.ID, begun), "a ring that has begun stays as it is")
		moved := h.deployment(s.ID, waiting)
		require.True(t, moved.End.After(h.now), "%s", moved.End)
		require.Contains(t, string(moved.Wave), moved.Start.UTC().Format("20060102T1504Z"))
	}
	kept, err := h.Store.Plan(h.ctx, s.ID)
	require.NoError(t, err)
	require.Equal(t, hash, kept.Hash(), "what was approved is the rule, not the occurrence")
}

// Serves Q1: the remainder is carried over by name, and goes first.
func TestWhatTheLastMonthDidNotReachGoesFirst(t *testing.T) {
	h := newHouse(t)
	h.enrol(40)
	last := h.begin("cycle/servers/2026-10.1", patching.Monthly)
	h.plan(&last)
	h.release(last, "test")
	for n := 1; n <= 40; n++ {
		if d := h.deployment(last.ID, n); d.Ring == "test" {
			h.ended(last.ID, n, patching.Patched, patching.ReasonVerified, "")
		}
	}
	done := h.ring(last.ID, "test")
	last.Ending = &contract.Ending{As: patching.ClosedWithExceptions, Reason: patching.ReasonCarriedOver}
	_, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: last})
	require.NoError(t, err)

	// An emergency that came and went in between leaves nothing behind.
	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	h.now = h.now.Add(time.Hour)
	_, err = h.cycles.Close(h.ctx, contract.CloseCycleIn{State: urgent})
	require.NoError(t, err)

	h.now = h.now.Add(24 * time.Hour)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	for _, ring := range []patching.RingName{"test", "early", "broad"} {
		for _, w := range h.waveList(s.ID, ring) {
			rows, err := h.Store.Deployments(h.ctx, store.DeploymentFilter{Cycle: s.ID, Wave: w.ID})
			require.NoError(t, err)
			carriedEnded := false
			for _, d := range rows { // by position
				isDone := slices.ContainsFunc(done, func(n int) bool { return asset(n) == d.Asset })
				require.False(t, carriedEnded && !isDone, "%s of wave %s comes after a machine that was done last month", d.Asset, w.ID)
				carriedEnded = carriedEnded || isDone
			}
		}
	}
}

// Serves U4: an emergency takes over what has no start permit, and names the rest.
func TestAnEmergencyTakesOverWhatHasNoStartPermitAndNamesTheRest(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	month := h.begin(monthly, patching.Monthly)
	h.plan(&month)
	h.release(month, "test")
	atWork := h.ring(month.ID, "test")

	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	out := h.plan(&urgent)
	require.Equal(t, 10, out.Assets)
	require.Equal(t, 2, out.Excluded)
	require.Equal(t, 10*time.Minute, out.Rings[0].Soak, "shorter soaks; the test ring is not skipped")
	for n := 1; n <= 12; n++ {
		there, here := h.deployment(month.ID, n), h.deployment(urgent.ID, n)
		if slices.Contains(atWork, n) {
			require.Equal(t, patching.ReasonBusyElsewhere, here.Reason)
			require.Equal(t, string(month.ID), here.Detail)
			require.False(t, there.State.Terminal())
			continue
		}
		require.Equal(t, patching.Deferred, there.Outcome)
		require.Equal(t, patching.ReasonTakenOver, there.Reason)
		require.Equal(t, "taken over by "+string(urgent.ID), there.Detail)
		require.Equal(t, there.Fence+1, here.Fence, "an order of the cycle before is refused from now on")
	}
}

// lab is the house's policy with a test ring of named machines.
func (h *house) lab(hosts string) {
	h.t.Helper()
	h.applyPolicy(strings.Replace(servers, "{name: test, count: 2,", "{name: test, select: 'hostname in ["+hosts+"]',", 1))
}

// Serves U4, G5: the month's test ring has start permits; the emergency tests on
// others, and asks before it does.
func TestAnEmergencyBesideAMonthTestsOnOthersWhereTheTestRingIsAtWork(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host002"`)
	h.enrol(12)
	month := h.begin(monthly, patching.Monthly)
	require.False(t, h.plan(&month).Rings[0].Approve, "the test ring has its pre-approval")
	h.release(month, "test")

	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	out := h.plan(&urgent)
	require.Equal(t, "its 2 machines are busy in "+string(month.ID)+"; 2 machines of ring early stand in", out.Rings[0].StandIns)
	require.True(t, out.Rings[0].Approve)
	testers := h.ring(urgent.ID, "test")
	require.Len(t, testers, 2)
	for _, n := range testers {
		require.NotZero(t, h.deployment(urgent.ID, n).Fence, "host %d tests without the lock of its machine", n)
	}
	kept, err := h.Store.Plan(h.ctx, urgent.ID)
	require.NoError(t, err)
	require.Equal(t, out.Hash, kept.Hash())
	require.Contains(t, string(kept.Canonical()), out.Rings[0].StandIns)

	again := h.plan(&urgent) // sent back
	require.Equal(t, out.Rings[0].StandIns, again.Rings[0].StandIns)
	require.True(t, again.Rings[0].Approve)
}

// Serves G5, Q7: whoever does not want the stand-ins takes them out and sends the
// plan back. The test is not skipped for that.
func TestAPlanThatIsSentBackBeforeItsTestGetsOtherTesters(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host002"`)
	h.enrol(12)
	month := h.begin(monthly, patching.Monthly)
	h.plan(&month)
	h.release(month, "test")
	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	h.plan(&urgent)
	unwanted := h.ring(urgent.ID, "test")
	_, err := h.planning.Amend(h.ctx, contract.AmendIn{
		Cycle: urgent.ID, By: "olga", Why: "payroll", Assets: []patching.AssetID{asset(unwanted[0]), asset(unwanted[1])},
	})
	require.NoError(t, err)
	for range 2 {
		again := h.plan(&urgent)
		require.Equal(t, patching.RingName("test"), again.Rings[0].Name)
		require.Equal(t, 2, again.Rings[0].Assets)
		require.Equal(t, 8, again.Assets)
		require.True(t, again.Rings[0].Approve)
		for _, n := range unwanted {
			d := h.deployment(urgent.ID, n)
			require.Equal(t, patching.Deferred, d.Outcome)
			require.Equal(t, patching.ReasonRemoved, d.Reason, "host %d stays out", n)
		}
	}
}

// What an emergency took from a month stays with it, also if the month plans anew.
func TestAMonthThatPlansAnewDoesNotTakeMachinesBackFromAnEmergency(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	month := h.begin(monthly, patching.Monthly)
	h.plan(&month)
	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	require.Equal(t, 12, h.plan(&urgent).Assets)
	require.Zero(t, h.plan(&month).Assets)
	for n := 1; n <= 12; n++ {
		require.Equal(t, patching.ReasonTakenOver, h.deployment(month.ID, n).Reason)
		require.False(t, h.deployment(urgent.ID, n).State.Terminal())
	}
}

// Serves Q1, G5: the month closed at its date when its test ring was done.
func TestTheRemainderOfAMonthIsTestedOnOthersThanThoseThatAreUpToDate(t *testing.T) {
	h := newHouse(t)
	h.lab(`"host001", "host002"`)
	h.enrol(12)
	for n := 1; n <= 2; n++ {
		has, _ := sets(t, "web")
		h.inventory(n, has, patching.CandidateSet{Manager: "apt"})
	}
	s := h.begin(monthly, patching.Monthly)
	out := h.plan(&s)
	require.Equal(t, "its 2 machines are already up to date; 2 machines of ring early stand in", out.Rings[0].StandIns)
	require.Equal(t, 10, out.Assets)
}

// Whoever gets a ring's place because another machine is busy is locked too.
func TestAMachineThatTakesABusyOnesPlaceIsLocked(t *testing.T) {
	h := newHouse(t)
	h.applyPolicy(strings.Replace(servers, "{name: broad, soak: 1h,", "{name: broad, count: 1, soak: 1h,", 1))
	h.enrol(12)
	month := h.begin(monthly, patching.Monthly)
	h.plan(&month)
	h.release(month, "test")
	urgent := h.begin("emergency/servers/openssl", patching.Emergency)
	out := h.plan(&urgent)
	require.Equal(t, 7, out.Assets)
	for n := 1; n <= 12; n++ {
		if d := h.deployment(urgent.ID, n); d.Ring != "" {
			require.NotZero(t, d.Fence, "host %d", n)
		}
	}
}

func TestAPolicyThatCannotBeReadIsRefusedAndNotTriedAgain(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	s := h.begin(monthly, patching.Monthly)
	broken, err := h.PutContent(h.ctx, "policy", []byte("policy: [servers\n"))
	require.NoError(t, err)
	s.PolicyVersion = broken
	_, err = h.planning.Make(h.ctx, contract.MakePlanIn{State: s, Revision: 1})
	require.ErrorIs(t, err, activities.ErrRefused)
	require.ErrorContains(t, err, "policy "+broken.Short())

	s.PolicyVersion = patching.DigestOf([]byte("never applied"))
	_, err = h.planning.Make(h.ctx, contract.MakePlanIn{State: s, Revision: 1})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.ErrorContains(t, err, "policy version "+s.PolicyVersion.Short())
}

// patches are what machine n would get.
func (h *house) patches(c patching.CycleID, n int) []patching.Patch {
	h.t.Helper()
	return h.bundle(c, n).Patches()
}

func (h *house) bundle(c patching.CycleID, n int) patching.Bundle {
	h.t.Helper()
	text, err := h.Content(h.ctx, h.deployment(c, n).Bundle)
	require.NoError(h.t, err)
	b, err := patching.ParseBundle(text)
	require.NoError(h.t, err)
	return b
}

func names(patches []patching.Patch) []string {
	var out []string
	for _, p := range patches {
		out = append(out, p.Name)
	}
	return out
}
