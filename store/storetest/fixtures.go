package storetest

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// noon is a time with microseconds, in a zone that is not UTC: it has to come
// back as the same instant, in UTC.
var noon = time.Date(2026, 11, 10, 12, 0, 0, 123456000, time.FixedZone("somewhere", 3600))

func at(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }

// tb is what tests, benchmarks and property tests have in common.
type tb interface {
	require.TestingT
	Helper()
	Fatalf(format string, args ...any)
}

// fixture gives a test names of its own, so that tests can share a store.
type fixture struct {
	tb
	*store.Store
	ctx  context.Context
	name string
	// machines names the fleet; several fixtures may share one.
	machines string
}

func with(t tb, s *store.Store, name string) fixture {
	t.Helper()
	return fixture{t, s, context.Background(), name, name}
}

func (f fixture) digest(of string) patching.Digest { return patching.DigestOf([]byte(f.name + of)) }

func (f fixture) asset(i int) patching.AssetID {
	return patching.AssetID(fmt.Sprintf("%s-a%05d", f.machines, i))
}

func (f fixture) device(i int) patching.DeviceID {
	return patching.DeviceID(fmt.Sprintf("%s-d%05d", f.machines, i))
}

func (f fixture) cycle() patching.CycleID {
	return patching.NewCycleID(patching.PolicyName(f.name), 2026, 11, 1)
}

func (f fixture) wave() patching.WaveID {
	return patching.NewWaveID(f.cycle(), "broad", "bern", "night", "20261110T2200Z")
}

func (f fixture) order(verb string, i int) patching.OrderID {
	return patching.OrderID(fmt.Sprintf("%s/%s/%05d/1", f.cycle(), verb, i))
}

// enrol makes accepted devices 1 to n with their assets.
func (f fixture) enrol(n int) {
	f.Helper()
	token := f.digest("token")
	require.NoError(f, f.PutEnrolToken(f.ctx, store.EnrolToken{Hash: token, Site: "bern", Uses: n, Expires: at(60), AutoAccept: true}))
	for i := 1; i <= n; i++ {
		_, err := f.Enrol(f.ctx, token, noon, patching.Device{ID: f.device(i), Key: []byte(f.device(i))}, patching.Asset{ID: f.asset(i), Hostname: string(f.asset(i))})
		require.NoError(f, err)
	}
}

// open opens the fixture's cycle.
func (f fixture) open() {
	f.Helper()
	opened, err := f.OpenCycle(f.ctx, patching.Cycle{ID: f.cycle(), Kind: patching.Monthly, Policy: patching.PolicyName(f.name), Opened: noon, Phase: patching.PhasePlan})
	require.NoError(f, err)
	require.True(f, opened)
}

// close closes it.
func (f fixture) close() {
	f.Helper()
	c, err := f.Cycle(f.ctx, f.cycle())
	require.NoError(f, err)
	c.Closed, c.Phase, c.ClosedAs = at(600), patching.PhaseClosed, patching.ClosedSuccessful
	require.NoError(f, f.SaveCycle(f.ctx, c))
}

// item is the plan's item of asset i in ring "broad".
func (f fixture) item(i int) patching.PlanItem {
	return patching.PlanItem{
		Asset: f.asset(i), Device: f.device(i), Site: "bern", Ring: "broad", Wave: f.wave(), Position: i,
		WindowRule: "daily 22:00+4h Europe/Zurich", Start: at(10), End: at(250),
		Bundle: f.digest("bundle"), Rollback: f.digest("rollback"), Stratum: "debian 12",
	}
}

func (f fixture) items(n int) []patching.PlanItem {
	items := make([]patching.PlanItem, n)
	for i := range items {
		items[i] = f.item(i + 1)
	}
	return items
}

func (f fixture) plan(revision int) patching.Plan {
	return patching.Plan{
		Cycle: f.cycle(), Revision: revision, Kind: patching.Monthly, Policy: patching.PolicyName(f.name), PolicyVersion: f.digest("policy"),
		Author: "ana", Made: noon.UTC(), CloseBy: at(10000).UTC(),
		Rings:    []patching.PlanRing{{Name: "test", Assets: 1, Root: f.digest("r1"), StandIns: "its 2 machines are already up to date; 1 machine of ring broad stands in"}, {Name: "broad", Assets: 9, Root: f.digest("r2")}},
		Excluded: map[patching.Reason]int{patching.ReasonHostRules: 1, patching.ReasonFreeze: 2},
	}
}

// planned enrols n machines and plans them in one wave.
func (f fixture) planned(n int) {
	f.Helper()
	f.enrol(n)
	f.open()
	require.NoError(f, f.PutPlan(f.ctx, f.plan(1), f.items(n)))
}

