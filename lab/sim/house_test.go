package sim

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/worker/rootstore"
)

// house is a server on a real store, without Temporal: the tests do by hand
// what a cycle's activities do.
type house struct {
	t      testing.TB
	dir    string
	store  *store.Store
	server *root.Server
	addr   string
	stop   func()
}

const (
	cycle = patching.CycleID("cycle/test/2026-11.1")
	ring  = patching.RingName("all")
)

func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir()}
	h.open("127.0.0.1:0")
	t.Cleanup(func() { h.stop() })
	for _, site := range truth.DefaultSites(500) {
		require.NoError(t, h.store.PutEnrolToken(t.Context(), store.EnrolToken{
			Hash: uplink.TokenHash(token(site.Name)), Site: site.Name, Uses: 100_000, AutoAccept: true,
		}))
	}
	return h
}

func token(site patching.SiteName) string { return "token-of-" + string(site) }

func tokens() map[patching.SiteName]string {
	m := map[patching.SiteName]string{}
	for _, s := range truth.DefaultSites(500) {
		m[s.Name] = token(s.Name)
	}
	return m
}

// open starts the server; stop ends it without a goodbye to anybody.
func (h *house) open(addr string) {
	h.t.Helper()
	var err error
	h.store, err = sqlite.Open(context.Background(), filepath.Join(h.dir, "store.db"))
	require.NoError(h.t, err)
	authority, err := root.OpenFolder(filepath.Join(h.dir, "keys"), "test", 1)
	require.NoError(h.t, err)
	h.server, err = root.New(root.Options{
		Store: rootstore.Store{Store: h.store}, Authority: authority, Presence: time.Second,
		Log: zaptest.NewLogger(h.t, zaptest.Level(zap.ErrorLevel)),
	})
	require.NoError(h.t, err)
	line, err := net.Listen("tcp", addr)
	require.NoError(h.t, err)
	h.addr = line.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	web := &http.Server{Handler: h.server.Handler()}
	var running sync.WaitGroup
	running.Go(func() { _ = web.Serve(line) })
	running.Go(func() { _ = h.server.Run(ctx) })
	h.stop = func() {
		_ = web.Close()
		cancel()
		running.Wait()
		_ = h.store.Close()
	}
}

func (h *house) link() *uplink.Client {
	h.t.Helper()
	c, err := uplink.NewClient(uplink.ClientOptions{URL: "http://" + h.addr, Connections: MaxDirect, FirstWait: 100 * time.Millisecond})
	require.NoError(h.t, err)
	h.t.Cleanup(c.Close)
	return c
}

// fleet is a running fleet.
type running struct {
	*Fleet
	cancel context.CancelFunc
	ended  chan error
}

func (h *house) run(o Options) *running {
	h.t.Helper()
	if o.Link == nil {
		o.Link = h.link()
	}
	o.Tokens = tokens()
	if o.Log == nil {
		o.Log = zaptest.NewLogger(h.t, zaptest.Level(zap.ErrorLevel))
	}
	fleet, err := Open(o)
	require.NoError(h.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Fleet: fleet, cancel: cancel, ended: make(chan error, 1)}
	go func() { r.ended <- fleet.Run(ctx) }()
	h.t.Cleanup(r.kill)
	return r
}

// kill ends the fleet as a kill -9 does: in the middle of whatever it does.
// Nothing is written after the contexts have ended.
func (r *running) kill() {
	r.cancel()
	if err, ok := <-r.ended; ok {
		close(r.ended)
		_ = err
		_ = r.Close()
	}
}

// eventually waits for something that takes a while.
func (h *house) eventually(d time.Duration, what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(d); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not within %s", what, d)
		}
	}
}

// inventoried waits until the server knows what every machine has and is offered.
func (h *house) inventoried(n int) []patching.Asset {
	h.t.Helper()
	var assets []patching.Asset
	h.eventually(2*time.Minute, "inventories", func() bool {
		var err error
		assets, err = h.store.Assets(h.t.Context(), store.AssetFilter{})
		require.NoError(h.t, err)
		if len(assets) < n {
			return false
		}
		digests := map[patching.Digest]bool{}
		for _, a := range assets {
			if a.Inventoried.IsZero() {
				return false
			}
			digests[a.Packages], digests[a.Candidates] = true, true
		}
		var all []patching.Digest
		for d := range digests {
			all = append(all, d)
		}
		missing, err := h.store.MissingContent(h.t.Context(), all)
		require.NoError(h.t, err)
		return len(missing) == 0
	})
	require.Len(h.t, assets, n)
	return assets
}

// bundleOf resolves what a machine is offered: everything in one step, the
// kernel in another with a restart.
func bundleOf(set patching.CandidateSet) patching.Bundle {
	var kernel, rest patching.Step
	for _, c := range set.Candidates {
		p := patching.Patch{
			Action: patching.Upgrade, Name: c.Name, Arch: c.Arch, From: c.From, To: c.To, Origin: c.Origin, Codename: c.Codename,
			Security: c.Security, Size: c.Size, SHA256: c.SHA256, NeedsReboot: c.NeedsReboot, Reversible: patching.ByDowngrade,
		}
		if c.From == "" {
			p.Action, p.Reversible = patching.Install, patching.ByUninstall
		}
		if strings.HasPrefix(c.Name, "linux-image-") {
			kernel.Patches, kernel.Restart = append(kernel.Patches, p), true
		} else {
			rest.Patches = append(rest.Patches, p)
		}
	}
	b := patching.Bundle{Manager: set.Manager}
	for _, s := range []patching.Step{rest, kernel} {
		if len(s.Patches) > 0 {
			b.Steps = append(b.Steps, s)
		}
	}
	return b
}

