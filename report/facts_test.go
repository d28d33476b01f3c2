package report_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/report"
	"github.com/patchcycle/patchcycle/store"
)

func find(t *testing.T, d *report.Document, id patching.AssetID) report.Machine {
	t.Helper()
	for _, m := range d.Machines {
		if m.Asset == id {
			return m
		}
	}
	t.Fatalf("no machine %s", id)
	return report.Machine{}
}

// Serves G5: what the test ring found, and what became of it.
func TestAPatchThatFailedOnTheTestRingIsWithdrawnOnlyIfNoLaterRingInstallsIt(t *testing.T) {
	w := withExceptions(t)
	d := w.build()
	require.Len(t, d.Withdrawn, 1)
	got := d.Withdrawn[0]
	assert.Equal(t, "nginx", got.Package)
	assert.Equal(t, []string{"1.22.1-9+deb12u3"}, got.To)
	assert.Equal(t, 2, got.Failed)
	assert.Equal(t, 3, got.Tested)
	assert.Equal(t, 14, got.Missing, "every web server is still offered it")
	assert.Equal(t, 2, got.Plan)

	still := begun(t, 12, 4, 4, nil)
	still.tested(func(n int, m *machine) *patching.Receipt {
		if n == 0 {
			return failed(patching.ReasonInstallFailed, "nginx: postinst", "")
		}
		return patched(n, m)
	})
	assert.Empty(t, still.build().Withdrawn, "the plan has not been made again")
	still.makePlan(2)
	assert.Empty(t, still.build().Withdrawn, "it was made again, with nginx")
}

// Serves G6, G10: what people were told when they decided.
func TestThePlansSayWhatWasForeseenAndWhatChanged(t *testing.T) {
	d := withExceptions(t).build()
	require.Len(t, d.Plans, 2)
	first, second := d.Plans[0], d.Plans[1]
	assert.Empty(t, first.Change)
	const otherwise = "for 13 machines of its kind: It would also change: remove postgresql-15-cron."
	assert.Contains(t, first.Rehearsal, otherwise)
	assert.Contains(t, second.Rehearsal, otherwise, "their patches stay, and so does what was said of them")
	assert.Contains(t, first.Forecast, "test: 8 machines in 4 waves from ")
	assert.Contains(t, second.Change, "Withdrawn: nginx. Of the machines, ")
	assert.NotContains(t, second.Forecast, "test:", "the test was over")
	assert.Contains(t, second.Forecast, "early: 4 machines in 4 waves from ")
	i := slices.IndexFunc(d.Timeline, func(e report.Event) bool { return e.What == "Plan 2 made" })
	require.GreaterOrEqual(t, i, 0)
	assert.Contains(t, d.Timeline[i].Words, second.Change)
}

// Serves G5, G6: others than those that the policy selects were the test ring.
func TestATestRingThatOthersStoodInForSaysSo(t *testing.T) {
	w := begun(t, 8, 3, 2, func(w *world) {
		w.standIns = "its 2 machines are already up to date; 3 machines of ring early stand in"
	})
	assert.Equal(t, "It asks for an approval of its own, because others stand in: "+w.standIns+". Not begun.", w.build().Rings[0].Words)
	w.vote("omar", patching.Approve, "api", "", "it takes one of the roles [approver]")
	w.vote("ben", patching.Approve, "api", "these will do", "")
	w.tested(patched)
	ring := w.build().Rings[0]
	assert.Equal(t, w.standIns, ring.StandIns)
	assert.Equal(t, "Approved by ben before it began, because others stood in: "+w.standIns+".", ring.Words)
	assert.Empty(t, w.build().Rings[1].StandIns)
}

// Serves G8, Q4: a machine of whose bundle nothing is left is not up to date.
func TestAMachineThatGetsNothingBecauseAllWasWithdrawnIsAnException(t *testing.T) {
	w := begun(t, 8, 3, 2, nil)
	w.tested(patched)
	w.fleet[7].leave(patching.ReasonWithdrawn, "nginx failed in ring test")
	w.makePlan(2)
	d := w.build()
	m := find(t, d, w.fleet[7].item.Asset)
	assert.Equal(t, report.GroupException, m.Group)
	assert.Equal(t, patching.Deferred, m.Outcome)
	assert.Equal(t, "All that the machine misses was withdrawn from this cycle.", m.Why)
	assert.Equal(t, "nginx failed in ring test", m.Detail)
	assert.NotEmpty(t, m.Bundle, "what it misses is listed")
	require.NotNil(t, m.Hold)
	assert.Equal(t, "a version that works is offered; the next cycle takes it first", m.Hold.Until)
	assert.Zero(t, d.Coverage.Covered-3, "it is not covered")
}

