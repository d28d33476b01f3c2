package uplink

import (
	"context"
	"errors"

	"github.com/patchcycle/patchcycle/patching"
)

// Routes is a [Link] over several: a site's relays by preference, and the server
// itself. What fails on one is tried on the next. Everything that goes over the uplink
// may go twice, so a request that was cut after it arrived does no harm on another way.
type Routes struct {
	links []Link
	ways  *Ways
}

var _ Link = (*Routes)(nil)

// NewRoutes returns the link over links, of which ways chooses: as many as there are.
func NewRoutes(ways *Ways, links ...Link) *Routes { return &Routes{links: links, ways: ways} }

// Enrol implements [Link].
func (r *Routes) Enrol(ctx context.Context, ask EnrolRequest) (out EnrolResponse, err error) {
	err = r.try(ctx, func(l Link) error {
		out, err = l.Enrol(ctx, ask)
		return err
	})
	return out, err
}

// Send implements [Link].
func (r *Routes) Send(ctx context.Context, b Batch) (acks []Ack, err error) {
	err = r.try(ctx, func(l Link) error {
		acks, err = l.Send(ctx, b)
		return err
	})
	return acks, err
}

// errOffline: a relay answered that it has no line.
var errOffline = errors.New("the relay has no line to the server")

// Poll implements [Link]. If all that answers are relays without a line, their answer
// is passed on: it was waited for, and nothing is lost by asking again.
func (r *Routes) Poll(ctx context.Context, ask PollRequest) (out PollResponse, err error) {
	err = r.try(ctx, func(l Link) error {
		resp, err := l.Poll(ctx, ask)
		if err == nil && resp.Offline {
			out, err = resp, errOffline
			return err
		}
		if err == nil {
			out = resp
		}
		return err
	})
	if out.Offline && ctx.Err() == nil {
		err = nil
	}
	return out, err
}

// Content implements [Link].
func (r *Routes) Content(ctx context.Context, d patching.Digest) (text []byte, err error) {
	err = r.try(ctx, func(l Link) error {
		text, err = l.Content(ctx, d)
		return err
	})
	return text, err
}

// try asks one link after another, until one answers; a refusal is an answer.
func (r *Routes) try(ctx context.Context, ask func(Link) error) error {
	var last error
	for _, i := range r.ways.Order() {
		err := ask(r.links[i])
		if err == nil || Refusal(err) != nil {
			r.ways.Worked(i)
			return err
		}
		if errors.Is(ctx.Err(), context.Canceled) { // it was given up: that is not the way's fault
			return err
		}
		r.ways.Failed(i)
		if last = err; ctx.Err() != nil {
			break
		}
	}
	return last
}
