package cli

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/workflows/contract"
)

// Serves G3, Q7.
func TestLintNeedsNoServerAndNamesThePlaceAndTheWayOut(t *testing.T) {
	h := newHouse(t)
	h.env = map[string]string{"HOME": t.TempDir()}
	file := h.policy()
	assert.Contains(t, h.ok("policy", "lint", file), "Policy demo can be applied.")

	text, err := os.ReadFile(file)
	require.NoError(t, err)
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	require.NoError(t, os.WriteFile(bad, []byte(strings.Replace(string(text), "nth: 2", "nht: 2", 1)), 0o600))
	r := h.run("policy", "lint", bad)
	assert.Equal(t, ExitFailed, r.code)
	assert.Regexp(t, `bad\.yaml:\d+:\d+: error: `, r.out)
	assert.Contains(t, r.out, "^")

	r = h.run("policy", "lint", bad, "--json")
	assert.Equal(t, ExitFailed, r.code)
	var lint wire.Lint
	require.NoError(t, json.Unmarshal([]byte(r.out), &lint))
	assert.False(t, lint.OK)
	require.NotEmpty(t, lint.Problems)
	assert.Positive(t, lint.Problems[0].Line)
	assert.NotEmpty(t, lint.Problems[0].Way)

	r = h.feed(string(text), "policy", "lint", "-")
	assert.Equal(t, ExitOK, r.code, r.out)
}

func TestAPolicyWithErrorsIsNotSentAndChangesNothing(t *testing.T) {
	h := newHouse(t)
	file := h.policy()
	out := h.ok("policy", "apply", file)
	assert.Contains(t, out, "Policy demo is in force")
	assert.Contains(t, h.ok("policy", "apply", file), "nothing changed")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), "zone: Asia/Tokyo", "zone: Asia/Tokio", 1)), 0o600))
	r := h.run("policy", "apply", file)
	assert.Equal(t, ExitFailed, r.code)
	assert.Empty(t, r.out)
	assert.Contains(t, r.errs, "Asia/Tokio")
	assert.Equal(t, string(text), h.ok("policy", "show", "demo"), "what is shown is what was applied, to the byte")
	assert.Contains(t, h.ok("policy", "list"), "demo")
	assert.Len(t, decode[wire.Policies](h, "policy", "list").Items, 1)
	lint := decode[wire.Lint](h, "policy", "lint", h.policy(), "--fleet")
	assert.True(t, lint.OK)
}

