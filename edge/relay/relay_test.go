package relay_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/edge/holdfile"
	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

// Serves Q15: whoever owns a relay can delay; an honest one does not even that.
func TestMessagesGoUpAndAcksComeDownAsTheyWere(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		d := newDevice(rapid.IntRange(0, 500).Draw(t, "device"))
		d.counter = rapid.Uint64Range(0, 1<<60).Draw(t, "counter")
		var sent []uplink.Message
		for range rapid.IntRange(1, 5).Draw(t, "messages") {
			kind := rapid.SampledFrom([]uplink.Kind{uplink.KindInventory, uplink.KindContent, uplink.KindReceipt, uplink.KindLeaseRequest}).Draw(t, "kind")
			sent = append(sent, d.message(kind, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "body")))
		}
		acks, err := r.link.Send(ctx, uplink.Batch{Messages: sent})
		if err != nil || len(acks) != len(sent) {
			t.Fatalf("%d acks, %v", len(acks), err)
		}
		for i := range sent {
			if !acks[i].Of(&sent[i], fleet, []trust.PublicKey{s.lease.Public()}) {
				t.Fatal("an ack is not as it was signed")
			}
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		last := s.batches[len(s.batches)-1]
		if last.Relay != "berlin" || !reflect.DeepEqual(last.Messages, sent) {
			t.Fatal("messages were altered on the way")
		}
	})
}

// Serves Q15.
func TestOrdersPermitsRefusalsAndRootsComeDownAsTheyWere(t *testing.T) {
	s := newServer(t)
	r := start(t, s, func(o *relay.Options) { o.Gather = time.Millisecond })
	keys, err := trust.LoadOrCreateKeys(t.TempDir())
	require.NoError(t, err)
	root := trust.NewRoot(fleet, keys).Seal(keys.Root)
	ctx, n := t.Context(), 1000
	rapid.Check(t, func(t *rapid.T) {
		n += 2
		mine, other := newDevice(n), newDevice(n+1) // who is asked for together, and gets nothing of it
		text := rapid.SliceOfN(rapid.Byte(), 1, 300)
		want := uplink.PollResponse{At: serverTime}
		for range rapid.IntRange(1, 4).Draw(t, "orders") {
			want.Orders = append(want.Orders, uplink.SignedOrder{Device: mine.id, Envelope: text.Draw(t, "order")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "permits") {
			want.Leases = append(want.Leases, uplink.SignedLease{Device: mine.id, Order: "o", Envelope: text.Draw(t, "permit")})
		}
		if rapid.Bool().Draw(t, "refused") {
			want.Refused = []uplink.Refused{{Device: mine.id, Stale: rapid.Bool().Draw(t, "stale"), Why: "because"}}
		}
		if rapid.Bool().Draw(t, "held") {
			want.Hold = &uplink.Hold{Version: 1, By: "ana", Reason: rapid.String().Draw(t, "reason")}
		}
		if rapid.Bool().Draw(t, "a root") {
			want.Root = rapid.SampledFrom([][]byte{root, []byte("no root that a relay could read")}).Draw(t, "root")
			want.Roots = rapid.SliceOfN(text, 1, 3).Draw(t, "those before it")
		}
		s.do(func() {
			s.news, s.root = map[patching.DeviceID]uplink.PollResponse{mine.id: want}, want.Root
			s.roots, s.hold = want.Roots, want.Hold
		})
		ask := uplink.PollRequest{Devices: []uplink.PollDevice{mine.poll(0), other.poll(0)}, WaitSeconds: 20}
		ask.Devices[1].Root = 9 // has it already
		got, err := r.link.Poll(ctx, ask)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("want %+v, got %+v (%v)", want, got, err)
		}
	})
}

// Serves Q11.
func TestOnePollUpstreamHoldsForAllAndEachGetsItsOwn(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	const n = 50
	var all sync.WaitGroup
	got := make([]uplink.PollResponse, n)
	for i := range n {
		all.Go(func() {
			resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{newDevice(i).poll(0)}, WaitSeconds: 30})
			if err != nil {
				t.Error(err)
			}
			got[i] = resp
		})
	}
	asked := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		devices := map[patching.DeviceID]bool{}
		for _, p := range s.polls {
			for _, d := range p.Devices {
				devices[d.Hello.Device] = true // a poll that was cut is sent again
			}
		}
		return len(devices)
	}
	eventually(t, "all are asked for", func() bool { return asked() == n })
	s.mu.Lock()
	require.LessOrEqual(t, len(s.polls), 4, "one, and small ones beside it for who came later")
	require.Equal(t, "berlin", s.polls[0].Relay)
	s.mu.Unlock()
	s.do(func() {
		for i := range n {
			id := newDevice(i).id
			s.news[id] = uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: id, Envelope: []byte("for " + id)}}}
		}
	})
	all.Wait()
	for i := range n {
		id := newDevice(i).id
		require.Equal(t, uplink.PollResponse{Orders: s.news[id].Orders, At: serverTime}, got[i])
	}
}