// deploy plans, stages and releases everything for machines that are offered
// something, in one wave, and returns how many that are.
func (h *house) deploy(assets []patching.Asset) int {
	h.t.Helper()
	wave, n := h.stage(assets)
	h.release(wave)
	return n
}

// stage plans and stages it: machines may take their orders in hand, and wait for a
// start permit.
func (h *house) stage(assets []patching.Asset) (patching.WaveID, int) {
	h.t.Helper()
	ctx, now := h.t.Context(), time.Now()
	wave := patching.NewWaveID(cycle, ring, "everywhere", "always", now.UTC().Format("20060102T1504Z"))
	_, err := h.store.OpenCycle(ctx, patching.Cycle{ID: cycle, Kind: patching.Monthly, Policy: "test", Opened: now, Phase: patching.PhaseDeploy})
	require.NoError(h.t, err)
	items := h.plan(assets, wave, now)
	var ids []patching.AssetID
	for _, i := range items {
		ids = append(ids, i.Asset)
	}
	fences, busy, err := h.store.LockAssets(ctx, cycle, ids, now)
	require.NoError(h.t, err)
	require.Empty(h.t, busy)
	var drafts []trust.Draft
	var staged []store.StagedOrder
	for _, i := range items {
		d := trust.Draft{
			ID: patching.OrderID("apply-" + string(i.Asset)), Asset: i.Asset, Device: i.Device, Cycle: cycle, Ring: ring, Wave: wave,
			Verb: trust.Apply, Fence: fences[i.Asset], WindowRule: i.WindowRule, Start: i.Start, End: i.End,
			NotAfter: i.End.Add(time.Hour), Bundle: i.Bundle, Rollback: i.Rollback,
		}
		drafts = append(drafts, d)
		staged = append(staged, store.StagedOrder{Cycle: cycle, Asset: i.Asset, Order: d.ID})
	}
	require.NoError(h.t, h.server.Dispatcher().Issue(ctx, drafts))
	require.NoError(h.t, h.store.Stage(ctx, staged))
	return wave, len(items)
}

func (h *house) release(wave patching.WaveID) {
	h.t.Helper()
	ctx := h.t.Context()
	for batch := 1; ; batch++ {
		released, err := h.store.ReleaseBatch(ctx, wave, batch, 200, time.Now())
		require.NoError(h.t, err)
		if len(released) == 0 {
			return
		}
		var orders []patching.OrderID
		for _, d := range released {
			orders = append(orders, d.Order)
		}
		require.NoError(h.t, h.server.Dispatcher().Permit(ctx, orders))
	}
}

func (h *house) plan(assets []patching.Asset, wave patching.WaveID, now time.Time) []patching.PlanItem {
	h.t.Helper()
	ctx := h.t.Context()
	bundles := map[patching.Digest][2]patching.Digest{}
	var items []patching.PlanItem
	for _, a := range assets {
		both, ok := bundles[a.Candidates]
		if !ok {
			text, err := h.store.Content(ctx, a.Candidates)
			require.NoError(h.t, err)
			set, err := patching.ParseCandidateSet(text)
			require.NoError(h.t, err)
			if b := bundleOf(set); !b.Empty() {
				back, ok := b.Revert()
				require.True(h.t, ok)
				ds, err := h.store.PutContents(ctx, "bundle", [][]byte{b.Canonical(), back.Canonical()})
				require.NoError(h.t, err)
				both = [2]patching.Digest{ds[0], ds[1]}
			}
			bundles[a.Candidates] = both
		}
		if both[0] == "" {
			continue
		}
		items = append(items, patching.PlanItem{
			Asset: a.ID, Device: a.Device, Site: a.Site, Ring: ring, Wave: wave, Position: len(items),
			WindowRule: "always in UTC", Start: now.Add(-time.Minute).Truncate(time.Minute), End: now.Add(6 * time.Hour).Truncate(time.Minute),
			Bundle: both[0], Rollback: both[1], Stratum: "debian",
		})
	}
	require.NoError(h.t, h.store.PutPlan(ctx, patching.Plan{
		Cycle: cycle, Revision: 1, Kind: patching.Monthly, Policy: "test", Made: now, CloseBy: now.Add(time.Hour),
		Rings: []patching.PlanRing{{Name: ring, Assets: len(items)}},
	}, items))
	return items
}

// outcomes counts how the deployments ended; the empty outcome is of those that
// have not.
func (h *house) outcomes() map[patching.Outcome]int {
	h.t.Helper()
	all, err := h.store.Deployments(h.t.Context(), store.DeploymentFilter{Cycle: cycle})
	require.NoError(h.t, err)
	n := map[patching.Outcome]int{}
	for _, d := range all {
		n[d.Outcome]++
	}
	return n
}
