package report_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/gate"
	"github.com/patchcycle/patchcycle/store"
)

// begun has a cycle with a plan: so many machines in the test ring and in the
// early one, the rest in the broad one, and an audit trail up to the test.
func begun(t *testing.T, machines, test, early int, prepare func(*world)) *world {
	t.Helper()
	w := newWorld(t, machines)
	w.open(nil)
	w.prepare(test, early, prepare)
	return w
}

func (w *world) prepare(test, early int, prepare func(*world)) {
	w.ring("test", w.fleet[:test]...)
	w.ring("early", w.fleet[test:test+early]...)
	w.ring("broad", w.fleet[test+early:]...)
	if prepare != nil {
		prepare(w)
	}
	w.after(20*time.Minute).phase(patching.PhaseAssess, "Finding out what each machine misses. Nobody has to act.")
	w.after(time.Minute).phase(patching.PhasePlan, "Deciding who gets what, when. Nobody has to act.")
	w.after(time.Minute).makePlan(1)
	w.after(time.Minute).phase(patching.PhaseTest, "Patching the test ring under its pre-approval. Nobody has to act.")
}

// tested patches the test ring, lets it soak and makes the plan again.
func (w *world) tested(says say) {
	w.t.Helper()
	w.after(14 * time.Hour).start("test")
	w.answer("apply", "test", says)
	w.after(24 * time.Hour)
	require.Equal(w.t, patching.Proceed, w.judge("test", "").Verb)
}

func (w *world) asked() {
	w.t.Helper()
	w.after(time.Minute).phase(patching.PhaseApproval, "Waiting for approval of plan "+w.plan.Hash().Short()+
		" by someone other than its author, ana: 0 of 1 approvals. An approver has to act by 22 Jan 08:00 UTC.")
}

// ringed patches a ring and asks its gate.
func (w *world) ringed(ring patching.RingName, says say) patching.Decision {
	w.t.Helper()
	w.after(10 * time.Hour).start(ring)
	w.judge(ring, w.of(ring)[0].item.Wave)
	w.answer("apply", ring, says)
	w.after(2*time.Hour).silent(ring, patching.ReasonSilent)
	w.after(22 * time.Hour)
	return w.judge(ring, "")
}

func (w *world) wrapUp() {
	w.t.Helper()
	w.after(time.Minute).phase(patching.PhaseVerify, "Judging the machines by fresh inventories. Nobody has to act.")
	w.after(30*time.Minute).phase(patching.PhaseCleanUp, "Removing what the patches left behind. Nobody has to act.")
	w.after(12*time.Minute).phase(patching.PhaseReport, "Counting and writing the report. Nobody has to act.")
	w.diagnose("")
	w.after(time.Second)
}

func successful(t *testing.T) *world {
	w := begun(t, 14, 3, 3, func(w *world) {
		w.fleet[12].leave(patching.ReasonNothingMissing, "")
		w.fleet[12].item.Would = ""
		w.fleet[13].leave(patching.ReasonExcludedBy, "rebuilt every week, says test-lab, until 2026-06-30")
	})
	w.tested(func(n int, m *machine) *patching.Receipt {
		r := patched(n, m)
		r.Freed, r.Repairs = 120_000_000, n%2
		return r
	})
	w.makePlan(2)
	w.asked()
	w.after(3*time.Hour).vote("ben", patching.Approve, "api", "Checked against the January bulletin.", "")
	w.after(time.Second).phase(patching.PhaseDeploy, "Patching ring early (2 of 3). Nobody has to act.")
	w.ringed("early", patched)
	w.ringed("broad", patched)
	w.wrapUp()
	w.close(patching.ClosedSuccessful, "Closed: successful. 12 patched, 1 already up to date, 1 excluded.")
	return w
}

