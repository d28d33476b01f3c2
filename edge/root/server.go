package root

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"golang.org/x/time/rate"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/patching"
)

// Server answers the uplink's requests: it is the far end of every [uplink.Link].
// Make it with [New], serve its Handler, and have [Server.Run] run for as long as
// that is served.
type Server struct {
	opts     Options
	log      *zap.Logger
	registry *registry
	hub      *hub
	commits  *committer
	presence *presence

	issuing  sync.Mutex // see Dispatcher.Issue
	enrols   *rate.Limiter
	held     holding
	contents knownContents
}

var _ uplink.Link = (*Server)(nil)

// New returns a server. It needs Run before it takes messages.
func New(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{
		opts: o, log: o.Log, registry: newRegistry(o), hub: newHub(), commits: newCommitter(o), presence: newPresence(o),
		// A site that is switched on enrols at once; a thief who tries tokens is slowed.
		enrols: rate.NewLimiter(200, 2000),
	}, nil
}

// Run commits what is reported and notes that the server listens, until ctx
// ends. Requests that come after that are told to try again.
func (s *Server) Run(ctx context.Context) error {
	if err := s.registry.load(ctx); err != nil {
		return err
	}
	if err := s.HoldChanged(ctx); err != nil {
		return err
	}
	var beside sync.WaitGroup
	beside.Go(func() { s.presence.run(ctx) })
	beside.Go(func() { s.lookAtHold(ctx) })
	s.commits.run(ctx)
	beside.Wait() // whoever closes the store next must find nobody in it
	return nil
}

// Dispatcher returns what activities order through.
func (s *Server) Dispatcher() *Dispatcher { return &Dispatcher{server: s} }

// DevicesChanged says that devices were accepted or revoked: they are read
// again at once instead of within a minute.
func (s *Server) DevicesChanged() { s.registry.expire() }

// Handler serves the paths of the protocol.
func (s *Server) Handler() http.Handler {
	return uplink.Serve(s, uplink.ServeOptions{MaxPolls: s.opts.MaxPolls, MaxRequests: s.opts.MaxRequests, Failed: s.failed})
}

// busyAgain is after how long who was turned away may ask again.
const busyAgain = 5 * time.Second

func busy() error {
	return &uplink.Error{Status: http.StatusServiceUnavailable, Words: "the server is busy; try again", RetryAfter: busyAgain}
}

// failed logs the errors that are the server's own.
func (s *Server) failed(path string, err error) {
	s.log.Error("uplink request failed", zap.String("path", path), zap.Error(err))
}

// Content implements [uplink.Link].
func (s *Server) Content(ctx context.Context, d patching.Digest) ([]byte, error) {
	text, err := s.opts.Store.Content(ctx, d)
	if errors.Is(err, ErrNotFound) {
		return nil, &uplink.Error{Status: http.StatusNotFound, Words: fmt.Sprintf("there is no content %s", d.Short())}
	}
	return text, err
}
