package gate

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// CodeLife is how long a login link may wait to be opened.
	CodeLife = 10 * time.Minute
	// IdleLife is how long a session lasts after its last request.
	IdleLife = 12 * time.Hour

	sessionCookie = "patchcycle_ui"
)

// ErrRefused is wrapped by [Door.Link] when the token may not use the UI.
var ErrRefused = errors.New("not allowed into the workflow UI")

// A Door lets people into a web UI that knows no users: who has a session is
// sent on with the person's own token, so that the engine decides, and history
// names, the person. A session starts with a one-time link and lives in memory.
type Door struct {
	who     func(ctx context.Context, token string) (Account, bool, error)
	backend http.Handler
	help    string
	now     func() time.Time
	guarded http.Handler

	mu       sync.Mutex
	codes    map[string]visit // by login code, until used
	sessions map[string]visit // by cookie
}

// visit is a person's token and when it was last shown.
type visit struct {
	token string
	seen  time.Time
}

// DoorConfig says what a [Door] opens to whom.
type DoorConfig struct {
	// Who returns the account of a token: [Keeper.Person].
	Who func(ctx context.Context, token string) (Account, bool, error)
	// Backend is the UI. It sees the person's token as the authorization header.
	Backend http.Handler
	// Help tells somebody without a session how to get one: a sentence.
	Help string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// NewDoor returns a door with nobody inside.
func NewDoor(c DoorConfig) *Door {
	if c.Now == nil {
		c.Now = time.Now
	}
	d := &Door{
		who: c.Who, backend: c.Backend, help: c.Help, now: c.Now,
		codes: map[string]visit{}, sessions: map[string]visit{},
	}
	// The UI skips its own check of forged requests when it sees an
	// authorization header, and we always send one: so the check is ours.
	d.guarded = http.NewCrossOriginProtection().Handler(http.HandlerFunc(d.serve))
	return d
}

// Link returns the path of a login link for the holder of token, good once and
// for [CodeLife]. Errors that wrap [ErrRefused] are the holder's to mend.
func (d *Door) Link(ctx context.Context, token string) (path string, err error) {
	person, ok, err := d.who(ctx, token)
	switch {
	case err != nil:
		return "", fmt.Errorf("make a login link: %w", err)
	case !ok:
		return "", fmt.Errorf("%w: this token is unknown or was revoked", ErrRefused)
	case !person.Read:
		return "", fmt.Errorf("%w: account %q has no role that reads workflows", ErrRefused, person.Name)
	}
	code, now := rand.Text(), d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	forget(d.codes, now, CodeLife)
	d.codes[code] = visit{token, now}
	return "/login?code=" + url.QueryEscape(code), nil
}

// Close ends all sessions and forgets all links.
func (d *Door) Close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.codes)
	clear(d.sessions)
}

// ServeHTTP serves the UI at the root of a listener, with /login and /logout.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) { d.guarded.ServeHTTP(w, r) }

func (d *Door) serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/login":
		d.login(w, r)
	case "/logout":
		d.logout(w, r)
	default:
		d.pass(w, r)
	}
}

// login trades a code for a cookie. Only GET uses it up: mail scanners and chat
// previews like to try HEAD.
func (d *Door) login(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "open the login link in a browser", http.StatusMethodNotAllowed)
		return
	}
	now := d.now()
	d.mu.Lock()
	forget(d.codes, now, CodeLife)
	v, ok := d.codes[r.URL.Query().Get("code")]
	delete(d.codes, r.URL.Query().Get("code"))
	d.mu.Unlock()
	if !ok {
		d.turnAway(w, r, "This link was used before, or is older than ten minutes.")
		return
	}
	person, ok, err := d.who(r.Context(), v.token)
	if err != nil || !ok || !person.Read {
		d.turnAway(w, r, "The account that asked for this link may no longer read workflows.")
		return
	}
	id := rand.Text()
	d.mu.Lock()
	forget(d.sessions, now, IdleLife)
	d.sessions[id] = visit{v.token, now}
	d.mu.Unlock()
	setCookie(w, r, id, 0)
	// A redirect would still count as coming from the page that held the link,
	// and browsers withhold a strict cookie from that: so the page moves on.
	page(w, http.StatusOK, pageText{
		Title: "Signed in", Lead: "You are signed in as " + person.Name + ".", Next: "/", Link: "Go to the workflows",
	})
}

func (d *Door) logout(w http.ResponseWriter, r *http.Request) {
	if c, err := r.Cookie(sessionCookie); err == nil {
		d.mu.Lock()
		delete(d.sessions, c.Value)
		d.mu.Unlock()
	}
	setCookie(w, r, "", -1)
	page(w, http.StatusOK, pageText{Title: "Signed out", Lead: "You are signed out.", More: d.help})
}

// pass sends a request on as the person whose session it belongs to.
func (d *Door) pass(w http.ResponseWriter, r *http.Request) {
	token, ok := d.session(r)
	if !ok {
		d.turnAway(w, r, "Nobody is signed in here, or the session has ended.")
		return
	}
	if person, ok, err := d.who(r.Context(), token); err != nil || !ok || !person.Read {
		d.turnAway(w, r, "Your account may no longer read workflows.")
		return
	}
	out := r.Clone(r.Context())
	for name := range out.Header {
		if callersOwn(name) {
			out.Header.Del(name)
		}
	}
	dropCookie(out, sessionCookie)
	out.Header.Set("Authorization", Bearer(token).header())
	d.backend.ServeHTTP(w, out)
}

func (d *Door) session(r *http.Request) (token string, ok bool) {
	c, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", false
	}
	now := d.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.sessions[c.Value]
	if !ok || now.Sub(v.seen) >= IdleLife {
		delete(d.sessions, c.Value)
		return "", false
	}
	d.sessions[c.Value] = visit{v.token, now}
	return v.token, true
}

// turnAway answers 401: in words to a person, in the API's shape to the UI.
func (d *Door) turnAway(w http.ResponseWriter, r *http.Request, why string) {
	w.Header().Set("WWW-Authenticate", `Link realm="patchcycle workflows"`)
	if strings.HasPrefix(r.URL.Path, "/api/") {
		apiError(w, http.StatusUnauthorized, why+" "+d.help)
		return
	}
	page(w, http.StatusUnauthorized, pageText{Title: "Sign in to the workflows", Lead: why, More: d.help})
}

// callersOwn are headers that would speak for the caller at the engine: the
// gateway turns Grpc-Metadata-* into anything.
func callersOwn(header string) bool {
	h := strings.ToLower(header)
	return h == "authorization" || h == "authorization-extras" || strings.HasPrefix(h, "grpc-metadata-")
}

func dropCookie(r *http.Request, name string) {
	cookies := r.Cookies()
	r.Header.Del("Cookie")
	for _, c := range cookies {
		if c.Name != name {
			r.AddCookie(c)
		}
	}
}

func setCookie(w http.ResponseWriter, r *http.Request, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteStrictMode,
	})
}

func forget(m map[string]visit, now time.Time, life time.Duration) {
	for key, v := range m {
		if now.Sub(v.seen) >= life {
			delete(m, key)
		}
	}
}
