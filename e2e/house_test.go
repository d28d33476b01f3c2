package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/cmd/patchcycle/serve"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/lab/sim"
	"github.com/patchcycle/patchcycle/lab/sim/truth"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// house is a whole server in this process: embedded Temporal, SQLite, API, root
// relay. People act on it through the API, as everywhere.
type house struct {
	*serve.Server
	config serve.Config
	admin  *client.Client
	tokens map[patching.AccountName]string
}

// The people of a house. Ana writes policies and starts cycles, Ben approves;
// Amy could do both, but not for the same cycle; Aud reads.
const (
	ana patching.AccountName = "ana"
	ben patching.AccountName = "ben"
	amy patching.AccountName = "amy"
	aud patching.AccountName = "aud"
)

func newHouse(t *testing.T, change ...func(*serve.Config)) *house {
	t.Helper()
	h := &house{tokens: map[patching.AccountName]string{}, config: serve.Config{
		Dir: t.TempDir(), Uplink: freeAddress(t), UI: "127.0.0.1:0", Fleet: "e2e", Version: "test", Look: 200 * time.Millisecond,
		Log: zaptest.NewLogger(t, zaptest.Level(zap.ErrorLevel)),
	}}
	for _, c := range change {
		c(&h.config)
	}
	h.start(t)
	t.Cleanup(func() { h.Stop() }) // the one that runs then
	token, err := os.ReadFile(h.config.AdminToken())
	require.NoError(t, err)
	h.admin = h.client(t, strings.TrimSpace(string(token)))
	for name, roles := range map[patching.AccountName][]patching.Role{
		ana: {patching.RoleAuthor}, ben: {patching.RoleApprover, patching.RoleOperator},
		amy: {patching.RoleAuthor, patching.RoleApprover}, aud: {patching.RoleAuditor},
	} {
		made, err := h.admin.AddAccount(t.Context(), wire.NewAccount{Name: name, Roles: roles})
		require.NoError(t, err)
		h.tokens[name] = made.Token
	}
	return h
}

// freeAddress is one that a server can have again after a restart.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// start starts the server, or starts it again.
func (h *house) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := serve.Start(ctx, h.config)
	require.NoError(t, err)
	h.Server = s
}

func (h *house) client(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Options{Server: "unix://" + h.config.Socket(), Token: token})
	require.NoError(t, err)
	return c
}

// as is the API in somebody's hands.
func (h *house) as(t *testing.T, who patching.AccountName) *client.Client {
	t.Helper()
	return h.client(t, h.tokens[who])
}

// signal sends a signal past the API, with somebody's token, to Temporal itself.
func (h *house) signal(t *testing.T, who patching.AccountName, id patching.CycleID, verb string, what any) error {
	t.Helper()
	c, err := temporal.Dial(temporal.Options{
		HostPort: h.Engine.Addr(), Namespace: h.Engine.Namespace(), HeadersProvider: gate.Bearer(h.tokens[who]),
		Identity: "somebody else", // anyone can write any
	})
	require.NoError(t, err)
	defer c.Close()
	return c.SignalWorkflow(t.Context(), string(id), "", verb, what)
}

// site is a fleet of its own with a policy of its own, so that tests share a
// server and not a machine.
type site struct {
	*house
	name  string
	fleet *sim.Fleet
	line  *cutLine // between its relay and the server
	dir   string
	rules rules
	// onEvent, if set, is called after each event of a machine's package manager is on
	// record, before the machine goes on.
	onEvent atomic.Pointer[func()]
}

// rules are what a test has of its own in testdata/cycle.yaml.
type rules struct {
	Name        string
	CloseAfter  string
	Test, Early string // selectors
	TestCount   int
	EarlyCount  int
	Batch       int
	Silence     time.Duration
	// Places are further sites of the policy, each with a window of its own; that of
	// the test's name is always open.
	Places []place
}

// place is a site and the rule of its window, which has the same name.
type place struct{ Name, Rule string }

// silence is how long the policies of the tests let a machine be silent.
const silence = 12 * time.Second

