package api_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/client"
	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/policy"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

const (
	eventually = 10 * time.Second
	tick       = 5 * time.Millisecond
)

// Serves G3, Q7.
func TestAPolicyWithAnErrorIsRefusedWithItsPlaceAndTheOldOneStays(t *testing.T) {
	h := newHouse(t)
	good, err := policy.Example("demo")
	require.NoError(t, err)
	ana := h.as("ana", "*", patching.RoleAuthor)
	ctx := t.Context()

	applied, err := ana.ApplyPolicy(ctx, "demo", "demo.yaml", good, false)
	require.NoError(t, err)
	assert.True(t, applied.Changed)
	again, err := ana.ApplyPolicy(ctx, "demo", "demo.yaml", good, false)
	require.NoError(t, err)
	assert.False(t, again.Changed)

	bad := strings.Replace(string(good), "zone: Asia/Tokyo", "zone: Asia/Tokio", 1)
	_, err = ana.ApplyPolicy(ctx, "demo", "demo.yaml", []byte(bad), false)
	p := problem(t, err, http.StatusUnprocessableEntity, wire.CodeBadPolicy)
	require.NotEmpty(t, p.Policy)
	assert.Equal(t, "demo.yaml", p.Policy[0].File)
	assert.Positive(t, p.Policy[0].Line)
	assert.NotEmpty(t, p.Policy[0].Way)

	_, err = ana.ApplyPolicy(ctx, "other", "demo.yaml", good, false)
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)

	now, err := ana.Policy(ctx, "demo", "")
	require.NoError(t, err)
	assert.Equal(t, string(good), now.Source)
	past, err := ana.Policy(ctx, "demo", now.Version.Short())
	require.NoError(t, err)
	assert.Equal(t, now.Version, past.Version)
	_, err = ana.Policy(ctx, "demo", "000000000000")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves Q7.
func TestAPolicyIsTriedOnTheMachinesThatAreKnown(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	text, err := policy.Example("demo")
	require.NoError(t, err)
	bad := strings.Replace(string(text), "- name: early\n", "- name: early\n    select: '\"nobody\" in tags'\n", 1)
	require.NotEqual(t, string(text), bad)
	ana := h.as("ana", "*", patching.RoleAuthor)
	lint, err := ana.LintPolicy(t.Context(), "x.yaml", []byte(bad))
	require.NoError(t, err)
	assert.False(t, lint.OK)
	_, err = ana.ApplyPolicy(t.Context(), "demo", "x.yaml", []byte(bad), false)
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeBadPolicy)
	applied, err := ana.ApplyPolicy(t.Context(), "demo", "x.yaml", []byte(bad), true)
	require.NoError(t, err, "machines that come later are no error")
	assert.NotEmpty(t, applied.Warnings)
}

