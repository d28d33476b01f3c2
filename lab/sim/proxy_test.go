package sim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/courier"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
)

// thief is a proxy between machines and server, as whoever owns a relay or the
// line could put it there: it sees, changes, swaps, repeats, mixes up and loses
// whatever passes, and has keys of its own.
type thief struct {
	t      *testing.T
	server string
	keys   trust.Keys
	root   trust.Root // the thief's own

	mu       sync.Mutex
	gone     bool
	chance   *rand.Rand
	done     map[string]int
	requests map[string][][]byte // by path
	answers  map[string][][]byte
}

func newThief(t *testing.T, server string) *thief {
	keys, err := trust.LoadOrCreateKeys(t.TempDir())
	require.NoError(t, err)
	return &thief{
		t: t, server: server, keys: keys, root: trust.NewRoot("test", keys), chance: rand.New(rand.NewPCG(5, 5)),
		done: map[string]int{}, requests: map[string][][]byte{}, answers: map[string][][]byte{},
	}
}

func (p *thief) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body := p.read(r)
	if r.Method == http.MethodPost {
		body = p.meddle(r.URL.Path, body, p.requests, p.meddleRequest)
		if body == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		if p.turn("sent twice", 10) {
			_, _ = p.forward(r, body)
		}
	}
	if r.URL.Path == uplink.MessagesPath && p.turn("thrown away and acknowledged", 6) {
		_, _ = w.Write(p.acknowledge(body))
		return
	}
	status, answer := p.forward(r, body)
	if status == http.StatusOK && r.Method == http.MethodPost {
		if answer = p.meddle(r.URL.Path, answer, p.answers, p.meddleAnswer); answer == nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
	} else if status == http.StatusOK && p.turn("content changed", 3) {
		answer = p.flip(answer)
	}
	w.WriteHeader(status)
	_, _ = w.Write(answer)
}

func (p *thief) read(r *http.Request) []byte {
	var body io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil
		}
		body = z
	}
	text, _ := io.ReadAll(body)
	return text
}

func (p *thief) forward(r *http.Request, body []byte) (int, []byte) {
	req, err := http.NewRequestWithContext(r.Context(), r.Method, p.server+r.URL.Path, bytes.NewReader(body))
	if err != nil {
		return http.StatusBadGateway, nil
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return http.StatusBadGateway, nil
	}
	return resp.StatusCode, text
}

// meddle does something to what passes, or nothing; nil loses it.
func (p *thief) meddle(path string, text []byte, seen map[string][][]byte, change func([]byte) []byte) []byte {
	p.mu.Lock()
	seen[path] = append(seen[path], text)
	earlier := seen[path][p.chance.IntN(len(seen[path]))]
	p.mu.Unlock()
	switch {
	case p.turn("lost", 16):
		return nil
	case p.turn("an earlier one in its place", 16):
		return earlier
	case p.turn("cut off", 20):
		return text[:len(text)/2]
	case p.turn("a bit flipped", 16):
		return p.flip(text)
	case p.turn("rewritten", 5):
		return change(text)
	}
	return text
}

// turn says whether it is a trick's turn: the first time, so that a quick run has
// met each one too, and once in n times.
func (p *thief) turn(trick string, n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.done[trick] > 0 && p.chance.IntN(n) != 0 {
		return false
	}
	p.done[trick]++
	return true
}