// withExceptions has a patch that fails on the test ring and is withdrawn, votes
// that do not count, machines that fail, keep silent, or are taken out, and an
// answer that comes after the close.
func withExceptions(t *testing.T) *world {
	w := begun(t, 42, 8, 4, func(w *world) {
		w.decided = someDecisions()
		w.fleet[40].leave(patching.ReasonHostRules, "they allow only: collect")
		w.fleet[41].leave(patching.ReasonInventoryStale, "the last one is of 2 Jan 2026 04:11 UTC")
	})
	const postinst = "dpkg: error processing package nginx (--configure):\n installed nginx package post-installation script subprocess returned error exit status 1"
	w.tested(func(n int, m *machine) *patching.Receipt {
		if m.role == "web" && n < 6 {
			return failed(patching.ReasonInstallFailed, "nginx: postinst", postinst)
		}
		return patched(n, m)
	})
	w.withdraw("nginx")
	w.asked()
	w.after(40*time.Minute).vote("ana", patching.Approve, "api", "", "the author of a cycle cannot approve it.")
	w.after(time.Minute).audit("ada", "approve", string(w.cycle.ID), "refused by the API: it takes one of the roles [approver], and ada has [auditor].")
	w.after(24*time.Hour).audit("patchcycle", "reminder", string(w.cycle.ID), string(w.cycle.ID)+" still waits for approval of plan "+w.plan.Hash().Short()+": 0 of 1 approvals.")
	w.after(2*time.Hour).vote("ben", patching.Approve, "signal", "nginx waits for the next build.", "")
	w.after(time.Second).phase(patching.PhaseDeploy, "Patching ring early (2 of 3). Nobody has to act.")
	w.ringed("early", patched)
	w.act("omar", "amend", "database migration that night", "")
	w.end(store.EndSpec{
		Assets: []patching.AssetID{w.fleet[30].item.Asset}, States: []patching.DeploymentState{patching.DeploymentPlanned},
		Outcome: patching.Deferred, Reason: patching.ReasonRemoved, Detail: "Taken out by omar: database migration that night",
	})
	w.ringed("broad", func(n int, m *machine) *patching.Receipt {
		switch n {
		case 3, 7:
			return nil
		case 5:
			return failed(patching.ReasonPreflight, "preflight: space", "/var has 112 MB free, 640 MB are needed.")
		case 9:
			return &patching.Receipt{Outcome: patching.NeedsHands, Reason: patching.ReasonNoBoot, Signature: "reboot", Detail: "Answered again after 3 hours, with the old kernel."}
		}
		r := patched(n, m)
		r.Freed, r.Repairs = 84_000_000, n%5/4
		return r
	})
	w.wrapUp()
	w.close(patching.ClosedWithExceptions, "Closed: with exceptions. Tasks for people: 7.")
	w.after(5*time.Hour).lateAnswer("broad", 3)
	return w
}

// withdraw makes the plan again without a package.
func (w *world) withdraw(name string) {
	w.t.Helper()
	for _, m := range w.fleet {
		if m.item.Ring == "" || m.item.Ring == "test" {
			continue
		}
		var left []patching.Patch
		for _, p := range w.patchesOf(m.role) {
			if p.Name != name {
				left = append(left, p)
			}
		}
		m.item.Bundle = w.bundle(left)
	}
	w.makePlan(2)
}

// lateAnswer lets the n-th machine of a ring answer after the close.
func (w *world) lateAnswer(ring patching.RingName, nth int) {
	w.t.Helper()
	w.answer("apply", ring, func(n int, m *machine) *patching.Receipt {
		if n == nth {
			return patched(n, m)
		}
		return nil
	})
}

// backedOut has a gate that halts the early ring, whose machines go back.
func backedOut(t *testing.T) *world {
	w := begun(t, 24, 4, 8, nil)
	w.tested(patched)
	w.makePlan(2)
	w.asked()
	w.after(time.Hour).vote("ben", patching.Approve, "api", "", "")
	w.after(time.Second).phase(patching.PhaseDeploy, "Patching ring early (2 of 3). Nobody has to act.")
	halted := w.ringed("early", func(n int, m *machine) *patching.Receipt {
		if n < 4 {
			return failed(patching.ReasonServiceBroken, "libssl3: nginx.service", "nginx.service ran before and does not run now.")
		}
		return patched(n, m)
	})
	require.Equal(t, patching.Halt, halted.Verb)
	w.end(store.EndSpec{
		Ring: "broad", States: []patching.DeploymentState{patching.DeploymentPlanned}, Outcome: patching.Deferred, Reason: patching.ReasonRingHalted,
		Detail: halted.Why,
	})
	w.after(time.Second).phase(patching.PhaseRollBack, "Returning machines to their earlier versions. Nobody has to act.")
	var orders []store.OrderRow
	var stuck []patching.AssetID
	for _, m := range w.of("early") {
		if m.item.Rollback == "" {
			stuck = append(stuck, m.item.Asset)
		} else {
			orders = append(orders, w.order(m, "revert"))
		}
	}
	w.end(store.EndSpec{Assets: stuck, States: []patching.DeploymentState{patching.DeploymentDone}, Outcome: patching.NeedsHands, Reason: patching.ReasonIrreversible})
	w.must(w.PutOrders(t.Context(), orders))
	w.answer("revert", "early", func(n int, m *machine) *patching.Receipt {
		switch {
		case m.item.Rollback == "":
			return nil
		case n == 2:
			return failed(patching.ReasonInstallFailed, "libssl3: downgrade", "E: Version '3.0.15-1~deb12u1' for 'libssl3' was not found")
		}
		back := &patching.Receipt{Outcome: patching.RolledBack, Reason: patching.ReasonRolledBack}
		if m.role == "app" {
			back.Detail = "linux-image-6.1.0-40-amd64 stays installed: the machine runs it."
		}
		return back
	})
	w.wrapUp()
	w.close(patching.ClosedBackedOut, "Closed: backed out. It ended early: ring early was halted: "+halted.Why+" Tasks for people: 4.")
	return w
}