// Serves U1.
func TestThePlanIsShownWithTheTextThatItsHashIsOf(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	aud := h.as("aud", "*", patching.RoleAuditor)
	got, err := aud.Plan(t.Context(), cycleID, 0)
	require.NoError(t, err)
	assert.Equal(t, plan.Hash(), got.Hash)
	assert.Equal(t, got.Hash, patching.DigestOf([]byte(got.Text)))
	assert.True(t, got.Counts)
	assert.Equal(t, 2, got.Machines)
	require.Len(t, got.Rings, 2)
	require.Len(t, got.Rings[0].Waves, 1)
	assert.Equal(t, "open", got.Rings[0].Waves[0].Window)
	assert.Equal(t, plan.Rings[0].StandIns, got.Rings[0].StandIns)
	assert.Empty(t, got.Rings[1].StandIns)
	require.Len(t, got.Excluded, 1)
	assert.Equal(t, patching.ReasonNotEnrolled.Words(), got.Excluded[0].Words)
	require.NotNil(t, got.Outlook)
	assert.NotContains(t, got.Text, "Done by", "it is no part of what is approved")
	assert.Equal(t, 1, got.Outlook.Mirror.Machines)
	assert.Contains(t, got.Outlook.Mirror.Words, "1 of 2 machines: 1 of 1 kinds")
	require.Len(t, got.Outlook.Forecast.Rings, 1)
	assert.Equal(t, patching.RingName("broad"), got.Outlook.Forecast.Rings[0].Name, "the test ring has been")
	assert.Contains(t, got.Outlook.Forecast.Words, "Done by 20 Nov 2026")
	require.NotNil(t, got.Outlook.Change)
	assert.Equal(t, 2, got.Outlook.Change.Stay)
	assert.Equal(t, []wire.Exclusion{{Reason: patching.ReasonNotEnrolled, Words: patching.ReasonNotEnrolled.Words(), Machines: 1}}, got.Outlook.Change.Leave)
	assert.Equal(t, "Of the machines, 1 leave; 2 stay in the plan.", got.Outlook.Change.Words)
	// Serves G14: before the approval.
	assert.Equal(t, &wire.Rehearsal{
		Words: "Rehearsed on 1 machine, for 1 of 2 kinds: none as planned. On a-1.example, for 1 machine of its kind: " +
			"It would also change: install libevil 1. Of 1 kind nobody answered.",
		Kinds: 2, Unanswered: 1, Otherwise: []wire.Rehearsed{{Hostname: "a-1.example", Machines: 1, Words: "It would also change: install libevil 1."}},
	}, got.Outlook.Rehearsal)
	// Serves G9: before the approval.
	back := got.Outlook.WayBack
	assert.Equal(t, 1, back.Machines)
	assert.Equal(t, 1, back.Stuck)
	assert.Equal(t, []wire.Staying{{Package: "linux-image-6.1.0-41-amd64", Version: "6.1.158-1", Machines: 1}}, back.Stays)
	assert.Contains(t, back.Words, "1 of 2 machines have no way back")
	_, err = aud.Plan(t.Context(), cycleID, 1)
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves U5.
func TestOneMachineIsFollowedThroughACycle(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.task()
	aud := h.as("aud", "*", patching.RoleAuditor)
	m, err := aud.Machine(t.Context(), cycleID, "a-1")
	require.NoError(t, err)
	assert.Equal(t, "host-a-1", m.Hostname)
	require.Len(t, m.Steps, 1)
	assert.Equal(t, "openssl", m.Steps[0].Patches[0].Name)
	require.Len(t, m.Tasks, 1)
	assert.False(t, m.Would)

	assert.False(t, m.Reversible)
	assert.Empty(t, m.Stays)
	m, err = aud.Machine(t.Context(), cycleID, "a-2")
	require.NoError(t, err)
	assert.True(t, m.Reversible)
	assert.Equal(t, []string{"linux-image-6.1.0-41-amd64"}, m.Stays)

	out, err := aud.Machine(t.Context(), cycleID, "a-3")
	require.NoError(t, err)
	assert.True(t, out.Would, "what a machine would have got")
	assert.Equal(t, patching.Excluded, out.Outcome)
	assert.Equal(t, patching.ReasonNotEnrolled.Words(), out.Why)
	require.Len(t, out.Steps, 1)
}

func TestMachinesOfACycleArePagedAndFiltered(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	aud := h.as("aud", "*", patching.RoleAuditor)
	first, err := aud.Deployments(t.Context(), cycleID, client.DeploymentQuery{Limit: 2})
	require.NoError(t, err)
	require.Len(t, first.Items, 2)
	assert.Equal(t, patching.AssetID("a-2"), first.Next)
	second, err := aud.Deployments(t.Context(), cycleID, client.DeploymentQuery{Limit: 2, After: first.Next})
	require.NoError(t, err)
	require.Len(t, second.Items, 1)
	assert.Empty(t, second.Next)
	out, err := aud.Deployments(t.Context(), cycleID, client.DeploymentQuery{Outcomes: []patching.Outcome{patching.Excluded, patching.Failed}})
	require.NoError(t, err)
	require.Len(t, out.Items, 1)
	_, err = aud.Deployments(t.Context(), "cycle/demo/2020-01.1", client.DeploymentQuery{})
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
}

// Serves U2.
func TestACycleIsShownWithItsCountsAndWhatOneMayDo(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	c, err := h.as("ben", "*", patching.RoleApprover).Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Equal(t, 3, c.Machines)
	assert.Equal(t, map[patching.Outcome]int{patching.Excluded: 1}, c.Outcomes)
	assert.Equal(t, 2, c.InProgress)
	assert.Equal(t, 1, c.Quorum)
	assert.Contains(t, c.Verbs, "approve")
	require.Len(t, c.Rings, 2)
	assert.Equal(t, "done", c.Rings[0].State)
	assert.Equal(t, "not begun", c.Rings[1].State)

	author, err := h.as("ana", "*", patching.RoleApprover).Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.NotContains(t, author.Verbs, "approve", "its author cannot approve it")
	aud, err := h.as("aud", "*", patching.RoleAuditor).Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Empty(t, aud.Verbs)
}

// Serves G6: the workflow forgets votes once they have opened a ring.
func TestACycleThatWasApprovedSaysSoUntilItIsClosed(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	for _, a := range []patching.Approval{
		{Account: "ben", Plan: plan.Hash(), Verdict: patching.Approve},
		{Account: "ben", Plan: plan.Hash(), Verdict: patching.Approve},
		{Account: "eve", Plan: plan.Hash(), Verdict: patching.Approve, Refused: "not an approver"},
		{Account: "zoe", Plan: "sha256:older", Verdict: patching.Approve},
	} {
		a.Cycle, a.Via, a.At = cycleID, "api", noon
		require.NoError(t, h.store.AddApproval(t.Context(), a))
	}
	ana := h.as("ana", "*", patching.RoleAuthor)
	c, err := ana.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Zero(t, c.Votes, "while it waits, the workflow knows for which ring a vote was")

	h.state(contract.CycleState{
		ID: cycleID, Phase: patching.PhaseDeploy, Plan: contract.PlanSummary{Hash: plan.Hash()},
		Rules: contract.CycleRules{Approval: policy.Approval{Quorum: 1}},
	})
	c, err = ana.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Equal(t, 1, c.Votes)
}

func TestAWatchReturnsWhenTheCycleMovesAndAtTheEndOfTheWait(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	aud := h.as("aud", "*", patching.RoleAuditor)
	c, err := aud.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	same, err := aud.WatchCycle(t.Context(), cycleID, c.Mark, 0)
	require.NoError(t, err)
	assert.Equal(t, c.Mark, same.Mark)

	got := make(chan wire.CycleDetail, 1)
	go func() {
		d, err := aud.WatchCycle(t.Context(), cycleID, c.Mark, 30*time.Second)
		assert.NoError(t, err)
		got <- d
	}()
	time.Sleep(50 * time.Millisecond) // it waits meanwhile; were it later, the answer would be the same
	h.state(contract.CycleState{ID: cycleID, Policy: "demo", Phase: patching.PhaseDeploy})
	select {
	case d := <-got:
		assert.Equal(t, patching.PhaseDeploy, d.Phase)
		assert.NotEqual(t, c.Mark, d.Mark)
	case <-time.After(eventually):
		t.Fatal("the watch did not notice")
	}
}

func TestWhatAMachineMissesIsListedAndShown(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	aud := h.as("aud", "*", patching.RoleAuditor)
	page, err := aud.Assets(t.Context(), client.AssetQuery{Limit: 2})
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
	assert.Equal(t, 3, page.Total)
	assert.Equal(t, patching.AssetID("a-2"), page.Next)
	assert.Equal(t, 1, page.Items[0].Missing)
	assert.Equal(t, 1, page.Items[0].Security)
	assert.True(t, page.Items[0].Enrolled)
	rest, err := aud.Assets(t.Context(), client.AssetQuery{Limit: 2, After: page.Next})
	require.NoError(t, err)
	require.Len(t, rest.Items, 1)
	assert.False(t, rest.Items[0].Enrolled, "nobody accepted it yet")

	a, err := aud.Asset(t.Context(), "a-1")
	require.NoError(t, err)
	assert.Equal(t, 2, a.Packages)
	require.Len(t, a.Patches, 1)
	assert.Equal(t, "3.0.16-1", a.Patches[0].To)
}

// Serves G18.
func TestWhatChangedOnAMachineAndNoOrderDidIsListed(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	aud := h.as("aud", "*", patching.RoleAuditor)
	before, err := h.store.Asset(t.Context(), "a-1")
	require.NoError(t, err)
	now := patching.PackageSet{Manager: "apt", Packages: []patching.Package{{Name: "openssl", Arch: "amd64", Version: "3.0.16-1"}, {Name: "nmap", Arch: "amd64", Version: "7.9"}}}
	now.Sort()
	_, err = h.store.PutContents(t.Context(), "package set", [][]byte{now.Canonical()})
	require.NoError(t, err)
	before.Packages = now.Digest()
	taken, err := h.store.TakeReports(t.Context(), []patching.Report{{
		Device: "d-a-1", Counter: 1, Boot: "b", Digest: "sha256:m", At: noon.Add(time.Hour), Facts: &before,
	}})
	require.NoError(t, err)
	require.Equal(t, []patching.Intake{patching.Taken}, taken)

	a, err := aud.Asset(t.Context(), "a-1")
	require.NoError(t, err)
	require.Len(t, a.Outside, 3)
	for i, want := range []wire.OutsideChange{
		{Name: "nmap", Arch: "amd64", To: "7.9"}, {Name: "openssl", Arch: "amd64", From: "3.0.15-1", To: "3.0.16-1"}, {Name: "zlib1g", Arch: "amd64", From: "1.2"},
	} {
		assert.Equal(t, noon.Add(time.Hour).UTC(), a.Outside[i].Before.UTC())
		want.After, want.Before = a.Outside[i].After, a.Outside[i].Before
		assert.Equal(t, want, a.Outside[i])
	}
	other, err := aud.Asset(t.Context(), "a-2")
	require.NoError(t, err)
	assert.Empty(t, other.Outside)
}

// Serves G1, G2.
func TestFactsThatAMachineDoesNotSayItselfAreKeptAndOnRecord(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	admin := h.as("sam", "site:amsterdam", patching.RoleSiteAdmin)
	owner, criticality := "payroll", patching.High
	a, err := admin.SetAssetFacts(t.Context(), "a-1", wire.AssetFacts{Owner: &owner, Criticality: &criticality})
	require.NoError(t, err)
	assert.Equal(t, "payroll", a.Owner)
	assert.Equal(t, patching.High, a.Criticality)
	assert.Equal(t, "host-a-1", a.Hostname)

	tokyo := patching.SiteName("tokyo")
	_, err = admin.SetAssetFacts(t.Context(), "a-1", wire.AssetFacts{Site: &tokyo})
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = admin.SetAssetFacts(t.Context(), "a-1", wire.AssetFacts{})
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)

	audit, err := h.store.Audit(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, audit, 1)
	assert.Equal(t, "set facts", audit[0].Verb)
	assert.Contains(t, audit[0].Body, "payroll")
}

