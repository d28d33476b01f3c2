package root_test

import (
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/trust"
)

func TestEnrolmentIsBoundToTheKeyAndCanBeRepeated(t *testing.T) {
	h := newHouse(t)
	key, err := trust.NewKey()
	require.NoError(t, err)
	ask := uplink.NewEnrolRequest("welcome", key.Private(), uplink.Facts{Hostname: "m"})
	first, err := h.link.Enrol(h.context(), ask)
	require.NoError(t, err)
	again, err := h.link.Enrol(h.context(), ask)
	require.NoError(t, err)
	require.Equal(t, first, again, "the answer to the first try may have been lost")

	other, err := trust.NewKey()
	require.NoError(t, err)
	stolen := ask
	stolen.Key = other.Public()
	_, err = h.link.Enrol(h.context(), stolen)
	require.ErrorContains(t, err, "holds the key")

	_, err = h.link.Enrol(h.context(), uplink.NewEnrolRequest("guess", other.Private(), uplink.Facts{Hostname: "m"}))
	require.Equal(t, http.StatusForbidden, uplink.Refusal(err).Status)
}

func TestAMachineThatWaitsForAPersonIsNotHeard(t *testing.T) {
	h := newHouse(t)
	h.store.pending = true
	c := h.enrol()
	acks := c.send(c.receipt("o", patching.StageAccepted))
	require.Equal(t, patching.Stranger, acks[0].Intake)
	r := c.poll(0)
	require.Contains(t, r.Refused[0].Why, "waits for somebody")
	require.Empty(t, h.store.receipts)

	d := h.store.devices[c.id]
	d.State = patching.DeviceAccepted
	h.store.mu.Lock()
	h.store.devices[c.id] = d
	h.store.mu.Unlock()
	h.server.DevicesChanged()
	acks = c.send(c.receipt("o", patching.StageAccepted))
	require.Equal(t, patching.Taken, acks[0].Intake)
}

func TestWhatIsSentAgainCountsOnce(t *testing.T) {
	c := newHouse(t).enrol()
	m := c.receipt("o1", patching.StageAccepted)
	require.Equal(t, patching.Taken, c.send(m)[0].Intake)
	require.Equal(t, patching.Duplicate, c.send(m)[0].Intake)
	require.Len(t, c.store.receipts, 1)

	c.counter = 100
	require.Equal(t, patching.Taken, c.send(c.receipt("o1", patching.StageStarted))[0].Intake)
	c.counter = 50
	require.Equal(t, patching.Replayed, c.send(c.receipt("o2", patching.StageStarted))[0].Intake)
	require.Len(t, c.store.receipts, 2)
}

func TestACloneShowsByItsCounterAndIsNotHeardAnyMore(t *testing.T) {
	c := newHouse(t).enrol()
	require.Equal(t, patching.Taken, c.send(c.receipt("o1", patching.StageAccepted))[0].Intake)
	c.counter--
	require.Equal(t, patching.Forked, c.send(c.receipt("o2", patching.StageAccepted))[0].Intake)
	require.Equal(t, patching.Stranger, c.send(c.receipt("o3", patching.StageAccepted))[0].Intake)
	require.Contains(t, c.poll(0).Refused[0].Why, "quarantined")
}

// A copy whose hello was called stale made another one, and so passed over the number at
// which its next message would have shown it.
func TestACloneShowsByItsHelloToo(t *testing.T) {
	c := newHouse(t).enrol()
	ask := func(hello uplink.Message) []uplink.Refused {
		t.Helper()
		r, err := c.link.Poll(c.context(), uplink.PollRequest{Devices: []uplink.PollDevice{{Hello: hello, Root: c.root.Version}}})
		require.NoError(t, err)
		return r.Refused
	}
	first := c.position().Hello
	require.Empty(t, ask(first))
	require.Empty(t, ask(first), "the same once more")
	c.counter--
	c.off = time.Minute // another time in it, as another machine says it
	copied := c.position().Hello
	forged := copied
	forged.Signature = first.Signature
	require.True(t, ask(forged)[0].Stale, "whoever has not the key takes nobody out")
	require.Empty(t, ask(first))

	require.Contains(t, ask(copied)[0].Why, "quarantined")
	require.Contains(t, ask(first)[0].Why, "quarantined", "nobody knows which is the copy")
	require.Equal(t, patching.DeviceQuarantined, c.store.devices[c.id].State)
	require.Equal(t, patching.Stranger, c.send(c.receipt("o1", patching.StageAccepted))[0].Intake)
}

