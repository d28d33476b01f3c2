package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
)

func (f fixture) noticeOf(k notice.Kind, i int) notice.Notice {
	return notice.Notice{
		ID: notice.ID(fmt.Sprintf("%s/%s/%d", k, f.name, i)), Kind: k, Severity: notice.Routine, Site: "bern", Policy: "monthly", Owner: "ana",
		Subject: fmt.Sprintf("host-%d", i), Words: "not heard since noon", At: at(i),
	}
}

// queued returns what is on record after a number.
func (f fixture) queued(after int64) []notice.Queued {
	f.Helper()
	got, err := f.Notices(f.ctx, after, 1000)
	require.NoError(f, err)
	return got
}

// Serves G4.
func notices(t *testing.T, s *store.Store) {
	f := with(t, s, "notices")
	silent := func(i ...int) (found notice.Found) {
		found.Whole = []notice.Kind{notice.AgentSilent}
		for _, n := range i {
			found.Notices = append(found.Notices, f.noticeOf(notice.AgentSilent, n))
		}
		return found
	}
	queue := func(found notice.Found, minute int) int {
		t.Helper()
		n, err := s.QueueNotices(f.ctx, found, at(minute))
		require.NoError(t, err)
		return n
	}
	t.Run("a notice comes back as it was, and noticed again it is on record once", func(t *testing.T) {
		event := f.noticeOf(notice.KnownIssue, 9)
		require.Equal(t, 3, queue(notice.Found{Notices: []notice.Notice{event, f.noticeOf(notice.AgentSilent, 1), event, f.noticeOf(notice.AgentSilent, 2)}}, 10))
		require.Zero(t, queue(silent(1, 2), 20))
		got := f.queued(0)
		require.Len(t, got, 3)
		event.At = event.At.UTC()
		same(t, notice.Queued{Notice: event, Seq: 1, Recorded: at(10)}, got[0])
		require.Len(t, f.queued(2), 1)
	})
	t.Run("what is no longer found is over, events and other kinds stay as they are", func(t *testing.T) {
		require.Equal(t, 1, queue(silent(2, 3), 30))
		over := map[string]time.Time{}
		for _, q := range f.queued(0) {
			over[q.Subject] = q.Over
		}
		same(t, map[string]time.Time{"host-9": {}, "host-1": at(30), "host-2": {}, "host-3": {}}, over)
		require.Zero(t, queue(silent(1, 2, 3), 40), "what was over stays over")
		queue(silent(), 50)
		require.Zero(t, queue(silent(), 60))
		for _, q := range f.queued(0) {
			require.Equal(t, q.Kind == notice.KnownIssue, q.Over.IsZero(), q.Subject)
		}
	})
	t.Run("what a stranger wrote can be kept", func(t *testing.T) {
		odd := f.noticeOf(notice.KnownIssue, 10)
		odd.ID, odd.Words, odd.Subject = "odd\x00", "a\x00b\xff\r\nBcc: x", "\x00"
		require.Equal(t, 1, queue(notice.Found{Notices: []notice.Notice{odd}}, 70))
		require.Zero(t, queue(notice.Found{Notices: []notice.Notice{odd}}, 80))
	})
	t.Run("what many put on record at once has numbers without gaps", func(t *testing.T) {
		before := f.queued(0)
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				var all []notice.Notice
				for i := range 20 { // half of them are another's too
					all = append(all, f.noticeOf(notice.NewPatches, 10*w+i))
				}
				if _, err := s.QueueNotices(f.ctx, notice.Found{Notices: all}, at(90)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got := f.queued(0)
		require.Len(t, got, len(before)+90)
		for i, q := range got {
			require.EqualValues(t, i+1, q.Seq)
		}
	})
}

// Serves G4, G11.
func muteMachines(t *testing.T, s *store.Store) {
	f := with(t, s, "mute")
	f.enrol(3)
	got, err := s.Mute(f.ctx, at(60), "", 10)
	require.NoError(t, err)
	require.Len(t, got, 3)
	same(t, notice.Mute{Asset: f.asset(1), Hostname: string(f.asset(1)), Site: "bern", Since: noon, Never: true}, got[0])
	got, err = s.Mute(f.ctx, at(60), f.asset(1), 1)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, f.asset(2), got[0].Asset)
	got, err = s.Mute(f.ctx, noon, "", 10)
	require.NoError(t, err)
	require.Empty(t, got)
	require.NoError(t, s.SetDeviceState(f.ctx, f.device(2), patching.DeviceRevoked))
	got, err = s.Mute(f.ctx, at(60), "", 10)
	require.NoError(t, err)
	require.Len(t, got, 2, "nobody waits for an agent that was sent away")

	require.NoError(t, s.Listened(f.ctx, "server", at(0), time.Minute))
	require.NoError(t, s.Listened(f.ctx, "server", at(1), time.Minute))
	require.NoError(t, s.Listened(f.ctx, "server", at(10), time.Minute))
	spans, err := s.Spans(f.ctx, "server", at(0))
	require.NoError(t, err)
	require.Len(t, spans, 2)
	same(t, notice.Span{Since: at(0), Until: at(1)}, spans[0])
}