// issue issues an order of a verb to machines 1 to n.
func (f fixture) issue(verb string, n int) {
	f.Helper()
	first, err := f.ReserveSeq(f.ctx, n)
	require.NoError(f, err)
	orders := make([]store.OrderRow, n)
	for i := range orders {
		orders[i] = store.OrderRow{
			ID: f.order(verb, i+1), Device: f.device(i + 1), Asset: f.asset(i + 1), Cycle: f.cycle(), Ring: "broad", Wave: f.wave(),
			Verb: verb, Seq: first + uint64(i), Envelope: bytes.Repeat(fmt.Appendf(nil, "%s %d, sealed. ", verb, i+1), 60), Issued: noon, Expires: at(300),
		}
	}
	require.NoError(f, f.PutOrders(f.ctx, orders))
}

// stage notes the apply orders of machines 1 to n.
func (f fixture) stage(n int) {
	f.Helper()
	rows := make([]store.StagedOrder, n)
	for i := range rows {
		rows[i] = store.StagedOrder{Cycle: f.cycle(), Asset: f.asset(i + 1), Order: f.order("apply", i+1)}
	}
	require.NoError(f, f.Stage(f.ctx, rows))
}

// release stages machines 1 to n and releases all of them as batch 1.
func (f fixture) release(n int) {
	f.Helper()
	f.stage(n)
	rows, err := f.ReleaseBatch(f.ctx, f.wave(), 1, n, at(20))
	require.NoError(f, err)
	require.Len(f, rows, n)
}

// staged plans n machines, issues their apply orders and stages them.
func (f fixture) staged(n int) {
	f.Helper()
	f.planned(n)
	f.issue("apply", n)
	f.stage(n)
}

// released plans n machines and releases all of them as batch 1.
func (f fixture) released(n int) {
	f.Helper()
	f.planned(n)
	f.issue("apply", n)
	f.release(n)
}

// report is message number counter of device i.
func (f fixture) report(i int, counter uint64, receipts ...patching.Receipt) patching.Report {
	return patching.Report{
		Device: f.device(i), Counter: counter, Boot: "boot-1", Digest: f.digest(fmt.Sprint("message", i, counter)), Relay: "r1",
		At: at(30), Receipts: receipts,
	}
}

// said is a receipt of the order of a verb to machine i.
func (f fixture) said(verb string, i int, stage patching.Stage) patching.Receipt {
	return patching.Receipt{Order: f.order(verb, i), At: at(29), Stage: stage}
}

// finished is the receipt that ends an order.
func (f fixture) finished(verb string, i int, o patching.Outcome) patching.Receipt {
	r := f.said(verb, i, patching.StageFinished)
	r.Outcome = o
	return r
}

// take takes reports, all of which have to be taken.
func (f fixture) take(reports ...patching.Report) {
	f.Helper()
	for i, k := range f.became(reports...) {
		require.Equal(f, patching.Taken, k, "report %d of %d", i+1, len(reports))
	}
}

func (f fixture) became(reports ...patching.Report) []patching.Intake {
	f.Helper()
	out, err := f.TakeReports(f.ctx, reports)
	require.NoError(f, err)
	require.Len(f, out, len(reports))
	return out
}

func (f fixture) deployment(i int) patching.Deployment {
	f.Helper()
	d, err := f.Deployment(f.ctx, f.cycle(), f.asset(i))
	require.NoError(f, err)
	return d
}

// tally counts the whole cycle and checks that counts in equal counts out.
func (f fixture) tally() patching.Tally {
	f.Helper()
	got, err := f.Tally(f.ctx, store.Slice{Cycle: f.cycle(), Now: at(90)})
	require.NoError(f, err)
	return got
}

// ended ends the deployments of machines as told.
func (f fixture) end(o patching.Outcome, r patching.Reason, assets ...int) int {
	f.Helper()
	ids := make([]patching.AssetID, len(assets))
	for i, a := range assets {
		ids[i] = f.asset(a)
	}
	n, err := f.EndDeployments(f.ctx, store.EndSpec{Cycle: f.cycle(), Assets: ids, Outcome: o, Reason: r, At: at(40)})
	require.NoError(f, err)
	return n
}

// same compares what came back with what went in: times by their instant to the
// microsecond, and an empty list like none.
func same(t tb, want, got any) {
	t.Helper()
	instants := cmp.Comparer(func(a, b time.Time) bool { return a.Truncate(time.Microsecond).Equal(b.Truncate(time.Microsecond)) })
	if diff := cmp.Diff(want, got, instants, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("what came back differs from what went in (-in +back):\n%s", diff)
	}
}
