package measure_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/measure"
)

var opened = time.Date(2026, 11, 12, 9, 0, 0, 0, time.UTC)

func ended(o patching.Outcome, r patching.Reason, change ...func(*patching.Deployment)) patching.Deployment {
	d := patching.Deployment{State: patching.DeploymentDone, Outcome: o, Reason: r, Released: opened.Add(time.Hour)}
	d.Site, d.Stratum = "tokyo", "debian 12 nginx"
	for _, c := range change {
		c(&d)
	}
	return d
}

func verified(after time.Duration) func(*patching.Deployment) {
	return func(d *patching.Deployment) { d.Verified = opened.Add(after) }
}

// Serves Q9: time to 75 %, 90 % and 100 % of managed devices.
func TestCoverageCountsConfirmedMachinesOfTheManagedOnes(t *testing.T) {
	fleet := []patching.Deployment{
		ended(patching.AlreadyUpToDate, patching.ReasonNothingMissing),
		ended(patching.Excluded, patching.ReasonHostRules),
		ended(patching.NotApplicable, patching.ReasonManagerUnknown),
	}
	for i := range 8 {
		fleet = append(fleet, ended(patching.Patched, patching.ReasonVerified, verified(time.Duration(8-i)*time.Hour)))
	}
	fleet = append(fleet, ended(patching.Deferred, patching.ReasonNoWindow))
	m := measure.Of(opened, fleet)
	assert.Equal(t, 12, m.Machines)
	assert.Equal(t, 10, m.Managed)
	assert.Equal(t, []measure.Coverage{
		{Percent: 75, Reached: true, After: 7 * time.Hour}, // the eighth of ten: one was up to date
		{Percent: 90, Reached: true, After: 8 * time.Hour},
		{Percent: 100},
	}, m.Reached)
	assert.Empty(t, m.BySite)
}

// Serves Q2: nothing counts as patched until it was verified.
func TestAMachineThatWasNotVerifiedIsNotCovered(t *testing.T) {
	m := measure.Of(opened, []patching.Deployment{ended(patching.Patched, patching.ReasonVerified)})
	assert.False(t, m.Reached[0].Reached)
	assert.False(t, measure.Of(opened, nil).Reached[2].Reached, "all of no machines is no success")
}

// Serves Q8, Q9: failures by place, cause, kind of machine and package.
func TestFailuresAreCountedByPlaceCauseKindAndPackage(t *testing.T) {
	at := func(site patching.SiteName, signature string) func(*patching.Deployment) {
		return func(d *patching.Deployment) { d.Site, d.Signature = site, signature }
	}
	m := measure.Of(opened, []patching.Deployment{
		ended(patching.Patched, patching.ReasonVerified, verified(time.Hour), func(d *patching.Deployment) { d.Repairs, d.Freed = 1, 100 }),
		ended(patching.Failed, patching.ReasonInstallFailed, at("tokyo", "nginx: postinst")),
		ended(patching.RolledBack, patching.ReasonRolledBack, at("tokyo", "nginx: postinst")),
		ended(patching.NeedsHands, patching.ReasonNoBoot, at("hall", "reboot"), func(d *patching.Deployment) { d.Stratum, d.Repairs = "debian 11 db", 1 }),
		ended(patching.Unreachable, patching.ReasonPathDown, at("hall", "")),
		ended(patching.Failed, patching.ReasonUnknown, at("hall", "two words: x")),
		ended(patching.Excluded, patching.ReasonHostRules, func(d *patching.Deployment) { d.Released = time.Time{} }),
	})
	assert.Equal(t, []measure.Count{{Name: "hall", Failed: 3, Of: 3}, {Name: "tokyo", Failed: 2, Of: 3}}, m.BySite)
	assert.Equal(t, []measure.Count{{Name: "package", Failed: 3}, {Name: "relay", Failed: 1}, {Name: "unknown", Failed: 1}}, m.ByCause)
	assert.Equal(t, []measure.Count{{Name: "debian 12 nginx", Failed: 4, Of: 5}, {Name: "debian 11 db", Failed: 1, Of: 1}}, m.ByStratum)
	assert.Equal(t, []measure.Count{{Name: "nginx", Failed: 2}}, m.ByPackage)
	assert.Equal(t, 2, m.Repairs)
	assert.Equal(t, int64(100), m.Freed)
}

