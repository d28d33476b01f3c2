package e2e_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/patchcycle/patchcycle/worker/engine"
	"github.com/patchcycle/patchcycle/worker/engine/gate"
)

// Serves U1, U2, U5, G6.
func TestTheWorkflowUIActsAsThePersonWhoSignedIn(t *testing.T) {
	s := newTown(t, engine.Options{UI: true, UIHelp: "Run: patchcycle ui."})
	site := httptest.NewServer(s.UIHandler())
	t.Cleanup(site.Close)
	cycle := s.start(t, "Cycle")
	workflow := site.URL + "/api/v1/namespaces/patchcycle/workflows/" + url.PathEscape(cycle)

	t.Run("a stranger is told how to sign in", func(t *testing.T) {
		status, body := fetch(t, http.DefaultClient, http.MethodGet, site.URL+"/namespaces/patchcycle/workflows")
		require.Equal(t, http.StatusUnauthorized, status)
		require.Contains(t, body, "Run: patchcycle ui.")
		status, _ = fetch(t, http.DefaultClient, http.MethodGet, site.URL+"/api/v1/settings")
		require.Equal(t, http.StatusUnauthorized, status)
	})
	t.Run("only who reads gets a link", func(t *testing.T) {
		for _, token := range []string{commands, wrong, nobody, s.product} {
			_, err := s.LoginLink(t.Context(), token)
			require.ErrorIs(t, err, gate.ErrRefused)
		}
	})
	reader, manager := signIn(t, s, site.URL, auditor), signIn(t, s, site.URL, approver)
	t.Run("a reader sees pages, lists and histories", func(t *testing.T) {
		for _, path := range []string{
			"/", "/api/v1/settings", "/api/v1/cluster-info", "/api/v1/namespaces",
			"/api/v1/namespaces/patchcycle/workflows", "/api/v1/namespaces/patchcycle/schedules",
		} {
			status, body := fetch(t, reader, http.MethodGet, site.URL+path)
			require.Equal(t, http.StatusOK, status, "%s: %s", path, body)
		}
		status, body := fetch(t, reader, http.MethodGet, workflow)
		require.Equal(t, http.StatusOK, status, body)
		require.Contains(t, body, cycle)
	})
	t.Run("a reader downloads a history", func(t *testing.T) {
		var described struct {
			WorkflowExecutionInfo struct{ Execution struct{ RunID string } }
		}
		_, body := fetch(t, reader, http.MethodGet, workflow)
		require.NoError(t, json.Unmarshal([]byte(body), &described))
		status, body := fetch(t, reader, http.MethodGet, workflow+"/run/"+described.WorkflowExecutionInfo.Execution.RunID+"/history.json")
		require.Equal(t, http.StatusOK, status)
		require.NotContains(t, body, "error")
		require.Contains(t, body, "WorkflowExecutionStartedEventAttributes")
	})
	t.Run("a reader changes nothing", func(t *testing.T) {
		for path, what := range map[string]string{"/terminate": `{}`, "/cancel": `{}`, "/signal/approve": `{}`, "/reset": `{}`} {
			status, body := fetch(t, reader, http.MethodPost, workflow+path, what)
			require.Equal(t, http.StatusForbidden, status, "%s: %s", path, body)
			require.Contains(t, body, `account \"ada\"`)
		}
	})
	t.Run("an approver's signal counts and an update is refused in words", func(t *testing.T) {
		status, body := fetch(t, manager, http.MethodPost, workflow+"/signal/approve", `{"signalName": "approve"}`)
		require.Equal(t, http.StatusOK, status, body)
		status, body = fetch(t, manager, http.MethodPost, workflow+"/update/approve", `{"request": {"input": {"name": "approve"}}}`)
		require.Equal(t, http.StatusForbidden, status, body)
		require.Contains(t, body, "send a signal")
	})
	t.Run("another site cannot act for somebody signed in", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, workflow+"/signal/approve", strings.NewReader(`{"signalName": "approve"}`))
		require.NoError(t, err)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		res, err := manager.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusForbidden, res.StatusCode)
	})
	t.Run("a browser cannot bring a token of its own", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, workflow+"/terminate", strings.NewReader(`{}`))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+s.product)
		r.Header.Set("Grpc-Metadata-Authorization", "Bearer "+s.product)
		res, err := reader.Do(r)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusForbidden, res.StatusCode)
	})
}

func TestWithoutUIThereIsNoHandlerAndNoLink(t *testing.T) {
	e := startEngine(t, engine.Options{})
	require.Nil(t, e.UIHandler())
	_, err := e.LoginLink(t.Context(), "any")
	require.ErrorIs(t, err, engine.ErrNoUI)
}

// signIn opens a login link in a new browser.
func signIn(t *testing.T, s *town, site, token string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	browser := &http.Client{Jar: jar}
	link, err := s.LoginLink(t.Context(), token)
	require.NoError(t, err)
	status, body := fetch(t, browser, http.MethodGet, site+link)
	require.Equal(t, http.StatusOK, status, body)
	status, _ = fetch(t, http.DefaultClient, http.MethodGet, site+link)
	require.Equal(t, http.StatusUnauthorized, status, "the link works twice")
	return browser
}

func fetch(t *testing.T, c *http.Client, method, url string, body ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(strings.Join(body, "")))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	res, err := c.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(text)
}
