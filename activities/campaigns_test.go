package activities_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/assess"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/trust"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G1: refreshed in each cycle.
func TestEveryEnrolledMachineOfThePolicyIsAskedForAnInventoryOnce(t *testing.T) {
	h := newHouse(t)
	h.enrol(6)
	require.NoError(t, h.PutAsset(h.ctx, patching.Asset{ID: "printer", Hostname: "printer"}))
	s := h.begin(monthly, patching.Monthly)
	for range 2 {
		out, err := h.campaigns.AskInventory(h.ctx, contract.AskInventoryIn{Cycle: s.ID, Policy: s.Policy, Version: s.PolicyVersion})
		require.NoError(t, err)
		require.Equal(t, 6, out.Asked, "nobody is enrolled on the printer")
	}
	slice := store.Slice{Cycle: s.ID}
	issued, final, err := h.OrderCounts(h.ctx, slice, string(trust.Collect))
	require.NoError(t, err)
	require.Equal(t, []int{6, 0}, []int{issued, final})
	require.Empty(t, h.desk.permitted, "an inventory disturbs nobody: it needs no start permit")

	in := contract.AwaitOrdersIn{Cycle: s.ID, Verb: "collect", Monitor: true, Until: h.now.Add(time.Hour)}
	for n := 1; n <= 6; n++ {
		h.finished(h.desk.drafts(trust.Collect)[asset(n)].ID, n, patching.Receipt{Outcome: patching.Patched})
	}
	got, err := h.campaigns.Await(h.ctx, in)
	require.NoError(t, err)
	require.Equal(t, contract.Asked{Asked: 6, Answered: 6}, got)
}

func TestAWaitForAnswersEndsAtItsTime(t *testing.T) {
	h := newHouse(t)
	h.enrol(3)
	s := h.begin(monthly, patching.Monthly)
	_, err := h.campaigns.AskInventory(h.ctx, contract.AskInventoryIn{Cycle: s.ID, Policy: s.Policy, Version: s.PolicyVersion})
	require.NoError(t, err)
	got, err := h.campaigns.Await(h.ctx, contract.AwaitOrdersIn{Cycle: s.ID, Verb: "collect", Monitor: true, Until: h.now})
	require.NoError(t, err)
	require.Equal(t, contract.Asked{Asked: 3}, got)
}

// Serves Q2: what an agent claims is not enough.
func TestOnlyAnInventoryTakenAfterwardsVerifiesAPatch(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "early")
	ring := h.ring(s.ID, "early")
	h.now = h.now.Add(10 * time.Minute)
	for _, n := range ring {
		h.ended(s.ID, n, patching.Patched, patching.ReasonVerified, "")
	}
	h.now = h.now.Add(time.Hour)
	h.inventory(ring[0], h.after(s.ID, ring[0], nil), patching.CandidateSet{Manager: "apt"})
	missing := h.patches(s.ID, ring[1])[0].Name
	h.inventory(ring[1], h.after(s.ID, ring[1], []string{missing}), patching.CandidateSet{Manager: "apt"})

	want := contract.JudgeOut{Verified: 1, NotTaken: 1, Unseen: 2}
	out, err := h.campaigns.Judge(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "early"})
	require.NoError(t, err)
	require.Equal(t, want, out)
	require.False(t, h.deployment(s.ID, ring[0]).Verified.IsZero())
	bad := h.deployment(s.ID, ring[1])
	require.Equal(t, patching.Failed, bad.Outcome)
	require.Equal(t, patching.ReasonNotTaken, bad.Reason)
	require.Contains(t, bad.Detail, "The inventory lacks "+missing)
	require.Equal(t, patching.Patched, h.deployment(s.ID, ring[2]).Outcome, "nobody has seen it yet")

	out, err = h.campaigns.Judge(h.ctx, contract.SliceIn{Cycle: s.ID, Ring: "early"})
	require.NoError(t, err)
	require.Equal(t, contract.JudgeOut{Verified: 1, Unseen: 2}, out)
}

// Serves G9: what failed goes back, or the whole ring; what never started does
// not, and what cannot go back is named.
func TestARollBackIsForMachinesThatWereTouchedAndCanGoBack(t *testing.T) {
	for scope, want := range map[policy.OnHalt]int{policy.RollBackAffected: 2, policy.RollBackRing: 3} {
		t.Run(string(scope), func(t *testing.T) {
			h := newHouse(t)
			h.enrol(12)
			s := h.begin(monthly, patching.Monthly)
			h.reversible()
			h.plan(&s)
			h.release(s, "early")
			ring := h.ring(s.ID, "early")
			h.ended(s.ID, ring[0], patching.Failed, patching.ReasonInstallFailed, "nginx: postinst")
			h.ended(s.ID, ring[1], patching.Patched, patching.ReasonVerified, "")
			h.ended(s.ID, ring[2], patching.NeedsHands, patching.ReasonDownload, "nginx: half installed") // whatever the cause
			h.ended(s.ID, ring[3], patching.Failed, patching.ReasonPreflight, "preflight: space")
			in := contract.CampaignIn{Cycle: s.ID, Ring: "early", Verb: "revert", Scope: scope, Until: h.now.Add(time.Hour)}
			for range 2 {
				out, err := h.campaigns.Start(h.ctx, in)
				require.NoError(t, err)
				require.Equal(t, want, out.Asked)
			}
			reverts := h.desk.drafts(trust.Revert)
			require.Len(t, reverts, want)
			for _, o := range reverts {
				require.NotEmpty(t, o.Rollback)
				require.Equal(t, "always in UTC", o.WindowRule, "going back is covered outside windows too")
				require.Contains(t, h.desk.permitted, o.ID)
			}
			h.finished(reverts[asset(ring[0])].ID, ring[0], patching.Receipt{Outcome: patching.RolledBack, Reason: patching.ReasonRolledBack})
			require.Equal(t, patching.RolledBack, h.deployment(s.ID, ring[0]).Outcome)
		})
	}
}

