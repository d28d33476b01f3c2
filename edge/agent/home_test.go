package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// gate is a server that lets machines in.
type gate struct {
	*office
	asked []uplink.EnrolRequest
	resp  uplink.EnrolResponse
	err   error
}

func (g *gate) Enrol(_ context.Context, r uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	g.asked = append(g.asked, r)
	if err := r.Verify(); err != nil {
		return uplink.EnrolResponse{}, err
	}
	return g.resp, g.err
}

func TestAMachineEnrolsWithAKeyThatItMadeAndKeepsWhoItIs(t *testing.T) {
	b := newBench(t)
	home := Home(t.TempDir())
	_, _, err := home.Identity()
	require.ErrorIs(t, err, ErrNotEnrolled)
	key, err := home.Key()
	require.NoError(t, err)
	server := &gate{office: b.office, resp: uplink.EnrolResponse{Device: "d-1", State: patching.DevicePending, Root: b.pinned}}
	rules := Rules{Allowed: []trust.Verb{trust.Collect}}

	id, deviceState, err := Enrol(t.Context(), server, "token", key, patching.Asset{Hostname: "db1"}, rules, b.office.root.Fingerprint())
	require.NoError(t, err)
	assert.Equal(t, patching.DevicePending, deviceState)
	assert.Equal(t, []string{"collect"}, server.asked[0].Facts.Allowed)
	require.NoError(t, home.Keep(id, "https://patch.example"))

	again, url, err := home.Identity()
	require.NoError(t, err)
	assert.Equal(t, id, again)
	assert.Equal(t, "https://patch.example", url)
	require.NoError(t, home.Keep(id, "https://patch2.example"), "the same machine, its server has moved")
	id.Device = "d-2"
	assert.ErrorContains(t, home.Keep(id, "https://other.example"), "enrolled as d-1 already")
}

func TestAMachineIsNotEnrolledWithAServerThat(t *testing.T) {
	b := newBench(t)
	good := uplink.EnrolResponse{Device: "d-1", State: patching.DeviceAccepted, Root: b.pinned}
	for name, c := range map[string]struct {
		resp        uplink.EnrolResponse
		err         error
		fingerprint patching.Digest
	}{
		"refuses":                        {resp: good, err: errors.New("the token has expired")},
		"gives no id":                    {resp: uplink.EnrolResponse{Root: b.pinned}},
		"gives no trust root":            {resp: uplink.EnrolResponse{Device: "d-1"}},
		"has another root than expected": {resp: good, fingerprint: patching.DigestOf([]byte("another"))},
	} {
		t.Run(name, func(t *testing.T) {
			server := &gate{office: b.office, resp: c.resp, err: c.err}
			_, _, err := Enrol(t.Context(), server, "token", b.key, patching.Asset{Hostname: "db1"}, Rules{}, c.fingerprint)
			assert.Error(t, err)
		})
	}
}

