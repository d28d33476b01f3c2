package api_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/console/api"
	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	planning "github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

var update = flag.Bool("update", false, "write golden files anew")

// noon is when the tests play.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// house is an API over a real store and an engine that is not there.
type house struct {
	t      *testing.T
	store  *store.Store
	engine *engine
	url    string
	rescan []patching.AssetID
	moved  []patching.DeviceID
	teller teller
	feeds  *feeds
	coming planning.Remediation
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	h := &house{t: t, store: s, engine: &engine{answer: contract.Answer{Accepted: true, Words: "Done."}}}
	h.engine.store = s
	h.feeds = &feeds{states: []patching.FeedState{{FeedSource: patching.FeedSource{Name: "kev", URL: "https://feeds.example/kev.json", Owner: "ana", StaleAfter: time.Hour}}}}
	srv := httptest.NewServer(api.New(api.Options{
		Urgent: h,
		Store:  s, Starter: h.engine, Rescan: h, ReadAdvisories: advisories.ReadHand, Version: "v0.0.0-test", Now: func() time.Time { return noon },
		Notify:        &h.teller,
		Feeds:         h.feeds,
		Backups:       vault{},
		DeviceChanged: func(d patching.DeviceID) { h.moved = append(h.moved, d) },
		Login:         func(_ context.Context, token string) (string, error) { return "https://ui/login?for=" + token, nil },
		Logger:        zaptest.NewLogger(t),
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

// Findings and Coming are those of a server without feeds.
func (h *house) Findings(context.Context, patching.Asset) (assess.Sheet, []planning.FeedLine, error) {
	return assess.Sheet{Blind: true}, nil, nil
}

func (h *house) Coming(_ context.Context, p patching.PolicyName) (planning.Remediation, time.Time, patching.CycleID, error) {
	if p != "web" {
		return planning.Remediation{}, time.Time{}, "", store.ErrNotFound
	}
	return h.coming, noon.AddDate(0, 0, 9), cycleID, nil
}

// Doubt is of a server that knows DSA-1 and its flaw.
func (h *house) Doubt(_ context.Context, about patching.Subject) string {
	return assess.Knowledge{Advisories: assess.NewIndex([]patching.Advisory{{ID: "DSA-1", CVEs: []patching.CVE{"CVE-2026-1000"}}})}.Doubt(about)
}

func (h *house) Rescan(_ context.Context, a patching.AssetID) error {
	h.rescan = append(h.rescan, a)
	return nil
}

// as returns a client of a new account, made behind the API's back.
func (h *house) as(name string, scope string, roles ...patching.Role) *client.Client {
	h.t.Helper()
	return h.with(h.token(name, scope, roles...))
}

func (h *house) token(name string, scope string, roles ...patching.Role) string {
	h.t.Helper()
	token := "token of " + name
	require.NoError(h.t, h.store.PutAccount(h.t.Context(), patching.Account{
		Name: patching.AccountName(name), Roles: roles, Scopes: []string{scope}, Created: noon.Add(-time.Hour), Token: patching.DigestOf([]byte(token)),
	}))
	return token
}

func (h *house) with(token string) *client.Client {
	h.t.Helper()
	c, err := client.New(client.Options{Server: h.url, Token: token, Retry: -1})
	require.NoError(h.t, err)
	return c
}

const cycleID patching.CycleID = "cycle/demo/2026-11.1"

// policy applies the demo's policy behind the API's back.
func (h *house) policy() []byte {
	h.t.Helper()
	text, err := policy.Example("demo")
	require.NoError(h.t, err)
	require.NoError(h.t, h.store.ApplyPolicy(h.t.Context(), store.PolicyVersion{Name: "demo", Source: text, Applied: noon, By: "ana"}))
	return text
}

// fleet enrols three machines: two in Amsterdam, one in Tokyo, which miss one
// security update each.
func (h *house) fleet() {
	h.t.Helper()
	ctx := h.t.Context()
	installed := patching.PackageSet{Manager: "apt", Packages: []patching.Package{{Name: "openssl", Arch: "amd64", Version: "3.0.15-1"}, {Name: "zlib1g", Arch: "amd64", Version: "1.2"}}}
	offered := patching.CandidateSet{Manager: "apt", Candidates: []patching.Candidate{{Name: "openssl", Arch: "amd64", From: "3.0.15-1", To: "3.0.16-1", Origin: "Debian-Security", Security: true}}}
	_, err := h.store.PutContents(ctx, "package set", [][]byte{installed.Canonical()})
	require.NoError(h.t, err)
	_, err = h.store.PutContents(ctx, "candidate set", [][]byte{offered.Canonical()})
	require.NoError(h.t, err)
	require.NoError(h.t, h.store.PutEnrolToken(ctx, store.EnrolToken{Hash: "sha256:t-ams", Site: "amsterdam", Uses: 9, Expires: noon.Add(time.Hour), AutoAccept: true}))
	require.NoError(h.t, h.store.PutEnrolToken(ctx, store.EnrolToken{Hash: "sha256:t-tok", Site: "tokyo", Uses: 9, Expires: noon.Add(time.Hour)}))
	for i, token := range []patching.Digest{"sha256:t-ams", "sha256:t-ams", "sha256:t-tok"} {
		id := fmt.Sprintf("a-%d", i+1)
		_, err := h.store.Enrol(ctx, token, noon,
			patching.Device{ID: patching.DeviceID("d-" + id), Asset: patching.AssetID(id), Key: []byte("key of " + id)},
			patching.Asset{
				ID: patching.AssetID(id), Hostname: "host-" + id, OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux 12", Revision: "12.8"},
				Manager: "apt", Packages: installed.Digest(), Candidates: offered.Digest(), Owner: "it",
			})
		require.NoError(h.t, err)
	}
}

// cycle puts a cycle on record that waits for approval of its plan.
func (h *house) cycle() patching.Plan {
	h.t.Helper()
	ctx := h.t.Context()
	text := h.policy()
	h.fleet()
	_, err := h.store.OpenCycle(ctx, patching.Cycle{
		ID: cycleID, Kind: patching.Monthly, Policy: "demo", PolicyVersion: patching.DigestOf(text), Author: "ana", Opened: noon.Add(-time.Hour),
		Phase: patching.PhaseApproval, Words: "Waiting for approval.", Epoch: 1, Mode: "dispatcher",
	})
	require.NoError(h.t, err)
	bundle := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: []patching.Patch{{
		Action: patching.Upgrade, Name: "openssl", Arch: "amd64", From: "3.0.15-1", To: "3.0.16-1", Security: true, Reversible: patching.ByDowngrade,
	}}}}}
	kernel := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Restart: true, Patches: []patching.Patch{{
		Action: patching.Install, Name: "linux-image-6.1.0-41-amd64", Arch: "amd64", To: "6.1.158-1", NeedsReboot: true, Reversible: patching.UnlessRunning,
	}}}}}
	back, _ := kernel.Revert()
	_, err = h.store.PutContents(ctx, "bundle", [][]byte{bundle.Canonical(), kernel.Canonical(), back.Canonical()})
	require.NoError(h.t, err)
	items := []patching.PlanItem{
		{Asset: "a-1", Device: "d-a-1", Site: "amsterdam", Ring: "test", Wave: patching.NewWaveID(cycleID, "test", "amsterdam", "open", "20261120T1200Z"), Start: noon, End: noon.Add(time.Hour), Bundle: bundle.Digest()},
		{Asset: "a-2", Device: "d-a-2", Site: "amsterdam", Ring: "broad", Wave: patching.NewWaveID(cycleID, "broad", "amsterdam", "open", "20261120T1200Z"), Start: noon, End: noon.Add(time.Hour), Bundle: kernel.Digest(), Rollback: back.Digest()},
		{Asset: "a-3", Device: "d-a-3", Site: "tokyo", Exclude: patching.ReasonNotEnrolled, Would: bundle.Digest()},
	}
	plan := patching.Plan{
		Cycle: cycleID, Revision: 2, Kind: patching.Monthly, Policy: "demo", PolicyVersion: patching.DigestOf(text), Author: "ana", Made: noon, CloseBy: noon.Add(time.Hour),
		Rings:    []patching.PlanRing{{Name: "test", Assets: 1, Root: "sha256:1", StandIns: "its 1 machine is already up to date; 1 machine of ring broad stands in"}, {Name: "broad", Assets: 1, Root: "sha256:2"}},
		Excluded: map[patching.Reason]int{patching.ReasonNotEnrolled: 1},
	}
	require.NoError(h.t, h.store.PutPlan(ctx, plan, items))
	was := []patching.PlanItem{items[0], items[1], {Asset: "a-3", Ring: "broad", Bundle: bundle.Digest()}}
	rules, err := policy.Parse("demo.yaml", text)
	require.NoError(h.t, err)
	look := planning.Look(rules, plan, was, items, map[patching.Digest]patching.Bundle{bundle.Digest(): bundle, kernel.Digest(): kernel}, "test")
	look.Rehearsal.Kinds = []planning.Rehearsed{
		{Bundle: bundle.Digest(), Asset: "a-1", Hostname: "a-1.example", Machines: 1, Answered: true, Words: "It would also change: install libevil 1."},
		{Bundle: kernel.Digest(), Asset: "a-2", Hostname: "a-2.example", Machines: 1},
	}
	require.NoError(h.t, h.store.PutOutlook(ctx, cycleID, look))
	h.state(contract.CycleState{
		ID: cycleID, Policy: "demo", Author: "ana", Phase: patching.PhaseApproval, CloseBy: noon.Add(time.Hour),
		Plan:  contract.PlanSummary{Hash: plan.Hash(), Revision: 2, Rings: []contract.RingSummary{{Name: "test", Assets: 1}, {Name: "broad", Assets: 1}}},
		Rings: []contract.RingState{{Name: "test", Ended: true, Decision: patching.Decision{Verb: patching.Proceed, Why: "1 of 1 answered, 0 bad"}}},
		Rules: contract.CycleRules{Approval: policy.Approval{Quorum: 1}},
	})
	return plan
}

