package activities_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/activities"
	"github.com/patchcycle/patchcycle/lab/fixtures/debian"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// noon is when the house's clock begins, on a Tuesday.
var noon = time.Date(2026, 11, 10, 12, 0, 0, 0, time.UTC)

// servers is the policy of the house: three rings, windows that are always open.
const servers = `
policy: servers
title: Servers of the tests
owner: it-operations
approver: change advisory board
valid_from: 2026-01-01
review_by: 2099-12-31
calendar: {nth: 2, weekday: tue, plus: 0, at: "12:00", zone: UTC}
close_after: 21d
sites:
  - {name: berlin, zone: Europe/Berlin, windows: [open]}
  - {name: tokyo, zone: Asia/Tokyo, windows: [open]}
windows:
  - {name: open, rule: always}
rings:
  - {name: test, count: 2, soak: 1h, batch: 5, gate: {answered: 90, same: 2}}
  - {name: early, count: 4, soak: 1h, batch: 5, gate: {answered: 90, same: 2}}
  - {name: broad, soak: 1h, batch: 2, gate: {answered: 90, same: 2}}
approval: {quorum: 2, remind: 24h, escalate: 48h, expire: 96h, trust_signals: true}
on_halt: ring
silence: 30m
fresh: 2d
emergency: {soak: 10m, close_after: 2d, quorum: 1, expire: 6h, any_window: true}
`

// house is all that activities stand on: the real store in a file, a desk in
// the dispatcher's place, and a clock that the test moves.
type house struct {
	*store.Store
	t    *testing.T
	ctx  context.Context
	now  time.Time
	desk *desk
	said map[patching.DeviceID]uint64
	// kernel is what machines say that they run.
	kernel string
	// allowed is what machines let themselves be told.
	allowed []string

	cycles    *activities.Cycles
	assessing *activities.Assessing
	planning  *activities.Planning
	remedying *activities.Remedying
	waves     *activities.Waves
	campaigns *activities.Campaigns
	tasks     *activities.Tasks
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	h := &house{
		Store: s, t: t, ctx: t.Context(), now: noon, said: map[patching.DeviceID]uint64{},
		allowed: []string{"collect", "simulate", "apply", "revert", "clean"},
	}
	clock := func() time.Time { return h.now }
	h.desk = &desk{house: h}
	h.cycles = &activities.Cycles{Store: s, Now: clock, Log: slog.New(slog.DiscardHandler)}
	h.assessing = &activities.Assessing{Store: s, Now: clock}
	h.remedying = &activities.Remedying{Store: s, Now: clock}
	h.planning = &activities.Planning{Store: s, Now: clock, Remedying: h.remedying, WayBack: func(c patching.Candidate) patching.Reversibility {
		if c.NeedsReboot {
			return patching.Irreversible
		}
		return patching.ByDowngrade
	}}
	h.waves = &activities.Waves{Store: s, Dispatcher: h.desk, Now: clock, Look: time.Millisecond}
	h.campaigns = &activities.Campaigns{Store: s, Dispatcher: h.desk, Now: clock, Look: time.Millisecond}
	h.tasks = &activities.Tasks{Store: s, Now: clock}
	h.applyPolicy(servers)
	return h
}

func (h *house) applyPolicy(text string) patching.Digest {
	h.t.Helper()
	p, err := policy.Parse("servers.yaml", []byte(text))
	require.NoError(h.t, err)
	require.NoError(h.t, h.ApplyPolicy(h.ctx, store.PolicyVersion{Name: p.Name, Source: []byte(text), Applied: h.now, By: "ana"}))
	return patching.DigestOf([]byte(text))
}

// person adds an account of that role.
func (h *house) person(name patching.AccountName, role patching.Role, scopes ...string) {
	h.t.Helper()
	require.NoError(h.t, h.PutAccount(h.ctx, patching.Account{
		Name: name, Roles: []patching.Role{role}, Scopes: scopes,
		Token: patching.DigestOf([]byte(name)), Created: h.now,
	}))
}

// sets are what a Debian machine of that role has and is offered: the archive's
// own packages, versions and origins.
func sets(t *testing.T, role string) (patching.PackageSet, patching.CandidateSet) {
	t.Helper()
	setsMu.Lock()
	defer setsMu.Unlock()
	if s, ok := setsOf[role]; ok {
		return s.has, s.offered
	}
	archive, err := debian.Load()
	require.NoError(t, err)
	installed, err := archive.Main.Closure(append(archive.Roles[role], archive.Roles["base"]...)...)
	require.NoError(t, err)
	has, offered := patching.PackageSet{Manager: "apt"}, patching.CandidateSet{Manager: "apt"}
	for _, p := range installed {
		has.Packages = append(has.Packages, patching.Package{Name: p.Name, Arch: p.Arch, Version: p.Version, Source: p.Source})
		for _, suite := range archive.Updates {
			up, there := suite.Package(p.Name)
			newer, err := debian.Newer(cmp.Or(up.Version, "0"), p.Version)
			require.NoError(t, err)
			if there && newer {
				offered.Candidates = append(offered.Candidates, patching.Candidate{
					Name: p.Name, Arch: p.Arch, From: p.Version, To: up.Version, Origin: suite.Label, Codename: suite.Codename,
					Security: suite.Security, Size: up.Size, SHA256: up.SHA256, NeedsReboot: strings.HasPrefix(p.Name, "linux-image-"),
				})
				break
			}
		}
	}
	has.Sort()
	offered.Sort()
	require.NotEmpty(t, offered.Candidates)
	setsOf[role] = setPair{has, offered}
	return has, offered
}