func TestMachinesEnrolByATokenAndAreAcceptedByAPerson(t *testing.T) {
	h := newHouse(t)
	h.fleet()
	op := h.as("olga", "*", patching.RoleOperator)
	made, err := op.MakeEnrolToken(t.Context(), wire.NewEnrolToken{Site: "tokyo"})
	require.NoError(t, err)
	assert.NotEmpty(t, made.Token)
	assert.Equal(t, 1, made.Uses)
	assert.Equal(t, noon.Add(24*time.Hour), made.Expires)
	tokens, err := op.EnrolTokens(t.Context())
	require.NoError(t, err)
	for _, e := range tokens.Items {
		assert.Empty(t, e.Token, "a token is shown once")
	}
	_, err = h.store.Enrol(t.Context(), patching.DigestOf([]byte(made.Token)), noon, patching.Device{ID: "d-9", Key: []byte("k9")}, patching.Asset{ID: "a-9"})
	require.NoError(t, err)

	pending, err := op.Devices(t.Context(), patching.DevicePending)
	require.NoError(t, err)
	require.Len(t, pending.Items, 2)
	d, err := op.AcceptDevice(t.Context(), "d-9")
	require.NoError(t, err)
	assert.Equal(t, patching.DeviceAccepted, d.State)
	d, err = op.RevokeDevice(t.Context(), "d-9", "stolen")
	require.NoError(t, err)
	assert.Equal(t, patching.DeviceRevoked, d.State)
	assert.Equal(t, []patching.DeviceID{"d-9", "d-9"}, h.moved, "the uplink is told")
	_, err = op.AcceptDevice(t.Context(), "d-9")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
}

