package notices_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/integrations/notify"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/patching/notice"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/worker/notices"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// house has a real store and a program that takes messages over HTTPS.
type house struct {
	t     *testing.T
	store *store.Store
	dir   string
	url   string
	now   time.Time
	found notice.Found // what a part of the product notices

	mu    sync.Mutex
	fails int // how many messages are refused before one is taken
	posts []post
}

type post struct {
	id  string
	got notify.Payload
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	h := &house{t: t, store: s, dir: t.TempDir(), now: noon}
	server := httptest.NewTLSServer(http.HandlerFunc(h.take))
	t.Cleanup(server.Close)
	h.url = server.URL
	h.write("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	h.write("chat.secret", "a secret of more than 24 bytes")
	return h
}

func (h *house) take(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	p := post{id: r.Header.Get(notify.HeaderID)}
	if err := json.Unmarshal(body, &p.got); err != nil {
		h.t.Error(err)
	}
	if h.fails > 0 {
		h.fails--
		http.Error(w, "no room", http.StatusServiceUnavailable)
		return
	}
	h.posts = append(h.posts, p)
}

// arrived returns the messages that were taken, a repeated one once, as whoever keeps
// to the ids does.
func (h *house) arrived() []notify.Payload {
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]bool{}
	var out []notify.Payload
	for _, p := range h.posts {
		if !seen[p.id] {
			seen[p.id] = true
			out = append(out, p.got)
		}
	}
	return out
}

func (h *house) write(name, text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o600))
}

// tell writes the file with recipients of the webhook; what comes after their channel.
func (h *house) tell(recipients map[string]string) {
	h.t.Helper()
	text := "webhooks:\n- name: chat\n  url: " + h.url + "\n  ca_file: ca.pem\n  secret_file: chat.secret\nrecipients:\n"
	for name, more := range recipients {
		text += "- name: " + name + "\n  webhook: chat\n" + more
	}
	h.write("notify.yaml", text)
}

const toOps = "  roles: [operator, approver, site-admin]\n"

func (h *house) Name() string { return "a test" }

func (h *house) Notices(context.Context, time.Time) (notice.Found, error) { return h.found, nil }

// keeper is a server that was started anew.
func (h *house) keeper(record notices.Record) *notices.Keeper {
	return &notices.Keeper{
		Record: record, File: filepath.Join(h.dir, "notify.yaml"), Fleet: "fleet", Sources: []notices.Source{h},
		Now: func() time.Time { return h.now }, Log: zaptest.NewLogger(h.t),
	}
}

// rounds lets so many minutes pass.
func (h *house) rounds(k *notices.Keeper, minutes int) {
	h.t.Helper()
	for range minutes {
		require.NoError(h.t, k.Round(h.t.Context()))
		h.now = h.now.Add(time.Minute)
	}
}

func issue(i int) notice.Notice {
	return notice.Notice{
		ID: notice.ID(fmt.Sprint("known-issue/", i)), Kind: notice.KnownIssue, Severity: notice.Important, Site: "berlin",
		Subject: fmt.Sprint("KB", i), Words: "may not start again", At: noon,
	}
}

func issues(from, to int) (out []notice.Notice) {
	for i := from; i < to; i++ {
		out = append(out, issue(i))
	}
	return out
}

func total(messages []notify.Payload) (n int) {
	for _, m := range messages {
		n += m.Data.Total
	}
	return n
}

// Serves G4.
func TestWithoutAFileNothingIsToldAndWithOneEachThingOnce(t *testing.T) {
	h := newHouse(t)
	k := h.keeper(h.store)
	h.found.Notices = issues(0, 3)
	h.rounds(k, 10)
	require.Empty(t, h.arrived())
	status, err := k.Status(t.Context())
	require.NoError(t, err)
	require.False(t, status.Configured)
	require.NoError(t, status.Problem)

	h.tell(map[string]string{"ops": toOps, "auditor": "  roles: [auditor]\n"})
	h.rounds(k, 10)
	require.Len(t, h.arrived(), 1, "only those whom it concerns")
	require.Equal(t, "[fleet] 3 known issues", h.arrived()[0].Subject)
	require.Equal(t, "ops", h.arrived()[0].Data.Recipient)
	h.rounds(k, 300)
	require.Len(t, h.arrived(), 1)
	h.found.Notices = issues(0, 5)
	h.rounds(k, 300)
	require.Len(t, h.arrived(), 2)
	require.Equal(t, 5, total(h.arrived()))
}

