// Package fetch brings documents from the hosts that are configured for them, and from
// nowhere else: whoever takes over such a host, or its name, must not make the server
// reach into the house. It is polite, and bounded in size, time and patience.
package fetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/patchcycle/patchcycle/internal/pause"
)

// Options of a client. What is zero is as the doc says in brackets.
type Options struct {
	// Proxy is asked in the place of the hosts [none; never the environment's]. It
	// resolves their names, so what those resolve to cannot be checked.
	Proxy *url.URL
	// Resolver resolves names [net.DefaultResolver].
	Resolver *net.Resolver
	// Size is what a document may have, in bytes [1 GiB].
	Size int64
	// Total is how long one may take in all [1 h], Idle for how long nothing may come of
	// it [30 s], and Patience how long a host may have us wait before we give up [5 min].
	Total, Idle, Patience time.Duration
	// Pause is between two requests to a host, where its source does not say more [1 s].
	Pause time.Duration
	// Agent is what the client calls itself ["patchcycle"].
	Agent string
	// Now is the clock [time.Now], Wait waits [with a timer].
	Now  func() time.Time
	Wait func(context.Context, time.Duration) error
}

func (o Options) withDefaults() Options {
	if o.Resolver == nil {
		o.Resolver = net.DefaultResolver
	}
	if o.Size == 0 {
		o.Size = 1 << 30
	}
	for _, d := range []struct {
		of   *time.Duration
		want time.Duration
	}{{&o.Total, time.Hour}, {&o.Idle, 30 * time.Second}, {&o.Patience, 5 * time.Minute}, {&o.Pause, time.Second}} {
		if *d.of == 0 {
			*d.of = d.want
		}
	}
	if o.Agent == "" {
		o.Agent = "patchcycle"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wait == nil {
		o.Wait = pause.For
	}
	return o
}

// Secret is a key that is sent and never printed.
type Secret string

// String hides it; so does every verb of fmt.
func (Secret) String() string { return "[secret]" }

// GoString hides it from %#v.
func (Secret) GoString() string { return "[secret]" }

// Source is whom to ask, and how.
type Source struct {
	// Hosts are those of its own addresses, as [HostPort] writes them; Redirects those
	// that they may send to.
	Hosts, Redirects []string
	// Private allows its own hosts to be in the house; Plain allows http.
	Private, Plain bool
	// Header carries the Key, to its own hosts alone; empty: there is none.
	Header string
	Key    Secret
	// Pause is between two requests [that of the client].
	Pause time.Duration
	// Authorities vouch for its hosts [those of the machine].
	Authorities *x509.CertPool
}

// Client asks. It is safe for concurrent use.
type Client struct {
	Options
	mu    sync.Mutex
	hosts map[string]*host
}

// host is asked by one at a time.
type host struct {
	turn chan struct{}
	// Guarded by turn: next is when it may be asked, and insisted whether somebody asked
	// all the same since it wanted to be left alone.
	next     time.Time
	insisted bool
}

// New returns a client.
func New(o Options) *Client {
	return &Client{Options: o.withDefaults(), hosts: map[string]*host{}}
}

// Visitor asks the hosts of one source.
type Visitor struct {
	client *Client
	source Source
	http   *http.Client
	// insists: see [Visitor.Insist].
	insists bool
}

// Visit returns a visitor. Close it.
func (c *Client) Visit(s Source) *Visitor {
	v := &Visitor{client: c, source: s}
	v.http = &http.Client{CheckRedirect: v.redirect, Transport: &http.Transport{
		Proxy:       func(*http.Request) (*url.URL, error) { return c.Proxy, nil },
		DialContext: v.dial,
		// Bytes are kept as they were published; who packs them on the way packs bombs too.
		DisableCompression:     true,
		TLSClientConfig:        &tls.Config{RootCAs: s.Authorities, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    c.Idle,
		ResponseHeaderTimeout:  c.Idle,
		IdleConnTimeout:        c.Idle,
		MaxResponseHeaderBytes: 64 << 10,
		MaxConnsPerHost:        1,
	}}
	return v
}

// Insist is for a person who asks: a host that wants to be left alone for longer than we
// wait is asked all the same, once until that time is over.
func (v *Visitor) Insist() { v.insists = true }

// Close closes the connections that are kept.
func (v *Visitor) Close() { v.http.CloseIdleConnections() }

const maxRedirects = 5

// redirect follows to hosts of the source alone, and hands its key to its own.
func (v *Visitor) redirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("redirected more than %d times: %w", maxRedirects, errForbidden)
	}
	if err := v.mayAsk(next.URL); err != nil {
		return fmt.Errorf("it redirects to %q: %w", next.URL.Redacted(), err)
	}
	if via[len(via)-1].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("it redirects from https to http: %w", errForbidden)
	}
	if !slices.Contains(v.source.Hosts, HostPort(next.URL)) && v.source.Header != "" {
		next.Header.Del(v.source.Header)
	}
	return nil
}

// mayAsk says why an address is not asked; nil: it may be.
func (v *Visitor) mayAsk(u *url.URL) error {
	to := HostPort(u)
	switch {
	case u.User != nil:
		return fmt.Errorf("a name or password stands in the address: %w", errForbidden)
	case u.Scheme != "https" && (u.Scheme != "http" || !v.source.Plain):
		return fmt.Errorf("it is not https: %w; if it is a mirror of your own, say \"plain: true\" of the feed", errForbidden)
	case !slices.Contains(v.source.Hosts, to) && !slices.Contains(v.source.Redirects, to):
		return fmt.Errorf("the host is not configured: %w; if you trust it, list %s under \"redirects:\" of the feed", errForbidden, to)
	}
	return nil
}

// turn waits until a host may be asked, by nobody else at the time. The function that
// it returns ends the turn.
func (c *Client) turn(ctx context.Context, name string, pause time.Duration, insists bool) (*host, func(), error) {
	c.mu.Lock()
	h := c.hosts[name]
	if h == nil {
		h = &host{turn: make(chan struct{}, 1)}
		c.hosts[name] = h
	}
	c.mu.Unlock()
	select {
	case h.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	end := func() {
		if soon := c.Now().Add(max(pause, c.Pause)); soon.After(h.next) {
			h.next = soon
		}
		<-h.turn
	}
	switch left := h.next.Sub(c.Now()); {
	case left <= 0:
		h.insisted = false
	case left > c.Patience && insists && !h.insisted:
		h.insisted, h.next = true, c.Now()
	}
	if err := c.until(ctx, name, h.next); err != nil {
		<-h.turn
		return nil, nil, err
	}
	return h, end, nil
}

// until waits, if that is not too long.
func (c *Client) until(ctx context.Context, name string, at time.Time) error {
	d := at.Sub(c.Now())
	switch {
	case d <= 0:
		return nil
	case d > c.Patience:
		return fmt.Errorf("%s wants to be left alone until %s: %w", name, at.UTC().Format("2 Jan 2006 15:04 UTC"), errForbidden)
	}
	return c.Wait(ctx, d)
}

// ErrGone is in the error of a document that the host does not have.
var ErrGone = errors.New("there is no such document")
