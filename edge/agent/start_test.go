package agent

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Serves G3 and I2: without a permit nothing starts, however open the window.
func TestWithoutALeaseNothingStarts(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonWindowOver, last.Reason)
	assert.Empty(t, b.box.wrote)
	assert.Equal(t, 1, b.box.fetched, "what can be prepared was")
	assert.Equal(t, tonight.Add(4*time.Hour), b.clock.now)
	assert.InDelta(t, 23, b.office.requests, 2, "it asks every ten minutes, in case the permit was lost")
}

func TestALeaseThatWasLostIsAskedFor(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.grantLease = true
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
	assert.Equal(t, 1, b.office.requests)
}

func TestALeaseThatCameBeforeItsOrderComesAgain(t *testing.T) {
	b := newBench(t)
	b.turn()
	b.apply(small())
	b.office.permit("o-1")
	// The line lost the order and let the permit through.
	assert.False(t, b.agent.Take(uplink.PollResponse{Leases: []uplink.SignedLease{*b.office.signed("o-1")}}))
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Zero(t, b.office.requests, "it need not be asked for")
}

func TestAForgedLeaseStartsNothing(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.turn()
	lease := trust.NewLease(b.office.root, "o-1", "d-1", b.clock.now)
	b.agent.Take(uplink.PollResponse{Leases: []uplink.SignedLease{{Device: "d-1", Order: "o-1", Envelope: lease.Seal(b.office.keys.Dispatcher)}}})
	b.turn()
	assert.NotContains(t, b.office.stages("o-1"), patching.StageStarted)
}

func TestBeforeItsWindowAnOrderIsOnlyPrepared(t *testing.T) {
	b := newBench(t)
	b.clock.now = tonight.Add(-6 * time.Hour)
	b.apply(small())
	b.until(tonight.Add(-time.Hour))
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
	assert.Empty(t, b.box.wrote)
	assert.Zero(t, b.office.requests)
}

func TestALeaseThatExpiredBeforeTheStartIsAskedForAgain(t *testing.T) {
	b := newBench(t)
	b.clock.now = tonight.Add(-time.Hour)
	b.apply(small())
	b.office.permit("o-1") // an hour too early: good until 21:15
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.Equal(t, 1, b.office.requests)
	assert.WithinDuration(t, tonight, last.At, time.Minute)
}

// Scenario 20: a clock that is off judges no window.
func TestAClockThatIsBehindSignedTimeOnlyFetches(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.clock.now = tonight.Add(time.Hour)
	b.office.permit("o-1") // signed an hour after what the machine is going to show
	b.clock.now = tonight
	b.turn()
	b.until(tonight.Add(40 * time.Minute))
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
	assert.Empty(t, b.box.wrote)
}

func TestAClockThatIsAheadOnlyFetchesAndSaysWhy(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.leaseAge = 12 * time.Minute // what the server signs now is twelve minutes ago here
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonClockOff, last.Reason)
	assert.Empty(t, b.box.wrote)
}

func TestAClockThatWasSetRightIsBelievedAgain(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.leaseAge = 12 * time.Minute
	b.office.permit("o-1")
	b.until(tonight.Add(30 * time.Minute))
	b.office.leaseAge = 0
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

// A clock that shows another day would make it wait until that day, and say
// nothing meanwhile.
func TestAMachineWhoseClockIsDaysBehindStartsWhenItWasSetRight(t *testing.T) {
	b := newBench(t)
	b.clock.now, b.office.ahead = tonight.Add(-72*time.Hour), 72*time.Hour
	b.apply(small())
	b.office.permit("o-1")
	b.turn()
	wake, _ := b.turn()
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
	assert.Empty(t, b.box.wrote)
	assert.False(t, wake.After(b.clock.now.Add(10*time.Minute)), "it would look again at %s only", wake)
	assert.Equal(t, -72*time.Hour, b.agent.state.ClockOff)

	b.clock.now, b.office.ahead = tonight.Add(30*time.Minute), 0
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
	assert.Zero(t, b.agent.state.ClockOff)
}

func TestAMachineWhoseClockIsDaysAheadSaysThatThisIsWhy(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.clock.now, b.office.ahead = tonight.Add(72*time.Hour), -72*time.Hour
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonClockOff, last.Reason)
	assert.Equal(t, "it shows 2026-11-24T22:00:00Z, about 3 days ahead", last.Detail)
	assert.Empty(t, b.box.wrote)
}

// farOff are clocks as machines have them: somebody took the wrong zone, a battery is
// flat, or somebody typed a year.
var farOff = map[string]time.Time{
	"an hour behind": tonight.Add(-time.Hour),
	"an hour ahead":  tonight.Add(time.Hour),
	"in 1970":        time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC),
	"in 2099":        time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
}