// Serves G4, U1.
func TestRemindersHaltsAndPlansThatWaitReachPeopleFromTheRecord(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"ops": toOps})
	k := h.keeper(h.store)
	ctx := t.Context()
	say := func(actor, verb, subject, body string) {
		t.Helper()
		_, err := h.store.AppendAudit(ctx, patching.AuditEntry{At: h.now, Actor: actor, Verb: verb, Subject: subject, Body: body})
		require.NoError(t, err)
	}
	const cycle = "cycle/monthly/2026-11.1"
	say("patchcycle", "closed", "cycle/monthly/2026-10.1", "of last month")
	h.rounds(k, 2)
	opened, err := h.store.OpenCycle(ctx, patching.Cycle{ID: cycle, Kind: patching.Monthly, Policy: "monthly", Phase: patching.PhaseApproval, Plan: "sha256:1", Words: "Waiting for approval.", Opened: h.now})
	require.NoError(t, err)
	require.True(t, opened)
	say("patchcycle", "reminder", cycle, "still waits")
	h.rounds(k, 1)
	require.Len(t, h.arrived(), 1, "at once; what is past when the file appears is no news")
	require.Equal(t, "[fleet] URGENT: 1 reminder", h.arrived()[0].Subject)
	h.rounds(k, 10)
	require.Len(t, h.arrived(), 2)
	require.Equal(t, "[fleet] 1 plan to approve", h.arrived()[1].Subject)
	require.Contains(t, h.arrived()[1].Text, "- cycle/monthly/2026-11.1: Waiting for approval.\n")

	for i := range 50 {
		say("gate counts v1", "halt", fmt.Sprintf("%s/ring/test/wave/berlin/night/%d", cycle, i), "3 of 10 failed")
		h.rounds(k, 1)
	}
	h.rounds(k, 20)
	alerts := h.arrived()[2:]
	require.LessOrEqual(t, len(alerts), 5, "urgent, and yet no flood: one in a quarter of an hour")
	require.Equal(t, 50, total(alerts), "and all of them are told")
	n, err := h.store.Notices(ctx, 0, 1000)
	require.NoError(t, err)
	require.Len(t, n, 52)
}

// Serves G4, G11: agents that no longer report, by the time in which the path listened.
func TestASilentMachineIsToldUnlessItIsBackOrThePathWasDown(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"ops": toOps + "  quiet: \"13:00-23:00\"\n  zone: UTC\n"})
	ctx := t.Context()
	require.NoError(t, h.store.PutEnrolToken(ctx, store.EnrolToken{Hash: "sha256:t", Site: "berlin", Uses: 9, Expires: noon.Add(time.Hour), AutoAccept: true}))
	for i := range 3 {
		_, err := h.store.Enrol(ctx, "sha256:t", noon, patching.Device{ID: patching.DeviceID(fmt.Sprint("d-", i)), Key: fmt.Append(nil, i)},
			patching.Asset{ID: patching.AssetID(fmt.Sprint("a-", i)), Hostname: fmt.Sprint("web\n", i)})
		require.NoError(t, err)
	}
	listen := func(from time.Time, hours int) {
		t.Helper()
		for m := 0; m <= hours*60; m += 10 {
			require.NoError(t, h.store.Listened(ctx, "server", from.Add(time.Duration(m)*time.Minute), 15*time.Minute))
		}
	}
	k := h.keeper(h.store)
	listen(noon, 20)
	h.now = noon.Add(72 * time.Hour) // the server was down for two days
	h.rounds(k, 10)
	require.Empty(t, h.arrived(), "nobody was silent while nobody listened")
	listen(h.now, 6)
	h.now = h.now.Add(6 * time.Hour) // 18:10, quiet
	h.rounds(k, 10)
	require.Empty(t, h.arrived())
	n, err := h.store.Notices(ctx, 0, 10)
	require.NoError(t, err)
	require.Len(t, n, 3)
	// Before the morning two of them are heard again.
	require.NoError(t, h.store.SetDeviceState(ctx, "d-2", patching.DeviceRevoked))
	require.NoError(t, h.store.SetDeviceState(ctx, "d-1", patching.DeviceRevoked))
	h.now = h.now.Add(6 * time.Hour)
	h.rounds(k, 10)
	require.Len(t, h.arrived(), 1)
	require.Equal(t, "[fleet] 1 silent machine", h.arrived()[0].Subject)
	require.Contains(t, h.arrived()[0].Text, "\nMachines whose agent no longer reports at berlin: 1\n- web 0: enrolled on 20 Nov 2026 12:00 UTC and never heard since\n")
}

