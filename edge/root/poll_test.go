package root_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestAnOrderWakesTheMachineThatItIsFor(t *testing.T) {
	h := newHouse(t)
	a, b := h.enrol(), h.enrol()
	answers := make(chan uplink.PollResponse, 2)
	for _, c := range []*client{a, b} {
		ask := uplink.PollRequest{Devices: []uplink.PollDevice{c.position()}, WaitSeconds: 3}
		go func() {
			r, err := c.link.Poll(c.context(), ask)
			if err != nil {
				t.Error(err)
			}
			answers <- r
		}()
	}
	time.Sleep(50 * time.Millisecond) // let both wait; if they do not yet, the test is only easier
	began := time.Now()
	h.issue(a.draft("o1"))
	r := <-answers
	require.Less(t, time.Since(began), 2*time.Second)
	orders := a.obey(r.Orders)
	require.Len(t, orders, 1)
	require.EqualValues(t, "o1", orders[0].ID)
	require.Equal(t, trust.Apply, orders[0].Verb)
	require.True(t, (<-answers).Empty(), "the other machine is left in peace")

	require.True(t, a.poll(0).Empty(), "what was seen is not sent again")
}

func TestAPermitWakesTheMachineToo(t *testing.T) {
	c := newHouse(t).enrol()
	c.issue(c.draft("o1"))
	order := c.obey(c.poll(0).Orders)[0]
	ask := uplink.PollRequest{Devices: []uplink.PollDevice{c.position()}, WaitSeconds: 5}
	got := make(chan uplink.PollResponse, 1)
	go func() {
		r, err := c.link.Poll(c.context(), ask)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	require.NoError(t, c.server.Dispatcher().Permit(c.context(), []patching.OrderID{"o1"}))
	r := <-got
	require.Empty(t, r.Orders)
	lease, err := c.verify.Lease(r.Leases[0].Envelope, order)
	require.NoError(t, err)
	require.NoError(t, lease.Usable(c.now()))
}

func TestARelayWithThousandsOfMachinesCostsOneLookUpForTheOneWithNews(t *testing.T) {
	const machines = 2000
	h := newHouse(t)
	clients := make([]*client, machines)
	var all sync.WaitGroup
	for w := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := w; i < machines; i += 8 {
				clients[i] = h.enrol()
			}
		}()
	}
	all.Wait()
	ask := uplink.PollRequest{Relay: "berlin", WaitSeconds: 0}
	for _, c := range clients {
		ask.Devices = append(ask.Devices, c.position())
	}
	_, err := h.link.Poll(h.context(), ask)
	require.NoError(t, err)
	require.Equal(t, []int{machines}, h.store.asked(), "once for all: nothing was known")

	ask.WaitSeconds = 10
	got := make(chan uplink.PollResponse, 1)
	go func() {
		r, err := h.link.Poll(h.context(), ask)
		if err != nil {
			t.Error(err)
		}
		got <- r
	}()
	time.Sleep(300 * time.Millisecond)
	h.issue(clients[1234].draft("o1"))
	require.Len(t, clients[1234].obey((<-got).Orders), 1)
	require.Equal(t, []int{machines, 1}, h.store.asked())
	require.Eventually(t, func() bool {
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		return h.store.parts["server"] > 0
	}, 5*time.Second, 10*time.Millisecond)
}

func TestOrdersThatAnotherHandKeptAreFoundInTime(t *testing.T) {
	h := newHouse(t, func(o *root.Options) { o.Recheck = time.Minute })
	c := h.enrol()
	require.True(t, c.poll(0).Empty())
	h.issue(c.draft("o1"))
	var kept root.Order
	h.store.change("o1", func(o *root.Order) { kept = *o; o.Withdrawn = true })
	require.True(t, c.poll(0).Empty(), "a withdrawn order is not handed out")

	kept.ID = "o2"
	require.NoError(t, h.store.PutOrders(c.context(), []root.Order{kept}))
	require.True(t, c.poll(0).Empty(), "nobody told")
	h.ahead.Add(int64(2 * time.Minute))
	require.Len(t, c.poll(0).Orders, 1)
}

func TestAHelloIsGoodForTenMinutesAndOnlyFromItsDevice(t *testing.T) {
	h := newHouse(t)
	a, b := h.enrol(), h.enrol()
	ask := func(p uplink.PollDevice) []uplink.Refused {
		r, err := h.link.Poll(h.context(), uplink.PollRequest{Devices: []uplink.PollDevice{p}})
		require.NoError(t, err)
		return r.Refused
	}
	first := a.position()
	require.Empty(t, ask(first))
	require.Empty(t, ask(first), "it may be used again")
	second := a.position()
	require.Empty(t, ask(second))
	require.True(t, ask(first)[0].Stale, "an older one not any more")

	h.ahead.Add(int64(uplink.HelloLife + time.Second))
	require.True(t, ask(second)[0].Stale)

	forged := b.position()
	forged.Hello.Device = a.id
	forged.Hello.Counter = 1000
	require.Contains(t, ask(forged)[0].Why, "not signed")
	receipt := b.position()
	receipt.Hello = b.receipt("o", patching.StageAccepted)
	require.NotEmpty(t, ask(receipt))
	require.Empty(t, ask(a.position()))
}

