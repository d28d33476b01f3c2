package feeds_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap/zaptest"

	"github.com/patchcycle/patchcycle/integrations/advisories/fetch"
	"github.com/patchcycle/patchcycle/patching"
	"github.com/patchcycle/patchcycle/store"
	"github.com/patchcycle/patchcycle/store/sqlite"
	"github.com/patchcycle/patchcycle/worker/feeds"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// house is a keeper over a real store, and a publisher with TLS.
type house struct {
	t      *testing.T
	dir    string
	store  *store.Store
	keeper *feeds.Keeper
	url    string

	mu     sync.Mutex
	now    time.Time
	text   string // of the feed
	asked  int
	answer http.HandlerFunc
}

func newHouse(t *testing.T) *house {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "store.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	h := &house{t: t, dir: t.TempDir(), store: s, now: noon}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		h.asked++
		text, answer := h.text, h.answer
		h.mu.Unlock()
		if answer != nil {
			answer(w, r)
			return
		}
		w.Header().Set("ETag", `"`+patching.DigestOf([]byte(text)).Short()+`"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}))
	t.Cleanup(srv.Close)
	h.url = srv.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(h.dir, "ca.pem"), ca, 0o600))
	return h
}

func (h *house) open() *feeds.Keeper {
	h.t.Helper()
	if h.keeper != nil {
		h.keeper.Close()
	}
	var err error
	h.keeper, err = feeds.Open(h.t.Context(), feeds.Options{
		Dir: filepath.Join(h.dir, "feeds"), File: filepath.Join(h.dir, "feeds.yaml"), Record: h.store, Log: zaptest.NewLogger(h.t),
		Fetch: fetch.Options{Pause: time.Nanosecond, Wait: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }},
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.now
		},
	})
	require.NoError(h.t, err)
	h.t.Cleanup(h.keeper.Close)
	return h.keeper
}

func (h *house) list(text string) {
	h.t.Helper()
	require.NoError(h.t, os.WriteFile(filepath.Join(h.dir, "feeds.yaml"), []byte(strings.ReplaceAll(text, "URL", h.url)), 0o600))
}

const oneFeed = `feeds:
  - {name: kev, url: URL/kev.json, owner: ana, private: true, ca_file: ca.pem, every: 6h}
`

func (h *house) publish(day, flaws int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text, h.answer = catalogue(day, flaws), nil
}

func (h *house) answers(with http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.answer = with
}

func (h *house) later(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) requests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked
}

// sync asks for the feed, some minutes after the last time.
func (h *house) sync() patching.FeedSync {
	h.t.Helper()
	h.later(5 * time.Minute)
	all, err := h.keeper.Sync(h.t.Context(), "kev")
	require.NoError(h.t, err)
	require.Len(h.t, all, 1)
	return all[0]
}

func (h *house) flaws() int {
	h.t.Helper()
	known, _, err := h.keeper.Knowledge(h.t.Context())
	require.NoError(h.t, err)
	return len(known.Risks)
}

func (h *house) state() patching.FeedState {
	h.t.Helper()
	all := h.keeper.States()
	require.Len(h.t, all, 1)
	return all[0]
}

func catalogue(day, flaws int) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"catalogVersion":"2026.11.%02d","dateReleased":"2026-11-%02dT00:00:00Z","count":%d,"vulnerabilities":[`, day, day, flaws)
	for n := range flaws {
		fmt.Fprintf(&b, "%s\n"+`{"cveID":"CVE-2026-%04d","dateAdded":"2026-11-01","dueDate":"2026-11-22","knownRansomwareCampaignUse":"Unknown","requiredAction":"Apply."}`,
			strings.Repeat(",", min(n, 1)), n+1)
	}
	b.WriteString("]}")
	return b.String()
}

// cut is a catalogue of which the end is missing, and nothing says so.
func cut(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, catalogue(11, 100)[:2000]) }

func packed(t *testing.T, files ...string) io.Reader {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: files[i], Size: int64(len(files[i+1])), Mode: 0o644, Typeflag: tar.TypeReg}))
		_, err := io.WriteString(w, files[i+1])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return &b
}

