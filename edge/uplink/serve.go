package uplink

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// ServeOptions bound what is served at a time.
type ServeOptions struct {
	// MaxPolls and MaxRequests bound requests under way.
	MaxPolls, MaxRequests int
	// Failed is told of errors that are the server's own, not the asker's.
	Failed func(path string, err error)
}

// OfflineHeader says of a poll's answer what [PollResponse.Offline] says in it, to who
// carries answers without reading them.
const OfflineHeader = "Patchcycle-Offline"

// Limits of a request's life. A poll's wait comes on top.
const (
	readTime  = 20 * time.Second
	writeTime = 30 * time.Second
	busyAgain = 5 * time.Second
)

// Serve serves the paths of the protocol from a link: the server's own end, or a
// relay's, which passes on.
func Serve(link Link, o ServeOptions) http.Handler {
	s := server{link: link, failed: o.Failed}
	polls, requests := make(chan struct{}, o.MaxPolls), make(chan struct{}, o.MaxRequests)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+EnrolPath, limited(requests, answered(s, link.Enrol)))
	mux.HandleFunc("POST "+MessagesPath, limited(requests, answered(s, s.send)))
	mux.HandleFunc("POST "+PollPath, limited(polls, answered(s, link.Poll)))
	mux.HandleFunc("GET "+ContentPath+"{digest}", limited(requests, s.content))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		WriteError(w, &Error{Status: http.StatusNotFound, Words: "the uplink has no such path; is the client newer than the server?"})
	})
	return mux
}

type server struct {
	link   Link
	failed func(path string, err error)
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
			WriteError(w, &Error{Status: http.StatusServiceUnavailable, Words: "the server is busy; try again", RetryAfter: busyAgain})
		}
	}
}

// answered reads a request, has it answered and writes the answer.
func answered[In, Out any](s server, answer func(context.Context, In) (Out, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		deadlines := http.NewResponseController(w)
		// Not every ResponseWriter has deadlines; a real connection does.
		_ = deadlines.SetReadDeadline(time.Now().Add(readTime))
		_ = deadlines.SetWriteDeadline(time.Now().Add(MaxWait + writeTime))
		var in In
		if err := ReadRequest(w, r, &in); err != nil {
			WriteError(w, err)
			return
		}
		_ = deadlines.SetReadDeadline(time.Time{})
		out, err := answer(r.Context(), in)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		if resp, ok := any(out).(PollResponse); ok && resp.Offline {
			w.Header().Set(OfflineHeader, "1")
		}
		WriteJSON(w, r, out)
	}
}

func (s server) send(ctx context.Context, b Batch) (Acks, error) {
	acks, err := s.link.Send(ctx, b)
	return Acks{Acks: acks}, err
}

func (s server) content(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTime))
	d := patching.Digest(r.PathValue("digest"))
	if !d.Valid() {
		WriteError(w, &Error{Status: http.StatusBadRequest, Words: "the path does not end in a digest"})
		return
	}
	text, err := s.link.Content(r.Context(), d)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	// What a digest addresses never changes.
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	WriteText(w, r, text)
}

// fail answers an error, and tells of those that no asker can do anything about.
func (s server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var refusal *Error
	if !errors.As(err, &refusal) && r.Context().Err() == nil && s.failed != nil {
		s.failed(r.URL.Path, err)
	}
	WriteError(w, err)
}