// Serves Q2: nothing counts as patched until it was verified.
func TestAMachineThatOnlySaysThatItIsPatchedIsAnExceptionAtTheClose(t *testing.T) {
	w := begun(t, 6, 2, 2, nil)
	w.tested(patched)
	w.start("early")
	for _, m := range w.of("early") {
		w.counter[m.item.Device]++
		r := patched(0, m)
		r.Order, r.Device, r.Stage, r.At = order(m, "apply"), m.item.Device, patching.StageFinished, w.now
		w.take([]patching.Report{{Device: m.item.Device, Counter: w.counter[m.item.Device], Digest: patching.DigestOf([]byte("says" + m.item.Asset)), At: w.now, Receipts: []patching.Receipt{*r}}})
	}
	open := w.build()
	assert.Equal(t, 2, open.Unconfirmed)
	assert.Equal(t, 2, open.Coverage.Covered)
	assert.Equal(t, report.GroupInProgress, find(t, open, w.of("early")[0].item.Asset).Group, "the soak may still confirm it")
	w.close(patching.ClosedWithExceptions, "Closed.")
	closed := w.build()
	m := find(t, closed, w.of("early")[0].item.Asset)
	assert.Equal(t, report.GroupException, m.Group)
	assert.Equal(t, "patched, not confirmed", m.Words)
	assert.Contains(t, closed.Summary.Sentences, "2 machines said that they are patched, but no fresh inventory confirmed it: they are not counted as covered.")
}

// Serves G9: what had gone wrong is still told of a machine that went back.
func TestAMachineThatWentBackKeepsTheFailureThatLedToIt(t *testing.T) {
	w := backedOut(t)
	d := w.build()
	m := find(t, d, w.of("early")[1].item.Asset)
	assert.Equal(t, patching.RolledBack, m.Outcome)
	assert.Equal(t, "rolled back", m.Words)
	assert.Equal(t, "A service that ran before the patch does not run after it (libssl3: nginx.service).", m.Before)
	assert.Empty(t, find(t, d, w.of("early")[5].item.Asset).Before, "it had gone well there")
	require.NotEmpty(t, d.Failures.Groups)
	assert.Equal(t, 8, d.Failures.Machines)
	assert.Equal(t, "the gate of ring early", find(t, d, w.of("broad")[0].item.Asset).Hold.By)
}

// Serves G9: what still differs afterwards is listed.
func TestWhatStaysOnMachinesThatWentBackIsListed(t *testing.T) {
	w := backedOut(t)
	d := w.build()
	assert.Equal(t, []report.Stayed{{Package: "linux-image-6.1.0-40-amd64", Version: "6.1.153-1", Machines: 3}}, d.Stayed)
	assert.Contains(t, d.Summary.Sentences,
		"Still different from before on 3 of them: linux-image-6.1.0-40-amd64 6.1.153-1 is installed, because they run it.")
	assert.Contains(t, d.Record.Way, "Not so what a machine has come to run: linux-image-6.1.0-40-amd64 6.1.153-1 would stay there.")
	assert.Contains(t, find(t, d, w.of("early")[1].item.Asset).Detail, "linux-image-6.1.0-40-amd64 stays installed")
}

// Serves Q2.
func TestAMachineThatSaysItWentBackIsNotConfirmedByThat(t *testing.T) {
	w := backedOut(t)
	source := unseen{w}
	d, err := report.Build(t.Context(), source, w.cycle.ID, w.now)
	require.NoError(t, err)
	m := find(t, d, w.of("early")[1].item.Asset)
	assert.Equal(t, "rolled back, not confirmed", m.Words)
	assert.Contains(t, m.Why, "no fresh inventory has confirmed it")
}

// unseen is a source in which no machine was looked at after it answered.
type unseen struct{ *world }