// Serves G4.
func TestAFeedThatShrankByHalfOrWentBackIsRefusedAndTheOldOneStays(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	h.open()
	h.publish(10, 100)
	first := h.sync()
	assert.Equal(t, patching.FeedNew, first.Result)
	assert.Equal(t, "2026.11.10", first.Edition.Revision)
	assert.Equal(t, 100, h.flaws())
	assert.Equal(t, patching.FeedUnchanged, h.sync().Result)
	for name, c := range map[string]struct {
		spoil  func()
		result patching.FeedResult
		says   string
	}{
		"it shrank":         {func() { h.publish(11, 49) }, patching.FeedRefused, "less than half"},
		"it went back":      {func() { h.publish(9, 100) }, patching.FeedRefused, "before the one that is kept"},
		"it is truncated":   {func() { h.answers(cut) }, patching.FeedRefused, "cannot be read"},
		"it is not there":   {func() { h.answers(http.NotFound) }, patching.FeedFailed, "404"},
		"it redirects away": {func() { h.answers(http.RedirectHandler("https://169.254.169.254/", http.StatusFound).ServeHTTP) }, patching.FeedFailed, "not configured"},
	} {
		c.spoil()
		sync := h.sync()
		assert.Equal(t, c.result, sync.Result, name)
		assert.Contains(t, sync.Why, c.says, name)
		assert.Equal(t, first.Edition, sync.Edition, name)
		assert.Equal(t, 100, h.flaws(), name)
		assert.Equal(t, sync.Why, h.state().Trouble, name)
		all, err := h.store.FeedSyncs(t.Context(), "kev", 1)
		require.NoError(t, err)
		assert.Equal(t, []patching.FeedSync{sync}, all, "%s: it is on record", name)
	}
	h.publish(12, 120)
	assert.Equal(t, patching.FeedNew, h.sync().Result)
	assert.Equal(t, 120, h.flaws())
	assert.Empty(t, h.state().Trouble)
	all, err := h.store.FeedSyncs(t.Context(), "kev", 0)
	require.NoError(t, err)
	assert.Len(t, all, 8)
}

func TestWhatAPublisherCanWriteIntoTheRecordIsBounded(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	h.open()
	h.answers(http.RedirectHandler("https://elsewhere.example/"+strings.Repeat("x", 5000), http.StatusFound).ServeHTTP)
	sync := h.sync()
	assert.Equal(t, patching.FeedFailed, sync.Result)
	assert.Contains(t, sync.Why, "it redirects to")
	assert.Less(t, len(sync.Why), 2100)
}

func TestHowAFeedStandsOutlivesTheServer(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	h.open()
	h.publish(10, 100)
	h.sync()
	h.publish(11, 1)
	h.sync()
	before := h.state()
	require.NotEmpty(t, before.Trouble)
	h.open()
	assert.Equal(t, before, h.state())
	assert.Equal(t, 100, h.flaws())
}

func TestWithoutAListNothingIsAskedAndImportsWork(t *testing.T) {
	h := newHouse(t)
	h.publish(10, 100)
	k := h.open()
	require.NoError(t, k.Tend(t.Context()))
	all, err := k.Sync(t.Context())
	require.NoError(t, err)
	assert.Empty(t, all)
	_, err = k.Sync(t.Context(), "kev")
	require.ErrorIs(t, err, patching.ErrFeedUnasked)
	sync, err := k.Import(t.Context(), patching.FeedSync{Feed: "kev", By: "ana", From: "stick"}, packed(t, "a/kev.json", catalogue(10, 7), "a/README", "about it"))
	require.NoError(t, err)
	assert.Equal(t, patching.FeedNew, sync.Result)
	assert.Equal(t, patching.AccountName("ana"), sync.By)
	assert.Equal(t, 7, h.flaws())
	assert.Zero(t, h.requests())
	assert.False(t, h.state().Stale(noon.AddDate(1, 0, 0)), "nobody said when it is stale")
}

// Serves G6.
func TestAnImportThatIsWorseNeedsAReasonWhichIsKept(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	imported := func(accepted string, files ...string) patching.FeedSync {
		t.Helper()
		h.later(time.Hour)
		sync, err := k.Import(t.Context(), patching.FeedSync{Feed: "kev", By: "ana", From: "stick", Accepted: accepted}, packed(t, files...))
		require.NoError(t, err)
		return sync
	}
	assert.Equal(t, patching.FeedNew, imported("", "kev.json", catalogue(10, 100)).Result)
	sync := imported("", "kev.json", catalogue(11, 7))
	assert.Equal(t, patching.FeedRefused, sync.Result)
	assert.Equal(t, 100, h.flaws())
	sync = imported("it was split", "kev.json", catalogue(11, 7))
	assert.Equal(t, patching.FeedNew, sync.Result)
	assert.Equal(t, "it was split", sync.Accepted)
	assert.Contains(t, sync.Why, "less than half")
	assert.Equal(t, 7, h.flaws())
	assert.Empty(t, h.state().Trouble)
	sync = imported("just in case", "kev.json", catalogue(12, 8))
	assert.Empty(t, sync.Accepted, "nothing had to be accepted")
	sync = imported("whatever it is", "kev.json", catalogue(13, 8)[:500])
	assert.Equal(t, patching.FeedRefused, sync.Result, "nobody can accept what cannot be read")
	assert.Equal(t, 8, h.flaws())
}