// Serves U1, U5.
func TestAPlanIsReadKeptCheckedAndApprovedByItsHash(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	out := h.ok("cycle", "plan")
	assert.Contains(t, out, string(plan.Hash()))
	assert.Contains(t, out, "2026-11-20 13:00 CET", "times in the reader's zone, with its name")
	assert.Contains(t, out, patching.ReasonNoWindow.Words())
	assert.Contains(t, out, "Going back: Every machine can return to its earlier versions with the package manager. "+
		"What stays on a machine that has come to run it: linux-image-6.1.0-41-amd64 6.1.158-1 (1 machine).")
	assert.NotContains(t, out, "sha256:1\n", "Merkle roots stay off the screen")
	assert.Contains(t, out, "Ring test: "+plan.Rings[0].StandIns+".")
	assert.Contains(t, out, "Since the plan before: Withdrawn: nginx. Of the machines, 1 get other patches; 1 stay in the plan.")
	assert.Contains(t, out, "Test ring: 1 of 1 machines: 1 of 1 kinds")
	assert.Contains(t, out, "\nRehearsed on 1 machine, one of each kind: all as planned.\n")
	assert.Contains(t, out, "Forecast: Nothing is left to be patched.")
	assert.Contains(t, out, "Why: 1 advisory about 1 flaw, 1 known to be exploited: the plan clears 0 everywhere, and 1 stays on some machines.")
	assert.Contains(t, out, "The feed kev is stale: about 3 days old.")
	assert.Contains(t, out, "An emergency is proposed: 1 advisory cannot wait, on up to 1 machine.")
	assert.Contains(t, out, `patchcycle emergency start demo dsa-9999-1 --reason "DSA-9999-1"`)
	assert.Regexp(t, `DSA-9999-1 +review-1 +Decided by sam \(security-lead\) until 2026-11-29: monthly: not reachable. On 1 machine.`, out)
	assert.Regexp(t, `exception-1 +package nginx +web-team +review due +2026-11-20`, out)
	assert.Regexp(t, `DSA-9999-1 +out-of-cycle +2026-11-23 +yes +1 +1 +CVE-2026-0001 +linux-image-6.1.0-41-amd64 6.1.158-1`, out)
	assert.Contains(t, out, "… and 4 less urgent ones; --json has 1.")
	assert.Equal(t, []string{"nginx"}, decode[wire.Plan](h, "cycle", "plan").Outlook.Change.Withdrawn)

	kept := filepath.Join(t.TempDir(), "plan.txt")
	require.NoError(t, os.WriteFile(kept, []byte(h.ok("cycle", "plan", "--text")), 0o600))
	assert.Equal(t, string(plan.Hash())+"\n", h.ok("cycle", "plan", "digest", kept, "--expect", plan.Hash().Short()))
	r := h.feed("another plan", "cycle", "plan", "digest", "-", "--expect", plan.Hash().Short())
	assert.Equal(t, ExitFailed, r.code)

	h.engine.answer = contract.Answer{Accepted: true, Words: "Approved by root.", Votes: 1, Quorum: 1}
	assert.Equal(t, "Approved by root.\n", h.ok("cycle", "approve", "--plan", plan.Hash().Short()))
	require.Len(t, h.engine.acts, 1)
	assert.Equal(t, plan.Hash(), h.engine.acts[0].Plan, "the whole hash is sent")
	answer := decode[wire.Answer](h, "cycle", "approve", string(cycleID), "--plan", string(plan.Hash()))
	assert.Equal(t, 1, answer.Votes)
	assert.Equal(t, ExitUsage, h.run("cycle", "approve", "--plan", "12345").code)

	h.engine.answer = contract.Answer{Words: "approve by root does not count: the author of a cycle cannot approve it."}
	r = h.run("cycle", "approve", "--plan", string(plan.Hash()))
	assert.Equal(t, ExitNotAllowed, r.code)
	assert.Contains(t, r.errs, "the author of a cycle cannot approve it")
	h.engine.answer = contract.Answer{NotNow: true, Words: "approve by root does not count: the cycle is already ending: stopped by olga."}
	r = h.run("cycle", "approve", "--plan", string(plan.Hash()))
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.errs, "the cycle is already ending")
}

func TestEveryVerbIsSentWithWhatItNeeds(t *testing.T) {
	h := newHouse(t)
	plan := h.cycle()
	for _, v := range contract.Verbs() {
		args := []string{"cycle", string(v.Verb), string(cycleID), "--reason", "because"}
		if v.NeedsPlan {
			args = append(args, "--plan", plan.Hash().Short())
		}
		if v.OfMachines {
			args = append(args, "--machine", "web-1,web-2")
		}
		h.ok(args...)
		last := h.engine.acts[len(h.engine.acts)-1]
		assert.Equal(t, v.Verb, h.engine.verbs[len(h.engine.verbs)-1])
		assert.Equal(t, "because", last.Reason)
		if v.OfMachines {
			assert.Equal(t, []patching.AssetID{"web-1", "web-2"}, last.Assets)
		}
	}
}

func TestAMachineWhoseClockIsOffIsNamed(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	assert.NotContains(t, h.ok("asset", "show", "web-1"), "Clock off")
	require.NoError(t, h.store.NoteClocks(t.Context(), map[patching.DeviceID]time.Duration{"d-web-1": -72 * time.Hour}))
	assert.Regexp(t, `Clock off: +about 3 days behind`, h.ok("asset", "show", "web-1"))
	assert.Regexp(t, `web-1.*clock about 3 days behind\n`, h.ok("asset", "list"))
	r := h.run("doctor")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out, "With a clock that is off: 1.")
	assert.Contains(t, r.out+r.errs, "Set their clocks right")
}

// Serves U2.
func TestACycleIsShownInWordsAndCounts(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	out := h.ok("cycle", "show")
	assert.Contains(t, out, "Waiting for approval by someone other than ana.")
	assert.Contains(t, out, "2: 1 deferred, 1 in progress")
	assert.Contains(t, out, "You may:")
	assert.NotContains(t, strings.ToLower(out), "epoch")
	detail := decode[wire.CycleDetail](h, "cycle", "show")
	assert.Equal(t, 2, detail.Machines)
	assert.Contains(t, h.ok("cycle", "list"), string(cycleID))
	machines := h.ok("cycle", "machines")
	assert.Contains(t, machines, "web-2.example")
	assert.Contains(t, machines, "(weekend before 2026-11-21)", "deferred says why and until when")
	page := decode[wire.DeploymentPage](h, "cycle", "machines", "--outcome", "deferred")
	require.Len(t, page.Items, 1)
	followed := h.ok("cycle", "machines", "--machine", "web-1")
	assert.Contains(t, followed, "in progress")
	assert.Contains(t, followed, "automatically; stays once the machine runs it: linux-image-6.1.0-41-amd64")
	assert.Equal(t, ExitUsage, h.run("cycle", "machines", "--outcome", "great").code)
}