func TestWhoComesLaterIsAskedForTooAndAllAreOneAgainLater(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	poll := func(i int, seq uint64, got chan uplink.PollResponse) {
		resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{newDevice(i).poll(seq)}, WaitSeconds: 30})
		if err == nil {
			got <- resp
		}
	}
	first, later := make(chan uplink.PollResponse, 9), make(chan uplink.PollResponse, 9)
	for i := range 9 {
		go poll(i, 0, first)
		eventually(t, "it is asked for", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			last := s.polls
			return len(last) > 0 && asksFor(last[len(last)-1].Devices, newDevice(i).id)
		})
	}
	s.mu.Lock()
	require.LessOrEqual(t, s.waiting, 5)
	s.mu.Unlock()
	id := newDevice(8).id
	s.do(func() {
		s.news[id] = uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: id, Envelope: []byte("one")}}}
	})
	require.Len(t, (<-first).Orders, 1)
	go poll(8, 1, later) // from where it is now
	time.Sleep(300 * time.Millisecond)
	require.Empty(t, later, "what it has seen is not told again")
	s.do(func() {
		n := s.news[id]
		n.Orders = append(n.Orders, uplink.SignedOrder{Device: id, Envelope: []byte("two")})
		s.news[id] = n
	})
	resp := <-later
	require.Len(t, resp.Orders, 1)
	require.Equal(t, "two", string(resp.Orders[0].Envelope))
}

func asksFor(all []uplink.PollDevice, id patching.DeviceID) bool {
	for _, d := range all {
		if d.Hello.Device == id {
			return true
		}
	}
	return false
}

// Serves Q5: the line may be down for hours.
func TestWhileTheLineIsDownMachinesAreToldAndWhenItIsBackTheyAreServed(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	d := newDevice(1)
	s.do(func() { s.down = errors.New("no route") })
	resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: 30})
	require.NoError(t, err)
	require.True(t, resp.Offline, "at once when it goes down, for who knows another way")
	_, err = r.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("a")}})
	var refused *uplink.Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusServiceUnavailable, refused.Status)

	began := time.Now()
	resp, err = r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: 1})
	require.NoError(t, err)
	require.True(t, resp.Offline)
	require.Greater(t, time.Since(began), 900*time.Millisecond, "who has no other way is held, and does not ask in a loop")

	got := make(chan uplink.PollResponse, 1)
	go func() {
		resp, _ := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: 30})
		got <- resp
	}()
	s.do(func() {
		s.down = nil
		s.news[d.id] = uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: d.id, Envelope: []byte("now")}}}
	})
	resp = <-got
	require.False(t, resp.Offline)
	require.Len(t, resp.Orders, 1)
}

// Serves Q11: one relay may stand behind another.
func TestANestedRelaysMachinesKeepItsNameAndNoThirdOneIsTaken(t *testing.T) {
	s := newServer(t)
	outer := start(t, s)
	inner := start(t, outer.link, func(o *relay.Options) { o.Name = "hall-2" })
	third := start(t, inner.link, func(o *relay.Options) { o.Name = "hall-3" })
	d := newDevice(1)
	acks, err := inner.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("a")}})
	require.NoError(t, err)
	require.Len(t, acks, 1)
	require.Equal(t, "hall-2", s.batches[0].Relay)
	require.Equal(t, 2, s.batches[0].Hops)
	_, err = third.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("b")}})
	require.ErrorContains(t, err, "one relay may stand behind another, and no more")

	go func() {
		_, _ = inner.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: 30})
	}()
	eventually(t, "asked under its relay's name", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.polls) > 0 && s.polls[len(s.polls)-1].Relay == "hall-2"
	})
}

// Serves Q5.
func TestARelayBehindOneWithoutALineHasNoneEither(t *testing.T) {
	s := newServer(t)
	outer := start(t, s)
	inner := start(t, outer.link, func(o *relay.Options) { o.Name = "hall-2" })
	s.do(func() { s.down = errors.New("no route") })
	d := newDevice(1)
	poll := func(seconds int) uplink.PollResponse {
		resp, err := inner.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: seconds})
		require.NoError(t, err)
		return resp
	}
	require.True(t, poll(30).Offline)
	_, err := inner.link.Send(t.Context(), uplink.Batch{Messages: []uplink.Message{d.receipt("a")}})
	require.Error(t, err)
	require.True(t, poll(1).Offline, "that the outer one answers does not make it a line")
	s.do(func() { s.down = nil })
	eventually(t, "the line is back, with what was spooled", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.batches) > 0 && s.batches[0].Relay == "hall-2"
	})
	require.False(t, poll(1).Offline)
}