func (s unseen) Deployments(ctx context.Context, f store.DeploymentFilter) ([]patching.Deployment, error) {
	all, err := s.world.Deployments(ctx, f)
	for i := range all {
		all[i].Verified = time.Time{}
	}
	return all, err
}

// Serves U1, G6: who voted, with the roles of that day, and who was turned away.
func TestEveryVoteIsToldAndEveryAttemptThatDidNotCount(t *testing.T) {
	w := begun(t, 4, 2, 1, nil)
	w.tested(patched)
	w.makePlan(2)
	w.vote("ana", patching.Approve, "api", "", "the author of a cycle cannot approve it.")
	w.after(time.Second).audit("ada", "send-back", string(w.cycle.ID), "refused by the API: it takes one of the roles [approver].")
	w.after(time.Second).vote("", patching.Approve, "signal", "please", "Temporal's server does not say who sent it; use the CLI or the API.")
	w.after(time.Second).audit("", "reject", string(w.cycle.ID), "a body of another shape")
	w.after(time.Second).vote("ben", patching.Approve, "signal", "fine", "")
	votes := w.build().Approval.Votes
	require.Len(t, votes, 5)
	assert.Equal(t, []patching.Role{patching.RoleAuthor, patching.RoleApprover}, votes[0].Roles)
	assert.Equal(t, patching.SendBack, votes[1].Verdict)
	assert.Equal(t, "it takes one of the roles [approver].", votes[1].Refused)
	assert.Equal(t, "Temporal's server does not say who sent it; use the CLI or the API.", votes[2].Refused)
	assert.Equal(t, "please", votes[2].Reason)
	assert.Equal(t, "nobody knows who sent it.", votes[3].Refused)
	assert.Empty(t, votes[4].Refused)
	assert.Equal(t, []patching.AccountName{"ben"}, w.build().Record.Approved)
}

// damaged is a source with something wrong in it.
type damaged struct {
	*world
	chain, bundles, gate, down bool
}

func (s damaged) VerifyAudit(ctx context.Context) (int64, error) {
	if s.chain {
		return 3, fmt.Errorf("verify the audit record: %w: entry 4 was changed after it was written", store.ErrBrokenChain)
	}
	return s.world.VerifyAudit(ctx)
}

func (s damaged) Contents(ctx context.Context, ds []patching.Digest) (map[patching.Digest][]byte, error) {
	texts, err := s.world.Contents(ctx, ds)
	if s.bundles && len(ds) > 1 {
		delete(texts, ds[0])
		texts[ds[1]] = []byte("bundle v1\tapt\nnonsense\n")
	}
	return texts, err
}

func (s damaged) Decisions(ctx context.Context, c patching.CycleID) ([]store.DecisionRow, error) {
	rows, err := s.world.Decisions(ctx, c)
	if s.gate {
		rows[0].Decision.Why = "All is well."
	}
	return rows, err
}

func (s damaged) Tasks(ctx context.Context, f store.TaskFilter) ([]patching.Task, error) {
	if s.down {
		return nil, errors.New("the database is gone")
	}
	return s.world.Tasks(ctx, f)
}