func TestACommandWithoutACycleMeansTheOnlyOneThatRuns(t *testing.T) {
	h := newHouse(t)
	r := h.run("cycle", "show")
	assert.Equal(t, ExitNotFound, r.code)
	h.cycle()
	h.ok("cycle", "show")
	_, err := h.store.OpenCycle(t.Context(), patching.Cycle{ID: "emergency/demo/openssl", Kind: patching.Emergency, Policy: "demo", Opened: noon})
	require.NoError(t, err)
	r = h.run("cycle", "show")
	assert.Equal(t, ExitUsage, r.code)
	assert.Contains(t, r.errs, "emergency/demo/openssl")
}

func TestAWatchPrintsEachChangeAndEndsWithTheCycle(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		time.Sleep(1200 * time.Millisecond) // the first look was taken; were it not, there were a line less
		h.phase(patching.PhaseClosed, "Closed.")
	}()
	out := h.ok("cycle", "watch")
	<-moved
	lines := strings.Split(strings.TrimSpace(out), "\n")
	assert.Contains(t, lines[0], "1 of 2 ended  Waiting for approval")
	assert.Contains(t, lines[len(lines)-1], "closed")

	h.o.Terminal = func(io.Writer) int { return 80 }
	assert.Contains(t, h.ok("cycle", "watch", string(cycleID)), "13:00:00 CET  Closed.", "the words stand above the bar")
	var d wire.CycleDetail
	require.NoError(t, json.Unmarshal([]byte(h.ok("cycle", "watch", string(cycleID), "--json")), &d))
	assert.Equal(t, patching.PhaseClosed, d.Phase)
}

// Serves U3, U4, Q1.
func TestCyclesAreStartedByHandByCalendarAndInAnEmergency(t *testing.T) {
	h := newHouse(t)
	h.ok("policy", "apply", h.policy())
	assert.Contains(t, h.ok("cycle", "start", "demo", "--shadow"), "Started cycle/demo/2026-11.1.")
	assert.Equal(t, patching.CycleID("emergency/demo/openssl"), decode[wire.Started](h, "emergency", "start", "demo", "openssl", "--reason", "it burns").Cycle)
	assert.Equal(t, ExitUsage, h.run("emergency", "start", "demo", "openssl").code)
	assert.Equal(t, ExitUsage, h.run("emergency", "start", "demo", "Open SSL", "--reason", "r").code)

	assert.Contains(t, h.run("schedule", "list").errs, "There are none")
	assert.Contains(t, h.ok("schedule", "set", "demo"), "starts on 2026-12-10 09:00 CET")
	assert.Contains(t, h.ok("schedule", "list"), "on ")
	assert.Contains(t, h.ok("schedule", "pause", "demo", "--reason", "year-end"), "paused (root: year-end)")
	assert.Contains(t, h.ok("schedule", "list"), "paused: root: year-end")
	assert.Contains(t, h.ok("schedule", "resume", "demo", "--reason", "back"), "starts on")
	next := strings.Split(strings.TrimSpace(h.ok("schedule", "next", "demo", "--count", "2")), "\n")
	assert.Equal(t, []string{"2026-12-10 09:00 CET", "2027-01-14 09:00 CET"}, next)
	assert.Len(t, decode[wire.Calendar](h, "schedule", "next", "demo").Next, 6)
}

