package probation

import (
	"context"
	"sync"

	"github.com/patchcycle/patchcycle/edge/uplink"
)

// Watch returns the link, and calls reported, once in a while until it returns true,
// when the server has acknowledged a message and answered a poll: who can only speak,
// or only hear, is not of use.
func Watch(link uplink.Link, reported func(context.Context) bool) uplink.Link {
	return &watched{Link: link, reported: reported}
}

type watched struct {
	uplink.Link
	reported func(context.Context) bool

	mu            sync.Mutex
	spoken, heard bool
	over          bool
}

// Send implements [uplink.Link].
func (w *watched) Send(ctx context.Context, b uplink.Batch) ([]uplink.Ack, error) {
	acks, err := w.Link.Send(ctx, b)
	if err == nil && len(acks) > 0 {
		w.note(ctx, &w.spoken)
	}
	return acks, err
}

// Poll implements [uplink.Link].
func (w *watched) Poll(ctx context.Context, r uplink.PollRequest) (uplink.PollResponse, error) {
	resp, err := w.Link.Poll(ctx, r)
	if err == nil && !resp.Offline && len(resp.Refused) == 0 {
		w.note(ctx, &w.heard)
	}
	return resp, err
}

func (w *watched) note(ctx context.Context, what *bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*what = true
	if !w.over && w.spoken && w.heard {
		w.over = w.reported(ctx)
	}
}
