package relay_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/relay"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Serves L4, Q11: before the window, what orders need is at the site.
func TestWhatAnOrderNeedsIsHereBeforeAnyMachineAsks(t *testing.T) {
	a := newArchive(t, 50<<10, 60<<10)
	s := newServer(t)
	sources := patching.Sources{Snapshot: a.one.Path()}
	b := patching.Bundle{Manager: "apt", Sources: patching.DigestOf(sources.Canonical()), Steps: []patching.Step{{Patches: []patching.Patch{{
		Action: patching.Upgrade, Name: "p1", Arch: "amd64", From: "1", To: "2",
	}}}}}
	s.texts[b.Digest()], s.texts[b.Sources] = b.Canonical(), sources.Canonical()
	d := newDevice(1)
	order := func(what string) []byte {
		payload, err := json.Marshal(map[string]any{"verb": what, "bundle": b.Digest()})
		require.NoError(t, err)
		text, err := json.Marshal(map[string]any{"payloadType": "order", "payload": payload})
		require.NoError(t, err)
		return text
	}
	r := start(t, s, func(o *relay.Options) { o.Files = a.client(t) })
	poll := func(seq uint64) {
		_, err := r.link.Poll(t.Context(), uplink.PollRequest{Devices: []uplink.PollDevice{d.poll(seq)}, WaitSeconds: 10})
		require.NoError(t, err)
	}
	s.news[d.id] = uplink.PollResponse{Orders: []uplink.SignedOrder{{Device: d.id, Envelope: []byte("no order")}, {Device: d.id, Envelope: order("collect")}}}
	poll(0)
	time.Sleep(100 * time.Millisecond)
	require.Equal(t, keptBytes(a), r.Status().Received)
	s.do(func() {
		n := s.news[d.id]
		n.Orders = append(n.Orders, uplink.SignedOrder{Device: d.id, Envelope: order("apply")})
		s.news[d.id] = n
	})
	poll(2)
	eventually(t, "the package and the index are here", func() bool { return r.Status().Kept == 60<<10+int64(len("signed")) })
	a.Close()
	require.Equal(t, http.StatusOK, first(r.get(t, a.path(debPath(1)), "")))
	require.Equal(t, http.StatusOK, first(r.get(t, a.path("dists/stable/InRelease"), "")))
	require.Equal(t, http.StatusBadGateway, first(r.get(t, a.path(debPath(0)), "")), "nobody ordered that one")
	require.EqualValues(t, 60<<10+len("signed"), r.Status().Needed)

	eventually(t, "its status is in its folder", func() bool {
		told, err := relay.ReadStatus(r.dir)
		return err == nil && told.Name == "berlin" && !told.Stale(time.Now()) && told.Stale(time.Now().Add(time.Hour))
	})
}

// keptBytes is what the list of what the server keeps takes.
func keptBytes(a *archive) int64 { return int64(len(`{"snapshots":["` + a.one.Path() + `"]}` + "\n")) }

// Serves Q5: also before any machine has come.
func TestARelayWithoutMachinesSaysThatItsLineFailsAndAServerWithoutRepositoriesIsNoFailure(t *testing.T) {
	a := newArchive(t)
	a.answers(func(w http.ResponseWriter, r *http.Request) bool { http.NotFound(w, r); return true })
	r := a.relay(t)
	eventually(t, "it has asked", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.asked[patching.SnapshotPath] > 0 })
	time.Sleep(2 * time.Second)
	require.True(t, r.Status().Down.IsZero())
	a.mu.Lock()
	require.Equal(t, 1, a.asked[patching.SnapshotPath], "it is not asked in a loop")
	a.mu.Unlock()

	a.Close()
	alone := a.relay(t)
	eventually(t, "the line fails", func() bool { return !alone.Status().Down.IsZero() })
}