// Serves G10, U5: a report says what it could not read, and what was changed.
func TestWhatIsDamagedIsSaidAndNotHidden(t *testing.T) {
	w := successful(t)
	build := func(s damaged) *report.Document {
		s.world = w
		d, err := report.Build(t.Context(), s, w.cycle.ID, w.now)
		require.NoError(t, err)
		return d
	}
	d := build(damaged{chain: true})
	assert.Contains(t, string(html(t, d)), "The record of decisions does not hold")
	assert.Contains(t, d.Evidence.Broken, "entry 4 was changed")

	d = build(damaged{bundles: true})
	require.Len(t, d.Gaps, 2)
	assert.Contains(t, d.Gaps[0], "is not in the store any more")
	assert.Contains(t, d.Gaps[1], "cannot be read")
	assert.Contains(t, string(html(t, d)), "Missing from this report")
	assert.Equal(t, 14, d.Total)

	d = build(damaged{gate: true})
	assert.Equal(t, len(d.Evidence.Decisions)-1, d.Evidence.Again)
	assert.Contains(t, d.Evidence.Decisions[0].Differs, "the same numbers give")

	_, err := report.Build(t.Context(), damaged{world: w, down: true}, w.cycle.ID, w.now)
	require.ErrorContains(t, err, "the database is gone")
	_, err = report.Build(t.Context(), w, "cycle/none/2026-01.1", w.now)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestTheSummarySaysWhyACycleEndedEarlyAndWhoMustAct(t *testing.T) {
	w := begun(t, 6, 2, 2, nil)
	w.tested(patched)
	w.makePlan(2)
	w.asked()
	s := w.build().Summary
	assert.True(t, s.MustAct)
	assert.Equal(t, "Somebody must act: see above what the cycle waits for.", s.Act)
	w.after(time.Hour).vote("ben", patching.Reject, "api", "bad week", "")
	w.end(store.EndSpec{States: []patching.DeploymentState{patching.DeploymentPlanned}, Outcome: patching.Deferred, Reason: patching.ReasonNotApproved, Detail: "ben rejected the plan: bad week"})
	w.close(patching.ClosedCancelled, "Closed: cancelled. 2 patched, 4 deferred. It ended early: ben rejected the plan: bad week. Tasks for people: 0.")
	d := w.build()
	assert.Equal(t, "cancelled", d.Standing)
	assert.Contains(t, d.Summary.Sentences, "It ended early: ben rejected the plan: bad week.")
	assert.False(t, d.Summary.MustAct)
	assert.Equal(t, &report.Hold{By: "ben", Until: "a plan is approved"}, find(t, d, w.fleet[5].item.Asset).Hold)
	assert.Contains(t, string(html(t, d)), "Closed: cancelled")
}

// Serves U4: the same record, with why it was called.
func TestTheReportOfAnEmergencySaysWhyItWasCalled(t *testing.T) {
	w := newWorld(t, 6)
	w.open(func(c *patching.Cycle) {
		c.ID, c.Kind, c.Reason = patching.NewEmergencyID(policyName, "cve-2026-0001"), patching.Emergency, "CVE-2026-0001 is exploited"
	})
	w.prepare(2, 2, nil)
	d := w.build()
	assert.Contains(t, d.Summary.Sentences[0], "The emergency cycle of policy web has been open since")
	assert.Contains(t, d.Summary.Sentences, "It was called because: CVE-2026-0001 is exploited.")
	assert.Equal(t, patching.CycleID("emergency/web/cve-2026-0001"), d.Record.Number)
}

func TestAReportOfACycleWithoutAPlanCanBeMade(t *testing.T) {
	w := newWorld(t, 2)
	w.open(nil)
	d := w.build()
	assert.Zero(t, d.Total)
	page := string(html(t, d))
	assert.Contains(t, page, "No machine is in the cycle yet.")
	assert.NotContains(t, page, "NaN")
	assert.Contains(t, page, "2 machines on file are not concerned by the policy", "they are in no plan yet")
}

// Render is what the activities ask of it.
var _ interface {
	Render(ctx context.Context, id patching.CycleID) (string, error)
} = report.Files{}

func TestRenderingWritesBothFilesCompleteOrNotAtAll(t *testing.T) {
	w := successful(t)
	dir := t.TempDir()
	f := report.Files{Dir: dir, Source: w, Now: func() time.Time { return w.now }}
	file, err := f.Render(t.Context(), w.cycle.ID)
	require.NoError(t, err)
	assert.Equal(t, filepath.Join(dir, "cycle_web_2026-01.1", "report.html"), file)
	for _, name := range []string{file, filepath.Join(filepath.Dir(file), "report.json")} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o644), info.Mode())
	}
	golden(t, "successful.html", read(t, file))

	require.NoError(t, os.WriteFile(file, []byte("an earlier report"), 0o600))
	again, err := f.Render(t.Context(), w.cycle.ID)
	require.NoError(t, err)
	assert.Equal(t, file, again)
	golden(t, "successful.html", read(t, file))
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	assert.Len(t, left, 2, "no unfinished file stays")

	_, err = report.Files{Dir: filepath.Join(file, "no folder"), Source: w, Now: f.Now}.Render(t.Context(), w.cycle.ID)
	require.ErrorContains(t, err, "make the report's folder")
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return text
}

