package agent

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Serves scenario 14: a machine that was away is not told off for it.
func TestAnOrderThatArrivesTooLateIsDeferred(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.clock.now = tonight.Add(48 * time.Hour)
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.StageFinished, last.Stage)
	assert.Equal(t, patching.Deferred, last.Outcome)
	assert.Equal(t, patching.ReasonWindowOver, last.Reason)
	assert.Empty(t, b.box.wrote)
}

func TestAGenuineOrderThatCannotBeAcceptedIsAnsweredOnce(t *testing.T) {
	b := newBench(t)
	d := b.draft(trust.Apply, small())
	d.Device = "d-1"
	order, err := d.Order(b.office.root, 9, trust.PublicKey(b.office.pub), b.clock.now)
	require.NoError(t, err)
	order.Window.Rule = "whenever"
	b.office.orders = []uplink.SignedOrder{{Device: "d-1", Envelope: order.Seal(b.office.keys.Dispatcher)}}
	b.office.seqs = []uint64{9}
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.StageRefused, last.Stage)
	assert.Equal(t, patching.ReasonRefused, last.Reason)
	assert.Contains(t, last.Detail, "not in its window")
	told := len(b.office.receipts)
	b.until(tonight.Add(time.Hour))
	assert.Len(t, b.office.receipts, told)
}

func TestWhatIsNotOursIsNotAnswered(t *testing.T) {
	b := newBench(t)
	b.turn()
	d := b.draft(trust.Apply, small())
	seal := func(device patching.DeviceID, key trust.Key) []byte {
		d := d
		d.Device = device
		order, err := d.Order(b.office.root, 9, trust.PublicKey(b.office.pub), b.clock.now)
		require.NoError(t, err)
		return order.Seal(key)
	}
	news := b.agent.Take(uplink.PollResponse{Orders: []uplink.SignedOrder{
		{Device: "d-1", Envelope: seal("d-1", b.office.keys.Lease)},      // forged
		{Device: "d-1", Envelope: seal("d-2", b.office.keys.Dispatcher)}, // misdelivered
		{Device: "d-2", Envelope: seal("d-2", b.office.keys.Dispatcher)}, // another's
		{Device: "d-1", Envelope: []byte("noise")},
	}})
	assert.False(t, news, "the caller should pause: the server repeats what is of no use")
	b.turn()
	assert.Empty(t, b.office.receipts)
}

func TestOrdersThatALineMixedUpAreAllTaken(t *testing.T) {
	b := newBench(t)
	for _, id := range []patching.OrderID{"o-1", "o-2", "o-3"} {
		d := b.draft(trust.Clean, small())
		d.ID, d.WindowRule, d.Fence = id, "", 0
		b.office.issue(d)
	}
	o := b.office.orders
	b.agent.Take(uplink.PollResponse{Orders: []uplink.SignedOrder{o[2], o[0], o[1], o[0], o[2]}})
	_, err := b.agent.Work(t.Context())
	require.NoError(t, err)
	for _, id := range []patching.OrderID{"o-1", "o-2", "o-3"} {
		assert.Len(t, b.office.final(id), 1, id)
	}
	assert.Len(t, b.box.wrote, 3)
}

func TestAReplayedOrderIsDoneOnce(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.untilFinal("o-1")
	b.boot()
	assert.False(t, b.agent.Take(uplink.PollResponse{Orders: b.office.orders}))
	b.turn()
	assert.Len(t, b.office.final("o-1"), 1)
}

func TestAnOrderThatWasDoneNeverStartsAgainUnderWhateverNumber(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.permit("o-1")
	b.untilFinal("o-1")
	wrote := len(b.box.wrote)
	b.box.installed["openssl"] = "1"
	b.apply(small()) // the same id again, signed anew
	b.office.permit("o-1")
	b.until(tonight.Add(time.Hour))
	assert.Len(t, b.box.wrote, wrote)
	final := b.office.final("o-1")
	require.Len(t, final, 2)
	assert.Equal(t, patching.StageRefused, final[1].Stage)
	assert.Contains(t, final[1].Detail, "carried out before")
}