func TestAFileWithAMistakeChangesNothingAndIsNamed(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"ops": toOps})
	k := h.keeper(h.store)
	h.rounds(k, 1)
	h.write("notify.yaml", "recipients:\n- name: ops\n  roles: [boss]\n")
	h.found.Notices = issues(0, 2)
	h.rounds(k, 10)
	require.Equal(t, 2, total(h.arrived()))
	status, err := k.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.Configured)
	require.Len(t, status.Recipients, 1)
	require.ErrorContains(t, status.Problem, `notify.yaml:3: roles "boss"`)

	fresh := h.keeper(h.store) // a server that starts with it tells nobody, and says so
	h.rounds(fresh, 1)
	require.ErrorIs(t, fresh.Test(t.Context(), "ops"), notices.ErrNotConfigured)
	require.ErrorContains(t, fresh.Test(t.Context(), "ops"), `roles "boss"`)
	h.tell(map[string]string{"ops": toOps})
	h.rounds(k, 1)
	status, err = k.Status(t.Context())
	require.NoError(t, err)
	require.NoError(t, status.Problem)
}

// Serves G6.
func TestWhoeverIsNoLongerConcernedIsNotTold(t *testing.T) {
	h := newHouse(t)
	ctx := t.Context()
	ana := patching.Account{Name: "ana", Roles: []patching.Role{patching.RoleOperator}, Scopes: []string{"site:berlin"}, Created: noon, Token: "sha256:1"}
	require.NoError(t, h.store.PutAccount(ctx, ana))
	h.tell(map[string]string{"ana": "  account: ana\n", "gone": "  account: nobody\n"})
	k := h.keeper(h.store)
	tokyo := issue(9)
	tokyo.ID, tokyo.Site = "tokyo", "tokyo"
	h.found.Notices = append(issues(0, 2), tokyo)
	h.fails = 3
	h.rounds(k, 7) // made, refused, and to be tried again
	status, err := k.Status(ctx)
	require.NoError(t, err)
	require.Len(t, status.Pending, 1)
	require.Equal(t, 2, status.Pending[0].Total)
	ana.Revoked = h.now
	require.NoError(t, h.store.PutAccount(ctx, ana))
	h.rounds(k, 100)
	require.Empty(t, h.arrived())
	got, err := h.store.Digests(ctx, store.DigestFilter{})
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Equal(t, store.DigestDropped, got[0].State)
}

func TestAMessageThatFailsIsTriedAgainAndWhatIsNewWaitsForTheNext(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"ops": toOps + "  every: 1m\n"})
	k := h.keeper(h.store)
	h.found.Notices = issues(0, 2)
	h.fails = 4
	h.rounds(k, 10)
	h.found.Notices = issues(0, 7)
	h.rounds(k, 5)
	got, err := h.store.Digests(t.Context(), store.DigestFilter{})
	require.NoError(t, err)
	require.Len(t, got, 1, "no other message is made meanwhile")
	require.Equal(t, store.DigestPending, got[0].State)
	require.Contains(t, got[0].Words, "it answers 503 Service Unavailable: no room")
	h.rounds(k, 30)
	require.Len(t, h.arrived(), 2)
	require.Equal(t, 2, h.arrived()[0].Data.Total)
	require.Equal(t, 5, h.arrived()[1].Data.Total)

	h.fails = 1 << 20
	h.found.Notices = issues(0, 8)
	h.rounds(k, 10)
	for range 200 {
		h.now = h.now.Add(time.Hour)
		h.rounds(k, 1)
	}
	got, err = h.store.Digests(t.Context(), store.DigestFilter{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, store.DigestGivenUp, got[0].State)
	require.Less(t, got[0].Tries, 30)
}