func TestAnImportThatIsBrokenOrLeadsElsewhereIsRefusedAsAWhole(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	_, err := k.Import(t.Context(), patching.FeedSync{Feed: "kev"}, packed(t, "kev.json", catalogue(10, 100)))
	require.NoError(t, err)
	link := &bytes.Buffer{}
	w := tar.NewWriter(link)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "kev.json", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}))
	require.NoError(t, w.Close())
	whole, err := io.ReadAll(packed(t, "kev.json", catalogue(11, 100)))
	require.NoError(t, err)
	for name, c := range map[string]struct {
		in   io.Reader
		says string
	}{
		"it leads out":      {packed(t, "kev.json", catalogue(11, 100), "../../x.json", catalogue(11, 100)), "cannot name a document"},
		"it is absolute":    {packed(t, "/kev.json", catalogue(11, 100)), "cannot name a document"},
		"it has a link":     {link, "is no plain file"},
		"it is there twice": {packed(t, "kev.json", catalogue(11, 100), "./kev.json", catalogue(11, 100)), "is there twice"},
		"it is cut":         {bytes.NewReader(whole[:len(whole)/2]), "unexpected EOF"},
		"it is no tar":      {strings.NewReader(catalogue(11, 100)), "the import is broken"},
		"it is empty":       {strings.NewReader(""), "there is no file in it"},
	} {
		h.later(time.Hour)
		sync, err := k.Import(t.Context(), patching.FeedSync{Feed: "kev"}, c.in)
		require.NoError(t, err, name)
		assert.Equal(t, patching.FeedFailed, sync.Result, name)
		assert.Contains(t, sync.Why, c.says, name)
		assert.Equal(t, "2026.11.10", sync.Edition.Revision, name)
	}
	assert.Equal(t, 100, h.flaws())
	_, err = k.Import(t.Context(), patching.FeedSync{Feed: "../kev"}, packed(t, "kev.json", catalogue(11, 100)))
	require.ErrorContains(t, err, "cannot name a feed")
}

// Serves Q7.
func TestAMistakeInTheListLeavesTheOneBeforeInForceAlsoAtTheNextStart(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	h.publish(10, 100)
	h.sync()
	h.list(strings.Replace(oneFeed, "every: 6h", "every: often", 1))
	k.Reload()
	assert.Contains(t, k.Trouble(), `feeds.yaml:2: every "often": want a time`)
	h.publish(11, 100)
	assert.Equal(t, patching.FeedNew, h.sync().Result, "it is asked for as before")
	k = h.open()
	assert.Contains(t, k.Trouble(), `every "often"`)
	h.publish(12, 100)
	assert.Equal(t, patching.FeedNew, h.sync().Result, "after a start too")
	h.list(oneFeed)
	k.Reload()
	assert.Empty(t, k.Trouble())
	require.NoError(t, os.Remove(filepath.Join(h.dir, "feeds.yaml")))
	k.Reload()
	assert.Empty(t, k.Trouble())
	_, err := k.Sync(t.Context(), "kev")
	require.ErrorIs(t, err, patching.ErrFeedUnasked, "without a list nothing is asked")
	k = h.open()
	_, err = k.Sync(t.Context(), "kev")
	require.ErrorIs(t, err, patching.ErrFeedUnasked)
}

func TestAFeedIsAskedForWhenItIsDueAndNotBefore(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	h.publish(10, 100)
	tend := func() {
		t.Helper()
		require.NoError(t, k.Tend(t.Context()))
		require.Eventually(t, func() bool { return len(k.Running()) == 0 }, time.Minute, time.Millisecond)
	}
	tend()
	assert.Equal(t, 1, h.requests(), "one that never was there is due")
	h.later(time.Hour)
	tend()
	assert.Equal(t, 1, h.requests())
	h.later(5 * time.Hour)
	tend()
	assert.Equal(t, 2, h.requests())
	h.later(6 * time.Hour)
	h.answers(http.NotFound)
	tend()
	assert.Equal(t, 3, h.requests())
	h.later(patching.FeedRetry)
	h.publish(11, 100)
	tend()
	assert.Equal(t, 4, h.requests(), "after a failure it is asked for sooner")
	assert.Equal(t, "2026.11.11", h.state().Edition.Revision)
	h.later(-100 * 24 * time.Hour)
	tend()
	assert.Equal(t, 5, h.requests(), "a clock that was set back keeps nobody from asking")
}

func TestWhoAsksTwiceWithinAMinuteIsToldWhatCameOfTheFirst(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	h.publish(10, 100)
	first := h.sync()
	again, err := k.Sync(t.Context(), "kev")
	require.NoError(t, err)
	assert.Equal(t, []patching.FeedSync{first}, again)
	started, recent, err := k.Start("ana", "kev")
	require.NoError(t, err)
	assert.Empty(t, started)
	assert.Equal(t, []patching.FeedName{"kev"}, recent)
	assert.Equal(t, 1, h.requests())
}

