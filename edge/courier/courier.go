package courier

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/patchcycle/patchcycle/edge/uplink"
)

// Options say whom a courier serves.
type Options struct {
	// Server is the address that enrolment named, and TLS how it is known; nil: by the
	// machine's authorities.
	Server string
	TLS    *tls.Config
	// Relays are taken before the server, in this order.
	Relays []string
	// FallbackRate bounds the bytes of packages a second that come by any way but the
	// preferred one; 0: nothing does.
	FallbackRate int64
	// Patience is how long nobody may ask before that is said; a hand that is well asks
	// every minute [5 min].
	Patience time.Duration
	Log      *zap.Logger // nil: none
}

// Courier carries requests to one server.
type Courier struct {
	opts Options
	// bases are where the ways lead, the server last.
	bases []string
	ways  *uplink.Ways
	pace  *rate.Limiter // of packages over another's line; nil: as fast as they come
	http  *http.Client
	slots chan struct{}

	mu     sync.Mutex
	status Status
}

// most bounds the requests that are under way at once: a poll, a batch, and what
// apt asks for side by side.
const most = 32

// New checks the options; nothing is asked yet.
func New(o Options) (*Courier, error) {
	if o.Patience == 0 {
		o.Patience = 5 * time.Minute
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	bases, socket, err := o.bases()
	if err != nil {
		return nil, err
	}
	c := &Courier{
		opts: o, bases: bases, ways: uplink.NewWays(len(bases), 0, 0, nil), slots: make(chan struct{}, most),
		status: Status{Server: o.Server, Since: time.Now()},
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	line := &http.Transport{
		DialContext: dialer.DialContext, TLSClientConfig: o.TLS, TLSHandshakeTimeout: 10 * time.Second,
		MaxConnsPerHost: most, MaxIdleConnsPerHost: 8, IdleConnTimeout: 90 * time.Second,
		ResponseHeaderTimeout: poll.takes, MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		DisableCompression: true, // bytes are carried as they come
	}
	if socket != "" {
		line.Proxy = nil
		line.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	if o.FallbackRate > 0 {
		c.pace = rate.NewLimiter(rate.Limit(o.FallbackRate), int(min(o.FallbackRate, 64<<10)))
	}
	c.http = &http.Client{
		Transport: line,
		// The server that enrolment named, and no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// bases returns where requests go, the relays first; socket is the server's, if it has
// one, and then there are no relays.
func (o Options) bases() (all []string, socket string, err error) {
	for _, address := range append(slices.Clone(o.Relays), o.Server) {
		if _, err := uplink.NewClient(uplink.ClientOptions{URL: address}); err != nil { // its rules are the line's
			return nil, "", err
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, "", fmt.Errorf("server address: %w", err)
		}
		if u.Scheme != "unix" {
			all = append(all, strings.TrimSuffix(address, "/"))
			continue
		}
		if len(o.Relays) > 0 {
			return nil, "", fmt.Errorf("%s: a socket of this machine goes with no relay", address)
		}
		all, socket = []string{"http://patchcycle"}, u.Path
	}
	return all, socket, nil
}

// Serve answers at the two sockets until the context ends. Who may open them is
// for whoever made them to say: root alone.
func (c *Courier) Serve(ctx context.Context, letters, parcels net.Listener) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, door := range []struct {
		line net.Listener
		h    http.Handler
	}{{letters, c.letters()}, {parcels, c.parcels()}} {
		s := &http.Server{
			Handler: door.h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
			ErrorLog: zap.NewStdLog(c.opts.Log),
		}
		group.Go(func() error {
			if err := s.Serve(door.line); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return ctx.Err()
		})
		group.Go(func() error {
			<-ctx.Done()
			return s.Close() // what is under way is asked for again
		})
	}
	group.Go(func() error { return c.watch(ctx) })
	err := group.Wait()
	c.http.CloseIdleConnections()
	return err
}
