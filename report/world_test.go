package report_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/diagnose"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/patching/plan"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/report"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
)

// opened is when every cycle here opens: two days after the second Tuesday.
var opened = time.Date(2026, 1, 15, 8, 0, 0, 0, time.UTC)

const policyName = patching.PolicyName("web")

// world is a server's database with a fleet and a cycle, filled through the
// store's own doors, in the order in which the server fills it.
type world struct {
	*store.Store
	t      *testing.T
	cycle  patching.Cycle
	policy *policy.Policy
	now    time.Time // moves with the story
	fleet  []*machine
	plan   patching.Plan
	// standIns is what plans say of the test ring.
	standIns string
	// items are those of the last plan, bundles all that there are.
	items   []patching.PlanItem
	bundles map[patching.Digest]patching.Bundle
	// rehearsal is what machines said of the last plan.
	rehearsal plan.Rehearsal
	// decided is what people decided, for all machines.
	decided patching.Decisions
	counter map[patching.DeviceID]uint64
}

// machine is one of the fleet with what the plan says of it.
type machine struct {
	asset patching.Asset
	role  string
	item  patching.PlanItem
}

func newWorld(t *testing.T, machines int) *world {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	text, err := os.ReadFile("testdata/policy.yaml")
	require.NoError(t, err)
	p, err := policy.Parse("policy.yaml", text)
	require.NoError(t, err)
	w := &world{Store: s, t: t, policy: p, now: opened.Add(-48 * time.Hour), counter: map[patching.DeviceID]uint64{}, bundles: map[patching.Digest]patching.Bundle{}}
	for name, roles := range map[patching.AccountName][]patching.Role{
		"ana": {patching.RoleAuthor, patching.RoleApprover}, "ben": {patching.RoleApprover}, "omar": {patching.RoleOperator}, "ada": {patching.RoleAuditor},
	} {
		w.must(s.PutAccount(t.Context(), patching.Account{Name: name, Roles: roles, Scopes: []string{"*"}, Created: w.now}))
	}
	w.must(s.ApplyPolicy(t.Context(), store.PolicyVersion{Name: policyName, Source: text, Applied: w.now, By: "ana"}))
	w.enrol(machines)
	return w
}

// Accounts are those of today, whatever day is asked for: the store notes by
// the real clock when it learnt of an account.
func (w *world) Accounts(ctx context.Context, _ time.Time) ([]patching.Account, error) {
	return w.Store.Accounts(ctx, time.Time{})
}

func (w *world) must(err error) {
	w.t.Helper()
	require.NoError(w.t, err)
}

// after lets time pass.
func (w *world) after(d time.Duration) *world {
	w.now = w.now.Add(d)
	return w
}

var (
	sites  = []patching.SiteName{"amsterdam", "newyork", "tokyo", "kathmandu"}
	roles  = []string{"web", "db", "app"}
	models = []string{"PowerEdge R650", "ProLiant DL360", ""}
)

func (w *world) enrol(n int) {
	w.t.Helper()
	ctx, token := w.t.Context(), patching.DigestOf([]byte("token"))
	w.must(w.PutEnrolToken(ctx, store.EnrolToken{Hash: token, Uses: n, Expires: w.now.Add(time.Hour), AutoAccept: true}))
	var reports []patching.Report
	var kept []patching.Asset
	for i := range n {
		m := &machine{role: roles[i%len(roles)]}
		site := sites[i%len(sites)]
		a := patching.Asset{
			ID: patching.AssetID(fmt.Sprintf("a-%04d", i+1)), Device: patching.DeviceID(fmt.Sprintf("d-%04d", i+1)),
			Hostname: fmt.Sprintf("%s-%s-%04d", m.role, site[:3], i+1), Site: site, Manager: "apt",
			OS:     patching.OS{Family: "debian", Name: "Debian GNU/Linux", Release: "12", Revision: "12.9", Kernel: "6.1.0-30-amd64", Arch: "amd64"},
			Vendor: "Example", Model: models[i%len(models)], Serial: fmt.Sprintf("SN%05d", 70000+i), Owner: m.role + "-team", BusinessUnit: "shop",
			Allowed: []string{"collect", "simulate", "apply", "revert"}, Candidates: w.offered(m.role),
		}
		m.asset = a
		m.item = patching.PlanItem{
			Asset: a.ID, Device: a.Device, Site: site, Stratum: "debian 12 " + m.role, WindowRule: "daily 22:00 for 6h in UTC",
			Bundle: w.bundle(w.patchesOf(m.role)), Position: i,
		}
		if m.role != "db" { // a database's data do not go back
			m.item.Rollback = patching.DigestOf([]byte("back " + m.role))
		}
		_, err := w.Enrol(ctx, token, w.now, patching.Device{ID: a.Device, Key: []byte(a.Device)}, patching.Asset{ID: a.ID, Hostname: a.Hostname})
		w.must(err)
		w.counter[a.Device] = 1
		reports = append(reports, patching.Report{Device: a.Device, Counter: 1, Boot: "b1", Digest: patching.DigestOf([]byte(a.ID)), At: w.now, Facts: &a})
		kept = append(kept, a)
		w.fleet = append(w.fleet, m)
	}
	w.take(reports)
	w.must(w.PutAssets(ctx, kept))
}