// Serves G9, Q2: a machine's word that it went back is worth as much as its word
// that it is patched, and what still differs is listed.
func TestOnlyAnInventoryTakenAfterwardsShowsThatAMachineWentBack(t *testing.T) {
	const newKernel = "linux-image-6.1.0-99-amd64"
	h := newHouse(t)
	h.enrol(12)
	for n := 1; n <= 12; n++ {
		has, offered := sets(t, map[bool]string{true: "db", false: "web"}[n%3 == 0])
		offered.Candidates = append(slices.Clone(offered.Candidates), patching.Candidate{
			Name: newKernel, Arch: "amd64", To: "6.1.999-1", Origin: "Debian-Security", Security: true, NeedsReboot: true,
		})
		offered.Sort()
		h.inventory(n, has, offered)
	}
	h.planning.WayBack = assess.ByPackages(func(string, string, string) bool { return true })
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "early")
	ring := h.ring(s.ID, "early")
	for _, n := range ring {
		h.ended(s.ID, n, patching.Patched, patching.ReasonVerified, "")
	}
	in := contract.CampaignIn{Cycle: s.ID, Ring: "early", Verb: "revert", Scope: policy.RollBackRing, Until: h.now.Add(time.Hour)}
	_, err := h.campaigns.Start(h.ctx, in)
	require.NoError(t, err)
	reverts := h.desk.drafts(trust.Revert)
	require.Len(t, reverts, 4, "a new kernel keeps nobody from going back")

	h.now = h.now.Add(10 * time.Minute)
	were, offered := make([]patching.PackageSet, 4), patching.CandidateSet{Manager: "apt"}
	for i, n := range ring {
		were[i], _ = sets(t, map[bool]string{true: "db", false: "web"}[n%3 == 0])
		h.inventory(n, were[i], offered) // taken before it went back: it says nothing
	}
	h.now = h.now.Add(10 * time.Minute)
	for _, n := range ring {
		detail := ""
		if n == ring[2] {
			detail = newKernel + " stays installed: the machine runs it."
		}
		h.finished(reverts[asset(n)].ID, n, patching.Receipt{Outcome: patching.RolledBack, Reason: patching.ReasonRolledBack, Detail: detail})
	}
	slice := contract.SliceIn{Cycle: s.ID}
	out, err := h.campaigns.Judge(h.ctx, slice)
	require.NoError(t, err)
	require.Equal(t, contract.JudgeOut{Unseen: 4}, out)
	out2, err := h.campaigns.Start(h.ctx, contract.CampaignIn{Cycle: s.ID, Verb: "collect", Until: h.now.Add(time.Hour)})
	require.NoError(t, err)
	require.Equal(t, 4, out2.Asked, "they are asked for one")

	h.now, h.kernel = h.now.Add(10*time.Minute), "6.1.0-99-amd64"
	with := func(p patching.PackageSet) patching.PackageSet {
		p.Packages = append(slices.Clone(p.Packages), patching.Package{Name: newKernel, Arch: "amd64", Version: "6.1.999-1"})
		p.Sort()
		return p
	}
	h.inventory(ring[0], were[0], offered)
	h.inventory(ring[1], with(were[1]), offered)
	h.inventory(ring[2], with(were[2]), offered)
	h.inventory(ring[3], h.after(s.ID, ring[3], nil), offered)
	out, err = h.campaigns.Judge(h.ctx, slice)
	require.NoError(t, err)
	require.Equal(t, contract.JudgeOut{Verified: 3, NotTaken: 1}, out)
	for i, want := range []string{"", "Still there: " + newKernel + " 6.1.999-1.", newKernel + " stays installed: the machine runs it."} {
		d := h.deployment(s.ID, ring[i])
		require.Equal(t, patching.RolledBack, d.Outcome)
		require.Equal(t, want, d.Detail)
		require.False(t, d.Verified.IsZero())
	}
	d := h.deployment(s.ID, ring[3])
	require.Equal(t, patching.NeedsHands, d.Outcome)
	require.Equal(t, patching.ReasonRollBackFailed, d.Reason)
	require.Contains(t, d.Detail, "The inventory lacks ")
}