type setPair struct {
	has     patching.PackageSet
	offered patching.CandidateSet
}

var (
	setsMu sync.Mutex
	setsOf = map[string]setPair{}
)

func asset(n int) patching.AssetID   { return patching.AssetID(fmt.Sprintf("a%03d", n)) }
func device(n int) patching.DeviceID { return patching.DeviceID(fmt.Sprintf("d%03d", n)) }

// enrol brings machines 1 to n into the house: every third a database, the
// others web servers; odd ones in Berlin, even ones in Tokyo.
func (h *house) enrol(n int) { h.arrive(1, n) }

// arrive brings machines of those numbers into the house, as [house.enrol] does.
func (h *house) arrive(from, to int) {
	h.t.Helper()
	tokens := [2]patching.Digest{}
	for n, site := range []patching.SiteName{"tokyo", "berlin"} {
		tokens[n] = patching.DigestOf(fmt.Appendf(nil, "%s %d", site, from))
		require.NoError(h.t, h.PutEnrolToken(h.ctx, store.EnrolToken{Hash: tokens[n], Site: site, Uses: to, Expires: h.now.Add(time.Hour), AutoAccept: true}))
	}
	for i := from; i <= to; i++ {
		_, err := h.Enrol(h.ctx, tokens[i%2], h.now, patching.Device{ID: device(i), Key: fmt.Appendf(nil, "%032d", i)},
			patching.Asset{ID: asset(i), Hostname: fmt.Sprintf("host%03d", i), Owner: "team " + fmt.Sprint(i%2)})
		require.NoError(h.t, err)
		role := "web"
		if i%3 == 0 {
			role = "db"
		}
		has, offered := sets(h.t, role)
		h.inventory(i, has, offered)
	}
}

// inventory lets machine n say what it has and is offered.
func (h *house) inventory(n int, has patching.PackageSet, offered patching.CandidateSet) {
	h.t.Helper()
	_, err := h.PutContents(h.ctx, "package set", [][]byte{has.Canonical()})
	require.NoError(h.t, err)
	_, err = h.PutContents(h.ctx, "candidate set", [][]byte{offered.Canonical()})
	require.NoError(h.t, err)
	h.report(n, func(r *patching.Report) {
		r.Facts = &patching.Asset{
			Hostname: fmt.Sprintf("host%03d", n), OS: patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12", Kernel: h.kernel}, Manager: "apt",
			Allowed: h.allowed, Packages: has.Digest(), Candidates: offered.Digest(),
		}
	})
}

// report takes a message of machine n.
func (h *house) report(n int, with func(*patching.Report)) {
	h.t.Helper()
	h.said[device(n)]++
	r := patching.Report{
		Device: device(n), Counter: h.said[device(n)], Boot: "b1", At: h.now,
		Digest: patching.DigestOf(fmt.Appendf(nil, "%d %d", n, h.said[device(n)])),
	}
	if with != nil {
		with(&r)
	}
	got, err := h.TakeReports(h.ctx, []patching.Report{r})
	require.NoError(h.t, err)
	require.Equal(h.t, []patching.Intake{patching.Taken}, got)
}

// ended lets machine n report that its patch ended so.
func (h *house) ended(c patching.CycleID, n int, o patching.Outcome, r patching.Reason, sign string) {
	h.t.Helper()
	d := h.deployment(c, n)
	h.report(n, func(m *patching.Report) {
		m.Receipts = []patching.Receipt{{Order: d.Order, At: h.now, Stage: patching.StageFinished, Outcome: o, Reason: r, Signature: sign}}
	})
}

func (h *house) deployment(c patching.CycleID, n int) patching.Deployment {
	h.t.Helper()
	d, err := h.Deployment(h.ctx, c, asset(n))
	require.NoError(h.t, err)
	return d
}

// listened notes that a part of the path listened from then to then.
func (h *house) listened(part string, from, to time.Time) {
	h.t.Helper()
	for at := from; !at.After(to); at = at.Add(time.Minute) {
		require.NoError(h.t, h.Listened(h.ctx, part, at, 2*time.Minute))
	}
}

const monthly patching.CycleID = "cycle/servers/2026-11.1"

// begin opens a cycle as its workflow would, and returns the state with the
// policy's rules.
func (h *house) begin(id patching.CycleID, kind patching.Kind) contract.CycleState {
	h.t.Helper()
	s := contract.CycleState{ID: id, Kind: kind, Policy: "servers", Author: "ana"}
	out, err := h.cycles.Open(h.ctx, contract.OpenCycleIn{State: s})
	require.NoError(h.t, err)
	s.PolicyVersion, s.Rules, s.Opened, s.CloseBy, s.Epoch = out.PolicyVersion, out.Rules, out.Opened, out.CloseBy, out.Epoch
	s.Phase = patching.PhasePlan
	return s
}