// showing sets the machine's clock; the office's is right, and shows at.
func (b *bench) showing(clock, at time.Time) { b.clock.now, b.office.ahead = clock, at.Sub(clock) }

// A clock behind waits for its window, which is years ahead in 1970: it must not wait
// silently. One ahead has missed it already.
func TestAClockThatIsFarOffStartsNothingAndSaysWhy(t *testing.T) {
	for name, shows := range farOff {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.showing(shows, tonight)
			b.apply(small())
			b.office.permit("o-1")
			if shows.After(tonight) {
				last := b.untilFinal("o-1")
				assert.Equal(t, patching.Deferred, last.Outcome)
				assert.Equal(t, patching.ReasonClockOff, last.Reason)
				assert.Contains(t, last.Detail, " ahead")
			} else {
				for range 3 {
					wake, _ := b.turn()
					assert.False(t, wake.After(b.clock.now.Add(10*time.Minute)), "it would look again at %s only", wake)
				}
				assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
			}
			assert.Empty(t, b.box.wrote)
			assert.NotZero(t, b.agent.state.ClockOff, "its status says so")
		})
	}
}

// What a clock showed that was off leaves nothing behind: neither the number of an
// order nor a time by which something is due in 73 years.
func TestAMachineWhoseClockWasFarOffIsLikeAnyOtherWhenItWasSetRight(t *testing.T) {
	for name, shows := range farOff {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.showing(shows, tonight)
			b.turn()
			b.apply(small())
			b.office.permit("o-1")
			b.turn()
			b.showing(tonight.Add(time.Minute), tonight.Add(time.Minute))
			b.boot() // of the agent: the machine was not restarted
			if len(b.office.final("o-1")) == 0 {
				assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
			} else {
				again := b.draft(trust.Apply, small())
				again.ID = "o-2"
				b.office.issue(again)
				b.office.permit("o-2")
				assert.Equal(t, patching.Patched, b.untilFinal("o-2").Outcome)
			}
			assert.Zero(t, b.agent.state.ClockOff)
			assert.False(t, b.agent.inventoryAt.After(b.clock.now.Add(b.agent.cfg.Limits.Inventory)), "the next inventory is due at %s", b.agent.inventoryAt)
		})
	}
}

func TestAnAgentWhoseLastInventoryIsOfTheFutureSendsOne(t *testing.T) {
	b := newBench(t)
	b.showing(farOff["in 2099"], tonight)
	b.turn()
	sent := len(b.office.facts)
	b.showing(tonight, tonight)
	b.boot()
	b.turn()
	assert.Len(t, b.office.facts, sent+1)
}

// Nobody signed the time that comes with an answer: it starts nothing.
func TestATimeThatNobodySignedOpensNoWindow(t *testing.T) {
	b := newBench(t)
	b.clock.now = tonight.Add(-time.Hour) // and so says the server that signs
	b.apply(small())
	b.office.ahead = time.Hour
	b.until(tonight.Add(-time.Minute))
	assert.Empty(t, b.box.wrote)
	assert.Zero(t, b.office.requests, "it asks for no permit before its window")
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
}

// Serves principle 5: anyone may stop.
func TestAHoldOnTheMachineStopsWhatHasNotStarted(t *testing.T) {
	b := newBench(t)
	b.rules.Hold = &Hold{By: "ana", Reason: "stocktaking", Until: tonight.Add(24 * time.Hour)}
	b.apply(small())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonHostRules, last.Reason)
	assert.Equal(t, "held by ana: stocktaking, until 2026-11-22T22:00:00Z", last.Detail)
	assert.Empty(t, b.box.wrote)
}

func TestAHoldThatEndsLetsTheOrderStart(t *testing.T) {
	b := newBench(t)
	b.office.grantLease = true
	b.rules.Hold = &Hold{By: "ana", Reason: "stocktaking", Until: tonight.Add(time.Hour)}
	b.apply(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Patched, last.Outcome)
	assert.False(t, last.At.Before(tonight.Add(time.Hour)))
}

func TestRulesThatCannotBeReadStartNothing(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.turn()
	b.host = brokenRules{}
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.ReasonHostRules, last.Reason)
	assert.Contains(t, last.Detail, "cannot be read")
	assert.Empty(t, b.box.wrote)
}

type brokenRules struct{}

func (brokenRules) Rules() (Rules, error) { return Rules{}, errors.New("line 3") }

func TestWhatTheMachinesRulesDoNotAllowIsRefusedInWords(t *testing.T) {
	b := newBench(t)
	b.rules.Allowed = []trust.Verb{trust.Collect, trust.Simulate}
	b.apply(small())
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.StageRefused, last.Stage)
	assert.Equal(t, patching.ReasonRefused, last.Reason)
	assert.Equal(t, "the machine's rules do not allow apply", last.Detail)
	b.run(func() bool { return len(b.office.facts) > 0 })
	assert.Equal(t, []string{"collect", "simulate"}, b.office.facts[0].Allowed, "the server can plan by them")
}

