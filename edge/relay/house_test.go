package relay_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

const fleet = "test"

// server is the far end: it keeps what it was asked, and answers what a test says.
type server struct {
	mu       sync.Mutex
	down     error
	batches  []uplink.Batch
	polls    []uplink.PollRequest
	fetched  map[patching.Digest]int
	texts    map[patching.Digest][]byte
	news     map[patching.DeviceID]uplink.PollResponse
	root     []byte
	roots    [][]byte
	hold     *uplink.Hold
	waiting  int // polls under way
	wake     chan struct{}
	lease    trust.Key
	unacked  map[uint64]bool // counters that get no ack
	enrolled []uplink.EnrolRequest
}

func newServer(t *testing.T) *server {
	t.Helper()
	lease, err := trust.NewKey()
	require.NoError(t, err)
	return &server{
		fetched: map[patching.Digest]int{}, texts: map[patching.Digest][]byte{}, news: map[patching.DeviceID]uplink.PollResponse{},
		wake: make(chan struct{}), lease: lease, unacked: map[uint64]bool{},
	}
}

func (s *server) do(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.wake)
	s.wake = make(chan struct{})
}

func (s *server) Enrol(_ context.Context, r uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enrolled = append(s.enrolled, r)
	return uplink.EnrolResponse{Device: "d-1", State: patching.DeviceAccepted, Root: []byte("root")}, s.down
}

func (s *server) Send(_ context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down != nil {
		return nil, s.down
	}
	s.batches = append(s.batches, b)
	var acks []uplink.Ack
	for i := range b.Messages {
		m := &b.Messages[i]
		if s.unacked[m.Counter] {
			continue
		}
		a := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken, Need: []patching.Digest{patching.DigestOf(m.Body)}}
		a.Sign(fleet, m, s.lease)
		acks = append(acks, a)
	}
	return acks, nil
}

func (s *server) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	s.mu.Lock()
	s.polls = append(s.polls, r)
	s.waiting++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	until := time.After(time.Duration(r.WaitSeconds) * time.Second)
	for {
		s.mu.Lock()
		down, wake, out := s.down, s.wake, uplink.PollResponse{At: serverTime, Hold: s.hold}
		for _, d := range r.Devices {
			n := s.news[d.Hello.Device]
			if len(n.Orders) > int(d.AfterSeq) {
				out.Orders = append(out.Orders, n.Orders[d.AfterSeq:]...)
			}
			out.Leases = append(out.Leases, n.Leases...)
			out.Refused = append(out.Refused, n.Refused...)
			if s.root != nil && d.Root == 0 {
				out.Root, out.Roots = s.root, s.roots
			}
		}
		s.mu.Unlock()
		if down != nil || !out.Empty() {
			return out, down
		}
		select {
		case <-wake:
		case <-until:
			return out, nil
		case <-ctx.Done():
			return out, ctx.Err()
		}
	}
}

var serverTime = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func (s *server) Content(_ context.Context, d patching.Digest) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched[d]++
	if s.down != nil {
		return nil, s.down
	}
	text, ok := s.texts[d]
	if !ok {
		return nil, &uplink.Error{Status: 404, Words: "there is no such content"}
	}
	return text, nil
}

// running is a relay in front of the server, over HTTP.
type running struct {
	*relay.Relay
	dir  string
	url  string
	link *uplink.Client
	stop func()
}

func start(t *testing.T, up uplink.Link, adjust ...func(*relay.Options)) *running {
	t.Helper()
	o := relay.Options{Name: "berlin", Up: up, Dir: t.TempDir(), Gather: 20 * time.Millisecond, Grace: 50 * time.Millisecond}
	for _, a := range adjust {
		a(&o)
	}
	r, err := relay.New(o)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	web := httptest.NewServer(r.Handler())
	link, err := uplink.NewClient(uplink.ClientOptions{URL: web.URL, Tries: 1, Connections: 100})
	require.NoError(t, err)
	out := &running{Relay: r, dir: o.Dir, url: web.URL, link: link}
	out.stop = sync.OnceFunc(func() {
		cancel()
		link.Close()
		require.NoError(t, <-ended)
		web.Close()
	})
	t.Cleanup(out.stop)
	return out
}

// device is a machine that speaks by hand.
type device struct {
	id      patching.DeviceID
	key     ed25519.PrivateKey
	counter uint64
}

func newDevice(n int) *device {
	seed := make([]byte, ed25519.SeedSize)
	seed[0], seed[1] = byte(n), byte(n>>8)
	return &device{id: patching.DeviceID(fmt.Sprintf("d-%04d", n)), key: ed25519.NewKeyFromSeed(seed)}
}

func (d *device) message(kind uplink.Kind, body []byte) uplink.Message {
	d.counter++
	m := uplink.Message{Device: d.id, Counter: d.counter, Boot: "boot", Kind: kind, Body: body}
	m.Sign(fleet, d.key)
	return m
}

func (d *device) receipt(order string) uplink.Message {
	return d.message(uplink.KindReceipt, uplink.Encode(uplink.Receipts{Receipts: []uplink.Receipt{{
		Order: patching.OrderID(order), At: serverTime, Stage: patching.StageAccepted,
	}}}))
}

func (d *device) poll(seq uint64) uplink.PollDevice {
	return uplink.PollDevice{Hello: d.message(uplink.KindHello, uplink.Encode(uplink.Hello{At: serverTime})), Epoch: 1, AfterSeq: seq}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, 10*time.Millisecond, what)
}