// plan makes the next revision of the plan.
func (h *house) plan(s *contract.CycleState) contract.PlanSummary {
	h.t.Helper()
	out, err := h.planning.Make(h.ctx, contract.MakePlanIn{State: *s, Revision: s.Plan.Revision + 1})
	require.NoError(h.t, err)
	s.Plan = out
	return out
}

// ring returns the machines of a ring, by number.
func (h *house) ring(c patching.CycleID, name patching.RingName) []int {
	h.t.Helper()
	rows, err := h.Deployments(h.ctx, store.DeploymentFilter{Cycle: c, Ring: name})
	require.NoError(h.t, err)
	var numbers []int
	for _, d := range rows {
		var n int
		_, err := fmt.Sscanf(string(d.Asset), "a%03d", &n)
		require.NoError(h.t, err)
		numbers = append(numbers, n)
	}
	return numbers
}

// release stages the ring's waves and gives all their machines the start permit.
func (h *house) release(s contract.CycleState, name patching.RingName) []contract.WaveInput {
	h.t.Helper()
	var inputs []contract.WaveInput
	for _, w := range h.waveList(s.ID, name) {
		in := contract.WaveInput{Cycle: s.ID, Policy: s.Policy, Kind: s.Kind, Ring: name, Wave: w}
		_, err := h.waves.Stage(h.ctx, contract.StageWaveIn{Wave: in})
		require.NoError(h.t, err)
		_, err = h.waves.Release(h.ctx, contract.ReleaseIn{Cycle: s.ID, Wave: w.ID, Batch: 1, Size: 1000})
		require.NoError(h.t, err)
		inputs = append(inputs, in)
	}
	return inputs
}

func (h *house) waveList(c patching.CycleID, name patching.RingName) []patching.WaveSummary {
	h.t.Helper()
	waves, err := h.waves.List(h.ctx, contract.ListWavesIn{Cycle: c, Ring: name, Limit: 100})
	require.NoError(h.t, err)
	require.NotEmpty(h.t, waves)
	return waves
}

// desk stands in the dispatcher's place: it keeps orders and start permits where
// the real one does, without a signature.
type desk struct {
	house     *house
	issued    []trust.Draft
	permitted []patching.OrderID
	broken    error
}

func (d *desk) Issue(ctx context.Context, drafts []trust.Draft) error {
	if d.broken != nil {
		return d.broken
	}
	d.issued = append(d.issued, drafts...)
	first, err := d.house.ReserveSeq(ctx, len(drafts))
	if err != nil {
		return err
	}
	rows := make([]store.OrderRow, len(drafts))
	for i, o := range drafts {
		rows[i] = store.OrderRow{
			ID: o.ID, Device: o.Device, Asset: o.Asset, Cycle: o.Cycle, Ring: o.Ring, Wave: o.Wave, Verb: string(o.Verb),
			Seq: first + uint64(i), Envelope: bytes.Repeat([]byte("order "), 3), Issued: d.house.now, Expires: o.NotAfter,
		}
	}
	return d.house.PutOrders(ctx, rows)
}

func (d *desk) Permit(ctx context.Context, orders []patching.OrderID) error {
	d.permitted = append(d.permitted, orders...)
	leases := make([]store.LeaseRow, len(orders))
	for i, o := range orders {
		leases[i] = store.LeaseRow{Order: o, Lease: []byte("permit"), Until: d.house.now.Add(15 * time.Minute)}
	}
	return d.house.PutLeases(ctx, leases)
}

// drafts are those of a verb that were issued, by asset.
func (d *desk) drafts(v trust.Verb) map[patching.AssetID]trust.Draft {
	out := map[patching.AssetID]trust.Draft{}
	for _, o := range d.issued {
		if o.Verb == v {
			out[o.Asset] = o
		}
	}
	return out
}

// audit is the chain of decisions so far.
func (h *house) audit() []patching.AuditEntry {
	h.t.Helper()
	entries, err := h.Audit(h.ctx, 0, 10_000)
	require.NoError(h.t, err)
	return entries
}

func number(t *testing.T, a patching.AssetID) (n int) {
	t.Helper()
	_, err := fmt.Sscanf(string(a), "a%03d", &n)
	require.NoError(t, err)
	return n
}

// reasonOf is what a machine would give for the outcome.
func reasonOf(o patching.Outcome) patching.Reason {
	if o == patching.Patched {
		return patching.ReasonVerified
	}
	return patching.ReasonInstallFailed
}

// gateNote is a decision about an empty tally, with its inputs.
func gateNote(c patching.CycleID, subject string, v patching.GateVerb, at time.Time) contract.NoteGateIn {
	q := gate.Question{GiveUp: at.Add(time.Hour)}
	terms, tally := gate.Evidence(q)
	d := gate.Decide(q, at)
	d.Verb = v
	return contract.NoteGateIn{Cycle: c, Subject: subject, Decision: d, Params: string(terms), Tally: string(tally)}
}