func TestOneMachineWorksOnOneOrderAtATime(t *testing.T) {
	b := newBench(t)
	b.apply(twoSteps())
	d := b.draft(trust.Repair, small())
	d.ID, d.Args = "o-2", trust.RepairArgs{Do: trust.RepairConfigure}
	b.office.issue(d)
	b.office.permit("o-1")
	b.office.permit("o-2")
	b.run(func() bool { return len(b.office.final("o-2")) > 0 })
	assert.Equal(t, "repair", b.box.wrote[len(b.box.wrote)-1])
	assert.Equal(t, "reboot", b.box.wrote[len(b.box.wrote)-2], "the second began after the first had restarted and ended")
}

// An emergency took the machine over: its lock has a higher number.
func TestAnOrderUnderALockThatWasLostIsRefused(t *testing.T) {
	b := newBench(t)
	d := b.draft(trust.Apply, small())
	d.ID, d.Fence = "o-2", 8
	b.office.issue(d)
	b.apply(small()) // under lock 7
	last := b.untilFinal("o-1")
	assert.Equal(t, patching.StageRefused, last.Stage)
	assert.Contains(t, last.Detail, "another cycle took over")
}

func TestANewEpochVoidsWhatHasNotStartedAndBeginsNumbersAnew(t *testing.T) {
	b := newBench(t)
	b.apply(small())
	b.office.seq = 900
	b.turn()
	require.NotNil(t, b.agent.state.find("o-1"))

	b.office.root = b.office.root.Bump(2)
	b.office.newRoot = b.office.root.Seal(b.office.keys.Root)
	b.office.orders, b.office.seqs, b.office.seq = nil, nil, 0
	d := b.draft(trust.Apply, small())
	d.ID = "o-1.2"
	b.office.issue(d) // number 1 of epoch 2
	b.office.permit("o-1.2")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1.2").Outcome)
	assert.Empty(t, b.office.final("o-1"))

	b.boot()
	assert.EqualValues(t, 2, b.agent.root.Epoch, "it is kept")
}

func TestAnOrderUnderWayOutlivesItsEpoch(t *testing.T) {
	b := newBench(t)
	b.box.onApply = func(patching.Patch) error {
		if b.office.root.Epoch == 1 {
			b.office.root = b.office.root.Bump(2)
			b.office.newRoot = b.office.root.Seal(b.office.keys.Root)
		}
		return nil
	}
	b.apply(twoSteps())
	b.office.permit("o-1")
	assert.Equal(t, patching.Patched, b.untilFinal("o-1").Outcome)
}

func TestATrustRootOfSomebodyElseIsNotTaken(t *testing.T) {
	b := newBench(t)
	forged := b.office.root.Bump(9)
	assert.False(t, b.agent.Take(uplink.PollResponse{Root: forged.Seal(b.office.keys.Dispatcher)}))
	assert.EqualValues(t, 1, b.agent.root.Epoch)
}

func TestAHelloIsUsedAgainAndRenewedInTime(t *testing.T) {
	b := newBench(t)
	first, err := b.agent.Listen()
	require.NoError(t, err)
	b.clock.now = tonight.Add(4 * time.Minute)
	again, err := b.agent.Listen()
	require.NoError(t, err)
	assert.Equal(t, first.Hello, again.Hello)
	b.clock.now = tonight.Add(6 * time.Minute)
	renewed, err := b.agent.Listen()
	require.NoError(t, err)
	assert.Greater(t, renewed.Hello.Counter, first.Hello.Counter)

	b.agent.Take(uplink.PollResponse{Refused: []uplink.Refused{{Device: "d-1", Stale: true, Why: "seen too long ago"}}})
	fresh, err := b.agent.Listen()
	require.NoError(t, err)
	assert.Greater(t, fresh.Hello.Counter, renewed.Hello.Counter, "the server finds it stale: a new one is made")
}

func TestAStaleHelloIsReplacedAtOnceAndAStrangerWaits(t *testing.T) {
	b := newBench(t)
	b.office.refuse = []uplink.Refused{{Device: "d-1", Stale: true, Why: "seen too long ago"}}
	_, err := b.agent.PollOnce(t.Context(), 0)
	require.NoError(t, err)

	b.office.refuse = []uplink.Refused{{Device: "d-1", Why: "this machine waits for somebody to accept it"}}
	_, err = b.agent.PollOnce(t.Context(), 0)
	assert.ErrorContains(t, err, "waits for somebody to accept it")
}