// state saves a cycle's state as its workflow does.
func (h *house) state(s contract.CycleState) {
	h.t.Helper()
	c, err := h.store.Cycle(h.t.Context(), s.ID)
	require.NoError(h.t, err)
	c.State, err = json.Marshal(s)
	require.NoError(h.t, err)
	c.Phase, c.Plan = s.Phase, s.Plan.Hash
	require.NoError(h.t, h.store.SaveCycle(h.t.Context(), c))
}

// task opens one for the machine in Amsterdam.
func (h *house) task() {
	h.t.Helper()
	require.NoError(h.t, h.store.PutTasks(h.t.Context(), []patching.Task{{
		ID: "t-1", Cycle: cycleID, Asset: "a-1", Cause: patching.ReasonInstallFailed, Steps: "Look at it.", Owner: "it",
		Due: noon.Add(24 * time.Hour), Opened: noon, State: patching.TaskOpen,
	}}))
}

// workAround proposes one.
func (h *house) workAround() {
	h.t.Helper()
	require.NoError(h.t, h.store.PutWorkAround(h.t.Context(), patching.WorkAround{
		ID: "workaround-1", Subject: patching.Subject{Advisory: "DSA-1"}, What: "switch it off", Owner: "it",
		Steps: []patching.WorkAroundStep{{WorkAround: "workaround-1", State: patching.WorkAroundProposed, At: noon.Add(-time.Hour), By: "olga", Role: patching.RoleOperator, Note: "no fix yet"}},
	}))
}