// Serves G10: count in equals count out.
func TestMeasuresLoseNoMachine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fleet []patching.Deployment
		for i := range rapid.IntRange(0, 40).Draw(t, "machines") {
			d := ended(rapid.SampledFrom(patching.Outcomes()).Draw(t, "outcome"), rapid.SampledFrom(patching.AllReasons()).Draw(t, "reason"),
				verified(time.Duration(i)*time.Hour))
			d.Site = patching.SiteName(fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "site")))
			fleet = append(fleet, d)
		}
		m := measure.Of(opened, fleet)
		outcomes, reasons := 0, 0
		for _, n := range m.Outcomes {
			outcomes += n
		}
		for _, n := range m.Reasons {
			reasons += n
		}
		require.Equal(t, len(fleet), outcomes)
		require.Equal(t, len(fleet), reasons)
		for i := 1; i < len(m.Reached); i++ {
			require.False(t, m.Reached[i].Reached && !m.Reached[i-1].Reached, "90 % come after 75 %")
			require.True(t, !m.Reached[i].Reached || m.Reached[i].After >= m.Reached[i-1].After)
		}
	})
}

func TestAdviceIsGivenOnlyWhereTheNumbersSuggestSomething(t *testing.T) {
	for _, c := range []struct {
		name   string
		fleet  []patching.Deployment
		advice []string
	}{
		{"nothing failed", nil, nil},
		{"too little is known of the fleet", []patching.Deployment{
			ended(patching.Deferred, patching.ReasonInventoryStale), ended(patching.Excluded, patching.ReasonNotEnrolled), ended(patching.Patched, patching.ReasonVerified),
		}, []string{"2 of 3 machines could not be planned for, because nothing recent is known of them: look after their agents."}},
		{"the windows were too short", []patching.Deployment{
			ended(patching.Deferred, patching.ReasonWindowOver), ended(patching.Patched, patching.ReasonVerified),
		}, []string{"For 1 of 2 machines the windows were too few or too short."}},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.advice, measure.Of(opened, c.fleet).Advice()) })
	}
}

// Serves G11: how a cycle closes.
func TestHowACycleCloses(t *testing.T) {
	counts := func(o ...patching.Outcome) map[patching.Outcome]int {
		m := map[patching.Outcome]int{patching.Failed: 0}
		for _, x := range o {
			m[x]++
		}
		return m
	}
	for _, c := range []struct {
		name  string
		ended measure.Ended
		want  patching.ClosedAs
	}{
		{
			"all is well, and what the policy leaves out is no exception",
			measure.Ended{Outcomes: counts(patching.Patched, patching.AlreadyUpToDate, patching.Excluded, patching.NotApplicable)},
			patching.ClosedSuccessful,
		},
		{"a failure is an exception", measure.Ended{Outcomes: counts(patching.Patched, patching.Failed)}, patching.ClosedWithExceptions},
		{"so is silence", measure.Ended{Outcomes: counts(patching.Unreachable)}, patching.ClosedWithExceptions},
		{"so is what was not reached", measure.Ended{Outcomes: counts(patching.Patched, patching.Deferred)}, patching.ClosedWithExceptions},
		{"so is one machine that went back", measure.Ended{Outcomes: counts(patching.Patched, patching.RolledBack)}, patching.ClosedWithExceptions},
		{"so is a machine without an outcome", measure.Ended{Outcomes: counts(patching.Patched, "")}, patching.ClosedWithExceptions},
		{"shadow mode defers all, and succeeds", measure.Ended{Outcomes: counts(patching.Deferred), Shadow: true}, patching.ClosedSuccessful},
		{"nobody took part, so nothing succeeded", measure.Ended{Outcomes: counts()}, patching.ClosedCancelled},
		{"nor where the policy leaves all out", measure.Ended{Outcomes: counts(patching.Excluded, patching.NotApplicable)}, patching.ClosedCancelled},
		{"a fleet that has everything is well", measure.Ended{Outcomes: counts(patching.AlreadyUpToDate, patching.Excluded)}, patching.ClosedSuccessful},
		{"what was undone is backed out", measure.Ended{Outcomes: counts(patching.RolledBack), Decided: patching.ClosedBackedOut}, patching.ClosedBackedOut},
		{"what a person stopped is cancelled", measure.Ended{Outcomes: counts(patching.Patched), Decided: patching.ClosedCancelled}, patching.ClosedCancelled},
	} {
		t.Run(c.name, func(t *testing.T) { assert.Equal(t, c.want, measure.ClosedAs(c.ended)) })
	}
}