func TestNoTwoCyclesShareAFolderAndNoneLeavesItsOwn(t *testing.T) {
	for _, id := range []patching.CycleID{"", ".", ".."} {
		_, err := report.Folder(id)
		require.Error(t, err, "%q", id)
	}
	name := rapid.StringMatching(`[a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		id := func(label string) patching.CycleID {
			return patching.NewEmergencyID(patching.PolicyName(name.Draw(t, label+" policy")), name.Draw(t, label+" slug"))
		}
		a, b := id("a"), id("b")
		x, err := report.Folder(a)
		require.NoError(t, err)
		y, err := report.Folder(b)
		require.NoError(t, err)
		require.Equal(t, a == b, x == y)
		require.Equal(t, x, filepath.Base(x))
	})
	one, err := report.Folder("emergency/p_q/r")
	require.NoError(t, err)
	other, err := report.Folder("emergency/p/q_r")
	require.NoError(t, err)
	assert.NotEqual(t, one, other)
}

// Serves Q5, Q8: the report says what failures had in common, how sure that is, and
// what people do about it, also of a ring that went back.
func TestTheReportSaysWhatFailuresHadInCommon(t *testing.T) {
	w := begun(t, 80, 4, 60, nil)
	w.tested(patched)
	w.makePlan(2)
	w.asked()
	w.phase(patching.PhaseDeploy, "Patching ring early (2 of 3). Nobody has to act.")
	w.ringed("early", func(n int, m *machine) *patching.Receipt {
		if m.item.Site == "tokyo" {
			return failed(patching.ReasonUntrusted, "untrusted", "The index is not signed by a key that the machine trusts.")
		}
		return patched(n, m)
	})
	w.wrapUp()
	d := w.build()
	require.Len(t, d.Failures.Common, 2)
	require.Equal(t, []patching.RingName{"", "early"}, []patching.RingName{d.Failures.Common[0].Ring, d.Failures.Common[1].Ring})
	c := d.Failures.Common[1].Causes[0]
	require.Equal(t, []any{"site", "tokyo", patching.CauseRelay, 15, 15, 0, 45}, []any{c.Kind, c.Name, c.LaidTo, c.Failed, c.Machines, c.OthersFailed, c.Others})
	require.Less(t, c.Chance, 1e-9)
	page := string(html(t, d))
	require.Contains(t, page, "In common on ring early.</strong> 15 of 60 machines failed. Of 15 machines at the site tokyo 15 failed, of the others 0 of 45: "+
		"by chance that happens less than once in 1,000,000 times.")
	require.Contains(t, page, "<p>About the site tokyo, laid to the relay:</p>\n<ul><li>Look after the site tokyo: its line, its relays, its power.</li>")
}

// Serves G6, G8: the review stays open past the close, and the report has its end.
func TestAReportShowsWhoBrokeTheGlassAndWhatTheirReviewFound(t *testing.T) {
	w := successful(t)
	review := patching.Task{
		ID: "t-7", Cycle: w.cycle.ID, Cause: patching.ReasonBreakGlass, Tried: "Signed by ana: \"exploited tonight\". It let through ring early (3 machines).",
		Steps: "Ask ana.", Opened: w.now, Due: w.now.AddDate(0, 0, 7), State: patching.TaskOpen, NotBy: []patching.AccountName{"ana"},
	}
	w.must(w.PutTasks(t.Context(), []patching.Task{review}))
	page := func() string {
		var b strings.Builder
		w.must(w.build().HTML(&b))
		return b.String()
	}
	d := w.build()
	require.True(t, d.Summary.MustAct, d.Summary.Act)
	require.Len(t, d.Approval.Reviews, 1)
	require.Equal(t, report.Review{Task: "t-7", Words: review.Tried, Signed: review.NotBy, Opened: review.Opened, Due: review.Due}, d.Approval.Reviews[0])
	require.Contains(t, page(), "exploited tonight")
	require.Contains(t, page(), "<strong>Open</strong>, due ")

	review.State, review.Closed, review.TakenBy, review.Note = patching.TaskDone, w.now.Add(time.Hour), "sam", "it was exploited that night"
	w.must(w.SaveTask(t.Context(), review))
	require.False(t, w.build().Summary.MustAct)
	require.Contains(t, page(), "Done by sam, ")
	require.Contains(t, page(), "“it was exploited that night”")
}