// Serves Q15.
func TestAnOrderThatTheRulesDoNotAllowAnyMoreIsGivenUp(t *testing.T) {
	for name, atFirst := range map[string]Host{"they allowed it when it came": nil, "they could not be read when it came": brokenRules{}} {
		for _, verb := range []trust.Verb{trust.Apply, trust.Clean} {
			t.Run(name+", "+string(verb), func(t *testing.T) {
				b := newBench(t)
				b.host = atFirst
				if verb == trust.Apply {
					b.apply(small())
					b.turn()
				} else {
					b.office.issue(trust.Draft{ID: "o-1", Verb: verb, NotAfter: tonight.Add(5 * time.Hour)})
					_, err := b.agent.PollOnce(t.Context(), 0)
					require.NoError(t, err)
				}
				require.NotNil(t, b.agent.state.find("o-1"), "it was accepted")
				b.host, b.rules.Allowed = nil, Looking()
				b.office.permit("o-1")
				last := b.untilFinal("o-1")
				assert.Equal(t, patching.Deferred, last.Outcome)
				assert.Equal(t, patching.ReasonHostRules, last.Reason)
				assert.Equal(t, "the machine's rules do not allow "+string(verb), last.Detail)
				assert.Empty(t, b.box.wrote)
			})
		}
	}
}

// Serves Q15.
func TestAnErrandThatChangesSomethingWaitsForRulesThatCanBeRead(t *testing.T) {
	b := newBench(t)
	b.host = brokenRules{}
	b.office.issue(trust.Draft{ID: "o-1", Verb: trust.Clean, NotAfter: tonight.Add(5 * time.Hour)})
	b.until(tonight)
	assert.Empty(t, b.box.wrote)
	b.host = nil
	assert.Empty(t, b.untilFinal("o-1").Reason)
	assert.Equal(t, []string{"clean"}, b.box.wrote)
}

func TestAVerbThatThisAgentDoesNotKnowIsRefusedInWords(t *testing.T) {
	b := newBench(t)
	d := b.draft(trust.Service, small())
	d.Args = trust.NamedArgs{Name: "nginx"}
	b.office.issue(d)
	assert.Equal(t, "this version of the agent cannot service", b.untilFinal("o-1").Detail)
}

func TestAHeldPackageDefersTheWholeOrder(t *testing.T) {
	b := newBench(t)
	b.rules.Held = []string{"nginx"}
	b.apply(twoSteps())
	b.office.permit("o-1")
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonHostRules, last.Reason)
	assert.Equal(t, "nginx is held on this machine", last.Detail)
	assert.Empty(t, b.box.wrote)
}

// Serves Q15: anyone may stop, and nobody has to have signed it.
func TestWhatTheLineSaysOfAHoldIsHeeded(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.office.hold = &uplink.Hold{By: "olga", Reason: "payroll", Until: tonight.Add(time.Hour)}
	for range 5 {
		b.turn()
	}
	assert.Empty(t, b.box.wrote)
	assert.Equal(t, patching.StageFetched, b.agent.state.find("o-1").Stage, "packages are fetched meanwhile")
	b.office.hold = nil
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestAHoldThatIsSaidAgainIsNoNews(t *testing.T) {
	b := newBench(t)
	said := func() uplink.PollResponse {
		until := tonight.Add(time.Hour).In(time.FixedZone("", 20700)) // as it is read: a zone of its own each time
		return uplink.PollResponse{Hold: &uplink.Hold{By: "sue", Reason: "stocktaking", Until: until}}
	}
	assert.True(t, b.agent.Take(said()))
	assert.False(t, b.agent.Take(said()))
	assert.True(t, b.agent.Take(uplink.PollResponse{}), "it was lifted")
}

// Serves Q6, Q15: what says nothing is taken for dead.
func TestWhoIsHeldIsHeardOfMeanwhile(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.office.hold = &uplink.Hold{By: "olga", Reason: "payroll"}
	b.until(tonight.Add(time.Hour))
	assert.Empty(t, b.box.wrote)
	assert.GreaterOrEqual(t, b.office.requests, 4, "in an hour")
	b.office.hold, b.office.grantLease = nil, true
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestWhoWasHeldUntilTheWindowsEndSaysSo(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.office.hold = &uplink.Hold{By: "olga", Reason: "payroll"}
	end := b.untilFinal("o-1")
	assert.Equal(t, patching.Deferred, end.Outcome)
	assert.Contains(t, end.Detail, "held by olga: payroll")
	assert.Empty(t, b.box.wrote)
}