func TestTheStatusOfAnAgentIsReadWhileItRuns(t *testing.T) {
	b := newBench(t)
	home := Home(t.TempDir())
	key, err := home.Key()
	require.NoError(t, err)
	b.key, b.office.pub = key, ed25519.PublicKey(key.Public())
	require.NoError(t, home.Keep(Identity{Device: "d-1", Key: key.Private(), Root: b.pinned}, "https://patch.example"))

	fresh, err := home.Status(Rules{})
	require.NoError(t, err)
	assert.Equal(t, Status{
		Device: "d-1", Server: "https://patch.example", Fleet: "acme", Fingerprint: b.office.root.Fingerprint(), Root: 1,
		Mode: trust.ModeDispatcher, Orders: []OrderStatus{},
	}, fresh)

	ledger, err := home.Ledger()
	require.NoError(t, err)
	defer ledger.Close()
	id, _, err := home.Identity()
	require.NoError(t, err)
	b.agent, err = New(Config{Identity: id, Machine: b.box, Link: b.office, Clock: b.clock, Journal: ledger.Journal("d-1"), Shelf: home.Shelf(), Host: b})
	require.NoError(t, err)
	b.apply(small())
	b.office.ahead, b.office.hold = 3*time.Hour, &uplink.Hold{By: "olga", Reason: "payroll"}
	b.turn()
	b.office.down = true
	b.agent.mu.Lock()
	b.agent.note("o-1", patching.StageFetched, b.clock.now)
	b.agent.mu.Unlock()
	b.turn()

	got, err := home.Status(Rules{})
	require.NoError(t, err)
	assert.Equal(t, 1, got.Unsent)
	assert.Equal(t, "about 3 hours behind", got.ClockOff)
	assert.Equal(t, &Hold{By: "olga", Reason: "payroll"}, got.Said, "who wonders why nothing starts looks here")
	assert.Equal(t, []OrderStatus{{
		ID: "o-1", Cycle: "cycle/servers/2026-11.1", Verb: trust.Apply, Stage: patching.StageFetched,
		Start: tonight, End: tonight.Add(4 * time.Hour),
	}}, got.Orders)

	order, err := home.Judge(Rules{}, b.office.orders[0].Envelope, tonight)
	require.NoError(t, err)
	assert.EqualValues(t, "o-1", order.ID)
	_, err = home.Judge(Rules{}, b.office.orders[0].Envelope, tonight.AddDate(0, 1, 0))
	assert.Equal(t, trust.WhyExpired, trust.WhyOf(err))
}

func TestAnAgentThatIsCalledOnceDoesWhatThereIsToDo(t *testing.T) {
	b := newBench(t)
	d := b.draft(trust.Clean, small())
	d.WindowRule, d.Fence = "", 0
	b.office.issue(d)
	require.NoError(t, b.agent.Once(t.Context()))
	assert.Len(t, b.office.final("o-1"), 1)
	assert.Len(t, b.office.facts, 1)

	b.apply(small()) // without a permit: next time
	require.NoError(t, b.agent.Once(t.Context()))
	assert.Empty(t, b.box.wrote[1:])
	b.office.permit("o-1")

	b.office.down = true
	assert.ErrorIs(t, b.agent.Once(t.Context()), errLine)
}

// moving is a clock that goes on from an instant.
type moving struct{ from, since time.Time }

func (m moving) Now() time.Time { return m.from.Add(time.Since(m.since)) }

func TestAnAgentThatIsCalledOnceEndsWhatItStartedAlsoWhenTheLineIsLost(t *testing.T) {
	b := newBench(t)
	began := time.Now()
	call := func() error { // each is a process of its own
		var err error
		b.agent, err = New(Config{
			Identity: Identity{Device: "d-1", Key: b.key.Private(), Root: b.pinned}, Machine: b.box, Link: b.office,
			Clock: moving{tonight, began}, Journal: b.disk, Shelf: b.shelf, Host: b,
			Limits: Limits{Settle: 20 * time.Second, Look: 10 * time.Millisecond},
		})
		require.NoError(t, err)
		return b.agent.Once(t.Context())
	}
	b.box.onApply = func(patching.Patch) error { b.office.down = true; return nil }
	looks := 0
	b.box.sick = func(*box) []string {
		if looks++; b.office.down && looks < 5 {
			return []string{"nginx.service"} // it comes up slowly
		}
		return nil
	}
	b.apply(small())
	b.office.permit("o-1")
	require.ErrorIs(t, call(), errLine)
	assert.Greater(t, looks, 4)
	assert.Nil(t, b.agent.state.underWay())
	assert.Empty(t, b.office.final("o-1"), "nobody was told")

	// The permit is offered for as long as the server has no receipt of its order's end.
	b.office.down = false
	require.NoError(t, call())
	last := b.office.final("o-1")
	require.Len(t, last, 1)
	assert.Equal(t, patching.Patched, last[0].Outcome)
}
