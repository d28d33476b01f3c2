package courier

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/patchcycle/patchcycle/edge/uplink"
	"github.com/patchcycle/patchcycle/internal/stall"
	"github.com/patchcycle/patchcycle/patching"
)

// errand is a kind of request that is carried, with what bounds it.
type errand struct {
	// answer bounds the bytes of the answer as they come over the line. No request
	// has more than [uplink.MaxRequest].
	answer int64
	// files: another way may have what one has not.
	files bool
	// takes bounds the whole; quiet, how long nothing may come of an answer that has
	// begun.
	takes, quiet time.Duration
}

// What is carried. There is no enrolment: a person does that, and names the server.
var (
	letter = errand{answer: uplink.MaxRequest, takes: time.Minute, quiet: 20 * time.Second}
	poll   = errand{answer: uplink.MaxRequest, takes: uplink.MaxWait + 30*time.Second, quiet: 20 * time.Second}
	// No package of Debian's has 8 GiB; at 1 MiB a second it takes as long as this.
	parcel = errand{files: true, answer: 8 << 30, takes: 140 * time.Minute, quiet: time.Minute}
)

// letters are the requests of an agent that has enrolled.
func (c *Courier) letters() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("POST "+uplink.MessagesPath, c.carry(letter))
	mux.Handle("POST "+uplink.PollPath, c.carry(poll))
	mux.Handle("GET "+uplink.ContentPath+"{digest}", c.carry(letter))
	mux.HandleFunc("GET "+statusPath, c.tell)
	mux.HandleFunc("/", notCarried)
	return plain(mux)
}

// parcels are the files of the server's snapshots.
func (c *Courier) parcels() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET "+patching.SnapshotPath+"{id}/{repository}/{generation}/{path...}", c.carry(parcel))
	mux.HandleFunc("/", notCarried)
	return plain(mux)
}

// plain refuses paths that could mean one thing to our list and another to the server.
// What is left is judged, and asked for, in the one spelling that we give it: apt
// writes %2b for +, and %253a for the %3a that stands for a version's colon in the names
// of some archives' packages.
func plain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := r.URL
		odd := strings.ContainsFunc(colon.Replace(u.Path), func(c rune) bool { return c == '%' || c == '\\' || !unicode.IsPrint(c) })
		if odd || u.IsAbs() || u.RawQuery != "" || u.ForceQuery || path.Clean(u.Path) != u.Path || r.Method == http.MethodHead {
			notCarried(w, r)
			return
		}
		u.RawPath = ""
		next.ServeHTTP(w, r)
	})
}

// colon takes out the only percent sign of a name that means nothing else to whoever
// should unescape it twice.
var colon = strings.NewReplacer("%3a", "", "%3A", "")

func notCarried(w http.ResponseWriter, _ *http.Request) {
	uplink.WriteError(w, &uplink.Error{Status: http.StatusForbidden, Words: "the courier carries no such request"})
}

// Headers that go along; a request for a package may ask for the rest of it.
var (
	goOut    = []string{"Content-Type", "Content-Encoding", "Accept-Encoding", "Range", "If-Range", "If-Modified-Since", "Cache-Control"}
	comeBack = []string{"Content-Type", "Content-Encoding", "Content-Range", "Accept-Ranges", "Last-Modified", "Etag", "Retry-After", "Cache-Control", "Date"}
)

// carry asks the server and hands its answer on, byte by byte.
func (c *Courier) carry(e errand) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case c.slots <- struct{}{}:
			defer func() { <-c.slots }()
		default:
			uplink.WriteError(w, &uplink.Error{Status: http.StatusServiceUnavailable, Words: "the courier is busy; try again", RetryAfter: 5 * time.Second})
			return
		}
		deadlines := http.NewResponseController(w)
		_ = deadlines.SetWriteDeadline(time.Now().Add(e.takes + 10*time.Second))
		whole, done := context.WithTimeout(r.Context(), e.takes)
		defer done()
		ctx, cancel := context.WithCancelCause(whole)
		defer cancel(nil)
		resp, by, err := c.ask(ctx, w, r, e) //nolint:bodyclose // the watched body closes it
		c.note(by, err)
		if err != nil {
			uplink.WriteError(w, &uplink.Error{Status: http.StatusBadGateway, Words: fmt.Sprintf("the courier has no line to %s: %v", c.opts.Server, err)})
			return
		}
		body := stall.Watch(ctx, cancel, resp.Body, c.bases[by], e.quiet)
		defer body.Close()
		if !handOn(w, resp, c.paced(ctx, by, e, body), e.answer) {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
	})
}

// handOn reports whether all of the answer was handed on.
func handOn(w http.ResponseWriter, resp *http.Response, body io.Reader, limit int64) bool {
	for _, name := range comeBack {
		if v := resp.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	if resp.ContentLength > limit {
		return false
	}
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	w.WriteHeader(resp.StatusCode)
	n, err := io.Copy(w, io.LimitReader(body, limit+1))
	return err == nil && n <= limit
}