// engine is a starter without an engine.
type engine struct {
	store *store.Store

	mu        sync.Mutex
	answer    contract.Answer
	err       error
	acts      []contract.Act
	onRecord  []store.Request
	started   []starter.Request
	schedules map[patching.PolicyName]starter.Schedule
}

func (e *engine) Start(_ context.Context, r starter.Request) (patching.CycleID, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := patching.NewCycleID(r.Policy, noon.Year(), int(noon.Month()), len(e.started)+1)
	if r.Kind == patching.Emergency {
		id = patching.NewEmergencyID(r.Policy, r.Slug)
	}
	if e.err != nil {
		return id, e.err
	}
	e.started = append(e.started, r)
	return id, nil
}

// Do notes what is on record of the act at the time at which it comes.
func (e *engine) Do(ctx context.Context, id patching.CycleID, _ contract.Verb, act contract.Act) (contract.Answer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r, err := e.store.Request(ctx, act.Request)
	if err != nil {
		return contract.Answer{}, fmt.Errorf("the act on %s came before it was on record: %w", id, err)
	}
	e.acts, e.onRecord = append(e.acts, act), append(e.onRecord, r)
	return e.answer, e.err
}

func (e *engine) SetSchedule(_ context.Context, m window.Monthly, in contract.TriggerInput) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.err != nil {
		return e.err
	}
	next, err := m.Next(noon)
	if e.schedules == nil {
		e.schedules = map[patching.PolicyName]starter.Schedule{}
	}
	e.schedules[in.Policy] = starter.Schedule{Policy: in.Policy, Next: []time.Time{next}, Paused: e.schedules[in.Policy].Paused}
	return err
}

func (e *engine) Schedules(context.Context) ([]starter.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []starter.Schedule
	for _, s := range e.schedules {
		all = append(all, s)
	}
	return all, e.err
}

func (e *engine) Schedule(_ context.Context, p patching.PolicyName) (starter.Schedule, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.schedules[p]
	if !ok && e.err == nil {
		return s, &starter.NotNow{Words: fmt.Sprintf("policy %s has no schedule", p)}
	}
	return s, e.err
}

func (e *engine) PauseSchedule(_ context.Context, p patching.PolicyName, pause bool, note string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, ok := e.schedules[p]
	if !ok {
		return &starter.NotNow{Words: fmt.Sprintf("policy %s has no schedule", p)}
	}
	s.Paused, s.Note = pause, note
	e.schedules[p] = s
	return e.err
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "write it with: go test ./console/api -update")
	require.Equal(t, string(want), string(got), "if that is meant: go test ./console/api -update")
}