func (p *thief) flip(text []byte) []byte {
	if len(text) == 0 {
		return text
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	out := bytes.Clone(text)
	out[p.chance.IntN(len(out))] ^= 1 << p.chance.IntN(7)
	return out
}

// meddleRequest mixes up messages, gives them to other devices and counters,
// and adds what another request carried.
func (p *thief) meddleRequest(text []byte) []byte {
	var b uplink.Batch
	if json.Unmarshal(text, &b) != nil || len(b.Messages) == 0 {
		return text
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.requests[uplink.MessagesPath] {
		var other uplink.Batch
		if json.Unmarshal(old, &other) == nil && p.chance.IntN(4) == 0 {
			b.Messages = append(b.Messages, other.Messages...)
		}
		if len(b.Messages) > 50 {
			break
		}
	}
	for i := range b.Messages {
		other := &b.Messages[p.chance.IntN(len(b.Messages))]
		switch p.chance.IntN(6) {
		case 0:
			b.Messages[i].Device = other.Device
		case 1:
			b.Messages[i].Counter += 1 << 20
		case 2:
			b.Messages[i].Body = bytes.ReplaceAll(b.Messages[i].Body, []byte(`"started"`), []byte(`"refused"`))
		}
	}
	p.chance.Shuffle(len(b.Messages), func(i, j int) { b.Messages[i], b.Messages[j] = b.Messages[j], b.Messages[i] })
	out, _ := json.Marshal(b)
	return out
}

// meddleAnswer claims that everything was taken, gives orders and permits to
// other machines, adds forged ones and a trust root of the thief's.
func (p *thief) meddleAnswer(text []byte) []byte {
	var acks uplink.Acks
	if json.Unmarshal(text, &acks) == nil && len(acks.Acks) > 0 {
		for i := range acks.Acks {
			acks.Acks[i].Counter += uint64(i % 2)
			acks.Acks[i].Intake = patching.Taken
			acks.Acks[i].Need = append(acks.Acks[i].Need, patching.DigestOf(text))
		}
		out, _ := json.Marshal(acks)
		return out
	}
	var r uplink.PollResponse
	if json.Unmarshal(text, &r) != nil || r.Empty() {
		return text
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, old := range p.answers[uplink.PollPath] {
		var other uplink.PollResponse
		if json.Unmarshal(old, &other) == nil {
			r.Orders, r.Leases = append(r.Orders, other.Orders...), append(r.Leases, other.Leases...)
		}
		if len(r.Orders) > 50 {
			break
		}
	}
	for i := range r.Orders {
		if to := r.Orders[p.chance.IntN(len(r.Orders))].Device; p.chance.IntN(2) == 0 {
			r.Orders[i].Device = to
		}
		r.Orders = append(r.Orders, uplink.SignedOrder{Device: r.Orders[i].Device, Envelope: p.forge(r.Orders[i].Device)})
	}
	p.chance.Shuffle(len(r.Orders), func(i, j int) { r.Orders[i], r.Orders[j] = r.Orders[j], r.Orders[i] })
	r.Root = p.root.Bump(9).Seal(p.keys.Root)
	out, _ := json.Marshal(r)
	return out
}

// acknowledge says that everything was taken, signed with the thief's key.
func (p *thief) acknowledge(text []byte) []byte {
	var b uplink.Batch
	var out uplink.Acks
	_ = json.Unmarshal(text, &b) // what cannot be read has no messages
	for i := range b.Messages {
		m := &b.Messages[i]
		ack := uplink.Ack{Device: m.Device, Counter: m.Counter, Intake: patching.Taken}
		ack.Sign("test", m, p.keys.Lease)
		out.Acks = append(out.Acks, ack)
	}
	answer, _ := json.Marshal(out)
	return answer
}

// forge signs an order to restart with the thief's key.
func (p *thief) forge(d patching.DeviceID) []byte {
	now := time.Now()
	o, err := trust.Draft{
		ID: "forged", Device: d, Verb: trust.Reboot, Fence: 1 << 30, WindowRule: "always in UTC",
		Start: now.Add(-time.Hour), End: now.Add(time.Hour), NotAfter: now.Add(time.Hour),
	}.Order(p.root, 1<<30, p.keys.Dispatcher.Public(), now)
	if err != nil {
		p.t.Error(err)
	}
	return o.Seal(p.keys.Dispatcher)
}

// Serves Q15.
func TestWhoOwnsTheLineCanDelayButNeitherOrderNorLie(t *testing.T) {
	h := newHouse(t)
	p := newThief(t, "http://"+h.addr)
	web := httptest.NewServer(p)
	defer web.Close()
	link, err := uplink.NewClient(uplink.ClientOptions{URL: web.URL, Connections: 100, FirstWait: 50 * time.Millisecond, Timeout: 5 * time.Second})
	require.NoError(t, err)
	h.survives(p, link)
}

// Serves Q13, Q15.
func TestACourierThatWasTakenOverCanDelayButNeitherOrderNorLie(t *testing.T) {
	h := newHouse(t)
	p := newThief(t, "http://"+h.addr)
	socket := filepath.Join(t.TempDir(), "letters")
	letters, parcels, err := courier.Listen(socket)
	require.NoError(t, err)
	defer parcels.Close()
	web := &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}
	defer web.Close()
	go func() { _ = web.Serve(letters) }()
	link, err := courier.NewLink(socket)
	require.NoError(t, err)
	defer link.Close()
	h.survives(p, link)
}

// survives lets machines work over the thief's line, and the thief go after a while.
func (h *house) survives(p *thief, link uplink.Link) {
	t, dir := h.t, h.t.TempDir()
	t.Helper()
	o := Options{
		Dir: dir, Speed: 2000, Direct: []patching.SiteName{"berlin"}, Link: h.link(),
		Profile: truth.Profile{Machines: 12, Seed: 6, Sites: truth.DefaultSites(2)},
	}
	// The machines enrol over an honest line: who owns that one decides whose
	// root is pinned, unless a fingerprint is given.
	f := h.run(o)
	<-f.Ready()
	h.inventoried(12)
	f.kill()
	o.Link = &slowPolls{Link: link}
	h.run(o)

	busy := h.deploy(h.inventoried(12))
	for began := time.Now(); h.outcomes()[""] > 0 && time.Since(began) < 20*time.Second; {
		time.Sleep(100 * time.Millisecond)
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	h.eventually(time.Minute, "results, once the line is honest again", func() bool { return h.outcomes()[""] == 0 })
	require.Equal(t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes(), "delayed, and nothing lost")
	for _, trick := range []string{"lost", "an earlier one in its place", "cut off", "a bit flipped", "rewritten", "sent twice", "thrown away and acknowledged"} {
		require.Positive(t, p.done[trick], trick)
	}
	h.nothingWasDoneThatWasNotOrdered(dir)
	h.everyReceiptCountedOnce()
}

// slowPolls asks for short waits, so that the thief gets more to do.
type slowPolls struct{ uplink.Link }

func (s *slowPolls) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	r.WaitSeconds = min(r.WaitSeconds, 1)
	return s.Link.Poll(ctx, r)
}

func (h *house) nothingWasDoneThatWasNotOrdered(dir string) {
	h.t.Helper()
	n, details, err := Repeats(dir)
	require.NoError(h.t, err)
	require.Zero(h.t, n, "%v", details)
	logs, err := filepath.Glob(filepath.Join(dir, "machines", "*", witnessName))
	require.NoError(h.t, err)
	require.NotEmpty(h.t, logs)
	for _, log := range logs {
		events, _, err := readWitness(log)
		require.NoError(h.t, err)
		ids := map[patching.OrderID]bool{}
		for _, e := range events {
			ids[e.Order] = true
		}
		require.Len(h.t, ids, 1, "one order a machine")
		for id := range ids {
			orders, err := h.store.Orders(h.t.Context(), []patching.OrderID{id})
			require.NoError(h.t, err)
			require.Len(h.t, orders, 1)
			text, err := h.store.Content(h.t.Context(), h.deployment(orders[0].Asset).Bundle)
			require.NoError(h.t, err)
			bundle, err := patching.ParseBundle(text)
			require.NoError(h.t, err)
			ordered := map[string]string{}
			for _, p := range bundle.Patches() {
				ordered[p.Name] = p.To
			}
			configured := 0
			for _, e := range events {
				require.Equal(h.t, ordered[e.Package], e.Version, "%s on %s", e.Package, log)
				if e.Phase == Configured {
					configured++
				}
			}
			require.Equal(h.t, len(ordered), configured)
		}
	}
}

func (h *house) deployment(a patching.AssetID) patching.Deployment {
	h.t.Helper()
	d, err := h.store.Deployments(h.t.Context(), store.DeploymentFilter{Cycle: cycle, Asset: a})
	require.NoError(h.t, err)
	require.Len(h.t, d, 1)
	return d[0]
}

// everyReceiptCountedOnce also checks that no machine was taken for a clone.
func (h *house) everyReceiptCountedOnce() {
	h.t.Helper()
	devices, err := h.store.Devices(h.t.Context())
	require.NoError(h.t, err)
	for _, d := range devices {
		require.Equal(h.t, patching.DeviceAccepted, d.State)
		receipts, err := h.store.Receipts(h.t.Context(), d.ID, "")
		require.NoError(h.t, err)
		stages := map[patching.Stage]int{}
		for _, r := range receipts {
			require.NotEqual(h.t, patching.OrderID("forged"), r.Order)
			stages[r.Stage]++
		}
		for stage, n := range stages {
			limit := 1
			if stage == patching.StageInstalled || stage == patching.StageRebooting {
				limit = 2 // once a step with a restart
			}
			require.LessOrEqual(h.t, n, limit, "%s of %s", stage, d.ID)
		}
	}
}
