package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/console/api"
	"github.com/patchcycle/patchcycle/integrations/advisories"
	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/internal/build"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	planning "github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/patching/urgency"
	"github.com/patchcycle/patchcycle/patching/window"
	"github.com/patchcycle/patchcycle/starter"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/worker/feeds"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

var update = flag.Bool("update", false, "write golden files anew")

// noon is when the tests play, and where people read it.
var (
	noon   = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	people = time.FixedZone("CET", 3600)
)

// house is the command line before a real API over a real store.
type house struct {
	t      *testing.T
	store  *store.Store
	engine *engine
	url    string
	env    map[string]string
	o      Options
	// feeds is the folder of the feeds, with feeds.yaml in it.
	feeds string
	// root is the trust root that the API shows; none is put in force.
	root trust.Root
	// later is how much later than noon it is.
	later atomic.Int64
}

// Root, Envelope, Adopt and NextKey are a server's trust root.
func (h *house) Root() trust.Root { return h.root }

func (h *house) Envelope() ([]byte, string) { return h.root.Draft(), "" }

func (h *house) Adopt(envelope []byte) error {
	next, err := trust.ReadRoot(envelope)
	h.root = next
	return err
}

func (h *house) NextKey(string) (trust.PublicKey, error) {
	return trust.KeyFromSeed([32]byte{9}).Public(), nil
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	h := &house{t: t, store: s, engine: &engine{answer: contract.Answer{Accepted: true, Words: "Done."}}}
	clock := func() time.Time { return noon.Add(time.Duration(h.later.Load())) }
	tables, err := urgency.Shipped()
	require.NoError(t, err)
	h.feeds = t.TempDir()
	keeper, err := feeds.Open(t.Context(), feeds.Options{
		Dir: filepath.Join(h.feeds, "kept"), File: filepath.Join(h.feeds, "feeds.yaml"), Record: s, Now: clock, Least: -1,
		Fetch: fetch.Options{Pause: time.Nanosecond, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
	})
	require.NoError(t, err)
	t.Cleanup(keeper.Close)
	h.root = trust.NewRoot("acme", trust.Keys{Root: trust.KeyFromSeed([32]byte{1}), Dispatcher: trust.KeyFromSeed([32]byte{2}), Lease: trust.KeyFromSeed([32]byte{3})})
	srv := httptest.NewServer(api.New(api.Options{
		Trust: h,
		Store: s, Starter: h.engine, Feeds: keeper, ReadAdvisories: advisories.ReadHand, Notify: teller{}, Backups: vault{}, Version: "v0.0.0-test", Now: clock,
		Urgent: &activities.Urgent{Store: s, Remedying: &activities.Remedying{Store: s, Now: clock, Feeds: told{}, Tables: tables}},
		Login:  func(context.Context, string) (string, error) { return "http://127.0.0.1:7441/login?once=1", nil },
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	h.env = map[string]string{"HOME": t.TempDir(), "PATCHCYCLE_SERVER": srv.URL, "PATCHCYCLE_DATA_DIR": filepath.Join(t.TempDir(), "none")}
	h.o = Options{Build: build.Info{Version: "v0.0.0-test", Go: "go1.0", Temporal: "9.9.9"}, Now: clock, Zone: people, Env: func(k string) string { return h.env[k] }, Terminal: func(io.Writer) int { return 0 }}
	h.as("root", patching.RoleAdmin, patching.RoleOperator, patching.RoleAuthor, patching.RoleApprover, patching.RoleAuditor)
	return h
}

// told says that all versions of bash up to 5.3 are affected.
type told struct{}

func (told) Sync(context.Context, ...patching.FeedName) ([]patching.FeedSync, error) {
	return nil, nil
}

func (told) Knowledge(context.Context) (assess.Knowledge, []patching.FeedState, error) {
	return assess.Knowledge{Advisories: assess.NewIndex([]patching.Advisory{{
		ID: "HOUSE-1", Kind: "security", CVEs: []patching.CVE{"CVE-2099-0001"}, Published: noon.AddDate(0, 0, -1),
		Affected: []patching.Affected{{
			Platform: patching.Platform{ID: "debian", Release: "12"}, Package: "bash", Ranges: []patching.VersionRange{{Fixed: "5.3"}},
		}},
	}})}, []patching.FeedState{{FeedSource: patching.FeedSource{Name: "ours"}}}, nil
}

// as makes an account and lets the commands that follow be its.
func (h *house) as(name string, roles ...patching.Role) {
	h.t.Helper()
	token := "token of " + name
	require.NoError(h.t, h.store.PutAccount(h.t.Context(), patching.Account{
		Name: patching.AccountName(name), Roles: roles, Scopes: []string{"*"}, Created: noon, Token: patching.DigestOf([]byte(token)),
	}))
	h.env["PATCHCYCLE_TOKEN"] = token
}

// result is what a command left behind.
type result struct {
	code      int
	out, errs string
}

func (h *house) run(args ...string) result { return h.feed("", args...) }

func (h *house) feed(in string, args ...string) result {
	h.t.Helper()
	var out, errs bytes.Buffer
	ctx, cancel := context.WithTimeout(h.t.Context(), time.Minute)
	defer cancel()
	code := Run(ctx, h.o, args, strings.NewReader(in), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// ok runs a command that has to succeed and returns its stdout.
func (h *house) ok(args ...string) string {
	h.t.Helper()
	r := h.run(args...)
	require.Zero(h.t, r.code, "%v: %s", args, r.errs)
	return r.out
}

// decode runs a command with --json and reads the one document that it prints.
func decode[T any](h *house, args ...string) T {
	h.t.Helper()
	var v T
	d := json.NewDecoder(strings.NewReader(h.ok(append(args, "--json")...)))
	d.DisallowUnknownFields()
	require.NoError(h.t, d.Decode(&v), "%v", args)
	_, err := d.Token()
	require.ErrorIs(h.t, err, io.EOF, "%v prints more than one document", args)
	return v
}

const cycleID patching.CycleID = "cycle/demo/2026-11.1"

func (h *house) policy() string {
	h.t.Helper()
	text, err := policy.Example("demo")
	require.NoError(h.t, err)
	file := filepath.Join(h.t.TempDir(), "demo.yaml")
	require.NoError(h.t, os.WriteFile(file, text, 0o600))
	return file
}

// cycle puts one on record that waits for approval, with two machines.
func (h *house) cycle() patching.Plan {
	h.t.Helper()
	ctx := h.t.Context()
	h.ok("policy", "apply", h.policy(), "--ahead")
	require.NoError(h.t, h.store.PutEnrolToken(ctx, store.EnrolToken{Hash: "sha256:t", Site: "amsterdam", Uses: 2, Expires: noon.Add(time.Hour), AutoAccept: true}))
	for _, id := range []string{"web-1", "web-2"} {
		_, err := h.store.Enrol(ctx, "sha256:t", noon, patching.Device{ID: patching.DeviceID("d-" + id), Asset: patching.AssetID(id), Key: []byte(id)},
			patching.Asset{ID: patching.AssetID(id), Hostname: id + ".example", OS: patching.OS{Name: "Debian GNU/Linux 12"}})
		require.NoError(h.t, err)
	}
	plan := patching.Plan{
		Cycle: cycleID, Revision: 1, Kind: patching.Monthly, Policy: "demo", Author: "ana", Made: noon, CloseBy: noon.Add(time.Hour),
		Rings: []patching.PlanRing{{Name: "test", Assets: 1, Root: "sha256:1", StandIns: "its 1 machine is already up to date; 1 machine of ring early stands in"}}, Excluded: map[patching.Reason]int{patching.ReasonNoWindow: 1},
	}
	_, err := h.store.OpenCycle(ctx, patching.Cycle{ID: cycleID, Kind: patching.Monthly, Policy: "demo", PolicyVersion: "sha256:123456789abcdef", Author: "ana", Opened: noon, Phase: patching.PhaseApproval, Mode: "dispatcher"})
	require.NoError(h.t, err)
	kernel := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Restart: true, Patches: []patching.Patch{{
		Action: patching.Install, Name: "linux-image-6.1.0-41-amd64", Arch: "amd64", To: "6.1.158-1", NeedsReboot: true, Reversible: patching.UnlessRunning,
	}}}}}
	back, _ := kernel.Revert()
	_, err = h.store.PutContents(ctx, "bundle", [][]byte{kernel.Canonical(), back.Canonical()})
	require.NoError(h.t, err)
	require.NoError(h.t, h.store.PutPlan(ctx, plan, []patching.PlanItem{
		{Asset: "web-1", Device: "d-web-1", Site: "amsterdam", Ring: "test", Wave: patching.NewWaveID(cycleID, "test", "amsterdam", "open", "20261120T1200Z"), Start: noon, End: noon.Add(time.Hour), Bundle: kernel.Digest(), Rollback: back.Digest()},
		{Asset: "web-2", Device: "d-web-2", Site: "amsterdam", Exclude: patching.ReasonNoWindow, Why: "weekend before 2026-11-21"},
	}))
	var undone planning.WayBack
	exploited := true
	undone.Add(kernel, true, 1)
	require.NoError(h.t, h.store.PutOutlook(ctx, cycleID, planning.Outlook{
		Plan: plan.Hash(), Back: undone, Mirror: planning.Mirrored{Ring: "test", Machines: 1, Of: 1, Kinds: 1, KindsOf: 1, Like: 1, Patches: 2, PatchesOf: 2},
		Rehearsal: planning.Rehearsal{Kinds: []planning.Rehearsed{{Asset: "web-1", Hostname: "web-1.example", Machines: 1, Answered: true}}},
		Change:    &planning.Difference{Stay: 1, Patches: 1, Withdrawn: []string{"nginx"}},
		Remediation: planning.Remediation{
			AsOf: noon, Machines: 2, CVEs: 1, Exploited: 1, Staying: 1, Late: 1, More: 4,
			Feeds: []planning.FeedLine{{Name: "kev", Age: 72 * time.Hour, Records: 9, Stale: true}},
			Remedies: []planning.Remedy{{
				Advisory: "DSA-9999-1", CVEs: []patching.CVE{"CVE-2026-0001"}, KEV: &exploited, Clears: 1, Late: 1,
				Deadline: &urgency.Deadline{Regime: "pci-dss", Lane: urgency.OutOfCycle, Due: noon.AddDate(0, 0, 3)},
				By:       []planning.OnMachines{{Package: "linux-image-6.1.0-41-amd64", Version: "6.1.158-1", Machines: 1}},
				Stays:    map[planning.Staying]int{planning.LeftOut: 1},
				Decided: []planning.DecidedOn{{Machines: 1, Ruling: urgency.Ruling{
					ID: "review-1", Answer: patching.AnswerMonthly, By: "sam", Role: patching.RoleSecurityLead, Until: noon.AddDate(0, 0, 9), Reason: "not reachable",
				}}},
			}},
			Review: []patching.AgendaItem{{
				ID: "exception-1", Kind: "exception", Subject: patching.Subject{Package: "nginx"}, Owner: "web-team", Why: patching.AgendaReview, At: noon,
			}},
		},
	}))
	h.phase(patching.PhaseApproval, "Waiting for approval by someone other than ana.")
	return plan
}

func (h *house) phase(p patching.Phase, words string) {
	h.t.Helper()
	c, err := h.store.Cycle(h.t.Context(), cycleID)
	require.NoError(h.t, err)
	c.Phase, c.Words = p, words
	if p.Terminal() {
		c.Closed, c.ClosedAs = noon, patching.ClosedWithExceptions
	}
	require.NoError(h.t, h.store.SaveCycle(h.t.Context(), c))
}

// engine is a starter without an engine.
type engine struct {
	answer   contract.Answer
	err      error
	acts     []contract.Act
	verbs    []contract.Verb
	schedule *starter.Schedule
}

func (e *engine) Start(_ context.Context, r starter.Request) (patching.CycleID, error) {
	if r.Kind == patching.Emergency {
		return patching.NewEmergencyID(r.Policy, r.Slug), e.err
	}
	return patching.NewCycleID(r.Policy, 2026, 11, 1), e.err
}

func (e *engine) Do(_ context.Context, _ patching.CycleID, v contract.Verb, a contract.Act) (contract.Answer, error) {
	e.verbs, e.acts = append(e.verbs, v), append(e.acts, a)
	return e.answer, e.err
}

func (e *engine) SetSchedule(_ context.Context, m window.Monthly, in contract.TriggerInput) error {
	next, err := m.Next(noon)
	e.schedule = &starter.Schedule{Policy: in.Policy, Next: []time.Time{next}}
	return err
}

func (e *engine) Schedules(context.Context) ([]starter.Schedule, error) {
	if e.schedule == nil {
		return nil, e.err
	}
	return []starter.Schedule{*e.schedule}, e.err
}

func (e *engine) Schedule(_ context.Context, p patching.PolicyName) (starter.Schedule, error) {
	if e.schedule == nil {
		return starter.Schedule{}, &starter.NotNow{Words: fmt.Sprintf("policy %s has no schedule", p)}
	}
	return *e.schedule, e.err
}

func (e *engine) PauseSchedule(_ context.Context, p patching.PolicyName, pause bool, note string) error {
	if e.schedule == nil {
		return &starter.NotNow{Words: fmt.Sprintf("policy %s has no schedule", p)}
	}
	e.schedule.Paused, e.schedule.Note = pause, note
	return e.err
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "write it with: go test ./cmd/patchcycle/cli -update")
	require.Equal(t, string(want), got, "if that is meant: go test ./cmd/patchcycle/cli -update")
}
