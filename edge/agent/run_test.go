package agent

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

// patient holds polls as a server does, and is asked by many at once.
type patient struct {
	mu     sync.Mutex
	office *office
	polls  int
}

func (p *patient) do(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

func (p *patient) Enrol(ctx context.Context, r uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	return p.office.Enrol(ctx, r)
}

func (p *patient) Send(ctx context.Context, b uplink.Batch) (acks []uplink.Ack, err error) {
	p.do(func() { acks, err = p.office.Send(ctx, b) })
	return acks, err
}

func (p *patient) Content(ctx context.Context, d patching.Digest) (text []byte, err error) {
	p.do(func() { text, err = p.office.Content(ctx, d) })
	return text, err
}

func (p *patient) Poll(ctx context.Context, r uplink.PollRequest) (resp uplink.PollResponse, err error) {
	p.do(func() { p.polls++ })
	for waited := time.Duration(0); ; waited += time.Second {
		p.do(func() { resp, err = p.office.Poll(ctx, r) })
		if err != nil || !resp.Empty() || waited >= time.Duration(r.WaitSeconds)*time.Second {
			return resp, err
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return uplink.PollResponse{}, ctx.Err()
		}
	}
}

func TestAResidentAgentPollsWorksAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2026, 11, 21, 21, 59, 0, 0, time.UTC)))
		b := newBench(t)
		link := &patient{office: b.office}
		b.agent.cfg.Link, b.agent.cfg.Clock = link, realClock{}
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() { stopped <- b.agent.Run(ctx) }()

		time.Sleep(10 * time.Second)
		link.do(func() {
			assert.Equal(t, 1, link.polls, "one poll waits")
			b.clock.now = time.Now()
			b.apply(small())
		})
		time.Sleep(10 * time.Second)
		link.do(func() {
			assert.Equal(t, []patching.Stage{patching.StageAccepted, patching.StageFetched}, b.office.stages("o-1"))
		})
		time.Sleep(2 * time.Minute)
		link.do(func() {
			b.clock.now = time.Now()
			b.office.permit("o-1")
		})
		time.Sleep(10 * time.Second)
		polls := 0
		link.do(func() {
			require.Len(t, b.office.final("o-1"), 1)
			assert.Equal(t, patching.Patched, b.office.final("o-1")[0].Outcome)
			b.office.down = true
			polls = link.polls
		})
		time.Sleep(2 * time.Hour)
		link.do(func() {
			assert.Less(t, link.polls-polls, 30, "it asks less and less often while the line is down")
		})
		cancel()
		assert.ErrorIs(t, <-stopped, context.Canceled)
	})
}

func TestAServersUselessAnswersAreNotAskedForInALoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		link := &patient{office: b.office}
		b.agent.cfg.Link, b.agent.cfg.Clock = link, realClock{}
		b.office.orders = []uplink.SignedOrder{{Device: "d-1", Envelope: []byte("noise")}}
		b.office.seqs = []uint64{1}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		assert.ErrorIs(t, b.agent.Run(ctx), context.DeadlineExceeded)
		assert.Less(t, link.polls, 20)
	})
}

// still is a machine and a line without any state, to weigh the agent alone.
type still struct {
	*box
	boot string
}

func (s still) Boot() string { return s.boot }

type noLine struct{ lease trust.Key }

func (noLine) Enrol(context.Context, uplink.EnrolRequest) (uplink.EnrolResponse, error) {
	return uplink.EnrolResponse{}, errLine
}

func (l noLine) Send(_ context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	var acks []uplink.Ack
	for _, m := range b.Messages {
		ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
		ack.Sign("acme", &m, l.lease)
		acks = append(acks, ack)
	}
	return acks, nil
}

func (noLine) Poll(context.Context, uplink.PollRequest) (uplink.PollResponse, error) {
	return uplink.PollResponse{}, errLine
}
func (noLine) Content(context.Context, patching.Digest) ([]byte, error) { return nil, errLine }

// A fleet of 20,000 agents runs in one process of the lab.
func TestAnIdleAgentIsSmallAndHasNoGoroutine(t *testing.T) {
	const agents = 2000
	b := newBench(t)
	ledger := openLedger(t, filepath.Join(t.TempDir(), "journal"))
	machine := still{b.box, "boot-1"}
	root := b.pinned
	fleet := make([]*Agent, agents)
	var before, after runtime.MemStats
	goroutines := runtime.NumGoroutine()
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range fleet {
		var seed [32]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i))
		id := patching.DeviceID(fmt.Sprintf("d-%d", i))
		a, err := New(Config{
			Identity: Identity{Device: id, Key: trust.KeyFromSeed(sha256.Sum256(seed[:])).Private(), Root: root},
			Machine:  machine, Link: noLine{b.office.keys.Lease}, Clock: b.clock, Journal: ledger.Journal(string(id)), Shelf: b.shelf, Host: Rules{},
		})
		require.NoError(t, err)
		_, err = a.Listen()
		require.NoError(t, err)
		_, err = a.Work(t.Context())
		require.NoError(t, err)
		fleet[i] = a
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (after.HeapInuse - before.HeapInuse) / agents
	t.Logf("%d bytes an agent", each)
	assert.Less(t, each, uint64(20_000))
	assert.Equal(t, goroutines, runtime.NumGoroutine())
	runtime.KeepAlive(fleet)
}
