package uplink

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// ClientOptions say how to reach the server.
type ClientOptions struct {
	// URL is the server's or relay's base: https://host:port, or without TLS
	// http://127.0.0.1:port or unix:/path on the same machine only.
	URL string
	// Dial, if there is one, opens connections in the place of URL: over a line that
	// stands already.
	Dial func(context.Context) (net.Conn, error)
	// TLS configures https; nil takes the system's.
	TLS *tls.Config
	// Tries bounds the attempts of one call [4], FirstWait is the longest
	// first pause between them; it doubles up to 30 s [500 ms].
	Tries     int
	FirstWait time.Duration
	// Timeout bounds one attempt, a poll's wait not counted [30 s].
	Timeout time.Duration
	// Connections bounds idle connections that are kept [100]. Many agents in
	// one process share a client.
	Connections int
}

// Client is the [Link] over HTTP. It tries again with jitter when the line
// fails or the server asks for patience: everything that it sends may be sent
// twice.
type Client struct {
	opts ClientOptions
	base string
	http *http.Client
}

var _ Link = (*Client)(nil)

// NewClient checks the address; it does not connect.
func NewClient(opts ClientOptions) (*Client, error) {
	if opts.Tries == 0 {
		opts.Tries = 4
	}
	if opts.FirstWait == 0 {
		opts.FirstWait = 500 * time.Millisecond
	}
	if opts.Timeout == 0 {
		opts.Timeout = 30 * time.Second
	}
	if opts.Connections == 0 {
		opts.Connections = 100
	}
	u, err := url.Parse(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("server address: %w", err)
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: opts.TLS, TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: opts.Connections, IdleConnTimeout: 90 * time.Second,
		ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
	}
	c := &Client{opts: opts, base: strings.TrimSuffix(opts.URL, "/"), http: &http.Client{
		Transport: transport,
		// A redirect would take signed messages wherever somebody points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	switch {
	case opts.Dial != nil:
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return opts.Dial(ctx) }
		c.base = "http://patchcycle"
	case u.Scheme == "https" && u.Host != "":
	case u.Scheme == "http" && loopback(u.Hostname()):
		transport.Proxy = nil
	case u.Scheme == "unix" && u.Path != "":
		path := u.Path
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		}
		c.base = "http://patchcycle"
	default:
		return nil, fmt.Errorf("server address %q: want https://host:port; http only on this machine (127.0.0.1, or unix:/path)", opts.URL)
	}
	return c, nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Enrol implements [Link].
func (c *Client) Enrol(ctx context.Context, r EnrolRequest) (EnrolResponse, error) {
	var out EnrolResponse
	err := c.post(ctx, "enrol", EnrolPath, r, 0, &out)
	return out, err
}

// Send implements [Link].
func (c *Client) Send(ctx context.Context, b Batch) ([]Ack, error) {
	var out Acks
	err := c.post(ctx, "send messages", MessagesPath, b, 0, &out)
	return out.Acks, err
}

// Poll implements [Link].
func (c *Client) Poll(ctx context.Context, r PollRequest) (PollResponse, error) {
	var out PollResponse
	err := c.post(ctx, "poll", PollPath, r, time.Duration(r.WaitSeconds)*time.Second, &out)
	return out, err
}

// Content implements [Link].
func (c *Client) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	if !d.Valid() {
		return nil, fmt.Errorf("content: %.80q is not a digest", d)
	}
	text, err := c.try(ctx, func(ctx context.Context) ([]byte, error) {
		return c.once(ctx, http.MethodGet, ContentPath+string(d), nil, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", d.Short(), err)
	}
	if got := patching.DigestOf(text); got != d {
		return nil, fmt.Errorf("fetch %s: what came has the digest %s", d.Short(), got.Short())
	}
	return text, nil
}

// Get asks once for a file that is served beside the protocol, from an offset on.
// The caller bounds what it reads, and closes; an answer other than 200 and 206 is
// an [*Error].
func (c *Client) Get(ctx context.Context, method, path string, from int64) (*http.Response, error) {
	// Not as a part of an address: a name may hold a percent sign.
	req, err := http.NewRequestWithContext(ctx, method, c.base+(&url.URL{Path: path}).EscapedPath(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept-Encoding", "identity") // the bytes as they were signed
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusPartialContent {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<10)) // without words the status says it
		resp.Body.Close()
		return nil, refusal(resp, text)
	}
	return resp, nil
}

func (c *Client) post(ctx context.Context, what, path string, in any, wait time.Duration, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if len(body) > MaxRequest {
		return fmt.Errorf("%s: %d bytes, at most %d go into one request", what, len(body), MaxRequest)
	}
	body, zipped := compress(body)
	answer, err := c.try(ctx, func(ctx context.Context) ([]byte, error) {
		return c.once(ctx, http.MethodPost, path, &payload{body, zipped}, wait)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if bytes.Count(answer, []byte{','}) > maxParts {
		return fmt.Errorf("%s: the answer has more than %d parts", what, maxParts)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s: read the answer: %w", what, err)
	}
	return nil
}

// maxParts bounds what an answer can grow to in memory: 8 MiB of [0,0,…] would become
// hundreds. What a relay is told of [MaxPoll] devices has a tenth of it.
const maxParts = 20 * MaxPoll

// try repeats what failed for a passing reason, with full jitter: after an
// outage a whole fleet is here at once.
func (c *Client) try(ctx context.Context, once func(context.Context) ([]byte, error)) ([]byte, error) {
	pause := c.opts.FirstWait
	for n := 1; ; n++ {
		out, err := once(ctx)
		if err == nil || n >= c.opts.Tries || Refusal(err) != nil || ctx.Err() != nil {
			return out, err
		}
		wait := rand.N(pause) + time.Millisecond
		var e *Error
		if errors.As(err, &e) && e.RetryAfter > 0 {
			wait = e.RetryAfter + rand.N(e.RetryAfter/2+time.Millisecond)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil, fmt.Errorf("%w (last: %w)", ctx.Err(), err)
		}
		pause = min(2*pause, 30*time.Second)
	}
}

type payload struct {
	bytes  []byte
	zipped bool
}

func (c *Client) once(ctx context.Context, method, path string, body *payload, wait time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout+wait)
	defer cancel()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body.bytes)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, reader)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
		if body.zipped {
			req.Header.Set("Content-Encoding", "gzip")
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// The transport has unpacked gzip already, so that this bounds what a small
	// answer can grow to.
	text, err := io.ReadAll(io.LimitReader(resp.Body, MaxRequest+1))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, text)
	}
	if len(text) > MaxRequest {
		return nil, fmt.Errorf("the answer is longer than %d bytes", MaxRequest)
	}
	return text, nil
}

func refusal(resp *http.Response, text []byte) error {
	e := &Error{Status: resp.StatusCode, Words: resp.Status}
	var p Problem
	if json.Unmarshal(text, &p) == nil && p.Error != "" {
		e.Words = p.Error
	}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	return e
}

// maxRetryAfter bounds what a server can ask for: it may delay us, not switch
// us off for a year by a slip.
const maxRetryAfter = 10 * time.Minute