func (w *world) take(reports []patching.Report) {
	w.t.Helper()
	became, err := w.TakeReports(w.t.Context(), reports)
	w.must(err)
	require.NotContains(w.t, became, patching.Stranger)
}

// patchesOf is what the machines of a role miss.
func (w *world) patchesOf(role string) []patching.Patch {
	up := func(name, from, to, origin string, security, reboot bool) patching.Patch {
		return patching.Patch{
			Action: patching.Upgrade, Name: name, Arch: "amd64", From: from, To: to, Origin: origin, Codename: "bookworm",
			Security: security, NeedsReboot: reboot, Size: 1 << 20, Reversible: patching.ByDowngrade,
		}
	}
	all := []patching.Patch{
		up("libssl3", "3.0.15-1~deb12u1", "3.0.17-1~deb12u2", "Debian-Security", true, false),
		up("openssl", "3.0.15-1~deb12u1", "3.0.17-1~deb12u2", "Debian-Security", true, false),
		up("tzdata", "2024b-0+deb12u1", "2025b-0+deb12u2", "Debian", false, false),
	}
	switch role {
	case "web":
		all = append(all, up("nginx", "1.22.1-9", "1.22.1-9+deb12u3", "Debian-Security", true, false))
	case "db":
		server := up("postgresql-15", "15.10-0+deb12u1", "15.14-0+deb12u1", "Debian", false, false)
		server.Reversible = patching.Irreversible
		all = append(all, server)
	default:
		all = append(all, patching.Patch{
			Action: patching.Install, Name: "linux-image-6.1.0-40-amd64", Arch: "amd64", To: "6.1.153-1", Origin: "Debian-Security",
			Codename: "bookworm", Security: true, NeedsReboot: true, Reversible: patching.UnlessRunning,
		})
	}
	return all
}

func (w *world) bundle(patches []patching.Patch) patching.Digest {
	w.t.Helper()
	b := patching.Bundle{Manager: "apt", Steps: []patching.Step{{Patches: patches}}}
	d, err := w.PutContent(w.t.Context(), "bundle", b.Canonical())
	w.must(err)
	w.bundles[d] = b
	return d
}

// offered keeps what the package managers of a role offer.
func (w *world) offered(role string) patching.Digest {
	w.t.Helper()
	set := patching.CandidateSet{Manager: "apt"}
	for _, p := range w.patchesOf(role) {
		set.Candidates = append(set.Candidates, patching.Candidate{Name: p.Name, Arch: p.Arch, From: p.From, To: p.To, Origin: p.Origin, Codename: p.Codename, Security: p.Security})
	}
	set.Sort()
	d, err := w.PutContent(w.t.Context(), "candidates", set.Canonical())
	w.must(err)
	return d
}