func TestWhoAsksMeanwhileWaitsForTheSameAndImportsAreRefusedForAWhile(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	asked, reply := make(chan bool), make(chan bool)
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		asked <- true
		<-reply
		fmt.Fprint(w, catalogue(10, 100))
	})
	started, recent, err := k.Start("ana", "kev")
	require.NoError(t, err)
	assert.Equal(t, []patching.FeedName{"kev"}, started)
	assert.Empty(t, recent)
	<-asked
	assert.Equal(t, h.url+"/kev.json", k.Running()["kev"].At)
	_, err = k.Import(t.Context(), patching.FeedSync{Feed: "kev"}, packed(t, "kev.json", catalogue(11, 100)))
	require.ErrorIs(t, err, patching.ErrFeedBusy)
	short, stop := context.WithCancel(t.Context())
	stop()
	_, err = k.Sync(short, "kev")
	require.ErrorIs(t, err, context.Canceled, "who waits may go")
	close(reply)
	all, err := k.Sync(t.Context(), "kev")
	require.NoError(t, err)
	assert.Equal(t, patching.AccountName("ana"), all[0].By)
	assert.Equal(t, 1, h.requests())
}

// Serves Q13.
func TestAPersonAsksAHostThatWantsToBeLeftAloneAndTheScheduleDoesNot(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	h.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "2000000000")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	assert.Contains(t, h.sync().Why, "wants to be left alone")
	assert.Contains(t, h.sync().Why, "wants to be left alone")
	assert.Equal(t, 1, h.requests())
	h.publish(10, 100)
	_, _, err := k.Start("ana", "kev")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(k.Running()) == 0 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, 2, h.requests())
	assert.Equal(t, 100, h.flaws())
}

func TestAServerThatStopsStopsAsking(t *testing.T) {
	h := newHouse(t)
	h.list(oneFeed)
	k := h.open()
	asked := make(chan bool)
	h.answers(func(_ http.ResponseWriter, r *http.Request) {
		asked <- true
		<-r.Context().Done()
	})
	_, _, err := k.Start("", "kev")
	require.NoError(t, err)
	<-asked
	k.Close()
	all, err := h.store.FeedSyncs(t.Context(), "kev", 0)
	require.NoError(t, err)
	assert.Empty(t, all, "nothing failed")
	_, err = k.Sync(t.Context(), "kev")
	require.ErrorContains(t, err, "the server stops")
}

func TestTheSameEditionsAreReadOnceAndADamagedOneIsNeverSilent(t *testing.T) {
	h := newHouse(t)
	k := h.open()
	for _, name := range []patching.FeedName{"kev", "other"} {
		_, err := k.Import(t.Context(), patching.FeedSync{Feed: name}, packed(t, "kev.json", catalogue(10, 100)))
		require.NoError(t, err)
	}
	one, states, err := k.Knowledge(t.Context())
	require.NoError(t, err)
	assert.Len(t, states, 2)
	two, _, err := k.Knowledge(t.Context())
	require.NoError(t, err)
	assert.Same(t, one.Advisories, two.Advisories)
	assert.Equal(t, time.Date(2026, 11, 10, 0, 0, 0, 0, time.UTC), one.Catalogue)

	k = h.open()
	files, err := filepath.Glob(filepath.Join(h.dir, "feeds", "kev", "kept", "*", "kev.json"))
	require.NoError(t, err)
	require.Len(t, files, 1)
	require.NoError(t, os.WriteFile(files[0], []byte(catalogue(10, 5)), 0o600))
	for range 2 {
		_, states, err = k.Knowledge(t.Context())
		require.NoError(t, err)
		assert.Contains(t, states[0].Trouble, "is not what was kept")
		assert.True(t, states[0].Stale(h.now))
		assert.Empty(t, states[1].Trouble)
	}
	one, _, err = k.Knowledge(t.Context())
	require.NoError(t, err)
	two, _, err = k.Knowledge(t.Context())
	require.NoError(t, err)
	assert.Same(t, one.Advisories, two.Advisories, "one damaged feed does not make all be read for each question")
	h.now = h.now.Add(time.Hour)
	two, _, err = k.Knowledge(t.Context())
	require.NoError(t, err)
	assert.NotSame(t, one.Advisories, two.Advisories, "it is tried again: what was wrong may have passed")
	sync, err := k.Import(t.Context(), patching.FeedSync{Feed: "kev"}, packed(t, "kev.json", catalogue(10, 100)))
	require.NoError(t, err)
	assert.Equal(t, patching.FeedNew, sync.Result)
	_, states, err = k.Knowledge(t.Context())
	require.NoError(t, err)
	assert.Empty(t, states[0].Trouble)
}
