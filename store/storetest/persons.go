package storetest

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
)

// Serves G6.
func people(t *testing.T, s *store.Store) {
	ctx := context.Background()
	put := func(a patching.Account) time.Time {
		t.Helper()
		require.NoError(t, s.PutAccount(ctx, a))
		time.Sleep(2 * time.Millisecond) // versions are told apart by the store's clock
		now := time.Now()
		time.Sleep(2 * time.Millisecond)
		return now
	}
	ana := patching.Account{
		Name: "ana", Roles: []patching.Role{patching.RoleApprover}, Scopes: []string{"*"}, SSHKeys: []string{"ssh-ed25519 AAAA ana@host"},
		Token: patching.DigestOf([]byte("first token")), Created: noon,
	}
	start := time.Now()
	time.Sleep(2 * time.Millisecond)
	asApprover := put(ana)
	auditor := ana
	auditor.Roles, auditor.Scopes, auditor.Token = []patching.Role{patching.RoleAuditor}, []string{"policy:servers"}, patching.DigestOf([]byte("second token"))
	asAuditor := put(auditor)
	revoked := auditor
	revoked.Revoked = at(10)

	t.Run("an account is its newest version", func(t *testing.T) {
		got, err := s.Account(ctx, "ana")
		require.NoError(t, err)
		same(t, auditor, got)
		_, err = s.Account(ctx, "nobody")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("only the newest version's token opens it", func(t *testing.T) {
		got, err := s.AccountByToken(ctx, auditor.Token)
		require.NoError(t, err)
		same(t, auditor, got)
		_, err = s.AccountByToken(ctx, ana.Token)
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("an account without a token is not opened by no token", func(t *testing.T) {
		put(patching.Account{Name: "service", Created: noon})
		_, err := s.AccountByToken(ctx, "")
		require.ErrorIs(t, err, store.ErrNotFound)
	})
	t.Run("a revoked account is opened by nothing, and can be looked at", func(t *testing.T) {
		put(revoked)
		_, err := s.AccountByToken(ctx, auditor.Token)
		require.ErrorIs(t, err, store.ErrNotFound)
		got, err := s.Account(ctx, "ana")
		require.NoError(t, err)
		same(t, revoked, got)
	})
	t.Run("who held which role on a past day can be asked", func(t *testing.T) {
		for _, c := range []struct {
			asOf time.Time
			want []patching.Account
		}{
			{start, nil},
			{asApprover, []patching.Account{ana}},
			{asAuditor, []patching.Account{auditor}},
			{time.Time{}, []patching.Account{revoked, {Name: "service", Created: noon}}},
		} {
			got, err := s.Accounts(ctx, c.asOf)
			require.NoError(t, err)
			same(t, c.want, got)
		}
	})
}

func votes(t *testing.T, s *store.Store) {
	f := with(t, s, "votes")
	t.Run("a request comes back as it was authenticated, and a second one of that id does not replace it", func(t *testing.T) {
		r := store.Request{ID: "req-1", Account: "ana", Verb: "approve", Cycle: f.cycle(), Plan: f.digest("plan"), Body: `{"a":1}`, Reason: "looks good", At: noon}
		require.NoError(t, s.PutRequest(f.ctx, r))
		forged := r
		forged.Account = "eve"
		require.NoError(t, s.PutRequest(f.ctx, forged))
		got, err := s.Request(f.ctx, "req-1")
		require.NoError(t, err)
		same(t, r, got)
		_, err = s.Request(f.ctx, "req-2")
		require.ErrorIs(t, err, store.ErrNotFound)
		all, err := s.Requests(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, []store.Request{r}, all)
	})
	t.Run("votes come oldest first, with those that do not count, and each once", func(t *testing.T) {
		later := patching.Approval{Cycle: f.cycle(), Plan: f.digest("plan"), Account: "bob", Verdict: patching.Approve, Via: "signal", At: at(2), Refused: "bob wrote the policy"}
		earlier := patching.Approval{Cycle: f.cycle(), Plan: f.digest("plan"), Account: "ana", Verdict: patching.Approve, Reason: "ok", Via: "api", At: at(1), Key: "SHA256:abc", Paper: f.digest("paper")}
		for _, a := range []patching.Approval{later, earlier, later} {
			require.NoError(t, s.AddApproval(f.ctx, a))
		}
		got, err := s.Approvals(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, []patching.Approval{earlier, later}, got)
	})
	// Serves G8.
	t.Run("a decision comes back with the inputs to run it again", func(t *testing.T) {
		params, tally := []byte("gate counts v1\nmax bad\t2\n"), []byte("tally v1\n…")
		row := store.DecisionRow{Cycle: f.cycle(), Subject: "ring/broad", ParamsText: params, TallyText: tally, Decision: patching.Decision{
			Verb: patching.Wait, Until: at(60), Why: "12 machines have not answered.", Gate: "counts v1",
			Params: patching.DigestOf(params), Tally: patching.DigestOf(tally), At: noon,
		}}
		next := row
		next.Decision.Verb, next.Decision.At, next.Decision.Until = patching.Halt, at(5), time.Time{}
		for _, r := range []store.DecisionRow{row, next, row} {
			require.NoError(t, s.AddDecision(f.ctx, r))
		}
		got, err := s.Decisions(f.ctx, f.cycle())
		require.NoError(t, err)
		same(t, []store.DecisionRow{row, next}, got)
	})
	t.Run("a decision whose inputs are not those that it names is refused", func(t *testing.T) {
		err := s.AddDecision(f.ctx, store.DecisionRow{
			Cycle: f.cycle(), Subject: "ring/broad", ParamsText: []byte("a"), TallyText: []byte("b"),
			Decision: patching.Decision{Verb: patching.Proceed, Params: patching.DigestOf([]byte("a")), Tally: patching.DigestOf([]byte("c")), At: noon},
		})
		require.ErrorContains(t, err, "inputs")
	})
}

// Serves G21.
func tasks(t *testing.T, s *store.Store) {
	f := with(t, s, "tasks")
	task := func(i int) patching.Task {
		return patching.Task{
			ID: patching.TaskID(f.asset(i)), Cycle: f.cycle(), Asset: f.asset(i), Cause: patching.ReasonNoBoot, Tried: "two restarts", Steps: "1. Look.\n2. Act.",
			Owner: "ana", Due: at(1000 - i), Opened: noon, State: patching.TaskOpen,
		}
	}
	require.NoError(t, s.PutTasks(f.ctx, []patching.Task{task(1), task(2), task(2), task(3)}))
	t.Run("a task that somebody took is not opened again by putting it again", func(t *testing.T) {
		taken := task(1)
		taken.State, taken.TakenBy, taken.Note = patching.TaskTaken, "bob", "on my way"
		require.NoError(t, s.SaveTask(f.ctx, taken))
		require.NoError(t, s.PutTasks(f.ctx, []patching.Task{task(1)}))
		got, err := s.Task(f.ctx, task(1).ID)
		require.NoError(t, err)
		same(t, taken, got)
	})
	t.Run("a task that is done stays done, and saving it again as it is is no error", func(t *testing.T) {
		done := task(2)
		done.State, done.Closed = patching.TaskDone, at(50)
		require.NoError(t, s.SaveTask(f.ctx, done))
		require.NoError(t, s.SaveTask(f.ctx, done))
		require.ErrorIs(t, s.SaveTask(f.ctx, task(2)), store.ErrFinal)
		got, err := s.Task(f.ctx, task(2).ID)
		require.NoError(t, err)
		same(t, done, got)
	})
	t.Run("a rescan that disagrees opens a task again", func(t *testing.T) {
		checking := task(3)
		checking.State = patching.TaskChecking
		require.NoError(t, s.SaveTask(f.ctx, checking))
		require.NoError(t, s.SaveTask(f.ctx, task(3)))
		got, err := s.Task(f.ctx, task(3).ID)
		require.NoError(t, err)
		require.Equal(t, patching.TaskOpen, got.State)
	})
	t.Run("a review keeps who cannot close it", func(t *testing.T) {
		review := patching.Task{
			ID: "t-review", Cycle: "cycle/tasks/reviewed", Cause: patching.ReasonBreakGlass, Opened: noon, State: patching.TaskOpen,
			NotBy: []patching.AccountName{"ana", "ben"},
		}
		require.NoError(t, s.PutTasks(f.ctx, []patching.Task{review}))
		review.State, review.TakenBy, review.Closed, review.Note = patching.TaskDone, "cy", at(60), "it was exploited that night"
		require.NoError(t, s.SaveTask(f.ctx, review))
		got, err := s.Task(f.ctx, review.ID)
		require.NoError(t, err)
		same(t, review, got)
	})
	t.Run("lists are by due date, those without one last, and narrowed as asked", func(t *testing.T) {
		someday := task(9)
		someday.Due = time.Time{}
		require.NoError(t, s.PutTasks(f.ctx, []patching.Task{someday}))
		ids := func(want store.TaskFilter) (out []patching.TaskID) {
			t.Helper()
			got, err := s.Tasks(f.ctx, want)
			require.NoError(t, err)
			for _, k := range got {
				out = append(out, k.ID)
			}
			return out
		}
		require.Equal(t, []patching.TaskID{task(3).ID, task(1).ID, someday.ID}, ids(store.TaskFilter{Cycle: f.cycle(), Open: true}))
		require.Equal(t, []patching.TaskID{task(3).ID}, ids(store.TaskFilter{Owner: "ana", Limit: 1}))
		require.Equal(t, []patching.TaskID{task(2).ID}, ids(store.TaskFilter{Asset: f.asset(2)}))
		require.Empty(t, ids(store.TaskFilter{Owner: "bob"}))
	})
	t.Run("a task that is not there is neither found nor saved", func(t *testing.T) {
		_, err := s.Task(f.ctx, "nobody")
		require.ErrorIs(t, err, store.ErrNotFound)
		require.ErrorIs(t, s.SaveTask(f.ctx, patching.Task{ID: "nobody"}), store.ErrNotFound)
	})
}