// Serves G1, G6.
func TestAMachineThatWasInstalledAnewIsSeenAndTakesItsPlaceAgain(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	op := h.as("olga", "*", patching.RoleOperator)
	made, err := op.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "tokyo", Uses: 3, AutoAccept: true})
	require.NoError(t, err)
	for id, hostname := range map[patching.DeviceID]string{"d-old": "shop", "d-new": "shop", "d-other": "nas"} {
		_, err := h.store.Enrol(ctx, patching.DigestOf([]byte(made.Token)), noon, patching.Device{ID: id, Key: []byte(id)},
			patching.Asset{ID: "a-" + patching.AssetID(id), Hostname: hostname})
		require.NoError(t, err)
	}
	same := func() map[patching.DeviceID][]patching.DeviceID {
		t.Helper()
		all, err := op.Devices(ctx)
		require.NoError(t, err)
		out := map[patching.DeviceID][]patching.DeviceID{}
		for _, d := range all.Items {
			if len(d.SameAs) > 0 {
				out[d.ID] = d.SameAs
			}
		}
		return out
	}
	require.Equal(t, map[patching.DeviceID][]patching.DeviceID{"d-old": {"d-new"}, "d-new": {"d-old"}}, same())
	d, err := op.ReplaceDevice(ctx, "d-new", "d-old", "a new disk")
	require.NoError(t, err)
	assert.Equal(t, patching.AssetID("a-d-old"), d.Asset)
	assert.Equal(t, []patching.AssetID{"a-d-old"}, h.rescan, "it is asked what it is now")
	assert.Empty(t, same())
	_, err = op.ReplaceDevice(ctx, "d-old", "d-new", "back")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	_, err = op.ReplaceDevice(ctx, "d-new", "d-nobody", "who?")
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
	audit, err := h.store.Audit(ctx, 0, 0)
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(audit, func(e patching.AuditEntry) bool {
		return e.Verb == "replace device" && e.Subject == "d-new" && e.Body == "in the place of d-old: a new disk"
	}))
}