func (w *world) open(change func(*patching.Cycle)) {
	w.t.Helper()
	w.now = opened
	w.cycle = patching.Cycle{
		ID: patching.NewCycleID(policyName, 2026, 1, 1), Kind: patching.Monthly, Policy: policyName, PolicyVersion: w.policy.Digest(),
		Author: "ana", Opened: opened, Phase: patching.PhaseMonitor, Epoch: 1, Mode: "dispatcher",
	}
	if change != nil {
		change(&w.cycle)
	}
	_, err := w.OpenCycle(w.t.Context(), w.cycle)
	w.must(err)
	w.audit("ana", "start", string(w.cycle.ID), "")
}

func (w *world) phase(p patching.Phase, words string) {
	w.t.Helper()
	c, err := w.Cycle(w.t.Context(), w.cycle.ID)
	w.must(err)
	moved := c.Phase != p
	c.Phase, c.Words = p, words
	w.must(w.SaveCycle(w.t.Context(), c))
	if !moved {
		return
	}
	w.audit("patchcycle", "phase", string(w.cycle.ID), string(p)+": "+words)
}

func (w *world) audit(actor, verb, subject, body string) {
	w.t.Helper()
	_, err := w.AppendAudit(w.t.Context(), patching.AuditEntry{At: w.now, Actor: actor, Verb: verb, Subject: subject, Body: body})
	w.must(err)
}

// ring puts machines into a ring; leave takes one out of the plan.
func (w *world) ring(name patching.RingName, machines ...*machine) {
	for _, m := range machines {
		m.item.Ring, m.item.Exclude = name, ""
		m.item.Wave = patching.NewWaveID(w.cycle.ID, name, m.item.Site, "nights", "20260115T2200Z")
	}
}

func (m *machine) leave(reason patching.Reason, why string) {
	m.item = patching.PlanItem{
		Asset: m.item.Asset, Device: m.item.Device, Site: m.item.Site, Stratum: m.item.Stratum,
		Exclude: reason, Why: why, Would: patching.Digest(string(m.item.Bundle) + string(m.item.Would)),
	}
}

func (w *world) makePlan(revision int) {
	w.t.Helper()
	items := make([]patching.PlanItem, len(w.fleet))
	for i, m := range w.fleet {
		items[i] = m.item
	}
	order := []patching.RingName{"test", "early", "broad", ""}
	slices.SortStableFunc(items, func(a, b patching.PlanItem) int { return slices.Index(order, a.Ring) - slices.Index(order, b.Ring) })
	w.plan = plan.Summarize(patching.Plan{
		Cycle: w.cycle.ID, Revision: revision, Kind: w.cycle.Kind, Shadow: w.cycle.Shadow, Policy: policyName, PolicyVersion: w.policy.Digest(),
		Author: "ana", Made: w.now, CloseBy: opened.Add(14 * 24 * time.Hour),
		Rings: []patching.PlanRing{{Name: "test", StandIns: w.standIns}},
	}, items)
	w.must(w.PutPlan(w.t.Context(), w.plan, items))
	var begun []patching.RingName
	if revision > 1 {
		begun = append(begun, "test")
	}
	look := plan.Look(w.policy, w.plan, w.items, items, w.bundles, begun...)
	w.rehearse(items)
	look.Rehearsal = w.rehearsal
	g := w.grounds()
	look.Remediation = g.Remedy(w.likes(g, nil))
	w.must(w.PutOutlook(w.t.Context(), w.cycle.ID, look))
	w.items = items
}

// rehearse lets one machine of each kind say what its bundle would change: on
// databases more than is planned.
func (w *world) rehearse(items []patching.PlanItem) {
	assets, said := map[patching.AssetID]patching.Asset{}, map[patching.AssetID]patching.Receipt{}
	for _, m := range w.fleet {
		assets[m.asset.ID] = m.asset
		r := patching.Receipt{Stage: patching.StageFinished, Detail: "would change 3 packages"}
		if m.role == "db" {
			r.Outcome, r.Reason, r.Detail = patching.Deferred, patching.ReasonPlanStale, "It would also change: remove postgresql-15-cron"
		}
		said[m.asset.ID] = r
	}
	w.rehearsal = w.rehearsal.Still(items).Ask(items, assets, policy.TestRing).Hear(said)
}

// of returns the machines of a ring.
func (w *world) of(ring patching.RingName) (all []*machine) {
	for _, m := range w.fleet {
		if m.item.Ring == ring {
			all = append(all, m)
		}
	}
	return all
}

