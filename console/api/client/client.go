// Package client asks the REST API of patchcycle from Go. The command line is
// made with it.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/console/api/wire"
)

// Options say where the server is and who asks.
type Options struct {
	// Server is unix:///path/to/socket, https://host:port, or http:// to this
	// machine alone: a token must not travel in the clear.
	Server string
	// Token is the bearer token of an account.
	Token string
	// Transport replaces the one that Server asks for; for tests and for TLS with
	// an authority of one's own.
	Transport http.RoundTripper
	// Retry is how long an act is repeated, with its key, while the server is
	// away [10 s]; negative: not at all.
	Retry time.Duration
}

// Client asks one server as one account. It is safe for concurrent use.
type Client struct {
	base  *url.URL
	http  *http.Client
	token string
	retry time.Duration
	// place says where the server is asked, for people.
	place string
}

// ErrAway says that the server could not be reached.
var ErrAway = errors.New("the server does not answer")

// New returns a client. It does not connect yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.Server)
	if err != nil {
		return nil, fmt.Errorf("server %q: %w", o.Server, err)
	}
	c := &Client{base: base, token: o.Token, retry: o.Retry, place: "at " + base.Redacted(), http: &http.Client{
		Transport: o.Transport,
		// A redirect would take the token elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if c.retry == 0 {
		c.retry = 10 * time.Second
	}
	switch base.Scheme {
	case "unix":
		path := base.Path
		c.base, c.place = &url.URL{Scheme: "http", Host: "patchcycle"}, "on the socket "+path
		if o.Transport == nil {
			c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			}}
		}
	case "https":
	case "http":
		if ip := net.ParseIP(base.Hostname()); base.Hostname() != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fmt.Errorf("server %s: the token would travel in the clear: use https", o.Server)
		}
	default:
		return nil, fmt.Errorf("server %q: write unix:///path/to/socket or https://host:port", o.Server)
	}
	return c, nil
}

// NewKey returns a key that names one act, see [wire.KeyHeader].
func NewKey() string { return rand.Text() }

// request is one question.
type request struct {
	method, path string
	query        url.Values
	// body is JSON, or text of the type that is given.
	body        any
	text        []byte
	contentType string
	// stream is sent in the place of text, once: such a request is not repeated.
	stream io.Reader
	// key makes the request safe to repeat; so does being a GET.
	key string
}

// ask sends a request and decodes the answer into out. While the server is away
// it repeats what is safe to repeat.
func ask[O any](ctx context.Context, c *Client, r request) (out O, err error) {
	body, err := c.askText(ctx, r)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return out, fmt.Errorf("%s %s: the answer is not the API's: %w", r.method, r.path, err)
	}
	return out, nil
}

func (c *Client) askText(ctx context.Context, r request) ([]byte, error) {
	until := time.Now().Add(c.retry)
	pause := 100 * time.Millisecond
	for {
		body, err := c.once(ctx, r)
		if err == nil || !c.mayRepeat(r, err) || !time.Now().Add(pause).Before(until) {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
		pause = min(2*pause, 2*time.Second)
	}
}

// mayRepeat reports whether the error may pass by itself and the request counts
// once however often it is sent.
func (c *Client) mayRepeat(r request, err error) bool {
	if c.retry < 0 || r.method != http.MethodGet && r.key == "" {
		return false
	}
	var p *wire.Problem
	if errors.As(err, &p) {
		return p.Code == wire.CodeEngineAway
	}
	// A server that is not there at all is worth no wait: nothing was sent.
	return errors.Is(err, ErrAway) && !errors.Is(err, errNobody)
}

// maxAnswer bounds what is read: a report of a large fleet is some megabytes.
const maxAnswer = 256 << 20

func (c *Client) once(ctx context.Context, r request) ([]byte, error) {
	q, err := c.build(ctx, r)
	if err != nil {
		return nil, err
	}
	res, err := c.http.Do(q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, c.away(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w %s: the answer broke off: %w", ErrAway, c.place, err)
	}
	if res.StatusCode < 300 {
		return body, nil
	}
	p := &wire.Problem{}
	if err := json.Unmarshal(body, p); err != nil || p.Status == 0 {
		return nil, fmt.Errorf("%s %s: HTTP status %s, and no answer of the API's: is %s patchcycle?", r.method, r.path, res.Status, c.base.Host)
	}
	return nil, p
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	text, kind := r.text, r.contentType
	if r.body != nil {
		var err error
		if text, err = json.Marshal(r.body); err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		kind = "application/json"
	}
	// The path is escaped already: ids may hold what paths cannot.
	where := strings.TrimSuffix(c.base.String(), "/") + r.path
	if len(r.query) > 0 {
		where += "?" + r.query.Encode()
	}
	var content io.Reader = bytes.NewReader(text)
	if r.stream != nil {
		content = r.stream
	}
	q, err := http.NewRequestWithContext(ctx, r.method, where, content)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	if kind != "" {
		q.Header.Set("Content-Type", kind)
	}
	if r.key != "" {
		q.Header.Set(wire.KeyHeader, r.key)
	}
	return q, nil
}

// at joins parts to a path under the API's root, each part escaped.
func at(parts ...string) string {
	path := wire.Root
	for _, p := range parts {
		path += "/" + url.PathEscape(p)
	}
	return path
}

// where makes a query of pairs; empty values are left out.
func where(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "0" && pairs[i+1] != "false" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
