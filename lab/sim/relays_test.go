package sim

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/freeport"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// relayProgram is the relay as it is shipped.
var relayProgram = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "relay-*")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "patchcycle-relay")
	out, err := exec.Command("go", "build", "-o", program, "github.com/patchcycle/patchcycle/cmd/patchcycle-relay").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the relay: %w: %s", err, out)
	}
	return program, nil
})

// gate is a relay as a process of its own, at one address for good.
type gate struct {
	t    *testing.T
	name string
	up   string
	dir  string
	addr string
	cmd  *exec.Cmd
}

func newGate(t *testing.T, name, up string) *gate {
	t.Helper()
	ports, err := freeport.Quiet.Choose("127.0.0.1", 1)
	require.NoError(t, err)
	g := &gate{t: t, name: name, up: up, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", ports[0])}
	t.Cleanup(g.kill)
	g.start()
	return g
}

func (g *gate) start() {
	g.t.Helper()
	program, err := relayProgram()
	require.NoError(g.t, err)
	g.cmd = exec.Command(program, "run", "--server", g.up, "--listen", g.addr, "--dir", g.dir, "--name", g.name)
	require.NoError(g.t, g.cmd.Start())
}

// kill is kill -9.
func (g *gate) kill() {
	if g.cmd != nil {
		_ = g.cmd.Process.Kill()
		_ = g.cmd.Wait()
		g.cmd = nil
	}
}

func (g *gate) url() string { return "http://" + g.addr }

func clientAt(t *testing.T, url string) *uplink.Client {
	t.Helper()
	c, err := uplink.NewClient(uplink.ClientOptions{URL: url, Connections: 200, FirstWait: 50 * time.Millisecond, Timeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// behind are machines that each hold a poll of their own.
func behind(dir string, link uplink.Link, machines int, seed uint64) Options {
	sites := truth.DefaultSites(2)
	return Options{
		Dir: dir, Speed: 300, Direct: []patching.SiteName{sites[0].Name, sites[1].Name}, Link: link,
		Profile: truth.Profile{Machines: machines, Seed: seed, Sites: sites},
	}
}

// patchedOnce waits for all results, and checks that nothing happened twice or unordered.
func (h *house) patchedOnce(dir string, busy int) {
	h.t.Helper()
	h.eventually(2*time.Minute, "results", func() bool { return h.outcomes()[""] == 0 })
	require.Equal(h.t, map[patching.Outcome]int{patching.Patched: busy}, h.outcomes())
	h.nothingWasDoneThatWasNotOrdered(dir)
	h.everyReceiptCountedOnce()
}

// through counts machines by the route on which they were last heard.
func (h *house) through() map[string]int {
	h.t.Helper()
	assets, err := h.store.Assets(h.t.Context(), store.AssetFilter{})
	require.NoError(h.t, err)
	n := map[string]int{}
	for _, a := range assets {
		n[a.Relay]++
	}
	return n
}

// Serves Q1, Q5.
func TestARelayThatIsKilledAgainAndAgainLosesAndRepeatsNothing(t *testing.T) {
	h := newHouse(t)
	g := newGate(t, "berlin", "http://"+h.addr)
	dir := t.TempDir()
	h.run(behind(dir, clientAt(t, g.url()), 30, 11))
	busy := h.deploy(h.inventoried(30))
	for range 5 {
		time.Sleep(700 * time.Millisecond)
		g.kill()
		time.Sleep(300 * time.Millisecond)
		g.start()
	}
	h.patchedOnce(dir, busy)
	require.Equal(t, map[string]int{"berlin": 30}, h.through())
	parts, err := h.store.Parts(t.Context())
	require.NoError(t, err)
	require.Contains(t, parts, "relay/berlin")
}

// Serves Q15, L3: whoever owns a relay, or the line between two of them.
func TestARelayThatLiesDelaysAndNothingElse(t *testing.T) {
	h := newHouse(t)
	outer := newGate(t, "berlin", "http://"+h.addr)
	p := newThief(t, outer.url())
	web := httptest.NewServer(p)
	t.Cleanup(web.Close)
	inner := newGate(t, "hall-2", web.URL)
	dir := t.TempDir()
	p.gone = true // until the machines have pinned whom they believe
	link := clientAt(t, inner.url())
	f := h.run(behind(dir, link, 12, 6))
	<-f.Ready()
	h.inventoried(12)
	require.Equal(t, map[string]int{"hall-2": 12}, h.through(), "the server knows the relay that is nearest")
	f.kill()
	p.mu.Lock()
	p.gone = false
	p.mu.Unlock()
	h.run(behind(dir, &slowPolls{Link: link}, 12, 6))
	busy := h.deploy(h.inventoried(12))
	for began := time.Now(); h.outcomes()[""] > 0 && time.Since(began) < 20*time.Second; {
		time.Sleep(100 * time.Millisecond)
	}
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	h.patchedOnce(dir, busy)
	for _, trick := range []string{"lost", "an earlier one in its place", "a bit flipped", "rewritten", "thrown away and acknowledged"} {
		require.Positive(t, p.done[trick], trick)
	}
}

// Serves Q5: a dead relay's wave goes on through the next route, and comes back.
func TestADeadRelaysMachinesGoOnThroughTheNextWayAndComeBack(t *testing.T) {
	h := newHouse(t)
	first, second := newGate(t, "berlin-1", "http://"+h.addr), newGate(t, "berlin-2", "http://"+h.addr)
	dir := t.TempDir()
	ways := uplink.NewWays(3, 2*time.Second, 4*time.Second, nil)
	routes := uplink.NewRoutes(ways, clientAt(t, first.url()), clientAt(t, second.url()), h.link())
	o := behind(dir, &slowPolls{Link: routes}, 30, 12)
	o.Speed = 100
	h.run(o)
	assets := h.inventoried(30)
	h.eventually(time.Minute, "all through the preferred one", func() bool { return h.through()["berlin-1"] == 30 })
	busy := h.deploy(assets)
	time.Sleep(time.Second)
	first.kill()
	time.Sleep(3 * time.Second)
	second.kill()
	h.patchedOnce(dir, busy)
	require.Greater(t, h.through()["berlin-2"]+h.through()[""], 10)
	first.start()
	h.eventually(30*time.Second, "the preferred way again", func() bool { return ways.Current() == 0 })
}

// Serves Q5: the line is down, what runs ends, its receipts wait at the site, and
// nothing new starts; they arrive although the machines are gone.
func TestWithoutALineWhatRunsEndsNothingStartsAndReceiptsWaitAtTheSite(t *testing.T) {
	h := newHouse(t)
	g := newGate(t, "berlin", "http://"+h.addr)
	dir := t.TempDir()
	o := behind(dir, clientAt(t, g.url()), 20, 13)
	o.Speed = 60
	f, reached := h.runUntil(o, 5) // somebody is in the middle of it
	busy := h.deploy(h.inventoried(20))
	<-reached
	h.stop()
	h.stop = func() {}
	began := func() (n int) {
		all, err := Events(dir)
		require.NoError(t, err)
		return all[Unpacked] - all[Configured]
	}
	h.eventually(2*time.Minute, "what runs ends", func() bool {
		before := began()
		time.Sleep(3 * time.Second)
		return before == 0 && began() == 0
	})
	time.Sleep(12 * time.Second) // receipts are sent again after seconds
	f.kill()                     // the machines are switched off
	g.kill()                     // and the relay loses its power
	g.start()
	h.open(h.addr)
	patched := 0
	h.eventually(time.Minute, "receipts of machines that are gone", func() bool {
		before := patched
		patched = h.outcomes()[patching.Patched]
		return patched > 0 && patched == before
	})
	t.Logf("%d of %d were reported by the relay alone", patched, busy)
	h.run(o)
	h.patchedOnce(dir, busy)
}