func order(m *machine, verb string) patching.OrderID {
	return patching.OrderID(fmt.Sprintf("o/%s/%s", verb, m.item.Asset))
}

// start gives every machine of a ring its order and its start permit.
func (w *world) start(ring patching.RingName) {
	w.t.Helper()
	var orders []store.OrderRow
	var staged []store.StagedOrder
	waves := map[patching.WaveID]bool{}
	for _, m := range w.of(ring) {
		orders = append(orders, w.order(m, "apply"))
		staged = append(staged, store.StagedOrder{Cycle: w.cycle.ID, Asset: m.item.Asset, Order: order(m, "apply")})
		waves[m.item.Wave] = true
	}
	w.must(w.PutOrders(w.t.Context(), orders))
	w.must(w.Stage(w.t.Context(), staged))
	for wave := range waves {
		_, err := w.ReleaseBatch(w.t.Context(), wave, 1, len(w.fleet), w.now)
		w.must(err)
	}
}

func (w *world) order(m *machine, verb string) store.OrderRow {
	seq, err := w.ReserveSeq(w.t.Context(), 1)
	w.must(err)
	return store.OrderRow{
		ID: order(m, verb), Device: m.item.Device, Asset: m.item.Asset, Cycle: w.cycle.ID, Ring: m.item.Ring, Wave: m.item.Wave,
		Verb: verb, Seq: seq, Envelope: []byte("sealed"), Issued: w.now, Expires: w.now.Add(24 * time.Hour),
	}
}

// say is what a machine answers; nil: nothing.
type say func(n int, m *machine) *patching.Receipt

func patched(int, *machine) *patching.Receipt {
	return &patching.Receipt{Outcome: patching.Patched, Reason: patching.ReasonVerified}
}

func failed(reason patching.Reason, signature, detail string) *patching.Receipt {
	return &patching.Receipt{Outcome: patching.Failed, Reason: reason, Signature: signature, Detail: detail}
}

// answer lets the machines of a ring answer an order, a minute after the other,
// and confirms by a fresh inventory, an hour after, those that say it went well.
func (w *world) answer(verb string, ring patching.RingName, says say) {
	w.t.Helper()
	machines := w.of(ring)
	step := min(time.Minute, 4*time.Hour/time.Duration(max(1, len(machines))))
	var reports []patching.Report
	var verified []store.Verification
	for n, m := range machines {
		r := says(n, m)
		if r == nil {
			continue
		}
		w.after(step)
		r.Order, r.Device, r.Stage, r.At, r.Boot = order(m, verb), m.item.Device, patching.StageFinished, w.now, "b2"
		w.counter[r.Device]++
		reports = append(reports, patching.Report{
			Device: r.Device, Counter: w.counter[r.Device], Boot: "b2", At: w.now, Receipts: []patching.Receipt{*r},
			Digest: patching.DigestOf(fmt.Append(nil, m.item.Asset, verb, w.counter[r.Device])),
		})
		if r.Outcome == patching.Patched || r.Outcome == patching.RolledBack {
			verified = append(verified, store.Verification{Asset: m.item.Asset, OK: true, Reason: patching.ReasonVerified, At: w.now.Add(time.Hour)})
		}
	}
	w.take(reports)
	w.must(w.MarkVerified(w.t.Context(), w.cycle.ID, verified))
}

// silent ends the machines of a ring that have not answered.
func (w *world) silent(ring patching.RingName, reason patching.Reason) {
	w.end(store.EndSpec{Ring: ring, States: []patching.DeploymentState{patching.DeploymentReleased}, Outcome: patching.Unreachable, Reason: reason})
}

func (w *world) end(e store.EndSpec) {
	w.t.Helper()
	e.Cycle, e.At = w.cycle.ID, w.now
	_, err := w.EndDeployments(w.t.Context(), e)
	w.must(err)
}