// Serves G6.
func TestAnAccountsTokenIsTheOnlyThingOnStdout(t *testing.T) {
	h := newHouse(t)
	key := filepath.Join(t.TempDir(), "ben.pub")
	require.NoError(t, os.WriteFile(key, []byte("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUTyz1HwHReFVvD5obVsALAgJRNarH4TRpNePnAS ben@desk\n"), 0o600))
	r := h.run("user", "add", "ben", "--role", "approver", "--scope", "policy:demo", "--ssh-key", key)
	require.Zero(t, r.code, r.errs)
	assert.Regexp(t, `^[A-Z0-9]{40,}\n$`, r.out)
	assert.Contains(t, r.errs, "ben is approver, limited to policy:demo. The token is not shown again")
	assert.Contains(t, h.run("user", "add", "ann", "--role", "auditor").errs, "ann is auditor. The token", "who is not limited is not limited to anything")
	out := h.ok("user", "list")
	assert.Contains(t, out, "policy:demo")
	assert.Contains(t, out, "1 key")
	assert.Equal(t, ExitUsage, h.run("user", "add", "eve").code)
	assert.Equal(t, ExitUsage, h.run("user", "add", "eve", "--role", "queen").code)
	assert.Equal(t, ExitUsage, h.run("user", "revoke", "ben").code)
	assert.Contains(t, h.ok("user", "revoke", "ben", "--reason", "left"), "What they did stays on record.")
	assert.Empty(t, h.run("user", "list", "--as-of", "2020-01-01").out)
	assert.Equal(t, ExitUsage, h.run("user", "list", "--as-of", "yesterday").code)

	out = h.ok("audit", "list")
	assert.Contains(t, out, "add account")
	assert.Contains(t, out, "revoke account")
	page := decode[wire.AuditPage](h, "audit", "list", "--limit", "1")
	assert.Len(t, page.Items, 1)
	assert.Equal(t, int64(1), page.Next)
	assert.Contains(t, h.ok("audit", "verify"), "All 3 entries")
	assert.True(t, decode[wire.AuditCheck](h, "audit", "verify").OK)
}

// Serves G1.
func TestMachinesAreLetInLookedAtAndDescribed(t *testing.T) {
	h := newHouse(t)
	r := h.run("enrol", "token", "--site", "amsterdam", "--uses", "2")
	require.Zero(t, r.code, r.errs)
	token := strings.TrimSpace(r.out)
	for _, id := range []string{"a-1", "a-2"} {
		_, err := h.store.Enrol(t.Context(), patching.DigestOf([]byte(token)), noon, patching.Device{ID: patching.DeviceID("d-" + id), Key: []byte(id)},
			patching.Asset{ID: patching.AssetID(id), Hostname: id + ".example"})
		require.NoError(t, err)
	}
	assert.Equal(t, ExitUsage, h.run("enrol", "token").code)
	assert.Equal(t, ExitUsage, h.run("enrol", "token", "--site", "x", "--for", "10m").code)
	assert.Contains(t, h.ok("enrol", "token", "--list"), "amsterdam")
	assert.Contains(t, h.ok("enrol", "list", "--state", "pending"), "a-1.example")
	assert.Equal(t, ExitUsage, h.run("enrol", "accept").code)
	assert.Contains(t, h.ok("enrol", "accept", "d-a-1"), "d-a-1 is accepted")
	assert.Len(t, decode[wire.Devices](h, "enrol", "accept", "--all").Items, 1)
	assert.Contains(t, h.run("enrol", "accept", "--all").errs, "None is pending")
	assert.Contains(t, h.ok("enrol", "revoke", "d-a-2", "--reason", "stolen"), "revoked")

	require.NoError(t, h.store.PutAsset(t.Context(), patching.Asset{ID: "b-1", Hostname: "b-1.example", Site: "amsterdam"}))
	assert.Equal(t, 3, decode[wire.AssetPage](h, "asset", "list").Total)
	listed := h.ok("asset", "list")
	assert.Regexp(t, `a-1\.example.* yes `, listed)
	assert.Regexp(t, `b-1\.example.* no `, listed)
	assert.Contains(t, h.ok("asset", "set", "a-1", "--owner", "shop", "--tag", "web,eu", "--criticality", "high"), "web, eu")
	a := decode[wire.AssetDetail](h, "asset", "show", "a-1.example")
	assert.EqualValues(t, "a-1", a.ID, "people know machines by their hostnames")
	a = decode[wire.AssetDetail](h, "asset", "show", "a-1")
	assert.Equal(t, "shop", a.Owner)
	assert.Equal(t, patching.High, a.Criticality)
	assert.Equal(t, ExitFailed, h.run("asset", "set", "a-1").code)
	assert.Len(t, decode[wire.AssetPage](h, "asset", "list", "--limit", "1").Items, 1)
}

