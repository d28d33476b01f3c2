package agent

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
)

// whole runs a bench with kills at some events, and returns how many events
// there were and what the order ended as.
func whole(t testing.TB, power bool, kills ...int) (*bench, patching.Receipt) {
	t.Helper()
	b := newBench(t)
	b.power = power
	b.fuse.kill = map[int]bool{}
	for _, k := range kills {
		b.fuse.kill[k] = true
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	return b, b.untilFinal("o-1")
}

// Serves G6, Q2 and scenarios 21 and 31 of the crash tests: between any two
// things that the agent does, it may be killed or the machine may lose power.
func TestKilledAtAnyEventTheOrderIsCarriedOutOnceAndToldOnce(t *testing.T) {
	quiet, _ := whole(t, false)
	events := quiet.fuse.events
	require.Greater(t, events, 25)
	t.Logf("%d events: %q", events, quiet.fuse.named)
	for _, power := range []bool{false, true} {
		for n := 1; n <= events; n++ {
			t.Run(fmt.Sprintf("power %t, event %d, %s", power, n, quiet.fuse.named[n-1]), func(t *testing.T) {
				b, last := whole(t, power, n)
				assert.Equal(t, patching.Patched, last.Outcome, last.Detail)
				assert.Empty(t, b.box.repeats(), "%q", b.box.wrote)
				assert.Equal(t, map[string]string{"openssl": "2", "nginx": "8", "linux": "6"}, b.box.installed)
				assert.Len(t, last.Changes, 3)
				assert.False(t, b.box.pending, "it restarted for the kernel")
				assert.GreaterOrEqual(t, b.lives, 2, "it was killed")
			})
		}
	}
}

func TestKilledAgainAndAgainNothingIsDoneTwice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kills := rapid.SliceOfN(rapid.IntRange(1, 60), 2, 12).Draw(rt, "kills")
		b, last := whole(t, rapid.Bool().Draw(rt, "power"), kills...)
		if repeats := b.box.repeats(); len(repeats) > 0 {
			rt.Fatalf("repeated %q in %q", repeats, b.box.wrote)
		}
		// Who is killed too often in one step gives up, and says so.
		switch last.Outcome {
		case patching.Patched, patching.Failed, patching.NeedsHands:
		default:
			rt.Fatalf("ended as %+v", last)
		}
	})
}

// The tests above would see a repeat. Unpacking again what was not configured
// is none: that is how an interrupted transaction goes on.
func TestAPlantedRepeatIsSeen(t *testing.T) {
	b := newBench(t)
	b.box.wrote = []string{"unpacked a 1", "configured a 1", "unpacked b 1", "unpacked b 1", "unpacked a 1"}
	assert.Equal(t, []string{"a 1"}, b.box.repeats())
}

func TestACrashBetweenUnpackingAndConfiguringCountsAsARepair(t *testing.T) {
	quiet, _ := whole(t, false)
	for n, what := range quiet.fuse.named {
		if what != "between unpacking and configuring" {
			continue
		}
		_, last := whole(t, false, n+1)
		assert.Equal(t, patching.Patched, last.Outcome)
		assert.Equal(t, 1, last.Repairs)
	}
}

func TestDurableWritesAreFew(t *testing.T) {
	b, _ := whole(t, false)
	// The block of counters, before each transaction, before the restart
	// (that it is wanted, that it is asked for), the restart seen, the end; and
	// blocks of counters after each of two restarts.
	assert.LessOrEqual(t, b.disk.syncs, 8)
}

// One agent's share of a wave: poll, verify, two steps, a restart, receipts,
// with the office's checks of the signatures.
func BenchmarkOneOrder(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		whole(b, false)
	}
}