// Serves G4, G6.
func digests(t *testing.T, s *store.Store) {
	f := with(t, s, "digests")
	to := notice.Recipient{Name: "ops", Roles: patching.Roles(), Lines: 5}
	_, err := s.QueueNotices(f.ctx, notice.Found{Notices: []notice.Notice{f.noticeOf(notice.KnownIssue, 1), f.noticeOf(notice.KnownIssue, 2)}}, at(0))
	require.NoError(t, err)
	compose := func() notice.Digest {
		t.Helper()
		told, err := s.ToldUpTo(f.ctx, "ops", notice.Digests)
		require.NoError(t, err)
		c := notice.Compose(to, notice.Digests, told.Seq)
		for _, q := range f.queued(told.Seq) {
			c.Add(q)
		}
		return c.Digest("fleet", at(5).UTC())
	}
	first := compose()
	t.Run("a message and how far its recipient was told are one fact", func(t *testing.T) {
		require.Equal(t, 2, first.Total)
		require.NoError(t, s.KeepDigest(f.ctx, first))
		require.NoError(t, s.KeepDigest(f.ctx, first), "again it is the same")
		told, err := s.ToldUpTo(f.ctx, "ops", notice.Digests)
		require.NoError(t, err)
		same(t, store.Told{Seq: 2, Last: at(5)}, told)
		require.Zero(t, compose().Total, "nothing is left to tell")
		other, err := s.ToldUpTo(f.ctx, "ops", notice.Alerts)
		require.NoError(t, err)
		require.Zero(t, other)
	})
	t.Run("to pass notices moves forward only, and is no message", func(t *testing.T) {
		require.NoError(t, s.SkipNotices(f.ctx, "ops", notice.Digests, 7))
		require.NoError(t, s.SkipNotices(f.ctx, "ops", notice.Digests, 3))
		told, err := s.ToldUpTo(f.ctx, "ops", notice.Digests)
		require.NoError(t, err)
		same(t, store.Told{Seq: 7, Last: at(5)}, told)
	})
	t.Run("a try that broke off is on record, and the message is still to be sent", func(t *testing.T) {
		require.NoError(t, s.BeginTry(f.ctx, first.ID, at(6)))
		got, err := s.PendingDigests(f.ctx)
		require.NoError(t, err)
		require.Len(t, got, 1)
		same(t, store.Outgoing{Digest: first, State: store.DigestPending, Next: at(5), Tries: 1}, got[0])
	})
	t.Run("a try that failed says why and when the next one is", func(t *testing.T) {
		require.NoError(t, s.BeginTry(f.ctx, first.ID, at(7)))
		require.NoError(t, s.EndTry(f.ctx, store.TryEnd{Digest: first.ID, Began: at(7), Ended: at(8), Words: "421\x00 busy", State: store.DigestPending, Next: at(9)}))
		got, err := s.PendingDigests(f.ctx)
		require.NoError(t, err)
		same(t, store.Outgoing{Digest: first, State: store.DigestPending, Failed: 1, Next: at(9), Tries: 2, Words: "421\uFFFD busy"}, got[0])
	})
	t.Run("a message that was sent is sent for good", func(t *testing.T) {
		require.NoError(t, s.BeginTry(f.ctx, first.ID, at(9)))
		end := store.TryEnd{Digest: first.ID, Began: at(9), Ended: at(10), State: store.DigestSent}
		require.NoError(t, s.EndTry(f.ctx, end))
		require.ErrorIs(t, s.EndTry(f.ctx, end), store.ErrFinal)
		none, err := s.PendingDigests(f.ctx)
		require.NoError(t, err)
		require.Empty(t, none)
		got, err := s.Digests(f.ctx, store.DigestFilter{Recipient: "ops", Limit: 5})
		require.NoError(t, err)
		require.Len(t, got, 1)
		same(t, store.Outgoing{Digest: first, State: store.DigestSent, Failed: 1, Tries: 3, Ended: at(10)}, got[0])
		got, err = s.Digests(f.ctx, store.DigestFilter{Recipient: "nobody"})
		require.NoError(t, err)
		require.Empty(t, got)
	})
}

func oldNotices(t *testing.T, s *store.Store) {
	f := with(t, s, "old")
	_, err := s.QueueNotices(f.ctx, notice.Found{Notices: []notice.Notice{
		f.noticeOf(notice.KnownIssue, 1), f.noticeOf(notice.AgentSilent, 2), f.noticeOf(notice.SupportEnds, 3), f.noticeOf(notice.KnownIssue, 4),
	}}, at(0))
	require.NoError(t, err)
	_, err = s.QueueNotices(f.ctx, notice.Found{Whole: []notice.Kind{notice.SupportEnds}}, at(1))
	require.NoError(t, err)
	for i, state := range []store.DigestState{store.DigestSent, store.DigestPending} {
		id := notice.DigestID(fmt.Sprint("n-", i))
		require.NoError(t, s.KeepDigest(f.ctx, notice.Digest{ID: id, Recipient: "ops", Lane: notice.Digests, Made: at(i), Upto: 4}))
		require.NoError(t, s.BeginTry(f.ctx, id, at(2)))
		require.NoError(t, s.EndTry(f.ctx, store.TryEnd{Digest: id, Began: at(2), Ended: at(3), State: state}))
	}
	require.NoError(t, s.PruneNotices(f.ctx, at(0)))
	require.Len(t, f.queued(0), 4, "none of them is from before")
	require.NoError(t, s.PruneNotices(f.ctx, at(10)))
	var left []string
	for _, q := range f.queued(0) {
		left = append(left, q.Subject)
	}
	require.Equal(t, []string{"host-2", "host-4"}, left, "what holds, and the newest number")
	got, err := s.Digests(f.ctx, store.DigestFilter{})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, store.DigestPending, got[0].State)
	require.Equal(t, 1, got[0].Tries)
	n, err := s.QueueNotices(f.ctx, notice.Found{Notices: []notice.Notice{f.noticeOf(notice.AgentSilent, 2)}}, at(20))
	require.NoError(t, err)
	require.Zero(t, n, "what still holds is not told anew")
}
