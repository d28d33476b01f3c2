package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchcycle/patchcycle/patching"
)

// Link is the way to the server: an HTTP [Client], or a relay in the same
// process. All methods are safe for concurrent use.
type Link interface {
	// Enrol asks to be taken in.
	Enrol(context.Context, EnrolRequest) (EnrolResponse, error)
	// Send hands messages over. On an error nothing is known: send the same
	// messages again.
	Send(context.Context, Batch) ([]Ack, error)
	// Poll asks what is new and may wait as long as the request says.
	Poll(context.Context, PollRequest) (PollResponse, error)
	// Content fetches a text by its address, and checks it.
	Content(context.Context, patching.Digest) ([]byte, error)
}

// Error is a refusal by the server, as opposed to a line that is down.
type Error struct {
	Status int    // of HTTP
	Words  string // what the server says
	// RetryAfter is when it wants to be asked again; zero: it does not say.
	RetryAfter time.Duration
}

// Error tells what the server said.
func (e *Error) Error() string { return fmt.Sprintf("the server answers %d: %s", e.Status, e.Words) }

// Temporary reports whether the same request may succeed later.
func (e *Error) Temporary() bool { return e.Status == 429 || e.Status >= 500 }

// Refusal returns the server's refusal behind err, nil if the line failed.
func Refusal(err error) *Error {
	var e *Error
	if errors.As(err, &e) && !e.Temporary() {
		return e
	}
	return nil
}