// newSite makes a fleet, waits for its inventories and puts its policy in force.
// choose, if not nil, makes the policy fit what was drawn.
func (h *house) newSite(t *testing.T, name string, p truth.Profile, choose func([]truth.Machine, *rules)) *site {
	t.Helper()
	s := &site{house: h, name: name, dir: t.TempDir()}
	if p.Sites == nil {
		p.Sites = []truth.Site{{Name: patching.SiteName(name), Zone: "Europe/Amsterdam"}}
	}
	if p.Machines == 0 {
		p.Machines = 12
	}
	if p.Seed == 0 {
		p.Seed = 1
	}
	s.run(t, p)
	s.rules = rules{Name: name, CloseAfter: "2h", TestCount: 4, EarlyCount: 3, Batch: 20, Silence: silence}
	if choose != nil {
		choose(s.fleet.Truth(), &s.rules)
	}
	s.apply(t)
	s.awaitInventories(t, p.Machines)
	return s
}

// run runs the fleet until the test ends.
func (s *site) run(t *testing.T, p truth.Profile) {
	t.Helper()
	tokens := map[patching.SiteName]string{}
	for _, site := range p.Sites {
		made, err := s.admin.MakeEnrolToken(t.Context(), wire.NewEnrolToken{Site: site.Name, Uses: p.Machines, Hours: 1, AutoAccept: true})
		require.NoError(t, err)
		tokens[site.Name] = made.Token
	}
	link, err := uplink.NewClient(uplink.ClientOptions{URL: "http://" + s.Address("uplink"), FirstWait: 200 * time.Millisecond})
	require.NoError(t, err)
	s.line = &cutLine{Link: link}
	s.fleet, err = sim.Open(sim.Options{
		Dir: s.dir, Profile: p, Link: s.line, Tokens: tokens,
		Speed: 100, SyncAtOnce: -1, OnEvent: func(int64) {
			if then := s.onEvent.Load(); then != nil {
				(*then)()
			}
		},
		Log: zaptest.NewLogger(t, zaptest.Level(zap.DPanicLevel)),
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.fleet.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			require.NoError(t, err)
			require.NoError(t, s.fleet.Close())
		case <-time.After(20 * time.Second):
			t.Error("the fleet does not stop")
		}
		link.Close()
	})
}

// apply puts the site's policy in force, as its rules are now.
func (s *site) apply(t *testing.T) {
	t.Helper()
	applied, err := s.as(t, ana).ApplyPolicy(t.Context(), s.policy(), s.name+".yaml", s.text(t), true)
	var wrong *wire.Problem
	if errors.As(err, &wrong) {
		require.NoError(t, err, "%+v", wrong.Policy)
	}
	require.NoError(t, err)
	require.True(t, applied.Changed)
}

func (s *site) text(t *testing.T) []byte {
	t.Helper()
	page, err := template.ParseFiles(filepath.Join("testdata", "cycle.yaml"))
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, page.Execute(&b, s.rules))
	return b.Bytes()
}

func (s *site) policy() patching.PolicyName { return patching.PolicyName(s.name) }

func (s *site) awaitInventories(t *testing.T, want int) {
	t.Helper()
	sites := map[patching.SiteName]bool{}
	for _, m := range s.fleet.Truth() {
		sites[m.Site.Name] = true
	}
	until(t, 40*time.Second, fmt.Sprintf("%d inventories of %s", want, s.name), func() bool {
		n := 0
		for site := range sites {
			page, err := s.admin.Assets(t.Context(), client.AssetQuery{Site: site, Limit: 1000})
			require.NoError(t, err)
			for _, a := range page.Items {
				if !a.Inventoried.IsZero() {
					n++
				}
			}
		}
		return n == want
	})
}

// begin starts the site's monthly cycle as Ana.
func (s *site) begin(t *testing.T) patching.CycleID {
	t.Helper()
	started, err := s.as(t, ana).StartCycle(t.Context(), s.policy(), wire.StartCycle{}, client.NewKey())
	require.NoError(t, err)
	return started.Cycle
}

// await waits until a cycle is in the phase and returns how it stands. One that
// closes first fails the test with what it says.
func (h *house) await(t *testing.T, id patching.CycleID, phase patching.Phase) wire.CycleDetail {
	t.Helper()
	var c wire.CycleDetail
	// Half a minute on a machine that is idle; one whose disk stalls takes longer.
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for mark := ""; ; mark = c.Mark {
		next, err := h.admin.WatchCycle(ctx, id, mark, 10*time.Second)
		require.NoError(t, err, "%s is not in phase %s; last it said: %s", id, phase, c.Words)
		if c = next; c.Phase == phase && (phase != patching.PhaseClosed || c.Report != "") {
			return c
		}
		require.False(t, c.Phase.Terminal(), "%s closed before phase %s: %s", id, phase, c.Words)
	}
}