func TestABatchIsJudgedMessageByMessage(t *testing.T) {
	h := newHouse(t)
	a, b := h.enrol(), h.enrol()
	stranger := &client{house: h, id: "d-nobody", key: b.key}

	forged := a.receipt("o1", patching.StageAccepted)
	forged.Body = []byte(`{"receipts":[{"order":"o1","at":"1970-01-01T00:00:01Z","stage":"finished","outcome":"patched"}]}`)
	after := a.receipt("o1", patching.StageStarted)
	swapped := a.receipt("o9", patching.StageAccepted)
	swapped.Device = b.id
	good := b.receipt("o2", patching.StageAccepted)
	unread := b.says(uplink.KindReceipt, []byte(`{"receipts":[],"news":1}`))

	acks := a.send(forged, stranger.receipt("o3", patching.StageAccepted), good, after, unread)
	require.Equal(t, []uplink.Ack{
		{Device: "d-nobody", Counter: 1, Intake: patching.Stranger},
		{Device: b.id, Counter: 1, Intake: patching.Taken},
	}, acks, "behind a message that was not taken, none of the same device is: it would be passed over")
	require.Empty(t, a.send(swapped))
	require.Len(t, h.store.receipts, 1)
}

func TestNothingIsAcknowledgedThatIsNotKept(t *testing.T) {
	c := newHouse(t).enrol()
	c.store.mu.Lock()
	c.store.failing = errors.New("disk full at /secret/place")
	c.store.mu.Unlock()
	m := c.receipt("o1", patching.StageAccepted)
	_, err := c.link.Send(c.context(), uplink.Batch{Messages: []uplink.Message{m}})
	require.ErrorContains(t, err, "the server failed")
	require.NotContains(t, err.Error(), "secret")

	c.store.mu.Lock()
	c.store.failing = nil
	c.store.mu.Unlock()
	require.Equal(t, patching.Taken, c.send(m)[0].Intake)
}

func TestAnInventoryIsAskedForTheSetsThatTheServerLacks(t *testing.T) {
	c := newHouse(t).enrol()
	packages := patching.PackageSet{Manager: "apt", Packages: []patching.Package{{Name: "bash", Arch: "amd64", Version: "5.2"}}}.Canonical()
	candidates := patching.CandidateSet{Manager: "apt"}.Canonical()
	p, q := patching.DigestOf(packages), patching.DigestOf(candidates)

	ack := c.send(c.inventory(p, q))[0]
	require.Equal(t, []patching.Digest{p, q}, ack.Need)
	require.Equal(t, p, c.store.facts[c.id].Packages)

	content := func(kind uplink.ContentKind, text []byte) uplink.Message {
		return c.says(uplink.KindContent, uplink.Encode(uplink.Content{Kind: kind, Text: string(text)}))
	}
	require.Empty(t, c.send(content(uplink.ContentPackages, candidates)), "of another kind than it says")
	require.Empty(t, c.send(content(uplink.ContentPackages, []byte("packages v1\tapt\nbash \tamd64\t5.2\t\n"))), "a name that is none")
	acks := c.send(content(uplink.ContentPackages, packages), content(uplink.ContentCandidates, candidates))
	require.Len(t, acks, 2)
	require.Empty(t, c.send(c.inventory(p, q))[0].Need)

	text, err := c.link.Content(c.context(), p)
	require.NoError(t, err)
	require.Equal(t, packages, text)
	_, err = c.link.Content(c.context(), patching.DigestOf([]byte("else")))
	require.Equal(t, http.StatusNotFound, uplink.Refusal(err).Status)
}

func TestReportsOfManyMachinesAreCommittedTogether(t *testing.T) {
	const machines = 200
	h := newHouse(t, func(o *root.Options) { o.Linger = 100 * time.Millisecond })
	clients := make([]*client, machines)
	for i := range clients {
		clients[i] = h.enrol()
	}
	var all sync.WaitGroup
	for _, c := range clients {
		all.Add(1)
		go func() {
			defer all.Done()
			acks, err := c.link.Send(c.context(), uplink.Batch{Messages: []uplink.Message{c.receipt("o", patching.StageAccepted)}})
			if err != nil || len(acks) != 1 || acks[0].Intake != patching.Taken {
				t.Errorf("%s: %v %v", c.id, acks, err)
			}
		}()
	}
	all.Wait()
	require.Len(t, h.store.receipts, machines)
	require.Less(t, h.store.commits, 20)
}

func TestADeviceThatFloodsIsSlowedAndTheOthersAreNot(t *testing.T) {
	h := newHouse(t, func(o *root.Options) { o.Rate, o.Burst = 0.001, 3 })
	loud, quiet := h.enrol(), h.enrol()
	var flood []uplink.Message
	for range 10 {
		flood = append(flood, loud.receipt("o", patching.StageAccepted))
	}
	require.Len(t, loud.send(flood...), 3)
	require.Len(t, quiet.send(quiet.receipt("o", patching.StageAccepted)), 1)
}

func TestRequestsBeyondTheLimitsAreRefusedInWords(t *testing.T) {
	c := newHouse(t).enrol()
	_, err := c.link.Send(c.context(), uplink.Batch{Messages: make([]uplink.Message, uplink.MaxBatch+1)})
	require.Equal(t, http.StatusRequestEntityTooLarge, uplink.Refusal(err).Status)
	_, err = c.link.Send(c.context(), uplink.Batch{Relay: "../../etc", Messages: []uplink.Message{c.receipt("o", patching.StageAccepted)}})
	require.ErrorContains(t, err, "no name for a relay")
	require.Empty(t, c.store.receipts)
}
