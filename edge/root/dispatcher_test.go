package root_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestIssuingAgainChangesNothing(t *testing.T) {
	c := newHouse(t).enrol()
	c.issue(c.draft("o1"))
	first := c.store.orders["o1"]
	c.issue(c.draft("o1"), c.draft("o2"), c.draft("o2"))
	require.Equal(t, first, c.store.orders["o1"])
	require.Len(t, c.store.orders, 2)
	require.EqualValues(t, 2, c.store.seq, "no number is wasted on what exists")
}

func TestAMachineGetsItsOrdersByRisingNumbersWhoeverIssuesThem(t *testing.T) {
	c := newHouse(t).enrol()
	var all sync.WaitGroup
	for _, id := range numbered("o%d", 40) {
		all.Add(1)
		go func() {
			defer all.Done()
			if err := c.server.Dispatcher().Issue(c.context(), []trust.Draft{c.draft(id)}); err != nil {
				t.Error(err)
			}
		}()
	}
	seen := 0
	for deadline := time.Now().Add(10 * time.Second); seen < 40 && time.Now().Before(deadline); {
		seen += len(c.obey(c.poll(1).Orders)) // obey fails on a number that is not above the last
	}
	all.Wait()
	require.Equal(t, 40, seen, "an order was passed over")
}

func TestADraftForARevokedDeviceDoesNotHoldUpTheOthers(t *testing.T) {
	h := newHouse(t)
	a, b := h.enrol(), h.enrol()
	h.store.mu.Lock()
	d := h.store.devices[a.id]
	d.State = patching.DeviceRevoked
	h.store.devices[a.id] = d
	h.store.mu.Unlock()
	h.server.DevicesChanged()
	h.issue(a.draft("o1"), b.draft("o2"))
	require.Len(t, b.obey(b.poll(0).Orders), 1)
	require.NotContains(t, h.store.orders, patching.OrderID("o1"))
}

func TestAnOrderThatMachinesWouldRefuseIsNotSigned(t *testing.T) {
	c := newHouse(t).enrol()
	d := c.draft("o1")
	d.Fence = 0
	require.ErrorContains(t, c.server.Dispatcher().Issue(c.context(), []trust.Draft{d}), "fence")
	require.Empty(t, c.store.orders)
}

func TestALeaseIsRenewedOnlyForWhatMayStillStart(t *testing.T) {
	for name, k := range map[string]struct {
		prepare func(*client)
		granted bool
	}{
		"released and its permit ran out": {func(*client) {}, true},
		"started, and asked again":        {func(c *client) { c.deployed(patching.DeploymentStarted) }, true},
		"never released": {func(c *client) {
			c.store.change("o1", func(o *root.Order) { o.Lease, o.LeaseUntil = nil, time.Time{} })
		}, false},
		"withdrawn":                  {func(c *client) { c.store.change("o1", func(o *root.Order) { o.Withdrawn = true }) }, false},
		"final":                      {func(c *client) { c.store.change("o1", func(o *root.Order) { o.Final = true }) }, false},
		"its deployment has ended":   {func(c *client) { c.deployed(patching.DeploymentDone) }, false},
		"its deployment is held":     {func(c *client) { c.deployed(patching.DeploymentStaged) }, false},
		"no deployment":              {func(c *client) { clear(c.store.deployments) }, false},
		"its window is over":         {func(c *client) { c.ahead.Add(int64(150 * time.Minute)) }, false},
		"its window has not opened":  {func(c *client) { c.ahead.Add(-int64(90 * time.Minute)) }, false},
		"it is another machine's":    {func(c *client) { c.store.change("o1", func(o *root.Order) { o.Device = "d-other" }) }, false},
		"the order has expired":      {func(c *client) { c.ahead.Add(int64(4 * time.Hour)) }, false},
		"the order was never issued": {func(c *client) { clear(c.store.orders) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newHouse(t).enrol()
			c.issue(c.draft("o1"))
			order := c.obey(c.poll(0).Orders)[0]
			c.deployed(patching.DeploymentReleased)
			require.NoError(t, c.server.Dispatcher().Permit(c.context(), []patching.OrderID{"o1"}))
			c.ahead.Add(int64(20 * time.Minute))
			k.prepare(c)

			ask := c.says(uplink.KindLeaseRequest, uplink.Encode(uplink.LeaseRequest{Order: "o1"}))
			acks := c.send(ask)
			require.Equal(t, patching.Taken, acks[0].Intake)
			require.Equal(t, k.granted, acks[0].Lease != nil)
			if k.granted {
				lease, err := c.verify.Lease(acks[0].Lease.Envelope, order)
				require.NoError(t, err)
				require.NoError(t, lease.Usable(c.now()))
			}
		})
	}
}

func (c *client) deployed(s patching.DeploymentState) {
	c.store.mu.Lock()
	defer c.store.mu.Unlock()
	c.store.deployments[patching.AssetID("a-"+string(c.id))] = s
}

func TestAPermitIsNotGivenToWhatCannotStart(t *testing.T) {
	c := newHouse(t).enrol()
	c.issue(c.draft("o1"), c.draft("o2"), c.draft("o3"))
	c.store.change("o1", func(o *root.Order) { o.Withdrawn = true })
	c.store.change("o2", func(o *root.Order) { o.Final = true })
	require.NoError(t, c.server.Dispatcher().Permit(c.context(), []patching.OrderID{"o1", "o2", "o3", "o4"}))
	require.Empty(t, c.store.orders["o1"].Lease)
	require.Empty(t, c.store.orders["o2"].Lease)
	require.NotEmpty(t, c.store.orders["o3"].Lease)
	require.Len(t, c.poll(0).Leases, 1)
}

// Serves Q15: anyone may stop.
func TestWhileMachinesAreHeldNobodyGetsAStartPermit(t *testing.T) {
	h := newHouse(t)
	c := h.enrol()
	h.store.deployments = map[patching.AssetID]patching.DeploymentState{}
	h.issue(c.draft("o1"))
	require.Len(t, c.obey(c.poll(0).Orders), 1)
	say := func(hold patching.Hold) {
		h.store.mu.Lock()
		h.store.hold = hold
		h.store.mu.Unlock()
		require.NoError(t, h.server.HoldChanged(t.Context()))
	}
	say(patching.Hold{Version: 1, By: "olga", Reason: "payroll", At: time.Now()})
	require.NoError(t, h.server.Dispatcher().Permit(t.Context(), []patching.OrderID{"o1"}))
	r := c.poll(0)
	require.Empty(t, r.Leases)
	require.Equal(t, "olga", r.Hold.By)
	h.store.mu.Lock()
	released := h.store.orders["o1"].LeaseUntil
	h.store.mu.Unlock()
	require.False(t, released.IsZero(), "it counts as released, so that it gets a permit when it asks later")

	say(patching.Hold{Version: 2, Lifted: true, By: "olga", At: time.Now()})
	require.NoError(t, h.server.Dispatcher().Permit(t.Context(), []patching.OrderID{"o1"}))
	r = c.poll(0)
	require.Nil(t, r.Hold)
	require.Len(t, r.Leases, 1)

	say(patching.Hold{Version: 3, By: "olga", Reason: "an hour", At: time.Now(), Until: time.Now().Add(-time.Minute)})
	require.Nil(t, c.poll(0).Hold, "it is over")
}