func TestATestIsSentAtOnceAndItsFailureIsOnRecord(t *testing.T) {
	h := newHouse(t)
	k := h.keeper(h.store)
	require.ErrorIs(t, k.Test(t.Context(), "ops"), notices.ErrNotConfigured)
	h.tell(map[string]string{"ops": toOps})
	require.ErrorIs(t, k.Test(t.Context(), "nobody"), notices.ErrNoRecipient)
	require.NoError(t, k.Test(t.Context(), "ops"))
	require.Len(t, h.arrived(), 1)
	require.Equal(t, "[fleet] 1 test", h.arrived()[0].Subject)
	h.now = h.now.Add(time.Second)
	h.fails = 1
	require.ErrorContains(t, k.Test(t.Context(), "ops"), "no room")
	h.rounds(k, 10)
	require.Len(t, h.arrived(), 1, "a test is not tried again")
	got, err := h.store.Digests(t.Context(), store.DigestFilter{Limit: 1})
	require.NoError(t, err)
	require.Equal(t, store.DigestGivenUp, got[0].State)
}

func TestAHundredThousandNoticesAreOneShortMessage(t *testing.T) {
	h := newHouse(t)
	h.tell(map[string]string{"ops": toOps})
	h.found.Notices = issues(0, 100_000)
	k := h.keeper(h.store)
	h.rounds(k, 1)
	h.found = notice.Found{}
	h.rounds(k, 6)
	require.Len(t, h.arrived(), 1)
	require.Equal(t, 100_000, h.arrived()[0].Data.Total)
	require.Less(t, len(h.arrived()[0].Text), 5000)
}

// frail is a record whose server dies at its n-th step.
type frail struct {
	*store.Store
	left int
}

var errDied = errors.New("killed")

func (f *frail) step() error {
	if f.left--; f.left < 0 {
		return errDied
	}
	return nil
}

func (f *frail) QueueNotices(ctx context.Context, found notice.Found, now time.Time) (int, error) {
	if err := f.step(); err != nil {
		return 0, err
	}
	return f.Store.QueueNotices(ctx, found, now)
}

func (f *frail) SetSetting(ctx context.Context, key, value string) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Store.SetSetting(ctx, key, value)
}

func (f *frail) SkipNotices(ctx context.Context, recipient string, lane notice.Lane, upto int64) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Store.SkipNotices(ctx, recipient, lane, upto)
}

func (f *frail) KeepDigest(ctx context.Context, d notice.Digest) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Store.KeepDigest(ctx, d)
}

func (f *frail) BeginTry(ctx context.Context, id notice.DigestID, began time.Time) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Store.BeginTry(ctx, id, began)
}

func (f *frail) EndTry(ctx context.Context, e store.TryEnd) error {
	if err := f.step(); err != nil {
		return err
	}
	return f.Store.EndTry(ctx, e)
}

// Serves G4, G6: the server is killed at every step that writes.
func TestAServerThatIsKilledAtAnyStepTellsEachThingOnceAllTheSame(t *testing.T) {
	died := 0
	for steps := 0; ; steps++ {
		h := newHouse(t)
		h.tell(map[string]string{"ops": toOps})
		h.rounds(h.keeper(h.store), 1)
		_, err := h.store.AppendAudit(t.Context(), patching.AuditEntry{At: h.now, Actor: "gate counts v1", Verb: "halt", Subject: "cycle/monthly/2026-11.1", Body: "x"})
		require.NoError(t, err)
		h.found.Notices = issues(0, 3)
		dying := &frail{Store: h.store, left: steps}
		k, alive := h.keeper(dying), true
		for range 8 {
			err := k.Round(t.Context())
			alive = alive && dying.left >= 0
			if !alive {
				break
			}
			require.NoError(t, err)
			h.now = h.now.Add(time.Minute)
		}
		h.rounds(h.keeper(h.store), 20)
		require.Equal(t, 4, total(h.arrived()), "killed after %d steps", steps)
		require.Len(t, h.arrived(), 2, "killed after %d steps", steps)
		got, err := h.store.PendingDigests(t.Context())
		require.NoError(t, err)
		require.Empty(t, got)
		if alive {
			break
		}
		died++
	}
	require.Greater(t, died, 10)
}