// Serves G6: one person may stop all machines.
func TestAHoldIsSaidInEveryAnswerAndAtOnceToWhoWaits(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	d, other := newDevice(1), newDevice(2)
	poll := func(d *device, seconds int) uplink.PollResponse {
		resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: seconds})
		require.NoError(t, err)
		return resp
	}
	require.Nil(t, poll(d, 1).Hold)
	waits := make(chan uplink.PollResponse, 1)
	go func() { waits <- poll(d, 40) }()
	eventually(t, "it is asked for", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.waiting > 0 })
	hold := &uplink.Hold{Version: 3, By: "ana", Reason: "smoke"}
	s.do(func() {
		s.hold = hold
		s.news[other.id] = uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: other.id, Envelope: []byte("x")}}}
	})
	require.Equal(t, hold, poll(other, 20).Hold)
	require.Equal(t, hold, (<-waits).Hold, "who waits for something else is told when it becomes known")
	s.do(func() { s.down = errors.New("no route") })
	require.Equal(t, hold, poll(d, 1).Hold, "also without a line")
}

// Serves Q15: a site is held at its relay, without the server and against it.
func TestAFileInTheRelaysFolderHoldsItsSite(t *testing.T) {
	s := newServer(t)
	dir := t.TempDir()
	r := start(t, s, func(o *relay.Options) { o.Dir = dir })
	d := newDevice(1)
	poll := func(wait int) uplink.PollResponse {
		resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: wait})
		require.NoError(t, err)
		return resp
	}
	require.Nil(t, poll(1).Hold)
	s.do(func() { s.hold = &uplink.Hold{By: "the server", Reason: "its own"} })
	own := uplink.Hold{By: "sue", Reason: "stocktaking", Until: time.Now().AddDate(1, 0, 0).UTC().Truncate(time.Second)}
	require.NoError(t, holdfile.Write(dir, own))
	require.Equal(t, &own, poll(20).Hold, "at once to who waits")
	require.Equal(t, &own, poll(0).Hold)
	held, err := holdfile.Lift(dir)
	require.NoError(t, err)
	require.True(t, held)
	eventually(t, "it is lifted", func() bool { return poll(0).Hold.By == "the server" })
}

// Serves Q6: the machines of a site are not told every second what they know.
func TestAHoldWhoseEndIsWrittenInAnotherZoneIsNewsOnce(t *testing.T) {
	dir := t.TempDir()
	r := start(t, newServer(t), func(o *relay.Options) { o.Dir = dir })
	d := newDevice(1)
	poll := func(wait int) uplink.PollResponse {
		resp, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(0)}, WaitSeconds: wait})
		require.NoError(t, err)
		return resp
	}
	text := `{"by": "sue", "reason": "stocktaking", "until": "2099-01-01T00:00:00+05:45"}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hold"), []byte(text), 0o644))
	eventually(t, "it is known", func() bool { return poll(0).Hold != nil })
	began := time.Now()
	require.Equal(t, "sue", poll(4).Hold.By)
	require.Greater(t, time.Since(began), 3*time.Second)
}

func TestABundleTravelsOnceAndASiteHasItWithoutALine(t *testing.T) {
	s := newServer(t)
	text := []byte("a bundle")
	id := patching.DigestOf(text)
	s.texts[id] = text
	r := start(t, s)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := r.link.Content(t.Context(), id)
			if err != nil || string(got) != string(text) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	require.Equal(t, 1, s.fetched[id])
	r.stop()

	s.do(func() { s.down = errors.New("no route") })
	again := start(t, s, func(o *relay.Options) { o.Dir = r.dir })
	got, err := again.link.Content(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, text, got)
	_, err = again.link.Content(t.Context(), patching.DigestOf([]byte("another")))
	require.ErrorContains(t, err, "no line to the server")
}

func TestEnrolmentPassesAsItIs(t *testing.T) {
	s := newServer(t)
	r := start(t, s)
	d := newDevice(1)
	ask := uplink.NewEnrolRequest("token", d.key, uplink.Facts{Hostname: "web1"})
	out, err := r.link.Enrol(t.Context(), ask)
	require.NoError(t, err)
	require.Equal(t, patching.DeviceID("d-1"), out.Device)
	require.Equal(t, ask, s.enrolled[0])
}
