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

// Server answers the uplink's requests. Make it with [New], serve its Handler,
// and have [Server.Run] run for as long as that is served.
type Server struct {
	opts     Options
	log      *zap.Logger
	registry *registry
	hub      *hub
	commits  *committer
	presence *presence

	issuing  sync.Mutex // see Dispatcher.Issue
	polls    chan struct{}
	requests chan struct{}
	enrols   *rate.Limiter
	contents knownContents
}

// New returns a server. It needs Run before it takes messages.
func New(o Options) (*Server, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Server{
		opts: o, log: o.Log, registry: newRegistry(o), hub: newHub(), commits: newCommitter(o), presence: newPresence(o),
		polls: make(chan struct{}, o.MaxPolls), requests: make(chan struct{}, o.MaxRequests),
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
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.presence.run(ctx)
	}()
	s.commits.run(ctx)
	<-done
	return nil
}

// Dispatcher returns what activities order through.
func (s *Server) Dispatcher() *Dispatcher { return &Dispatcher{server: s} }

// DevicesChanged says that devices were accepted or revoked: they are read
// again at once instead of within a minute.
func (s *Server) DevicesChanged() { s.registry.expire() }

// Limits of a request's life. A poll's wait comes on top.
const (
	readTime  = 20 * time.Second
	writeTime = 30 * time.Second
	busyAgain = 5 * time.Second
)

// Handler serves the paths of the protocol.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+uplink.EnrolPath, limited(s.requests, serve(s, s.enrol)))
	mux.HandleFunc("POST "+uplink.MessagesPath, limited(s.requests, serve(s, s.messages)))
	mux.HandleFunc("POST "+uplink.PollPath, limited(s.polls, serve(s, s.poll)))
	mux.HandleFunc("GET "+uplink.ContentPath+"{digest}", limited(s.requests, s.content))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		uplink.WriteError(w, &uplink.Error{Status: http.StatusNotFound, Words: "the uplink has no such path; is the client newer than the server?"})
	})
	return mux
}

// limited answers "try again" when too many requests are under way: a queue
// here would only hold memory that clients have already given up on.
func limited(slots chan struct{}, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			next(w, r)
		default:
			uplink.WriteError(w, busy())
		}
	}
}

func busy() error {
	return &uplink.Error{Status: http.StatusServiceUnavailable, Words: "the server is busy; try again", RetryAfter: busyAgain}
}

// serve reads a request, has it answered and writes the answer.
func serve[In, Out any](s *Server, answer func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		deadlines := http.NewResponseController(w)
		// Not every ResponseWriter has deadlines; a real connection does.
		_ = deadlines.SetReadDeadline(time.Now().Add(readTime))
		_ = deadlines.SetWriteDeadline(time.Now().Add(uplink.MaxWait + writeTime))
		var in In
		if err := uplink.ReadRequest(w, r, &in); err != nil {
			uplink.WriteError(w, err)
			return
		}
		_ = deadlines.SetReadDeadline(time.Time{})
		out, err := answer(r.Context(), in)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		uplink.WriteJSON(w, r, out)
	}
}

// fail answers an error and logs those that are the server's own.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *uplink.Error
	if !errors.As(err, &refusal) && r.Context().Err() == nil {
		s.log.Error("uplink request failed", zap.String("path", r.URL.Path), zap.Error(err))
	}
	uplink.WriteError(w, err)
}

func (s *Server) content(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	d := patching.Digest(r.PathValue("digest"))
	if !d.Valid() {
		uplink.WriteError(w, &uplink.Error{Status: http.StatusBadRequest, Words: "the path does not end in a digest"})
		return
	}
	text, err := s.opts.Store.Content(r.Context(), d)
	switch {
	case errors.Is(err, ErrNotFound):
		uplink.WriteError(w, &uplink.Error{Status: http.StatusNotFound, Words: fmt.Sprintf("there is no content %s", d.Short())})
	case err != nil:
		s.fail(w, r, err)
	default:
		// What a digest addresses never changes.
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		uplink.WriteText(w, r, text)
	}
}
