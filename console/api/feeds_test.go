package api_test

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/console/api/wire"
	"github.com/patchcycle/patchcycle/patching"
)

// feeds keeps none, and remembers what it was asked.
type feeds struct {
	states  []patching.FeedState
	running map[patching.FeedName]patching.FeedProgress
	trouble string
	asked   []patching.FeedSync
	came    []string
	err     error
}

func (f *feeds) States() []patching.FeedState                         { return f.states }
func (f *feeds) Running() map[patching.FeedName]patching.FeedProgress { return f.running }
func (f *feeds) Trouble() string                                      { return f.trouble }

func (f *feeds) Start(by patching.AccountName, names ...patching.FeedName) (started, recent []patching.FeedName, err error) {
	f.asked = append(f.asked, patching.FeedSync{By: by})
	return names, nil, f.err
}

func (f *feeds) Import(_ context.Context, asked patching.FeedSync, files io.Reader) (patching.FeedSync, error) {
	if f.err != nil {
		return asked, f.err
	}
	text, err := io.ReadAll(files)
	f.asked, f.came = append(f.asked, asked), append(f.came, string(text))
	asked.Result, asked.At = patching.FeedNew, noon
	return asked, err
}

// Serves G4, U9.
func TestFeedsAreShownWithTheirTroubleAndWhatCameOfThem(t *testing.T) {
	h := newHouse(t)
	c := h.as("ida", "site:tokyo", patching.RoleAuditor)
	h.feeds.states[0].Edition = patching.FeedEdition{Digest: "sha256:1", Revision: "2026.11.10", Got: noon, Records: map[string]int{"risks": 3}, Formats: map[string]map[string]int{"kev": {"risks": 3}}}
	h.feeds.states[0].Asked, h.feeds.states[0].Trouble = noon.Add(-2*time.Hour), "It shrank."
	h.feeds.running = map[patching.FeedName]patching.FeedProgress{"kev": {Documents: 1, Of: 2, Bytes: 3, At: "https://feeds.example/kev.json"}}
	h.feeds.trouble = "feeds.yaml:3: every"
	require.NoError(t, h.store.AddFeedSync(t.Context(), patching.FeedSync{Feed: "kev", At: noon, Result: patching.FeedRefused, Why: "It shrank."}))
	all, err := c.Feeds(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "feeds.yaml:3: every", all.Trouble)
	require.Len(t, all.Items, 1)
	one, err := c.Feed(t.Context(), "kev")
	require.NoError(t, err)
	assert.Equal(t, all.Items[0], one.Feed)
	assert.True(t, one.Stale)
	assert.Equal(t, "2026.11.10", one.Edition.Revision)
	assert.Equal(t, map[string]map[string]int{"kev": {"risks": 3}}, one.Edition.Formats)
	assert.Equal(t, &wire.FeedProgress{Documents: 1, Of: 2, Bytes: 3, At: "https://feeds.example/kev.json"}, one.Running)
	assert.Equal(t, []wire.FeedSync{{Feed: "kev", At: noon, Result: patching.FeedRefused, Why: "It shrank."}}, one.Syncs)
	_, err = c.Feed(t.Context(), "other")
	var problem *wire.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeNotFound, problem.Code)
}

// Serves G6.
func TestWhoAsksForAFeedIsOnRecord(t *testing.T) {
	h := newHouse(t)
	c := h.as("olga", "*", patching.RoleOperator)
	started, err := c.SyncFeeds(t.Context(), "kev")
	require.NoError(t, err)
	assert.Equal(t, []patching.FeedName{"kev"}, started.Started)
	assert.Equal(t, []patching.FeedSync{{By: "olga"}}, h.feeds.asked)
	audit, err := h.store.Audit(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, audit, 1)
	assert.Equal(t, []string{"olga", "sync feeds", "kev"}, []string{audit[0].Actor, audit[0].Verb, audit[0].Subject})
	h.feeds.states = append(h.feeds.states, patching.FeedState{FeedSource: patching.FeedSource{Name: "by-hand"}})
	h.feeds.err = fmt.Errorf("%w: by-hand", patching.ErrFeedUnasked)
	_, err = c.SyncFeeds(t.Context(), "by-hand")
	var problem *wire.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeConflict, problem.Code)
	assert.Contains(t, problem.Detail, "No address is known for the feed")
	_, err = c.SyncFeeds(t.Context(), "nobody")
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeNotFound, problem.Code)
}

// Serves G6.
func TestAnImportIsStreamedAndToAcceptAWorseOneTakesMoreThanAnOperator(t *testing.T) {
	h := newHouse(t)
	large := strings.Repeat("0123456789abcdef", 1<<18) // far more than other requests may have
	sync, err := h.as("olga", "*", patching.RoleOperator).ImportFeed(t.Context(), "kev", "kev.json", "", strings.NewReader(large))
	require.NoError(t, err)
	assert.Equal(t, wire.FeedSync{Feed: "kev", At: noon, By: "olga", From: "kev.json", Result: patching.FeedNew}, sync)
	assert.Equal(t, []string{large}, h.feeds.came)

	_, err = h.as("olga", "*", patching.RoleOperator).ImportFeed(t.Context(), "kev", "kev.json", "it was split", strings.NewReader("x"))
	var problem *wire.Problem
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeNotAllowed, problem.Code)
	assert.Len(t, h.feeds.came, 1)

	_, err = h.as("sara", "*", patching.RoleSecurityLead).ImportFeed(t.Context(), "kev", "kev.json", "it was split", strings.NewReader("x"))
	require.NoError(t, err)
	assert.Equal(t, "it was split", h.feeds.asked[1].Accepted)
	audit, err := h.store.Audit(t.Context(), 0, 0)
	require.NoError(t, err)
	require.Len(t, audit, 3)
	assert.Equal(t, "kev.json", audit[0].Body)
	assert.Contains(t, audit[1].Body, "refused by the API: olga has the role operator")
	assert.Equal(t, "kev.json; may be worse than the edition before: it was split", audit[2].Body)

	_, err = h.as("sara", "*", patching.RoleSecurityLead).ImportFeed(t.Context(), "Kev", "kev.json", "", strings.NewReader("x"))
	require.ErrorContains(t, err, "cannot name a feed")
	h.feeds.err = patching.ErrFeedBusy
	_, err = h.as("sara", "*", patching.RoleSecurityLead).ImportFeed(t.Context(), "kev", "kev.json", "", strings.NewReader("x"))
	require.ErrorAs(t, err, &problem)
	assert.Equal(t, wire.CodeConflict, problem.Code)
}
