package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// office is the server's end: it checks signatures and counters, keeps what
// came, and answers polls.
type office struct {
	t     testing.TB
	fuse  *fuse
	keys  trust.Keys
	root  trust.Root
	pub   ed25519.PublicKey
	clock *clock        // the machine's
	ahead time.Duration // of the server's, as polls tell it

	orders  []uplink.SignedOrder
	leases  map[patching.OrderID]trust.Lease
	seqs    []uint64
	seq     uint64
	newRoot []byte

	counter  uint64
	taken    map[uint64]patching.Digest
	receipts []patching.Receipt
	facts    []uplink.Facts
	contents map[patching.Digest][]byte
	requests int // for leases
	batches  int
	kinds    []uplink.Kind

	down     bool // the line fails before anything is taken
	loseAcks int  // that many answers are lost after all was taken
	// grantLease: an unreleased order's request is answered.
	grantLease bool
	leaseAge   time.Duration // of leases as they come
	intake     patching.Intake
	refuse     []uplink.Refused // of the next polls
	hold       *uplink.Hold
}

var errLine = errors.New("the line is down")

func (o *office) Enrol(context.Context, uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	return uplink.EnrolResponse{}, errLine
}

func (o *office) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	text, ok := o.contents[d]
	if o.down || !ok {
		return nil, errLine
	}
	return text, nil
}

func (o *office) Send(_ context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	o.fuse.event("before a batch arrives")
	if o.down {
		return nil, errLine
	}
	o.batches++
	var acks []uplink.Ack
	for i := range b.Messages {
		ack := o.take(&b.Messages[i])
		ack.Sign("acme", &b.Messages[i], o.keys.Lease)
		acks = append(acks, ack)
	}
	o.fuse.event("before the acknowledgements arrive")
	if o.loseAcks > 0 {
		o.loseAcks--
		return nil, errLine
	}
	return acks, nil
}

func (o *office) take(m *uplink.Message) uplink.Ack {
	require.NoError(o.t, m.Verify("acme", o.pub))
	ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
	digest := m.Digest("acme")
	switch before, known := o.taken[m.Counter]; {
	case o.intake != "":
		ack.Intake = o.intake
		return ack
	case known && before == digest:
		ack.Intake = patching.Duplicate
		return ack
	case known:
		require.Fail(o.t, "a fork", "counter %d was used for two messages", m.Counter)
	case m.Counter < o.counter:
		ack.Intake = patching.Replayed
		return ack
	}
	o.taken[m.Counter], o.counter = digest, m.Counter
	o.kinds = append(o.kinds, m.Kind)
	switch m.Kind {
	case uplink.KindReceipt:
		body, err := uplink.Decode[uplink.Receipts](m.Body)
		require.NoError(o.t, err)
		for _, r := range body.Receipts {
			o.receipts = append(o.receipts, r.Receipt(m))
		}
	case uplink.KindInventory:
		body, err := uplink.Decode[uplink.Inventory](m.Body)
		require.NoError(o.t, err)
		o.facts = append(o.facts, body.Facts)
		for _, d := range []patching.Digest{body.Facts.Packages, body.Facts.Candidates} {
			if o.contents[d] == nil {
				ack.Need = append(ack.Need, d)
			}
		}
	case uplink.KindContent:
		body, err := uplink.Decode[uplink.Content](m.Body)
		require.NoError(o.t, err)
		o.contents[patching.DigestOf([]byte(body.Text))] = []byte(body.Text)
	case uplink.KindLeaseRequest:
		o.requests++
		body, err := uplink.Decode[uplink.LeaseRequest](m.Body)
		require.NoError(o.t, err)
		if _, released := o.leases[body.Order]; released || o.grantLease {
			o.permit(body.Order)
			ack.Lease = o.signed(body.Order)
		}
	default:
		require.Fail(o.t, "unexpected message", string(m.Kind))
	}
	return ack
}

func (o *office) signed(id patching.OrderID) *uplink.SignedLease {
	return &uplink.SignedLease{Device: "d-1", Order: id, Envelope: o.leases[id].Seal(o.keys.Lease)}
}

func (o *office) Poll(_ context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	if o.down {
		return uplink.PollResponse{}, errLine
	}
	d := r.Devices[0]
	require.NoError(o.t, d.Hello.Verify("acme", o.pub))
	resp := uplink.PollResponse{At: o.now(), Hold: o.hold}
	if len(o.refuse) > 0 {
		resp.Refused, o.refuse = o.refuse[:1], o.refuse[1:]
		return resp, nil
	}
	if d.Root < o.root.Version {
		resp.Root = o.newRoot
	}
	for i, so := range o.orders {
		if d.Epoch < o.root.Epoch || o.seqs[i] > d.AfterSeq {
			resp.Orders = append(resp.Orders, so)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(o.leases)) {
		if o.leases[id].NotAfter.After(d.LeaseUntil) {
			resp.Leases = append(resp.Leases, *o.signed(id))
		}
	}
	return resp, nil
}

func (o *office) now() time.Time { return o.clock.now.Add(o.ahead) }

// issue signs an order for the device.
func (o *office) issue(d trust.Draft) {
	o.seq++
	d.Device = "d-1"
	order, err := d.Order(o.root, o.seq, trust.PublicKey(o.pub), o.now())
	require.NoError(o.t, err)
	o.orders = append(o.orders, uplink.SignedOrder{Device: "d-1", Envelope: order.Seal(o.keys.Dispatcher)})
	o.seqs = append(o.seqs, o.seq)
}

// permit gives the start permit.
func (o *office) permit(id patching.OrderID) {
	o.leases[id] = trust.NewLease(o.root, id, "d-1", o.now().Add(-o.leaseAge))
}

// put makes a bundle available and returns its address.
func (o *office) put(b patching.Bundle) patching.Digest {
	o.contents[b.Digest()] = b.Canonical()
	return b.Digest()
}

// final returns the terminal receipts of an order, each counter once.
func (o *office) final(id patching.OrderID) (out []patching.Receipt) {
	for _, r := range o.receipts {
		if r.Order == id && r.Stage.Terminal() {
			out = append(out, r)
		}
	}
	return out
}

// stages lists the stages that were told of an order, in order.
func (o *office) stages(id patching.OrderID) (out []patching.Stage) {
	for _, r := range o.receipts {
		if r.Order == id {
			out = append(out, r.Stage)
		}
	}
	return out
}
