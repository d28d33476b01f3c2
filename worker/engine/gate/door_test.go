package gate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// house is a door before a backend that tells what it was sent.
type house struct {
	*Door
	url    string
	people *people
	now    time.Time
	seen   http.Header // by the backend, last
}

func newHouse(t *testing.T) *house {
	h := &house{now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC), people: &people{accounts: map[string]Account{
		"reader": {Name: "ada", Read: true},
		"blind":  {Name: "otto", Command: true},
	}}}
	backend := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.seen = r.Header.Clone()
		_, _ = io.WriteString(w, "workflows")
	})
	clock := func() time.Time { return h.now }
	k := newKeeper(h.people, clock)
	h.Door = NewDoor(DoorConfig{Who: k.Person, Backend: backend, Help: "Run: patchcycle ui.", Now: clock})
	srv := httptest.NewServer(h.Door)
	t.Cleanup(srv.Close)
	h.url = srv.URL
	return h
}

func browser(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &http.Client{Jar: jar}
}

func get(t *testing.T, c *http.Client, url string, headers ...string) (int, string, http.Header) {
	return send(t, c, http.MethodGet, url, headers...)
}

func send(t *testing.T, c *http.Client, method, url string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader("{}"))
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(body), res.Header
}

func (h *house) enter(t *testing.T) *http.Client {
	t.Helper()
	link, err := h.Link(t.Context(), "reader")
	require.NoError(t, err)
	c := browser(t)
	status, _, _ := get(t, c, h.url+link)
	require.Equal(t, http.StatusOK, status)
	return c
}

// Serves U2, G6.
func TestALoginLinkLetsOneBrowserInOnce(t *testing.T) {
	h := newHouse(t)
	link, err := h.Link(t.Context(), "reader")
	require.NoError(t, err)

	status, _, _ := send(t, browser(t), http.MethodHead, h.url+link)
	require.Equal(t, http.StatusMethodNotAllowed, status, "a preview must not use the link up")

	first, second := browser(t), browser(t)
	status, body, header := get(t, first, h.url+link)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "ada")
	cookie := header.Get("Set-Cookie")
	require.Contains(t, cookie, "HttpOnly")
	require.Contains(t, cookie, "SameSite=Strict")
	require.NotContains(t, cookie, "reader", "the cookie must not be the token")
	status, body, _ = get(t, first, h.url+"/namespaces/patchcycle/workflows")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "workflows", body)

	status, body, _ = get(t, second, h.url+link)
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "used before")
	status, _, _ = get(t, second, h.url+"/")
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestALoginLinkWaitsTenMinutes(t *testing.T) {
	h := newHouse(t)
	link, err := h.Link(t.Context(), "reader")
	require.NoError(t, err)
	h.now = h.now.Add(CodeLife)
	status, _, _ := get(t, browser(t), h.url+link)
	require.Equal(t, http.StatusUnauthorized, status)
}

func TestOnlyReadersGetALoginLink(t *testing.T) {
	h := newHouse(t)
	for _, token := range []string{"blind", "wrong", "", "writer"} {
		_, err := h.Link(t.Context(), token)
		require.ErrorIs(t, err, ErrRefused, token)
	}
	h.people.down = errors.New("disk gone")
	_, err := h.Link(t.Context(), "other")
	require.ErrorContains(t, err, "disk gone")
	require.NotErrorIs(t, err, ErrRefused)
}

func TestWhatABrowserSaysOfItselfIsReplacedByThePersonsToken(t *testing.T) {
	h := newHouse(t)
	c := h.enter(t)
	status, _, _ := get(t, c, h.url+"/api/v1/namespaces",
		"Authorization", "Bearer writer", "Authorization-Extras", "x", "Grpc-Metadata-Authorization", "Bearer writer", "Cookie", "other=1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, []string{"Bearer reader"}, h.seen["Authorization"])
	require.Equal(t, "other=1", h.seen.Get("Cookie"))
	for name := range h.seen {
		require.NotContains(t, strings.ToLower(name), "extras")
		require.NotContains(t, strings.ToLower(name), "grpc-metadata")
	}
}

func TestRequestsForgedByAnotherSiteAreRefused(t *testing.T) {
	h := newHouse(t)
	c := h.enter(t)
	h.seen = nil
	status, _, _ := send(t, c, http.MethodPost, h.url+"/api/v1/namespaces/patchcycle/workflows/x/terminate", "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, status)
	status, _, _ = send(t, c, http.MethodPost, h.url+"/api/v1/x", "Origin", "https://evil.example")
	require.Equal(t, http.StatusForbidden, status)
	require.Nil(t, h.seen, "the engine must not see it")
	status, _, _ = send(t, c, http.MethodPost, h.url+"/api/v1/x", "Sec-Fetch-Site", "same-origin")
	require.Equal(t, http.StatusOK, status)
}

func TestStrangersAreToldHowToSignIn(t *testing.T) {
	h := newHouse(t)
	status, body, header := get(t, browser(t), h.url+"/namespaces/patchcycle/workflows")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, "Run: patchcycle ui.")
	require.Contains(t, header.Get("Content-Type"), "text/html")
	status, body, header = get(t, browser(t), h.url+"/api/v1/namespaces")
	require.Equal(t, http.StatusUnauthorized, status)
	require.Contains(t, body, `"message"`)
	require.Contains(t, header.Get("Content-Type"), "application/json")
	require.Nil(t, h.seen)
}

func TestASessionEnds(t *testing.T) {
	ends := map[string]func(h *house, c *http.Client){
		"after twelve idle hours":   func(h *house, _ *http.Client) { h.now = h.now.Add(IdleLife) },
		"when the person signs out": func(h *house, c *http.Client) { get(t, c, h.url+"/logout") },
		"when the token is revoked": func(h *house, _ *http.Client) { delete(h.people.accounts, "reader"); h.now = h.now.Add(remembered) },
		"when the role no longer reads": func(h *house, _ *http.Client) {
			h.people.accounts["reader"] = Account{Name: "ada"}
			h.now = h.now.Add(remembered)
		},
		"when the engine closes its door": func(h *house, _ *http.Client) { h.Close() },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c := h.enter(t)
			for range 3 { // each request starts the idle time again
				h.now = h.now.Add(IdleLife - time.Minute)
				status, _, _ := get(t, c, h.url+"/")
				require.Equal(t, http.StatusOK, status)
			}
			end(h, c)
			status, _, _ := get(t, c, h.url+"/")
			require.Equal(t, http.StatusUnauthorized, status)
		})
	}
}

func TestBearerSendsATokenAndHidesItFromLogs(t *testing.T) {
	headers, err := Bearer("secret").GetHeaders(context.Background())
	require.NoError(t, err)
	require.Equal(t, map[string]string{"authorization": "Bearer secret"}, headers)
	require.NotContains(t, Bearer("secret").String()+Bearer("secret").GoString(), "secret")
}