// Serves G6, G8.
func TestAReviewIsClosedWithWordsByAPersonWhoDidNotSign(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	require.NoError(t, h.store.PutTasks(t.Context(), []patching.Task{{
		ID: "t-7", Cycle: cycleID, Cause: patching.ReasonBreakGlass, Tried: "Signed by ana: \"exploited tonight\".", Steps: "Ask ana.",
		Due: noon.Add(24 * time.Hour), Opened: noon, State: patching.TaskOpen, NotBy: []patching.AccountName{"ana"},
	}}))
	ctx := t.Context()
	ana, ben := h.as("ana", "*", patching.RoleApprover, patching.RoleAdmin), h.as("ben", "*", patching.RoleApprover)
	_, err := ana.TakeTask(ctx, "t-7")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = ana.DoneTask(ctx, "t-7", "all is well")
	assert.Contains(t, problem(t, err, http.StatusForbidden, wire.CodeNotAllowed).Detail, "somebody else has to")
	_, err = h.as("olga", "*", patching.RoleOperator).DoneTask(ctx, "t-7", "all is well")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = h.as("abe", "policy:other", patching.RoleApprover).DoneTask(ctx, "t-7", "all is well")
	problem(t, err, http.StatusForbidden, wire.CodeNotAllowed)
	_, err = ben.DoneTask(ctx, "t-7", " ")
	problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)

	_, err = h.as("sam", "*", patching.RoleSecurityLead).TakeTask(ctx, "t-7")
	require.NoError(t, err)
	done, err := ben.DoneTask(ctx, "t-7", "the flaw was exploited that night")
	require.NoError(t, err)
	assert.Equal(t, patching.TaskDone, done.Task.State)
	assert.Equal(t, patching.AccountName("ben"), done.Task.TakenBy, "who closed it, not who meant to")
	assert.Equal(t, []patching.AccountName{"ana"}, done.Task.NotBy)
	assert.Empty(t, h.rescan, "there is no machine to scan")
	_, err = ben.DoneTask(ctx, "t-7", "again")
	problem(t, err, http.StatusConflict, wire.CodeConflict)

	entries, err := h.store.Audit(ctx, 0, 1000)
	require.NoError(t, err)
	var said []string
	for _, e := range entries {
		if e.Subject == string(cycleID)+"/review/t-7" {
			said = append(said, e.Actor+": "+e.Body)
		}
	}
	require.Len(t, said, 4, "%v", said)
	assert.Contains(t, said[0], "ana: refused by the API: ")
	assert.Equal(t, "ben: the flaw was exploited that night", said[3])
}

