package observer

import (
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/edge/agent"
	"github.com/patchcycle/patchcycle/edge/root"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/command"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/worker/rootstore"
)

// onDebian skips where this machine has no apt to look at.
func onDebian(t *testing.T) {
	t.Helper()
	if _, err := command.Find("apt-get"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no apt here, but CI proves this commit: run the tests on Debian")
		}
		t.Skip("no apt here")
	}
}

// server is the root of a fleet on a real store.
type server struct {
	t      *testing.T
	store  *store.Store
	orders *root.Dispatcher
	link   *uplink.Client
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t}
	var err error
	s.store, err = sqlite.Open(context.Background(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	authority, err := root.OpenFolder(t.TempDir(), "test", 1)
	require.NoError(t, err)
	log := zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel))
	srv, err := root.New(root.Options{Store: rootstore.Store{Store: s.store}, Authority: authority, Log: log})
	require.NoError(t, err)
	s.orders = srv.Dispatcher()
	web := httptest.NewServer(srv.Handler())
	s.link, err = uplink.NewClient(uplink.ClientOptions{URL: web.URL})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- srv.Run(ctx) }()
	t.Cleanup(func() {
		s.link.Close()
		web.CloseClientConnections()
		web.Close()
		cancel()
		<-done
		require.NoError(t, s.store.Close())
	})
	require.NoError(t, s.store.PutEnrolToken(t.Context(), store.EnrolToken{Hash: uplink.TokenHash("welcome"), Site: "office", Uses: 1, AutoAccept: true}))
	return s
}

// observe runs the observer until the test or stop ends it.
func (s *server) observe(dir string) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{
			Link: s.link, Dir: dir, Token: "welcome", CarriesPatchcycle: true,
			Log: zaptest.NewLogger(s.t, zaptest.Level(zap.ErrorLevel)),
		})
	}()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		require.ErrorIs(s.t, <-ended, context.Canceled)
	}
	s.t.Cleanup(stop)
	return stop
}

func (s *server) eventually(what string, is func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		require.True(s.t, time.Now().Before(deadline), "%s: not within two minutes", what)
	}
}

// asset waits for this machine's inventory and both of its sets.
func (s *server) asset() (a patching.Asset) {
	s.t.Helper()
	s.eventually("an inventory", func() bool {
		all, err := s.store.Assets(s.t.Context(), store.AssetFilter{})
		require.NoError(s.t, err)
		if len(all) != 1 || all[0].Inventoried.IsZero() {
			return false
		}
		a = all[0]
		missing, err := s.store.MissingContent(s.t.Context(), []patching.Digest{a.Packages, a.Candidates})
		require.NoError(s.t, err)
		return len(missing) == 0
	})
	return a
}

// Serves G1, G14, G18.
func TestThisMachineIsEnrolledAndReadAndNothingElse(t *testing.T) {
	onDebian(t)
	s := newServer(t)
	dir := t.TempDir()
	stop := s.observe(dir)
	began := time.Now()
	a := s.asset()
	t.Logf("enrolled and inventoried in %s", time.Since(began))

	hostname, err := os.Hostname()
	require.NoError(t, err)
	require.Equal(t, hostname, a.Hostname)
	require.Equal(t, patching.SiteName("office"), a.Site, "the token says where")
	require.Equal(t, "apt", a.Manager)
	require.Equal(t, "debian", a.OS.Family)
	require.Equal(t, []string{"collect", "simulate"}, a.Allowed)
	require.True(t, a.CarriesPatchcycle)
	text, err := s.store.Content(t.Context(), a.Packages)
	require.NoError(t, err)
	set, err := patching.ParsePackageSet(text)
	require.NoError(t, err)
	_, has := set.Version("dpkg", "")
	require.True(t, has, "dpkg is among the %d packages", len(set.Packages))
	text, err = s.store.Content(t.Context(), a.Candidates)
	require.NoError(t, err)
	offered, err := patching.ParseCandidateSet(text)
	require.NoError(t, err)

	stop()
	s.observe(dir)
	s.eventually("the same device again", func() bool {
		devices, err := s.store.Devices(t.Context())
		require.NoError(t, err)
		require.Len(t, devices, 1, "it is not enrolled twice")
		return devices[0].Counter > 0
	})
	collected := s.order(a, trust.Draft{ID: "o-collect", Verb: trust.Collect})
	require.Empty(t, collected.Reason, collected.Detail)

	if len(offered.Candidates) == 0 {
		return // nothing to rehearse on a machine that is up to date
	}
	c := offered.Candidates[0]
	bundle := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{{
		Action: patching.Upgrade, Name: c.Name, Arch: c.Arch, From: c.From, To: c.To, Reversible: patching.Irreversible,
	}}}}}
	_, err = s.store.PutContents(t.Context(), "bundle", [][]byte{bundle.Canonical()})
	require.NoError(t, err)
	rehearsed := s.order(a, trust.Draft{ID: "o-simulate", Verb: trust.Simulate, Bundle: bundle.Digest()})
	if rehearsed.Reason == patching.ReasonPlanStale {
		require.Contains(t, rehearsed.Detail, "It would also change: ") // what it depends on
	} else {
		require.Contains(t, rehearsed.Detail, "would change 1 package")
	}
}

// order sends an order to the machine and waits for its last receipt.
func (s *server) order(a patching.Asset, d trust.Draft) (last patching.Receipt) {
	s.t.Helper()
	now := time.Now()
	d.Asset, d.Device, d.Cycle, d.Ring = a.ID, a.Device, "cycle/test/2026-11.1", "all"
	d.NotAfter = now.Add(time.Hour)
	require.NoError(s.t, s.orders.Issue(s.t.Context(), []trust.Draft{d}))
	s.eventually("the answer to "+string(d.ID), func() bool {
		all, err := s.store.Receipts(s.t.Context(), a.Device, d.Cycle)
		require.NoError(s.t, err)
		i := slices.IndexFunc(all, func(r patching.Receipt) bool { return r.Order == d.ID && r.Stage.Terminal() })
		if i >= 0 {
			last = all[i]
		}
		return i >= 0
	})
	return last
}

// Serves Q15.
func TestWhateverWouldChangeTheMachineIsRefusedInTheCode(t *testing.T) {
	m := &Machine{} // there is nothing behind it that could act
	ctx := t.Context()
	_, cleaned := m.Clean(ctx, nil)
	for what, err := range map[string]error{
		"preflight": m.Preflight(ctx, patching.Bundle{}), "fetch": m.Fetch(ctx, patching.Bundle{}), "apply": m.Apply(ctx, nil),
		"repair": m.Repair(ctx), "reboot": m.Reboot(ctx), "clean": cleaned,
	} {
		var f *agent.Failure
		require.ErrorAs(t, err, &f, what)
		require.Equal(t, patching.ReasonHostRules, f.Reason, what)
	}
	for _, v := range Rules.Allowed {
		spec, ok := v.Spec()
		require.True(t, ok)
		require.False(t, spec.NeedsLease || spec.NeedsGrant, "%s disturbs", v)
	}
}
