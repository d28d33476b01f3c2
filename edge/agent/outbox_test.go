package agent

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// recorder stands before the office and keeps every batch that leaves.
type recorder struct {
	*office
	sent [][]uplink.Message
}

func record(b *bench) *recorder {
	r := &recorder{office: b.office}
	b.agent.cfg.Link = linkTo{r}
	return r
}

type linkTo struct{ *recorder }

func (l linkTo) Send(ctx context.Context, batch uplink.Batch) ([]uplink.Ack, error) {
	l.sent = append(l.sent, batch.Messages)
	return l.office.Send(ctx, batch)
}

// Serves scenario 15: nothing acknowledged is lost, nothing lost is forgotten.
func TestAReceiptWhoseAcknowledgementWasLostIsSentAgainUnderTheSameCounter(t *testing.T) {
	b := newBench(t)
	r := record(b)
	b.apply(small())
	b.office.loseAcks = 3
	b.turn()
	b.until(tonight.Add(10 * time.Minute))
	require.Greater(t, len(r.sent), 3)
	first := r.sent[0][0]
	assert.Equal(t, uplink.KindReceipt, first.Kind)
	for _, again := range r.sent[1:4] {
		assert.Equal(t, first, again[0], "the same message, byte for byte")
	}
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"), "taken once")
	assert.Empty(t, b.agent.state.Letters)
}

// Serves Q15.
func TestAnAcknowledgementThatTheServerDidNotSignMakesNothingForgotten(t *testing.T) {
	b := newBench(t)
	b.agent.cfg.Link = liar{b.office}
	b.apply(small())
	b.turn()
	require.Len(t, b.agent.state.Letters, 1)
	b.agent.cfg.Link = b.office
	b.until(tonight.Add(10 * time.Minute))
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
	assert.Empty(t, b.agent.state.Letters)
}

// liar takes every batch, says that all was taken, and throws it away.
type liar struct{ *office }

func (l liar) Send(_ context.Context, batch uplink.Batch) ([]uplink.Ack, error) {
	var acks []uplink.Ack
	for i := range batch.Messages {
		m := &batch.Messages[i]
		ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
		ack.Sign("acme", m, l.keys.Dispatcher) // a key of the server's, but not the one for this
		acks = append(acks, ack)
	}
	return acks, nil
}

func TestReceiptsThatWereNotAcknowledgedSurviveARestart(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.office.down = false
	b.box.onApply = func(patching.Patch) error { b.office.down = true; return nil }
	b.run(func() bool { return b.box.installed["openssl"] == "2" && b.agent.state.underWay() == nil })
	letters := b.agent.state.Letters
	require.Len(t, letters, 1)
	for range 5 {
		b.boot()
		b.turn()
	}
	assert.Equal(t, letters, b.agent.state.Letters)
	b.office.down = false
	last := b.untilFinal("o-1")
	assert.Equal(t, letters[0].Counter, last.Counter)
	assert.Equal(t, letters[0].Boot, last.Boot, "under the boot in which it was made")
}

func TestCountersOnlyGrowOverRestartsAndLossesOfPower(t *testing.T) {
	b := newBench(t)
	var last uint64
	for n := range 6 {
		b.clock.now = b.clock.now.Add(25 * time.Hour)
		b.turn() // a hello, an inventory
		assert.Greater(t, b.office.counter, last)
		last = b.office.counter
		if n%2 == 0 {
			b.disk.cached = b.disk.durable
		}
		b.boot()
	}
}

func TestCountersAreReservedInBlocks(t *testing.T) {
	b := newBench(t)
	for range 3 * counterBlock {
		b.agent.mu.Lock()
		_, err := b.agent.count()
		b.agent.mu.Unlock()
		require.NoError(t, err)
	}
	assert.Equal(t, 3, b.disk.syncs)
}

