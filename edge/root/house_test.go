package root_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

const fleet = "test"

// house is a server on a fake store behind a real line.
type house struct {
	t      *testing.T
	store  *memory
	server *root.Server
	link   *uplink.Client
	ahead  atomic.Int64 // of the server's clock, in ns
	trust  *root.Folder
}

func newHouse(t *testing.T, adjust ...func(*root.Options)) *house {
	t.Helper()
	authority, err := root.OpenFolder(t.TempDir(), fleet, 1)
	require.NoError(t, err)
	h := &house{t: t, store: newMemory(), trust: authority}
	o := root.Options{
		Store: h.store, Authority: authority, Linger: 5 * time.Millisecond, Rate: 1000, Burst: 1000,
		Now: func() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) },
	}
	for _, a := range adjust {
		a(&o)
	}
	h.server, err = root.New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Run(ctx) }()
	web := httptest.NewServer(h.server.Handler())
	h.link, err = uplink.NewClient(uplink.ClientOptions{URL: web.URL, Tries: 1, Connections: 2000})
	require.NoError(t, err)
	t.Cleanup(func() {
		h.link.Close()
		web.Close()
		cancel()
		require.NoError(t, <-done)
	})
	return h
}

func (h *house) now() time.Time { return time.Now().Add(time.Duration(h.ahead.Load())) }

func (h *house) context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	h.t.Cleanup(cancel)
	return ctx
}

// client is a machine that speaks the protocol by hand.
type client struct {
	*house
	id      patching.DeviceID
	key     ed25519.PrivateKey
	counter uint64
	root    trust.Pinned
	verify  trust.Verifier
	memory  trust.Memory
	off     time.Duration // of its clock, ahead of the server's
}

func (h *house) enrol() *client {
	h.t.Helper()
	key, err := trust.NewKey()
	require.NoError(h.t, err)
	r, err := h.link.Enrol(h.context(), uplink.NewEnrolRequest("welcome", key.Private(), uplink.Facts{Hostname: "m"}))
	require.NoError(h.t, err)
	pinned, err := trust.Pin(r.Root, "")
	require.NoError(h.t, err)
	return &client{house: h, id: r.Device, key: key.Private(), root: pinned, verify: trust.Verifier{
		Root: pinned.Root, Device: r.Device, DeviceKey: key.Public().ID(),
	}}
}

// says signs the next message.
func (c *client) says(kind uplink.Kind, body []byte) uplink.Message {
	c.counter++
	m := uplink.Message{Device: c.id, Counter: c.counter, Boot: "b1", Kind: kind, Body: body}
	m.Sign(fleet, c.key)
	return m
}

func (c *client) receipt(id patching.OrderID, stage patching.Stage) uplink.Message {
	return c.says(uplink.KindReceipt, uplink.Encode(uplink.Receipts{Receipts: []uplink.Receipt{{Order: id, At: time.Unix(1, 0).UTC(), Stage: stage}}}))
}

func (c *client) inventory(p, q patching.Digest) uplink.Message {
	return c.says(uplink.KindInventory, uplink.Encode(uplink.Inventory{Facts: uplink.Facts{Hostname: "m", Packages: p, Candidates: q}}))
}

func (c *client) send(ms ...uplink.Message) []uplink.Ack {
	c.t.Helper()
	acks, err := c.link.Send(c.context(), uplink.Batch{Messages: ms})
	require.NoError(c.t, err)
	for i := range acks {
		require.True(c.t, acks[i].Device == "d-nobody" || slices.ContainsFunc(ms, func(m uplink.Message) bool {
			return acks[i].Of(&m, fleet, c.trust.Authority().Root.LeaseKeys)
		}), "an ack that no machine would believe")
		acks[i].Signature = nil // checked: tests compare the rest
	}
	return acks
}

// position asks from where the client has come.
func (c *client) position() uplink.PollDevice {
	return uplink.PollDevice{
		Hello: c.says(uplink.KindHello, uplink.Encode(uplink.Hello{At: c.now().Add(c.off).UTC().Truncate(time.Millisecond)})),
		Epoch: c.memory.Epoch, AfterSeq: c.memory.Seq, Root: c.root.Version,
	}
}

func (c *client) poll(wait int) uplink.PollResponse {
	c.t.Helper()
	r, err := c.link.Poll(c.context(), uplink.PollRequest{Devices: []uplink.PollDevice{c.position()}, WaitSeconds: wait})
	require.NoError(c.t, err)
	return r
}

// obey verifies orders as a machine does.
func (c *client) obey(orders []uplink.SignedOrder) []trust.Order {
	c.t.Helper()
	var out []trust.Order
	for _, o := range orders {
		require.Equal(c.t, c.id, o.Device)
		order, err := c.verify.Order(o.Envelope, c.memory, c.now())
		require.NoError(c.t, err)
		c.memory.Admit(order)
		out = append(out, order)
	}
	return out
}

// draft is an order to install something, in a window that is open.
func (c *client) draft(id string) trust.Draft {
	now := c.now()
	bundle := patching.DigestOf([]byte("bundle"))
	return trust.Draft{
		ID: patching.OrderID(id), Asset: patching.AssetID("a-" + string(c.id)), Device: c.id, Cycle: "cycle/p/2026-11.1", Ring: "test",
		Verb: trust.Apply, Fence: 1, WindowRule: "always in UTC", Start: now.Add(-time.Hour), End: now.Add(2 * time.Hour),
		NotAfter: now.Add(3 * time.Hour), Bundle: bundle, Rollback: bundle,
	}
}

func (h *house) issue(drafts ...trust.Draft) {
	h.t.Helper()
	require.NoError(h.t, h.server.Dispatcher().Issue(h.context(), drafts))
}

func numbered(format string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}