// judge asks the gate about a ring, or about the waves of one, and keeps what it says.
func (w *world) judge(ring patching.RingName, wave patching.WaveID) patching.Decision {
	w.t.Helper()
	r, ok := w.policy.Ring(ring)
	require.True(w.t, ok)
	tally, err := w.Tally(w.t.Context(), store.Slice{Cycle: w.cycle.ID, Ring: ring, Wave: wave, Now: w.now})
	w.must(err)
	q := gate.Question{Params: r.Gate, Tally: tally, GiveUp: w.now.Add(6 * time.Hour)}
	subject := string(wave)
	if wave == "" {
		subject, q.SoakUntil, q.GiveUp = patching.RingID(w.cycle.ID, ring), w.now, w.now
	}
	d := gate.Decide(q, w.now)
	terms, counts := gate.Evidence(q)
	w.must(w.AddDecision(w.t.Context(), store.DecisionRow{Cycle: w.cycle.ID, Subject: subject, Decision: d, ParamsText: terms, TallyText: counts}))
	if d.Verb != patching.Wait {
		w.audit("gate "+d.Gate, string(d.Verb), subject, d.Why)
	}
	if wave == "" {
		w.diagnose(ring)
	}
	return d
}

// diagnose finds out what the failures of a ring have in common; of the cycle, if
// none is named.
func (w *world) diagnose(ring patching.RingName) {
	w.t.Helper()
	cells, err := w.Cells(w.t.Context(), store.Slice{Cycle: w.cycle.ID, Ring: ring})
	w.must(err)
	packages := func(d patching.Digest) (names []string) {
		for _, p := range w.bundles[d].Patches() {
			names = append(names, p.Name)
		}
		return names
	}
	w.must(w.PutDiagnosis(w.t.Context(), store.DiagnosisRow{
		Cycle: w.cycle.ID, Ring: ring, At: w.now, Diagnosis: diagnose.Of(cells, packages, diagnose.Defaults()),
	}))
}

// vote puts what somebody says of the plan on record, as the activities do.
func (w *world) vote(who patching.AccountName, v patching.ApprovalVerdict, via, reason, refused string) {
	w.t.Helper()
	if who != "" {
		w.must(w.AddApproval(w.t.Context(), patching.Approval{
			Cycle: w.cycle.ID, Plan: w.plan.Hash(), Account: who, Verdict: v, Reason: reason, Via: via, At: w.now, Refused: refused,
		}))
	}
	w.act(who, string(v), reason, refused)
}

func (w *world) act(who patching.AccountName, verb, reason, refused string) {
	w.t.Helper()
	w.audit(string(who), verb, string(w.cycle.ID), fmt.Sprintf("request r-%d; plan %s; reason %q; refused %q", w.now.Unix(), w.plan.Hash(), reason, refused))
}

// close closes the cycle, with a task for every machine that needs a person.
func (w *world) close(as patching.ClosedAs, words string) {
	w.t.Helper()
	rows, err := w.Deployments(w.t.Context(), store.DeploymentFilter{
		Cycle: w.cycle.ID, Outcomes: []patching.Outcome{patching.Failed, patching.NeedsHands, patching.Unreachable},
	})
	w.must(err)
	var tasks []patching.Task
	for i, d := range rows {
		tasks = append(tasks, patching.Task{
			ID: patching.TaskID(fmt.Sprintf("t-%04d", i+1)), Cycle: w.cycle.ID, Asset: d.Asset, Cause: d.Reason, Tried: d.Reason.Words(),
			Steps: "Read what the machine reported.\nRemove the cause, or exclude the machine with a reason and an expiry.\nClose the task: a rescan decides.",
			Owner: "web-team", Due: w.now.Add(7 * 24 * time.Hour), Opened: w.now, State: patching.TaskOpen,
		})
	}
	w.must(w.PutTasks(w.t.Context(), tasks))
	c, err := w.Cycle(w.t.Context(), w.cycle.ID)
	w.must(err)
	c.Closed, c.ClosedAs, c.Words = w.now, as, words
	w.must(w.SaveCycle(w.t.Context(), c))
	w.audit("patchcycle", "closed", string(w.cycle.ID), words)
	w.stand()
	w.after(2 * time.Second)
}

func (w *world) build() *report.Document {
	w.t.Helper()
	d, err := report.Build(w.t.Context(), w, w.cycle.ID, w.now)
	w.must(err)
	return d
}