func TestAReceiptThatALaterMessageOvertookGoesUnderANewCounter(t *testing.T) {
	b := newBench(t)
	b.office.loseAcks = 1
	b.apply(small())
	b.turn()
	require.Len(t, b.agent.state.Letters, 1)
	before := b.agent.state.Letters[0].Counter
	// The server never got it, and a later one came first.
	b.office.receipts, b.office.taken, b.office.counter = nil, map[uint64]patching.Digest{}, before+10
	b.agent.next = before + 20
	b.run(func() bool { return len(b.office.receipts) > 0 })
	assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
	assert.Greater(t, b.office.receipts[0].Counter, before)
}

func TestWhatAServerDoesNotTakeIsKeptAndTriedSeldom(t *testing.T) {
	for _, intake := range []patching.Intake{patching.Stranger, patching.Forked} {
		b := newBench(t)
		b.office.intake = intake
		b.apply(small())
		b.until(tonight.Add(3 * time.Hour))
		assert.NotEmpty(t, b.agent.state.Letters)
		assert.Less(t, b.office.batches, 60, "with longer and longer pauses")
		b.office.intake = ""
		b.untilFinal("o-1")
	}
}

func TestAnInventoryIsSentAtTheBeginningOfABootAndOnceADay(t *testing.T) {
	b := newBench(t)
	b.turn()
	require.Len(t, b.office.facts, 1)
	assert.Equal(t, "db1", b.office.facts[0].Hostname)
	assert.Len(t, b.office.contents, 2, "with the lists that the server lacked")
	b.boot()
	b.turn()
	assert.Len(t, b.office.facts, 1, "the agent was restarted: nothing new")
	b.box.restart()
	b.boot()
	b.turn()
	assert.Len(t, b.office.facts, 2, "the machine was restarted")
	b.until(tonight.Add(24 * time.Hour))
	assert.Len(t, b.office.facts, 3)
	assert.Equal(t, []uplink.Kind{uplink.KindInventory, uplink.KindContent, uplink.KindContent, uplink.KindInventory, uplink.KindInventory}, b.office.kinds)
}

func TestAnInventoryThatFailedIsSentLater(t *testing.T) {
	b := newBench(t)
	b.office.down = true
	b.turn()
	b.office.down = false
	b.run(func() bool { return len(b.office.facts) > 0 })
	assert.True(t, b.clock.now.Before(tonight.Add(time.Minute)))
}

func TestWhenTheLineIsBackWhatWaitedIsSentAtOnce(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.turn()
	b.office.down = true
	b.agent.mu.Lock()
	b.agent.note("o-1", patching.StageFetched, b.clock.now)
	b.agent.inventoryAt = b.clock.now
	b.agent.mu.Unlock()
	for range 12 { // long enough for the longest pause
		wake, _ := b.turn()
		b.clock.now = wake
	}
	b.office.down = false
	told, facts := len(b.office.receipts), len(b.office.facts)
	news, err := b.agent.PollOnce(t.Context(), 0)
	require.NoError(t, err)
	assert.True(t, news)
	_, err = b.agent.Work(t.Context())
	require.NoError(t, err)
	assert.Greater(t, len(b.office.receipts), told)
	assert.Greater(t, len(b.office.facts), facts)
}

func TestAnAgentThatWaitsWakesNoSoonerThanNeeded(t *testing.T) {
	b := newBench(t)
	b.turn()
	wake, _ := b.turn()
	assert.Equal(t, tonight.Add(24*time.Hour), wake, "for its inventory")
	b.clock.now = tonight.Add(-time.Hour)
	b.apply(small())
	b.turn()
	wake, _ = b.turn()
	assert.Equal(t, tonight, wake, "for its window")
}

func TestAnErrandsFailureOfTheLineIsNoFailureOfTheErrand(t *testing.T) {
	b := newBench(t)
	b.turn()
	d := b.draft(trust.Collect, small())
	d.WindowRule, d.Fence = "", 0
	b.office.issue(d)
	_, err := b.agent.PollOnce(t.Context(), 0)
	require.NoError(t, err)
	b.office.down = true
	_, err = b.agent.Work(t.Context())
	require.NoError(t, err)
	b.office.down = false
	last := b.untilFinal("o-1")
	assert.Empty(t, last.Outcome)
}