func shadow(t *testing.T) *world {
	w := newWorld(t, 12)
	w.open(func(c *patching.Cycle) { c.Shadow = true })
	w.prepare(3, 3, func(w *world) { w.fleet[11].leave(patching.ReasonNotEnrolled, "") })
	w.end(store.EndSpec{States: []patching.DeploymentState{patching.DeploymentPlanned}, Outcome: patching.Deferred, Reason: patching.ReasonShadow})
	w.after(time.Hour).shadowed("test")
	w.makePlan(2)
	w.after(time.Minute).phase(patching.PhaseDeploy, "Patching ring broad (3 of 3). Nobody has to act.")
	w.shadowed("early")
	w.shadowed("broad")
	w.wrapUp()
	w.close(patching.ClosedSuccessful, "Closed: successful. 11 deferred, 1 excluded.")
	return w
}

// shadowed is what the workflow puts on record for a ring of a shadow cycle.
func (w *world) shadowed(ring patching.RingName) {
	w.t.Helper()
	terms, counts := gate.Evidence(gate.Question{})
	d := patching.Decision{
		Verb: patching.Proceed, Why: "Shadow mode: nothing was installed.", Gate: gate.Rules, At: w.now,
		Params: patching.DigestOf(terms), Tally: patching.DigestOf(counts),
	}
	subject := patching.RingID(w.cycle.ID, ring)
	w.must(w.AddDecision(w.t.Context(), store.DecisionRow{Cycle: w.cycle.ID, Subject: subject, Decision: d, ParamsText: terms, TallyText: counts}))
	w.audit("gate "+d.Gate, string(d.Verb), subject, d.Why)
}

// open waits for its approval.
func open(t *testing.T) *world {
	w := begun(t, 16, 4, 4, nil)
	w.tested(patched)
	w.makePlan(2)
	w.asked()
	w.after(90 * time.Minute)
	return w
}

// many is a source with every machine of a world so many times: a fleet that
// would take the database a minute to enrol.
type many struct {
	*world
	times int
}

func (m many) again(id patching.AssetID, n int) patching.AssetID {
	return patching.AssetID(fmt.Sprintf("%s-%03d", id, n))
}

func (m many) Deployments(ctx context.Context, f store.DeploymentFilter) (out []patching.Deployment, err error) {
	some, err := m.world.Deployments(ctx, f)
	for n := range m.times {
		for _, d := range some {
			d.Asset = m.again(d.Asset, n)
			out = append(out, d)
		}
	}
	return out, err
}

func (m many) Assets(ctx context.Context, _ store.AssetFilter) (out []patching.Asset, err error) {
	some, err := m.world.Assets(ctx, store.AssetFilter{})
	for n := range m.times {
		for _, a := range some {
			a.ID, a.Hostname = m.again(a.ID, n), fmt.Sprintf("%s-%03d", a.Hostname, n)
			out = append(out, a)
		}
	}
	return out, err
}

func (m many) Tasks(ctx context.Context, f store.TaskFilter) (out []patching.Task, err error) {
	some, err := m.world.Tasks(ctx, f)
	for n := range m.times {
		for _, k := range some {
			k.ID, k.Asset = patching.TaskID(fmt.Sprintf("%s-%03d", k.ID, n)), m.again(k.Asset, n)
			out = append(out, k)
		}
	}
	return out, err
}