// Serves G21, G10.
func TestTasksAndReportsOfACycle(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	assert.Contains(t, h.run("task", "list").errs, "Nothing needs a person.")
	require.NoError(t, h.store.PutTasks(t.Context(), []patching.Task{{
		ID: "t-1", Cycle: cycleID, Asset: "web-1", Cause: patching.ReasonInstallFailed, Steps: "Look.\nMend.", Opened: noon, Due: noon.Add(time.Hour), State: patching.TaskOpen,
	}}))
	assert.Contains(t, h.ok("task", "list"), "web-1.example")
	assert.Contains(t, h.ok("task", "show", "t-1"), "Look.\nMend.")
	assert.Contains(t, h.ok("task", "take", "t-1"), "root")
	assert.Contains(t, h.ok("task", "done", "t-1", "--note", "cleared the disk"), "inventory")
	assert.Equal(t, patching.TaskChecking, decode[wire.Tasks](h, "task", "list").Items[0].State)

	assert.Equal(t, ExitNotFound, h.run("report", "path").code)
	c, err := h.store.Cycle(t.Context(), cycleID)
	require.NoError(t, err)
	c.Report = filepath.Join(t.TempDir(), "r.html")
	require.NoError(t, os.WriteFile(c.Report, []byte("<p>report</p>"), 0o600))
	require.NoError(t, h.store.SaveCycle(t.Context(), c))
	assert.Equal(t, c.Report+"\n", h.ok("report", "path"))
	assert.Equal(t, "<p>report</p>", h.ok("report", "show", "--html"))
	copied := filepath.Join(t.TempDir(), "copy.html")
	h.ok("report", "show", "-o", copied)
	text, err := os.ReadFile(copied)
	require.NoError(t, err)
	assert.Equal(t, "<p>report</p>", string(text))
	assert.Contains(t, h.ok("report", "show"), "1 task is open")
	assert.Len(t, decode[reportOf](h, "report", "show").Tasks, 1)
}

// Who wonders why nothing starts sees that somebody holds all machines.
func TestAHoldShowsWhereACycleStandsAndInTheDoctor(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	require.NotContains(t, h.ok("cycle", "show"), "payroll")
	h.ok("hold", "--reason", "payroll")
	require.Contains(t, h.ok("cycle", "show"), "Held by root")
	out := h.run("doctor").out
	require.Regexp(t, "ok +hold +Held by root", out)
	require.Contains(t, out, "patchcycle hold lift --reason")
	h.ok("hold", "lift", "--reason", "it is through")
	require.NotContains(t, h.ok("cycle", "show"), "payroll")
}

func TestTheDoctorEndsWithCodeOneWhileSomethingIsWrong(t *testing.T) {
	h := newHouse(t)
	out := h.ok("doctor")
	assert.Regexp(t, "ok +machines +None is known yet\\.\n", out, "that is how every server begins")
	assert.Contains(t, out, "machines: Let machines enrol: patchcycle enrol token")
	h.cycle()
	assert.Regexp(t, "ok +machines +Known: 2\\.", h.ok("doctor"))
	h.env["PATCHCYCLE_SERVER"] = "http://127.0.0.1:1"
	r := h.run("doctor")
	assert.Equal(t, ExitFailed, r.code)
	assert.Contains(t, r.out, "patchcycle server")

	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	h.env["PATCHCYCLE_DATA_DIR"] = dir
	var d wire.Doctor
	r = h.run("doctor", "--json")
	require.NoError(t, json.Unmarshal([]byte(r.out), &d))
	assert.Contains(t, r.out, "chmod 700")
	assert.Contains(t, r.out, "on the disk that holds "+dir, "it may be why the server is down")
}

func TestTextOfManyLinesStaysInItsCell(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	ctx := t.Context()
	_, err := h.store.EndDeployments(ctx, store.EndSpec{
		Cycle: cycleID, Assets: []patching.AssetID{"web-1"}, At: noon, Outcome: patching.Failed, Reason: patching.ReasonInstallFailed, Detail: "E: one\r\n\n  E: two\tthree\n",
	})
	require.NoError(t, err)
	require.NoError(t, h.store.PutTasks(ctx, []patching.Task{{
		ID: "t-1", Cycle: cycleID, Asset: "web-1", Cause: patching.ReasonInstallFailed, Tried: "apt\nsaid no", Steps: "Look.\nMend.", Opened: noon, Due: noon.Add(time.Hour), State: patching.TaskOpen,
	}}))
	for _, width := range []int{0, 400} {
		h.o.Terminal = func(io.Writer) int { return width }
		for _, args := range [][]string{{"cycle", "machines"}, {"report", "show"}, {"cycle", "machines", "--machine", "web-1"}} {
			assert.Contains(t, h.ok(args...), "E: one E: two three", "%v, %d columns", args, width)
		}
		assert.Contains(t, h.ok("task", "show", "t-1"), "apt said no\n")
	}
}