// Serves G21.
func TestATaskIsDoneWhenARescanSaysSo(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	h.task()
	ctx := t.Context()
	olga, otto := h.as("olga", "*", patching.RoleOperator), h.as("otto", "*", patching.RoleOperator)
	taken, err := olga.TakeTask(ctx, "t-1")
	require.NoError(t, err)
	assert.Equal(t, patching.AccountName("olga"), taken.Task.TakenBy)
	taken, err = otto.TakeTask(ctx, "t-1")
	require.NoError(t, err)
	assert.Contains(t, taken.Words, "olga had taken it")

	done, err := otto.DoneTask(ctx, "t-1", "cleared the disk")
	require.NoError(t, err)
	assert.Equal(t, patching.TaskChecking, done.Task.State, "a click does not close a task")
	assert.Equal(t, []patching.AssetID{"a-1"}, h.rescan)

	k, err := h.store.Task(ctx, "t-1")
	require.NoError(t, err)
	k.State, k.Closed = patching.TaskDone, noon
	require.NoError(t, h.store.SaveTask(ctx, k))
	_, err = otto.DoneTask(ctx, "t-1", "again")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	_, err = otto.TakeTask(ctx, "t-1")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	open, err := otto.Tasks(ctx, client.TaskQuery{Open: true})
	require.NoError(t, err)
	assert.Empty(t, open.Items)
}

// Serves G6.
func TestAccountsAreAppendOnlyAndWhoHeldWhichRoleCanBeAsked(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	admin := h.as("root", "*", patching.RoleAdmin)
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ben@desk"
	added, err := admin.AddAccount(ctx, wire.NewAccount{Name: "ben", Roles: []patching.Role{patching.RoleApprover}, Scopes: []string{"policy:demo"}, SSHKeys: []string{key}})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(added.Token), 40)
	kept, err := h.store.Account(ctx, "ben")
	require.NoError(t, err)
	assert.Equal(t, patching.DigestOf([]byte(added.Token)), kept.Token, "the hash is kept, not the token")

	_, err = admin.AddAccount(ctx, wire.NewAccount{Name: "ben", Roles: []patching.Role{patching.RoleOperator}})
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	before := time.Now()
	time.Sleep(2 * time.Millisecond)
	_, err = admin.RevokeAccount(ctx, "ben", "changes team")
	require.NoError(t, err)
	_, err = admin.AddAccount(ctx, wire.NewAccount{Name: "ben", Roles: []patching.Role{patching.RoleOperator}})
	require.NoError(t, err, "a revoked account is added again with other roles")

	then, err := admin.Accounts(ctx, before)
	require.NoError(t, err)
	now, err := admin.Accounts(ctx, time.Time{})
	require.NoError(t, err)
	assert.Equal(t, []patching.Role{patching.RoleOperator}, now.Items[0].Roles)
	assert.Equal(t, []patching.Role{patching.RoleApprover}, then.Items[0].Roles)
	assert.Zero(t, then.Items[0].Revoked)

	for name, bad := range map[string]wire.NewAccount{
		"no such role": {Name: "x1", Roles: []patching.Role{"king"}}, "no such scope": {Name: "x2", Roles: []patching.Role{patching.RoleAuditor}, Scopes: []string{"planet:earth"}},
		"no key": {Name: "x3", Roles: []patching.Role{patching.RoleAuditor}, SSHKeys: []string{"secret"}}, "two keys in one": {Name: "x4", Roles: []patching.Role{patching.RoleAuditor}, SSHKeys: []string{key + "\n" + key}},
		"no role": {Name: "x5"}, "the product's own name": {Name: "patchcycle", Roles: []patching.Role{patching.RoleAuditor}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := admin.AddAccount(ctx, bad)
			problem(t, err, http.StatusUnprocessableEntity, wire.CodeInvalid)
		})
	}
}

func TestTheLastAdministratorCannotBeRevoked(t *testing.T) {
	h := newHouse(t)
	admin := h.as("root", "*", patching.RoleAdmin)
	h.token("limited", "policy:demo", patching.RoleAdmin) // could not add an account
	_, err := admin.RevokeAccount(t.Context(), "root", "bye")
	problem(t, err, http.StatusConflict, wire.CodeConflict)
	h.token("second", "*", patching.RoleAdmin)
	_, err = admin.RevokeAccount(t.Context(), "root", "bye")
	require.NoError(t, err)
}

// Serves G6.
func TestWhatPeopleChangeIsOnTheChainAndTheChainIsVerified(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	admin := h.as("root", "*", patching.RoleAdmin)
	for range 3 {
		_, err := admin.MakeEnrolToken(ctx, wire.NewEnrolToken{Site: "tokyo"})
		require.NoError(t, err)
	}
	page, err := admin.Audit(ctx, 0, 2)
	require.NoError(t, err)
	require.Len(t, page.Items, 2)
	assert.Equal(t, int64(2), page.Next)
	rest, err := admin.Audit(ctx, page.Next, 2)
	require.NoError(t, err)
	require.Len(t, rest.Items, 1)
	check, err := admin.VerifyAudit(ctx)
	require.NoError(t, err)
	assert.True(t, check.OK)
	assert.Equal(t, int64(3), check.Entries)
}