// approve lets Ben approve the plan that a cycle waits for.
func (h *house) approve(t *testing.T, id patching.CycleID) {
	t.Helper()
	c := h.await(t, id, patching.PhaseApproval)
	_, err := h.as(t, ben).Do(t.Context(), id, "approve", wire.Act{Plan: c.Plan, Reason: "looks good"}, client.NewKey())
	require.NoError(t, err)
}

// approveStandIns approves a plan in whose test ring others stand in, before any
// of them is touched, and waits until the cycle asks for the rest.
func (h *house) approveStandIns(t *testing.T, id patching.CycleID) wire.Plan {
	t.Helper()
	c := h.await(t, id, patching.PhaseApproval)
	plan, err := h.admin.Plan(t.Context(), id, 0)
	require.NoError(t, err)
	require.NotEmpty(t, plan.Rings[0].StandIns)
	require.Contains(t, c.Words, plan.Rings[0].StandIns)
	for host, d := range h.machines(t, id) {
		require.Zero(t, d.Released, "%s was touched, and nobody had agreed to that", host)
	}
	h.approve(t, id)
	until(t, 2*time.Minute, "the test of "+string(id), func() bool {
		now, err := h.admin.Cycle(t.Context(), id)
		require.NoError(t, err)
		require.False(t, now.Phase.Terminal(), now.Words)
		return now.Phase == patching.PhaseApproval && now.Plan != plan.Hash
	})
	return plan
}

// finish approves a cycle and waits for its end.
func (h *house) finish(t *testing.T, id patching.CycleID) wire.CycleDetail {
	t.Helper()
	h.approve(t, id)
	return h.await(t, id, patching.PhaseClosed)
}

// machines returns a cycle's machines by hostname.
func (h *house) machines(t *testing.T, id patching.CycleID) map[string]wire.Deployment {
	t.Helper()
	page, err := h.admin.Deployments(t.Context(), id, client.DeploymentQuery{Limit: 1000})
	require.NoError(t, err)
	out := map[string]wire.Deployment{}
	for _, d := range page.Items {
		require.NotContains(t, out, d.Hostname)
		out[d.Hostname] = d
	}
	return out
}

// report returns the report of a closed cycle.
func (h *house) report(t *testing.T, id patching.CycleID) string {
	t.Helper()
	text, err := h.admin.Report(t.Context(), id)
	require.NoError(t, err)
	return string(text)
}

// requireConserved checks that every machine that went in came out, once.
func (h *house) requireConserved(t *testing.T, id patching.CycleID, machines int) {
	t.Helper()
	c, err := h.admin.Cycle(t.Context(), id)
	require.NoError(t, err)
	sum := 0
	for _, n := range c.Outcomes {
		sum += n
	}
	require.Equal(t, machines, c.Machines, "machines of %s", id)
	require.Equal(t, machines, sum, "outcomes of %s: %v", id, c.Outcomes)
	require.Zero(t, c.InProgress)
	for host, d := range h.machines(t, id) {
		require.NotEmpty(t, d.Outcome, host)
		require.NotEmpty(t, d.Reason, host)
		require.NotEmpty(t, d.Why, host)
	}
}

// requireNoRepeat checks the machines' own logs.
func (s *site) requireNoRepeat(t *testing.T) {
	t.Helper()
	_, repeats, err := sim.Repeats(s.dir)
	require.NoError(t, err)
	require.Empty(t, repeats)
}

// installed counts what the machines' own logs say was installed.
func (s *site) installed(t *testing.T) int {
	t.Helper()
	n, err := sim.Events(s.dir)
	require.NoError(t, err)
	return n[sim.Configured]
}

// check is what the doctor says of one part, and whether all is well.
func (h *house) check(t *testing.T, name string) (one wire.Check, whole bool) {
	t.Helper()
	found, err := h.admin.Doctor(t.Context())
	require.NoError(t, err)
	for _, c := range found.Checks {
		if c.Name == name {
			return c, found.OK
		}
	}
	require.Fail(t, "the doctor does not look at it", name)
	return wire.Check{}, false
}

// until waits for something that takes a while.
func until(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	end := time.Now().Add(d)
	for !is() {
		require.True(t, time.Now().Before(end), "%s took longer than %s", what, d)
		time.Sleep(100 * time.Millisecond)
	}
}

// hosts writes a selector of machines by name, as YAML.
func hosts(some []truth.Machine) string {
	var names []string
	for _, m := range some {
		names = append(names, fmt.Sprintf("%q", m.Facts.Hostname))
	}
	return "'hostname in [" + strings.Join(names, ", ") + "]'"
}