func TestAListThatWasNarrowedSaysThatNothingMatchesAndNotThatThereIsNothing(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"asset", "list", "--site", "nope"}, "Nothing matches --site nope. See all: patchcycle asset list\n"},
		{[]string{"cycle", "list", "--policy", "nope", "--open"}, "Nothing matches --open --policy nope. See all: patchcycle cycle list\n"},
		{[]string{"cycle", "machines", string(cycleID), "--outcome", "failed,patched"}, "Nothing matches --outcome failed,patched. See all: patchcycle cycle machines " + string(cycleID) + "\n"},
		{[]string{"task", "list", "--owner", "nope"}, "Nothing matches --owner nope."},
		{[]string{"enrol", "list", "--state", "revoked"}, "Nothing matches --state revoked."},
		{[]string{"audit", "list", "--after", "1000"}, "Nothing matches --after 1000."},
	} {
		r := h.run(c.args...)
		assert.Zero(t, r.code, "%v", c.args)
		assert.Empty(t, r.out, "%v", c.args)
		assert.Contains(t, r.errs, c.says, "%v", c.args)
	}
	assert.Contains(t, h.run("task", "list").errs, "Nothing needs a person.")
}

func TestCountsAndWordsThatCannotBeAreErrorsOfTheCommandLine(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"asset", "list", "--limit", "-1"}, `--limit "-1": 1 is the least`},
		{[]string{"audit", "list", "--limit", "0"}, `--limit "0": 1 is the least`},
		{[]string{"cycle", "machines", "--limit", "many"}, `--limit "many": it is a number`},
		{[]string{"cycle", "list", "--limit", "1001"}, `--limit "1001": 1000 is the most`},
		{[]string{"task", "list", "--limit", "-5"}, `--limit "-5": 1 is the least`},
		{[]string{"schedule", "next", "demo", "--count", "0"}, `--count "0": 1 is the least`},
		{[]string{"cycle", "machines", "--state", "gone"}, `--state "gone": there are planned, staged, released, started, done`},
		{[]string{"asset", "set", "web-1", "--criticality", "hihg"}, `--criticality "hihg": there are low, medium, high, critical, unknown`},
		{[]string{"asset", "set", "web-1", "--exposure", "moon"}, `--exposure "moon": there are internet, internal, isolated, unknown`},
		{[]string{"enrol", "token", "--site", "s", "--for", "90m"}, "--for 1h30m0s: write whole hours, such as 2h"},
	} {
		r := h.run(c.args...)
		assert.Equal(t, ExitUsage, r.code, "%v: %s", c.args, r.errs)
		assert.Empty(t, r.out, "%v", c.args)
		assert.Contains(t, r.errs, c.says, "%v", c.args)
	}
	require.NoError(t, h.store.PutTasks(t.Context(), []patching.Task{{ID: "t-1", Cycle: cycleID, Asset: "web-1", Cause: patching.ReasonInstallFailed, Opened: noon, Due: noon, State: patching.TaskOpen}}))
	assert.Contains(t, h.ok("task", "list", "--machine", "web-1.example"), "t-1", "people know machines by their hostnames")
}

// Serves Q7: what is not known is not nought.
func TestAMachineThatSentNoInventoryIsNotSaidToMissNothing(t *testing.T) {
	h := newHouse(t)
	h.cycle()
	assert.Regexp(t, `web-2 +web-2.example +amsterdam +Debian GNU/Linux 12 +yes`, h.ok("asset", "list"))
	r := h.run("asset", "show", "web-2")
	assert.Regexp(t, `Packages: +not known: it has sent no inventory\n`, r.out)
	assert.NotContains(t, r.out, "Missing")
	assert.Contains(t, r.errs, "What it misses is not known.")
	seen, err := h.store.Asset(t.Context(), "web-2")
	require.NoError(t, err)
	seen.Inventoried = noon
	require.NoError(t, h.store.PutAsset(t.Context(), seen))
	assert.Regexp(t, `Debian GNU/Linux 12 +0 +0 +yes`, h.ok("asset", "list"))
	assert.Regexp(t, `Missing: +0 patches, 0 of them for security\n`, h.ok("asset", "show", "web-2"))
}