func TestTheReportIsServedAsAPageThatCannotRunScripts(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	aud := h.as("aud", "*", patching.RoleAuditor)
	_, err := aud.Report(t.Context(), cycleID)
	problem(t, err, http.StatusNotFound, wire.CodeNotFound)
	c, err := h.store.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	c.Report = filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(c.Report, []byte("<h1>Report</h1>"), 0o600))
	require.NoError(t, h.store.SaveCycle(t.Context(), c))
	page, err := aud.Report(t.Context(), cycleID)
	require.NoError(t, err)
	assert.Equal(t, "<h1>Report</h1>", string(page))
}

func TestTheDoctorSaysWhatIsWrongAndTheWayOut(t *testing.T) {
	h := newHouse(t)
	d, err := h.as("aud", "*", patching.RoleAuditor).Doctor(t.Context())
	require.NoError(t, err)
	assert.False(t, d.OK)
	found := map[string]wire.Check{}
	for _, c := range d.Checks {
		found[c.Name] = c
	}
	assert.True(t, found["record"].OK)
	assert.False(t, found["people"].OK)
	assert.Contains(t, found["people"].WayOut, "user add")
	assert.Equal(t, "The database answers; it knows 0 machines.", found["record"].Words)
	assert.True(t, found["machines"].OK, "every server begins without machines")
	assert.Contains(t, found["machines"].WayOut, "enrol token")
}

func TestRequestsThatAreTooLargeOrMisspeltAreRefused(t *testing.T) {
	h := newHouse(t)
	token := h.token("root", "*", patching.RoleAdmin)
	status := func(method, path, body string) int {
		r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		res.Body.Close()
		assert.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
		return res.StatusCode
	}
	assert.Equal(t, http.StatusRequestEntityTooLarge, status("POST", "/api/v1/accounts", `{"name":"`+strings.Repeat("x", 70_000)+`"}`))
	assert.Equal(t, http.StatusUnprocessableEntity, status("GET", "/api/v1/cycles?polcy=demo", ""), "a filter that is misspelt must not show everything")
	assert.Equal(t, http.StatusUnprocessableEntity, status("POST", "/api/v1/accounts", `{"name":"eve","roles":["auditor"],"admin":true}`))
	assert.Equal(t, http.StatusBadRequest, status("POST", "/api/v1/accounts", `{`))
	assert.Equal(t, http.StatusNotFound, status("GET", "/api/v2/cycles", ""))
}

func TestTheLinkIntoTheUIIsForWhoAsks(t *testing.T) {
	h := newHouse(t)
	link, err := h.as("aud", "*", patching.RoleAuditor).EnterUI(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "https://ui/login?for=token of aud", link.URL)
}

func TestTheClientDoesNotSendATokenInTheClear(t *testing.T) {
	_, err := client.New(client.Options{Server: "http://patch.example:8080", Token: "x"})
	require.ErrorContains(t, err, "in the clear")
	_, err = client.New(client.Options{Server: "ftp://patch.example"})
	require.Error(t, err)
}

// Serves G4.
func TestWhatCannotWaitIsAskedByPolicyAndByMachine(t *testing.T) {
	h := newHouse(t)
	aud := h.as("aud", "*", patching.RoleAuditor)
	got, err := aud.Urgency(t.Context(), "web")
	require.NoError(t, err)
	assert.Equal(t, noon.AddDate(0, 0, 9), got.Next)
	assert.Equal(t, cycleID, got.Running)
	assert.NotNil(t, got.Remediation.Remedies, "whoever reads the document need not ask")
	_, err = aud.Urgency(t.Context(), "nobody")
	require.ErrorContains(t, err, "nobody")

	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{ID: "a-9", Hostname: "a-9.example", Site: "amsterdam"}))
	found, err := aud.Findings(t.Context(), "a-9")
	require.NoError(t, err)
	assert.True(t, found.Blind)
	_, err = aud.Findings(t.Context(), "a-404")
	require.Error(t, err)
	_, err = h.as("elsewhere", "site:oslo", patching.RoleOperator).Findings(t.Context(), "a-9")
	require.Error(t, err, "a machine outside one's scope")
}