func TestWhatCannotBeUndoneNeedsHands(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s) // with a kernel in every bundle
	h.release(s, "early")
	ring := h.ring(s.ID, "early")
	h.ended(s.ID, ring[0], patching.Failed, patching.ReasonInstallFailed, "nginx: postinst")
	for range 2 {
		out, err := h.campaigns.Start(h.ctx, contract.CampaignIn{Cycle: s.ID, Ring: "early", Verb: "revert", Scope: policy.RollBackAffected, Until: h.now.Add(time.Hour)})
		require.NoError(t, err)
		require.Zero(t, out.Asked)
	}
	d := h.deployment(s.ID, ring[0])
	require.Equal(t, patching.NeedsHands, d.Outcome)
	require.Equal(t, patching.ReasonIrreversible, d.Reason)
}

// Serves Q3, G21: residue is removed where something was installed; the outcome
// of a task follows the scan, not the click.
func TestATaskIsDoneWhenARescanSaysSo(t *testing.T) {
	h := newHouse(t)
	h.enrol(12)
	s := h.begin(monthly, patching.Monthly)
	h.plan(&s)
	h.release(s, "early")
	ring := h.ring(s.ID, "early")
	h.ended(s.ID, ring[0], patching.Failed, patching.ReasonInstallFailed, "nginx: postinst")
	_, err := h.cycles.Close(h.ctx, contract.CloseCycleIn{State: s})
	require.NoError(t, err)
	task := h.task(s.ID, ring[0])

	require.NoError(t, h.tasks.Judge(h.ctx))
	require.Equal(t, patching.TaskOpen, h.task(s.ID, ring[0]).State, "nobody said that it was done")

	task.State, task.TakenBy, task.Asked = patching.TaskChecking, "olga", h.now
	require.NoError(t, h.SaveTask(h.ctx, task))
	require.NoError(t, h.tasks.Judge(h.ctx))
	require.Equal(t, patching.TaskChecking, h.task(s.ID, ring[0]).State, "there is no rescan yet")

	h.now = h.now.Add(time.Hour)
	missing := h.patches(s.ID, ring[0])[0].Name
	h.inventory(ring[0], h.after(s.ID, ring[0], []string{missing}), patching.CandidateSet{Manager: "apt"})
	require.NoError(t, h.tasks.Judge(h.ctx))
	task = h.task(s.ID, ring[0])
	require.Equal(t, patching.TaskOpen, task.State)
	require.Contains(t, task.Note, "The rescan still misses "+missing)
	require.True(t, task.Closed.IsZero())

	task.State, task.Asked = patching.TaskChecking, h.now
	require.NoError(t, h.SaveTask(h.ctx, task))
	h.now = h.now.Add(time.Hour)
	h.inventory(ring[0], h.after(s.ID, ring[0], nil), patching.CandidateSet{Manager: "apt"})
	require.NoError(t, h.tasks.Judge(h.ctx))
	task = h.task(s.ID, ring[0])
	require.Equal(t, patching.TaskDone, task.State)
	require.Equal(t, h.now, task.Closed)
	chain := h.audit()
	require.Equal(t, "rescan", chain[len(chain)-1].Verb)
	require.NoError(t, h.tasks.Judge(h.ctx))
	require.Len(t, h.audit(), len(chain), "what is done is not judged again")
}

// after is what machine n has once it got all patches of its bundle but some.
func (h *house) after(c patching.CycleID, n int, without []string) patching.PackageSet {
	h.t.Helper()
	role := "web"
	if n%3 == 0 {
		role = "db"
	}
	was, _ := sets(h.t, role)
	to := map[string]string{}
	for _, p := range h.patches(c, n) {
		to[p.Name] = p.To
	}
	for _, name := range without {
		delete(to, name)
	}
	now := patching.PackageSet{Manager: was.Manager}
	for _, p := range was.Packages {
		if v, ok := to[p.Name]; ok {
			p.Version = v
		}
		now.Packages = append(now.Packages, p)
	}
	return now
}

// reversible lets every patch be undone, kernels too.
func (h *house) reversible() {
	h.planning.WayBack = func(patching.Candidate) patching.Reversibility { return patching.ByDowngrade }
}

// finished lets machine n report the end of an order.
func (h *house) finished(o patching.OrderID, n int, c patching.Receipt) {
	h.t.Helper()
	c.Order, c.At, c.Stage = o, h.now, patching.StageFinished
	h.report(n, func(r *patching.Report) { r.Receipts = []patching.Receipt{c} })
}

// started lets machine n report that its patch has begun.
func (h *house) started(c patching.CycleID, n int) {
	h.t.Helper()
	o := h.deployment(c, n).Order
	h.report(n, func(r *patching.Report) {
		r.Receipts = []patching.Receipt{{Order: o, At: h.now, Stage: patching.StageStarted}}
	})
}

func (h *house) task(c patching.CycleID, n int) patching.Task {
	h.t.Helper()
	tasks, err := h.Store.Tasks(h.ctx, store.TaskFilter{Cycle: c, Asset: asset(n)})
	require.NoError(h.t, err)
	require.Len(h.t, tasks, 1)
	return tasks[0]
}