// What a machine's clock shows is told to people, and changes nothing else.
func TestAMachineWhoseClockIsOffIsServedAndNoted(t *testing.T) {
	h := newHouse(t)
	late, right := h.enrol(), h.enrol()
	noted := func(c *client) time.Duration {
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		return h.store.devices[c.id].ClockOff
	}
	writes := func() int {
		h.store.mu.Lock()
		defer h.store.mu.Unlock()
		return h.store.clocks
	}
	late.off, right.off = -72*time.Hour, -9*time.Minute
	h.issue(late.draft("o1"))
	answer := late.poll(0)
	require.Empty(t, answer.Refused)
	require.Len(t, answer.Orders, 1)
	require.WithinDuration(t, h.now(), answer.At, 5*time.Second, "the machine is told the time")
	require.WithinDuration(t, h.now().Add(-72*time.Hour), h.now().Add(noted(late)), 5*time.Second)
	right.poll(0)
	require.Zero(t, noted(right), "it can judge its window")
	late.poll(0)
	require.Equal(t, 1, writes(), "the same is not written at each poll")

	old := late.position()
	late.off = 0
	require.Empty(t, late.poll(0).Refused)
	require.Zero(t, noted(late), "it was set right")
	_, err := h.link.Poll(h.context(), uplink.PollRequest{Devices: []uplink.PollDevice{old}})
	require.NoError(t, err)
	require.Zero(t, noted(late), "a hello of before says nothing any more")
	late.off = 26 * time.Hour
	late.poll(0)
	require.WithinDuration(t, h.now().Add(26*time.Hour), h.now().Add(noted(late)), 5*time.Second)
	require.Equal(t, 3, writes())
}

func TestAClockThatCouldNotBeNotedIsNotedAtTheNextPoll(t *testing.T) {
	h := newHouse(t)
	c := h.enrol()
	c.off = time.Hour
	h.store.mu.Lock()
	h.store.failing = errors.New("the disk is full")
	h.store.mu.Unlock()
	require.Empty(t, c.poll(0).Refused)
	h.store.mu.Lock()
	h.store.failing = nil
	h.store.mu.Unlock()
	c.poll(0)
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	require.NotZero(t, h.store.devices[c.id].ClockOff)
}

// Serves Q13.
func TestKeysThatAreLostOrStrangeAreNeitherReplacedNorUsed(t *testing.T) {
	dir := t.TempDir()
	after, err := root.OpenFolder(dir, fleet, 2)
	require.NoError(t, err)
	for _, name := range []string{"dispatcher", "lease"} {
		file := filepath.Join(dir, name+".key")
		kept, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.Remove(file))
		_, err = root.OpenFolder(dir, fleet, 3)
		require.ErrorContains(t, err, "restore the folder")
		require.NoFileExists(t, file, "no key is made beside a trust root that names another")
		strange, err := trust.LoadOrCreateKey(file)
		require.NoError(t, err)
		_, err = root.OpenFolder(dir, fleet, 3)
		require.ErrorContains(t, err, "the trust root does not name", "%s is %s", name, strange.Public().ID())
		require.NoError(t, os.WriteFile(file, kept, 0o600))
	}
	now, err := root.OpenFolder(dir, fleet, 2)
	require.NoError(t, err)
	require.Equal(t, after.Authority().Envelope, now.Authority().Envelope, "nothing was signed anew meanwhile")
}

func TestANewEpochReachesMachinesWithTheRootThatTheyPinned(t *testing.T) {
	dir := t.TempDir()
	before, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	h := newHouse(t, func(o *root.Options) { o.Authority = before })
	c := h.enrol()
	c.memory = trust.Memory{Epoch: 1, Seq: 500}

	again, err := root.OpenFolder(dir, fleet, 1)
	require.NoError(t, err)
	require.Equal(t, before.Authority().Envelope, again.Authority().Envelope, "the same epoch signs nothing new")
	after, err := root.OpenFolder(dir, fleet, 2)
	require.NoError(t, err)
	_, err = root.OpenFolder(dir, "other", 2)
	require.ErrorContains(t, err, "fleet")

	next := newHouse(t, func(o *root.Options) { o.Authority, o.Store = after, h.store })
	next.store = h.store
	c.house = next
	c.verify.Root.Epoch = 2
	next.issue(c.draft("o1"))
	r := c.poll(0)
	pinned, err := c.root.Accept(r.Root)
	require.NoError(t, err)
	require.EqualValues(t, 2, pinned.Epoch)
	require.Len(t, c.obey(r.Orders), 1, "sequences begin anew")
}

func TestTheServerAndItsRelaysAreNotedAsListening(t *testing.T) {
	h := newHouse(t, func(o *root.Options) { o.Presence = 20 * time.Millisecond })
	c := h.enrol()
	ask := uplink.PollRequest{Relay: "tokyo", Devices: []uplink.PollDevice{c.position()}, WaitSeconds: 1}
	_, err := h.link.Poll(h.context(), ask)
	require.NoError(t, err)
	_, err = h.link.Poll(h.context(), uplink.PollRequest{Relay: "ghost", Devices: []uplink.PollDevice{{Hello: uplink.Message{Device: "d-x"}}}})
	require.NoError(t, err)
	h.store.mu.Lock()
	defer h.store.mu.Unlock()
	require.Greater(t, h.store.parts["server"], 10)
	require.Greater(t, h.store.parts["relay/tokyo"], 5)
	require.Zero(t, h.store.parts["relay/ghost"], "who brings no machine is no relay")
}
